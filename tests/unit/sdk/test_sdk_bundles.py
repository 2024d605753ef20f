"""Code from a folder to the server and back, through the client and the real API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import AsyncClient, Client
from tests.stage import two_worlds
from tests.unit.server.conftest import Api

CODE = Bundle({"model.py": b"x = 1\n"})


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    api = Api(await two_worlds(tmp_path))
    async with api.http:
        yield api


async def test_code_goes_up_and_comes_back(api: Api, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "model.py").write_bytes(b"x = 1\r\n")
    token = await api.stage.bearer(api.stage.scientist("bank-a"))
    transport = httpx.ASGITransport(api.app)
    client = AsyncClient("https://test", token, transport=transport)
    project = api.stage.ids["project"]
    stored = await client.bundles.upload(folder, project, "churn")
    assert (stored.digest, stored.name) == (CODE.digest, "churn")
    assert await client.bundles.upload(CODE, project) == stored
    assert await client.bundles.get(CODE.digest) == stored
    assert (await client.bundles.download(CODE.digest)).files == CODE.files
    assert [one.id async for one in client.bundles.list(project)] == [stored.id]
    await client.bundles.remove(CODE.digest, project)
    assert [one.id async for one in client.bundles.list()] == []
    await client.close()


def test_what_the_server_sends_is_checked() -> None:
    sent = {"content": pack(CODE)}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=sent["content"])

    with Client("https://test", "sft_x", transport=httpx.MockTransport(answer)) as client:
        assert client.bundles.download(CODE.digest).files == CODE.files
        with pytest.raises(SecureFlowError) as refusal:
            client.bundles.download("0" * 64)
        assert refusal.value.code == "digest_mismatch"
        sent["content"] = b"not a bundle"
        with pytest.raises(SecureFlowError) as refusal:
            client.bundles.download(CODE.digest)
        assert refusal.value.code == "bundle_refused"


def test_an_upload_is_sent_again_after_a_lost_answer() -> None:
    """With the same key and the same bytes: the server keeps it once."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.ReadError("lost")
        return httpx.Response(403, json={"code": "forbidden", "detail": "no"})

    client = Client("https://test", "sft_x", transport=httpx.MockTransport(answer))
    with client, pytest.raises(SecureFlowError):
        client.bundles.upload(CODE, "prj_1")
    first, again = asked
    assert first.headers["idempotency-key"] == again.headers["idempotency-key"]
    assert first.content == again.content == pack(CODE)
    assert first.headers["content-type"] == "application/octet-stream"
    assert dict(first.url.params) == {"project": "prj_1", "digest": CODE.digest}


def test_what_is_no_bundle_is_not_sent(tmp_path: Path) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request)

    (tmp_path / "weights.bin").write_bytes(b"x")
    client = Client("https://test", "sft_x", transport=httpx.MockTransport(answer))
    with client, pytest.raises(SecureFlowError) as refusal:
        client.bundles.upload(tmp_path, "prj_1")
    assert refusal.value.code == "invalid_file"

"""Uploading and downloading code over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from secureflow.engines.bundles import MAX_BYTES, Bundle, pack, unpack
from secureflow.server.rest import bundles as under_test
from secureflow.server.rest import edge
from tests.unit.server.conftest import Api

CODE = Bundle(
    {"model.py": b"x = 1\n", "notes.txt": (b"n" * 1023 + b"\n") * (2 << 10)}
)  # beyond other bodies
BINARY = {"Content-Type": "application/octet-stream"}


async def post(api: Api, content: Any, whose: str = "bank-a", **other: str) -> Any:
    query = {"project": api.stage.ids["project"], "digest": CODE.digest, "name": "n", **other}
    return await api.call(
        "POST", "/bundles", api.stage.scientist(whose), content=content, params=query,
        headers=BINARY,
    )  # fmt: skip


async def test_what_is_uploaded_comes_back(api: Api) -> None:
    stored = await post(api, pack(CODE))
    assert stored.status_code == 201, stored.text
    assert stored.json()["digest"] == CODE.digest
    reader = api.stage.owner("bank-b")
    described = await api.call("GET", f"/bundles/{CODE.digest}", reader)
    assert described.json() == stored.json()
    content = await api.call("GET", f"/bundles/{CODE.digest}/content", reader)
    assert unpack(content.content).files == CODE.files
    assert content.headers["content-length"] == str(len(pack(CODE)))
    listed = await api.call("GET", "/bundles", reader)
    assert [one["digest"] for one in listed.json()["items"]] == [CODE.digest]


async def test_a_body_that_is_too_long_is_not_read_to_its_end(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [0]

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent[0] += 1 << 20
            yield b"x" * (1 << 20)

    answer = await post(api, endless())
    assert answer.status_code == 413, answer.text
    assert sent[0] <= MAX_BYTES + (4 << 20)
    monkeypatch.setitem(edge.LARGE, "/api/v1/bundles", 1 << 40)
    sent[0] = 0
    answer = await post(api, endless())  # the handler counts as well
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    assert sent[0] <= under_test.MAX_BYTES + (4 << 20)
    monkeypatch.undo()
    declared = {**BINARY, "Content-Length": str(MAX_BYTES + 1)}
    refused = await api.call("POST", "/bundles", api.stage.scientist("bank-a"), headers=declared)
    assert refused.status_code == 413


async def test_other_bodies_stay_as_short_as_they_were(api: Api) -> None:
    answer = await api.call(
        "POST", "/projects", api.stage.scientist("bank-a"), content=b"x" * (2 << 20)
    )
    assert answer.status_code == 413


async def test_who_may_not_upload_is_refused_before_the_body(api: Api) -> None:
    read = [0]

    async def counted() -> AsyncIterator[bytes]:
        read[0] += 1
        yield pack(CODE)

    answer = await post(api, counted(), "outsider")
    assert answer.status_code == 404
    assert read[0] == 0


@pytest.mark.parametrize(
    ("content", "other", "status"),
    [(b"PK\x03\x04", {}, 422), (pack(CODE), {"digest": "0" * 64}, 403), (b"", {}, 422),
     (pack(CODE), {"digest": "zz"}, 422), (pack(CODE), {"name": "a\x1bb"}, 422)],
)  # fmt: skip
async def test_what_is_no_bundle_is_refused(
    content: bytes, other: dict[str, str], status: int, api: Api
) -> None:
    answer = await post(api, content, **other)
    assert answer.status_code in {status, 400}, answer.text
    assert (await api.call("GET", "/bundles", api.stage.scientist("bank-a"))).json()["items"] == []

"""Weights of a file, uploaded to start a job from."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save

from secureflow.domain.models import KeptUpload
from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.domain.specs.training import Resume
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.models import UploadedModel

ARRAYS = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.float16)}


LAYOUT = (TensorSpec("a", (2, 2), "float16"), TensorSpec("b", (3,)))
VECTOR = np.array([1, 1, 1, 1, 0, 1, 2], "<f4").tobytes()
DIGEST = blake3(VECTOR).hexdigest()
KEPT: dict[str, Any] = {
    "id": "upl_1", "project": "prj_1", "digest": DIGEST, "layout": layout_digest(LAYOUT),
    "organisation": "bank-a", "uploader": "ana", "size": 28, "created": 5, "expires": 9,
}  # fmt: skip


def _file(tmp_path: Path, arrays: Any = None) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(save(ARRAYS if arrays is None else arrays)))
    return path


def _check(found: UploadedModel, requests: list[httpx.Request]) -> None:
    assert found.tensors == LAYOUT
    assert found.initial.model == DIGEST
    assert found.initial.layout == layout_digest(found.tensors)
    assert found.upload == KeptUpload(**KEPT)
    for request in requests:  # the same bytes may be sent twice
        assert request.url.params["digest"] == DIGEST
        assert request.url.params["project"] == "prj_1"
        assert request.url.params["layout"] == layout_digest(LAYOUT)
        assert request.headers["content-type"] == "application/octet-stream"
        assert request.headers["content-length"] == "28"
        assert request.headers["host"]
        assert "transfer-encoding" not in request.headers
    assert len({request.headers["idempotency-key"] for request in requests}) == 1


def test_a_file_goes_up_as_one_vector_in_the_order_of_its_names(
    sdk_server: Any, tmp_path: Path
) -> None:
    server = sdk_server(httpx.ConnectError("away"), httpx.Response(201, json=KEPT))
    with server.client() as client:
        found = client.models.upload(_file(tmp_path), "prj_1")
    _check(found, server.requests)
    assert [request.read() for request in server.requests] == [VECTOR, VECTOR]


async def test_the_asynchronous_client_streams_as_well(sdk_server: Any, tmp_path: Path) -> None:
    path = await asyncio.to_thread(_file, tmp_path)
    server = sdk_server(httpx.ConnectError("away"), httpx.Response(201, json=KEPT))
    async with server.async_client() as client:
        found = await client.models.upload(path, "prj_1")
    _check(found, server.requests)
    assert [await request.aread() for request in server.requests] == [VECTOR, VECTOR]


def test_a_file_that_no_model_can_start_from_is_refused_here(
    sdk_server: Any, tmp_path: Path
) -> None:
    server = sdk_server()
    with server.client() as client:
        for path, code in (
            (_file(tmp_path, {"a": np.array([np.nan], np.float32)}), "tensors_wrong"),
            (tmp_path / "missing", "invalid_file"),
            (tmp_path, "invalid_file"),
        ):
            with pytest.raises(SecureFlowError) as caught:
                client.models.upload(path, "prj_1")
            assert caught.value.code == code
    assert not server.requests


def test_uploads_are_listed_and_removed(sdk_server: Any) -> None:
    server = sdk_server(
        httpx.Response(200, json={"items": [KEPT], "next": ""}), httpx.Response(204)
    )
    with server.client() as client:
        assert list(client.models.uploads("prj_1")) == [KeptUpload(**KEPT)]
        client.models.remove_upload("upl_1")
    assert [(one.method, one.url.path) for one in server.requests] == [
        ("GET", "/api/v1/models/uploads"),
        ("DELETE", "/api/v1/models/uploads/upl_1"),
    ]


def test_what_a_round_released_is_where_another_job_goes_on(sdk_server: Any) -> None:
    models = {1: "a" * 64, 2: "b" * 64}
    entries = [
        {"leaf": {"leaf": {"kind": "round.closed"}},
         "document": {"round": number, "stage": "train", "release": {"model": model}}}
        for number, model in models.items()
    ]  # fmt: skip

    def bundle() -> httpx.Response:
        return httpx.Response(200, json={"entries": entries})

    with sdk_server(bundle(), bundle()).client() as client:
        assert client.jobs.released("job_1") == Resume("job_1", 2, models[2])
        assert client.jobs.released("job_1", 1) == Resume("job_1", 1, models[1])
    server = sdk_server(bundle())

    async def main() -> Resume:
        async with server.async_client() as client:
            return await client.jobs.released("job_1", 1)

    assert asyncio.run(main()) == Resume("job_1", 1, models[1])

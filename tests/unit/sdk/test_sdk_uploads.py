"""Weights of a file, uploaded to start a job from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from blake3 import blake3
from safetensors.numpy import save

from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.kit.errors import SecureFlowError

ARRAYS = {"b": np.arange(3, dtype=np.float32), "a": np.ones((2, 2), np.float16)}


def test_a_file_goes_up_as_one_vector_in_the_order_of_its_names(
    sdk_server: Any, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(save(ARRAYS)))
    vector = np.array([1, 1, 1, 1, 0, 1, 2], "<f4").tobytes()
    digest = blake3(vector).hexdigest()
    server = sdk_server(
        httpx.ConnectError("away"), httpx.Response(200, json={"digest": digest, "size": 28})
    )
    with server.client() as client:
        found = client.models.upload(path)
    assert found.tensors == (TensorSpec("a", (2, 2), "float16"), TensorSpec("b", (3,)))
    assert found.initial.model == digest
    assert found.initial.layout == layout_digest(found.tensors)
    for request in server.requests:  # the same bytes may be sent twice
        assert request.read() == vector
        assert request.url.params["digest"] == digest
        assert request.headers["content-type"] == "application/octet-stream"


def test_a_file_that_no_model_can_start_from_is_refused_here(
    sdk_server: Any, tmp_path: Path
) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(bytes(save({"a": np.array([np.nan], np.float32)})))
    server = sdk_server()
    with server.client() as client, pytest.raises(SecureFlowError) as caught:
        client.models.upload(path)
    assert caught.value.code == "tensors_wrong"
    assert not server.requests

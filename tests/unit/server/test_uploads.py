"""Weights to start from: raw bytes over REST, stored under their digest, by whoever may submit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
from blake3 import blake3

from tests.unit.server.conftest import Api

DATA = np.arange(1000, dtype="<f4").tobytes()
DIGEST = blake3(DATA).hexdigest()


async def test_bytes_are_stored_under_their_digest_and_again(api: Api) -> None:
    scientist = api.stage.scientist("bank-a")
    for _ in range(2):
        path = f"/models/uploads?digest={DIGEST}"
        answer = await api.call("POST", path, scientist, content=DATA)
        assert answer.status_code == 200, answer.text
        assert answer.json() == {"digest": DIGEST, "size": 4000}
    assert (await api.stage.artifacts.stat(DIGEST)).size == 4000


@pytest.mark.parametrize(
    ("path", "data", "status"),
    [
        (f"/models/uploads?digest={'0' * 64}", DATA, 403),
        ("/models/uploads?digest=x", DATA, 422),
        ("/models/uploads", DATA, 422),
        (f"/models/uploads?digest={DIGEST}", b"", 422),
        (f"/models/uploads?digest={DIGEST}", DATA[:-1], 422),
    ],
)
async def test_what_is_no_upload_is_refused_and_leaves_nothing(
    api: Api, path: str, data: bytes, status: int
) -> None:
    before = dict(api.stage.artifacts.blobs)
    answer = await api.call("POST", path, api.stage.scientist("bank-a"), content=data)
    assert answer.status_code == status, answer.text
    assert api.stage.artifacts.blobs == before


async def test_a_body_of_unknown_or_false_length_is_refused(api: Api) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield DATA

    path = f"/models/uploads?digest={DIGEST}"
    answer = await api.call("POST", path, api.stage.scientist("bank-a"), content=parts())
    assert answer.status_code == 422
    headers = {"Content-Length": "400"}
    answer = await api.call(
        "POST", path, api.stage.scientist("bank-a"), content=DATA, headers=headers
    )
    assert answer.status_code == 413

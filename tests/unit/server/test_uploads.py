"""Weights to start from over REST: who is let in before a byte is read, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from secureflow.application.access import Principal
from secureflow.application.intake import AT_ONCE
from secureflow.application.quotas import Quotas
from secureflow.application.uploads import UPLOAD_LIMIT
from secureflow.domain.users import Role
from secureflow.engines.bundles import Bundle, pack
from secureflow.server.rest import edge
from tests.stage import two_worlds
from tests.unit.server.conftest import Api

DATA = np.arange(1000, dtype="<f4").tobytes()
DIGEST = blake3(DATA).hexdigest()
LAYOUT = "ab" * 32
CODE = Bundle({"model.py": b"x = 1"})
KEY = {"Idempotency-Key": "key-9"}


class Watched:
    """A body that counts who reads it."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.read = 0

    async def stream(self) -> AsyncIterator[bytes]:
        self.read += 1
        yield self.data


async def post(api: Api, content: Any, who: Principal | None = None, **more: Any) -> Any:
    headers = {"Content-Length": str(len(DATA)), **more.pop("headers", {})}
    query = {"project": api.stage.ids["project"], "digest": DIGEST, "layout": LAYOUT, **more}
    return await api.call(
        "POST", "/models/uploads", who or api.stage.scientist("bank-a"), content=content,
        params=query, headers=headers,
    )  # fmt: skip


async def test_what_is_uploaded_is_listed_and_removed(api: Api) -> None:
    answer = await post(api, DATA)
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert (row["digest"], row["layout"], row["size"]) == (DIGEST, LAYOUT, 4000)
    assert api.stage.uploads.blobs[DIGEST] == DATA
    reader = api.stage.owner("bank-b")
    for query in ("", f"?project={api.stage.ids['project']}"):
        listed = await api.call("GET", f"/models/uploads{query}", reader)
        assert listed.json()["items"] == [row]
    gone = await api.call("DELETE", f"/models/uploads/{row['id']}", api.stage.admin("bank-a"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await api.call("GET", "/models/uploads", reader)).json()["items"] == []


@pytest.mark.parametrize(
    ("query", "data", "status"),
    [
        ({"digest": "0" * 64}, DATA, 403),
        ({"digest": "x"}, DATA, 422),
        ({"layout": "x"}, DATA, 422),
        ({"layout": ""}, DATA, 422),
        ({"project": ""}, DATA, 404),
        ({}, b"", 422),
        ({}, DATA[:-1], 422),
    ],
)
async def test_what_is_no_upload_is_refused_and_leaves_nothing(
    api: Api, query: dict[str, str], data: bytes, status: int
) -> None:
    answer = await post(api, data, headers={"Content-Length": str(len(data))}, **query)
    assert answer.status_code == status, answer.text
    assert api.stage.uploads.blobs == {}


async def test_a_project_must_be_named(api: Api) -> None:
    path = f"/models/uploads?digest={DIGEST}&layout={LAYOUT}"
    answer = await api.call("POST", path, api.stage.scientist("bank-a"), content=DATA)
    assert answer.status_code == 422


async def test_a_body_of_unknown_false_or_double_length_is_refused(api: Api) -> None:
    scientist, body = api.stage.scientist("bank-a"), Watched()
    query = {"project": api.stage.ids["project"], "digest": DIGEST, "layout": LAYOUT}
    unknown = await api.call(
        "POST", "/models/uploads", scientist, content=body.stream(), params=query
    )
    assert (unknown.status_code, body.read) == (422, 0)
    false = await post(api, DATA, headers={"Content-Length": "400"})
    assert false.status_code == 413
    double = await post(api, DATA, headers={"Transfer-Encoding": "chunked"})
    assert (double.status_code, double.json()["code"]) == (400, "malformed_request")
    assert api.stage.uploads.blobs == {}


async def test_the_edge_lets_through_what_weights_may_be(api: Api) -> None:
    assert edge.LARGE["/api/v1/models/uploads"] == UPLOAD_LIMIT
    body = Watched()
    answer = await post(api, body.stream(), headers={"Content-Length": str(UPLOAD_LIMIT + 4)})
    assert (answer.status_code, answer.json()["code"], body.read) == (413, "too_large", 0)
    for data in (DATA, DATA * 300):  # longer than other bodies may be
        digest = blake3(data).hexdigest()
        length = {"Content-Length": str(len(data))}
        answer = await post(api, data, digest=digest, headers=length)
        assert answer.status_code == 201, answer.text


async def test_who_may_not_upload_is_refused_before_the_body(tmp_path: Path) -> None:
    """Whatever the role, the project or the quota, and with an Idempotency-Key as without one."""
    api = Api(await two_worlds(tmp_path, Quotas(upload_bytes=3996, bundles=1)))
    other = Bundle({"model.py": b"y"})
    scientist, project = api.stage.scientist("bank-a"), api.stage.ids["project"]
    await api.stage.services.bundles.upload(scientist, project, pack(other), digest=other.digest)
    async with api.http:
        for headers in ({}, KEY):
            for who, status, code in (
                (api.stage.owner("bank-a"), 403, "forbidden"),
                (api.stage.scientist("outsider"), 404, "not_found"),
                (scientist, 409, "quota_exceeded"),
            ):
                body = Watched()
                answer = await post(api, body.stream(), who, headers=headers)
                assert (answer.json()["code"], body.read) == (code, 0), answer.text
                assert answer.status_code == status
                body = Watched(pack(CODE))
                query = {"project": project, "digest": CODE.digest}
                answer = await api.call(
                    "POST", "/bundles", who, content=body.stream(), params=query, headers=headers
                )
                assert (answer.json()["code"], body.read) == (code, 0), answer.text


async def test_a_repeat_is_answered_without_reading_the_body_again(api: Api) -> None:
    first = await post(api, DATA, headers=KEY)
    assert first.status_code == 201
    body = Watched()
    again = await post(api, body.stream(), headers=KEY)
    assert (again.status_code, again.json(), body.read) == (201, first.json(), 0)
    assert again.headers["idempotent-replay"] == "true"
    for change in ({"layout": "cd" * 32}, {"digest": "0" * 64}, {"project": "prj_1"}):
        other = await post(api, body.stream(), headers=KEY, **change)
        assert (other.json()["code"], body.read) == ("idempotency_conflict", 0)


async def test_one_organisation_sends_few_large_bodies_at_once(api: Api) -> None:
    begun = [asyncio.Event() for _ in range(AT_ONCE)]
    go_on = asyncio.Event()

    async def slow(place: int) -> AsyncIterator[bytes]:
        begun[place].set()
        await go_on.wait()
        yield DATA

    sending = [asyncio.create_task(post(api, slow(place))) for place in range(AT_ONCE)]
    for one in begun:
        await one.wait()
    body = Watched()
    refused = await post(api, body.stream(), headers=KEY)
    assert (refused.status_code, refused.json()["code"], body.read) == (429, "rate_limited", 0)
    assert int(refused.headers["retry-after"]) > 0
    assert (await post(api, DATA, api.stage.scientist("bank-b"))).status_code == 201
    go_on.set()
    assert {one.status_code for one in await asyncio.gather(*sending)} == {201}


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"disabled": True}, 401, "unauthenticated"),
        ({"roles": (Role.AUDITOR,)}, 409, "stale_version"),
    ],
)
@pytest.mark.parametrize("what", ["weights", "bundle"])
async def test_who_may_no_longer_when_the_body_ends_has_uploaded_nothing(
    api: Api, what: str, change: dict[str, Any], status: int, code: str
) -> None:
    """A large body takes long: an account that is disabled meanwhile leaves nothing."""
    stage, sender = api.stage, api.stage.scientist("bank-a")
    data = DATA if what == "weights" else pack(CODE)

    async def slowly() -> AsyncIterator[bytes]:
        yield data[:8]
        await stage.services.users.update(stage.admin("bank-a"), sender.user, **change)
        yield data[8:]

    if what == "weights":
        answer = await post(api, slowly(), sender)
    else:
        query = {"project": stage.ids["project"], "digest": CODE.digest}
        answer = await api.call("POST", "/bundles", sender, content=slowly(), params=query)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    rows = stage.database.tables.rows
    assert not rows["uploads"]
    assert not rows["bundles"]

"""Uploaded weights at the centre: who may send, name and remove them, and how long they stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3

from secureflow.application.intake import AT_ONCE
from secureflow.application.jobs.kind import Wanted
from secureflow.application.ports.storage import Page
from secureflow.application.quotas import Quotas
from secureflow.application.uploads import UPLOAD_LIMIT, Weights
from secureflow.domain.bundles import KEPT_SECONDS
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.models import Upload
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.tensors import layout_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.users import Role
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.errors import SecureFlowError
from tests.doubles import MemoryStore
from tests.stage import Stage, two_worlds
from tests.unit.application.refusing import refused

DATA = np.arange(6, dtype="<f4").tobytes()
LAYOUT = "ab" * 32


def weights(data: bytes = DATA, layout: str = LAYOUT) -> Weights:
    return Weights(blake3(data).hexdigest(), layout, len(data))


async def parts(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 10):
        yield data[start : start + 10]


async def send(
    stage: Stage, data: bytes = DATA, whose: str = "bank-a", layout: str = LAYOUT
) -> Upload:
    project = stage.ids["outsider.project" if whose == "outsider" else "project"]
    scientist = stage.scientist(whose)
    named = weights(data, layout)
    return await stage.services.uploads.upload(scientist, project, named, parts(data))


class Watched:
    """A body that notes whether somebody reads it."""

    def __init__(self, data: bytes = DATA) -> None:
        self.data = data
        self.read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.read = True
        yield self.data


async def test_weights_get_a_row_of_their_project(stage: Stage) -> None:
    row = await send(stage)
    assert (row.digest, row.layout, row.size) == (weights().digest, LAYOUT, len(DATA))
    assert (row.project, row.organisation) == (stage.ids["project"], "bank-a")
    assert (row.uploader, row.created) == (stage.scientist("bank-a").name, stage.now[0])
    assert row.expires == stage.now[0] + KEPT_SECONDS
    assert stage.ledger.kinds[-1] == "weights.uploaded"
    uploads = stage.services.uploads
    for reader in (stage.owner("bank-b"), stage.person("bank-c", Role.AUDITOR), stage.operator):
        assert (await uploads.list(reader)).items == [row]
    assert (await uploads.list(stage.scientist("outsider"))).items == []
    assert weights().digest in stage.uploads.blobs
    assert weights().digest not in stage.artifacts.blobs


async def test_the_same_ones_are_kept_once_and_longer(stage: Stage) -> None:
    first = await send(stage)
    stage.now[0] += 100
    again = await send(stage, whose="bank-b")
    assert again == replace(first, expires=first.expires + 100)
    assert list(stage.ledger.kinds).count("weights.uploaded") == 1
    other = await send(stage, layout="cd" * 32)  # the same bytes, as tensors of other names
    assert other.id != first.id
    foreign = await send(stage, whose="outsider")
    assert foreign.id not in {first.id, other.id}


@pytest.mark.parametrize(
    ("named", "data", "code"),
    [
        (weights(), DATA[:-1] + b"x", "digest_mismatch"),
        (Weights(weights().digest, LAYOUT, 20), DATA, "too_large"),
        (Weights(weights().digest, LAYOUT, 28), DATA, "malformed_request"),
        (Weights(weights().digest, LAYOUT, 23), DATA, "invalid_request"),
        (Weights(weights().digest, LAYOUT, 0), b"", "invalid_request"),
        (Weights(weights().digest, LAYOUT, UPLOAD_LIMIT + 4), DATA, "invalid_request"),
    ],
)
async def test_other_bytes_get_no_row(named: Weights, data: bytes, code: str, stage: Stage) -> None:
    scientist, project = stage.scientist("bank-a"), stage.ids["project"]
    with refused(code):
        await stage.services.uploads.upload(scientist, project, named, parts(data))
    assert (await stage.services.uploads.list(scientist)).items == []


async def test_who_may_not_upload_is_refused_before_a_byte_is_read(stage: Stage) -> None:
    uploads, project = stage.services.uploads, stage.ids["project"]
    body = Watched()
    for role in set(Role) - {Role.DATA_SCIENTIST, Role.PLATFORM_ADMIN}:
        with refused("forbidden"):
            await uploads.upload(stage.person("bank-a", role), project, weights(), body.__aiter__())
    with refused("not_found"):
        await uploads.upload(stage.scientist("outsider"), project, weights(), body.__aiter__())
    with refused("not_found"):
        await uploads.upload(stage.scientist("bank-a"), "prj_x", weights(), body.__aiter__())
    assert not body.read


async def test_quotas_in_number_and_bytes(tmp_path: Path) -> None:
    stage = await two_worlds(tmp_path, Quotas(uploads=2, upload_bytes=40))
    await send(stage)
    body = Watched()
    for size in (20, UPLOAD_LIMIT):
        more = Weights("0" * 64, LAYOUT, size)
        with refused("quota_exceeded"):
            await stage.services.uploads.upload(
                stage.scientist("bank-a"), stage.ids["project"], more, body.__aiter__()
            )
    await send(stage, bytes(16))
    with refused("quota_exceeded"):
        await send(stage, b"1234")
    assert not body.read
    await send(stage)  # the same ones take no place
    await send(stage, b"1234", whose="bank-b")
    await send(stage, b"1234", whose="outsider")


async def test_what_is_coming_counts_for_the_quota(tmp_path: Path) -> None:
    stage = await two_worlds(tmp_path, Quotas(upload_bytes=40))
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        begun.set()
        await go_on.wait()
        yield DATA

    scientist, project = stage.scientist("bank-a"), stage.ids["project"]
    uploads = stage.services.uploads
    first = asyncio.create_task(uploads.upload(scientist, project, weights(), slow()))
    await begun.wait()
    with refused("quota_exceeded"):
        await send(stage, bytes(20))
    await send(stage, bytes(20), whose="bank-b")
    go_on.set()
    await first
    await send(stage, bytes(16))


async def test_few_at_a_time_for_each_organisation(stage: Stage) -> None:
    begun = [asyncio.Event() for _ in range(AT_ONCE)]
    go_on = asyncio.Event()

    async def slow(place: int) -> AsyncIterator[bytes]:
        begun[place].set()
        await go_on.wait()
        yield DATA

    scientist, project = stage.scientist("bank-a"), stage.ids["project"]
    uploads, bundles = stage.services.uploads, stage.services.bundles
    sending = [
        asyncio.create_task(uploads.upload(scientist, project, weights(), slow(place)))
        for place in range(AT_ONCE)
    ]
    for one in begun:
        await one.wait()
    with refused("rate_limited"):
        await send(stage)
    with refused("rate_limited"):
        async with bundles.admitted(scientist, project, "0" * 64):
            pass
    await send(stage, whose="bank-b")
    go_on.set()
    await asyncio.gather(*sending)
    await send(stage)


async def test_what_no_job_names_expires(stage: Stage) -> None:
    uploads, reader = stage.services.uploads, stage.owner("bank-a")
    first = await send(stage)
    await send(stage, whose="outsider")
    stage.now[0] += KEPT_SECONDS - 1
    assert await uploads.sweep() == 0
    await send(stage, whose="outsider")  # the other project's lives on, and the bytes with it
    stage.now[0] += 2
    assert await uploads.sweep() == 1
    assert (await uploads.list(reader)).items == []
    assert first.digest in stage.uploads.blobs
    stage.now[0] += KEPT_SECONDS
    assert await uploads.sweep() == 1
    assert first.digest not in stage.uploads.blobs


async def test_bytes_that_others_name_stay(stage: Stage) -> None:
    """A released model of the same bytes, and a bundle of them: removing weights takes neither."""
    code = next(
        packed
        for packed in (pack(Bundle({"m.py": b"x = 1" + b"#" * n})) for n in range(4))
        if not len(packed) % 4
    )
    digest = blake3(code).hexdigest()
    scientist, project = stage.scientist("bank-a"), stage.ids["project"]
    await stage.services.bundles.upload(scientist, project, code, digest=digest)
    released = stage.artifacts.keep(DATA)
    for row in (await send(stage), await send(stage, code)):
        await stage.services.uploads.remove(scientist, row.id)
    assert released in stage.artifacts.blobs
    assert digest in stage.uploads.blobs
    assert weights().digest not in stage.uploads.blobs
    stage.uploads.old = {digest, released}
    assert await stage.services.uploads.sweep() == 0
    assert digest in stage.uploads.blobs


async def test_bytes_that_nothing_names_are_swept(stage: Stage) -> None:
    """What a crash between the bytes and their row leaves, and nothing younger."""
    kept = await send(stage)
    crashed, young = stage.uploads.keep(b"left by a crash"), stage.uploads.keep(b"on its way")
    stage.uploads.old = {kept.digest, crashed}
    assert await stage.services.uploads.sweep() == 1
    assert set(stage.uploads.blobs) == {kept.digest, young}


async def test_bytes_that_vanished_before_their_row_are_no_upload(stage: Stage) -> None:
    async def vanishing() -> AsyncIterator[bytes]:
        yield DATA

    put = stage.uploads.put

    async def put_and_lose(*args: Any, **more: Any) -> Any:
        stored = await put(*args, **more)
        stage.uploads.blobs.clear()
        return stored

    stage.uploads.put = put_and_lose  # type: ignore[method-assign]
    scientist = stage.scientist("bank-a")
    with refused("not_found"):
        await stage.services.uploads.upload(scientist, stage.ids["project"], weights(), vanishing())
    assert (await stage.services.uploads.list(scientist)).items == []


async def test_who_may_remove(stage: Stage) -> None:
    uploads, row = stage.services.uploads, await send(stage)
    with refused("not_found"):
        await uploads.remove(stage.admin("outsider"), row.id)
    for other in (stage.scientist("bank-b"), stage.admin("bank-c")):
        with refused("forbidden"):
            await uploads.remove(other, row.id)
    with refused("forbidden"):
        await uploads.remove(stage.owner("bank-a"), row.id)
    for remover in (stage.scientist("bank-a"), stage.admin("bank-a"), stage.operator):
        row = await send(stage)
        await uploads.remove(remover, row.id)
        assert weights().digest not in stage.uploads.blobs
    assert stage.ledger.kinds[-1] == "weights.removed"
    with refused("not_found"):
        await uploads.remove(stage.operator, row.id)


async def starting(stage: Stage) -> tuple[Wanted, bytes, str]:
    """Return a job that starts from weights, these weights, and their layout."""
    asked = stage.wanted()
    drafted = await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)
    spec = parse(TrainingSpec, drafted.spec)
    data, layout = np.arange(spec.parameters, dtype="<f4").tobytes(), layout_digest(spec.tensors)
    start = {"model": blake3(data).hexdigest(), "layout": layout}
    return replace(asked, parts={**asked.parts, "initial": start}), data, layout


async def test_a_job_starts_only_from_an_upload_of_its_project_and_layout(stage: Stage) -> None:
    scientist, dry = stage.scientist("bank-a"), stage.services.jobs.dry_run
    wanted, data, layout = await starting(stage)
    told = []
    for upload in ((), (data, "outsider", layout), (data, "bank-b", "0" * 64)):
        if upload:
            await send(stage, *upload)
        stage.artifacts.keep(data)  # a model that another job released
        with pytest.raises(SecureFlowError) as caught:
            await dry(scientist, wanted)
        assert caught.value.code == "not_found"
        told.append(caught.value.as_json())
    assert told[0] == told[1] == told[2]  # nothing tells whether the centre has the bytes
    await send(stage, data, "bank-b", layout)
    assert (await dry(scientist, wanted)).spec["initial"] == wanted.parts["initial"]
    start = wanted.parts["initial"]
    other = replace(wanted, parts={**wanted.parts, "initial": {**start, "layout": "0" * 64}})
    with refused("contradictory_spec", "initial.layout"):
        await dry(scientist, other)
    page = await stage.services.uploads.list(scientist)
    assert all(one.expires is not None for one in page.items)  # nothing was submitted


async def test_a_dry_run_takes_weights_that_are_still_to_come_a_submission_does_not(
    stage: Stage,
) -> None:
    scientist, jobs = stage.scientist("bank-a"), stage.services.jobs
    wanted, data, layout = await starting(stage)
    later = replace(wanted, coming=frozenset({blake3(data).hexdigest()}))
    assert (await jobs.dry_run(scientist, later)).spec["initial"]["layout"] == layout
    assert (await stage.services.uploads.list(scientist)).items == []
    with refused("not_found"):
        await jobs.submit(scientist, later)
    other = replace(wanted, coming=frozenset({"ab" * 32}))
    with refused("not_found"):
        await jobs.dry_run(scientist, other)


async def test_a_dry_run_refuses_weights_that_the_quota_has_no_room_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    scientist, jobs = stage.scientist("bank-a"), stage.services.jobs
    wanted, data, layout = await starting(stage)
    later = replace(wanted, coming=frozenset({blake3(data).hexdigest()}))
    monkeypatch.setattr(jobs, "_quotas", replace(jobs._quotas, upload_bytes=4))
    with refused("quota_exceeded"):
        await jobs.dry_run(scientist, later)
    await send(stage, data, "bank-b", layout)  # they are there: nothing more is needed
    assert await jobs.dry_run(scientist, later)


async def test_what_a_job_names_is_kept_and_not_removed_before_its_end(stage: Stage) -> None:
    scientist, uploads = stage.scientist("bank-a"), stage.services.uploads
    wanted, data, layout = await starting(stage)
    row = await send(stage, data, layout=layout)
    job = await stage.services.jobs.submit(scientist, wanted)
    (kept,) = (await uploads.list(scientist)).items
    assert (kept.id, kept.expires, kept.jobs) == (row.id, None, (job.id,))
    stage.now[0] += 2 * KEPT_SECONDS
    assert await uploads.sweep() == 0
    assert (await send(stage, data, layout=layout)).jobs == (job.id,)
    for remover in (scientist, stage.operator):
        with refused("upload_in_use"):
            await uploads.remove(remover, row.id)
    paused = await stage.finish(job, state=JobState.PAUSED)
    with refused("upload_in_use"):
        await uploads.remove(scientist, row.id)
    await stage.finish(paused, state=JobState.SUCCEEDED, updated=stage.now[0])
    await uploads.remove(scientist, row.id)
    assert row.digest not in stage.uploads.blobs


async def test_what_a_job_named_expires_after_its_end(stage: Stage) -> None:
    scientist, uploads = stage.scientist("bank-a"), stage.services.uploads
    wanted, data, layout = await starting(stage)
    await send(stage, data, layout=layout)
    job = await stage.services.jobs.submit(scientist, wanted)
    stage.now[0] += 2 * KEPT_SECONDS
    await stage.finish(job, state=JobState.CANCELLED, updated=stage.now[0])
    assert await uploads.sweep() == 0
    (kept,) = (await uploads.list(scientist)).items
    assert kept.expires == stage.now[0] + KEPT_SECONDS
    stage.now[0] += KEPT_SECONDS
    assert await uploads.sweep() == 1
    assert (await uploads.list(scientist)).items == []


async def test_nothing_expires_while_a_job_cannot_be_read(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the one that needs it."""
    scientist, uploads = stage.scientist("bank-a"), stage.services.uploads
    wanted, data, layout = await starting(stage)
    await send(stage, data, layout=layout)
    job = await stage.services.jobs.submit(scientist, wanted)
    listed = MemoryStore.list

    async def damaged(store: MemoryStore, **how: Any) -> Page:
        page = await listed(store, **how)
        if not any(isinstance(one, Job) for one in page.items):
            return page
        return Page([one for one in page.items if one.id != job.id], page.next, (job.id,))

    monkeypatch.setattr(MemoryStore, "list", damaged)
    await uploads.sweep()
    (kept,) = (await uploads.list(scientist)).items
    assert (kept.expires, kept.jobs) == (None, ())  # no job that can be read, and no moment
    with refused("record_damaged"):
        await uploads.remove(scientist, kept.id)

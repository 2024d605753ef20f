"""Code bundles at the centre: who may upload, read and remove them, how long they are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.bundles import named_by_job
from secureflow.application.ports.storage import Page
from secureflow.application.quotas import Quotas
from secureflow.domain.bundles import FOR_EVER, KEPT_SECONDS, KeptBundle
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.tensors import TensorSpec, layout_digest
from secureflow.domain.users import Role
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.errors import InfrastructureError
from tests.doubles import MemoryStore, MemoryUnit
from tests.stage import Stage, two_worlds
from tests.unit.application.refusing import refused

CODE = Bundle({"model.py": b"x = 1\n"})


async def upload(stage: Stage, whose: str = "bank-a", code: Bundle = CODE) -> KeptBundle:
    prefix = "outsider." if whose == "outsider" else ""
    return await stage.services.bundles.upload(
        stage.scientist(whose), stage.ids[f"{prefix}project"], pack(code), digest=code.digest,
        name="mine",
    )  # fmt: skip


async def named(stage: Stage, stored: KeptBundle, key: str = "job_1") -> Job:
    """Return an unfinished job that names a bundle."""
    like = await stage.services.jobs.get(stage.operator, stage.ids["job"])
    spec = {**like.spec, "model": {"family": "bundle", "bundle": {"digest": stored.digest}}}
    job = replace(like, id=key, project=stored.project, spec=spec, state=JobState.RUNNING)
    async with stage.database.begin() as work:
        assert (await named_by_job(work, stored.project, stored.digest)).expires == FOR_EVER
        await work.jobs.add(job)
        await work.commit()
    return job


async def test_members_read_what_was_uploaded(stage: Stage) -> None:
    stored = await upload(stage)
    assert (stored.digest, stored.files, stored.lines) == (CODE.digest, 1, 1)
    bundles = stage.services.bundles
    for reader in (stage.scientist("bank-b"), stage.owner("bank-c"), stage.operator):
        assert await bundles.get(reader, CODE.digest) == stored
        found, stream = await bundles.content(reader, CODE.digest)
        assert b"".join([chunk async for chunk in stream]) == pack(CODE)
        assert found.size == len(pack(CODE))
        assert [one.id for one in (await bundles.list(reader)).items] == [stored.id]
    assert stage.ledger.kinds[-1] == "bundle.uploaded"


async def test_others_do_not_know_of_it(stage: Stage) -> None:
    await upload(stage)
    bundles, stranger = stage.services.bundles, stage.scientist("outsider")
    for attempt in (bundles.get, bundles.content):
        with refused("not_found"):
            await attempt(stranger, CODE.digest)
    assert (await bundles.list(stranger)).items == []
    assert not await bundles.readable_by("outsider", CODE.digest)
    assert await bundles.readable_by("bank-b", CODE.digest)
    assert not await bundles.readable_by("bank-b", "0" * 64)


async def test_who_may_upload(stage: Stage) -> None:
    bundles, project = stage.services.bundles, stage.ids["project"]
    for role in set(Role) - {Role.DATA_SCIENTIST, Role.PLATFORM_ADMIN}:
        with refused("forbidden"):
            async with bundles.admitted(stage.person("bank-a", role), project, CODE.digest):
                pass
        with refused("forbidden"):
            await bundles.upload(stage.person("bank-a", role), project, b"", digest="")
    with refused("not_found"):
        async with bundles.admitted(stage.scientist("outsider"), project, CODE.digest):
            pass
    with refused("not_found"):
        await bundles.upload(stage.scientist("outsider"), project, pack(CODE), digest=CODE.digest)


@pytest.mark.parametrize("packed", [b"", b"not a bundle", pack(CODE) + b"x", pack(CODE)[:-1]])
async def test_nothing_but_a_packing_is_stored(packed: bytes, stage: Stage) -> None:
    before = dict(stage.uploads.blobs)
    with refused("bundle_refused"):
        await stage.services.bundles.upload(
            stage.scientist("bank-a"), stage.ids["project"], packed, digest=CODE.digest
        )
    with refused("digest_mismatch"):
        await stage.services.bundles.upload(
            stage.scientist("bank-a"), stage.ids["project"], pack(CODE), digest="0" * 64
        )
    assert stage.uploads.blobs == before


async def test_the_same_one_is_kept_once_and_longer(stage: Stage) -> None:
    first = await upload(stage)
    stage.now[0] += 100
    again = await upload(stage, "bank-b")
    assert (again.id, again.uploader) == (first.id, first.uploader)
    assert again.expires == first.expires + 100
    assert list(stage.ledger.kinds).count("bundle.uploaded") == 1


async def test_what_no_job_names_expires(stage: Stage) -> None:
    bundles = stage.services.bundles
    used = Bundle({"model.py": b"y = 2\n"})
    await upload(stage)
    await upload(stage, "outsider")
    await named(stage, await upload(stage, code=used))
    stage.now[0] += KEPT_SECONDS - 1
    assert await bundles.sweep() == 0
    await upload(stage, "outsider")  # the other project's lives on, and the bytes with it
    stage.now[0] += 2
    assert await bundles.sweep() == 1
    with refused("not_found"):
        await bundles.get(stage.scientist("bank-a"), CODE.digest)
    assert CODE.digest in stage.uploads.blobs
    stage.now[0] += KEPT_SECONDS
    assert await bundles.sweep() == 1
    assert CODE.digest not in stage.uploads.blobs
    assert (await bundles.get(stage.scientist("bank-a"), used.digest)).jobs == ("job_1",)
    await upload(stage, code=used)
    assert (await bundles.get(stage.scientist("bank-a"), used.digest)).jobs == ("job_1",)


async def test_what_jobs_named_expires_after_the_last_of_them(stage: Stage) -> None:
    bundles, reader = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    jobs = [await named(stage, stored, key) for key in ("job_1", "job_2")]
    stage.now[0] += 2 * KEPT_SECONDS
    for job in jobs:
        assert await bundles.sweep() == 0
        assert (await bundles.get(reader, CODE.digest)).expires is None
        await stage.finish(job, state=JobState.FAILED, updated=stage.now[0])
    assert await bundles.sweep() == 0
    assert (await bundles.get(reader, CODE.digest)).expires == stage.now[0] + KEPT_SECONDS
    again = await named(stage, stored, "job_3")
    stage.now[0] += KEPT_SECONDS
    assert await bundles.sweep() == 0
    await stage.finish(again, state=JobState.CANCELLED, updated=stage.now[0])
    await bundles.sweep()
    stage.now[0] += KEPT_SECONDS
    assert await bundles.sweep() == 1
    assert CODE.digest not in stage.uploads.blobs


async def test_the_moment_of_expiry_stands_still(stage: Stage) -> None:
    """It is told as of the last job's end before a sweep writes it down, and the same after."""
    bundles, reader = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    ended = []
    for key in ("job_1", "job_2"):
        stage.now[0] += 60
        job = await named(stage, stored, key)
        ended.append(stage.now[0])
        await stage.finish(job, state=JobState.FAILED, updated=stage.now[0])
    for _ in range(2):
        stage.now[0] += 33
        assert (await bundles.get(reader, CODE.digest)).expires == ended[-1] + KEPT_SECONDS
        (told,) = (await bundles.list(reader)).items
        assert told.expires == ended[-1] + KEPT_SECONDS
        stage.now[0] += 3_600
        assert await bundles.sweep() == 0
    stage.now[0] = ended[-1] + KEPT_SECONDS - 1
    assert await bundles.sweep() == 0
    stage.now[0] += 1
    assert await bundles.sweep() == 1


async def test_what_is_sent_again_before_a_sweep_is_kept_from_then_on(stage: Stage) -> None:
    """A server that was off for weeks sweeps late: the date of the old job's end is over."""
    bundles, reader = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    job = await named(stage, stored)
    await stage.finish(job, state=JobState.FAILED, updated=stage.now[0])
    stage.now[0] += 2 * KEPT_SECONDS
    again = stage.now[0]
    assert (await upload(stage)).expires == again + KEPT_SECONDS
    stage.now[0] += KEPT_SECONDS - 1
    assert await bundles.sweep() == 0
    assert (await bundles.get(reader, CODE.digest)).expires == again + KEPT_SECONDS
    stage.now[0] += 1
    assert await bundles.sweep() == 1


async def test_no_moment_is_told_that_depends_on_the_sweep(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that named it last cannot be read."""
    bundles, reader = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    job = await named(stage, stored)
    await stage.finish(job, state=JobState.FAILED, updated=stage.now[0])
    listed = MemoryStore.list

    async def damaged(store: MemoryStore, **how: Any) -> Page:
        page = await listed(store, **how)
        if not any(getattr(one, "id", "") == job.id for one in page.items):
            return page
        return Page([one for one in page.items if one.id != job.id], page.next, (job.id,))

    monkeypatch.setattr(MemoryStore, "list", damaged)
    assert (await bundles.get(reader, CODE.digest)).expires is None
    stage.now[0] += 100
    await bundles.sweep()
    assert (await bundles.get(reader, CODE.digest)).expires == stage.now[0] + KEPT_SECONDS


async def test_a_list_tells_which_jobs_keep_a_bundle(stage: Stage) -> None:
    bundles, reader = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    first, second = [await named(stage, stored, key) for key in ("job_1", "job_2")]
    (told,) = (await bundles.list(reader)).items
    assert (told.expires, set(told.jobs)) == (None, {"job_1", "job_2"})
    assert (await upload(stage)).expires is None
    await stage.finish(first, state=JobState.FAILED, updated=stage.now[0])
    assert (await bundles.get(reader, CODE.digest)).jobs == ("job_2",)
    await stage.finish(second, state=JobState.FAILED, updated=stage.now[0])
    (told,) = (await bundles.list(reader)).items
    assert (told.expires, told.jobs) == (stage.now[0] + KEPT_SECONDS, ())  # before any sweep


async def test_who_may_remove(stage: Stage) -> None:
    bundles = stage.services.bundles
    await upload(stage)
    with refused("not_found"):
        await bundles.remove(stage.admin("outsider"), CODE.digest)
    for other in (stage.scientist("bank-b"), stage.admin("bank-c"), stage.owner("bank-a")):
        with refused("forbidden"):
            await bundles.remove(other, CODE.digest)
    for remover in (stage.scientist("bank-a"), stage.admin("bank-a"), stage.operator):
        await upload(stage)
        await bundles.remove(remover, CODE.digest)
        assert CODE.digest not in stage.uploads.blobs
    assert stage.ledger.kinds[-1] == "bundle.removed"
    with refused("not_found"):
        await bundles.remove(stage.operator, CODE.digest)


async def test_removal_takes_ones_own_or_one_projects(stage: Stage) -> None:
    bundles, project = stage.services.bundles, stage.ids["project"]
    kept = await upload(stage, "outsider")
    await upload(stage)
    await bundles.remove(stage.scientist("bank-a"), CODE.digest)
    assert await bundles.get(stage.operator, CODE.digest) == kept
    assert CODE.digest in stage.uploads.blobs
    await upload(stage)
    await bundles.remove(stage.operator, CODE.digest, project=project)
    assert await bundles.get(stage.operator, CODE.digest) == kept
    with refused("not_found"):
        await bundles.remove(stage.operator, CODE.digest, project=project)
    await upload(stage)
    await bundles.remove(stage.operator, CODE.digest)
    assert not stage.uploads.blobs


async def test_what_an_unfinished_job_names_is_not_removed(stage: Stage) -> None:
    bundles, scientist = stage.services.bundles, stage.scientist("bank-a")
    stored = await upload(stage)
    await upload(stage, "outsider")
    job = await named(stage, stored)
    for state in (JobState.RUNNING, JobState.PAUSED):
        await stage.finish(job, state=state)
        for remover in (scientist, stage.operator):
            with refused("upload_in_use", "job_1"):
                await bundles.remove(remover, CODE.digest)
    assert len((await bundles.list(stage.operator)).items) == 2  # nothing of several is removed
    await stage.finish(job, state=JobState.SUCCEEDED)
    await bundles.remove(scientist, CODE.digest)
    with refused("not_found"):
        await bundles.get(scientist, CODE.digest)


async def test_bytes_go_after_their_row(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that fails leaves a row with its bytes; a crash after it bytes that are swept."""
    bundles = stage.services.bundles
    stored = await upload(stage)

    async def lost(unit: MemoryUnit) -> None:
        raise InfrastructureError("storage_unavailable", "The database is away.")

    stage.now[0] += KEPT_SECONDS
    with monkeypatch.context() as broken:
        broken.setattr(MemoryUnit, "commit", lost)
        with refused("storage_unavailable"):
            await bundles.remove(stage.operator, CODE.digest)
        with refused("storage_unavailable"):
            await bundles.sweep()
    assert await bundles.get(stage.operator, CODE.digest) == stored
    assert CODE.digest in stage.uploads.blobs
    with monkeypatch.context() as broken:
        broken.setattr(stage.uploads, "delete", lost)
        with refused("storage_unavailable"):
            await bundles.remove(stage.operator, CODE.digest)
    with refused("not_found"):
        await bundles.get(stage.operator, CODE.digest)
    stage.uploads.old = {CODE.digest}
    assert await stage.services.uploads.sweep() == 1
    assert CODE.digest not in stage.uploads.blobs


async def test_a_job_names_only_its_projects_bundles(stage: Stage) -> None:
    await upload(stage, "outsider")
    async with stage.database.begin() as work:
        with refused("not_found"):
            await named_by_job(work, stage.ids["project"], CODE.digest)


async def test_a_quota(tmp_path_factory: pytest.TempPathFactory) -> None:
    stage = await two_worlds(tmp_path_factory.mktemp("stage"), Quotas(bundles=1))
    await upload(stage)
    other = Bundle({"model.py": b"z"})
    with refused("quota_exceeded"):
        await upload(stage, code=other)
    assert other.digest not in stage.uploads.blobs
    await upload(stage)  # the same one takes no place
    await upload(stage, "outsider")
    await stage.services.bundles.remove(stage.scientist("bank-a"), CODE.digest)
    await upload(stage, code=other)


async def test_a_dry_run_takes_code_that_is_still_to_come(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission does not, and where the quota has no room for the code neither does."""
    scientist, jobs = stage.scientist("bank-a"), stage.services.jobs
    wanted = stage.wanted()
    tensors, layout = [TensorSpec("w", (2,))], layout_digest([TensorSpec("w", (2,))])
    model = {"family": "bundle", "weights": [dump(one) for one in tensors], "sums": ["rows"]}
    model["bundle"] = {"digest": CODE.digest, "entry": "model:Model", "environment": "cd" * 32}
    first = {"model": "ef" * 32, "layout": layout}
    asked = replace(wanted, parts={**wanted.parts, "model": model, "initial": first})
    with refused("not_found", CODE.digest):
        await jobs.dry_run(scientist, replace(asked, coming=frozenset({"ef" * 32})))
    later = replace(asked, coming=frozenset({"ef" * 32, CODE.digest}))
    drafted = await jobs.dry_run(scientist, later)
    assert drafted.spec["model"]["bundle"]["digest"] == CODE.digest
    assert (await stage.services.bundles.list(scientist)).items == []
    with refused("not_found", CODE.digest):
        await jobs.submit(scientist, later)
    await upload(stage, code=Bundle({"other.py": b""}))
    monkeypatch.setattr(jobs, "_quotas", replace(jobs._quotas, bundles=1))
    with refused("quota_exceeded"):
        await jobs.dry_run(scientist, later)

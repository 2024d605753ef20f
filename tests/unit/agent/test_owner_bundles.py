"""Code at the agent: checked before it is parsed, kept once approved, compared with the last."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from blake3 import blake3
from peers.agent_world import World

from secureflow.agent.compute.code_logs import Whose
from secureflow.agent.edge.bundlecommands import BundleCommands
from secureflow.agent.edge.commands import Commands
from secureflow.agent.owner import bundles as under_test
from secureflow.agent.owner.bundles import FRESH_SECONDS, OwnerBundles, code_of, named_code
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.record.records import ApprovedBundle, JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.domain.specs.bundles import BundleRef
from secureflow.engines.bundles import Bundle, pack, unpack
from secureflow.kit.canonical import b64decode
from secureflow.kit.errors import SecureFlowError

OLD, NEW = Bundle({"model.py": b"x = 1\n"}), Bundle({"model.py": b"x = 2\n"})


class Centre:
    """Sends what it likes, as a link that does not check would hand it on."""

    def __init__(self) -> None:
        self.sends: dict[str, bytes] = {one.digest: pack(one) for one in (OLD, NEW)}
        self.asked: list[str] = []

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        self.asked.append(digest)
        path.write_bytes(self.sends[digest])  # noqa: ASYNC240  a double


@pytest.fixture(name="centre")
def _centre() -> Centre:
    return Centre()


@pytest.fixture(name="store")
def _store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "agent.db")


@pytest.fixture(name="inbox")
def _inbox(store: RecordStore) -> Inbox:
    return Inbox(store, lambda: 1000)


@pytest.fixture(name="ticks")
def _ticks() -> list[float]:
    return [0.0]


@pytest.fixture(name="bundles")
def _bundles(
    tmp_path: Path, store: RecordStore, centre: Centre, inbox: Inbox, ticks: list[float]
) -> OwnerBundles:
    now = iter(range(1000, 2000))
    return OwnerBundles(
        tmp_path, store, centre, lambda: next(now), lambda: named_code(inbox), lambda: ticks[0]
    )


def wait_for(inbox: Inbox, one: Bundle, job: str = "job_1", expires: int = 2000) -> str:
    """Let a request that brings code wait."""
    facts = {"submitter": "ana", "bundle_digest": one.digest}
    return inbox.put(job, _digest({"name": job}), {"name": job}, facts, ["r"], expires)


def approve(bundles: OwnerBundles, store: RecordStore, one: Bundle, who: str, name: str) -> None:
    with store.transaction():
        bundles.approve(BundleRef(one.digest, "model:Model", "e" * 64), who, name, "job_1")


async def test_it_is_fetched_once_and_kept_privately(
    bundles: OwnerBundles, centre: Centre, tmp_path: Path
) -> None:
    for _ in range(2):
        assert (await bundles.fetch(NEW.digest)).files == NEW.files
    assert centre.asked == [NEW.digest]
    (path,) = (tmp_path / "bundles").iterdir()
    assert path.name == NEW.digest
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_other_bytes_are_refused_before_they_are_parsed(
    bundles: OwnerBundles, centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[bytes] = []

    def parse(packed: bytes) -> Bundle:
        parsed.append(packed)
        return unpack(packed)

    monkeypatch.setattr(under_test, "unpack", parse)
    centre.sends[NEW.digest] = pack(OLD)
    with pytest.raises(SecureFlowError) as refusal:
        await bundles.fetch(NEW.digest)
    assert refusal.value.code == "digest_mismatch"
    assert parsed == []
    assert list((tmp_path / "bundles").iterdir()) == []


async def test_bytes_of_the_digest_that_are_no_packing_are_refused(
    bundles: OwnerBundles, centre: Centre, tmp_path: Path
) -> None:
    nasty = b"secureflow-bundle/1\n../x.py 1\n\nx"
    digest = blake3(nasty).hexdigest()
    centre.sends[digest] = nasty
    with pytest.raises(SecureFlowError) as refusal:
        await bundles.fetch(digest)
    assert refusal.value.code == "bundle_refused"
    assert list((tmp_path / "bundles").iterdir()) == []


async def test_a_damaged_file_is_fetched_again(
    bundles: OwnerBundles, centre: Centre, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    (tmp_path / "bundles" / NEW.digest).write_bytes(pack(OLD))
    assert (await bundles.fetch(NEW.digest)).files == NEW.files
    assert len(centre.asked) == 2


async def test_only_what_was_approved_is_written_out(
    bundles: OwnerBundles, store: RecordStore, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    with pytest.raises(SecureFlowError) as refusal:
        bundles.write(NEW.digest, tmp_path / "run" / "code")
    assert refusal.value.code == "not_approved"
    approve(bundles, store, NEW, "ana", "churn")
    bundles.write(NEW.digest, tmp_path / "run" / "code")
    assert (tmp_path / "run" / "code" / "model.py").read_bytes() == b"x = 2\n"
    with pytest.raises(FileExistsError):
        bundles.write(NEW.digest, tmp_path / "run" / "code")


async def test_it_is_compared_with_the_last_of_the_submitter_else_of_the_name(
    bundles: OwnerBundles, store: RecordStore
) -> None:
    for one in (OLD, NEW):
        await bundles.fetch(one.digest)
    assert bundles.review(NEW.digest, "ana", "churn")["before"] is None
    approve(bundles, store, OLD, "bob", "churn")
    told = bundles.review(NEW.digest, "ana", "churn")
    assert unpack(b64decode(told["before"])).digest == OLD.digest
    assert told["since"]["submitter"] == "bob"
    assert bundles.review(NEW.digest, "ana", "other")["before"] is None
    approve(bundles, store, NEW, "ana", "other")
    assert bundles.review(NEW.digest, "ana", "other")["before"] is None  # itself is not before
    assert bundles.review(NEW.digest, "ana", "other")["approved"] is not None
    assert bundles.review(OLD.digest, "ana", "churn")["since"]["digest"] == NEW.digest


async def test_what_was_decided_is_compared_with_what_was_approved_before_that(
    bundles: OwnerBundles, store: RecordStore, inbox: Inbox, tmp_path: Path
) -> None:
    """Its own approval is no earlier one, and a later one of other code was not seen then."""
    for one in (OLD, NEW):
        await bundles.fetch(one.digest)
    item = wait_for(inbox, NEW)
    commands = BundleCommands(inbox, store, bundles, Environments(tmp_path)).table()
    later = ApprovedBundle("f" * 64, "model:Model", "e" * 64, "ana", "job_1", "job_9", 1 << 40)
    approve(bundles, store, OLD, "ana", "churn")
    approve(bundles, store, NEW, "ana", "job_1")
    with store.transaction():
        store.approve_bundle(later)
    inbox.decide(item, "approved")
    told = await commands["bundle.review"](item=item)
    assert told["since"]["digest"] == OLD.digest
    assert unpack(b64decode(told["before"])).digest == OLD.digest
    assert (told["approved"], told["approved_job"], told["given"]) == (None, None, None)


async def test_of_a_submitters_models_the_one_of_the_same_name_is_compared(
    bundles: OwnerBundles, store: RecordStore
) -> None:
    """Two models of one person: the one approved last may be the other."""
    await bundles.fetch(NEW.digest)
    approve(bundles, store, OLD, "ana", "churn")
    other = ApprovedBundle("f" * 64, "model:Model", "e" * 64, "ana", "images", "job_2", 1 << 40)
    with store.transaction():
        store.approve_bundle(other)
    assert bundles.review(NEW.digest, "ana", "churn")["since"]["digest"] == OLD.digest
    assert bundles.review(NEW.digest, "ana", "third")["since"]["digest"] == other.digest


async def test_what_the_last_approved_job_gave_the_same_code_is_told(
    bundles: OwnerBundles, store: RecordStore
) -> None:
    await bundles.fetch(NEW.digest)
    told = bundles.review(NEW.digest, "ana", "churn")
    assert (told["given"], told["approved_job"]) == (None, None)
    approve(bundles, store, NEW, "ana", "churn")
    told = bundles.review(NEW.digest, "ana", "churn")
    assert (told["given"], told["approved_job"]) == (None, "job_1")  # no such job in the record
    model = {"bundle": {"digest": NEW.digest}, "settings": {"rate": 0.5}}
    started = {"initial": {"model": "e" * 64}, "plan": {"seed": 3}}
    spec = {"model": model, "limits": {"clip_norm": 2.0}, **started}
    with store.transaction():
        store.add_job(JobRecord("job_1", "d" * 64, spec, b"", 1, 2))
    others = {"initial.model": "e" * 64, "plan.seed": 3}
    given = {"job": "job_1", "settings": {"rate": 0.5}, "clip_norm": 2.0, "others": others}
    assert bundles.review(NEW.digest, "ana", "churn")["given"] == given


def test_whose_a_job_is_stands_in_its_record(bundles: OwnerBundles, store: RecordStore) -> None:
    spec = {"project": "prj_1", "submitter": "ana"}
    with store.transaction():
        store.add_job(JobRecord("job_1", "d" * 64, spec, b"", 1, 2))
    assert bundles.whose("job_1") == Whose("prj_1", "ana")
    assert bundles.whose("job_2") == Whose()


async def test_a_last_one_whose_file_is_gone_is_named(
    bundles: OwnerBundles, store: RecordStore, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    approve(bundles, store, OLD, "ana", "churn")
    told = bundles.review(NEW.digest, "ana", "churn")
    assert (told["before"], told["since"]["digest"]) == (None, OLD.digest)


async def test_a_sweep_keeps_what_waits_and_what_was_approved(
    bundles: OwnerBundles, store: RecordStore, inbox: Inbox, ticks: list[float], tmp_path: Path
) -> None:
    for one in (OLD, NEW):
        await bundles.fetch(one.digest)
    (tmp_path / "bundles" / f"{'0' * 64}.coming.part").write_bytes(b"cut off")
    approve(bundles, store, OLD, "ana", "churn")
    item = wait_for(inbox, NEW)
    ticks[0] += 2 * FRESH_SECONDS
    assert bundles.sweep() == 1
    inbox.decide(item, "rejected")
    assert bundles.sweep() == 1
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [OLD.digest]


async def test_what_was_just_fetched_or_approved_is_not_swept(
    bundles: OwnerBundles, inbox: Inbox, ticks: list[float]
) -> None:
    """Its request is on the way to the inbox, or its approval to the record."""
    await bundles.fetch(NEW.digest)
    assert bundles.sweep() == 0
    ticks[0] += FRESH_SECONDS - 1
    await bundles.fetch(NEW.digest)  # from its file: fresh again
    ticks[0] += FRESH_SECONDS - 1
    assert bundles.sweep() == 0
    inbox.decide(wait_for(inbox, NEW), "approved")
    bundles.hold(NEW.digest)
    ticks[0] += FRESH_SECONDS - 1
    assert bundles.sweep() == 0
    ticks[0] += 2
    assert bundles.sweep() == 1


async def test_undecided_code_takes_only_so_much_room(
    bundles: OwnerBundles, store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MAX_UNDECIDED", under_test.MAX_BYTES + 10)
    await bundles.fetch(OLD.digest)
    with pytest.raises(SecureFlowError) as refusal:
        await bundles.fetch(NEW.digest)
    assert refusal.value.code == "inbox_full"
    approve(bundles, store, OLD, "ana", "churn")
    await bundles.fetch(NEW.digest)


async def test_a_rejection_frees_the_room_at_once(
    bundles: OwnerBundles, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(under_test, "MAX_UNDECIDED", under_test.MAX_BYTES + 10)
    await bundles.fetch(OLD.digest)
    decided = inbox.decide(wait_for(inbox, OLD, "job_0"), "rejected")
    assert bundles.sweep(code_of(decided)) == 1  # although it was fetched just now
    await bundles.fetch(OLD.digest)
    items = [wait_for(inbox, OLD), wait_for(inbox, OLD, "job_2")]
    decided = inbox.decide(items[0], "rejected")
    assert bundles.sweep(code_of(decided)) == 0  # another request brings it as well
    with pytest.raises(SecureFlowError):
        await bundles.fetch(NEW.digest)
    decided = inbox.decide(items[1], "rejected")
    assert bundles.sweep(code_of(decided)) == 1
    await bundles.fetch(NEW.digest)
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [NEW.digest]


async def test_the_owners_commands_keep_approved_code_and_remove_rejected_code(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "agent", policy="")
    inbox, nothing = world.assembly.inbox, cast("Any", None)
    commands = Commands(world.assembly, nothing, nothing, nothing, nothing)
    folder = world.directory / under_test.FOLDER
    folder.mkdir()
    for one in (OLD, NEW):
        (folder / one.digest).write_bytes(pack(one))
    old, new = (wait_for(inbox, one, one.digest[:9], 1 << 40) for one in (OLD, NEW))
    await commands.inbox_approve(new)
    await commands.inbox_reject(old)
    # The approved one's request waits no more, and its job has not begun.
    assert [path.name for path in folder.iterdir()] == [NEW.digest]
    world.store.close()


async def test_what_nobody_waits_for_any_more_makes_room_for_a_fetch(
    bundles: OwnerBundles, inbox: Inbox, ticks: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a decision of a person: the requests expired, or their jobs ended."""
    monkeypatch.setattr(under_test, "MAX_UNDECIDED", under_test.MAX_BYTES + 10)
    await bundles.fetch(OLD.digest)
    wait_for(inbox, OLD)
    ticks[0] += 2 * FRESH_SECONDS
    with pytest.raises(SecureFlowError):
        await bundles.fetch(NEW.digest)
    inbox.withdraw("job_1")
    await bundles.fetch(NEW.digest)
    assert bundles.kept(OLD.digest) is None


async def test_fetches_at_the_same_time_share_the_room(
    bundles: OwnerBundles, centre: Centre, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(under_test, "MAX_UNDECIDED", 3 * under_test.MAX_BYTES)
    many = [Bundle({"model.py": f"x = {n}\n".encode()}) for n in range(20)]
    centre.sends |= {one.digest: pack(one) for one in many}
    arrived, moved, go_on = [0], asyncio.Event(), asyncio.Event()
    fetch = centre.fetch

    async def slow(digest: str, path: Path, size: int) -> None:
        arrived[0] += 1
        moved.set()
        await go_on.wait()
        bundles.sweep()  # takes nothing of what is coming
        await fetch(digest, path, size)
        bundles.sweep()

    centre.fetch = slow  # type: ignore[method-assign]
    tasks = [asyncio.create_task(bundles.fetch(one.digest)) for one in many]
    for task in tasks:
        task.add_done_callback(lambda _: moved.set())
    while arrived[0] + sum(task.done() for task in tasks) < len(many):
        await moved.wait()
        moved.clear()
    assert arrived == [3]
    go_on.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [one for one in ended if isinstance(one, SecureFlowError)]
    assert {one.code for one in refused} == {"inbox_full"}
    assert (len(refused), len(centre.asked)) == (17, 3)
    assert len(list((tmp_path / "bundles").iterdir())) == 3
    await bundles.fetch(many[-1].digest)  # what is here takes its own bytes only


async def test_a_fetch_that_fails_gives_its_room_back(
    bundles: OwnerBundles, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "MAX_UNDECIDED", under_test.MAX_BYTES)
    centre.sends[OLD.digest] = pack(NEW)
    for _ in range(2):
        with pytest.raises(SecureFlowError) as refusal:
            await bundles.fetch(OLD.digest)
        assert refusal.value.code == "digest_mismatch"
    await bundles.fetch(NEW.digest)


async def test_the_owner_asks_for_the_code_of_a_request(
    bundles: OwnerBundles, store: RecordStore, inbox: Inbox, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    spec = {"name": "churn"}
    facts = {"submitter": "ana", "bundle_digest": NEW.digest}
    with_code = inbox.put("job_1", _digest(spec), spec, facts, ["r"], 2000)
    without = inbox.put("job_2", _digest({"name": "x"}), {"name": "x"}, {}, ["r"], 2000)
    commands = BundleCommands(inbox, store, bundles, Environments(tmp_path)).table()
    told = await commands["bundle.review"](item=with_code)
    assert unpack(b64decode(told["packed"])).digest == NEW.digest
    assert told["environment"] is None
    assert named_code(inbox) == {NEW.digest}
    with pytest.raises(SecureFlowError) as refusal:
        await commands["bundle.review"](item=without)
    assert refusal.value.code == "not_found"
    approve(bundles, store, NEW, "ana", "churn")
    assert [one["digest"] for one in await commands["bundle.list"]()] == [NEW.digest]


def _digest(spec: dict[str, str]) -> str:
    from secureflow.kit.canonical import digest

    return digest(spec)

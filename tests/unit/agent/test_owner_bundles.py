"""Code at the agent: checked before it is parsed, kept once approved, compared with the last."""

from __future__ import annotations

from pathlib import Path

import pytest
from blake3 import blake3

from secureflow.agent.edge.bundlecommands import BundleCommands
from secureflow.agent.owner import bundles as under_test
from secureflow.agent.owner.bundles import OwnerBundles, named_code
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.inbox import Inbox
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


@pytest.fixture(name="bundles")
def _bundles(tmp_path: Path, store: RecordStore, centre: Centre) -> OwnerBundles:
    now = iter(range(1000, 2000))
    return OwnerBundles(tmp_path, store, centre, lambda: next(now))


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


async def test_a_last_one_whose_file_is_gone_is_named(
    bundles: OwnerBundles, store: RecordStore, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    approve(bundles, store, OLD, "ana", "churn")
    told = bundles.review(NEW.digest, "ana", "churn")
    assert (told["before"], told["since"]["digest"]) == (None, OLD.digest)


async def test_a_sweep_keeps_what_waits_and_what_was_approved(
    bundles: OwnerBundles, store: RecordStore, tmp_path: Path
) -> None:
    for one in (OLD, NEW):
        await bundles.fetch(one.digest)
    (tmp_path / "bundles" / f"{'0' * 64}.coming.part").write_bytes(b"cut off")
    approve(bundles, store, OLD, "ana", "churn")
    assert bundles.sweep([NEW.digest]) == 1
    assert bundles.sweep([]) == 1
    assert [path.name for path in (tmp_path / "bundles").iterdir()] == [OLD.digest]


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


async def test_the_owner_asks_for_the_code_of_a_request(
    bundles: OwnerBundles, store: RecordStore, tmp_path: Path
) -> None:
    await bundles.fetch(NEW.digest)
    inbox = Inbox(store, lambda: 1000)
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

"""Predictions handed over: to whom the approved spec says, sealed, and to nobody else."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from blake3 import blake3
from peers.agent_world import ALLOW, JOB, ME
from unit.agent.test_kept_predictions import MODEL, PARAMETERS, REQUIRED, PredictedWorld

from secureflow.agent.job.sealedfiles import open_file, seal_file
from secureflow.domain.blobs import BlobPlace
from secureflow.engines.ledger.leaves import commitment, leaf_from_json
from secureflow.engines.run.kept import RECEIVED
from secureflow.engines.sealing import CHUNK, RecipientKey, seal_key
from secureflow.engines.sealing.delivery import Passage, sealed_size, sign_recipient
from secureflow.kit.disk import Place
from secureflow.kit.errors import InfrastructureError, SecureFlowError

OTHER = "bank-b"
KEY = bytes(range(32))


class Carrier:
    """The centre's blobs: what is sent there, and fetched."""

    def __init__(self, world: DeliveringWorld) -> None:
        self._world = world

    async def fetch(self, digest: str, path: Path, size: int) -> None:
        await self._world.fetch(digest, path, size)

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        return await self._world.call(kind, body)

    async def store(self, source: Path, digest: str, place: BlobPlace | None = None) -> None:
        data = np.fromfile(source, np.uint8).tobytes()
        assert blake3(data).hexdigest() == digest
        assert place == BlobPlace(JOB, "predict", 1)
        self._world.blobs[digest] = data


class DeliveringWorld(PredictedWorld):
    """Its centre carries sealed files."""

    @property
    def link(self) -> Any:
        return Carrier(self)

    def signed_recipient(self, key: RecipientKey, party: str = OTHER, **changes: str) -> Any:
        facts = {"job": JOB, "spec": self.digest, **changes}
        signature = sign_recipient(self.all_keys[party], facts["job"], facts["spec"], key.public)
        return self.body(recipient=key.public, signature=signature)

    def handed(self, key: str, content: bytes, party: str = OTHER, **changes: Any) -> Any:
        """Seal a file as another party's agent does, put it at the centre, and describe it."""
        source, target = self.directory / "plain", self.directory / "sealed"
        source.write_bytes(content)
        artifact = seal_file(source, target, KEY, blake3(content).hexdigest())
        self.blobs[artifact] = target.read_bytes()
        passage = Passage(JOB, self.digest, party, ME)
        sealed = {
            "artifact": artifact, "size": sealed_size(len(content)), "length": len(content),
            "key": seal_key(KEY, key, passage.info(len(content))), **changes,
        }  # fmt: skip
        return {**sealed, "signature": passage.sign(self.all_keys[party], sealed)}


def made(tmp_path: Path, to: str, **more: Any) -> DeliveringWorld:
    more.setdefault("spec_changes", {"columns": ["age"], "deliver": {"to": to}})
    world = DeliveringWorld(tmp_path / "agent", **more)
    world.blobs[MODEL] = PARAMETERS
    return world


@pytest.fixture
async def sender(tmp_path: Path) -> DeliveringWorld:
    """An agent whose file goes to bank-b."""
    world = made(tmp_path, OTHER, policy=LOOKS)
    await world.consented()
    world.record(await world.ask("keep", world.keep_body()))
    return world


@pytest.fixture
async def recipient(tmp_path: Path) -> DeliveringWorld:
    """An agent to which the others' files go."""
    world = made(tmp_path, ME, policy=LOOKS)
    await world.consented()
    world.record(await world.ask("keep", world.keep_body()))
    return world


LOOKS = (
    'permit(principal, action == Action::"prediction", resource) when '
    '{ context.deliver == "bank-a" || context.deliver == "bank-b" };'
)


async def refused(world: DeliveringWorld, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, body)
    return caught.value


def sending(world: DeliveringWorld, size: int) -> dict[str, Any]:
    return world.body(stage="predict", round=1, vector={"size": size})


async def test_a_file_leaves_sealed_and_only_the_recipient_opens_it(
    sender: DeliveringWorld, tmp_path: Path
) -> None:
    key = RecipientKey.generate()
    sealed = (await sender.ask("seal", sender.signed_recipient(key)))["sealed"]
    assert sealed["size"] == sealed_size(sealed["length"])
    assert sealed["artifact"] not in sender.blobs  # it is sent when it is asked for
    reply = await sender.ask("hand_over", sending(sender, sealed["size"]))
    assert reply == {"vector": sealed["artifact"]}
    passage = Passage(JOB, sender.digest, ME, OTHER)
    parts = {name: sealed[name] for name in ("artifact", "size", "length", "key")}
    passage.check(sender.keys[ME].public, parts, sealed["signature"])
    (tmp_path / "sealed").write_bytes(sender.blobs[sealed["artifact"]])
    secret = key.open_key(sealed["key"], passage.info(sealed["length"]))
    digest = open_file(tmp_path / "sealed", tmp_path / "opened", secret, sealed["length"])
    assert digest == blake3(sender.file.read_bytes()).hexdigest()
    assert (tmp_path / "opened").read_bytes() == sender.file.read_bytes()
    assert digest not in json.dumps(sealed)
    with pytest.raises(SecureFlowError, match="not sealed to this recipient"):
        RecipientKey.generate().open_key(sealed["key"], passage.info(sealed["length"]))


async def test_the_ciphertext_is_the_same_after_a_restart(sender: DeliveringWorld) -> None:
    body = sender.signed_recipient(RecipientKey.generate())
    first = (await sender.ask("seal", body))["sealed"]
    sender.reopen()
    again = (await sender.ask("seal", body))["sealed"]
    assert again["artifact"] == first["artifact"]
    sender.reopen()
    reply = await sender.ask("hand_over", sending(sender, first["size"]))
    assert reply["vector"] == first["artifact"]
    await sender.finished()
    assert not list((sender.directory / "models").iterdir())


@pytest.mark.parametrize("forged", ["another party", "another job", "another spec"])
async def test_a_key_that_the_recipient_did_not_sign_for_this_job_is_refused(
    sender: DeliveringWorld, forged: str
) -> None:
    key = RecipientKey.generate()
    bodies = {
        "another party": sender.signed_recipient(key, "bank-c"),
        "another job": sender.signed_recipient(key, job="job_9999999999"),
        "another spec": sender.signed_recipient(key, spec="ab" * 32),
    }
    error = await refused(sender, "seal", bodies[forged])
    assert error.code == "recipient_forged"
    assert not (sender.directory / "models" / f"{JOB}.held").exists()


async def test_what_its_owner_altered_or_removed_is_not_handed_over(
    sender: DeliveringWorld,
) -> None:
    body = sender.signed_recipient(RecipientKey.generate())
    sender.file.write_bytes(sender.file.read_bytes() + b"x")
    assert (await refused(sender, "seal", body)).code == "file_changed"
    sender.file.unlink()
    error = await refused(sender, "seal", body)
    assert "removed or altered" in error.message


async def test_the_centre_names_no_other_size(sender: DeliveringWorld) -> None:
    error = await refused(sender, "hand_over", sending(sender, 7))
    assert error.code == "invalid_request"


async def test_nobody_has_another_part_than_the_spec_says(
    sender: DeliveringWorld, tmp_path: Path
) -> None:
    assert (await refused(sender, "receive", sender.body())).code == "protection_unsupported"
    key = RecipientKey.generate()
    files = {OTHER: sender.handed(key.public, b"rows")}
    assert (await refused(sender, "collect", sender.body(files=files))).code == (
        "protection_unsupported"
    )
    (tmp_path / "other").mkdir()
    kept = made(tmp_path / "other", "", policy=ALLOW, spec_changes={})
    await kept.consented()
    await kept.ask("keep", kept.keep_body())
    for verb, body in (
        ("receive", kept.body()),
        ("seal", kept.signed_recipient(key)),
        ("hand_over", sending(kept, 9)),
    ):
        error = await refused(kept, verb, body)
        assert error.code == "protection_unsupported", verb


async def test_a_recipient_opens_what_others_signed_and_commits_to_it(
    recipient: DeliveringWorld,
) -> None:
    key = (await recipient.ask("receive", recipient.body()))["recipient"]
    contents = {OTHER: b"rows of b" * 1000, "bank-c": b""}
    files = {party: recipient.handed(key, one, party) for party, one in contents.items()}
    reply = await recipient.ask("collect", recipient.body(files=files))
    assert "document" not in reply
    folder = recipient.directory / "predictions" / JOB
    for party, content in contents.items():
        path = folder / f"{party}.parquet"
        assert path.read_bytes() == content
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    (leaf,) = [one for one in recipient.store.leaves(JOB) if one.kind == RECEIVED]
    signed = leaf_from_json(reply["leaf"])
    document = leaf.bundle["document"]
    assert signed.leaf.commitment == commitment(bytes.fromhex(leaf.bundle["salt"]), document)
    digest = blake3(contents[OTHER]).hexdigest()
    assert document["files"][OTHER]["file"] == digest
    assert digest not in json.dumps(reply)

    recipient.reopen()
    (folder / f"{OTHER}.parquet").unlink()  # its owner's business
    again = await recipient.ask("collect", recipient.body(files=files))
    assert again["leaf"] == reply["leaf"]
    assert not (folder / f"{OTHER}.parquet").exists()

    recipient.record(again)
    await recipient.finished()
    told = await recipient.commands.show(JOB)
    states = {one["party"]: one["state"] for one in told["received"]}
    assert states == {OTHER: "gone", "bank-c": "kept"}
    assert {one["party"] for one in await recipient.commands.every()} == {ME, OTHER, "bank-c"}
    await recipient.commands.remove(JOB)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("unsigned", "delivery_forged"),
        ("of another party", "delivery_forged"),
        ("another size", "delivery_forged"),
        ("to another key", "sealed_key_refused"),
        ("altered", "chunk_forged"),
        ("not of the roster", "party_not_in_roster"),
        ("its own", "party_not_in_roster"),
    ],
)
async def test_what_nobody_of_the_roster_sealed_to_it_is_not_opened(
    recipient: DeliveringWorld, how: str, code: str
) -> None:
    key = (await recipient.ask("receive", recipient.body()))["recipient"]
    party, sealed = OTHER, recipient.handed(key, b"rows" * 99)
    if how == "unsigned":
        sealed["signature"] = ""
    elif how == "of another party":
        party = "bank-c"
    elif how == "another size":
        sealed = recipient.handed(key, b"rows" * 99, size=7)
    elif how == "to another key":
        sealed = recipient.handed(RecipientKey.generate().public, b"rows" * 99)
    elif how == "altered":
        data = bytearray(recipient.blobs[sealed["artifact"]])
        data[3] ^= 1
        recipient.blobs[sealed["artifact"]] = bytes(data)
    else:
        party = "bank-x" if how == "not of the roster" else ME
    error = await refused(recipient, "collect", recipient.body(files={party: sealed}))
    assert error.code == code
    assert party in error.message
    assert error.details.get("party", party) == party
    assert not (recipient.directory / "predictions" / JOB / f"{party}.parquet").exists()
    assert not [one for one in recipient.store.leaves(JOB) if one.kind == RECEIVED]


async def test_one_file_that_does_not_open_leaves_the_others(recipient: DeliveringWorld) -> None:
    """The centre is told whose it is, and asks again without it."""
    key = (await recipient.ask("receive", recipient.body()))["recipient"]
    wrong = recipient.handed(RecipientKey.generate().public, b"rows", "bank-c")
    files = {OTHER: recipient.handed(key, b"rows" * 99), "bank-c": wrong}
    error = await refused(recipient, "collect", recipient.body(files=files))
    assert (error.code, error.details) == ("sealed_key_refused", {"party": "bank-c"})
    folder = recipient.directory / "predictions" / JOB
    assert [one.name for one in folder.iterdir()] == [f"{OTHER}.parquet"]  # it came first
    files = {"bank-c": recipient.handed(key, b"rows", "bank-c")}
    await recipient.ask("collect", recipient.body(files=files))
    assert [one.name for one in folder.iterdir()] == ["bank-c.parquet"]


async def test_files_that_nothing_commits_to_go_with_their_job(
    recipient: DeliveringWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await recipient.ask("receive", recipient.body()))["recipient"]
    body = recipient.body(files={OTHER: recipient.handed(key, b"rows")})

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(recipient.assembly.context.witness, "leaf", killed)
        with pytest.raises(KeyboardInterrupt):
            await recipient.ask("collect", body)
    folder = recipient.directory / "predictions" / JOB
    assert folder.exists()
    recipient.reopen()
    await recipient.finished("cancelled")
    assert not folder.exists()
    assert recipient.file.exists()  # its own is committed to


async def test_a_recipient_without_room_waits_for_it(
    recipient: DeliveringWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = (await recipient.ask("receive", recipient.body()))["recipient"]
    body = recipient.body(files={OTHER: recipient.handed(key, b"rows")})
    free = Place.free
    with monkeypatch.context() as patched:
        patched.setattr(Place, "free", lambda self: 9 if self.folder.name == JOB else free(self))
        error = await refused(recipient, "collect", body)
    assert isinstance(error, InfrastructureError)
    assert (await recipient.ask("collect", body))["leaf"]


async def test_a_person_decides_unless_a_policy_looks_at_whom_the_files_go_to(
    tmp_path: Path,
) -> None:
    world = made(tmp_path, OTHER, policy=ALLOW)
    decide = world.assembly.consent.decisions.decision
    decided = decide({**facts_of(world), "deliver": OTHER})
    assert decided.effect == "ask"
    assert "whom predictions go to" in decided.reasons[0]
    assert decide({**facts_of(world), "deliver": ""}).effect == "allow"


def facts_of(world: DeliveringWorld) -> dict[str, Any]:
    spec = world.spec
    return {
        "kind": "prediction", "submitter": "usr", "dataset": "customers", "project": spec.project,
        "purpose": spec.purpose, "columns": spec.column_names, "sensitive": (),
        "parties": spec.parties, "group_size": 3, "min_contributors": 3, "protection": "none",
        "differing_bounds": (), **spec.facts(), "epsilon": None,
    }  # fmt: skip


async def test_where_an_owner_demands_privacy_nothing_is_handed_over(tmp_path: Path) -> None:
    world = made(tmp_path, OTHER, policy=LOOKS, privacy=REQUIRED)
    error = await refused(world, "consent", world.consent_body())
    assert error.code == "privacy_required"
    assert "go to nobody" in error.message


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 5])
def test_a_file_of_any_length_is_opened_as_it_was_sealed(tmp_path: Path, length: int) -> None:
    content = np.random.default_rng(length).bytes(length)
    (tmp_path / "plain").write_bytes(content)
    digest = blake3(content).hexdigest()
    artifact = seal_file(tmp_path / "plain", tmp_path / "sealed", KEY, digest)
    data = (tmp_path / "sealed").read_bytes()
    assert (blake3(data).hexdigest(), len(data)) == (artifact, sealed_size(length))
    assert open_file(tmp_path / "sealed", tmp_path / "opened", KEY, length) == digest
    assert (tmp_path / "opened").read_bytes() == content
    (tmp_path / "sealed").write_bytes(data[:-1])
    with pytest.raises(SecureFlowError, match="Chunk"):
        open_file(tmp_path / "sealed", tmp_path / "again", KEY, length)
    assert not (tmp_path / "again").exists()


def test_a_key_never_encrypts_another_content(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"other rows")
    with pytest.raises(SecureFlowError, match="changed while it was sealed"):
        seal_file(tmp_path / "plain", tmp_path / "sealed", KEY, blake3(b"rows").hexdigest())
    assert not (tmp_path / "sealed").exists()

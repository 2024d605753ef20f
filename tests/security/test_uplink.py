"""A malicious operator and malicious parties against the real enclave over the real uplink.

Each attack has its own code: a test that passes for another reason than its guard would show.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peers.enclaves import JOB, JSON, PARTIES, EnclaveWorld, commitment, enclave_world
from peers.links import Cutter, Pki, until

from secureflow.adapters.link import CredentialFiles, Uplink
from secureflow.adapters.link.refusals import CallEnd, refusal
from secureflow.adapters.link.tls import ENCLAVE_NAME, identity, open_channel
from secureflow.enclave import uploads
from secureflow.engines.closing import Question
from secureflow.engines.sealing import SealedUpdate, update_manifest
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[EnclaveWorld]:
    async with enclave_world(tmp_path) as running:
        yield running


async def code_of(awaitable: JSON) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await awaitable
    return caught.value.code


async def folded(world: EnclaveWorld, number: int = 1) -> list[str]:
    """Freeze the round and return whose updates it holds."""
    answer = await world.ask("roll", round=number, stage="train")
    names: list[str] = answer["folded"]
    return names


def plaintext(world: EnclaveWorld, **elements: float) -> bytes:
    """Return an update of zeros with these delta elements and sums[0] = 10."""
    delta = np.zeros(world.spec.parameters, "<f4")
    for name, value in elements.items():
        delta[int(name[1:])] = value
    return bytes(delta.tobytes() + np.array([10.0], "<f8").tobytes())


# --- who sends ---------------------------------------------------------------------------------


async def test_forged_sender(world: EnclaveWorld) -> None:
    """The operator seals zeros as bank-a: it has the link's CA, but not bank-a's signing key."""
    minted = Uplink(world.pki.agent("bank-a"))
    forged = world.seal("bank-a", plaintext(world), signer=SigningKey.generate())
    assert await code_of(world.upload("bank-a", forged, via=minted)) == "update_forged"
    await minted.close()
    assert await folded(world) == []


async def test_sender_signs_as_another_member(world: EnclaveWorld) -> None:
    forged = world.seal("bank-a", plaintext(world), signer=world.organisations["bank-b"].key)
    assert await code_of(world.upload("bank-a", forged)) == "update_forged"


async def test_sender_over_anothers_link(world: EnclaveWorld) -> None:
    sealed = world.seal("bank-a", world.update(0))
    via = world.organisations["bank-b"].uplink
    assert await code_of(world.upload("bank-a", sealed, via=via)) == "sender_mismatch"


async def test_minted_party(world: EnclaveWorld) -> None:
    """A certificate from the CA for an organisation outside the signed roster."""
    key, uplink = SigningKey.generate(), Uplink(world.pki.agent("bank-x"))
    sealed = world.seal("bank-x", world.update(0), signer=key, evidence="ab" * 32)
    assert await code_of(world.upload("bank-x", sealed, via=uplink)) == "party_not_in_roster"
    await uplink.close()
    nonces = {"bank-x": "12" * 32}
    assert await code_of(world.ask("attest", nonces=nonces)) == "party_not_in_roster"


async def test_minted_party_in_a_changed_spec(world: EnclaveWorld) -> None:
    """The operator adds a party of its own to the roster: the approvals are for another digest."""
    await world.restart()
    body = world.open_body()
    key = SigningKey.generate()
    body["spec"]["roster"].append({"party": "bank-x", "key": key.public, "dataset": ""})
    assert await code_of(world.verbs.handle("open", body)) == "approval_mismatch"


async def test_minted_key_in_a_changed_spec(world: EnclaveWorld) -> None:
    """The operator replaces bank-d's key by its own and signs the approval itself."""
    await world.restart()
    key = SigningKey.generate()
    body = world.open_body()
    body["spec"]["roster"][3]["key"] = key.public
    body["approvals"]["bank-d"] = world.approval("bank-d", signer=key)
    assert await code_of(world.verbs.handle("open", body)) == "approval_mismatch"


async def test_approval_of_a_stranger(world: EnclaveWorld) -> None:
    await world.restart()
    approvals = world.approvals() | {"bank-x": world.approval("bank-a", party="bank-x")}
    assert await code_of(world.open(approvals=approvals)) == "party_not_in_roster"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"spec": "ab" * 32}, "approval_mismatch"),
        ({"job": "job_other"}, "approval_mismatch"),
        ({"party": "bank-b"}, "approval_mismatch"),
        ({"expires": 0}, "approval_expired"),
    ],
)
async def test_replayed_approval(world: EnclaveWorld, changes: JSON, code: str) -> None:
    """bank-a signed this, but for another spec, job or time."""
    await world.restart()
    approvals = world.approvals() | {"bank-a": world.approval("bank-a", **changes)}
    assert await code_of(world.open(approvals=approvals)) == code


async def test_forged_approval(world: EnclaveWorld) -> None:
    await world.restart()
    forged = world.approval("bank-a", signer=SigningKey.generate())
    approvals = world.approvals() | {"bank-a": forged}
    assert await code_of(world.open(approvals=approvals)) == "approval_forged"


async def test_edited_approval(world: EnclaveWorld) -> None:
    await world.restart()
    edited = world.approval("bank-a")
    edited["body"]["min_contributors"] = 0
    approvals = world.approvals() | {"bank-a": edited}
    assert await code_of(world.open(approvals=approvals)) == "approval_forged"


async def test_recipient_of_the_operator(world: EnclaveWorld) -> None:
    """Intermediate models are sealed only to keys that the parties signed for this generation."""
    await world.restart()
    recipients = world.open_body(generation=1)["recipients"]
    replayed = world.open(generation=2, recipients=recipients)
    assert await code_of(replayed) == "recipient_forged"
    recipients["bank-a"]["recipient"] = recipients["bank-b"]["recipient"]
    assert await code_of(world.open(recipients=recipients)) == "recipient_forged"


async def test_foreign_authority(world: EnclaveWorld, tmp_path: Path) -> None:
    """Not even the handshake: the enclave knows one authority."""
    foreign, own = Pki(tmp_path / "foreign").agent("bank-a")(), world.pki.agent("bank-a")()
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    (mixed / "link.pem").touch(0o600)
    (mixed / "link.pem").write_bytes(foreign.key + foreign.certificate)
    (mixed / "ca.pem").write_bytes(own.ca)
    uplink = Uplink(CredentialFiles(mixed))
    assert await code_of(world.upload("bank-a", via=uplink)) == "link_broken"
    await uplink.close()


async def test_the_centre_itself_uploads_nothing(world: EnclaveWorld) -> None:
    uplink = Uplink(world.pki.enclave())
    assert await code_of(world.upload("bank-a", via=uplink)) == "forbidden"
    await uplink.close()


async def test_an_agent_does_not_mistake_another_for_the_enclave(world: EnclaveWorld) -> None:
    """The operator leads the upload to a listener with an agent's certificate."""
    impostor = await EnclaveWorld(world.pki.directory / "impostor").start()
    uplink = world.organisations["bank-a"].uplink
    sealed = world.seal("bank-a", world.update(0))
    sent = uplink.send(impostor.address, sealed, commitment(sealed))
    assert await code_of(sent) == "link_broken"
    await impostor.stop()


# --- what it is bound to -----------------------------------------------------------------------


async def test_stale_round(world: EnclaveWorld) -> None:
    for name in PARTIES:
        await world.upload(name)
    old_model = world.model
    await world.release(world.certificate(world.question()))
    for number, model in ((1, world.model), (2, old_model)):
        stale = world.seal("bank-a", world.update(5), number=number, model=model)
        assert await code_of(world.upload("bank-a", stale)) in {"stale_round", "already_uploaded"}
    assert await folded(world, 2) == []


async def test_a_released_round_takes_nothing_more(world: EnclaveWorld) -> None:
    for name in PARTIES[:3]:
        await world.upload(name)
    await folded(world)
    await world.release(world.certificate(world.question(PARTIES[:3])))
    assert await code_of(world.upload("bank-d", number=1)) == "stale_round"


async def test_replayed_upload(world: EnclaveWorld) -> None:
    """A recorded upload is played into the next round, by the operator or the party itself."""
    recorded = world.seal("bank-a", world.update(0))
    await world.upload("bank-a", recorded)
    for name in PARTIES[1:]:
        await world.upload(name)
    await world.release(world.certificate(world.question()))
    await world.upload("bank-a", recorded)  # answered from the record …
    assert await folded(world, 2) == []  # … and not folded again


async def test_replay_into_a_restarted_enclave(world: EnclaveWorld) -> None:
    """The content key was sealed to the old enclave's key, bound to its evidence."""
    recorded = world.seal("bank-a", world.update(0))
    await world.upload("bank-a", recorded)
    await world.restart()
    await world.open(generation=2)
    assert await code_of(world.upload("bank-a", recorded)) == "evidence_unknown"
    old_key = dict(world.public)
    await world.restart()
    await world.open(generation=3)
    new_key, world.public = world.public, old_key
    sealed = world.seal("bank-a", world.update(0))
    world.public = new_key
    assert await code_of(world.upload("bank-a", sealed)) == "sealed_key_refused"


async def test_rounds_are_not_skipped(world: EnclaveWorld) -> None:
    for number, stage in ((2, "train"), (7, "train"), (2, "evaluate"), (9, "evaluate")):
        sealed = world.seal("bank-a", world.update(0, stage), number=number, stage=stage)
        assert await code_of(world.upload("bank-a", sealed)) == "stale_round"


async def test_model_that_the_enclave_did_not_release(world: EnclaveWorld) -> None:
    """Parties that were shown another model: their updates do not enter."""
    sealed = world.seal("bank-a", world.update(0), model="ab" * 32)
    assert await code_of(world.upload("bank-a", sealed)) == "stale_round"


async def test_other_job_spec_or_evidence(world: EnclaveWorld) -> None:
    for changes, code in (
        ({"spec": "ab" * 32}, "update_unexpected"),
        ({"evidence": "ab" * 32}, "evidence_unknown"),
        ({"evidence": world.organisations["bank-b"].evidence}, "evidence_unknown"),
        ({"job": "job_other"}, "job_not_open"),
    ):
        sealed = world.seal("bank-a", world.update(0), **changes)
        assert await code_of(world.upload("bank-a", sealed)) == code


# --- what it holds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "code"),
    [(np.nan, "update_not_finite"), (np.inf, "update_not_finite"), (101.0, "norm_exceeded")],
)
async def test_poisonous_values(world: EnclaveWorld, value: float, code: str) -> None:
    sealed = world.seal("bank-a", plaintext(world, x999=value))
    assert await code_of(world.upload("bank-a", sealed)) == code
    await world.upload("bank-a")  # its slot is not burnt
    assert await folded(world) == ["bank-a"]


@pytest.mark.parametrize("weight", [0.0, -1.0, 1001.0, np.nan, 1e300])
async def test_weights_beyond_the_spec(world: EnclaveWorld, weight: float) -> None:
    sealed = world.seal("bank-a", world.update(0, weight=weight))
    code = await code_of(world.upload("bank-a", sealed))
    assert code in {"weight_out_of_bounds", "update_not_finite"}
    assert await folded(world) == []


@pytest.mark.parametrize(("parameters", "sums"), [(999, 1), (1001, 1), (1000, 2), (10**9, 1)])
async def test_wrong_shape(world: EnclaveWorld, parameters: int, sums: int) -> None:
    """Refused by the header, before a byte is allocated."""
    manifest = update_manifest(parameters, sums)
    if parameters > 10**6:
        sealed = world.seal("bank-a", world.update(0))
        header = sealed.header_bytes.replace(b'"length":4008', b'"length":4000000008')
        sealed.header_bytes = header.replace(b"[1000]", b"[1000000000]")
    else:
        data = bytes(4 * parameters + 8 * sums)
        sealed = world.seal("bank-a", data, manifest=manifest)
    assert await code_of(world.upload("bank-a", sealed)) == "manifest_mismatch"


class Tampered:
    """A sealed update whose chunks or trailer a test changes on their way."""

    def __init__(self, sealed: SealedUpdate, chunks: JSON, trailer: bytes | None = None) -> None:
        self.header, self.header_bytes = sealed.header, sealed.header_bytes
        self._sealed, self._chunks, self._trailer = sealed, chunks, trailer

    def chunks(self, start: int = 0) -> JSON:
        return iter(self._chunks(list(self._sealed.chunks(start))))

    def trailer(self) -> bytes:
        return self._sealed.trailer() if self._trailer is None else self._trailer


@pytest.mark.parametrize(
    ("chunks", "trailer", "code"),
    [
        (lambda c: [c[0][:-1] + bytes([c[0][-1] ^ 1])], None, "chunk_forged"),
        (lambda c: [c[0] + b"\0"], None, "chunk_length_wrong"),
        (lambda c: [c[0][:-1]], None, "chunk_length_wrong"),
        (lambda c: [b""], None, "chunk_length_wrong"),
        (lambda c: [*c, *c], None, "malformed_json"),
        (lambda c: c, b"", "malformed_json"),
        (lambda c: c, b"{}", "trailer_malformed"),
        (lambda c: c, canonical_bytes({"signature": "x"}), "update_forged"),
        (lambda c: c, b"x" * 5000, "malformed_json"),
    ],
)
async def test_tampered_bytes(
    world: EnclaveWorld, chunks: JSON, trailer: bytes | None, code: str
) -> None:
    tampered: JSON = Tampered(world.seal("bank-a", world.update(0)), chunks, trailer)
    assert await code_of(world.upload("bank-a", tampered)) == code
    await world.upload("bank-a")
    assert await folded(world) == ["bank-a"]


async def test_two_different_updates_of_one_party(world: EnclaveWorld) -> None:
    await world.upload("bank-a")
    other = world.seal("bank-a", world.update(8))
    assert await code_of(world.upload("bank-a", other)) == "already_uploaded"
    assert await folded(world) == ["bank-a"]


async def test_racing_uploads_of_one_party_fold_once(world: EnclaveWorld) -> None:
    sealed = [world.seal("bank-a", world.update(seed)) for seed in range(4)]
    links = [Uplink(world.pki.agent("bank-a")) for _ in sealed]
    outcomes = await asyncio.gather(
        *(world.upload("bank-a", one, via=link) for one, link in zip(sealed, links, strict=True)),
        return_exceptions=True,
    )
    receipts = [one for one in outcomes if isinstance(one, dict)]
    assert len(receipts) == 1
    assert await folded(world) == ["bank-a"]
    for link in links:
        await link.close()


class Held:
    """An upload whose chunks are all there and whose trailer a test holds back."""

    def __init__(self, world: EnclaveWorld, name: str, sealed: SealedUpdate) -> None:
        self._world, self._name, self._sealed = world, name, sealed
        self._go = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Send everything but the trailer, and wait until the enclave has it."""
        self._sending = asyncio.create_task(self._send())
        place = (JOB, self._name)
        await until(lambda: _received(self._world, place) == self._sealed.chunk_count)

    async def end(self) -> str:
        """Send the trailer and return the code of the refusal (empty = accepted)."""
        self._go.set()
        assert self._sending is not None
        try:
            await self._sending
        except grpc.aio.AioRpcError as error:
            return refusal(error, "the enclave").code
        return ""

    async def _send(self) -> None:
        channel = open_channel(
            self._world.address, self._world.pki.agent(self._name)(), ENCLAVE_NAME
        )
        binding = self._sealed.header.binding
        offer = _offer(self._name, self._sealed, round=binding.round, stage=binding.stage)
        try:
            await channel.unary_unary(OFFER, identity, identity)(canonical_bytes(offer))
            await channel.stream_unary(SEND, identity, identity)(self._messages())
        finally:
            await channel.close()

    async def _messages(self) -> AsyncIterator[bytes]:
        yield bytes(4) + self._sealed.header_bytes
        for chunk in self._sealed.chunks():
            yield chunk
        await self._go.wait()
        yield self._sealed.trailer()


async def test_an_upload_that_ends_after_the_freeze(world: EnclaveWorld) -> None:
    """The set was put to the vote while the last bytes were on their way: they come too late."""
    held = Held(world, "bank-d", world.seal("bank-d", world.update(3)))
    await held.begin()
    for name in PARTIES[:3]:
        await world.upload(name)
    assert await folded(world) == list(PARTIES[:3])
    assert await held.end() == "round_frozen"
    await world.release(world.certificate(world.question(PARTIES[:3])))


async def test_an_upload_that_ends_after_the_model_moved(tmp_path: Path) -> None:
    """Evaluation sums of the old model must not count for the new one."""
    plan = {"rounds": 3, "early_stop": {"patience": 1}}
    async with enclave_world(tmp_path, plan=plan) as world:
        await _moved_during_an_upload(world)


async def _moved_during_an_upload(world: EnclaveWorld) -> None:
    sealed = world.seal("bank-a", world.update(0, "evaluate"), number=1, stage="evaluate")
    held = Held(world, "bank-a", sealed)
    await held.begin()
    other = EnclaveWorld.upload
    for name in PARTIES[1:]:
        await other(world, name)
    await world.ask("roll", round=1, stage="train")
    await world.release(world.certificate(world.question(PARTIES[1:])))
    assert await held.end() == "stale_round"


async def test_a_second_update_offered_before_the_first_was_folded(world: EnclaveWorld) -> None:
    first = Held(world, "bank-a", world.seal("bank-a", world.update(0)))
    await first.begin()
    sealed = world.seal("bank-a", world.update(8))
    channel = open_channel(world.address, world.pki.agent("bank-a")(), ENCLAVE_NAME)
    offer = canonical_bytes(_offer("bank-a", sealed))
    await channel.unary_unary(OFFER, identity, identity)(offer)
    assert not await first.end()
    messages = [bytes(4) + sealed.header_bytes, *sealed.chunks(), sealed.trailer()]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(SEND, identity, identity)(iter(messages))
    assert refusal(caught.value, "the enclave").code == "already_uploaded"
    assert await folded(world) == ["bank-a"]
    await channel.close()


# --- who contributed ---------------------------------------------------------------------------


async def test_roster_shrinking(world: EnclaveWorld) -> None:
    """Three of four contributed; the operator would like the sum of two and tries everything."""
    for name in PARTIES[:3]:
        await world.upload(name)
    two = Question(**{**vars(world.question(PARTIES[:3])), "survivors": PARTIES[:2],
                      "dead": PARTIES[2:]})  # fmt: skip
    assert await code_of(world.release(world.certificate(two))) == "survivors_too_few"
    without = Question(**{**vars(two), "dead": PARTIES[2:3]})
    assert await code_of(world.release(world.certificate(without))) == "dead_inconsistent"
    renamed = Question(**{**vars(two), "survivors": (*PARTIES[:2], "bank-x"), "dead": PARTIES[2:]})
    votes = world.certificate(renamed, voters=PARTIES[:2])
    assert await code_of(world.release(votes)) == "survivors_unknown"


async def test_certificate_without_enough_true_votes(world: EnclaveWorld) -> None:
    for name in PARTIES:
        await world.upload(name)
    question = world.question()
    short = world.certificate(question, voters=PARTIES[:2])
    assert await code_of(world.release(short)) == "certificate_short"
    forged = world.certificate(question)
    forged["votes"]["bank-a"] = forged["votes"]["bank-b"]
    assert await code_of(world.release(forged)) == "certificate_forged"


async def test_certificate_of_another_round_or_model(world: EnclaveWorld) -> None:
    for name in PARTIES:
        await world.upload(name)
    for changes in ({"number": 2}, {"stage": "evaluate"}, {"model": "ab" * 32}):
        other = world.certificate(world.question(**changes))
        assert await code_of(world.release(other)) == "certificate_mismatch"


async def test_survivors_that_are_not_folded(world: EnclaveWorld) -> None:
    """Votes of all four, but the enclave holds three: a false sum would be released."""
    for name in PARTIES[:3]:
        await world.upload(name)
    everybody = world.certificate(world.question())
    assert await code_of(world.release(everybody)) == "survivors_mismatch"
    await world.upload("bank-d")
    fewer = world.certificate(world.question(PARTIES[:3]))
    assert await code_of(world.release(fewer)) == "survivors_mismatch"
    await world.release(everybody)


async def test_second_release_with_another_set(world: EnclaveWorld) -> None:
    for name in PARTIES:
        await world.upload(name)
    before = world.model
    await world.release(world.certificate(world.question()))
    world.model = before
    other = world.certificate(world.question(PARTIES[:3]))
    assert await code_of(world.release(other)) == "already_released"


async def test_release_kill_release_with_another_set(world: EnclaveWorld) -> None:
    """The enclave forgets; the votes do not. Three colluders re-vote, the honest one does not."""
    for name in PARTIES:
        await world.upload(name)
    await world.release(world.certificate(world.question()))
    await world.restart()
    world.model = world.worker_initial()
    await world.open(generation=2)
    for name in PARTIES[:3]:
        await world.upload(name)
    without_d = world.question(PARTIES[:3])
    lacking = world.certificate(without_d, voters=PARTIES[:2])  # bank-c voted already, and keeps it
    assert await code_of(world.release(lacking)) == "certificate_short"


# --- the pipe ----------------------------------------------------------------------------------


@pytest.fixture
async def large(tmp_path: Path) -> AsyncIterator[EnclaveWorld]:
    """Updates of six chunks."""
    async with enclave_world(
        tmp_path, model={"family": "rehearsal", "parameters": 3 << 19}
    ) as running:
        yield running


async def test_a_cut_upload_goes_on_at_its_chunk(
    large: EnclaveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    cutter = await Cutter(int(large.address.rpartition(":")[2])).start()
    starts = []
    receive = large.verbs.uploads.receive

    async def spying(peer: JSON, start: int, header: bytes, messages: JSON) -> JSON:
        starts.append(start)
        return await receive(peer, start, header, messages)

    monkeypatch.setattr(large.verbs.uploads, "receive", spying)
    cutter.cut_after = 4 << 20
    sealed = large.seal("bank-a", large.update(0))
    uplink = large.organisations["bank-a"].uplink
    receipt = await uplink.send(cutter.address, sealed, commitment(sealed))
    assert receipt["body"] == sealed.body_digest
    assert len(starts) == 2
    assert starts[1] > 0
    assert await folded(large) == ["bank-a"]
    await cutter.stop()


async def test_stalled_uploads_do_not_keep_others_out(
    large: EnclaveWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two parties begin, hold both buffers and say no more."""
    monkeypatch.setattr(uploads, "STALL", 0.1)
    forever = asyncio.Event()
    stalled = []
    for name in PARTIES[:2]:
        sealed = large.seal(name, large.update(0))
        stalled.append(asyncio.create_task(_begin(large, name, sealed, forever)))
    await until(lambda: len(large.verbs.uploads._uploads) == 2)
    await large.upload("bank-c")
    await large.upload("bank-d")
    forever.set()
    await asyncio.gather(*stalled, return_exceptions=True)
    assert await folded(large) == ["bank-c", "bank-d"]


async def test_abandoned_uploads_give_their_buffers_up(large: EnclaveWorld) -> None:
    """Two parties begin and vanish; their beginnings are kept only while nobody needs the room."""
    gone = asyncio.Event()
    for name in PARTIES[:2]:
        sealed = large.seal(name, large.update(0))
        beginning = asyncio.create_task(_begin(large, name, sealed, gone))
        place = (JOB, name)
        await until(lambda place=place: _received(large, place) >= 1)
        beginning.cancel()
        await asyncio.gather(beginning, return_exceptions=True)
        await until(lambda place=place: large.verbs.uploads._uploads[place].idle.is_set())
    for name in reversed(PARTIES):
        await large.upload(name)
    assert await folded(large) == list(PARTIES)


def _received(world: EnclaveWorld, place: tuple[str, str]) -> int:
    upload = world.verbs.uploads._uploads.get(place)
    return 0 if upload is None else upload.opener.received


async def _begin(
    world: EnclaveWorld, name: str, sealed: SealedUpdate, until_set: asyncio.Event
) -> None:
    """Offer, send one chunk, and then nothing until the event."""
    channel = open_channel(world.address, world.pki.agent(name)(), ENCLAVE_NAME)

    async def messages() -> AsyncIterator[bytes]:
        yield bytes(4) + sealed.header_bytes
        yield next(sealed.chunks())
        await until_set.wait()

    try:
        await channel.unary_unary(OFFER, identity, identity)(canonical_bytes(_offer(name, sealed)))
        await channel.stream_unary(SEND, identity, identity)(messages())
    finally:
        await channel.close()


OFFER, SEND = "/secureflow.wire.v1.Uplink/Offer", "/secureflow.wire.v1.Uplink/Send"


def _offer(name: str, sealed: SealedUpdate, **changes: JSON) -> JSON:
    offer = {"job": JOB, "round": 1, "stage": "train", "party": name}
    header = sha256(sealed.header_bytes).hex()
    return offer | {"update": commitment(sealed), "header": header} | changes


async def test_a_send_that_was_not_offered(world: EnclaveWorld) -> None:
    sealed = world.seal("bank-a", world.update(0))
    channel = open_channel(world.address, world.pki.agent("bank-a")(), ENCLAVE_NAME)
    for first, code in (
        (bytes(4) + sealed.header_bytes, "offer_missing"),
        (b"", "malformed_offer"),
        (b"\xff\xff\xff\xff" + sealed.header_bytes, "malformed_offer"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_unary(SEND, identity, identity)(iter([first]))
        assert refusal(caught.value, "the enclave").code == code
    ask = channel.unary_unary(OFFER, identity, identity)
    await ask(canonical_bytes(_offer("bank-a", sealed)))
    resumed = iter([(3).to_bytes(4, "big") + sealed.header_bytes])
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(SEND, identity, identity)(resumed)
    assert refusal(caught.value, "the enclave").code == "resume_mismatch"
    await channel.close()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.binary(max_size=300)
    | st.dictionaries(
        st.sampled_from(["job", "round", "stage", "party", "update", "header", "x"]),
        st.none() | st.integers(-3, 5) | st.text(max_size=5) | st.just("ab" * 32),
    ).map(canonical_bytes)
)
async def test_foreign_offers_and_headers_are_refused_by_name(
    world: EnclaveWorld, data: bytes
) -> None:
    """Whatever comes, the enclave answers with a typed refusal and goes on."""
    channel = open_channel(world.address, world.pki.agent("bank-a")(), ENCLAVE_NAME)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(OFFER, identity, identity)(data)
    assert refusal(caught.value, "the enclave").code != "link_broken"
    call = channel.stream_unary(SEND, identity, identity)(iter([bytes(4) + data, data]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with CallEnd(call).kept():  # the second write may meet the refusal
            await call
    assert refusal(caught.value, "the enclave").code != "link_broken"
    await channel.close()

"""Approvals and verdicts that expire in the middle of a job: asked for anew, never waived."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from secureflow.application.running import recording
from secureflow.application.running.resuming import LEAF
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.run.renewing import MAX_RENEWALS
from secureflow.engines.script import ENCLAVE, Ask, Effect
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.run.test_ending import play, world_of
from tests.unit.engines.training.masked_world import MaskedWorld
from tests.unit.engines.training.world import JOB, ORIGIN, Crash, World, drive

pytestmark = pytest.mark.slow

EXPIRED = SecureFlowError("approval_expired", "The approval of the job has expired.")
REFUSED = SecureFlowError("consent_refused", "Job was refused: not again.")
KINDS = ["sealed", "secagg", "sealed+secagg", "statistics"]


class Expiry:
    """Lets a party's approval expire just before an `Ask` of a world is put to it."""

    def __init__(self, world: World, party: str = "bank-b", at: int | None = None) -> None:
        self.party = party
        self.at = at
        self.lasts = True
        self.asks: list[Ask] = []
        self.verbs: list[str] = []
        self.renewed: list[dict[str, Any]] = []
        self.answers: SecureFlowError | None = None
        perform, one = world.perform, world._one

        def performed(seq: int, effect: Effect) -> Any:
            if isinstance(effect, Ask) and effect.verb not in {"consent", "finish", "cosign"}:
                if len(self.asks) == self.at:
                    self.lasts = False
                self.asks.append(effect)
            return perform(seq, effect)

        def asked(party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
            if party != self.party or verb in {"finish", "cosign"}:
                return one(party, verb, body)
            self.verbs.append(verb)
            if verb == "consent" and not self.lasts:
                self.renewed.append(body)
                if self.answers is not None:
                    raise self.answers
                self.lasts = True
            if not self.lasts:
                raise EXPIRED
            return one(party, verb, body)

        world.perform = performed  # type: ignore[method-assign]
        world._one = asked  # type: ignore[method-assign]


def made(kind: str) -> World:
    if kind == "sealed+secagg":
        return MaskedWorld(count=4, rounds=1, protection=kind)
    return world_of(kind)


def leaves_of(world: World, party: str) -> Counter[str]:
    bundle = world.bundle()
    mine = [one["leaf"]["leaf"] for one in bundle["entries"]]
    return Counter(leaf["kind"] for leaf in mine if leaf["author"] == party)


def documents(world: World, kind: str) -> list[dict[str, Any]]:
    entries = world.bundle()["entries"]
    return [one["document"] for one in entries if one["leaf"]["leaf"]["kind"] == kind]


@pytest.mark.parametrize("kind", thinned(reversed(list(KINDS)), 4, pytest.mark.full))
def test_wherever_an_approval_expires_it_is_renewed_and_the_job_succeeds(kind: str) -> None:
    """Before each question of a job in turn: nothing else changes, and the story verifies."""
    undisturbed = made(kind)
    counted = Expiry(undisturbed)
    assert play(undisturbed) == "succeeded"
    expected = leaves_of(undisturbed, "bank-b")
    assert not counted.renewed
    for at, ask in enumerate(counted.asks):
        world = made(kind)
        expiry = Expiry(world, at=at)
        assert play(world) == "succeeded", (at, ask.verb)
        verdict = verify_bundle(world.bundle(), world.charter)
        assert verdict.ok, (at, ask.verb, verdict)
        later = [one for one in counted.asks[at:] if "bank-b" in one.to]
        assert len(expiry.renewed) == bool(later), (at, ask.verb)
        assert leaves_of(world, "bank-b") == expected + Counter(approval=len(expiry.renewed))
        for body in expiry.renewed:
            assert body["digest"] == world.digest
            assert body["spec"]["roster"]
            assert body["expires"] != world.context.expires


def test_the_enclave_is_shown_the_renewed_approval() -> None:
    """It finds the old one expired by its own clock, though no agent was asked anything."""
    world = World(count=4, rounds=1)
    opened = world.enclave_open
    shown: list[int] = []

    def strict(body: dict[str, Any]) -> dict[str, Any]:
        shown.append(body["approvals"]["bank-b"]["body"]["expires"])
        if shown[-1] == world.context.expires:
            raise SecureFlowError(EXPIRED.code, EXPIRED.message, "", {"party": "bank-b"})
        return opened(body)

    world.enclave_open = strict  # type: ignore[method-assign]
    assert play(world) == "succeeded"
    assert len(shown) == 2
    assert verify_bundle(world.bundle(), world.charter).ok


@pytest.mark.parametrize("kind", KINDS)
def test_an_owner_who_refuses_ends_the_job_by_name(kind: str) -> None:
    world = made(kind)
    expiry = Expiry(world, at=3)
    expiry.answers = REFUSED
    assert play(world) == "failed"
    (end,) = documents(world, "job.finished")
    assert end["error"] == "consent_refused"
    assert "not again" in end["reason"]
    assert len(expiry.renewed) == 1
    assert expiry.verbs[-1] == "consent"  # it is asked for nothing else


@pytest.mark.parametrize("kind", KINDS)
def test_an_owner_who_is_away_is_a_dropout_as_ever(kind: str) -> None:
    """Its approval is not taken for granted: the others go on without it."""
    world = made(kind)
    verb = "train" if kind == "sealed" else "mask"
    expiry = Expiry(world)
    perform = world.perform

    def performed(seq: int, effect: Effect) -> Any:
        if getattr(effect, "verb", "") == verb and not expiry.renewed:
            expiry.lasts = False
            expiry.answers = SecureFlowError("too_few_answers", "bank-b could not answer")
        if expiry.renewed:
            world.silent.add("bank-b")
            expiry.lasts = True
        return perform(seq, effect)

    world.perform = performed  # type: ignore[method-assign]
    assert play(world) == "succeeded"
    rounds = [
        one for one in world.bundle()["entries"] if one["leaf"]["leaf"]["kind"] == "round.closed"
    ]
    assert rounds
    assert all("bank-b" not in one["document"]["release"]["survivors"] for one in rounds)


def test_a_party_whose_approvals_never_last_is_a_dropout() -> None:
    """Or it could hold the others up for ever."""
    world = World(count=4, rounds=1)
    one = world._one

    def asked(party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party == "bank-b" and verb in {"train", "close"}:
            raise EXPIRED
        return one(party, verb, body)

    world._one = asked  # type: ignore[method-assign]
    assert play(world) == "succeeded"
    assert world.asked.count(("bank-b", "consent")) == 1 + MAX_RENEWALS


@pytest.mark.parametrize(
    "details",
    [
        {"party": "bank-z"},
        {"party": ENCLAVE},
        {"failures": {"bank-b": "x", "bank-c": None}},
        {"failures": ["bank-b"]},
    ],
)
def test_nobody_is_asked_anew_on_an_enclaves_malformed_word(details: dict[str, Any]) -> None:
    world = World(count=4, rounds=1)
    error = SecureFlowError("too_few_answers" if "failures" in details else EXPIRED.code, "x")
    error.details |= details
    world.refuse[ENCLAVE, "open"] = error
    assert play(world) == "failed"
    assert not [asked for asked in world.asked if asked[1] == "consent"][4:]


def test_a_renewed_approval_that_another_signed_is_refused() -> None:
    world = World(count=4, rounds=1)
    Expiry(world, at=5)
    consent, calls = world.party_consent, Counter[str]()

    def forged(party: str, body: dict[str, Any]) -> dict[str, Any]:
        calls[party] += 1
        reply = consent(party, body)
        if calls[party] > 1:
            signature = world.keys["bank-c"].sign("approval", reply["approval"]["body"])
            reply["approval"] = {**reply["approval"], "signature": signature}
        return reply

    world.party_consent = forged  # type: ignore[method-assign]
    assert play(world) == "failed"
    (end,) = documents(world, "job.finished")
    assert end["error"] == "approval_forged"


def test_a_server_that_dies_in_a_renewal_goes_on_with_it() -> None:
    first = World(count=3, rounds=1)
    Expiry(first, at=6)
    expected = drive(first, journal := [])
    for die_at in range(len(journal)):
        world, kept = World(count=3, rounds=1), []
        Expiry(world, at=6)
        with pytest.raises(Crash):
            drive(world, kept, die_at)
        assert drive(world, kept)["model"] == expected["model"]
        assert verify_bundle(world.bundle(), world.charter).ok


def test_a_verdict_that_expired_is_asked_for_anew_with_a_fresh_nonce() -> None:
    world = World(count=4, rounds=1)
    one, expired = world._one, ["bank-b"]

    def asked(party: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        if party in expired and verb == "train":
            expired.remove(party)
            raise SecureFlowError("attestation_expired", "The verdict has expired.")
        return one(party, verb, body)

    world._one = asked  # type: ignore[method-assign]
    assert play(world) == "succeeded"
    assert world.asked.count(("bank-b", "challenge")) == 2
    assert world.asked.count((ENCLAVE, "attest")) == 2
    assert leaves_of(world, "bank-b")["attested"] == 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_somebody_resumed_tells_so_in_a_story_that_verifies(kind: str) -> None:
    """The centre's own leaf between the script's: its end counts it."""
    world = made(kind)
    perform, resumed = world.perform, []

    def performed(seq: int, effect: Effect) -> Any:
        if getattr(effect, "verb", "") in {"train", "mask"} and not resumed:
            document = {"by": "usr_1", "organisation": "bank-a", "paused_by": "internal", "try": 1}
            leaf = recording.server_leaf(
                LEAF, document, ORIGIN, world.log_key, 1_800_000_000,
                job=JOB, spec=world.digest, seq=-2,
            )  # fmt: skip
            resumed.append(leaf)
            world._log([leaf])
        return perform(seq, effect)

    world.perform = performed  # type: ignore[method-assign]
    assert play(world) == "succeeded"
    verdict = verify_bundle(world.bundle(), world.charter)
    assert verdict.ok, verdict
    assert documents(world, LEAF) == [resumed[0].document]

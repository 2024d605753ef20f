"""What agents say of the enclave: everyone's report shows it, and none speaks for the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from secureflow.application.running.replies import checked_reply
from secureflow.engines.attestation.verdict import Verdict
from secureflow.engines.run.messages import AdmitReply, ShownVerdict, as_body, read, read_reply
from secureflow.engines.run.tees import MAX_TEES, names_of, tee_of
from secureflow.engines.training.disclosure import attacks
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.run.test_ending import play
from tests.unit.engines.training.world import World

SIMULATED, GENUINE = "SIMULATED SGX 0d", "Intel TDX 0d"
MEASUREMENTS = {
    "sgx": "0d" * 32,
    "tdx": ":".join(["0d" * 48] * 5),  # MRTD and RTMR0 to RTMR3
    "sev-snp": "0d" * 48,
}


def verdict_of(tee: str, measurement: str, *, simulated: bool) -> dict[str, Any]:
    """Return a verdict on an enclave as an agent sends it."""
    verdict = Verdict(
        "affirming", "SIMULATED" if simulated else "hardware", simulated, tee, ("fine",), "p", "e",
        measurement, "UpToDate", (), "job", "spec", "hpke", "release", "nonce", 1, 2,
    )  # fmt: skip
    return {**verdict.as_json(), "title": verdict.title}


def whole(**changes: Any) -> dict[str, Any]:
    """Return the verdict on a simulated enclave, with changes."""
    return {**verdict_of("sgx", "0d", simulated=True), **changes}


@pytest.mark.parametrize("simulated", [False, True])
@pytest.mark.parametrize("tee", MEASUREMENTS)
def test_what_agents_send_is_taken_and_sent_unchanged(tee: str, simulated: bool) -> None:
    sent = verdict_of(tee, MEASUREMENTS[tee], simulated=simulated)
    reply = {"verdict": sent, "model_key": "k", "leaf": {"a": 1}}
    assert checked_reply("admit", "bank-a", reply) == reply
    shown = read_reply(AdmitReply, "bank-a", "admit", reply).verdict
    assert (shown.title, shown.tier, shown.simulated) == (sent["title"], sent["tier"], simulated)
    assert shown.title.endswith(MEASUREMENTS[tee])
    assert list(as_body(AdmitReply(verdict=shown))["verdict"].items()) == list(sent.items())


@pytest.mark.parametrize("name", ["title", "tier", "simulated"])
@pytest.mark.parametrize("wrong", [["x"], {"a": 1}, 7, None, "x" * 1025, "a\x1b[2J"])
def test_a_verdict_that_cannot_be_shown_is_its_partys_failure(name: str, wrong: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        checked_reply("admit", "bank-a", {"verdict": whole(**{name: wrong})})
    assert (caught.value.code, caught.value.details["party"]) == ("malformed_reply", "bank-a")


@pytest.mark.parametrize("verdict", [{}, {"title": "", "tier": ""}, {"simulated": False}, [], "x"])
def test_a_verdict_names_something(verdict: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        checked_reply("admit", "bank-a", {"verdict": verdict})
    assert caught.value.code == "malformed_reply"


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ([whole(), whole()], SIMULATED),
        ([{"tier": "SIMULATED"}], "SIMULATED"),
        ([{"title": GENUINE, "tier": "hardware"}] * 2, GENUINE),
        ([{"title": GENUINE}, whole()], f"{SIMULATED} ≠ {GENUINE}"),
        ([{"title": GENUINE}, {"title": "Intel TDX 0e"}], f"{GENUINE} ≠ Intel TDX 0e"),
        ([{"title": GENUINE, "simulated": True}], f"SIMULATED {GENUINE}"),
        ([{"title": GENUINE, "tier": "SIMULATED"}], f"SIMULATED {GENUINE}"),
        ([{"title": f"t{n}"} for n in range(9)] + [whole()], f"{SIMULATED} ≠ t0 ≠ t1 ≠ …"),
    ],
)
def test_the_worst_that_any_agent_says_is_told(verdicts: list[Any], told: str) -> None:
    shown = [read(ShownVerdict, one) for one in verdicts]
    assert tee_of(names_of(shown)) == tee_of(names_of(reversed(shown))) == told


@pytest.mark.parametrize("title", [["x"], {}, 7, GENUINE, "x" * 100_000])
def test_one_agents_word_neither_stops_a_job_nor_hides_that_its_tee_is_simulated(
    title: Any,
) -> None:
    def liar(party: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        named = {"title": title, "tier": "hardware", "simulated": False}
        return reply | {"verdict": named} if (verb, party) == ("admit", "bank-a") else reply

    world = World(count=4, rounds=1, liar=liar)
    assert play(world) == "succeeded"
    told = world.progress["tee"]
    assert told == (f"SIMULATED SGX ≠ {GENUINE}" if title == GENUINE else "SIMULATED SGX")
    reading = next(one for one in attacks(world.spec, told) if "single update" in one["attack"])
    assert reading["why"] == "the TEE is SIMULATED"


def named_by(party: str, generation: int, title: str) -> Callable[..., dict[str, Any]]:
    """Return a liar: what a party, or everyone, calls the enclave of one generation."""

    def liar(asked: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if verb != "admit":
            return reply
        this = reply["document"]["g"] == generation and party in {asked, "all"}
        return reply | {"verdict": {"title": title if this else GENUINE, "tier": "hardware"}}

    return liar


@pytest.mark.parametrize("lost_at", [4, 6, 8])
@pytest.mark.parametrize("party", ["all", "bank-d"])
def test_a_new_enclave_does_not_hide_that_an_earlier_one_was_simulated(
    party: str, lost_at: int
) -> None:
    liar = named_by(party, 1, SIMULATED)
    world = World(count=4, rounds=2, liar=liar, lose_enclave_at=lost_at)
    assert play(world) == "succeeded"
    assert told_generations(world) == 2
    told = world.progress["tee"]
    assert told == f"{SIMULATED} ≠ {GENUINE}"
    reading = next(one for one in attacks(world.spec, told) if "single update" in one["attack"])
    assert reading["why"] == "the TEE is SIMULATED"


def test_a_party_that_is_gone_still_speaks_of_the_enclave_that_it_was_shown() -> None:
    """Its data went into the first one; the operator then cut it off from the second."""
    named = named_by("bank-d", 1, SIMULATED)

    def liar(asked: str, verb: str, reply: dict[str, Any]) -> dict[str, Any]:
        if (asked, verb) == ("bank-d", "close"):
            world.silent.add("bank-d")
        return named(asked, verb, reply)

    world = World(count=4, rounds=2, liar=liar, lose_enclave_at=8)
    assert play(world) == "succeeded"
    assert told_generations(world) == 2
    assert ("bank-d", "train") in world.asked
    assert world.progress["tee"] == f"{SIMULATED} ≠ {GENUINE}"


def test_the_names_of_many_enclaves_are_kept_within_a_bound() -> None:
    seen: tuple[str, ...] = ()
    for n in range(64):
        seen = names_of([read(ShownVerdict, {"title": f"t{n:02}"})], seen)
    seen = names_of([read(ShownVerdict, whole())], seen)
    assert len(seen) == MAX_TEES + 1
    assert tee_of(seen) == f"{SIMULATED} ≠ t00 ≠ t01 ≠ …"


def told_generations(world: World) -> int:
    """Return the number of enclaves that the parties were asked to verify."""
    return sum(one == ("bank-a", "admit") for one in world.asked)

"""What agents say of the enclave: everyone's report shows it, and none speaks for the others."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application.running.replies import checked_reply
from secureflow.engines.attestation.verdict import Verdict
from secureflow.engines.run.admission import tee_of
from secureflow.engines.run.messages import AdmitReply, ShownVerdict, as_body, read, read_reply
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
    assert tee_of(shown) == tee_of(reversed(shown)) == told


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

"""Each step of a link says its state, its cause, who can mend it, and the command."""

from __future__ import annotations

from dataclasses import replace

import pytest

from secureflow.domain.linksteps import LinkFacts, LinkStep, Mender, StepState, link_steps, worst

NOW = 1_000_000
FINE = LinkFacts(
    organisation="bank-a", party="bank-a", created=1, revoked=None, disabled=False,
    valid_until=NOW + 9, connected=True, since=5, last=6, elsewhere="", clock_ahead=2,
    version="1", own_version="1", charter=3, member=True, unsigned=0,
    verdict={"at": 4, "simulated": False}, seen=7, head=7, cosigned=True,
)  # fmt: skip
NAMES = [
    "enrolled", "certificate", "connected", "clock", "version", "charter", "attestation", "log",
]  # fmt: skip


def step(name: str, **changes: object) -> LinkStep:
    steps = link_steps(replace(FINE, **changes), NOW)  # type: ignore[arg-type]
    return next(one for one in steps if one.name == name)


def test_a_link_in_order_is_ok_in_every_step() -> None:
    steps = link_steps(FINE, NOW)
    assert [one.name for one in steps] == NAMES
    assert {one.state for one in steps} == {StepState.OK}
    assert worst(steps) is StepState.OK


def test_an_enclave_signs_and_verifies_nothing_of_this() -> None:
    assert [one.name for one in link_steps(replace(FINE, organisation=""), NOW)] == NAMES[:5]


@pytest.mark.parametrize(
    ("name", "changes", "state", "who", "command"),
    [
        ("enrolled", {"revoked": 9}, "failed", "operator", "secureflow enrolment create bank-a"),
        ("enrolled", {"disabled": True}, "failed", "operator", "secureflow org enable bank-a"),
        ("certificate", {"valid_until": NOW}, "failed", "agent", "secureflow agent doctor"),
        ("connected", {"connected": False}, "failed", "agent", "secureflow agent doctor"),
        ("connected", {"connected": False, "elsewhere": "b"}, "unknown", "", ""),
        ("clock", {"clock_ahead": 301}, "failed", "agent", "secureflow agent doctor"),
        ("clock", {"clock_ahead": None}, "unknown", "", ""),
        ("clock", {"connected": False, "clock_ahead": 301}, "unknown", "", ""),
        ("version", {"version": "0"}, "warning", "agent", "secureflow agent status"),
        ("version", {"version": ""}, "unknown", "", ""),
        ("charter", {"charter": 0}, "failed", "operator", "secureflow charter draft"),
        ("charter", {"member": None}, "failed", "operator", "secureflow charter draft"),
        ("charter", {"member": False}, "failed", "operator", "secureflow charter draft"),
        ("charter", {"unsigned": 4}, "warning", "agent", "secureflow agent charter sign"),
        ("attestation", {"verdict": {}}, "unknown", "", ""),
        ("attestation", {"verdict": {"simulated": True}}, "warning", "", ""),
        ("log", {"cosigned": False, "seen": 3}, "unknown", "", ""),
        ("log", {"cosigned": False, "connected": False, "seen": 0}, "unknown", "", ""),
    ],
)
def test_a_step_that_is_not_in_order_says_why_and_who_can_mend_it(
    name: str, changes: dict[str, object], state: str, who: str, command: str
) -> None:
    found = step(name, **changes)
    assert (found.state, found.who, found.command) == (state, who, command)
    assert bool(found.cause) or state == "unknown"
    if found.state is StepState.FAILED:
        assert found.who is not Mender.NOBODY


def test_a_simulated_enclave_is_said() -> None:
    assert step("attestation", verdict={"simulated": True}).cause.startswith("SIMULATED")


def test_the_worst_step_is_the_state_of_the_link() -> None:
    steps = link_steps(replace(FINE, version="0", connected=True), NOW)
    assert worst(steps) is StepState.WARNING
    assert worst(link_steps(replace(FINE, version="0", revoked=1), NOW)) is StepState.FAILED

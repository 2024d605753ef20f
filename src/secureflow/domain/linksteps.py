"""The link of an agent, step by step, as the centre sees it: what is in order, and who can mend it.

The steps before the first (does the name resolve, does the port answer, does TLS agree) can only be
seen from the agent's side: `secureflow agent doctor` shows them there. The centre sees what it
issued, who is connected, and what the ledger says. What it cannot know is `unknown`, never `ok`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from secureflow.kit.clock import differ, difference
from secureflow.kit.text import Text


class StepState(StrEnum):
    """The state of a step."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


class Mender(StrEnum):
    """Who can mend a step."""

    NOBODY = ""
    OPERATOR = "operator"
    ORGANISATION = "organisation"
    AGENT = "agent"
    """Whoever runs the agent's machine."""


@dataclass(frozen=True)
class LinkStep:
    """One step; `facts` are its numbers (times in unix seconds), `command` is the next step."""

    name: str
    state: StepState
    cause: str = ""
    who: Mender = Mender.NOBODY
    command: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkFacts:
    """What the centre knows of an enrolled process.

    Args:
        organisation, party: whose it is ("" for an enclave), and its name in rosters.
        created, revoked: unix seconds; None for a living one.
        disabled: whether the operator disabled its organisation.
        valid_until: of its newest certificate, unix seconds.
        connected, since, last: whether it has a link, since when, and when it was heard last; 0
            for never since this server started.
        elsewhere: the name of another server that it dialled last.
        clock_ahead: seconds, None if unknown.
        version, own_version: SecureFlow's, its and the centre's.
        charter: version of the adopted charter; 0 without one.
        member: whether its organisation is in that with the key that it enrolled; None if the
            organisation is not in it.
        unsigned: version of the next charter that waits for its organisation; 0 for none.
        verdict: of it on the enclave, the newest: `at`, `tier`, `simulated`, `job`; {} for none.
        seen, head: size of the log that it saw last, and of the log now.
        cosigned: whether it cosigned the newest head.
    """

    organisation: str
    party: str
    created: int
    revoked: int | None
    disabled: bool
    valid_until: int
    connected: bool
    since: int
    last: int
    elsewhere: str
    clock_ahead: int | None
    version: str
    own_version: str
    charter: int
    member: bool | None
    unsigned: int
    verdict: dict[str, Any]
    seen: int
    head: int
    cosigned: bool


_DOCTOR: Final = "secureflow agent doctor"
_STATUS: Final = "secureflow agent status"
_SIGN: Final = "secureflow agent charter sign"
_DRAFT: Final = "secureflow charter draft"


def link_steps(facts: LinkFacts, now: int) -> list[LinkStep]:
    """Return the steps in their order at `now` (unix seconds); an enclave has fewer."""
    steps = [_enrolled(facts), _certificate(facts, now), _connected(facts), _clock(facts)]
    steps.append(_version(facts))
    if facts.organisation:
        steps += [_charter(facts), _verdict(facts), _log(facts)]
    return steps


def worst(steps: list[LinkStep]) -> StepState:
    """Return the state of a link in one word."""
    states = {one.state for one in steps}
    order = (StepState.FAILED, StepState.WARNING)
    return next((one for one in order if one in states), StepState.OK)


def _enrolled(facts: LinkFacts) -> LinkStep:
    told = {"at": facts.created}
    if facts.revoked is not None:
        cause = Text("{party} was revoked: its certificates are refused.", party=facts.party)
        command = f"secureflow enrolment create {facts.organisation}".rstrip()
        revoked = told | {"revoked": facts.revoked}
        return LinkStep("enrolled", StepState.FAILED, cause, Mender.OPERATOR, command, revoked)
    if facts.disabled:
        cause = Text("The operator has disabled {party}.", party=facts.party)
        command = f"secureflow org enable {facts.organisation}"
        return LinkStep("enrolled", StepState.FAILED, cause, Mender.OPERATOR, command, told)
    return LinkStep("enrolled", StepState.OK, facts=told)


def _certificate(facts: LinkFacts, now: int) -> LinkStep:
    told = {"valid_until": facts.valid_until}
    if now < facts.valid_until:
        return LinkStep("certificate", StepState.OK, facts=told)
    cause = Text(
        "The certificate of {party} is no longer valid. A running agent renews it by itself.",
        party=facts.party,
    )
    return LinkStep("certificate", StepState.FAILED, cause, Mender.AGENT, _DOCTOR, told)


def _connected(facts: LinkFacts) -> LinkStep:
    told = {"since": facts.since, "last": facts.last, "server": facts.elsewhere}
    if facts.connected:
        return LinkStep("connected", StepState.OK, facts=told)
    if facts.elsewhere:
        cause = Text("{party} is connected to the server {server}.",
                     party=facts.party, server=facts.elsewhere)  # fmt: skip
        return LinkStep("connected", StepState.UNKNOWN, cause, facts=told)
    cause = Text(
        "{party} has no link. Whether its name, port and TLS are in order can be seen from its "
        "machine only.",
        party=facts.party,
    )
    return LinkStep("connected", StepState.FAILED, cause, Mender.AGENT, _DOCTOR, told)


def _clock(facts: LinkFacts) -> LinkStep:
    told = {"ahead": facts.clock_ahead}
    if not facts.connected or facts.clock_ahead is None:
        return LinkStep("clock", StepState.UNKNOWN, facts=told)
    if not differ(facts.clock_ahead):
        return LinkStep("clock", StepState.OK, facts=told)
    cause = difference(facts.party, facts.clock_ahead)
    return LinkStep("clock", StepState.FAILED, cause, Mender.AGENT, _DOCTOR, told)


def _version(facts: LinkFacts) -> LinkStep:
    told = {"version": facts.version, "centre": facts.own_version}
    if not facts.connected or not facts.version:
        return LinkStep("version", StepState.UNKNOWN, facts=told)
    if facts.version == facts.own_version:
        return LinkStep("version", StepState.OK, facts=told)
    cause = Text(
        "{party} runs version {version}, the centre {own}.",
        party=facts.party, version=facts.version, own=facts.own_version,
    )  # fmt: skip
    return LinkStep("version", StepState.WARNING, cause, Mender.AGENT, _STATUS, told)


def _charter(facts: LinkFacts) -> LinkStep:
    told = {"version": facts.charter, "unsigned": facts.unsigned}
    if not facts.charter and not facts.unsigned:
        cause = Text("The members have no charter yet.")
        return LinkStep("charter", StepState.FAILED, cause, Mender.OPERATOR, _DRAFT, told)
    if facts.unsigned:
        cause = Text(
            "Version {version} of the charter waits for the signature of {party}.",
            version=facts.unsigned, party=facts.party,
        )  # fmt: skip
        return LinkStep("charter", StepState.WARNING, cause, Mender.AGENT, _SIGN, told)
    if facts.member is None:
        cause = Text("{party} is not in the charter.", party=facts.party)
        return LinkStep("charter", StepState.FAILED, cause, Mender.OPERATOR, _DRAFT, told)
    if not facts.member:
        cause = Text(
            "The charter names another signing key of {party} than the one that it enrolled.",
            party=facts.party,
        )
        return LinkStep("charter", StepState.FAILED, cause, Mender.OPERATOR, _DRAFT, told)
    return LinkStep("charter", StepState.OK, facts=told)


def _verdict(facts: LinkFacts) -> LinkStep:
    if not facts.verdict:
        cause = Text("{party} has verified no enclave yet.", party=facts.party)
        return LinkStep("attestation", StepState.UNKNOWN, cause)
    if facts.verdict.get("simulated"):
        cause = Text("SIMULATED: the enclave that {party} accepted protects nothing from the "
                     "operator.", party=facts.party)  # fmt: skip
        return LinkStep("attestation", StepState.WARNING, cause, facts=facts.verdict)
    return LinkStep("attestation", StepState.OK, facts=facts.verdict)


def _log(facts: LinkFacts) -> LinkStep:
    told = {"seen": facts.seen, "head": facts.head, "cosigned": facts.cosigned}
    if facts.cosigned or (facts.connected and facts.seen >= facts.head):
        return LinkStep("log", StepState.OK, facts=told)
    if not facts.connected and not facts.seen:
        return LinkStep("log", StepState.UNKNOWN, facts=told)
    cause = Text(
        "{party} has seen {seen} of {head} entries: it is shown the rest with its next job.",
        party=facts.party, seen=facts.seen, head=facts.head,
    )  # fmt: skip
    return LinkStep("log", StepState.UNKNOWN, cause, facts=told)

"""What each of the agent's own actions means, in words for people: one table.

Facts come from the agent's own record. Names of jobs, projects and requesters in them are the
centre's words, and a note is a colleague's: all are plain text here, and escaped by the page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.screens.figures import day, figure, plain, second, texts
from secureflow.kit.reading import members
from secureflow.kit.text import Text, text_in

Tell = Callable[[Mapping[str, Any]], str]
"""Says an action by its facts, in which every value is plain text or a list of it."""

GROUPS: Final = ("decisions", "grants", "people", "data", "jobs", "agent")
"""What the page of activity can be narrowed to."""


@dataclass(frozen=True)
class ActionKind:
    """A kind of action.

    Args:
        group: one of `GROUPS`.
        tell: says it.
        warns: whether it deserves attention.
    """

    group: str
    tell: Tell
    warns: bool = False


def _fixed(text: str) -> Tell:
    return lambda _: text


_DECISIONS: Final[Mapping[str, ActionKind]] = {
    "inbox.waiting": ActionKind("decisions", _fixed("A request waits for people here.")),
    "inbox.approved": ActionKind("decisions", _fixed("Approved a request.")),
    "inbox.approved_by_one": ActionKind(
        "decisions", _fixed("Approved a request as the first of two people.")
    ),
    "inbox.rejected": ActionKind("decisions", _fixed("Rejected a request.")),
    "inbox.asked_back": ActionKind("decisions", _fixed("Sent a request back with a question.")),
    "inbox.asked": ActionKind("decisions", _fixed("Asked the submitter a question.")),
    "inbox.answered": ActionKind(
        "decisions", _fixed("The submitter's answer came, as the centre tells it.")
    ),
    "approval.withdrawn": ActionKind(
        "decisions", _fixed("Withdrew the approval of the job."), warns=True
    ),
    "job.approved": ActionKind(
        "decisions",
        lambda f: Text("The job was approved; decided by {by}.", by=_decided(f["by"])),
    ),
    "job.renewed": ActionKind(
        "decisions",
        lambda f: Text("The job's approval was renewed; decided by {by}.", by=f["by"]),
    ),
    "job.refused": ActionKind(
        "decisions",
        lambda f: Text(
            "The job was refused ({code}): {reason}", code=f["code"], reason=f["reason"]
        ),
    ),
    "bundle.approved": ActionKind(
        "decisions", lambda f: Text("Approved the code {digest}.", digest=f["digest"])
    ),
    "revenue.signed": ActionKind("decisions", _fixed("Signed a revenue agreement.")),
    "revenue.pinned": ActionKind("decisions", _fixed("A revenue agreement stands.")),
    "settlement.signed": ActionKind(
        "decisions", lambda f: Text("Signed in a settlement: {act}.", act=f["act"])
    ),
}
_GRANTS: Final[Mapping[str, ActionKind]] = {
    "grant.created": ActionKind("grants", lambda f: _granted(f.get("terms"))),
    "grant.revoked": ActionKind("grants", _fixed("Took a grant back."), warns=True),
    "grant.unlocked": ActionKind("grants", _fixed("Confirmed a restored grant again.")),
    "job.stopped": ActionKind(
        "grants", lambda f: Text("Stopped the job ({code}).", code=_said(f["code"])), warns=True
    ),
    "job.unreadable": ActionKind(
        "grants",
        lambda f: Text(
            "The job's row cannot be read; it was stopped all the same ({cause}).", cause=f["cause"]
        ),
        warns=True,
    ),
    "stop.set": ActionKind(
        "grants",
        lambda f: Text("Stopped {what} {name} here.", what=f["kind"], name=f["name"]),
        warns=True,
    ),
    "stop.lifted": ActionKind(
        "grants",
        lambda f: Text("Takes part in {what} {name} again.", what=f["kind"], name=f["name"]),
    ),
}
_PEOPLE: Final[Mapping[str, ActionKind]] = {
    "person.login": ActionKind("people", _fixed("Logged in.")),
    "person.login_failed": ActionKind("people", _fixed("A login failed."), warns=True),
    "person.logout": ActionKind("people", _fixed("Logged out.")),
    "person.recovery_code": ActionKind("people", _fixed("Used a recovery code."), warns=True),
    "person.added": ActionKind(
        "people",
        lambda f: Text("Made the account {name} ({roles}).", name=f["of"], roles=f["roles"]),
    ),
    "person.roles": ActionKind(
        "people", lambda f: Text("Gave {name} the roles {roles}.", name=f["of"], roles=f["roles"])
    ),
    "person.disabled": ActionKind(
        "people", lambda f: Text("Disabled the account {name}.", name=f["of"]), warns=True
    ),
    "person.enabled": ActionKind(
        "people", lambda f: Text("Enabled the account {name} again.", name=f["of"])
    ),
    "person.recovered": ActionKind(
        "people",
        lambda f: Text("Let {name} in again by the agent's uid.", name=f["of"]),
        warns=True,
    ),
    "person.reset": ActionKind(
        "people", lambda f: Text("Gave {name} another initial password.", name=f["of"])
    ),
    "person.bound": ActionKind(
        "people",
        lambda f: Text(
            "Let {name} log in at the provider {provider}.", name=f["of"], provider=f["provider"]
        ),
        warns=True,
    ),
    "person.unbound": ActionKind(
        "people",
        lambda f: Text(
            "No longer lets {name} log in at the provider {provider}.",
            name=f["of"],
            provider=f["provider"],
        ),
    ),
    "person.password": ActionKind("people", _fixed("Chose another password.")),
    "person.totp.enrolled": ActionKind("people", _fixed("Drew a secret for a second factor.")),
    "person.totp.confirmed": ActionKind("people", _fixed("Confirmed a second factor.")),
    "person.absent": ActionKind("people", lambda f: _absent(f.get("until", ""))),
    "person.delegated": ActionKind("people", lambda f: _delegated(f["to"], f.get("until", ""))),
}
_DATA: Final[Mapping[str, ActionKind]] = {
    "dataset.published": ActionKind(
        "data", lambda f: Text("Published the dataset {name}.", name=f["name"])
    ),
    "dataset.removed": ActionKind(
        "data", lambda f: Text("Withdrew the dataset {name}.", name=f["name"])
    ),
    "budget.limit": ActionKind(
        "data", lambda f: Text("Changed the limit of the budget {domain}.", domain=f["domain"])
    ),
    "budget.settled": ActionKind(
        "data", lambda f: Text("Unlocked the budget {domain}.", domain=f["domain"])
    ),
    "budget.not_settled": ActionKind(
        "data",
        lambda f: Text("The job's budget could not be settled ({code}).", code=f["code"]),
        warns=True,
    ),
    "probing.limit": ActionKind(
        "data", lambda f: Text("Changed the limit of tested ids of {domain}.", domain=f["domain"])
    ),
    "probing.settled": ActionKind(
        "data", lambda f: Text("Unlocked the limit of tested ids of {domain}.", domain=f["domain"])
    ),
    "probing.reserved": ActionKind(
        "data", lambda f: Text("Set ids of {domain} aside for the job.", domain=f["domain"])
    ),
    "probing.longer": ActionKind(
        "data",
        lambda f: Text("A list was longer than its party said ({domain}).", domain=f["domain"]),
        warns=True,
    ),
    "probing.voided": ActionKind(
        "data", lambda f: Text("Gave unused ids of {domain} back.", domain=f["domain"])
    ),
}
OUTCOMES: Final[Mapping[str, str]] = {
    "grant_revoked": "grant revoked",
    "project_stopped": "project stopped",
    "requester_blocked": "requester blocked",
    "record_set_back": "record set back",
}
"""How a job has ended here, beside what every job may: each has its Chinese."""


def _own_model(facts: Mapping[str, Any]) -> str:
    """Say how this organisation's own model does on its held-out rows."""
    if "own" not in facts or "shared" not in facts:
        return "Kept this organisation's own model; no row here measures it."
    return Text(
        "Kept this organisation's own model: loss {own} on its held-out rows, where the shared "
        "one has {shared}.",
        own=facts["own"],
        shared=facts["shared"],
    )


_JOBS: Final[Mapping[str, ActionKind]] = {
    "job.finished": ActionKind(
        "jobs", lambda f: Text("The job has ended here: {outcome}.", outcome=_said(f["outcome"]))
    ),
    "job.not_measured": ActionKind(
        "jobs", _fixed("Too few rows here to measure how good the model is.")
    ),
    "job.own_model": ActionKind("jobs", _own_model),
    "job.row_refused": ActionKind("jobs", _fixed("A row did not fit its declaration."), warns=True),
    "bundle.failed": ActionKind(
        "jobs", lambda f: Text("The job's code failed ({code}).", code=f["code"]), warns=True
    ),
    "enclave.verified": ActionKind(
        "jobs", lambda f: Text("Verified the enclave: {verdict}", verdict=f["verdict"])
    ),
    "update.made": ActionKind(
        "jobs",
        lambda f: Text(
            "Made an update for round {round}, sealed to the enclave.", round=f["round"]
        ),
    ),
    "update.masked": ActionKind(
        "jobs", lambda f: Text("Made a masked update for round {round}.", round=f["round"])
    ),
    "vote.cast": ActionKind(
        "jobs", lambda f: Text("Voted on the sum of round {round}.", round=f["round"])
    ),
    "attempt.entered": ActionKind("jobs", _fixed("Entered a computation with the other parties.")),
    "attempt.peers": ActionKind("jobs", _fixed("Kept what the other parties signed.")),
    "attempt.ended": ActionKind("jobs", _fixed("A computation with the other parties has ended.")),
    "psi.keys": ActionKind("jobs", _fixed("Listed the keys of the rows for an intersection.")),
    "step.signed": ActionKind("jobs", _fixed("Signed what a step of the pipeline gave.")),
    "result.kept": ActionKind("jobs", _fixed("Kept its own result of the job.")),
    "result.received": ActionKind("jobs", _fixed("Received results of the other parties.")),
    "result.removed": ActionKind("jobs", _fixed("Removed a kept result.")),
    "accused": ActionKind(
        "jobs", lambda f: Text("Signed an accusation ({code}).", code=f["code"]), warns=True
    ),
}
_AGENT: Final[Mapping[str, ActionKind]] = {
    "alarm": ActionKind(
        "agent", lambda f: Text("Raised an alarm ({code}).", code=f["code"]), warns=True
    ),
    "anchor.untrusted": ActionKind(
        "agent",
        lambda f: Text("The place {place} is not to be trusted.", place=f["place"]),
        warns=True,
    ),
    "anchor.voted": ActionKind(
        "agent",
        lambda f: Text("Voted at {place} ({kind}).", place=f["place"], kind=f["entry"]["kind"]),
    ),
    "alarm.cleared": ActionKind("agent", _fixed("Cleared the alarm."), warns=True),
    "policy.saved": ActionKind(
        "agent", lambda f: Text("Saved the policy file {name}.", name=f["name"]), warns=True
    ),
    "settings.reloaded": ActionKind("agent", _fixed("Applied the edited settings.")),
    "charter.pinned": ActionKind("agent", _fixed("Pinned a charter.")),
    "charter.signed": ActionKind("agent", _fixed("Signed a charter.")),
    "agent.restored": ActionKind("agent", _fixed("Was restored from a backup."), warns=True),
    "record.taken_in": ActionKind(
        "agent", _fixed("Took own entries in that the record lacked."), warns=True
    ),
    "log.continued": ActionKind("agent", _fixed("Follows the ledger's continuation.")),
    "log.submitted_again": ActionKind(
        "agent", _fixed("Submitted entries again that the ledger lost.")
    ),
    "log.set_back": ActionKind("agent", _fixed("The ledger was set back."), warns=True),
    "log.whole": ActionKind("agent", _fixed("The ledger is whole again.")),
}
ACTIONS: Final[Mapping[str, ActionKind]] = {
    **_DECISIONS, **_GRANTS, **_PEOPLE, **_DATA, **_JOBS, **_AGENT
}  # fmt: skip
"""Every action that the agent notes, by name."""


def names_of(group: str) -> list[str]:
    """Return the actions of a group; none for no group: then all are wanted."""
    return [name for name, one in ACTIONS.items() if one.group == group]


def told(action: str, facts: Mapping[str, Any], people: Mapping[str, str]) -> str:
    """Say an action in words; one that is not in the table, or damaged, by its name.

    Args:
        action: its name.
        facts: as the record has them.
        people: id → name, for the ids of persons among the facts.
    """
    kind = ACTIONS.get(action)
    try:
        return plain(action) if kind is None else kind.tell(_plain(facts, people))
    except KeyError:  # a fact that an older version did not note
        return plain(action)


def _plain(facts: Mapping[str, Any], people: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, str) and name in members(facts.get("texts")):
            made[name] = plain(text_in(facts, name))  # a sentence of ours, and what it was made of
        elif isinstance(value, list | tuple):
            made[name] = ", ".join(texts(value))
        elif isinstance(value, str):
            made[name] = plain(people.get(value, value) if name in ("of", "to") else value)
        elif isinstance(value, int | float):
            made[name] = figure(value) if name != "until" else value
        else:
            made[name] = value
    return made


def _decided(by: str) -> str:
    """Return by whom a job was approved; a person's decision with the note that was left."""
    who, _, note = by.partition(": ")
    if who in ("a person", "two people") and note:
        return Text("{who} ({note})", who=who, note=note)
    return by


def _said(code: str) -> str:
    """Return a code as words."""
    return OUTCOMES.get(code) or code.replace("_", " ")


def _granted(terms: Any) -> str:
    found = members(terms)
    return Text(
        "Made a grant for {dataset} in {project}.",
        dataset=plain(found.get("dataset")),
        project=plain(found.get("project")),
    )


def _absent(until: Any) -> str:
    if not second(until):
        return "Is back."
    return Text("Is away until {day}.", day=day(second(until)))


def _delegated(to: str, until: Any) -> str:
    if not second(until):
        return Text("Lets {name} no longer decide in the same place.", name=to)
    return Text(
        "Lets {name} decide in the same place until {day}.", name=to, day=day(second(until))
    )

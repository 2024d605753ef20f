"""The catalogue of what an agent tells its owner of, from its own record (`domain.notifications`).

The names of jobs come from the centre: like every fact they are told only if they look like ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from secureflow.domain.notifications import Facts, NotificationKind, Severity
from secureflow.kit.text import Text

_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

_REQUESTS = (
    NotificationKind(
        "request_waiting",
        _WARNING,
        ("job", "item"),
        "",
        "",
        lambda f: Text(
            "A request of job {job} waits for your decision ({item}): secureflow agent inbox list.",
            job=f["job"],
            item=f["item"],
        ),
    ),
    NotificationKind(
        "question_answered",
        _WARNING,
        ("job", "item"),
        "",
        "",
        lambda f: Text(
            "Your question about job {job} was answered: secureflow agent inbox show {item}.",
            job=f["job"],
            item=f["item"],
        ),
    ),
    NotificationKind(
        "request_approved",
        _INFO,
        ("job",),
        "",
        "",
        lambda f: Text("This agent approved job {job}.", job=f["job"]),
    ),
    NotificationKind(
        "request_refused",
        _INFO,
        ("job", "code"),
        "",
        "",
        lambda f: Text("This agent refused job {job} ({code}).", job=f["job"], code=f["code"]),
    ),
    NotificationKind(
        "job_ended",
        _INFO,
        ("job", "outcome"),
        "",
        "",
        lambda f: Text("Job {job} has ended here: {outcome}.", job=f["job"], outcome=f["outcome"]),
    ),
    NotificationKind(
        "accused",
        _CRITICAL,
        ("job", "code"),
        "",
        "",
        lambda f: Text(
            "This agent signed an accusation in job {job} ({code}): see its evidence.",
            job=f["job"],
            code=f["code"],
        ),
    ),
)
_STATE = (
    NotificationKind(
        "alarm",
        _CRITICAL,
        ("code",),
        "",
        "",
        lambda f: Text(
            "This agent raised an alarm ({code}): secureflow agent status.",
            code=f["code"],
        ),
    ),
    NotificationKind(
        "alarm_cleared", _WARNING, (), "", "", lambda _: Text("The agent's alarm was cleared.")
    ),
    NotificationKind(
        "budget_low",
        _WARNING,
        ("domain", "percent"),
        "",
        "",
        lambda f: Text(
            "The privacy budget of {domain} has {percent}% left.",
            domain=f["domain"],
            percent=f["percent"],
        ),
    ),
    NotificationKind(
        "budget_not_settled",
        _WARNING,
        ("job", "code"),
        "",
        "",
        lambda f: Text(
            "The privacy budget of job {job} could not be settled ({code}): its whole charge "
            "stays.",
            job=f["job"],
            code=f["code"],
        ),
    ),
    NotificationKind(
        "certificate_expiring",
        _WARNING,
        ("days",),
        "",
        "",
        lambda _: Text(
            "The agent's link certificate ends within hours and was not renewed: secureflow agent "
            "doctor."
        ),
    ),
    NotificationKind(
        "settings_reloaded",
        _INFO,
        (),
        "",
        "",
        lambda _: Text("The agent's edited settings were applied."),
    ),
    NotificationKind(
        "agent_restored",
        _CRITICAL,
        (),
        "",
        "",
        lambda _: Text("The agent was restored from a backup."),
    ),
    NotificationKind(
        "test", _INFO, (), "", "", lambda _: Text("This is a test of the agent's notifications.")
    ),
)

_BY = ("account", "by")


def _account(name: str, severity: Severity, text: Callable[[Facts], Text]) -> NotificationKind:
    return NotificationKind(name, severity, _BY, "", "", text)


_ACCOUNTS = (
    _account(
        "account_made",
        _CRITICAL,
        lambda f: Text(
            "An account was made at this agent ({account}, by {by}): secureflow agent people list.",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "account_disabled",
        _WARNING,
        lambda f: Text(
            "The account {account} was disabled by {by}.", account=f["account"], by=f["by"]
        ),
    ),
    _account(
        "account_enabled",
        _CRITICAL,
        lambda f: Text(
            "The account {account} was enabled again by {by}.", account=f["account"], by=f["by"]
        ),
    ),
    _account(
        "account_roles",
        _CRITICAL,
        lambda f: Text(
            "The account {account} was given other roles by {by}: secureflow agent people list.",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "account_reset",
        _CRITICAL,
        lambda f: Text(
            "The account {account} was given another password by {by}.",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "second_factor_removed",
        _CRITICAL,
        lambda f: Text(
            "The account {account} was given another password by {by}, and its second factor was "
            "removed.",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "account_recovered",
        _CRITICAL,
        lambda f: Text(
            "The account {account} was let in again by whoever has this agent's uid ({by}).",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "account_bound",
        _CRITICAL,
        lambda f: Text(
            "Somebody of an identity provider acts as the account {account} from now on (by {by}).",
            account=f["account"],
            by=f["by"],
        ),
    ),
    _account(
        "account_unbound",
        _WARNING,
        lambda f: Text(
            "Nobody of an identity provider acts as the account {account} any more (by {by}).",
            account=f["account"],
            by=f["by"],
        ),
    ),
)
_GRANTS = (
    NotificationKind(
        "grant_made",
        _WARNING,
        ("grant", "by"),
        "",
        "",
        lambda f: Text(
            "A grant was made or confirmed at this agent by {by}: secureflow agent grant show "
            "{grant}.",
            grant=f["grant"],
            by=f["by"],
        ),
    ),
    NotificationKind(
        "grant_revoked",
        _WARNING,
        ("grant", "by"),
        "",
        "",
        lambda f: Text("The grant {grant} was revoked by {by}.", grant=f["grant"], by=f["by"]),
    ),
    NotificationKind(
        "grant_unlocked",
        _WARNING,
        ("grant", "by"),
        "",
        "",
        lambda f: Text(
            "The grant {grant} was confirmed again after a restore by {by}.",
            grant=f["grant"],
            by=f["by"],
        ),
    ),
    NotificationKind(
        "grant_expiring",
        _WARNING,
        ("grant", "days"),
        "",
        "",
        lambda f: Text(
            "The grant {grant} ends in {days} days: secureflow agent grant show {grant}.",
            grant=f["grant"],
            days=f["days"],
        ),
    ),
    NotificationKind(
        "stop_set",
        _WARNING,
        ("kind", "name", "by"),
        "",
        "",
        lambda f: Text(
            "The {kind} {name} was stopped at this agent by {by}: secureflow agent {kind} list.",
            kind=f["kind"],
            name=f["name"],
            by=f["by"],
        ),
    ),
    NotificationKind(
        "stop_lifted",
        _WARNING,
        ("kind", "name", "by"),
        "",
        "",
        lambda f: Text(
            "The {kind} {name} is no longer stopped at this agent (by {by}).",
            kind=f["kind"],
            name=f["name"],
            by=f["by"],
        ),
    ),
    NotificationKind(
        "job_unreadable",
        _CRITICAL,
        ("job",),
        "",
        "",
        lambda f: Text(
            "The row of job {job} in this agent's record cannot be read: secureflow agent check.",
            job=f["job"],
        ),
    ),
)
_OFTEN = (
    NotificationKind(
        "repeated",
        _WARNING,
        ("kind", "code", "count"),
        "",
        "",
        lambda f: Text(
            "And {count} more within an hour: {kind} ({code}). See secureflow agent log.",
            count=f["count"],
            kind=f["kind"],
            code=f["code"],
        ),
    ),
)

_PLACES = (
    NotificationKind(
        "anchor_forged",
        _WARNING,
        ("sender", "place"),
        "",
        "",
        lambda f: Text(
            "{sender} anchored a head at {place} that the log never signed: it lies. See "
            "secureflow agent anchor list.",
            sender=f["sender"],
            place=f["place"],
        ),
    ),
    NotificationKind(
        "anchor_forked",
        _WARNING,
        ("sender", "place", "entry"),
        "",
        "",
        lambda f: Text(
            "What {sender} anchored at {place} contradicts what was anchored there before "
            "({entry}): compare it with the other members.",
            sender=f["sender"],
            place=f["place"],
            entry=f["entry"],
        ),
    ),
    NotificationKind(
        "anchor_unproved",
        _WARNING,
        ("sender", "place"),
        "",
        "",
        lambda f: Text(
            "The log signed a head that {sender} anchored at {place}, and for an hour the centre "
            "has not proved that it is of the log that this agent sees: it may show its members "
            "different ones. Compare with {sender}: secureflow agent anchor heads.",
            sender=f["sender"],
            place=f["place"],
        ),
    ),
    NotificationKind(
        "anchor_untrusted",
        _WARNING,
        ("place",),
        "",
        "",
        lambda f: Text(
            "Members of the place {place} are not those of the pinned charter, and nothing that it "
            "keeps counts: secureflow agent anchor doctor.",
            place=f["place"],
        ),
    ),
)

AGENT_KINDS: Final[Mapping[str, NotificationKind]] = {
    kind.name: kind for kind in (*_REQUESTS, *_STATE, *_ACCOUNTS, *_GRANTS, *_PLACES, *_OFTEN)
}
"""Every kind that an agent tells of, by name."""
SECURITY_KINDS: Final = frozenset(kind.name for kind in (*_ACCOUNTS, *_GRANTS))
"""Kinds about who may do what here: no setting silences them, and they are never counted up."""

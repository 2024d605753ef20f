"""The catalogue of what an agent tells its owner of, from its own record (`domain.notifications`).

The names of jobs come from the centre: like every fact they are told only if they look like ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.domain.notifications import NotificationKind, Severity
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
        lambda f: Text(
            "The agent's link certificate ends in {days} days and was not renewed: secureflow "
            "agent doctor.",
            days=f["days"],
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

AGENT_KINDS: Final[Mapping[str, NotificationKind]] = {
    kind.name: kind for kind in (*_REQUESTS, *_STATE)
}
"""Every kind that an agent tells of, by name."""

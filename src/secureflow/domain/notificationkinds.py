"""The catalogue of what the centre tells people of (`domain.notifications`).

A new kind is one entry here, its Chinese in the texts, and one line in the table of what becomes it
(`application.occurrences`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.domain.notifications import NotificationKind, Severity
from secureflow.kit.text import Text

ENTERED: Final = "account_entered"
"""That an account got another way in: the kind that tells its owner."""
_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

_JOBS = (
    NotificationKind(
        "job_proposed",
        _WARNING,
        ("job", "project", "organisation"),
        "job",
        "jobs",
        lambda f: Text(
            "Job {job} asks for your organisation's data: its agent decides, or waits for a person "
            "there.",
            job=f["job"],
        ),
    ),
    NotificationKind(
        "job_approved",
        _INFO,
        ("job", "project"),
        "job",
        "jobs",
        lambda f: Text("Every data owner approved job {job}: it has started.", job=f["job"]),
    ),
    NotificationKind(
        "job_refused",
        _WARNING,
        ("job", "project", "code"),
        "job",
        "jobs",
        lambda f: Text(
            "Job {job} was refused by a data owner ({code}).", job=f["job"], code=f["code"]
        ),
    ),
    NotificationKind(
        "job_succeeded",
        _INFO,
        ("job", "project"),
        "job",
        "jobs",
        lambda f: Text("Job {job} has succeeded.", job=f["job"]),
    ),
    NotificationKind(
        "job_failed",
        _WARNING,
        ("job", "project", "code"),
        "job",
        "jobs",
        lambda f: Text("Job {job} has failed ({code}).", job=f["job"], code=f["code"]),
    ),
    NotificationKind(
        "job_cancelled",
        _INFO,
        ("job", "project"),
        "job",
        "jobs",
        lambda f: Text("Job {job} was cancelled.", job=f["job"]),
    ),
    NotificationKind(
        "question_asked",
        _WARNING,
        ("job", "organisation", "number", "project"),
        "job",
        "jobs",
        lambda f: Text(
            "{organisation} asks something about job {job}, and waits for the answer: secureflow "
            "job questions {job}.",
            organisation=f["organisation"],
            job=f["job"],
        ),
    ),
    NotificationKind(
        "accusation",
        _CRITICAL,
        ("job", "organisation"),
        "job",
        "jobs",
        lambda f: Text(
            "{organisation} signed an accusation in job {job}: the job's record says of whom.",
            organisation=f["organisation"],
            job=f["job"],
        ),
    ),
)
_PROJECTS = (
    NotificationKind(
        "project_invitation",
        _WARNING,
        ("project", "organisation"),
        "project",
        "projects",
        lambda f: Text(
            "{organisation} is invited to project {project}: an administrator accepts or declines.",
            organisation=f["organisation"],
            project=f["project"],
        ),
    ),
    NotificationKind(
        "member_joined",
        _INFO,
        ("project", "organisation"),
        "project",
        "projects",
        lambda f: Text(
            "{organisation} joined project {project}.",
            organisation=f["organisation"],
            project=f["project"],
        ),
    ),
    NotificationKind(
        "member_left",
        _WARNING,
        ("project", "organisation"),
        "project",
        "projects",
        lambda f: Text(
            "{organisation} left project {project}, or declined its invitation.",
            organisation=f["organisation"],
            project=f["project"],
        ),
    ),
    NotificationKind(
        "grant_created",
        _INFO,
        ("grant", "dataset", "project", "organisation"),
        "project",
        "projects",
        lambda f: Text(
            "{organisation} granted dataset {dataset} to project {project} ({grant}).",
            organisation=f["organisation"],
            dataset=f["dataset"],
            project=f["project"],
            grant=f["grant"],
        ),
    ),
    NotificationKind(
        "grant_revoked",
        _WARNING,
        ("grant", "dataset", "project", "organisation"),
        "project",
        "projects",
        lambda f: Text(
            "{organisation} revoked grant {grant} of dataset {dataset} to project {project}.",
            organisation=f["organisation"],
            grant=f["grant"],
            dataset=f["dataset"],
            project=f["project"],
        ),
    ),
    NotificationKind(
        "grant_expiring",
        _WARNING,
        ("grant", "dataset", "project", "organisation", "days"),
        "project",
        "projects",
        lambda f: Text(
            "Grant {grant} of dataset {dataset} to project {project} ends in {days} days.",
            grant=f["grant"],
            dataset=f["dataset"],
            project=f["project"],
            days=f["days"],
        ),
    ),
)
_PARTIES = (
    NotificationKind(
        "agent_enrolled",
        _WARNING,
        ("agent", "organisation"),
        "",
        "",
        lambda f: Text(
            "The agent {agent} was enrolled for {organisation}.",
            agent=f["agent"],
            organisation=f["organisation"],
        ),
    ),
    NotificationKind(
        "agent_revoked",
        _CRITICAL,
        ("agent", "organisation"),
        "",
        "",
        lambda f: Text(
            "The agent {agent} of {organisation} was revoked.",
            agent=f["agent"],
            organisation=f["organisation"],
        ),
    ),
    NotificationKind(
        "agent_down",
        _WARNING,
        ("agent", "organisation", "minutes"),
        "",
        "",
        lambda f: Text(
            "The agent {agent} of {organisation} has had no link to the centre for {minutes} "
            "minutes.",
            agent=f["agent"],
            organisation=f["organisation"],
            minutes=f["minutes"],
        ),
    ),
    NotificationKind(
        "agent_up",
        _INFO,
        ("agent", "organisation"),
        "",
        "",
        lambda f: Text(
            "The agent {agent} of {organisation} has its link again.",
            agent=f["agent"],
            organisation=f["organisation"],
        ),
    ),
    NotificationKind(
        "charter_proposed",
        _WARNING,
        ("digest", "version"),
        "",
        "",
        lambda f: Text(
            "Version {version} of the charter waits for signatures ({digest}).",
            version=f["version"],
            digest=f["digest"],
        ),
    ),
    NotificationKind(
        "charter_adopted",
        _INFO,
        ("digest",),
        "",
        "",
        lambda f: Text("The charter {digest} was adopted.", digest=f["digest"]),
    ),
    NotificationKind(
        "log_set_back",
        _CRITICAL,
        ("origin",),
        "",
        "",
        lambda f: Text(
            "The log {origin} was set back and is held: nothing is recorded until it continues.",
            origin=f["origin"],
        ),
    ),
)
_PEOPLE = (
    NotificationKind(
        "account_created",
        _INFO,
        ("user", "organisation"),
        "user",
        "users",
        lambda f: Text(
            "The account {user} was created in {organisation}.",
            user=f["user"],
            organisation=f["organisation"],
        ),
    ),
    NotificationKind(
        "account_changed",
        _CRITICAL,
        ("user", "by"),
        "user",
        "users",
        lambda f: Text(
            "{by} changed your account {user}: its roles, its password or whether it is disabled.",
            by=f["by"],
            user=f["user"],
        ),
    ),
    NotificationKind(
        "people_changed",
        _WARNING,
        ("user", "organisation", "by", "what"),
        "user",
        "users",
        lambda f: Text(
            "{by} changed the account {user} of {organisation}: {what}.",
            by=f["by"],
            user=f["user"],
            organisation=f["organisation"],
            what=f["what"],
        ),
    ),
    NotificationKind(
        ENTERED,
        _CRITICAL,
        ("user", "what", "by"),
        "user",
        "users",
        lambda f: Text(
            "Who gets into your account {user} has changed: {what}. If it was not you, change your "
            "password, end what you do not know, and tell your administrator.",
            user=f["user"],
            what=f["what"],
        ),
        security=True,
    ),
    NotificationKind(
        "login_from_new_place",
        _CRITICAL,
        ("user", "method", "login"),
        "user",
        "users",
        lambda f: Text(
            "Your account {user} was logged in to ({method}) from a network or with a program that "
            "was new for it: {login}. If it was not you, change your password.",
            user=f["user"],
            method=f["method"],
            login=f["login"],
        ),
        security=True,
    ),
    NotificationKind(
        "password_known",
        _CRITICAL,
        ("user", "count"),
        "user",
        "users",
        lambda f: Text(
            "Somebody gave the password of your account {user}, but no code of its second factor "
            "({count} times). If it was not you, change your password.",
            user=f["user"],
            count=f["count"],
        ),
        security=True,
    ),
    NotificationKind(
        "token_expiring",
        _WARNING,
        ("token", "days"),
        "",
        "",
        lambda f: Text(
            "Your token {token} expires in {days} days.", token=f["token"], days=f["days"]
        ),
    ),
    NotificationKind(
        "webhook_failed",
        _WARNING,
        ("webhook", "organisation", "code"),
        "",
        "",
        lambda f: Text(
            "The webhook {webhook} could not be delivered to ({code}).",
            webhook=f["webhook"],
            code=f["code"],
        ),
    ),
    NotificationKind(
        "test",
        _INFO,
        ("webhook",),
        "",
        "",
        lambda f: Text("This is a test of the webhook {webhook}.", webhook=f["webhook"]),
    ),
)

KINDS: Final[Mapping[str, NotificationKind]] = {
    kind.name: kind for kind in (*_JOBS, *_PROJECTS, *_PARTIES, *_PEOPLE)
}
"""Every kind that the centre tells of, by name."""

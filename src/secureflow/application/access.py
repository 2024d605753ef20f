"""Who may do what, and who may see what.

Two rules, kept apart on purpose:
- *authority* is a table: action → roles, those of the platform and those in a project. Where no
  project is concerned it depends on the caller only, so a refusal (`forbidden`) says nothing about
  any object. In a project in which the caller's organisation has named people, the roles there
  decide actions that have any (`permit`); its administrators keep what the platform's role allows;
- *visibility* belongs to objects: anything outside the caller's organisation and projects does not
  exist for them (`not_found`, never `forbidden`), so ids cannot be probed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.scopes import EVERYTHING, covers, require_scope
from secureflow.domain.jobs import Job
from secureflow.domain.projects import Project, ProjectRole, ProjectState
from secureflow.domain.users import Role, Scope
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_PLATFORM: Final = frozenset({Role.PLATFORM_ADMIN})
_ADMINS: Final = frozenset({Role.PLATFORM_ADMIN, Role.ORGANISATION_ADMIN})
_OWNERS: Final = frozenset({Role.ORGANISATION_ADMIN, Role.DATA_OWNER})
_PLANNERS: Final = frozenset({Role.ORGANISATION_ADMIN, Role.DATA_SCIENTIST})
_EVERYONE: Final = frozenset(Role)
_SCIENTISTS: Final = frozenset({Role.DATA_SCIENTIST})
_LEAD: Final = frozenset({ProjectRole.LEAD})
_WORKERS: Final = frozenset({ProjectRole.LEAD, ProjectRole.SCIENTIST})

ACTIONS: Final[dict[str, frozenset[Role | ProjectRole]]] = {
    "user.read": _ADMINS | {Role.AUDITOR},
    "user.create": _ADMINS,
    "user.update": _ADMINS,
    "user.erase": _ADMINS,
    "user.tokens": _ADMINS,
    "user.reset_second_factor": _ADMINS,
    "organisation.read": _EVERYONE,
    "organisation.create": _PLATFORM,
    "organisation.disable": _PLATFORM,
    "agent.read": _EVERYONE,
    "agent.revoke": _ADMINS,
    "enrolment.read": _ADMINS,
    "enrolment.create": _ADMINS,
    "charter.read": _EVERYONE,
    "charter.propose": _PLATFORM,
    "charter.sign": _ADMINS,
    "project.read": _EVERYONE,
    "project.create": _PLANNERS,
    "project.invite": _PLANNERS | _LEAD,
    "project.join": frozenset({Role.ORGANISATION_ADMIN}),
    "project.change": _PLANNERS | _LEAD,
    "project.freeze": _ADMINS | _LEAD,
    "project.archive": frozenset({Role.ORGANISATION_ADMIN}) | _LEAD,
    "project.name": frozenset({Role.ORGANISATION_ADMIN}) | _LEAD,
    "dataset.read": _EVERYONE,
    "dataset.remove": _OWNERS,
    "grant.read": _EVERYONE,
    "grant.create": _OWNERS,
    "grant.revoke": _OWNERS,
    "job.read": _EVERYONE,
    "job.submit": _SCIENTISTS | _WORKERS,
    "job.answer": _SCIENTISTS | _WORKERS,
    "job.cancel": (_EVERYONE - {Role.AUDITOR}) | _WORKERS,
    "job.prioritise": _ADMINS | _SCIENTISTS,
    "job.resume": (_EVERYONE - {Role.AUDITOR}) | _WORKERS,
    "timetable.pause": (_EVERYONE - {Role.AUDITOR}) | _WORKERS,
    "timetable.resume": (_EVERYONE - {Role.AUDITOR}) | _WORKERS,
    "model.read": _EVERYONE,
    "model.upload": _SCIENTISTS | _WORKERS,
    "model.download": _OWNERS | {Role.DATA_SCIENTIST},
    "upload.remove": _PLANNERS | _PLATFORM,
    "bundle.upload": _SCIENTISTS | _WORKERS,
    "bundle.read": _EVERYONE,
    "bundle.remove": _PLANNERS | _PLATFORM,
    "audit.read": _EVERYONE,
    "limit.read": _ADMINS | {Role.AUDITOR},
    "revenue.read": _EVERYONE,
    "revenue.draft": frozenset({Role.ORGANISATION_ADMIN}) | _LEAD,
    "settlement.open": frozenset({Role.ORGANISATION_ADMIN}) | _LEAD,
    "settlement.close": frozenset({Role.ORGANISATION_ADMIN}) | _LEAD,
    "webhook.read": _ADMINS,
    "webhook.create": frozenset({Role.ORGANISATION_ADMIN}),
    "webhook.remove": _ADMINS,
    "delivery.read": _ADMINS,
    "delivery.retry": _ADMINS,
}


@dataclass(frozen=True)
class Principal:
    """An authenticated caller: a user through a token, or through a session in a browser.

    `token` and `session` are their public ids; one of them is empty. `agent` tells that it is the
    organisation's own agent, which sees what any of its people may.
    """

    user: str
    name: str
    organisation: str
    roles: frozenset[Role]
    token: str
    session: str = ""
    agent: bool = False
    scopes: frozenset[Scope] = EVERYTHING

    @property
    def operator(self) -> bool:
        """Tell whether the caller administers the platform."""
        return Role.PLATFORM_ADMIN in self.roles

    def may(self, action: str) -> bool:
        """Tell whether one of the caller's roles allows the action, and the token covers it."""
        return bool(self.roles & ACTIONS[action]) and covers(self.scopes, action)

    def acts_for(self, organisation: str) -> bool:
        """Tell whether the caller belongs to the organisation (the operator to none)."""
        return bool(organisation) and self.organisation == organisation


def require(principal: Principal, action: str) -> None:
    """Refuse a caller whose roles do not allow the action, or whose token does not cover it.

    Raises:
        SecureFlowError: `forbidden`, `scope_too_narrow`.
    """
    require_own(principal, action)
    if not principal.may(action):
        wanted = ", ".join(sorted(role for role in ACTIONS[action] if isinstance(role, Role)))
        raise SecureFlowError(
            "forbidden",
            Text("{name} may not do this ({action}).", name=principal.name, action=action),
            Text(
                "This needs one of the roles: {wanted}. Ask an administrator of your organisation.",
                wanted=wanted,
            ),
            {"action": action},
        )


def require_own(principal: Principal, action: str) -> None:
    """Refuse a token that does not cover an action that everybody may do on what is their own.

    Raises:
        SecureFlowError: `scope_too_narrow`.
    """
    require_scope(principal.name, principal.scopes, action)


async def permit(work: UnitOfWork, principal: Principal, action: str, project: str) -> None:
    """Refuse a caller whose roles do not allow the action in a project.

    In a project that the caller takes no part in it is `require`: a refusal tells nothing of it.

    Raises:
        SecureFlowError: `forbidden`, `scope_too_narrow`.
    """
    found = await work.projects.find(project) if project else None
    if found is None or not found.has_member(principal.organisation):
        require(principal, action)
    else:
        permit_in(found, principal, action)


def permit_in(project: Project, principal: Principal, action: str) -> None:
    """Refuse a member's person whose roles do not allow the action in the project.

    A role in a project widens no token: its scope must cover the action as everywhere.

    Raises:
        SecureFlowError: `forbidden`, naming who can give the role; `scope_too_narrow`.
    """
    require_own(principal, action)
    row = ACTIONS[action]
    wanted = sorted(role.value for role in row if isinstance(role, ProjectRole))
    if not wanted or not project.named_by(principal.organisation):
        require(principal, action)
    elif Role.ORGANISATION_ADMIN in principal.roles & row or project.roles_of(principal.user) & row:
        return
    else:
        raise SecureFlowError(
            "forbidden",
            Text(
                "{name} has no role in {project} that allows this ({action}).",
                name=principal.name,
                project=project.id,
                action=action,
            ),
            Text(
                "This needs one of the project's roles: {wanted}. A lead or an administrator of "
                "{organisation} gives it: secureflow project people set.",
                wanted=", ".join(wanted),
                organisation=principal.organisation,
            ),
            {"action": action, "project": project.id},
        )


def missing(noun: str, key: str) -> SecureFlowError:
    """Return the same error for missing objects and for objects that the caller must not see."""
    return SecureFlowError(
        "not_found",
        Text("There is no {noun} {key!r:.100} that you can see.", noun=noun, key=key),
        Text("List the {noun}s that you can see; membership and grants decide which.", noun=noun),
        {"noun": noun},
    )


async def visible_project(work: UnitOfWork, principal: Principal, key: str) -> Project:
    """Return a project of which the caller's organisation is an active or invited member.

    Raises:
        SecureFlowError: `not_found`.
    """
    project = await work.projects.find(key)
    if project is None or not sees_project(principal, project):
        raise missing("project", key)
    return project


def sees_project(principal: Principal, project: Project) -> bool:
    """Tell whether the caller may know of the project."""
    return principal.operator or project.has_member(principal.organisation, active=False)


async def active_project(work: UnitOfWork, principal: Principal, key: str) -> Project:
    """Return a project in which the caller's organisation takes part.

    Raises:
        SecureFlowError: `not_found`, or `not_a_member` for one that is only invited.
    """
    project = await visible_project(work, principal, key)
    if not project.has_member(principal.organisation):
        raise SecureFlowError(
            "not_a_member",
            Text(
                "{organisation} is not an active member of {id}.",
                organisation=principal.organisation or "The operator",
                id=project.id,
            ),
            "An organisation admin must accept the invitation first.",
        )
    if project.closed is not None:
        raise archived(project)
    return project


def archived(project: Project) -> SecureFlowError:
    """Return the error for changes of an archived project."""
    return SecureFlowError(
        "project_closed",
        Text("The project {id} is archived.", id=project.id),
        "It can be read and verified; new work needs a new project.",
    )


async def working_project(work: UnitOfWork, principal: Principal, key: str, now: int) -> Project:
    """Return a project in which the caller's organisation may start jobs at `now` (unix seconds).

    Raises:
        SecureFlowError: as `active_project`; `project_frozen`, `project_ended`.
    """
    project = await active_project(work, principal, key)
    check_working(project, now)
    return project


def check_working(project: Project, now: int) -> None:
    """Refuse to run jobs in a project that is archived, frozen or over at `now` (unix seconds).

    Raises:
        SecureFlowError: `project_closed`, `project_frozen`, `project_ended`.
    """
    state = project.state_at(now)
    if project.closed is not None:
        raise archived(project)
    if state is ProjectState.FROZEN and project.frozen is not None:
        raise SecureFlowError(
            "project_frozen",
            Text(
                "The project {id} is frozen by {organisation}.",
                id=project.id,
                organisation=project.frozen.organisation or "The operator",
            ),
            Text("Once it is thawed jobs can run: secureflow project show {id}.", id=project.id),
        )
    if state is ProjectState.ENDED:
        raise SecureFlowError(
            "project_ended",
            Text("The project {id} has reached its end date.", id=project.id),
            Text(
                "A lead of {organisation} can set a later one: secureflow project change {id} "
                "--ends DATE.",
                organisation=project.organisation,
                id=project.id,
            ),
        )


def sees_work_in(principal: Principal, project: Project) -> bool:
    """Tell whether the caller sees jobs, models and records of the project."""
    if principal.operator:
        return True
    if not project.has_member(principal.organisation):
        return False
    named = principal.agent or Role.ORGANISATION_ADMIN in principal.roles
    return not project.restricted or named or bool(project.roles_of(principal.user))


async def seen_projects(
    work: UnitOfWork, principal: Principal, only: str = ""
) -> dict[str, list[str]] | None:
    """Return the project filter for the caller's lists; None if the caller sees nothing.

    It is empty for the operator, who sees everything. An organisation sees what belongs to projects
    in which it is *active*; an invitation shows the project, but not its work yet.

    Raises:
        SecureFlowError: `not_found` for a project that the caller cannot see.
    """
    if only:
        project = await visible_project(work, principal, only)
        return {"project": [project.id]} if sees_work_in(principal, project) else None
    if principal.operator:
        return {}
    if not principal.organisation:
        return None
    mine = await list_readable(work.projects, active=principal.organisation)
    shown = [project.id for project in mine if sees_work_in(principal, project)]
    return {"project": shown} if shown else None


async def sees_work_of(work: UnitOfWork, principal: Principal, project: str) -> bool:
    """Tell whether the caller sees jobs, models and records of the project."""
    if principal.operator:
        return True
    found = await work.projects.find(project)
    return found is not None and sees_work_in(principal, found)


async def visible_job(work: UnitOfWork, principal: Principal, key: str) -> Job:
    """Return a job that the caller may see.

    Raises:
        SecureFlowError: `not_found`.
    """
    job = await work.jobs.find(key)
    if job is None or not await sees_work_of(work, principal, job.project):
        raise missing("job", key)
    return job

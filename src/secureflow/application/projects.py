"""Projects: organisations that share a purpose. One creates it, others accept its invitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from secureflow.application.access import (
    Principal,
    active_project,
    archived,
    missing,
    permit,
    require,
    visible_project,
)
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.projectstops import ProjectStops, lock_project
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.projects import (
    Membership,
    MemberState,
    Project,
    ProjectPerson,
    ProjectRole,
)
from secureflow.domain.projecttemplates import template_of
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Projects:
    """Use cases around projects and their members; `stops` ends what members left behind."""

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        clock: Clock,
        quotas: Quotas,
        stops: ProjectStops,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._quotas = quotas
        self._stops = stops

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        purpose: str,
        description: str = "",
        ends: int | None = None,
        restricted: bool = False,
        template: str = "",
    ) -> Project:
        """Create a project; the caller's organisation is its first member.

        Args:
            principal: who asks; the lead of a restricted project.
            name, purpose, description: what it is, and what data may be used for in it.
            ends: its end date in unix seconds, if it has one.
            restricted: whether only people with a role in it take part in it.
            template: the name of the template whose rules it keeps, if any.

        Raises:
            SecureFlowError: `forbidden`, `quota_exceeded`, `invalid_request` for a date in the
                past, `not_found` for an unknown template.
        """
        require(principal, "project.create")
        now = self._clock()
        check_end(ends, now)
        rules = template_of(template).rules if template else None
        restricted = restricted or (rules is not None and rules.restricted)
        lead = ProjectPerson(principal.user, principal.organisation, (ProjectRole.LEAD,), now)
        founder = Membership(principal.organisation, "active", now)
        project = Project(
            id=new_id("prj"),
            name=name,
            purpose=purpose,
            organisation=principal.organisation,
            members=(founder,),
            created=now,
            description=description,
            ends=ends,
            restricted=restricted,
            people=(lead,) if restricted else (),
            template=template,
            rules=rules,
        )
        async with self._transactions() as transaction:
            await self._quotas.another_project(transaction.work, project.organisation)
            await transaction.work.projects.add(project)
            document: dict[str, Any] = {"project": project.id, "purpose": purpose}
            document |= {"by": principal.user, "organisation": project.organisation}
            document |= {"ends": ends, "restricted": restricted, "template": template}
            transaction.record("project.created", document)
            transaction.answer(project)
        return project

    async def get(self, principal: Principal, key: str) -> Project:
        """Return a project of which the caller's organisation is a member or invited."""
        require(principal, "project.read")
        async with self._begin() as work:
            return await visible_project(work, principal, key)

    async def list(self, principal: Principal, *, cursor: str = "", limit: int = 50) -> Page:
        """Return the projects that the caller sees."""
        require(principal, "project.read")
        if not principal.operator and not principal.organisation:
            return Page([])
        equals = {} if principal.operator else {"member": principal.organisation}
        async with self._begin() as work:
            return await work.projects.list(cursor=cursor, limit=limit, **equals)

    async def invite(self, principal: Principal, key: str, organisation: str) -> Project:
        """Invite an organisation; only the founder may invite.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `already_exists`, `quota_exceeded`.
        """
        await self._stops.finish(key)
        async with self._transactions() as transaction:
            await permit(transaction.work, principal, "project.invite", key)
            project = await active_project(transaction.work, principal, key)
            if not principal.acts_for(project.organisation):
                raise SecureFlowError(
                    "forbidden",
                    Text(
                        "{organisation} did not found {id} and cannot invite.",
                        organisation=principal.organisation,
                        id=project.id,
                    ),
                    Text("Ask {organisation}.", organisation=project.organisation),
                )
            if await transaction.work.organisations.find(organisation) is None:
                raise missing("organisation", organisation)
            if project.has_member(organisation, active=False):
                raise SecureFlowError(
                    "already_exists",
                    Text(
                        "{organisation} is already a member or invited.", organisation=organisation
                    ),
                )
            await self._quotas.another_invitation(transaction.work, project)
            project = self._with(project, organisation, "invited")
            await transaction.work.projects.save(project)
            document = {"project": key, "organisation": organisation, "by": principal.user}
            transaction.record("member.invited", document)
            transaction.answer(project)
        return project

    async def accept(self, principal: Principal, key: str) -> Project:
        """Accept the caller's organisation's invitation."""
        require(principal, "project.join")
        async with self._transactions() as transaction:
            project = await visible_project(transaction.work, principal, key)
            if not project.has_member(principal.organisation, active=False):
                raise missing("project", key)
            if not project.has_member(principal.organisation):
                check_not_archived(project)
                project = self._with(project, principal.organisation, "active")
                await transaction.work.projects.save(project)
                document = {"project": key, "organisation": principal.organisation}
                transaction.record("member.joined", {**document, "by": principal.user})
            transaction.answer(project)
        return project

    async def leave(self, principal: Principal, key: str) -> Project:
        """Leave a project: with the membership end its grants, its people's roles, and its jobs.

        Its jobs are those that it submitted, and those that it contributes to. This works while
        the log is held.
        """
        require(principal, "project.join")
        async with self._transactions(held=True) as transaction:
            await lock_project(transaction.work, key)
            project = await visible_project(transaction.work, principal, key)
            if not project.has_member(principal.organisation, active=False):
                raise missing("project", key)
            project = self._with(project, principal.organisation, "left")
            stay = (one for one in project.people if one.organisation != principal.organisation)
            project = replace(project, people=tuple(stay))
            await transaction.work.projects.save(project)
            ended = await end_grants(
                transaction.work, key, self._clock(), organisation=principal.organisation
            )
            document = {"project": key, "organisation": principal.organisation, "grants": ended}
            transaction.record("member.left", {**document, "by": principal.user})
            transaction.answer(project)
        await self._stops.carry_out(key, principal.name)
        return project

    def _with(self, project: Project, organisation: str, state: MemberState) -> Project:
        others = tuple(m for m in project.members if m.organisation != organisation)
        return replace(project, members=(*others, Membership(organisation, state, self._clock())))


async def end_grants(work: UnitOfWork, project: str, now: int, **of: str) -> Sequence[str]:
    """End a project's grants, or those of one `organisation`; return their ids."""
    ended = []
    for grant in await list_readable(work.grants, project=project, state="granted", **of):
        await work.grants.save(replace(grant, revoked=now))
        ended.append(grant.id)
    return ended


def check_end(ends: int | None, now: int) -> None:
    """Refuse an end date that is not in the future (`invalid_request`)."""
    if ends is not None and ends <= now:
        raise SecureFlowError("invalid_request", "A project's end date must be in the future.")


def check_not_archived(project: Project) -> None:
    """Refuse changes of an archived project (`project_closed`)."""
    if project.closed is not None:
        raise archived(project)

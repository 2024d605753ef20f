"""Projects: organisations that share a purpose. One creates it, others accept its invitation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    require,
    visible_project,
)
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import Page, UnitOfWork, UnitOfWorkFactory
from secureflow.application.quotas import Quotas
from secureflow.application.transactions import Transactions
from secureflow.domain.ids import new_id
from secureflow.domain.projects import Membership, MemberState, Project
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class Projects:
    """Use cases around projects and their members."""

    def __init__(
        self, begin: UnitOfWorkFactory, transactions: Transactions, clock: Clock, quotas: Quotas
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._quotas = quotas

    async def create(
        self, principal: Principal, *, name: str, purpose: str, description: str = ""
    ) -> Project:
        """Create a project; the caller's organisation is its first member.

        Raises:
            SecureFlowError: `forbidden`, `quota_exceeded`.
        """
        require(principal, "project.create")
        now = self._clock()
        founder = Membership(principal.organisation, "active", now)
        project = Project(
            id=new_id("prj"),
            name=name,
            purpose=purpose,
            organisation=principal.organisation,
            members=(founder,),
            created=now,
            description=description,
        )
        async with self._transactions() as transaction:
            await self._quotas.another_project(transaction.work, project.organisation)
            await transaction.work.projects.add(project)
            document = {"project": project.id, "purpose": purpose, "by": principal.user}
            transaction.record(
                "project.created", {**document, "organisation": project.organisation}
            )
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
        require(principal, "project.invite")
        async with self._transactions() as transaction:
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
                project = self._with(project, principal.organisation, "active")
                await transaction.work.projects.save(project)
                document = {"project": key, "organisation": principal.organisation}
                transaction.record("member.joined", {**document, "by": principal.user})
            transaction.answer(project)
        return project

    async def leave(self, principal: Principal, key: str) -> Project:
        """Leave a project: the organisation's grants to it end with its membership."""
        require(principal, "project.join")
        async with self._transactions() as transaction:
            project = await visible_project(transaction.work, principal, key)
            if not project.has_member(principal.organisation, active=False):
                raise missing("project", key)
            project = self._with(project, principal.organisation, "left")
            await transaction.work.projects.save(project)
            ended = await self._end_grants(transaction.work, principal.organisation, key)
            document = {"project": key, "organisation": principal.organisation, "grants": ended}
            transaction.record("member.left", {**document, "by": principal.user})
            transaction.answer(project)
        return project

    async def _end_grants(self, work: UnitOfWork, organisation: str, project: str) -> Sequence[str]:
        ended = []
        for grant in await list_readable(
            work.grants, project=project, organisation=organisation, state="granted"
        ):
            await work.grants.save(replace(grant, revoked=self._clock()))
            ended.append(grant.id)
        return ended

    def _with(self, project: Project, organisation: str, state: MemberState) -> Project:
        others = tuple(m for m in project.members if m.organisation != organisation)
        return replace(project, members=(*others, Membership(organisation, state, self._clock())))

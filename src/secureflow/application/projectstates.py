"""The life cycle of projects: frozen and thawed, a later or earlier end, archived for good.

Only the founding organisation changes the state of its project; the operator may freeze any, and
what the operator froze only the operator thaws. Freezing and archiving only take rights away, and
so work while the log is held.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

from secureflow.application.access import Principal, permit, visible_project
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.projects import check_end, check_not_archived, end_grants
from secureflow.application.projectstops import ProjectStops, lock_project
from secureflow.application.transactions import Transactions
from secureflow.domain.projects import Freeze, Project, ProjectPerson, ProjectRole
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class ProjectStates:
    """Use cases that change the state of projects.

    Args:
        begin: starts units of work.
        transactions: opens transactions.
        clock: unix seconds.
        stops: cancels what may no longer run.
    """

    def __init__(
        self,
        begin: UnitOfWorkFactory,
        transactions: Transactions,
        clock: Clock,
        stops: ProjectStops,
    ) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock
        self._stops = stops

    async def freeze(self, principal: Principal, key: str, reason: str = "") -> Project:
        """Let no job run in a project until it is thawed; unfinished ones are cancelled.

        The reason is kept beside the project until then. The ledger, which nobody can erase, has
        only a salted commitment to it.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `project_closed`.
        """
        async with self._transactions(held=True) as transaction:
            project = await self._governed(transaction.work, principal, "project.freeze", key)
            if project.frozen is None:
                freeze = Freeze(
                    *(principal.organisation, principal.user, self._clock(), reason),
                    salt=secrets.token_hex(32) if reason else "",
                )
                project = replace(project, frozen=freeze)
                await transaction.work.projects.save(project)
                why = {"reason_commitment": freeze.commitment} if reason else {}
                transaction.record("project.frozen", _document(project, principal, **why))
            transaction.answer(project)
        await self._stops.carry_out(key, principal.name)
        return project

    async def thaw(self, principal: Principal, key: str) -> Project:
        """Let jobs run again; those that were cancelled must be submitted again.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `project_closed`.
        """
        await self._stops.finish(key)
        async with self._transactions() as transaction:
            project = await self._governed(transaction.work, principal, "project.freeze", key)
            if project.frozen is not None:
                if not project.frozen.organisation and not principal.operator:
                    raise SecureFlowError(
                        "forbidden",
                        Text("The operator froze {id}.", id=project.id),
                        "Only the operator thaws what it froze: ask for the reason.",
                    )
                project = replace(project, frozen=None)
                await transaction.work.projects.save(project)
                transaction.record("project.thawed", _document(project, principal))
            transaction.answer(project)
        return project

    async def archive(self, principal: Principal, key: str) -> Project:
        """Close a project for good: it stays readable and verifiable, its grants and jobs end.

        Raises:
            SecureFlowError: `forbidden`, `not_found`.
        """
        async with self._transactions(held=True) as transaction:
            project = await self._governed(
                transaction.work, principal, "project.archive", key, again=True
            )
            if project.closed is None:
                frozen = project.frozen and replace(project.frozen, reason="", salt="")
                project = replace(project, closed=self._clock(), frozen=frozen)
                await transaction.work.projects.save(project)
                ended = await end_grants(transaction.work, key, self._clock())
                transaction.record("project.archived", _document(project, principal, grants=ended))
            transaction.answer(project)
        await self._stops.carry_out(key, principal.name)
        return project

    async def change(
        self,
        principal: Principal,
        key: str,
        *,
        name: str | None = None,
        description: str | None = None,
        ends: int | None = None,
        restricted: bool | None = None,
    ) -> Project:
        """Change what may change of a project; what is None stays. Its purpose never changes.

        `ends` 0 removes the end date. A date moves in either direction, but not into the past. Who
        restricts a project in which their organisation named nobody leads it: else nobody would.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `project_closed`, `invalid_request`.
        """
        await self._stops.finish(key)
        async with self._transactions() as transaction:
            old = await self._governed(transaction.work, principal, "project.change", key)
            check_end(ends or None, self._clock())
            new = replace(
                old,
                name=old.name if name is None else name,
                description=old.description if description is None else description,
                ends=old.ends if ends is None else ends or None,
                restricted=old.restricted if restricted is None else restricted,
            )
            if new.restricted and not old.named_by(principal.organisation):
                new = replace(new, people=(*new.people, self._lead(principal)))
            if new != old:
                await transaction.work.projects.save(new)
                changed: dict[str, Any] = {"ends": new.ends, "restricted": new.restricted}
                if new.people != old.people:
                    changed["lead"] = principal.user
                transaction.record("project.changed", _document(new, principal, **changed))
            transaction.answer(new)
        return new

    def _lead(self, principal: Principal) -> ProjectPerson:
        lead = (ProjectRole.LEAD,)
        return ProjectPerson(principal.user, principal.organisation, lead, self._clock())

    async def _governed(
        self, work: UnitOfWork, principal: Principal, action: str, key: str, *, again: bool = False
    ) -> Project:
        """Return a project whose state the caller may change; `again`: also an archived one."""
        await lock_project(work, key)
        await permit(work, principal, action, key)
        project = await visible_project(work, principal, key)
        if not principal.operator and not principal.acts_for(project.organisation):
            raise SecureFlowError(
                "forbidden",
                Text(
                    "{organisation} did not found {id} and cannot change it.",
                    organisation=principal.organisation,
                    id=project.id,
                ),
                Text("Ask {organisation}.", organisation=project.organisation),
            )
        if not again:
            check_not_archived(project)
        return project


def _document(project: Project, principal: Principal, **more: Any) -> dict[str, Any]:
    return {
        "project": project.id,
        "organisation": principal.organisation,
        **more,
        "by": principal.user,
    }

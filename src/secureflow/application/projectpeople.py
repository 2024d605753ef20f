"""People of a project: each member organisation names which of its people have which role.

An organisation that has named nobody lets the roles of the platform decide, unless the project is
restricted. From the first person on, its unnamed people only look on (`application.access`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from secureflow.application.access import (
    Principal,
    active_project,
    missing,
    permit,
    require,
    sees_work_in,
    visible_project,
)
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.application.projectstops import lock_project
from secureflow.application.transactions import Transactions
from secureflow.domain.projects import NamedPerson, Project, ProjectPerson, ProjectRole
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError

MOST: Final = 1000
"""People of one project."""


class ProjectPeople:
    """Use cases around the roles of people in projects.

    Args:
        begin: starts units of work.
        transactions: opens transactions.
        clock: unix seconds.
    """

    def __init__(self, begin: UnitOfWorkFactory, transactions: Transactions, clock: Clock) -> None:
        self._begin = begin
        self._transactions = transactions
        self._clock = clock

    async def list(self, principal: Principal, key: str) -> Sequence[NamedPerson]:
        """Return the people of a project, with their roles.

        Who does not see its work, being only invited say, is told ids and no names.

        Raises:
            SecureFlowError: `not_found`.
        """
        require(principal, "project.read")
        async with self._begin() as work:
            project = await visible_project(work, principal, key)
            names = sees_work_in(principal, project)
            return [await _named(work, one, names=names) for one in project.people]

    async def set(
        self, principal: Principal, key: str, user: str, roles: Sequence[ProjectRole]
    ) -> Project:
        """Give a person of the caller's organisation exactly these roles in a project.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`,
                `invalid_roles`, `quota_exceeded`.
        """
        async with self._transactions() as transaction:
            project = await self._naming(transaction.work, principal, key)
            person = await transaction.work.users.find(user)
            if person is None or person.disabled or not principal.acts_for(person.organisation):
                raise missing("user", user)
            chosen = tuple(role for role in ProjectRole if role in roles)
            if not chosen:
                raise SecureFlowError("invalid_roles", "A person of a project needs a role in it.")
            named = ProjectPerson(user, person.organisation, chosen, self._clock())
            project = _with(project, user, named)
            if len(project.people) > MOST:
                raise SecureFlowError("quota_exceeded", "The project has too many people.")
            await transaction.work.projects.save(project)
            roles_given = [role.value for role in chosen]
            transaction.record(
                "person.named", _document(key, user, principal) | {"roles": roles_given}
            )
            transaction.answer(project)
        return project

    async def remove(self, principal: Principal, key: str, user: str) -> Project:
        """Take a person of the caller's organisation all roles in a project; repeated, no harm.

        This works while the log is held.

        Raises:
            SecureFlowError: `forbidden`, `not_found`, `not_a_member`, `project_closed`.
        """
        async with self._transactions(held=True) as transaction:
            project = await self._naming(transaction.work, principal, key)
            own = principal.organisation
            if any((one.user, one.organisation) == (user, own) for one in project.people):
                project = _with(project, user, None)
                await transaction.work.projects.save(project)
                transaction.record("person.removed", _document(key, user, principal))
            transaction.answer(project)
        return project

    async def _naming(self, work: UnitOfWork, principal: Principal, key: str) -> Project:
        """Return a project in which the caller may name people of the own organisation."""
        await lock_project(work, key)
        await permit(work, principal, "project.name", key)
        return await active_project(work, principal, key)


def _with(project: Project, user: str, named: ProjectPerson | None) -> Project:
    others = tuple(one for one in project.people if one.user != user)
    return replace(project, people=others if named is None else (*others, named))


async def _named(work: UnitOfWork, one: ProjectPerson, *, names: bool) -> NamedPerson:
    user = await work.users.find(one.user) if names else None
    name = user.name if user is not None else ""
    return NamedPerson(one.user, name, one.organisation, one.roles, one.since)


def _document(project: str, user: str, principal: Principal) -> dict[str, Any]:
    """Return the ledger's document: pseudonymous ids, no names."""
    by = {"organisation": principal.organisation, "by": principal.user}
    return {"project": project, "user": user, **by}

"""One generic store for every kind of entity: a document, and the columns that lists filter on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa

from secureflow.adapters.database import tables
from secureflow.application.ports import Page
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.jobs import Job
from secureflow.domain.models import Model
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import Project
from secureflow.domain.specs import dump, parse
from secureflow.domain.users import Token, User
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.adapters.database.unit import SqlUnitOfWork

T = TypeVar("T")
MAX_PAGE = 1000


def _member_list(project: Any) -> str:
    """Return ` org-a org-b `: slugs have no spaces, so a padded slug is found exactly."""
    present = (m.organisation for m in project.members if m.state in ("invited", "active"))
    return f" {' '.join(sorted(present))} "


_DERIVED: Mapping[tuple[str, str], Callable[[Any], str]] = {("projects", "member"): _member_list}


@dataclass(frozen=True)
class Kind(Generic[T]):
    """Which dataclass lives in which table; every column but id, version, doc is a filter."""

    of: type[T]
    noun: str
    table: sa.Table

    @property
    def filters(self) -> list[str]:
        """The names of the filter columns."""
        return [c.name for c in self.table.columns if c.name not in ("id", "version", "doc")]

    def columns(self, entity: T) -> dict[str, str]:
        """Return the filter columns of an entity."""
        derived = {column: make for (table, column), make in _DERIVED.items() if table == self.name}
        return {
            name: derived[name](entity) if name in derived else str(getattr(entity, name))
            for name in self.filters
        }

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.name)


USERS = Kind(User, "user", tables.USERS)
TOKENS = Kind(Token, "token", tables.TOKENS)
ORGANISATIONS = Kind(Organisation, "organisation", tables.ORGANISATIONS)
ENROLMENTS = Kind(Enrolment, "enrolment", tables.ENROLMENTS)
AGENTS = Kind(Agent, "agent", tables.AGENTS)
PROJECTS = Kind(Project, "project", tables.PROJECTS)
DATASETS = Kind(Dataset, "dataset", tables.DATASETS)
GRANTS = Kind(Grant, "grant", tables.GRANTS)
JOBS = Kind(Job, "job", tables.JOBS)
MODELS = Kind(Model, "model", tables.MODELS)


class EntityStore(Generic[T]):
    """`application.ports.Store` over one table, inside a unit of work."""

    def __init__(self, unit: SqlUnitOfWork, kind: Kind[T]) -> None:
        self._unit = unit
        self._kind = kind
        self._table = kind.table
        self._seen: dict[str, int] = {}

    async def get(self, key: str) -> T:
        """Return the entity or raise `not_found`."""
        entity = await self.find(key)
        if entity is None:
            raise self._not_found(key)
        return entity

    async def find(self, key: str) -> T | None:
        """Return the entity or None."""
        rows = await self._unit.read(sa.select(self._table).where(self._table.c.id == key))
        row = rows.first()
        return None if row is None else self._entity(row)

    async def add(self, entity: T) -> None:
        """Insert; an existing id, or a taken value of a unique column, raises `already_exists`."""
        key = self._key(entity)
        row = {"id": key, "version": 1, "doc": dump(entity), **self._kind.columns(entity)}
        if not await self._unit.insert_once(self._table, row):
            raise SecureFlowError(
                "already_exists",
                f"A {self._kind.noun} like {key} exists already.",
                "Choose another name, or change the one that exists.",
            )
        self._seen[key] = 1

    async def save(self, entity: T) -> None:
        """Replace the entity of this id.

        Raises:
            SecureFlowError: `not_found`; `stale_version` when it changed since this unit of work
                read it; `already_exists` when it takes another's value of a unique column.
        """
        key = self._key(entity)
        table = self._table
        change = sa.update(table).where(table.c.id == key)
        if key in self._seen:
            change = change.where(table.c.version == self._seen[key])
        values = {"doc": dump(entity), **self._kind.columns(entity)}
        changed = await self._unit.write(change.values(version=table.c.version + 1, **values))
        if changed.rowcount:
            if key in self._seen:
                self._seen[key] += 1
            return
        if await self.find(key) is None:
            raise self._not_found(key)
        raise SecureFlowError(
            "stale_version",
            f"The {self._kind.noun} {key} was changed by someone else meanwhile.",
            "Read it again and repeat the change.",
        )

    async def list(
        self, *, cursor: str = "", limit: int = 100, **equals: str | Sequence[str]
    ) -> Page:
        """Return entities ordered by id after the cursor; `equals` filters on indexed columns."""
        table = self._table
        limit = max(1, min(limit, MAX_PAGE))
        query = sa.select(table).where(table.c.id > cursor).order_by(table.c.id).limit(limit + 1)
        for name, wanted in equals.items():
            query = query.where(self._condition(name, wanted))
        rows = (await self._unit.read(query)).all()
        following = str(rows[limit - 1].id) if len(rows) > limit else ""
        return Page([self._entity(row) for row in rows[:limit]], following)

    def _condition(self, name: str, wanted: str | Sequence[str]) -> sa.ColumnElement[bool]:
        if name not in self._kind.filters:
            message = f"{self._kind.name} has no filter column {name}"
            raise TypeError(message)
        column = self._table.c[name]
        values = [wanted] if isinstance(wanted, str) else list(wanted)
        if (self._kind.name, name) in _DERIVED:
            found = [column.contains(f" {value} ", autoescape=True) for value in values]
            return sa.or_(sa.false(), *found)
        return column.in_(values)

    def _entity(self, row: Any) -> T:
        self._seen[row.id] = row.version
        return parse(self._kind.of, row.doc, self._kind.noun, stored=True)

    def _not_found(self, key: str) -> SecureFlowError:
        return SecureFlowError(
            "not_found",
            f"There is no {self._kind.noun} {key}.",
            "Check the id; it may have been removed.",
        )

    @staticmethod
    def _key(entity: Any) -> str:
        return str(entity.id)

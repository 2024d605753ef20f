"""One generic store for every kind of entity: a document, and the columns for filters of lists."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.sql.operators import custom_op

from secureflow.adapters.database import tables
from secureflow.adapters.database.damage import damaged, load_json
from secureflow.application.listing import words_of
from secureflow.application.ports.changes import ChangeKind
from secureflow.application.ports.storage import Filter, Page
from secureflow.domain.anchorstatements import AnchorRecord
from secureflow.domain.bundles import StoredBundle
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.deliveries import Delivery, Webhook
from secureflow.domain.jobs import Job
from secureflow.domain.logins import Device, LoginPlaces, SecondFactor, TokenFamily
from secureflow.domain.models import Model, Upload
from secureflow.domain.notifications import Preferences
from secureflow.domain.oidc import Identity, PendingLogin
from secureflow.domain.organisations import Agent, Enrolment, Organisation
from secureflow.domain.projects import Project
from secureflow.domain.questions import Question
from secureflow.domain.revenue import RevenueRecord
from secureflow.domain.sessions import Session
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.users import Token, User
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.adapters.database.transaction import SqlTransaction

T = TypeVar("T")
MAX_PAGE = 1000


_DERIVED: Mapping[tuple[str, str], Callable[[Any], str]] = {
    ("datasets", "state"): lambda dataset: "published" if dataset.removed is None else "removed",
    ("grants", "state"): lambda grant: "granted" if grant.revoked is None else "revoked",
}
"""Filter columns that are not fields of the entity."""
_NUMBERS: Final = ("expires", "due", "created")
"""Columns that are filtered by comparison."""
_COMPARED: Final[Mapping[str, tuple[str, Callable[[Any, Any], Any]]]] = {
    "unexpired": ("expires", operator.gt),
    "expired": ("expires", operator.le),
    "due": ("due", operator.le),
    "since": ("created", operator.ge),
    "until": ("created", operator.lt),
}
"""Filters by numbers, with their columns."""
_SEARCHES: Final = frozenset({"text", "since", "until"})
"""Filters of searches."""
_OWNERS: Final = ("project", "organisation")
"""With what indexes of lists begin."""
_PLUS: Final[custom_op[Any]] = custom_op("+")
"""SQLite's no-op that keeps its planner from an index (Query Planner, 2.2)."""
_MEMBERS: Mapping[str, tuple[str, ...]] = {"member": ("active", "invited"), "active": ("active",)}
"""Filters on projects by organisation, with the membership states that count."""


@dataclass(frozen=True)
class EntityKind(Generic[T]):
    """The dataclass and table of an entity; every column except version and doc is a filter."""

    of: type[T]
    noun: str
    table: sa.Table

    @cached_property
    def filters(self) -> list[str]:
        """The names of the columns that `list` can filter by equality."""
        others = ("version", "doc", "words", *_NUMBERS)
        return [c.name for c in self.table.columns if c.name not in others]

    @property
    def searched(self) -> bool:
        """Whether these entities can be searched by words; their lists do not read documents."""
        return "words" in self.table.c

    def columns(self, entity: T) -> dict[str, Any]:
        """Return the values of an entity's filter columns."""
        derived = {column: make for (table, column), make in _DERIVED.items() if table == self.name}
        found: dict[str, Any] = {
            name: derived[name](entity) if name in derived else str(getattr(entity, name))
            for name in self.filters
        }
        for name in _NUMBERS:
            if name in self.table.c:
                found[name] = getattr(entity, name)
        if self.searched:
            found["words"] = words_of(self.name, entity)
        return found

    @property
    def name(self) -> str:
        """The table's name."""
        return str(self.table.name)

    @cached_property
    def rows(self) -> sa.Select[Any]:
        """The query of all rows, with documents as text: a damaged one does not hide others.

        Every read starts with it, so it is built once.
        """
        doc = sa.type_coerce(self.table.c.doc, sa.Text).label("doc")
        return sa.select(*(c for c in self.table.columns if c.name != "doc"), doc)

    @cached_property
    def row(self) -> sa.Select[Any]:
        """The query of the row whose id is the parameter `key`: the most frequent one."""
        return self.rows.where(self.table.c.id == sa.bindparam("key"))

    @cached_property
    def change(self) -> sa.Update:
        """The change of the row whose id is the parameter `id_is`; the others are its columns.

        A parameter must not be called as a column is: the agents' `key` is one.
        """
        row = self.table.c
        change = sa.update(self.table).where(row.id == sa.bindparam("id_is"))
        return change.values(version=row.version + 1)

    @cached_property
    def change_of_seen(self) -> sa.Update:
        """The same, if the row's version is still the parameter `version_is`."""
        return self.change.where(self.table.c.version == sa.bindparam("version_is"))

    def read(self, row: Any) -> T:
        """Return the entity of a row of `rows`.

        Raises:
            SecureFlowError: `record_damaged` naming it.
        """
        try:
            entity = parse(self.of, load_json(row.doc), self.noun, stored=True)
        except SecureFlowError as error:
            raise damaged(self.noun, str(row.id)) from error
        if str(entity.id) != row.id:  # type: ignore[attr-defined]
            raise damaged(self.noun, str(row.id))
        return entity


USERS = EntityKind(User, "user", tables.USERS)
TOKENS = EntityKind(Token, "token", tables.TOKENS)
SESSIONS = EntityKind(Session, "session", tables.SESSIONS)
FAMILIES = EntityKind(TokenFamily, "login", tables.FAMILIES)
DEVICES = EntityKind(Device, "device", tables.DEVICES)
SECOND_FACTORS = EntityKind(SecondFactor, "second factor", tables.SECOND_FACTORS)
LOGIN_PLACES = EntityKind(LoginPlaces, "login places", tables.LOGIN_PLACES)
ORGANISATIONS = EntityKind(Organisation, "organisation", tables.ORGANISATIONS)
ENROLMENTS = EntityKind(Enrolment, "enrolment", tables.ENROLMENTS)
AGENTS = EntityKind(Agent, "agent", tables.AGENTS)
PROJECTS = EntityKind(Project, "project", tables.PROJECTS)
DATASETS = EntityKind(Dataset, "dataset", tables.DATASETS)
GRANTS = EntityKind(Grant, "grant", tables.GRANTS)
JOBS = EntityKind(Job, "job", tables.JOBS)
MODELS = EntityKind(Model, "model", tables.MODELS)
BUNDLES = EntityKind(StoredBundle, "bundle", tables.BUNDLES)
UPLOADS = EntityKind(Upload, "upload", tables.UPLOADS)
IDENTITIES = EntityKind(Identity, "identity", tables.IDENTITIES)
PENDING_LOGINS = EntityKind(PendingLogin, "pending login", tables.PENDING_LOGINS)
QUESTIONS = EntityKind(Question, "question", tables.QUESTIONS)
REVENUE = EntityKind(RevenueRecord, "revenue record", tables.REVENUE)
ANCHOR_STATEMENTS = EntityKind(AnchorRecord, "anchor statement", tables.ANCHOR_STATEMENTS)
PREFERENCES = EntityKind(Preferences, "preferences", tables.PREFERENCES)
WEBHOOKS = EntityKind(Webhook, "webhook", tables.WEBHOOKS)
DELIVERIES = EntityKind(Delivery, "delivery", tables.DELIVERIES)


class EntityStore(Generic[T]):
    """`application.ports.storage.Store` over one table, inside a unit of work."""

    def __init__(self, unit: SqlTransaction, kind: EntityKind[T]) -> None:
        self._unit = unit
        self._kind = kind
        self._table = kind.table
        self._seen: dict[str, int] = {}

    async def get(self, key: str) -> T:
        """Return the entity or raise `not_found`, `record_damaged`."""
        entity = await self.find(key)
        if entity is None:
            raise self._not_found(key)
        return entity

    async def find(self, key: str) -> T | None:
        """Return the entity or None; raises `record_damaged`."""
        row = (await self._unit.read(self._kind.row, {"key": key})).first()
        return None if row is None else self._entity(row)

    async def add(self, entity: T) -> None:
        """Insert; an existing id, or a taken value of a unique column, raises `already_exists`."""
        key = self._key(entity)
        row = {"id": key, "version": 1, "doc": dump(entity), **self._kind.columns(entity)}
        if not await self._unit.insert_once(self._table, row):
            raise SecureFlowError(
                "already_exists",
                Text("A {noun} like {key} already exists.", noun=self._kind.noun, key=key),
                "Choose another name, or change the one that exists.",
            )
        self._seen[key] = 1
        self._note(key)
        await self._link(entity)

    async def save(self, entity: T) -> None:
        """Replace the entity of this id.

        Raises:
            SecureFlowError: `not_found`; `stale_version` if it changed since this unit of work read
                it; `already_exists` if it takes another's value of a unique column.
        """
        key = self._key(entity)
        values = {"id_is": key, "doc": dump(entity), **self._kind.columns(entity)}
        if key in self._seen:
            values["version_is"] = self._seen[key]
        change = self._kind.change_of_seen if key in self._seen else self._kind.change
        changed = await self._unit.write(change, values)
        if changed.rowcount:
            if key in self._seen:
                self._seen[key] += 1
            self._note(key)
            await self._link(entity)
            return
        if await self.find(key) is None:
            raise self._not_found(key)
        raise SecureFlowError(
            "stale_version",
            Text(
                "The {noun} {key} was changed by someone else in the meantime.",
                noun=self._kind.noun,
                key=key,
            ),
            "Read it again and repeat the change.",
        )

    async def remove(self, key: str) -> None:
        """Remove the entity of this id, if it exists."""
        await self._unit.write(sa.delete(self._table).where(self._table.c.id == key))
        self._seen.pop(key, None)

    async def list(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        """Return entities ordered by id after the cursor; arguments as of the port.

        Unreadable ones are listed in the page's `damaged`.
        """
        return await self._page(cursor, limit, equals, newest=False)

    async def latest(self, *, cursor: str = "", limit: int = 100, **equals: Filter) -> Page:
        """Return the newest entities first; arguments as of `list`."""
        return await self._page(cursor, limit, equals, newest=True)

    async def _page(
        self, cursor: str, limit: int, equals: Mapping[str, Filter], *, newest: bool
    ) -> Page:
        key = self._table.c.id
        limit = max(1, min(limit, MAX_PAGE))
        order = key.desc() if newest else key
        where = [*self._conditions(equals)]
        if cursor or not newest:
            where.append(key < cursor if newest else key > cursor)
        query = self._kind.rows.where(*where).order_by(order).limit(limit + 1)
        if self._kind.searched:  # sorting rows would read the documents of all that match
            chosen = sa.select(key).where(*where).order_by(order).limit(limit + 1)
            ids = (await self._unit.read(chosen)).scalars().all()
            query = self._kind.rows.where(key.in_(ids)).order_by(order)
        rows = (await self._unit.read(query)).all()
        following = str(rows[limit - 1].id) if len(rows) > limit else ""
        read = [(str(row.id), self._readable(row)) for row in rows[:limit]]
        items = [entity for _, entity in read if entity is not None]
        return Page(items, following, tuple(key for key, entity in read if entity is None))

    async def count(self, **equals: Filter) -> int:
        """Return how many entities match; arguments as of `list`."""
        query = sa.select(sa.func.count()).select_from(self._table)
        found = await self._unit.read(query.where(*self._conditions(equals)))
        return int(found.scalar_one())

    async def distinct(self, column: str, **equals: Filter) -> Sequence[str]:
        """Return the different values of a filter column among the matching entities, sorted."""
        if column not in self._kind.filters:
            raise self._no_filter(column)
        chosen = self._table.c[column]
        found = await self._unit.read(sa.select(chosen).where(*self._conditions(equals)).distinct())
        return sorted(found.scalars())

    async def crowded(self, column: str, **equals: Filter) -> str:
        """Return the value of a filter column that most matching entities have; "" for none."""
        if column not in self._kind.filters:
            raise self._no_filter(column)
        chosen = self._table.c[column]
        counted = sa.select(chosen).where(*self._conditions(equals)).group_by(chosen)
        first = sa.func.min(self._table.c.expires)
        most = counted.order_by(sa.func.count().desc(), first, chosen).limit(1)
        return (await self._unit.read(most)).scalar_one_or_none() or ""

    def _conditions(self, equals: Mapping[str, Filter]) -> Iterator[sa.ColumnElement[bool]]:
        columns = self._table.c
        for name, wanted in equals.items():
            if isinstance(wanted, int):
                column, compare = _COMPARED.get(name, ("", operator.eq))
                if column not in columns:
                    raise self._no_filter(name)
                yield compare(columns[column], wanted)
            elif name == "text" and isinstance(wanted, str) and self._kind.searched:
                for word in wanted.casefold().split():
                    yield columns.words.contains(word, autoescape=True)
            else:
                values = [wanted] if isinstance(wanted, str) else list(wanted)
                yield self._condition(
                    name, values, hidden=name not in _OWNERS and not _SEARCHES.isdisjoint(equals)
                )

    def _condition(
        self, name: str, values: Sequence[str], *, hidden: bool = False
    ) -> sa.ColumnElement[bool]:
        """Return the condition of a filter.

        With `hidden` SQLite does not use the column's own index: a search needs columns that stand
        behind the documents, which only the index of lists has.
        """
        if self._kind.name == "projects" and name in _MEMBERS:
            link = tables.MEMBERSHIPS
            mine = sa.select(link.c.project).where(
                link.c.organisation.in_(values), link.c.state.in_(_MEMBERS[name])
            )
            return self._table.c.id.in_(mine)
        if name not in self._kind.filters:
            raise self._no_filter(name)
        column = self._table.c[name]
        if hidden and self._unit.single_writer:
            return sa.UnaryExpression(column, operator=_PLUS, type_=sa.String()).in_(values)
        return column.in_(values)

    def _note(self, key: str) -> None:
        """Note for open pages that a job changed."""
        if self._kind is JOBS:
            self._unit.noted.setdefault((ChangeKind.JOB, key, 0), {})

    async def _link(self, entity: Any) -> None:
        """Store a project's memberships for lists; its own row was written before."""
        if not isinstance(entity, Project):
            return
        link = tables.MEMBERSHIPS
        await self._unit.write(sa.delete(link).where(link.c.project == entity.id))
        rows = [
            {"project": entity.id, "organisation": one.organisation, "state": one.state}
            for one in entity.members
        ]
        if rows:
            await self._unit.write(sa.insert(link), rows)

    def _no_filter(self, name: str) -> TypeError:
        return TypeError(f"{self._kind.name} has no filter column {name}")

    def _entity(self, row: Any) -> T:
        self._seen[row.id] = row.version
        return self._kind.read(row)

    def _readable(self, row: Any) -> T | None:
        """Return a row's entity; a damaged one is logged, and left out."""
        try:
            return self._entity(row)
        except SecureFlowError:
            self._unit.damage.note(self._kind.noun, str(row.id))
            return None

    def _not_found(self, key: str) -> SecureFlowError:
        return SecureFlowError(
            "not_found",
            Text("There is no {noun} {key}.", noun=self._kind.noun, key=key),
            "Check the id; it may have been removed.",
        )

    @staticmethod
    def _key(entity: Any) -> str:
        return str(entity.id)

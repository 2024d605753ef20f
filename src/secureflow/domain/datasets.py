"""Dataset descriptions (never rows) and the grants that let a project use them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from secureflow.domain.grants import GrantTerms
from secureflow.domain.schemas import ColumnConfig, PublicPrivacy
from secureflow.domain.specs.base import UNLESS_NONE, Column


@dataclass(frozen=True)
class Dataset:
    """An organisation's description of data that stays at its agent.

    `rows` is a bucket such as `10k-50k`; `commitment` is a salted SHA-256 over the file; `name` is
    the dataset's name in the agent's configuration; `privacy` the unit that its budget is kept in
    and how many rows of one unit count; None without a budget; `key` the column that says whose a
    row is, for jobs that hold rows out by it: under the unit person there is one anyway.
    """

    id: str
    organisation: str
    name: str
    title: str
    columns: tuple[ColumnConfig, ...]
    rows: str
    commitment: str
    created: int
    removed: int | None = None
    privacy: PublicPrivacy | None = None
    key: Annotated[Column | None, UNLESS_NONE] = None

    @property
    def keyed(self) -> bool:
        """Whether jobs can hold rows out by key."""
        return self.key is not None or (self.privacy is not None and self.privacy.unit == "person")

    def widened(self, later: Dataset) -> frozenset[str]:
        """Return the columns that a later description of this dataset discloses more of.

        That is: another type, shape or dtype, wider bounds, more categories, longer texts, newly
        sensitive, or no longer described; every column, if more rows of one person count or
        another unit is protected.
        """
        now = {column.name: column for column in later.columns}
        if self.privacy is not None and not _as_strict(self.privacy, later.privacy):
            return frozenset(column.name for column in self.columns)
        return frozenset(
            column.name
            for column in self.columns
            if column.name not in now or not _within(column, now[column.name])
        )


@dataclass(frozen=True)
class Grant:
    """A data owner's permission: this project, these columns, these purposes, until then.

    It lets the project see the description and ask. `terms` is all of what the owner's agent allows
    and `local` its id there, if a person confirmed it at that agent, which decides by its own copy.
    """

    id: str
    dataset: str
    organisation: str
    project: str
    columns: tuple[str, ...]
    purposes: tuple[str, ...]
    granted_by: str
    created: int
    expires: int
    revoked: int | None = None
    terms: Annotated[GrantTerms | None, UNLESS_NONE] = None
    local: str = ""

    def allows(self, columns: tuple[str, ...], purpose: str, now: int) -> bool:
        """Tell whether the grant is in force and covers the columns and the purpose."""
        in_force = self.revoked is None and now < self.expires
        purposes = not self.purposes or purpose in self.purposes
        return in_force and purposes and set(columns) <= set(self.columns)


def granted_columns(grants: Iterable[Grant], purpose: str, now: int) -> frozenset[str] | None:
    """Return the columns of a dataset that its grants cover together for a purpose.

    None where none of them is in force for it.
    """
    held = [grant for grant in grants if grant.allows((), purpose, now)]
    return frozenset(column for grant in held for column in grant.columns) if held else None


def _within(old: ColumnConfig, new: ColumnConfig) -> bool:
    """Tell whether the new declaration allows nothing that the old one did not."""
    if new.type != old.type or (new.sensitive and not old.sensitive):
        return False
    if (new.shape, new.dtype, new.fit) != (old.shape, old.dtype, old.fit):
        return False
    if old.length is not None and (new.length is None or new.length > old.length):
        return False
    if not set(new.categories) <= set(old.categories):
        return False
    if old.bounds is None:
        return True
    return new.bounds is not None and (
        old.bounds[0] <= new.bounds[0] and new.bounds[1] <= old.bounds[1]
    )


def _as_strict(old: PublicPrivacy, new: PublicPrivacy | None) -> bool:
    return new is not None and new.unit == old.unit and new.rows_per_person <= old.rows_per_person

"""Dataset descriptions (never rows) and the grants that let a project use them."""

from __future__ import annotations

from dataclasses import dataclass

from secureflow.domain.schemas import ColumnConfig, PublicPrivacy


@dataclass(frozen=True)
class Dataset:
    """What an organisation says about data that stays at its agent.

    `rows` is a bucket such as `10k-50k`; `commitment` is a salted SHA-256 over the file; `name` is
    the dataset's name in the agent's configuration; `privacy` the unit that its budget is kept in
    and how many rows of one unit count, None without a budget.
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


@dataclass(frozen=True)
class Grant:
    """A data owner's permission: this project, these columns, these purposes, until then."""

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

    def allows(self, columns: tuple[str, ...], purpose: str, now: int) -> bool:
        """Tell whether the grant is in force and covers the columns and the purpose."""
        in_force = self.revoked is None and now < self.expires
        purposes = not self.purposes or purpose in self.purposes
        return in_force and purposes and set(columns) <= set(self.columns)

"""The customers of a bank and of a telco, made from UCI Adult: people, some of whom are at both.

Nobody in that table has a phone number: a person's is made from its row, a Chinese mobile number
that is written otherwise by each of the two. As in real tables some rows have no number, some one
that cannot be, and some are of a customer who stands further up. Equal versions make equal files.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.demo.data import LABEL, adult_rows
from secureflow.demo.phones import mobile
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy, ProbingLimit

BANK: Final = "bank"
TELCO: Final = "telco"
OWNERS: Final = {BANK: "Bank", TELCO: "Telco"}
PURPOSE: Final = "joint campaign"
KEYS: Final = {BANK: "mobile", TELCO: "msisdn"}
SEGMENT: Final = "segment"
DATASET: Final = "customers"
LIMIT: Final = 5_000
"""Ids that the telco lets others test, in a year."""
EPSILON: Final = 3.0
DELTA: Final = 1e-6
NUMBERS: Final = {"age": (16.0, 100.0), "hours-per-week": (1.0, 99.0)}
"""Columns that both have, and their declared bounds."""
SEXES: Final = ("Female", "Male")

_SEED: Final = 11
_PEOPLE: Final = {BANK: range(4_000), TELCO: range(2_700, 7_200)}
"""Places in the shuffled table: 1,300 people are at both."""
_EMPTY, _WRONG, _AGAIN = 160, 450, 700
"""Every so many-th row has no number, one that cannot be, or a customer's that stood before."""
_STYLES: Final[Mapping[str, Sequence[Callable[[str], str]]]] = {
    BANK: (
        lambda digits: f"{digits[:3]} {digits[3:7]} {digits[7:]}",
        lambda digits: digits,
        lambda digits: f"{digits[:3]}-{digits[3:7]}-{digits[7:]}",
    ),
    TELCO: (
        lambda digits: f"+86{digits}",
        lambda digits: f"+86 {digits[:3]} {digits[3:7]} {digits[7:]}",
        lambda digits: f"86{digits}",
    ),
}


@dataclass(frozen=True)
class Customers:
    """The two tables.

    Args:
        datasets: party → the declaration of its table.
        rows: party → its rows, as in its file.
        shared: rows of the bank, from 1, whose person the telco has too: known here alone, since
            the people were dealt out here.
    """

    datasets: Mapping[str, DatasetConfig]
    rows: Mapping[str, Sequence[Mapping[str, Any]]]
    shared: frozenset[int]

    @property
    def alike(self) -> int:
        """How many shared customers a comparison of the cells as they are written would find."""
        told = {row[KEYS[TELCO]] for row in self.rows[TELCO]} - {""}
        return len(told & {row[KEYS[BANK]] for row in self.rows[BANK]})

    def pooled(self, column: str, sex: str | None = None) -> list[float]:
        """Return a column over the rows of both, of one sex if it is named."""
        every = (row for rows in self.rows.values() for row in rows)
        return [float(row[column]) for row in every if sex in (None, row["sex"])]


def make_customers(directory: Path) -> Customers:
    """Write both tables as CSV files and return them."""
    people = _people()
    rows, places = {}, {}
    for party, range_ in _PEOPLE.items():
        places[party] = _spoilt(_shuffled(range_))
        rows[party] = [_row(party, at, people, person, how) for at, (person, how) in
                       enumerate(places[party])]  # fmt: skip
    telco = {person for person, how in places[TELCO] if how == "good"}
    shared = frozenset(
        at for at, (person, how) in enumerate(places[BANK], 1) if how == "good" and person in telco
    )
    directory.mkdir(parents=True, exist_ok=True)
    datasets = {party: _written(directory / f"{party}.csv", party, rows[party]) for party in rows}
    return Customers(datasets, rows, shared)


def _people() -> list[dict[str, Any]]:
    """Return people in an order of their own."""
    table = adult_rows("train").select(["age", "sex", "hours-per-week", LABEL.column])
    found: list[dict[str, Any]] = table.to_pylist()
    order = np.random.default_rng(_SEED).permutation(len(found))
    return [found[at] for at in order]


def _shuffled(places: range) -> list[int]:
    order = np.random.default_rng(_SEED + len(places)).permutation(len(places))
    return [places[at] for at in order.tolist()]


def _spoilt(people: Iterable[int]) -> list[tuple[int, str]]:
    """Return who is in which row, and what is wrong with its number."""
    made: list[tuple[int, str]] = []
    for at, person in enumerate(people, 1):
        how = "empty" if at % _EMPTY == 0 else "wrong" if at % _WRONG == 0 else "good"
        made.append((person, how))
        if at % _AGAIN == 1 and at > 1:
            made.append((made[at // 2][0], "again"))
    return made


def _row(
    party: str, at: int, people: Sequence[Mapping[str, Any]], person: int, how: str
) -> dict[str, Any]:
    digits = mobile(person)
    styles = _STYLES[party]
    written = styles[at % len(styles)](digits)
    known = people[person]
    row = {KEYS[party]: {"empty": "", "wrong": f"{written[:-1]}x"}.get(how, written)}
    if party == BANK:
        row[SEGMENT] = "premium" if known[LABEL.column] == LABEL.positive else "standard"
    return row | {"sex": known["sex"], **{name: known[name] for name in NUMBERS}}


def _written(path: Path, party: str, rows: Sequence[Mapping[str, Any]]) -> DatasetConfig:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.DictWriter(file, list(rows[0]))
        lines.writeheader()
        lines.writerows(rows)
    columns = [ColumnConfig(KEYS[party], "text", sensitive=True)]
    if party == BANK:
        columns.append(ColumnConfig(SEGMENT, "category", ("premium", "standard")))
    columns.append(ColumnConfig("sex", "category", SEXES))
    columns += [ColumnConfig(name, "number", bounds=bounds) for name, bounds in NUMBERS.items()]
    budget = DatasetPrivacy(DATASET, epsilon=EPSILON, delta=DELTA, required=False)
    probing = ProbingLimit(LIMIT, window=365) if party == TELCO else None
    return DatasetConfig(DATASET, str(path), "csv", tuple(columns), privacy=budget, probing=probing)

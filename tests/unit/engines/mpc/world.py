"""Honest parties that add up their rows by `joint-sums`, without a network."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from secureflow.application.jobs.mpc import JointTotals
from secureflow.application.ports.artifacts import Artifact
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.engines.mpc.kind import MPC_ENGINE
from secureflow.engines.mpc.tally import noised, party_sums
from secureflow.engines.secagg.wholenumbers import masked_values
from tests.unit.engines.run.summed_world import SummedWorld

COLUMNS: list[dict[str, Any]] = [
    {"column": "age", "type": "number", "bounds": [0, 100]},
    {"column": "spent", "type": "number", "bounds": [-1000, 1_000_000]},
    {"column": "sex", "type": "category", "categories": ["f", "m", "x"]},
]
QUERIES: list[dict[str, Any]] = [
    {"name": "rows", "measure": "count"},
    {"name": "spent", "measure": "sum", "columns": ["spent"], "by": "sex"},
    {"name": "both", "measure": "covariance", "columns": ["age", "spent"]},
    {"name": "by-age", "measure": "sum", "columns": ["spent"],
     "keys": {"column": "age", "first": 18, "count": 60}},
]  # fmt: skip
CENTS = [{"column": "spent", "decimals": 2}]
ROWS = 50
"""Of each party."""


def specified(
    roster: list[dict[str, str]], queries: list[dict[str, Any]] | None = None, **changes: Any
) -> MpcSpec:
    asked = QUERIES if queries is None else queries
    named = {
        name
        for one in asked
        for name in (*one.get("columns", ()), one.get("by"), one.get("keys", {}).get("column"))
    }
    decimals = changes.pop("decimals", CENTS if "spent" in named else [])
    value: dict[str, Any] = {
        "project": "prj_0123456789", "name": "sums", "purpose": "testing", "submitter": "ann",
        "roster": roster, "protocol": "masked-sum",
        "computation": {"name": "joint-sums", "queries": asked, "decimals": decimals},
        "columns": [one for one in COLUMNS if one["column"] in named],
        **changes,
    }  # fmt: skip
    spec = parse(MpcSpec, value)
    check_mpc(spec)
    return spec


def rows_of(number: int, count: int = ROWS) -> dict[str, NDArray[Any]]:
    """A party's rows: whole ages, amounts in cents, and some cells without a value."""
    draw = np.random.default_rng(number)
    ages = draw.integers(18, 90, count).astype(np.float64)
    spent = np.round(draw.normal(200, 300, count).clip(-1000), 2)
    sex = draw.choice(np.array(["f", "m"], object), count)
    ages[::11], spent[::13], sex[::17] = np.nan, np.nan, None
    return {"age": ages, "spent": spent, "sex": sex}


def pooled(parties: int, count: int = ROWS) -> dict[str, NDArray[Any]]:
    """Everybody's rows: only tests see them together."""
    each = [rows_of(number, count) for number in range(parties)]
    return {name: np.concatenate([one[name] for one in each]) for name in each[0]}


class Kept:
    """Artifacts in memory."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    async def put(self, chunks: Any, *, limit: int, expect: str = "") -> Artifact:
        data = b"".join([one async for one in chunks])
        assert len(data) <= limit
        name = data[:8].hex().ljust(64, "0")
        self.blobs[name] = data
        return Artifact(name, len(data))


class MpcWorld(SummedWorld):
    """Each party has rows of its own; `changes` are those of the spec."""

    engine = MPC_ENGINE
    changes: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        self.kept = Kept()

    def drafted(self, roster: list[dict[str, str]]) -> MpcSpec:
        return specified(roster, **self.changes)

    def added(self, party: str, body: dict[str, Any]) -> NDArray[np.float64]:
        assert (body["round"], body["model"], body["moments"], body["steps"]) == (1, None, None, [])
        columns = rows_of(sorted(self.keys).index(party))
        sums = party_sums(self.spec, {name: columns[name] for name in self.spec.column_names})
        return masked_values(noised(self.spec, sums, party.encode().ljust(32, b".")))

    def released(
        self, body: dict[str, Any], total: NDArray[Any], survivors: tuple[str, ...]
    ) -> dict[str, Any]:
        made: Any = SimpleNamespace(
            request=None, spec=self.spec, plan=self.plan, total=total, survivors=survivors
        )
        kept: Any = self.kept
        return asyncio.run(JointTotals(kept).release(made))


class PrivateMpc(MpcWorld):
    """The same under differential privacy."""

    accounting: ClassVar = {
        "noise": 1.0,
        "epsilon": {"pld": 0.5, "rdp-cks20": 0.6, "rdp-filter": 0.7},
    }
    changes: ClassVar = {"privacy": {"delta": 1e-6, "noise_multiplier": 2.0}, "decimals": []}

"""Steps in any order: what a spec's check accepts is fitted, written down and applied."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from unit.engines.preparation.steps.world import (
    PRIVATE,
    Columns,
    category,
    number,
    outcome,
    spec_of,
    tallies,
    text,
    unchecked,
)

from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.tables import Categories, Numbers, Table, Texts
from secureflow.engines.preparation.fitting import Progress, learn, sigma_of, start
from secureflow.kit.errors import SecureFlowError

WIDTHS = ((-10, 90), (0, 1e-3), (1e5, 1e6), (-1e12, 1e12), (1, 1.0000001), (-90, -10))
DROP = {"step": "drop", "columns": ["born"]}
NUMBERS: tuple[dict[str, Any], ...] = (
    *({"step": "impute", "by": by, "indicator": by == "mean"} for by in ("mean", "median")),
    {"step": "impute", "by": "constant", "value": -3.5},
    *({"step": "clip", "low": low, "high": high} for low, high in ((-1, 1), (3, 4), (None, -8))),
    {"step": "standardise"},
    *({"step": "min_max", "of": of, "high": 1e3} for of in ("rows", "bounds")),
    *({"step": name, "bins": 5} for name in ("quantile_bins", "width_bins")),
    *({"step": "log", "shift": shift} for shift in (1, 1e3)),
    {"step": "yeo_johnson"},
    {"step": "interact"},
    *({"step": "select", "by": by, "threshold": threshold}
      for by in ("iv", "variance", "correlation") for threshold in (0, 1e-3, 0.5)),
    {"step": "drop"},
)  # fmt: skip
CATEGORIES: tuple[dict[str, Any], ...] = (
    {"step": "impute", "by": "mode"}, {"step": "woe"}, {"step": "ordinal"},
    {"step": "one_hot", "least": 9}, {"step": "one_hot", "missing": "indicator"},
)  # fmt: skip
TEXTS: tuple[dict[str, Any], ...] = (
    {"step": "hash", "buckets": 4},
    {"step": "date_parts", "formats": ["%Y-%m-%d"]},
)


def any_step(dice: Random, table: Table) -> dict[str, Any]:
    kind, steps = dice.choice([(Numbers, NUMBERS)] * 3 + [(Categories, CATEGORIES), (Texts, TEXTS)])
    names = [name for name, held in table.items() if isinstance(held, kind)]
    some = dice.sample(names, min(dice.randint(1, 3), len(names)))
    return {**dice.choice(steps), "columns": some}


def pipeline(dice: Random, wide: tuple[float, float], **more: Any) -> PreparationSpec:
    """Return a spec of a few steps, each of which fits the table that it is given."""
    columns = [
        number("x", *wide),
        number("z", 0, 1e6),
        category("job", "a", "b", "c"),
        text("born"),
    ]
    steps: list[dict[str, Any]] = []
    found = spec_of([DROP], columns, **more)
    table: Table = found.table
    for _ in range(dice.randint(2, 9)):
        if steps:
            *_, table = unchecked(steps, columns).tables()
        tried = [*steps, any_step(dice, table)]
        rest = [] if any("born" in step["columns"] for step in tried) else [DROP]
        try:
            found = spec_of([*tried, *rest], columns, **more)
        except SecureFlowError:
            continue
        steps = tried
    return found


def rows(dice: Random, wide: tuple[float, float]) -> Columns:
    count = dice.choice([0, 1, 3, 40])
    rng = np.random.default_rng(dice.randrange(1 << 30))
    x = rng.choice([*wide], count) if dice.random() < 0.3 else rng.uniform(*wide, count)
    born = [None if at % 7 == 0 else f"{1940 + at}-03-0{at % 9 + 1}" for at in range(count)]
    return {
        "x": np.full(count, np.nan) if dice.random() < 0.2 else x,
        "z": np.where(rng.random(count) < 0.2, np.nan, rng.lognormal(9, 1, count)),
        "job": rng.choice(np.array(["a", "b", "c", None], object), count),
        "born": np.array(born, object),
        "y": (rng.random(count) < 0.4).astype(np.float64),
    }


def fitted(spec: PreparationSpec, parts: list[Columns], seed: int) -> Progress:
    """Return the progress after all rounds, with noise under privacy."""
    rng, progress = np.random.default_rng(seed), start(spec)
    while progress.rounds < spec.planned_rounds:
        totals, offset = tallies(spec, progress, parts), 0
        for query in schedule(spec).rounds[progress.rounds]:
            noise = np.rint(rng.normal(0, sigma_of(spec, query), query.slots))
            totals[offset : offset + query.slots] += noise.astype(np.int64)
            offset += query.slots
        progress = learn(spec, progress, totals)
    return progress


@pytest.mark.parametrize("seed", range(60))
def test_what_the_check_accepts_is_fitted_and_applied(seed: int) -> None:
    dice = Random(seed)
    wide = dice.choice(WIDTHS)
    noise = {**PRIVATE, "noise_multiplier": dice.choice([0.1, 1.0, 300.0])}
    spec = pipeline(dice, wide, **({"privacy": noise} if seed % 2 else {}))
    parts = [rows(dice, wide) for _ in range(3)]
    progress = fitted(spec, parts, seed)
    json.dumps(progress.fits, allow_nan=False)
    for part in parts:
        made = outcome(spec, progress, part, strict=not seed % 2)
        for held in made.values.values():
            assert len(held) == len(part["x"])
            assert held.dtype == np.int32 or not np.isinf(held).any()

"""Is what parties fit together what scikit-learn fits to all rows? One JSON line at the end.

    python -m benchmarks.preparation [--owners 3]

`parity`: of each step the largest difference from scikit-learn, or from the formula, on pooled rows
of UCI Adult with a tenth of the cells missing, in units of the column's width (modes that differ,
λ and weights of evidence: as they are). `pipeline_gap`: a credit-scoring pipeline (impute → bins →
weights of evidence → selection by information value → logistic regression → points) over the
owners, by the sums and rounds of agents; the pooled pipeline's AUC on the official test rows minus
the federated one's. `evaluation`: figures of that model from the owners' counts, against those of
scikit-learn on the pooled test rows: the difference, and the most that the evaluation says it may
be. `seconds` are of all fits of one owner, and of what follows from all totals.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    roc_auc_score,
    roc_curve,
)
from sklearn.preprocessing import MinMaxScaler, PowerTransformer, StandardScaler

from secureflow.demo.data import LABEL, adult_rows
from secureflow.demo.study import Columns, columns_of
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.preparation import PreparationSpec, check_preparation
from secureflow.domain.specs.summed import UNIT
from secureflow.engines.evaluation.figures import evaluate
from secureflow.engines.evaluation.layout import form_for
from secureflow.engines.evaluation.tally import tally as summed
from secureflow.engines.preparation.fitting import learn, start, tally
from secureflow.engines.preparation.recipe import recipe_of
from secureflow.engines.preparation.steps.values import read_values
from secureflow.sdk.features import recipe_features
from secureflow.sdk.scorecard import scorecard
from secureflow.simulation import simulate

NUMBERS = {"age": (16.0, 100.0), "hours-per-week": (1.0, 99.0), "fnlwgt": (0.0, 2_000_000.0)}
WORDS = ("workclass", "education", "marital-status", "occupation", "relationship")
KEYS = ("A", "B", "C", "D", "E", "F", "G", "H")


class Fitting:
    """One preparation, fitted over some owners' rows."""

    def __init__(
        self, steps: Sequence[dict[str, Any]], shares: Sequence[Columns], names: Sequence[str]
    ) -> None:
        roster = [
            {"party": f"bank-{one.lower()}", "key": one * 43 + "=", "dataset": "adult"}
            for one in KEYS[: len(shares)]
        ]
        value: dict[str, Any] = {
            "project": "prj_0123456789", "name": "inputs", "purpose": "scoring",
            "submitter": "ann", "roster": roster, "steps": list(steps),
            "columns": [column(name, shares) for name in names],
        }  # fmt: skip
        if any(step["step"] == "woe" for step in steps):
            value["label"] = dump(LABEL)
        spec = parse(PreparationSpec, value)
        check_preparation(spec)
        values = [read_values(spec.columns, share, strict=True) for share in shares]
        labels = [(share[LABEL.column] == LABEL.positive).astype(np.float64) for share in shares]
        progress, self.own, self.whole = start(spec), 0.0, 0.0
        while progress.rounds < spec.planned_rounds:
            began = time.process_time()
            sums = [
                tally(spec, progress, mine, label if spec.label else None)
                for mine, label in zip(values, labels, strict=True)
            ]
            self.own += (time.process_time() - began) / len(shares)
            began = time.process_time()
            progress = learn(spec, progress, np.sum(sums, axis=0))
            self.whole += time.process_time() - began
        self.rounds = spec.planned_rounds
        self.recipe = recipe_of(spec, "job_0123456789", "0" * 64, progress)
        self.fits = [fit["columns"] for fit in self.recipe.fits]


def column(name: str, shares: Sequence[Columns]) -> dict[str, Any]:
    """Return a column's declaration."""
    if name in NUMBERS:
        return {"column": name, "type": "number", "bounds": NUMBERS[name]}
    found = {cell for share in shares for cell in share[name].tolist() if cell is not None}
    return {"column": name, "type": "category", "categories": sorted(found)}


def with_gaps(rows: Columns, seed: int = 3) -> Columns:
    """Return the rows with a tenth of the cells of inputs missing."""
    draw, found = np.random.default_rng(seed), dict(rows)
    for name in (*NUMBERS, *WORDS):
        gone = draw.random(len(rows[name])) < 0.1
        held = rows[name].copy()
        held[gone] = np.nan if name in NUMBERS else None
        found[name] = held
    return found


def divided(rows: Columns, owners: int, seed: int = 5) -> list[Columns]:
    """Return unequal shares of the rows."""
    count = len(rows[LABEL.column])
    sizes = np.arange(1, owners + 1) / np.arange(1, owners + 1).sum()
    order = np.random.default_rng(seed).permutation(count)
    parts = np.split(order, (np.cumsum(sizes)[:-1] * count).astype(int))
    return [{name: held[part] for name, held in rows.items()} for part in parts]


def parity(rows: Columns, shares: Sequence[Columns]) -> dict[str, float]:
    """Return each step's largest difference from pooled rows."""
    numbers = {name: rows[name].astype(np.float64) for name in NUMBERS}
    width = {name: high - low for name, (low, high) in NUMBERS.items()}
    known = {name: held[~np.isnan(held)] for name, held in numbers.items()}
    names, found = tuple(NUMBERS), {}

    def fits(step: str, **more: Any) -> dict[str, Any]:
        return dict(Fitting([{"step": step, "columns": names, **more}], shares, names).fits[0])

    for by in ("mean", "median"):
        filled = SimpleImputer(strategy=by).fit(np.column_stack(list(numbers.values())))
        theirs = dict(zip(names, filled.statistics_, strict=True))
        mine = fits("impute", by=by)
        found[f"impute {by}"] = max(abs(mine[n]["value"] - theirs[n]) / width[n] for n in names)
    mine = fits("standardise")
    for fact, member in (("mean", "mean_"), ("std", "scale_")):
        scaled = {n: StandardScaler().fit(known[n][:, None]) for n in names}
        found[f"standardise {fact}"] = max(
            abs(mine[n][fact] - getattr(scaled[n], member)[0]) / width[n] for n in names
        )
    mine = fits("min_max", of="rows")
    ends = {n: MinMaxScaler().fit(known[n][:, None]) for n in names}
    found["min_max"] = max(
        abs(mine[n][k] - getattr(ends[n], f"data_{v}_")[0]) / width[n]
        for n in names for k, v in (("low", "min"), ("high", "max"))
    )  # fmt: skip
    mine = fits("quantile_bins", bins=10)
    for name in names:
        edges = np.unique(np.quantile(known[name], np.arange(1, 10) / 10))
        gap = float(np.abs(np.asarray(mine[name]["edges"]) - edges).max()) / width[name]
        found["quantile_bins"] = max(found.get("quantile_bins", 0.0), gap)
    mine = fits("yeo_johnson")
    powers = {n: PowerTransformer().fit(known[n][:, None]).lambdas_[0] for n in names}
    found["yeo_johnson"] = max(abs(mine[n]["lambda"] - powers[n]) for n in names)
    return {**found, **_words(rows, shares)}


def _words(rows: Columns, shares: Sequence[Columns]) -> dict[str, float]:
    fitted = Fitting([{"step": "woe", "columns": WORDS}], shares, WORDS)
    rich = rows[LABEL.column] == LABEL.positive
    worst = 0.0
    for one in fitted.recipe.columns:
        cells = [rows[one.column] == name for name in one.categories]
        cells.append(np.array([cell is None for cell in rows[one.column]]))
        theirs = evidence(cells, rich)
        mine = fitted.fits[0][one.column]["woe"]
        worst = max(worst, float(np.abs(np.asarray(mine) - theirs).max()))
    modes = Fitting([{"step": "impute", "columns": WORDS, "by": "mode"}], shares, WORDS).fits[0]
    wrong = 0
    for name in WORDS:
        words, counts = np.unique([c for c in rows[name] if c is not None], return_counts=True)
        wrong += modes[name]["value"] != words[counts.argmax()]
    return {"woe": worst, "impute mode": float(wrong)}


def evidence(cells: Sequence[NDArray[Any]], positive: NDArray[Any]) -> NDArray[np.float64]:
    """Return the weights of evidence of bins, by the formula (smoothing 0.5)."""
    ones = np.array([(cell & positive).sum() for cell in cells], np.float64) + 0.5
    zeros = np.array([(cell & ~positive).sum() for cell in cells], np.float64) + 0.5
    return np.asarray(np.log((ones / ones.sum()) / (zeros / zeros.sum())))


STEPS: list[dict[str, Any]] = [
    {"step": "impute", "columns": ["age", "hours-per-week", "fnlwgt"], "by": "median"},
    {"step": "quantile_bins", "columns": ["age", "hours-per-week", "fnlwgt"], "bins": 10},
    {"step": "woe", "columns": [*NUMBERS, *WORDS]},
    {"step": "select", "columns": [*NUMBERS, *WORDS], "by": "iv", "threshold": 0.02},
]


def pipeline(rows: Columns, shares: Sequence[Columns], test: Columns) -> dict[str, Any]:
    """Return both pipelines' AUC on the test rows, and how far points rank as the model does."""
    fitted = Fitting(STEPS, shares, (*NUMBERS, *WORDS))
    job = {
        "kind": "training",
        "features": dump(recipe_features(fitted.recipe, LABEL)),
        "plan": {"rounds": 40, "batch_size": 256, "learning_rate": 0.5, "validation": 0.0},
    }
    used = [*NUMBERS, *WORDS, LABEL.column]
    owned = [pa.table({name: share[name].tolist() for name in used}) for share in shares]
    model = simulate(job, owned, protection="secagg").model
    rich = test[LABEL.column] == LABEL.positive
    raw = {name: test[name] for name in (*NUMBERS, *WORDS)}
    together = roc_auc_score(rich, model.predict_proba(raw)[:, 1])
    points = roc_auc_score(rich, -scorecard(model).score(raw))
    alone = roc_auc_score(rich, pooled(rows, test))
    return {
        "pipeline_gap": float(alone - together),
        "auc": {"pooled": float(alone), "federated": float(together), "points": float(points)},
        "evaluation": evaluated(model, test, len(shares)),
        "kept": list(fitted.recipe.made),
        "rounds": fitted.rounds,
        "seconds": {"owner": round(fitted.own, 3), "totals": round(fitted.whole, 3)},
    }


def evaluated(model: Any, test: Columns, owners: int) -> dict[str, dict[str, float]]:
    """Return each figure's difference from scikit-learn's on pooled rows, and its stated bound."""
    raw = {name: test[name] for name in (*NUMBERS, *WORDS)}
    rich = test[LABEL.column] == LABEL.positive
    outputs, labels = model.outputs(raw), rich.astype(np.float32)
    form, parts = form_for(LABEL), np.array_split(np.arange(len(rich)), owners)
    totals = np.sum([summed(form, outputs[part], labels[part]) for part in parts], axis=0)
    found = evaluate(form, totals, parties=owners)
    figures: Any = found["figures"]
    bounds: Any = found["bounds"]
    chances = 1 / (1 + np.exp(-outputs[:, 0].astype(np.float64)))
    low, high, _ = roc_curve(rich, chances)
    theirs = {
        "auc": roc_auc_score(rich, chances),
        "ks": (high - low).max(),
        "loss": log_loss(rich, chances),
        "brier": brier_score_loss(rich, chances),
        "accuracy": accuracy_score(rich, outputs[:, 0] > 0),
    }
    return {
        name: {"error": abs(float(figures[name] - one)), "bound": float(bounds.get(name, 0.0))}
        for name, one in theirs.items()
    }


def pooled(rows: Columns, test: Columns) -> NDArray[np.float64]:
    """Return the pooled pipeline's chances for the test rows."""
    rich = rows[LABEL.column] == LABEL.positive
    inputs: list[NDArray[np.float64]] = []
    tested: list[NDArray[np.float64]] = []
    for name in (*NUMBERS, *WORDS):
        ours, theirs = _cells(name, rows, rows), _cells(name, rows, test)
        weights = evidence(ours, rich)
        ones = np.array([(cell & rich).sum() for cell in ours], np.float64) + 0.5
        zeros = np.array([(cell & ~rich).sum() for cell in ours], np.float64) + 0.5
        if float(((ones / ones.sum() - zeros / zeros.sum()) * weights).sum()) < 0.02:
            continue
        inputs.append(np.select(ours, weights.tolist()))
        tested.append(np.select(theirs, weights.tolist()))
    found = LogisticRegression(C=1e6, max_iter=2000).fit(np.column_stack(inputs), rich)
    return np.asarray(found.predict_proba(np.column_stack(tested))[:, 1])


def _cells(name: str, rows: Columns, of: Columns) -> list[NDArray[Any]]:
    """Return which rows are in each bin of a column, as fitted to `rows`; the last is missing."""
    if name not in NUMBERS:
        words = sorted({cell for cell in rows[name].tolist() if cell is not None})
        each = [of[name] == word for word in words]
        return [*each, ~np.any(each, axis=0)]
    held, mine = rows[name].astype(np.float64), of[name].astype(np.float64)
    middle = np.nanmedian(held)
    edges = np.unique(np.quantile(np.where(np.isnan(held), middle, held), np.arange(1, 10) / 10))
    bins = np.searchsorted(edges, np.where(np.isnan(mine), middle, mine), side="right")
    return [*(bins == at for at in range(len(edges) + 1)), np.zeros(len(mine), bool)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one JSON line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preparation", description=__doc__)
    parser.add_argument("--owners", type=int, default=3)
    owners = parser.parse_args(arguments).owners
    rows = with_gaps(columns_of(adult_rows("train")))
    test = with_gaps(columns_of(adult_rows("test")), seed=4)
    shares = divided(rows, owners)
    found = {"parity": parity(rows, shares), **pipeline(rows, shares, test)}
    print(json.dumps({"owners": owners, "quantum": 1 / UNIT, **found}))


if __name__ == "__main__":
    main()

"""Each step, fitted over three unequal parties, is what scikit-learn or its formula gives on all.

What sums are rounded by (`fitting`) and the last cells of a search bound the error: both are below
1e-6 of a column's width. A step of the catalogue without a case fails.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from unit.engines.preparation.steps.world import (
    ROWS,
    SHAPES,
    WHOLE,
    category,
    number,
    prepared,
    text,
    width,
)

from secureflow.domain.specs.steps import CATALOGUE
from secureflow.domain.specs.summed import UNIT

pytest.importorskip("sklearn", reason="needs the extra sklearn")
ERROR = 1e-6
"""Of a column's width."""
QUANTUM = 3 / UNIT
"""The rounding of one sum at three parties."""
Step = Mapping[str, Any]
Vector = NDArray[Any]
CASES: dict[str, Callable[[], None]] = {}
RNG = np.random.default_rng(23)
LABEL = (RNG.random(ROWS) < 0.3).astype(np.float64)
WORK = ("clerk", "farmer", "guard", "nobody")


def words() -> Vector:
    found = RNG.choice(np.array(["clerk", "farmer", "guard"], object), ROWS, p=[0.6, 0.37, 0.03])
    found[5::11] = None
    return found


WORDS = words()


def over_shapes(
    step: Step, shape: str, **more: Any
) -> tuple[Mapping[str, Any], Vector, Vector, float]:
    """Return the fit, the column, what it became, and the width of that."""
    low, high, values = SHAPES[shape]
    progress, rows = prepared([{**step, "columns": ["x"]}], [number("x", low, high)],
                              {"x": values, "y": LABEL}, **more)  # fmt: skip
    fit = progress.fits[0]
    assert fit is not None
    found = rows.values["x"]
    wide = width(rows, "x") if found.dtype == np.float64 else 0.0
    return fit["columns"].get("x", {}), values, found, wide


def same(found: Vector, wanted: Vector, error: float) -> None:
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert np.nanmax(np.abs(found - wanted), initial=0.0) <= error


def case(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    def add(check: Callable[[], None]) -> Callable[[], None]:
        CASES[name] = check
        return check

    return add


@case("impute")
def impute() -> None:
    from sklearn.impute import SimpleImputer

    for by in ("mean", "median"):
        for shape in SHAPES:
            step = {"step": "impute", "by": by}
            fit, values, found, wide = over_shapes(step, shape)
            known = SimpleImputer(strategy=by).fit(values[:, None])
            error = QUANTUM if by == "mean" else 0.0 if shape in WHOLE[:3] else ERROR
            assert abs(fit["value"] - known.statistics_[0]) <= error * wide, (by, shape)
            same(found, known.transform(values[:, None])[:, 0], error * wide)
    modes()


def modes() -> None:
    from sklearn.impute import SimpleImputer

    for by, value in (("mode", None), ("constant", "guard")):
        step = {"step": "impute", "columns": ["work"], "by": by, "value": value}
        _, rows = prepared([step], [category("work", *WORK)], {"work": WORDS})
        strategy = "most_frequent" if by == "mode" else by
        known = SimpleImputer(missing_values=None, strategy=strategy, fill_value=value)
        wanted = known.fit_transform(WORDS[:, None])[:, 0]
        assert [WORK[at] for at in rows.values["work"]] == wanted.tolist()
    values = SHAPES["whole"][2]
    step = {"step": "impute", "columns": ["x"], "by": "constant", "value": -7, "indicator": True}
    _, rows = prepared([step], [number("x", 0, 100)], {"x": values})
    known = SimpleImputer(strategy="constant", fill_value=-7, add_indicator=True)
    assert np.array_equal(
        np.column_stack([rows.values["x"], rows.values["x.missing"]]),
        known.fit_transform(values[:, None]),
    )


@case("clip")
def clip() -> None:
    for shape, (low, high, values) in SHAPES.items():
        least, most = low + (high - low) * 0.2, low + (high - low) * 0.7
        _, _, found, _ = over_shapes({"step": "clip", "low": least, "high": most}, shape)
        same(found, np.clip(values, least, most), 0.0)
        _, _, found, _ = over_shapes({"step": "clip", "low": least}, shape)
        same(found, np.maximum(values, least), 0.0)


@case("standardise")
def standardise() -> None:
    from sklearn.preprocessing import StandardScaler

    for shape, (low, high, values) in SHAPES.items():
        fit, _, found, wide = over_shapes({"step": "standardise"}, shape)
        known = StandardScaler().fit(values[:, None])
        assert abs(fit["mean"] - known.mean_[0]) <= QUANTUM * (high - low), shape
        if shape != "constant":
            assert abs(fit["std"] - known.scale_[0]) <= QUANTUM * (high - low), shape
        same(found, known.transform(values[:, None])[:, 0], QUANTUM * wide)


@case("min_max")
def min_max() -> None:
    from sklearn.preprocessing import MinMaxScaler

    for shape, (low, high, values) in SHAPES.items():
        step = {"step": "min_max", "low": -2, "high": 3}
        _, _, found, _ = over_shapes(step, shape)
        same(found, -2 + 5 * (values - low) / (high - low), 1e-12)
        fit, _, found, wide = over_shapes({**step, "of": "rows"}, shape)
        known = MinMaxScaler(feature_range=(-2, 3)).fit(values[:, None])
        assert abs(fit["low"] - known.data_min_[0]) <= ERROR * (high - low), shape
        assert abs(fit["high"] - known.data_max_[0]) <= ERROR * (high - low), shape
        share = (known.data_range_[0] / (high - low)) or 1.0
        same(found, known.transform(values[:, None])[:, 0], ERROR * wide / share)
        if shape in WHOLE and shape != "constant":
            assert (fit["low"], fit["high"]) == (known.data_min_[0], known.data_max_[0]), shape


@case("quantile_bins")
def quantile_bins() -> None:
    for shape, (low, high, values) in SHAPES.items():
        for bins in (2, 4, 10):
            fit, _, found, _ = over_shapes({"step": "quantile_bins", "bins": bins}, shape)
            edges = np.unique(np.nanquantile(values, np.arange(1, bins) / bins))
            if shape in WHOLE[:3]:
                assert fit["edges"] == edges.tolist(), (shape, bins)
            assert np.max(np.abs(np.subtract(fit["edges"], edges))) <= ERROR * (high - low)
            wanted = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="right"))
            near = np.min(np.abs(values[:, None] - edges), axis=1) <= ERROR * (high - low)
            assert np.array_equal(found[~near], wanted[~near]), (shape, bins)
            if shape in WHOLE[:3]:
                assert np.array_equal(found, wanted), (shape, bins)
    as_scikit_learn_bins("quantile", 5, {"quantile_method": "linear"})


def as_scikit_learn_bins(strategy: str, bins: int, more: Mapping[str, Any]) -> None:
    from sklearn.preprocessing import KBinsDiscretizer

    # It has no place for missing cells, and cuts the range of rows: both bounds are among them.
    values = np.round(np.nan_to_num(SHAPES["both signs"][2], nan=1.0), 3)
    values[:2] = -50, 50
    known = KBinsDiscretizer(bins, encode="ordinal", strategy=strategy, **more)
    name = {"quantile": "quantile_bins", "uniform": "width_bins"}[strategy]
    step = {"step": name, "columns": ["x"], "bins": bins}
    _, rows = prepared([step], [number("x", -50, 50)], {"x": values})
    wanted = known.fit_transform(values[:, None])[:, 0]
    away = np.min(np.abs(values[:, None] - known.bin_edges_[0]), axis=1) > ERROR * 100
    assert np.array_equal(rows.values["x"][away], wanted[away])


@case("width_bins")
def width_bins() -> None:
    as_scikit_learn_bins("uniform", 7, {})
    for shape, (low, high, values) in SHAPES.items():
        _, _, found, _ = over_shapes({"step": "width_bins", "bins": 8}, shape)
        edges = np.linspace(low, high, 9)[1:-1]
        wanted = np.where(np.isnan(values), -1, np.digitize(values, edges))
        assert np.array_equal(found, wanted), shape


def evidence(codes: Vector, count: int, smoothing: float) -> tuple[list[float], float]:
    """Return each category's weight of evidence, that of missing cells last, and their value."""
    weights, value, total = [], 0.0, float(LABEL.sum())
    for one in [*range(count), -1]:
        inside = codes == one
        share = (LABEL[inside].sum() + smoothing) / (total + smoothing * (count + 1))
        other = (1 - LABEL[inside]).sum() + smoothing
        other /= ROWS - total + smoothing * (count + 1)
        weights.append(float(np.log(share / other)))
        value += (share - other) * weights[-1]
    return weights, float(value)


def codes_of(cells: Vector) -> Vector:
    return np.array([-1 if one is None else WORK.index(one) for one in cells.tolist()])


@case("woe")
def woe() -> None:
    codes = codes_of(WORDS)
    for smoothing in (0.5, 3.0):
        step = {"step": "woe", "columns": ["work"], "smoothing": smoothing}
        data = {"work": WORDS, "y": LABEL}
        progress, rows = prepared([step], [category("work", *WORK)], data)
        weights, value = evidence(codes, len(WORK), smoothing)
        assert progress.fits[0] is not None
        fit = progress.fits[0]["columns"]["work"]
        assert fit["woe"] == pytest.approx(weights, abs=1e-12)
        assert fit["iv"] == pytest.approx(value, abs=1e-12)
        same(rows.values["work"], np.array(weights)[codes], 1e-12)


@case("one_hot")
def one_hot() -> None:
    from sklearn.preprocessing import OneHotEncoder

    known = OneHotEncoder(categories=[list(WORK)], handle_unknown="ignore", sparse_output=False)
    step = {"step": "one_hot", "columns": ["work"], "missing": "indicator"}
    _, rows = prepared([step], [category("work", *WORK)], {"work": WORDS})
    absent = np.array([one is None for one in WORDS.tolist()])
    assert [*rows.values] == [*(f"work={one}" for one in WORK), "work.missing"]
    wanted = known.fit_transform(np.where(absent, "", WORDS)[:, None])
    found = np.column_stack([*rows.values.values()])
    assert np.array_equal(found, np.column_stack([wanted, absent]))
    rare = OneHotEncoder(min_frequency=50, sparse_output=False)
    _, rows = prepared([{**step, "least": 50, "missing": "zeros"}], [category("work", *WORK)],
                       {"work": WORDS})  # fmt: skip
    wanted = rare.fit_transform(WORDS[~absent][:, None])
    assert [*rows.values] == ["work=clerk", "work=farmer", "work.other"]
    found = np.column_stack([*rows.values.values()])
    assert np.array_equal(found[~absent], wanted)
    assert not found[absent].any()


@case("ordinal")
def ordinal() -> None:
    from sklearn.preprocessing import OrdinalEncoder

    step = {"step": "ordinal", "columns": ["work"]}
    _, rows = prepared([step], [category("work", *WORK)], {"work": WORDS})
    known = OrdinalEncoder(categories=[[*WORK, None]], encoded_missing_value=np.nan)
    wanted = known.fit_transform(WORDS[:, None])[:, 0]
    wanted[wanted == len(WORK)] = np.nan
    same(rows.values["work"], wanted, 0.0)


@case("hash")
def hash_text() -> None:
    names = np.array([None if at % 9 == 0 else f"Straße {at}" for at in range(ROWS)], object)
    _, rows = prepared([{"step": "hash", "columns": ["street"], "buckets": 37}], [text("street")],
                       {"street": names})  # fmt: skip
    digests = [b"" if one is None else hashlib.blake2b(one.encode(), digest_size=8).digest()
               for one in names.tolist()]  # fmt: skip
    wanted = [int.from_bytes(one, "big") % 37 if one else -1 for one in digests]
    assert rows.values["street"].tolist() == wanted


@case("log")
def log() -> None:
    for shape, (low, _, values) in SHAPES.items():
        shift = 1.0 if low >= 0 else 0.5 - low
        _, _, found, _ = over_shapes({"step": "log", "shift": shift}, shape)
        same(found, np.log(values + shift), 1e-12)


@case("yeo_johnson")
def yeo_johnson() -> None:
    from scipy import stats
    from sklearn.preprocessing import PowerTransformer

    for shape in ("whole", "cents", "heavy tails", "negative", "both signs"):
        fit, values, found, _ = over_shapes({"step": "yeo_johnson"}, shape)
        known = PowerTransformer(standardize=False).fit(values[:, None]).lambdas_[0]
        assert abs(fit["lambda"] - known) <= 1e-3, shape
        wanted = stats.yeojohnson(values, fit["lambda"])
        same(found, wanted, 1e-9 * np.nanmax(np.abs(wanted)))


@case("date_parts")
def date_parts() -> None:
    days = [date.fromordinal(date(1999, 1, 1).toordinal() + 17 * at) for at in range(ROWS)]
    cells = np.array([day.strftime("%d.%m.%Y") for day in days], object)
    cells[3] = None
    parts = ["year", "month", "day", "weekday", "day_of_year"]
    step = {"step": "date_parts", "columns": ["born"], "formats": ["%d.%m.%Y"], "parts": parts}
    _, rows = prepared([step], [text("born")], {"born": cells})
    wanted = {
        "year": [day.year for day in days], "month": [day.month for day in days],
        "day": [day.day for day in days], "weekday": [day.isoweekday() - 1 for day in days],
        "day_of_year": [(day - date(day.year, 1, 1)).days + 1 for day in days],
    }  # fmt: skip
    for part, numbers in wanted.items():
        each = np.array(numbers, np.float64)
        each[3] = np.nan
        same(rows.values[f"born.{part}"], each, 0.0)


@case("interact")
def interact() -> None:
    from sklearn.preprocessing import PolynomialFeatures

    # It takes no missing cells.
    data = {one: np.nan_to_num(SHAPES[name][2], nan=SHAPES[name][0])
            for one, name in (("a", "both signs"), ("b", "negative"), ("c", "whole"))}  # fmt: skip
    columns = [number("a", -50, 50), number("b", -500, -20), number("c", 0, 100)]
    _, rows = prepared([{"step": "interact", "columns": ["a", "b", "c"]}], columns, data)
    known = PolynomialFeatures(interaction_only=True, include_bias=False)
    wanted = known.fit_transform(np.column_stack([*data.values()]))
    assert [*rows.values] == ["a", "b", "c", "a*b", "a*c", "b*c"]
    assert np.array_equal(np.column_stack([*rows.values.values()]), wanted)


@case("select")
def select() -> None:
    by_variance()
    by_correlation()
    by_iv()


def by_variance() -> None:
    from sklearn.feature_selection import VarianceThreshold

    data = {name: values for name, (_, _, values) in SHAPES.items()}
    columns = [number(name, low, high) for name, (low, high, _) in SHAPES.items()]
    for threshold in (0.0, 20.0, 200.0):
        step = {"step": "select", "columns": [*SHAPES], "by": "variance", "threshold": threshold}
        progress, rows = prepared([step], columns, data)
        known = VarianceThreshold(threshold).fit(np.column_stack([*data.values()]))
        kept = [name for name, stays in zip(SHAPES, known.get_support(), strict=True) if stays]
        kept = [name for name in kept if name != "constant"]  # rounding keeps it there at 0
        assert [*rows.values] == kept
        assert progress.fits[0] is not None
        for name, (low, high, values) in SHAPES.items():
            value = progress.fits[0]["values"][name]
            assert abs(value - np.nanvar(values)) <= QUANTUM * (high - low) ** 2


def by_correlation() -> None:
    a = SHAPES["both signs"][2]
    b = np.clip(a + RNG.normal(0, 4, ROWS), -50, 50)
    c = np.clip(-0.6 * a + RNG.normal(0, 8, ROWS), -50, 50)
    d = RNG.uniform(-50, 50, ROWS)
    data = {"still": np.full(ROWS, 31.7), "a": a, "b": b, "c": c, "d": d}
    b[4::13] = np.nan
    columns = [number(name, -50, 50) for name in data]
    table = np.column_stack([*data.values()])
    whole = table[~np.isnan(table).any(axis=1)]
    with np.errstate(invalid="ignore"):
        known = np.nan_to_num(np.abs(np.corrcoef(whole, rowvar=False)), nan=0.0)
    known[0] = known[:, 0] = 0.0  # a constant column goes with none
    for threshold, kept in ((0.5, ["still", "a", "d"]), (0.7, ["still", "a", "c", "d"])):
        step = {"step": "select", "columns": [*data], "by": "correlation", "threshold": threshold}
        progress, rows = prepared([step], columns, data)
        assert [*rows.values] == kept
        assert progress.fits[0] is not None
        names, values = [*data], progress.fits[0]["values"]
        for at, name in enumerate(names):
            before = [one for one in range(at) if names[one] in kept]
            assert list(values[name].values()) == pytest.approx(
                [max(known[one, at] for one in before)] if before else [], abs=1e-6
            ), name
        assert set(values["b"]) == {"a"}


def by_iv() -> None:
    work = np.where(LABEL == 1, "guard", WORDS)
    data = {"work": work, "home": WORDS, "y": LABEL}
    columns = [category("work", *WORK), category("home", *WORK)]
    named = {"columns": ["work", "home"]}
    steps = [{"step": "woe", **named}, {"step": "select", "by": "iv", "threshold": 0.1, **named}]
    progress, rows = prepared(steps, columns, data)
    assert [*rows.values] == ["work"]
    assert progress.fits[1] is not None
    found = progress.fits[1]["values"]
    assert found["work"] == pytest.approx(evidence(codes_of(work), 4, 0.5)[1], abs=1e-12)
    assert found["home"] == pytest.approx(evidence(codes_of(WORDS), 4, 0.5)[1], abs=1e-12)


@case("drop")
def drop() -> None:
    data = {"a": SHAPES["whole"][2], "note": WORDS}
    step = {"step": "drop", "columns": ["note"]}
    _, rows = prepared([step], [number("a", 0, 100), text("note")], data)
    assert [*rows.values] == ["a"]
    same(rows.values["a"], data["a"], 0.0)


def test_every_step_has_a_case() -> None:
    assert set(CASES) == {one.step for one in CATALOGUE}


@pytest.mark.parametrize("step", [one.step for one in CATALOGUE])
def test_it_is_what_all_rows_in_one_place_give(step: str) -> None:
    CASES[step]()

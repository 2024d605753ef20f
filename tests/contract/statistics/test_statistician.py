"""One suite over both libraries: sums, noise of the promised width, and bounds that hold.

Each bound on noise is an exact quantile of its distribution under σ as promised: a correct library
fails one with probability 1e-7.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from peers.statistics import (
    EVERY,
    LAPLACE,
    LOCAL,
    LOCALLY,
    PARTY,
    PYDP,
    SEXES,
    SHARED,
    own_bounds,
    people,
    statistics_spec,
)
from scipy import stats

from secureflow.adapters.statistics import open_statistician
from secureflow.adapters.statistics import opendp as opendp_adapter
from secureflow.adapters.statistics.sums import fill
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.statistics.layout import UNIT, QueryLayout, layout, slots
from secureflow.engines.statistics.rows import exact_sums
from secureflow.kit.errors import SecureFlowError

HONEST = 3
RARE = 1e-7
TOWNS = [f"town-{number}" for number in range(3000)]
EACH = [SHARED, PARTY, LAPLACE, PYDP]
NAMES = ["opendp shared", "opendp party", "opendp laplace", "pydp"]

each = pytest.mark.parametrize("privacy", EACH, ids=NAMES)


def _noised(
    spec: StatisticsSpec, columns: dict[str, Any], units: Any = None, **own: Any
) -> np.ndarray:
    library = open_statistician(spec.privacy.library)
    return library.noised_sums(spec, own_bounds(**own), columns, units, HONEST)


def _wide(privacy: dict[str, Any], measure: str = "count", **changes: Any) -> StatisticsSpec:
    """A spec whose one query has as many equally noised slots as it has towns."""
    town = {"column": "town", "type": "category", "categories": TOWNS}
    age = {"column": "age", "type": "number", "bounds": [0, 100]}
    query = {"name": "q", "measure": measure, "by": "town"}
    columns = [town]
    if measure != "count":
        query["column"] = "age"
        columns.append(age)
    return statistics_spec([query], privacy, columns=columns, **changes)


def _empty() -> dict[str, np.ndarray]:
    return {"town": np.array([], object), "age": np.array([])}


@each
def test_every_query_is_its_exact_sum_but_for_the_noise(privacy: dict[str, Any]) -> None:
    spec = statistics_spec(privacy={**privacy, "noise_multiplier": 0.1})
    columns = people(500, missing=0.1)
    noised = _noised(spec, columns)
    exact = exact_sums(spec, own_bounds(), columns, None, b"k")
    assert (noised != exact).any()
    assert (noised.dtype, noised.shape) == (np.dtype(np.int64), (slots(spec),))
    for place in layout(spec):
        # Beyond 20 σ (Laplace: 25 scales) lies less than 1e-10.
        assert (abs(noised - exact)[place.slice] < 25 * place.share(HONEST)).all()


@each
@pytest.mark.parametrize(("measure", "multiplier", "contributions"),
                         [("count", 1.0, 1), ("count", 30.0, 4), ("mean", 0.5, 2),
                          ("variance", 2.0, 1)])  # fmt: skip
def test_noise_is_as_wide_as_promised(
    privacy: dict[str, Any], measure: str, multiplier: float, contributions: int
) -> None:
    person = {**privacy, "noise_multiplier": multiplier, "unit": "person"}
    spec = _wide(person, measure, contributions=contributions)
    (place,) = layout(spec)
    _same_width(place, _noised(spec, _empty(), np.array([], object)).astype(float))


def _same_width(place: QueryLayout, noise: np.ndarray) -> None:
    scaled = noise / place.share(HONEST)
    size = len(scaled)
    if place.privacy.mechanism == "gaussian":
        total, law = float((scaled**2).sum()), stats.chi2(size)
        squeezed = stats.kstest(scaled, "norm")
    else:
        total, law = float(abs(scaled).sum()), stats.gamma(size)
        squeezed = stats.kstest(scaled, "laplace")
    assert law.ppf(RARE / 2) < total < law.ppf(1 - RARE / 2)
    assert squeezed.pvalue > RARE
    # Independent: neighbouring slots do not go together, and the mean is 0.
    together = float((scaled[1:] * scaled[:-1]).sum()) / (scaled.std() ** 2 * np.sqrt(size))
    assert abs(together) < 6
    assert abs(scaled.mean()) < 6 * scaled.std() / np.sqrt(size)


def test_a_width_other_than_promised_is_noticed() -> None:
    """The bounds above are tight enough: a fifth more or less noise fails them."""
    spec = _wide(PARTY)
    (place,) = layout(spec)
    noise = _noised(spec, _empty()).astype(float)
    for factor in (0.8, 1.2):
        with pytest.raises(AssertionError):
            _same_width(place, noise * factor)


def test_shares_of_noise_are_smaller_by_the_root_of_the_honest() -> None:
    shared, party = (layout(_wide(privacy))[0] for privacy in (SHARED, PARTY))
    assert shared.share(4) * 2 == shared.scale == party.share(4)


@each
def test_noise_is_fresh_at_each_call(privacy: dict[str, Any]) -> None:
    spec = statistics_spec(privacy=privacy)
    assert (_noised(spec, people(10)) != _noised(spec, people(10))).any()


@each
def test_values_are_clamped_and_rows_of_a_unit_bounded(privacy: dict[str, Any]) -> None:
    queries = [{"name": "s", "measure": "sum", "column": "age"}]
    quiet = {**privacy, "noise_multiplier": 0.1, "unit": "person"}
    spec = statistics_spec(queries, quiet, contributions=2)
    ages = np.array([1e300, np.inf, -1e300, -np.inf, np.nan] * 200 + [50.0] * 1000)
    units = np.array([f"p{n}" for n in range(1000)] + ["ana"] * 1000, object)
    total = _noised(spec, {"age": ages}, units, rows_per_unit=2, bounds={"age": (10.0, 80.0)})
    wanted = 400 * 0.8 + 400 * 0.1 + 2 * 0.5
    assert total[0] / UNIT == pytest.approx(wanted, abs=25 * 0.1 * 2)


@each
def test_unknown_categories_and_missing_cells_leave_their_rows_out(privacy: dict[str, Any]) -> None:
    queries = [{"name": "n", "measure": "mean", "column": "age", "by": "sex"}]
    spec = statistics_spec(queries, {**privacy, "noise_multiplier": 0.1})
    columns = {
        "age": np.array([100.0] * 400 + [np.nan] * 400),
        "sex": np.array((["f"] * 100 + ["y"] * 100 + [None] * 100 + ["x"] * 100) * 2, object),
    }
    found = _noised(spec, columns, categories={"sex": SEXES}) / UNIT
    np.testing.assert_allclose(found, [100, 100, 0, 0, 100, 100], atol=25 * 0.1 * 2)


@each
def test_the_widest_noise_stays_within_the_limit(privacy: dict[str, Any]) -> None:
    wide = {**privacy, "noise_multiplier": 100.0, "unit": "person"}
    spec = statistics_spec(EVERY, wide, contributions=10_000)
    found = _noised(spec, people(100), np.arange(100.0))
    assert (abs(found) < LIMIT).all()


def _refused(spec: StatisticsSpec, honest: int = HONEST) -> None:
    library = open_statistician(spec.privacy.library)
    columns = people(10)
    with pytest.raises(SecureFlowError) as refused:
        library.noised_sums(spec, own_bounds(), columns, None, honest)
    assert refused.value.code == "statistics_refused"


@pytest.mark.parametrize("privacy", [PARTY, LAPLACE, PYDP], ids=NAMES[1:])
def test_less_noise_than_charged_is_refused(
    privacy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the layout's noise too small for what is charged, the library's account would show."""
    narrow = property(lambda place: 0.99 * place.privacy.multiplier * place.l2)
    monkeypatch.setattr(QueryLayout, "scale", narrow)
    _refused(statistics_spec([EVERY[0]], privacy))


def test_a_sum_that_moves_more_than_its_bound_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wider = opendp_adapter.UNIT * 2
    monkeypatch.setattr(opendp_adapter, "_clamped_sum", lambda: opendp_adapter.clamped_sum(wider))
    _refused(statistics_spec())


@pytest.mark.parametrize("query", [1, 3, 4])
def test_local_noise_less_than_charged_is_refused(
    query: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        QueryLayout, "value_scale", property(lambda place: 0.99 * place.value_width)
    )
    monkeypatch.setattr(QueryLayout, "truth", property(lambda place: 0.9))
    _refused(statistics_spec([LOCAL[query]], LOCALLY))


def test_noise_is_not_shared_out_among_more_than_are_certain() -> None:
    for honest in (0, -1, 4, 5):
        _refused(statistics_spec(), honest)


def test_numbers_beyond_the_limit_are_clamped() -> None:
    spec = statistics_spec([EVERY[0]])
    for wild, kept in ((1 << 62, LIMIT), (-(1 << 62), -LIMIT)):
        found = fill(
            spec, own_bounds(), people(1), None, HONEST, lambda *_, wild=wild: np.array([wild])
        )
        assert found.tolist() == [kept]


def test_which_rows_of_a_unit_count_differs_from_call_to_call() -> None:
    """Rows of 0 and of 100 each: the sum of 200 units' choices has a spread of 7 of them."""
    quiet = {**PARTY, "noise_multiplier": 0.1, "unit": "person"}
    spec = statistics_spec([{"name": "s", "measure": "sum", "column": "age"}], quiet)
    units = np.repeat(np.array([f"p{n}" for n in range(200)], object), 2)
    columns = {"age": np.tile([0.0, 100.0], 200)}
    sums = [int(_noised(spec, columns, units)[0]) / UNIT for _ in range(20)]
    assert np.std(sums) > 3


def test_more_honest_shares_than_accounted_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QueryLayout, "share", lambda place, honest: place.scale / honest)
    _refused(statistics_spec())


# --- local noise ---------------------------------------------------------------------------------


def test_a_category_is_answered_truly_as_often_as_its_epsilon_allows() -> None:
    privacy = {**LOCALLY, "noise_multiplier": 0.5}
    spec = statistics_spec([{"name": "s", "measure": "count", "by": "sex"}], privacy)
    (place,) = layout(spec)
    rows = 20_000
    counts = _noised(spec, {"sex": np.array(["m"] * rows, object)}) // UNIT
    assert counts.sum() == rows
    lie = (1 - place.truth) / 2
    assert place.truth / lie == pytest.approx(np.exp(2.0), rel=1e-5)
    assert place.truth / lie <= np.exp(2.0)
    for count, chance in zip(counts, (lie, place.truth, lie), strict=True):
        law = stats.binom(rows, chance)
        assert law.ppf(RARE / 2) <= count <= law.ppf(1 - RARE / 2)


@pytest.mark.parametrize(("measure", "noised"), [("mean", 1), ("variance", 2), ("sum", 1)])
def test_each_value_has_noise_of_its_own(measure: str, noised: int) -> None:
    spec = statistics_spec([{"name": "s", "measure": measure, "column": "age"}], LOCALLY)
    (place,) = layout(spec)
    rows, runs = 50, 120
    columns = {"age": np.full(rows, 50.0)}
    exact = exact_sums(spec, own_bounds(), columns, None, b"k")
    found = np.array([_noised(spec, columns) - exact for _ in range(runs)])
    assert not found[:, -1].any()  # the number of rows is not hidden
    scaled = found[:, :-1] / (place.value_scale * np.sqrt(2 * rows))
    assert scaled.shape == (runs, noised)
    total, law = float((scaled**2).sum()), stats.chi2(runs * noised)
    # Sums of 50 Laplace values have an excess kurtosis of 0.06: the margin is 10 %.
    assert law.ppf(RARE / 2) * 0.9 < total < law.ppf(1 - RARE / 2) * 1.1
    assert place.value_scale == pytest.approx((3.125 if noised == 2 else 2) * UNIT, rel=1e-5)


def test_local_answers_of_every_measure_come_near_the_truth() -> None:
    spec = statistics_spec(LOCAL, {**LOCALLY, "noise_multiplier": 0.1})
    columns = people(3000)
    noised = _noised(spec, columns)
    exact = exact_sums(spec, own_bounds(), columns, None, b"k")
    for place in layout(spec):
        if place.answered:  # ε = 10: nearly all tell the truth
            assert (abs(noised - exact)[place.slice] <= 100 * UNIT).all()


# --- libraries that are not there ----------------------------------------------------------------


@pytest.mark.parametrize("library", ["opendp", "pydp"])
def test_a_missing_library_is_named_with_what_installs_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"secureflow.adapters.statistics.{library}", None)
    with pytest.raises(SecureFlowError) as missing:
        open_statistician(library)
    assert missing.value.code == "library_missing"
    assert "stats]" in missing.value.hint  # how it is installed here: a wheel or a checkout


def test_an_unknown_library_is_refused() -> None:
    with pytest.raises(SecureFlowError) as missing:
        open_statistician("numpy")
    assert missing.value.code == "library_missing"


def test_pydp_refuses_what_it_cannot_noise() -> None:
    spec = statistics_spec([EVERY[0]])
    other = dataclasses.replace(spec, privacy=dataclasses.replace(spec.privacy, library="pydp"))
    _refused(other)


def test_libraries_are_imported_only_when_opened() -> None:
    code = (
        "import sys, secureflow.adapters.statistics, secureflow.engines.statistics;"
        "print(sorted({'opendp', 'pydp'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"

"""A sweep on its report's page: a table, and a picture in which every point is a line."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from secureflow.application.reports.page import render
from secureflow.application.reports.parallel import HEIGHT, WIDTH, ParallelPlot, parallel
from secureflow.application.reports.points import points_view


def point(number: int, sets: dict[str, Any], loss: float | None, **more: Any) -> dict[str, Any]:
    metrics = {} if loss is None else {"loss": loss}
    row = {"point": number, "job": f"job_{number:08d}", "sets": sets, "metrics": metrics}
    model = {"id": f"mdl_{number:08d}"}
    return {**row, "state": "succeeded", "rounds": 3, "model": model, **more}


RATES = (0.001, 0.01, 0.1, 1.0)


def report(**more: Any) -> dict[str, Any]:
    points = [
        point(at, {"plan.learning_rate": rate, "model.hidden": [8 * at]}, abs(rate - 0.1))
        for at, rate in enumerate(RATES, 1)
    ]
    return {
        "name": "rates", "state": "succeeded", "protection": "secagg", "points": points,
        "swept": ["model.hidden", "plan.learning_rate"],
        "metric": {"name": "loss", "better": "lower"}, "best": {"point": 3}, **more,
    }  # fmt: skip


def test_each_point_is_a_line_through_all_axes_and_the_best_comes_last() -> None:
    plot = parallel(report())
    assert plot is not None
    assert [axis.name for axis in plot.axes] == ["model.hidden", "plan.learning_rate", "loss"]
    assert [line.best for line in plot.lines] == [False, False, False, True]
    assert plot.lines[-1].point == 3
    for line in plot.lines:
        places = [tuple(map(float, pair.split())) for pair in line.path[1:].split(" L")]
        assert [x for x, _ in places] == [axis.at for axis in plot.axes]
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)


def test_a_setting_over_many_magnitudes_has_a_logarithmic_axis() -> None:
    plot = parallel(report())
    assert plot is not None
    heights = {
        line.point: float(line.path.split(" L")[1].split()[1]) for line in plot.lines
    }  # each factor of ten is one step
    steps = [heights[at] - heights[at + 1] for at in (1, 2, 3)]
    assert max(steps) - min(steps) < 0.3
    assert min(steps) > 10
    assert [tick.text for tick in plot.axes[1].ticks] == ["0.001", "0.03162", "1"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((1e-200, 1e-150), ["1e-200", "1e-175", "1e-150"]),  # their product is 0
        ((5e-324, 1e-323), ["4.941e-324", "4.941e-324", "9.881e-324"]),
        ((5e-324, 1.5e308), ["4.941e-324", "2.722e-08", "1.5e+308"]),
        ((1e200, 1e300), ["1e+200", "1e+250", "1e+300"]),  # their product is infinite
        ((1e308, 1.7e308), ["1e+308", "1.35e+308", "1.7e+308"]),  # their sum is
        ((-1.7e308, 1.7e308), ["-1.7e+308", "0", "1.7e+308"]),  # their difference is
        ((math.nextafter(1.0, 0.0), 1.0), ["1", "1", "1"]),
        ((math.nextafter(-1e308, 0.0), -1e308), ["-1e+308", "-1e+308", "-1e+308"]),
        ((2**53, 2**53 + 1), [str(2**53), str(2**53 + 1)]),  # one number as floats
        ((1, 10**400), ["1", str(10**400)]),  # no float
    ],
)  # fmt: skip
def test_any_two_numbers_have_an_axis(values: tuple[float, float], labels: list[str]) -> None:
    points = [point(at, {"plan.seed": one}, 0.1 * at) for at, one in enumerate(values, 1)]
    plot = parallel(report(points=points, swept=["plan.seed"]))
    assert plot is not None
    ticks = plot.axes[0].ticks
    assert [tick.text for tick in ticks] == labels
    assert all(math.isfinite(tick.at) and 0 <= tick.at <= HEIGHT for tick in ticks)
    lines = sorted(plot.lines, key=lambda line: line.point)
    heights = [float(line.path.split(" L")[0].split()[1]) for line in lines]
    assert {ticks[0].at, ticks[-1].at} == set(heights)


def test_lists_and_settings_that_a_point_leaves_alone_are_places_of_their_own() -> None:
    points = [point(1, {"model.hidden": [8]}, 0.5), point(2, {"plan.seed": 3}, 0.4)]
    plot = parallel(report(points=points, swept=["model.hidden", "plan.seed"]))
    assert plot is not None
    assert [tick.text for tick in plot.axes[0].ticks] == ["[8]", "–"]
    assert [tick.text for tick in plot.axes[1].ticks] == ["–", "3"]


@pytest.mark.parametrize(
    "points",
    [
        [],
        [point(1, {"plan.seed": 1}, 0.5)],
        [point(1, {"plan.seed": 1}, 0.5), point(2, {"plan.seed": 2}, None)],
        [point(1, {"plan.seed": 1}, 0.5), point(2, {"plan.seed": 2}, 0.1, state="failed")],
    ],
    ids=["none", "one", "unmeasured", "failed"],
)
def test_less_than_two_points_make_no_picture(points: list[dict[str, Any]]) -> None:
    assert parallel(report(points=points, swept=["plan.seed"])) is None


def test_the_page_shows_the_table_the_picture_and_why_a_point_failed() -> None:
    gone = {"state": "failed", "metrics": None, "model": None,
            "error": {"code": "party_silent", "message": "bank-b <is> silent"}}  # fmt: skip
    points = [*report()["points"], point(5, {"plan.learning_rate": 2.0}, None, **gone)]
    folds = [{"sets": {"plan.seed": 1}, "mean": 0.5, "deviation": 0.125, "folds": 4}]
    page = render(report(points=points, folds=folds))
    assert page.count('class="other"') == 3
    assert page.count('<tr class="best">') == 1
    assert "bank-b &lt;is&gt; silent" in page
    assert "job_00000005" in page
    assert "mdl_00000003" in page
    assert "0.1250" in page
    assert len(re.findall(r'<line class="axis"', page)) == 3


def test_names_and_values_of_a_foreign_report_are_escaped() -> None:
    points = [point(n, {"<b>": "<i>\u202e"}, 0.5 + n) for n in (1, 2)]
    page = render(report(points=points, swept=["<b>"]))
    assert "<b></text>" not in page
    assert "<i>" not in page
    assert "\u202e" not in page


def test_a_report_without_points_has_neither() -> None:
    assert points_view({"name": "x"}) is None
    assert points_view({"points": "none"}) is None
    assert "parallel" not in render({"name": "x", "state": "succeeded"}).partition("<body>")[2]


HOSTILE: Any = [None, True, "x" * 99, -1, 1e308, -1e308, 5e-324, 10**300, [], {}, [{}], [[1]],
                {"a": 1}, float("inf"), float("nan")]  # fmt: skip


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield before
    for name, one in value.items() if isinstance(value, dict) else ():
        yield from _paths(one, (*before, name))
    for at, one in enumerate(value) if isinstance(value, list) else ():
        yield from _paths(one, (*before, at))


FOLDS = [{"sets": {"plan.seed": 1}, "mean": 0.5, "deviation": 0.125, "folds": 4}]
OF_POINTS = ("points", "folds", "swept", "metric", "best")


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:12])
def test_a_report_of_another_shape_still_has_a_page(value: Any) -> None:
    whole = report(folds=FOLDS)
    whole["points"][0]["metrics"]["rows"] = 80.0
    for path in _paths({name: whole[name] for name in OF_POINTS}):
        if not path:
            continue
        changed = copy.deepcopy(whole)
        *before, last = path
        inside: Any = changed
        for one in before:
            inside = inside[one]
        inside[last] = value
        for line in (parallel(changed) or ParallelPlot((), ())).lines:
            places = [tuple(map(float, pair.split())) for pair in line.path[1:].split(" L")]
            assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places), path
        points_view(changed)
        render(changed)


def test_numbers_that_floats_do_not_tell_apart_are_places_of_their_own() -> None:
    points = [point(n, {"plan.seed": 2**60 + n}, 0.5 + n) for n in (1, 2)]
    plot = parallel(report(points=points, swept=["plan.seed"]))
    assert plot is not None
    assert len(plot.axes[0].ticks) == 2


def test_a_table_has_as_many_rows_and_columns_as_a_sweep_can_have() -> None:
    names = [f"s{number}" for number in range(5000)]
    one = point(1, dict.fromkeys(names, 1), 0.5)
    one["metrics"] |= dict.fromkeys(names, 0.25)
    many = report(points=[one] * 3000, folds=FOLDS * 3000, swept=names)
    view, plot = points_view(many), parallel(many)
    assert view is not None
    assert plot is not None
    assert (len(view.rows), len(view.folds), len(plot.lines)) == (64, 64, 64)
    assert len(view.swept) == 1024
    assert len(view.figures) <= 1024 + 2
    assert len(plot.axes) <= 1024 + 2

"""The demo's page: the benefit of training together, above the job's own report.

The upper part is the launcher's: it compares with models that no real job could train. The lower
part is the report that every job has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import PackageLoader
from markupsafe import Markup, escape

from secureflow.application.reports import page as report_page
from secureflow.application.reports.charts import ChartFrame, Plot, plot, spread
from secureflow.application.reports.wording import both
from secureflow.demo.comparison import Comparison
from secureflow.demo.study import BINS, Share, Study
from secureflow.texts import Language, catalogue

CURVES = ChartFrame(width=760, height=330, left=52, right=225, top=30, bottom=34)
RANGE = ChartFrame(width=760, height=0, left=150, right=70, top=0, bottom=0)
ROW = 30.0
NAMED = 8
"""With more owners than this only the best and the weakest curve are labelled."""


def render(
    report: Mapping[str, Any], study: Study, comparison: Comparison, lang: Language = "en"
) -> str:
    """Return the HTML page: self-contained, in both languages, without a script.

    Args:
        report: the finished job's report.
        study: what was compared.
        comparison: its results.
        lang: the language shown first.
    """
    environment = report_page.environment(PackageLoader("secureflow.demo"))
    environment.filters |= {"both": both, "auc": _auc, "percent": _percent, "mean": _mean}
    return environment.get_template("demo.html.jinja").render(
        **report_page.contents(report, lang),
        say=bilingual,
        chinese=lambda text: catalogue().get(text, text),
        study=study,
        comparison=comparison,
        names=study.owners,
        best=comparison.best_alone,
        weakest=comparison.weakest_alone,
        curves=curves(study, comparison),
        labels=_labels(study, comparison),
        bars=ranges(study, comparison),
        words=words(study),
        pictures={share.party: picture(share) for share in study.shares},
        reach=_reach(study),
        wrong={name: _wrong(accuracy, comparison) for name, accuracy in _accuracies(comparison)},
    )


def bilingual(english: str, **values: Any) -> Markup:
    """Return a sentence with `{named}` values in both languages; values may be bilingual."""
    return Markup('<span class="en">{}</span><span class="zh" lang="zh">{}</span>').format(
        escape(english).format(**values), escape(catalogue()[english]).format(**values)
    )


def curves(study: Study, comparison: Comparison) -> Plot:
    """Lay out everyone's AUC on the test rows after each round."""
    lines = {party: line.curve for party, line in comparison.alone.items()}
    lines |= {"pooled": comparison.pooled.curve, "together": comparison.together.curve}
    rounds = study.plan.rounds
    marks = sorted({1, rounds, *range(10, rounds, 10)} if rounds < 100 else {1, rounds})
    return plot(lines, CURVES, marks)


def ranges(study: Study, comparison: Comparison) -> dict[str, Any]:
    """Lay out one row per owner: from its own model's AUC to the joint one's."""
    aucs = {party: line.score.auc for party, line in comparison.alone.items()}
    joint, pooled = comparison.together.score.auc, comparison.pooled.score.auc
    frame = ChartFrame(
        width=RANGE.width, height=ROW * len(aucs) + 30, left=RANGE.left, right=RANGE.right
    )
    # A plot's vertical axis, laid horizontally: round steps that cover every value.
    drawn = plot({"": [(0, value) for value in (*aucs.values(), joint, pooled)]}, frame)
    height, (low, high) = frame.height, (drawn.up[0], drawn.up[-1])
    first, last = float(low.text), float(high.text)

    def across(value: float) -> float:
        share = (value - first) / (last - first)
        return round(frame.left + share * (frame.width - frame.left - frame.right), 1)

    return {
        "width": frame.width,
        "height": height,
        "rows": [
            {"party": share.party, "name": share.name, "at": across(aucs[share.party]),
             "value": aucs[share.party], "y": ROW * row + ROW / 2}
            for row, share in enumerate(study.shares)
        ],
        "together": across(joint),
        "pooled": across(pooled),
        "ticks": [(across(float(tick.text)), tick.text) for tick in drawn.up],
    }  # fmt: skip


def picture(share: Share, width: float = 132.0, height: float = 26.0) -> list[dict[str, float]]:
    """Lay out a share's rows per bin as columns, scaled to the highest."""
    if not share.spread:
        return []
    step, most = width / len(share.spread), max(share.spread) or 1
    return [
        {
            "x": round(at * step, 1),
            "y": round(height - height * count / most, 1),
            "width": round(step - 0.8, 1),
            "height": round(height * count / most, 1),
        }
        for at, count in enumerate(share.spread)
    ]


def words(study: Study) -> dict[str, str]:
    """Return each share's most common words with their fraction, if it was cut by words."""
    if not study.edges or not isinstance(study.edges[0], str):
        return {}
    return {share.party: ", ".join(_most_common(share, study.edges)) for share in study.shares}


def _most_common(share: Share, names: Sequence[str]) -> Iterator[str]:
    ranked = sorted(zip(share.spread, names, strict=True), key=lambda pair: -pair[0])
    for count, name in ranked[:3]:
        if count:
            yield f"{name} {100 * count / share.rows:.0f} %"


def _reach(study: Study) -> str:
    """Return the ends of the axis that the shares' pictures share."""
    if len(study.edges) < 2 or isinstance(study.edges[0], str):
        return ""
    first, second, *_ = study.edges
    return f"{first:g} – {first + BINS * (second - first):g}"


def _labels(study: Study, comparison: Comparison) -> list[dict[str, Any]]:
    """Place the names at the curves' right ends without overlaps."""
    shown = {"together", "pooled", comparison.best_alone, comparison.weakest_alone}
    ends = [
        curve
        for curve in curves(study, comparison).curves
        if len(study.shares) <= NAMED or curve.name in shown
    ]
    heights = spread([curve.last[1] for curve in ends], 17, CURVES.top, CURVES.height - 20)
    return [
        {"name": curve.name, "value": curve.value, "end": curve.last, "y": height}
        for curve, height in zip(ends, heights, strict=True)
    ]


def _accuracies(comparison: Comparison) -> list[tuple[str, float]]:
    lines = {**comparison.alone, "together": comparison.together, "pooled": comparison.pooled}
    return [(name, line.score.accuracy) for name, line in lines.items()]


def _wrong(accuracy: float, comparison: Comparison) -> int:
    return round((1 - accuracy) * comparison.test_rows)


def _auc(value: float) -> str:
    return f"{value:.3f}"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _mean(value: float) -> str:
    return f"{value:,.{0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 2}f}"

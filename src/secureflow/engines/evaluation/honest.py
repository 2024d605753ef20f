"""What figures of so many rows can show and what not, in plain sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.engines.evaluation.intervals import Z
from secureflow.kit.text import Joined, Text

FEW_ROWS: Final = 30
"""With fewer rows, or rows of a class, figures hang on single rows."""
_SEEN: Final = 0.0005
"""A bound of the AUC below this does not show in three digits."""
_MAIN: Final[Mapping[str, str]] = {"binary": "auc", "classes": "accuracy", "number": "rmse"}
"""The figure by which models of a form are compared first."""
_NAMED: Final = 8
"""Most classes that are named."""


def honest_lines(
    evaluated: Mapping[str, Any], *, chances: bool = True, drowned: bool = False
) -> list[Text]:
    """Return the sentences about one model's figures; the first is the most important.

    Args:
        evaluated: what `figures.evaluate` found, without its `honest`.
        chances: whether the model's outputs have a probability.
        drowned: whether the noise of all counts together is great beside the rows.
    """
    figures = evaluated["figures"]
    if not figures["rows"]:
        return [Text("No rows were evaluated.")]
    told = [_compared(evaluated), *_few(evaluated), *_exactness(evaluated)]
    if drowned:
        told.append(
            Text(
                "The noise is great for so few rows: figures lean towards those of chance, by more "
                "than the intervals tell. Spend more of the budget, or add rows."
            )
        )
    if not chances:
        told.append(
            Text(
                "The model computes scores that have no probability: log loss, Brier score and "
                "calibration are not told, and a threshold is 1/(1 + exp(-score))."
            )
        )
    if any("cheapest" in line["marks"] for line in evaluated["thresholds"]):
        told.append(
            Text("The cheapest threshold was chosen on these rows: on others it may cost more.")
        )
    return [one for one in told if one is not None]


def party_line(form: str, noise: Mapping[str, Mapping[str, float]]) -> Text:
    """Return by how much noise alone moves the main figure of each party's own rows.

    Args:
        form: the form of what the model predicts.
        noise: party → figure → standard error; a figure that noise often leaves undefined lacks.
    """
    main = _MAIN[form]
    each = [
        Text("{party} ± {half:.2g}", party=party, half=Z * errors[main])
        if main in errors
        else Text("{party}: it drowns", party=party)
        for party, errors in noise.items()
    ]
    return Text(
        "Each party's own figures hold the whole noise, so they are less certain than those of "
        "all rows. Noise alone moves their {figure} in 95 of 100 cases by: {parties}.",
        figure=main,
        parties=Joined(", ", each),
    )


def _compared(evaluated: Mapping[str, Any]) -> Text | None:
    """Say how far models must differ to be told apart by the main figure."""
    figures, rows = evaluated["figures"], int(evaluated["figures"]["rows"])
    main = _MAIN[evaluated["form"]]
    if main not in evaluated["intervals"]:
        return None
    value, (low, high) = float(figures[main]), evaluated["intervals"][main]
    least = (high - low) / 2
    if main == "auc":
        return Text(
            "With {positives:,} positives among {rows:,} rows an AUC of {value:.3f} has a 95 % "
            "interval of {low:.3f} to {high:.3f}: models that differ by less than about "
            "{least:.3f} cannot be told apart here.",
            positives=int(figures["positives"]), rows=rows, value=value, low=low, high=high,
            least=least,
        )  # fmt: skip
    if main == "accuracy":
        return Text(
            "Among {rows:,} rows an accuracy of {value:.3f} has a 95 % interval of {low:.3f} to "
            "{high:.3f}: models that differ by less than about {least:.3f} cannot be told apart "
            "here.",
            rows=rows, value=value, low=low, high=high, least=least,
        )  # fmt: skip
    return Text(
        "Among {rows:,} rows a root mean squared error of {value:.4g} has a 95 % interval of "
        "{low:.4g} to {high:.4g}: models that differ by less than about {least:.2g} cannot be "
        "told apart here.",
        rows=rows, value=value, low=low, high=high, least=least,
    )  # fmt: skip


def _few(evaluated: Mapping[str, Any]) -> list[Text]:
    """Say which rows are too few."""
    rows = int(evaluated["figures"]["rows"])
    told: list[Text] = []
    if rows < FEW_ROWS:
        told.append(
            Text(
                "{rows} {rows:row is|rows are} too few to judge a model: every figure hangs on "
                "single rows.",
                rows=rows,
            )
        )
    if evaluated["form"] == "binary":
        told += _few_of_two(evaluated["figures"], noised=bool(evaluated["noise"]))
    if evaluated["form"] == "classes" and rows >= FEW_ROWS:
        lines = evaluated["curves"].get("classes", [])
        named = [line["class"] for line in lines if line["rows"] < FEW_ROWS]
        if named:
            more = " …" if len(named) > _NAMED else ""
            told.append(
                Text(
                    "These classes have fewer than {least} rows each, so their figures hang on "
                    "single rows: {classes}{more}",
                    least=FEW_ROWS,
                    classes=", ".join(named[:_NAMED]),
                    more=more,
                )
            )
    return told


def _few_of_two(figures: Mapping[str, Any], *, noised: bool) -> list[Text]:
    rows, ones = int(figures["rows"]), int(figures.get("positives", 0))
    if "auc" not in figures:
        if noised:
            return [
                Text(
                    "Noise leaves rows of one class only: AUC, KS, gains and lift cannot be told. "
                    "Spend more of the budget, or add rows."
                )
            ]
        return [Text("All rows are of one class: AUC, KS, gains and lift are not defined.")]
    if rows < FEW_ROWS or min(ones, rows - ones) >= FEW_ROWS:
        return []
    if ones <= rows - ones:
        return [
            Text(
                "Only {count} {count:row is|rows are} positive: AUC, KS and recall hang on single "
                "rows.",
                count=ones,
            )
        ]
    return [
        Text(
            "Only {count} {count:row is|rows are} negative: AUC, KS and specificity hang on "
            "single rows.",
            count=max(rows - ones, 0),
        )
    ]


def _exactness(evaluated: Mapping[str, Any]) -> list[Text]:
    """Say what cells, outputs that are no numbers, and noise do."""
    told: list[Text] = []
    if evaluated["bounds"].get("auc", 0.0) >= _SEEN:
        told.append(
            Text(
                "Scores are counted in cells: by the scores themselves the AUC may differ by up "
                "to {bound:.4f}.",
                bound=float(evaluated["bounds"]["auc"]),
            )
        )
    if undefined := int(evaluated["figures"].get("undefined", 0)):
        told.append(
            Text(
                "For {count:,} {count:row|rows} the model computed no number; they count as an "
                "output of 0.",
                count=undefined,
            )
        )
    if noise := evaluated.get("noise"):
        main = _MAIN[evaluated["form"]]
        if main in noise:
            told.append(
                Text(
                    "Noise for differential privacy alone moves this by ± {half:.2g} in 95 of 100 "
                    "cases; the interval holds it.",
                    half=Z * float(noise[main]),
                )
            )
    return told

"""The part of a sweep's report that people read first: the best point, and what choosing costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from secureflow.domain.specs.parts import settings_of
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.engines.sweep.disclosure import choosing
from secureflow.engines.sweep.table import SUCCEEDED, Row
from secureflow.kit.canonical import JSON
from secureflow.kit.text import with_texts

TITLE: Final = "Sweep"


def sections(
    spec: SweepSpec, rows: Sequence[Row], best: Mapping[str, JSON] | None
) -> list[dict[str, JSON]]:
    """Return the section of a report: how many points ran, the best one, what choosing costs."""
    ran = sum(row["state"] == SUCCEEDED for row in rows)
    told: list[tuple[str, JSON]] = [
        ("Points", len(spec.points)),
        ("Points that ran", len(rows)),
        ("Points that succeeded", ran),
    ]
    if best is not None:
        told += [
            ("Best by", best["metric"]["name"]),
            ("Its value", best["value"]),
            ("What it sets", settings_of(best["sets"])),
        ]
        if best.get("tied"):
            told.append(("Equally good, of which it is the first", best["tied"]))
        if best.get("deviation") is not None:
            told.append(("Standard deviation over the folds", best["deviation"]))
        if best.get("model"):
            told += [("Its job", best["job"]), ("Its model", best["model"]["id"])]
    told.append(("Choosing the best", choosing(spec)))
    return [{"title": TITLE, "rows": [with_texts({"label": k, "value": v}) for k, v in told]}]

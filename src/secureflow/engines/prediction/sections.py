"""The part of a prediction's report that people read as lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.engines.run.codesection import COMPUTED, code_section
from secureflow.kit.canonical import JSON

TITLE: Final = "Predictions, kept by each party"
DELIVERED: Final = "A copy of the others' files has"


def sections(prediction: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Return the sections of a report: the model, and each party's commitment to its file."""
    rows: list[dict[str, JSON]] = [
        {"label": "model", "value": prediction["model"]},
        {"label": "family", "value": prediction["family"]},
        {"label": "outputs", "value": list(prediction["outputs"])},
    ]
    if prediction["columns"]:
        rows.append({"label": "columns", "value": list(prediction["columns"])})
    kept = prediction["kept"].items()
    rows += [{"label": party, "value": one["commitment"]} for party, one in kept]
    if (delivered := prediction.get("delivered")) is not None:
        rows.append({"label": DELIVERED, "value": delivered["to"]})
    told: list[dict[str, JSON]] = [{"title": TITLE, "rows": rows}]
    if code := prediction.get("code"):
        told.append(code_section(COMPUTED, code))
    return told

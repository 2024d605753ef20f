"""What people are told of a pipeline: each step's section, and what the steps have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.pipeline import SUCCEEDED, PipelineSpec
from secureflow.engines.pipeline.label import Kind, disclosure
from secureflow.engines.run.kind import Rows
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, with_texts

Row = Mapping[str, JSON]
_BEGUN: Final = frozenset({SUCCEEDED, "failed", "cancelled", "started"})
CONVERSION: Final = "rdp-cks20"


def explanation(
    spec: PipelineSpec,
    kind: Kind,
    *,
    tee: str,
    accounting: Mapping[str, Any] | None,
    steps: Rows,
    dropouts: Rows,
) -> dict[str, JSON]:
    """Return the explanation of a pipeline, running or ended.

    Args:
        spec: its spec.
        kind: of a step.
        tee: the verdict as the agents saw it.
        accounting: the accountant's answers.
        steps: the journal's events of steps.
        dropouts: those of dropouts.
    """
    newest = {row["number"]: row for row in steps if "number" in row}
    rows = [newest[number] for number in sorted(newest)]
    told = privacy_of(spec, kind, accounting, rows)
    return {
        "disclosure": disclosure(spec, kind, tee),
        "privacy": told,
        "epsilon_per_round": [],
        "attacks": attacks(spec, kind),
        "rounds": sum(int(row.get("rounds") or 0) for row in rows),
        "dropouts": list(dropouts),
        "steps": rows,
        "step_explanations": {
            step.id: kind(step).explanation(
                step.job,
                tee=tee,
                accounting=quote_of(accounting, step.id),
                rounds=(),
                dropouts=(),
            )
            for step in spec.steps
        },
    }


def attacks(spec: PipelineSpec, kind: Kind) -> list[Mapping[str, JSON]]:
    """Return which attacks the steps stop, each once."""
    found: dict[str, Mapping[str, JSON]] = {}
    for step in spec.steps:
        told: Any = kind(step).explanation(
            step.job, tee="", accounting=None, rounds=(), dropouts=()
        )["attacks"]
        for row in told:
            found.setdefault(repr(sorted(row.items(), key=str)), row)
    return list(found.values())


def quote_of(accounting: Mapping[str, Any] | None, step: str) -> Mapping[str, JSON] | None:
    """Return the accountant's answer for a step; None if it costs nothing."""
    return None if accounting is None else accounting["steps"].get(step)


def privacy_of(
    spec: PipelineSpec, kind: Kind, accounting: Mapping[str, Any] | None, rows: Sequence[Row]
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without differential privacy.

    An attempt that failed counts with all that it planned: nobody tells the centre which rounds of
    it read rows.
    """
    privacy = spec.privacy
    if privacy is None or accounting is None:
        return None
    from secureflow.engines.privacy.accounting import Charge, epsilon  # it brings NumPy

    begun = [str(row["step"]) for row in rows if row.get("state") in _BEGUN]
    by_id = {step.id: step for step in spec.steps}
    charge: Charge = tuple(
        one for name in begun for one in kind(by_id[name]).charge(by_id[name].job)
    )
    return {
        "unit": privacy.unit,
        "mechanism": "gaussian",
        "noise": privacy.noise,
        "noise_multiplier": None,
        "delta": privacy.delta,
        "epsilon": round(epsilon(charge, privacy.delta), 6) if charge else 0.0,
        "conversion": CONVERSION,
        "epsilon_pld": None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "released": [],
    }


def sections(spec: PipelineSpec, rows: Sequence[Row]) -> list[dict[str, JSON]]:
    """Return a report's sections: one of each step, and those that its own report has."""
    found: list[dict[str, JSON]] = []
    last = {str(row["step"]): row for row in rows}
    for place, step in enumerate(spec.steps, 1):
        row = last.get(step.id)
        title = Text(
            "Step {place} of {count}: {step} ({kind})",
            place=place,
            count=len(spec.steps),
            step=step.id,
            kind=step.job.kind,
        )
        found.append(with_texts({"title": title, "rows": list(_told(row))}))
        found += list((row or {}).get("sections") or ())
    return found


def _told(row: Row | None) -> Sequence[dict[str, JSON]]:
    if row is None:
        return [with_texts({"label": "Outcome", "value": "did not run"})]
    facts: list[tuple[str, JSON]] = [("Outcome", row["state"]), ("Job", row["job"])]
    if row.get("rounds"):
        facts.append(("Rounds", row["rounds"]))
    if (model := row.get("model")) and isinstance(model, Mapping):
        facts.append(("Model", model.get("id") or model.get("digest")))
    figures = row.get("metrics")
    if isinstance(figures, Mapping):
        facts += list(figures.items())
    return [with_texts({"label": name, "value": value}) for name, value in facts]

"""What people are told of a pipeline: each step's section, and what the steps have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.figures import answer_figures, answer_place, figure, metric_figures
from secureflow.domain.metricnames import HIGHER, LOWER, TELLING, in_words, most_telling
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.pipeline import SUCCEEDED, PipelineSpec
from secureflow.engines.pipeline.label import Kind, disclosure
from secureflow.engines.run.comparison import Measured, compared
from secureflow.engines.run.kind import Rows
from secureflow.kit.canonical import JSON
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text, text_in, with_texts

Row = Mapping[str, JSON]
_BEGUN: Final = frozenset({SUCCEEDED, "failed", "cancelled", "started"})
CONVERSION: Final = "rdp-cks20"
MADE: Final = "What was made"
"""The title of a report's headline."""
_TOLD: Final = (
    *("evaluation", "statistics", "mpc", "psi", "prediction", "training", "preparation"),
)
"""The kinds of steps, as a report tells of them: answers first, then what they were made with."""


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
    """Return a report's sections: the headline, one of each step, those that its own report has.

    Results come first, and what was fitted for them last; the title says which step it was.
    """
    last = {str(row["step"]): row for row in rows}
    found = [_made(spec, last)]
    steps = sorted(enumerate(spec.steps, 1), key=lambda one: _TOLD.index(one[1].job.kind))
    for place, step in steps:
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
        if answered := _answered(row or {}):
            found.append({"title": "Answers", "rows": answered})
    return found


def _answered(row: Row) -> list[dict[str, JSON]]:
    """Return the answers of a step of statistics: what was asked of what, value and interval."""
    found: list[dict[str, JSON]] = []
    for answer in objects(row.get("answers")):
        for one in objects(answer.get("rows")):
            told = answer_figures(one, str(answer.get("measure")))
            value = str(told.get("exact") or "") or figure(told.get("value"))
            value = value or text_in(told, "reason")
            if told.get("low") is not None:
                value += f" [{figure(told['low'])}, {figure(told.get('high'))}]"
            parts = (str(answer.get("name")), answer_place(one))
            found.append({"label": " · ".join(part for part in parts if part), "value": value})
    return found


def comparison_of(spec: PipelineSpec, rows: Sequence[Row]) -> dict[str, JSON] | None:
    """Return all models that its evaluations measured, side by side; None of fewer than two.

    Args:
        spec: the pipeline's.
        rows: of the attempts at its steps; the last of each counts.
    """
    last = {str(row["step"]): row for row in rows}
    found = []
    for step in spec.steps:
        measured = objects((last.get(step.id) or {}).get("measured"))
        if isinstance(step.job, EvaluationSpec) and measured:
            found.append(Measured(step.job, measured, step.id))
    return compared(found)


def _made(spec: PipelineSpec, last: Mapping[str, Row]) -> dict[str, JSON]:
    """Return the headline: who asked for it, whose data it is from, what each step made."""
    owners = [one.party for one in spec.roster if one.dataset]
    facts: list[dict[str, JSON]] = [
        {"label": "Asked for by", "value": spec.submitter},
        {"label": "From the data of", "value": list(owners)},
    ]
    for place, step in enumerate(spec.steps, 1):
        label = Text("{place}. {step}", place=place, step=step.id)
        row = last.get(step.id) or {}
        line: dict[str, JSON] = {"label": label, "value": _gave(step.job.kind, row)}
        if row.get("job"):
            line["job"] = row["job"]
        facts.append(with_texts(line))
    return {"title": MADE, "rows": facts}


def _gave(kind: str, row: Row) -> str:
    """Return what a step made, with the figure of it that tells most."""
    if row.get("state") != SUCCEEDED:
        return Text("{kind}: {state}", kind=kind, state=row.get("state") or "did not run")
    name, value, model = _best_measured(row)
    if model:
        return Text(
            "{kind}: {name} {value}, the best, of {model}",
            kind=kind,
            name=in_words(name),
            value=value,
            model=model,
        )
    name, value = _key_figure(row)
    if not name:
        return kind
    return Text("{kind}: {name} {value}", kind=kind, name=in_words(name), value=value)


def _best_measured(row: Row) -> tuple[str, str, str]:
    """Return the most telling figure of several measured models, its best value, and whose it is.

    All are empty where no two models were measured on the rows of the same parties.
    """
    models = objects(row.get("measured"))
    figures = [members(one.get("figures")) for one in models]
    name = next((one for one in TELLING if all(one in told for told in figures)), "")
    parties = {repr(one.get("contributors")) for one in models}
    if len(models) < 2 or len(parties) > 1 or name not in HIGHER | LOWER:
        return "", "", ""
    values = [float(told[name]) for told in figures]
    best = max(values) if name in HIGHER else min(values)
    return name, figure(best), str(models[values.index(best)].get("name") or "")


def _key_figure(row: Row) -> tuple[str, str]:
    """Return a figure's name and value; both empty where a step tells none."""
    figures = members(row.get("metrics"))
    if name := most_telling(figures):
        return name, figure(figures[name])
    for section in objects(row.get("sections")):
        told = {
            str(one.get("label")): text_in(one, "value") for one in objects(section.get("rows"))
        }
        if name := most_telling(told):
            return name, told[name]
    return "", ""


def _told(row: Row | None) -> Sequence[dict[str, JSON]]:
    if row is None:
        return [with_texts({"label": "Outcome", "value": "did not run"})]
    facts: list[tuple[str, JSON]] = [("Outcome", row["state"])]
    if row.get("reason"):
        facts.append(("Reason", text_in(row, "reason")))
    if row.get("job"):
        facts.append(("Job", row["job"]))
    if row.get("rounds"):
        facts.append(("Number of rounds", row["rounds"]))
    if (model := row.get("model")) and isinstance(model, Mapping):
        facts.append(("Model", model.get("id") or model.get("digest")))
    facts += [(one.name, one.text) for one in metric_figures(row)]
    return [with_texts({"label": name, "value": value}) for name, value in facts]

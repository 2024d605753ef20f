"""What people are told of a timetable: who sees what of its runs, and what they have cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.engines.run.explaining import sight_rows
from secureflow.engines.run.kind import EngineKind, Rows
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, with_texts

Row = Mapping[str, JSON]
SKIPPED: Final = "skipped"
SUCCEEDED: Final = "succeeded"
_BEGUN: Final = frozenset({SUCCEEDED, "failed", "cancelled", "started"})
CONVERSION: Final = "rdp-cks20"


def disclosure(spec: TimetableSpec, kind: EngineKind, tee: str) -> list[Mapping[str, JSON]]:
    """Return what each kind of party can learn: as of one run, and of what two of them differ in.

    Args:
        spec: the timetable's.
        kind: of its runs.
        tee: the verdict's title.
    """
    sees = Text("the results of up to {count} runs", count=spec.timetable.runs)
    why = (
        "two results differ by what changed in the data between them; the noise of each run is "
        "drawn anew, and each is charged"
        if spec.all_private
        else "two results differ by what changed in the data between them: little change shows"
    )
    return [*kind.disclosure(spec.job, tee), *sight_rows([("whoever has the report", sees, why)])]


def explanation(
    spec: TimetableSpec,
    kind: EngineKind,
    *,
    tee: str,
    accounting: Mapping[str, Any] | None,
    runs: Rows,
    dropouts: Rows,
) -> dict[str, JSON]:
    """Return the explanation of a timetable, running or ended.

    Args:
        spec: its spec.
        kind: of its runs.
        tee: the verdict as the agents saw it.
        accounting: the accountant's answers.
        runs: the journal's events of runs.
        dropouts: those of dropouts.
    """
    quote = None if accounting is None else accounting["run"]
    one = kind.explanation(spec.job, tee=tee, accounting=quote, rounds=(), dropouts=())
    newest = {row["run"]: row for row in runs}
    rows = [newest[number] for number in sorted(newest)]
    return {
        **one,
        "disclosure": disclosure(spec, kind, tee),
        "privacy": spending(spec, kind, accounting, rows),
        "epsilon_per_round": [],
        "rounds": sum(int(row.get("rounds") or 0) for row in rows),
        "dropouts": list(dropouts),
        "runs": rows,
    }


def spending(
    spec: TimetableSpec, kind: EngineKind, accounting: Mapping[str, Any] | None, rows: Sequence[Row]
) -> dict[str, JSON] | None:
    """Return the privacy section of reports and explanations; None without differential privacy.

    A run that failed counts with all that it planned: nobody tells the centre which rounds of it
    read rows. One that was left out costs nothing.
    """
    privacy = spec.privacy
    if privacy is None or accounting is None:
        return None
    from secureflow.engines.privacy.accounting import epsilon  # it brings NumPy

    begun = sum(row.get("state") in _BEGUN for row in rows)
    charge = kind.charge(spec.job) * begun
    return {
        "unit": privacy.unit,
        "mechanism": getattr(spec.job.privacy, "mechanism", "gaussian"),
        "noise": privacy.noise,
        "noise_multiplier": None,
        "delta": privacy.delta,
        "epsilon": round(epsilon(charge, privacy.delta), 6) if charge else 0.0,
        "conversion": CONVERSION,
        "epsilon_pld": None,
        "epsilon_planned": dict(accounting["epsilon"]),
        "released": [],
    }


def sections(spec: TimetableSpec, rows: Sequence[Row]) -> list[dict[str, JSON]]:
    """Return the section of a report: how many runs there were, and how they ended."""
    states = [row["state"] for row in rows]
    told: list[tuple[str, JSON]] = [
        ("Runs planned", spec.timetable.runs),
        ("Runs that succeeded", states.count(SUCCEEDED)),
        ("Runs left out", states.count(SKIPPED)),
        ("Runs that failed", len(states) - states.count(SUCCEEDED) - states.count(SKIPPED)),
    ]
    rows_of = [with_texts({"label": name, "value": value}) for name, value in told]
    return [{"title": "Timetable", "rows": rows_of}]

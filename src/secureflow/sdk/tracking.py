"""A job's figures in an experiment tracker, as they come: `log_to=` of `jobs.wait` and `watch`.

| `log_to`                           | where                                                       |
|------------------------------------|-------------------------------------------------------------|
| `"mlflow"`                         | the active run, else a new one where MLflow is set to write |
| `"mlflow:URI"`, `"sqlite:///FILE"` | a new run in that store; `"https://…"` too                  |
| `"tensorboard"`                    | event files in `runs/JOB`                                   |
| `"tensorboard:FOLDER"`             | event files in `FOLDER/JOB`                                 |
| a function                         | called with step and figures                                |
| a `RunLog`                         | its methods are called                                      |

A *step* is the number of rounds behind the model that is measured, as in a report's curves: figures
that come with round n are of the model that it starts from, so they are of step n − 1, and those of
the evaluation at the end are of the last round's number. What is said of a round itself (`epsilon`,
`seconds`, `survivors`) is of its own number. Nothing is sent anywhere but to the place that is
named.

A job is given with *parameters* (family, plan, protection, privacy, the spec's digest) and *tags*
(job, project, and at the end model and ledger head).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members
from secureflow.kit.text import Text
from secureflow.sdk import answers, verbs
from secureflow.sdk.events import Event
from secureflow.sdk.objects import Job
from secureflow.sdk.reports import Report, numbers_in
from secureflow.sdk.runlogs import RunLog

if TYPE_CHECKING:
    from secureflow.engines.training.export import ModelFile

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
"""Names of figures that every tracker takes; others are left out."""
_OF_ROUND: Final = frozenset({"epsilon", "seconds", "survivors"})
_NO_FIGURES: Final = frozenset({"round", "rounds"})
_PARTS: Final = ("model", "plan", "privacy")
_LONGEST: Final = 1000
"""Characters of a parameter; a longer one is left out."""


LogTo = str | Callable[[int, Mapping[str, float]], None] | RunLog
"""What `log_to` may be."""


@dataclass
class Observer:
    """Follows one job's events and logs them; the steps of a flow, no IO to the server itself.

    Args:
        job: its id.
        log: where.
        log_model: whether the released model is logged at the end.
    """

    job: str
    log: RunLog
    log_model: bool = False
    _begun: bool = field(default=False, init=False)
    _ended: bool = field(default=False, init=False)

    def begin(self) -> Generator[Any, Any, None]:
        """Open the run, once."""
        if self._begun:
            return
        found = yield from verbs.get(f"/jobs/{self.job}", Job)
        self._begun = True  # what begins and fails is closed, too
        self.log.begin(found, parameters_of(found), _tags_of(found))

    def take(self, event: Event) -> None:
        """Log what an event says."""
        number = event.data.get("round")
        if event.kind != "round" or type(number) is not int or not 0 < number < 1 << 31:
            return
        figures = _figures(event.data)
        own = {name: figures.pop(name) for name in _OF_ROUND & set(figures)}
        for step, some in ((number - 1, figures), (number, own)):
            if some:
                self.log.figures(step, some)

    def finish(self) -> Generator[Any, Any, None]:
        """Log how the job ended, and close the run, once."""
        if self._ended:
            return
        found = yield from verbs.get(f"/jobs/{self.job}", Job)
        report, model = Report(), None
        if found.state == "succeeded":
            report = yield from verbs.read_large(
                f"/jobs/{self.job}/report", answers.report, format="json"
            )
            self._log_outcome(report)
            released = report.get("model")
            if self.log_model and isinstance(released, Mapping) and released.get("id"):
                from secureflow.sdk.models import fetched  # models need NumPy

                model = yield from fetched(str(released["id"]))
        self._ended = True
        self.log.end(str(found.state), _outcome_tags(report), model)

    def close(self) -> None:
        """Close the run of a job that nobody waits for any more, if it is open."""
        if self._begun and not self._ended:
            self._ended = True
            with suppress(SecureFlowError):  # whoever waited is told of something else already
                self.log.end("left", {}, None)

    def _log_outcome(self, report: Report) -> None:
        """Log the figures of the last model, and of the released one if that is another."""
        rounds, kept = report.get("rounds"), report.get("kept_round")
        step = rounds if type(rounds) is int and 0 <= rounds < 1 << 31 else 0
        last = _figures(report.get("last_metrics") or report.get("metrics"))
        if kept is not None:
            released = _figures(report.get("metrics"))
            last |= {f"released.{name}": value for name, value in released.items()}
        errors = _figures(report.get("metrics_errors"))
        last |= {f"{name}.standard_error": value for name, value in errors.items()}
        if last:
            self.log.figures(step, last)


class _Called:
    """A function as a `RunLog`."""

    def __init__(self, function: Callable[[int, Mapping[str, float]], None]) -> None:
        self._function = function

    def begin(self, job: Job, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Call the function."""
        self._function(step, figures)

    def end(self, state: str, tags: Mapping[str, str], model: ModelFile | None) -> None:
        """Do nothing."""


def observer(job: str, log_to: LogTo | None, *, log_model: bool = False) -> Observer | None:
    """Return what logs a job; None without `log_to`.

    Raises:
        SecureFlowError: `invalid_request` for a `log_to` that is none, and for a model that is to
            be logged nowhere; `missing_extra`.
    """
    if log_to is None:
        if log_model:
            raise SecureFlowError(
                "invalid_request",
                "It is not said where the model is to be logged.",
                "Name the place: log_to, or --log-to.",
            )
        return None
    if isinstance(log_to, str):
        return Observer(job, _named(log_to), log_model)
    if isinstance(log_to, RunLog):
        return Observer(job, log_to, log_model)
    if callable(log_to):
        return Observer(job, _Called(log_to), log_model)
    raise _unknown(str(log_to))


def _named(log_to: str) -> RunLog:
    kind, _, place = log_to.partition(":")
    if kind == "tensorboard":
        from secureflow.sdk.tensorboard_log import TensorBoardLog  # only on request

        return TensorBoardLog(place or "runs")
    if kind == "mlflow" or "://" in log_to or log_to.startswith("sqlite:/"):
        from secureflow.sdk.mlflow_log import MlflowLog  # only on request

        return MlflowLog(place if kind == "mlflow" else log_to)
    raise _unknown(log_to)


def parameters_of(job: Job) -> dict[str, str]:
    """Return the settings of a job by name: `model.family`, `plan.rounds`, `privacy.epsilon`, …"""
    spec = job.spec
    found: dict[str, Any] = {
        "kind": job.kind,
        "protection": spec.get("protection"),
        "purpose": spec.get("purpose"),
        "spec_digest": job.digest,
    }
    if isinstance(roster := spec.get("roster"), list):
        found["parties"] = len(roster)
    for part in _PARTS:
        found |= {f"{part}.{name}": value for name, value in members(spec.get(part)).items()}
    written = {name: _written(value) for name, value in found.items() if value is not None}
    return {
        name: value
        for name, value in written.items()
        if _NAME.fullmatch(name) and len(value) <= _LONGEST
    }


def _tags_of(job: Job) -> dict[str, str]:
    told = {
        "job": job.id,
        "project": job.project,
        "organisation": job.organisation,
        "kind": job.kind,
    }
    return {f"secureflow.{name}": value for name, value in told.items()}


def _outcome_tags(report: Report) -> dict[str, str]:
    """Return the model and the ledger's head as the report tells them."""
    told: dict[str, Any] = {}
    model = members(report.get("model"))
    told |= {"model": model.get("id"), "model_digest": model.get("digest")}
    told |= _head(members(report.get("ledger")).get("note"))
    if report.get("kept_round") is not None:
        told["kept_round"] = report["kept_round"]
    return {f"secureflow.{name}": str(one)[:_LONGEST] for name, one in told.items() if one}


def _head(note: Any) -> dict[str, str]:
    """Return size and root of a signed head (C2SP tlog-checkpoint: origin, size, root)."""
    lines = str(note or "").split("\n")
    if len(lines) < 3 or not lines[1].isdecimal() or len(lines[1]) > 20:
        return {}
    return {"ledger_size": lines[1], "ledger_head": lines[2]}


def _figures(value: Any) -> dict[str, float]:
    """Return the finite numbers with a name that every tracker takes."""
    return {
        name: float(one)
        for name, one in numbers_in(value).items()
        if name not in _NO_FIGURES and _NAME.fullmatch(name) and math.isfinite(one)
    }


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _unknown(log_to: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        Text("There is nowhere to log that is called {log_to!r}.", log_to=log_to[:80]),
        "Name mlflow, mlflow:URI, tensorboard or tensorboard:FOLDER, or give a function.",
    )

"""The base models that a job of any kind stands on: each party's agent holds them itself."""

from __future__ import annotations

from collections.abc import Iterator

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.domain.specs.training import TrainingSpec


def bases_of(spec: JobSpec) -> tuple[str, ...]:
    """Return the digests of the base models of a job and of its parts, in order, each once."""
    return tuple(dict.fromkeys(one.base for one in _trained(spec) if one.base))


def _trained(spec: JobSpec) -> Iterator[TrainingSpec]:
    """Yield how every model was trained that a job trains or applies."""
    if isinstance(spec, TrainingSpec):
        yield spec
    elif isinstance(spec, PredictionSpec):
        yield spec.reads
    elif isinstance(spec, EvaluationSpec):
        yield from (one.trained for one in spec.models)
    elif isinstance(spec, SweepSpec):
        yield spec.training
    elif isinstance(spec, TimetableSpec):
        yield from _trained(spec.job)
    elif isinstance(spec, PipelineSpec):
        for step in spec.steps:
            yield from _trained(step.job)

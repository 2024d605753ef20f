"""Every kind of job spec, by the `kind` that it names: one parser and one digest for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsSpec, check_statistics
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.errors import SecureFlowError

JobSpec = TrainingSpec | StatisticsSpec

KINDS: Final[Mapping[str, type[TrainingSpec] | type[StatisticsSpec]]] = {
    "training": TrainingSpec,
    "statistics": StatisticsSpec,
}


def parse_spec(value: Any, *, stored: bool = False) -> JobSpec:
    """Build a spec from foreign (or `stored`) JSON; `kind` says which (default: training).

    Raises:
        SecureFlowError: `invalid_spec`.
    """
    kind = value.get("kind", "training") if isinstance(value, dict) else "training"
    of = KINDS.get(kind) if isinstance(kind, str) else None
    if of is None:
        raise SecureFlowError(
            "invalid_spec",
            f"The spec is not valid: kind: {str(kind)[:40]!r} is no kind of job.",
            f"Kinds are: {', '.join(KINDS)}.",
            {"fields": [{"field": "kind", "problem": "unknown"}]},
        )
    return parse(of, value, stored=stored)


def check_spec(spec: JobSpec) -> None:
    """Refuse contradictions that single fields cannot show.

    Raises:
        SecureFlowError: `contradictory_spec` naming the field and the reason.
    """
    if isinstance(spec, StatisticsSpec):
        check_statistics(spec)
    else:
        check(spec)


def touches_data(spec: JobSpec) -> bool:
    """Tell whether rows are read at all; a rehearsal reads none."""
    return isinstance(spec, StatisticsSpec) or spec.features is not None


def dataset_name(spec: JobSpec, party: str) -> str:
    """Return the name of the dataset that a party of the roster brings; empty for none."""
    return next(one.dataset for one in spec.roster if one.party == party)


def columns_of(spec: JobSpec) -> tuple[str, ...]:
    """Return every column that the job touches; counting rows touches none."""
    if isinstance(spec, StatisticsSpec):
        return tuple(column.column for column in spec.columns)
    return spec.features.columns if spec.features else ()

"""Every kind of job spec, by the `kind` that it names: one parser and one digest for all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs import TrainingSpec, dump, parse
from secureflow.domain.statistics import StatisticsSpec
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError

JobSpec = TrainingSpec | StatisticsSpec

KINDS: Final[Mapping[str, type[TrainingSpec] | type[StatisticsSpec]]] = {
    "training": TrainingSpec,
    "statistics": StatisticsSpec,
}


def parse_spec(value: Any) -> JobSpec:
    """Build a spec from foreign JSON; its `kind` says which (default: training).

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
    return parse(of, value)


def job_digest(spec: JobSpec) -> str:
    """Return the hex SHA-256 over the JCS form of the spec with every default written out."""
    return digest(dump(spec))

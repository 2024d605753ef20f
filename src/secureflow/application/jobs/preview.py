"""What a job would be, as it is shown while it is drawn: parties, disclosure, cost, traffic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.application.jobs.kind import Drafted
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.contributors import two_sum
from secureflow.domain.specs.protections import traits_of
from secureflow.engines.run.kind import EngineKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import InfrastructureError, SecureFlowError

_FLOAT: Final = 4
"""Bytes of a parameter on its way."""


@dataclass(frozen=True)
class Preview:
    """A job before it is submitted.

    Args:
        parties: who takes part.
        protection: of what they contribute; of several jobs in one each that there is.
        learns: rows of `who`, `sees`, `why`: the engine's disclosure, before an enclave's verdict.
        epsilon: under differential privacy `job` (by `conversion`, at `delta`, per `unit`), of a
            pipeline each of its `steps` (null without any), and `left` at each party: null, for
            budgets are kept at the owners' agents and nowhere else.
        estimate: `bytes` between parties and the centre; `seconds` where an engine's figures tell
            them, else null: they depend on the owners' machines.
        two_party: whether agents refuse it unless the settings of their owners accept a sum with
            this one other party; the first note then says so.
    """

    parties: tuple[str, ...]
    protection: str
    learns: tuple[dict[str, JSON], ...]
    epsilon: dict[str, JSON] | None = None
    estimate: dict[str, JSON] = field(default_factory=dict)
    two_party: bool = False


@contextmanager
def noting(missed: list[SecureFlowError] | None) -> Iterator[None]:
    """Note errors about a job in `missed`, so that it is looked at further; None: raise them."""
    try:
        yield
    except InfrastructureError:
        raise
    except SecureFlowError as error:
        if missed is None:
            raise
        missed.append(error)


def preview_of(kinds: EngineKinds, drafted: Drafted) -> Preview:
    """Return what is shown of a drafted job."""
    spec = drafted.spec
    rows = tuple(dict(row) for row in kinds.of(spec).disclosure(spec, ""))
    protection = ", ".join(dict.fromkeys(one.protection for one in spec.parts("") or (spec,)))
    cost = _cost(spec, drafted.details.get("privacy"), drafted.details.get("pipeline"))
    estimate = _estimate(kinds, drafted)
    return Preview(spec.parties, protection, rows, cost, estimate, two_sum(spec))


def _cost(spec: JobSpec, privacy: Any, rows: Any) -> dict[str, JSON] | None:
    if not isinstance(privacy, Mapping) or not isinstance(privacy.get("epsilon"), Mapping):
        return None
    conversion = str(privacy.get("budget_conversion", ""))
    return {
        "job": privacy["epsilon"].get(conversion),
        "conversion": conversion,
        "delta": privacy.get("delta"),
        "unit": privacy.get("unit"),
        "left": dict.fromkeys(spec.parties),
        "steps": {row["step"]: row["epsilon"] for row in rows or ()},
    }


def _estimate(kinds: EngineKinds, drafted: Drafted) -> dict[str, JSON]:
    told = drafted.details.get("estimate")
    if isinstance(told, Mapping):
        return {"seconds": told.get("seconds"), "bytes": told.get("bytes"), **told}
    specs = drafted.spec.parts("") or (drafted.spec,)
    traffic = sum(_traffic(kinds, one, drafted.digest) for one in specs)
    return {"seconds": None, "bytes": traffic}


def _traffic(kinds: EngineKinds, spec: JobSpec, digest: str) -> int:
    """Return what all rounds send: each party's vector up, and the model down to each."""
    model = _FLOAT * spec.parameters
    up = kinds.sent_vector(spec, digest) or (model if traits_of(spec).enclave else 0)
    return len(spec.roster) * spec.planned_rounds * (up + model)

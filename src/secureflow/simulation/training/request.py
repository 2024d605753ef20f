"""From a job file to the spec that simulated parties would sign."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.adapters.accounting import ProcessAccountant
from secureflow.application.jobs.trainingprice import price, with_noise
from secureflow.domain.quorum import floor_of
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.simulation.partition import MOST_PARTIES
from secureflow.simulation.training.parties import roster
from secureflow.simulation.training.starting import Beginning

KIND: Final = "training"
_FILLED: Final = {"project": "prj_simulated0", "submitter": "simulation"}
_NAMED: Final = {"name": "simulation", "purpose": "simulation"}
_LEFT_OUT: Final = frozenset(
    {"kind", "priority", "not_before", "datasets", "parties", "project", "submitter", "roster"}
)
"""Of a job file: the platform's business, and the roster, which is simulated."""


class _Accounting(threading.local):
    """An accountant for each thread, for each has a loop: what it answered once, it knows."""

    def __init__(self) -> None:
        self.accountant = ProcessAccountant()


_ACCOUNTING: Final = _Accounting()


@dataclass(frozen=True)
class Drafted:
    """A simulated job.

    Args:
        spec: checked.
        accounting: what it costs, None without differential privacy.
    """

    spec: TrainingSpec
    accounting: Mapping[str, JSON] | None


def draft(
    job: Mapping[str, Any],
    parties: int,
    protection: str | None,
    start: Beginning,
) -> Drafted:
    """Fill in what the platform would, and refuse what it would.

    Args:
        job: a job file of kind training; its `project`, `datasets` and `parties` are not used.
        parties: how many to simulate.
        protection: in the place of the file's, if it is given.
        start: what it starts from; a file of weights that the job does not name becomes `initial`.

    Raises:
        SecureFlowError: `invalid_request` for another kind or number of parties, or for weights of
            another model; `invalid_spec`,
            `contradictory_spec`, `budget_impossible`.
    """
    kind = job.get("kind", KIND)
    if kind != KIND:
        raise SecureFlowError(
            "invalid_request",
            Text("Jobs of kind {kind!r} cannot be simulated.", kind=str(kind)[:40]),
            "Training can: `kind: training`.",
        )
    if not 2 <= parties <= MOST_PARTIES:
        raise SecureFlowError(
            "invalid_request",
            Text("{parties} parties cannot be simulated.", parties=parties),
            Text("Simulate 2 to {most}.", most=MOST_PARTIES),
        )
    parts = {name: part for name, part in job.items() if name not in _LEFT_OUT and part is not None}
    if protection is not None:
        parts["protection"] = protection
    if start.member is not None:
        parts["initial"] = dict(start.member)
    parts.setdefault("min_contributors", floor_of(parties))
    _check_contributors(parts["min_contributors"], parties)
    priced = asyncio.run(price(parts, _ACCOUNTING.accountant))
    lines = [{"party": one.party, "key": one.key, "dataset": one.dataset}
             for one in roster(parties)]  # fmt: skip
    spec = parse(TrainingSpec, {**_NAMED, **with_noise(parts, priced), **_FILLED, "roster": lines})
    spec = spec.drawn()
    start.check(spec)
    check(spec)
    return Drafted(spec, priced.answer if priced else None)


def _check_contributors(least: Any, parties: int) -> None:
    """Refuse fewer parties than the job needs; what is no number is another check's."""
    if isinstance(least, int) and least > parties:
        raise SecureFlowError(
            "invalid_request",
            Text("The job's min_contributors is {least}; {parties} parties are simulated.",
                 least=least, parties=parties),
            Text("Simulate as many, --parties {least}, or lower it in the job file.", least=least),
        )  # fmt: skip

"""Contributions, scored inside the enclave: rows that stay for the job, updates for a round.

`ValidationFold` holds every party's sealed rows, in memory. `ScoredFold` keeps a round's updates on
the disk, sealed anew (`spill`), until coalitions of them were measured; only then the mean of all
moves the model, so that a round whose updates cannot be read now can be released later. It holds
one model more than the mean alone, and a block of each update. Nothing of this leaves but the
scores of the whole job, rounded, once, signed (`scores_of`).

Rows and scores live in memory, as all of an enclave's state does: its keys are drawn at its start,
and nothing on a disk is sealed to a later start. A restarted enclave has neither, and rows that
come to it alone, without the round of all of them, are not scored on: the job goes on, and its
enclave says, signed, that there are no scores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.contribution import VALIDATION, ContributionPlan
from secureflow.domain.specs.training import TrainingSpec
from secureflow.enclave.folds import Fold, Seed
from secureflow.enclave.models import GlobalModel, PublishedMean
from secureflow.enclave.spill import Spill
from secureflow.enclave.trainingfolds import MeanFold
from secureflow.engines.contribution.gtg import RoundScores, Sampling, round_scores
from secureflow.engines.contribution.sealedrows import RowLimits, check_commitment, checked_rows
from secureflow.engines.contribution.shapley import Floats
from secureflow.engines.contribution.tally import Tally
from secureflow.engines.contribution.views import others
from secureflow.engines.preparation import declared_moments, moments_from_sums
from secureflow.engines.sealing import OpenedUpdate
from secureflow.engines.secagg import Opened
from secureflow.engines.training.logistic import LogisticRegression
from secureflow.engines.training.measures import measure_of
from secureflow.engines.training.network import Network
from secureflow.engines.training.rowlimits import row_limits
from secureflow.kit.canonical import JSON, digest

Rows = NDArray[np.float32]
FAMILIES: Final[Mapping[str, Callable[[TrainingSpec], LogisticRegression | Network]]] = {
    "logistic_regression": LogisticRegression,
    "softmax": Network,
    "linear": Network,
    "mlp": Network,
}
"""The families that are scored (`domain.specs.contribution_rules.MEASURED`), and no others: what
the enclave loads is measured, and stays small.
"""
_WORST: Final = 1e3
"""The loss of a model that cannot be measured: losses of rows are capped far below."""


class MomentsFold(MeanFold):
    """The sums by which numbers are scaled, kept: rows are held to what they can be then."""

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec, "moments")
        self.released: list[float] | None = None
        """The sums as they were released."""

    def sums(self, seed: Seed) -> list[float]:
        """Return the sums unchanged."""
        self.released = super().sums(seed)
        return self.released


class ValidationFold:
    """`Fold`: the rows of each party; nothing is added up, and nothing released but their count.

    Args:
        spec: the job's.
        limits: of a row; None if this enclave does not know by what numbers are scaled: it was
            restarted since, keeps no row, and has no scores.
    """

    def __init__(self, spec: TrainingSpec, limits: RowLimits | None) -> None:
        self._spec, self._limits = spec, limits
        self._family = FAMILIES[spec.model.family](spec)
        self._rows: dict[str, Rows] = {}
        self.closed = False
        """Whether the round of rows was certified: those of all parties are here then."""
        self.commitments: dict[str, str] = {}
        """Party → the commitment that its rows were checked against."""
        self._named: dict[str, JSON] = {}
        self._salts: dict[str, str] = {}

    @property
    def count(self) -> int:
        """The number of parties whose rows are here."""
        return len(self._rows)

    def committed(self, update: OpenedUpdate, commitment: str) -> None:
        """Refuse rows that their party did not commit to (`validation_swapped`)."""
        binding = update.binding
        party = binding.party
        check_commitment(np.asarray(update.parameters), update.sums, commitment, party)
        self.commitments[party] = commitment
        self._named = {"job": binding.job, "spec": binding.spec}
        self._salts[party] = update.sums[1:].tobytes().hex()

    def orders(self) -> bytes:
        """Return the seed of the orders: of the job, and of what each party alone has drawn.

        Enclaves that the centre runs side by side have one seed, so it has nothing to choose from;
        and nobody knows it before the job's end.
        """
        return bytes.fromhex(digest({**self._named, "salts": self._salts}))

    def fold(self, update: OpenedUpdate) -> bytes:
        """Keep a party's rows; see `sealedrows.checked_rows` for what is refused."""
        party, values = update.binding.party, np.asarray(update.parameters)
        rows = values[:0] if self._limits is None else checked_rows(values, self._limits, party)
        self._rows[party] = rows.copy()
        return b""

    def open(self, number: int, opened: Opened | None) -> None:
        """There are no masks; the round is certified, and no rows follow."""
        del number, opened
        complete = self._rows.keys() == set(self._spec.parties)
        self.closed = complete and self._limits is not None

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """No model comes of rows."""
        del model, seed
        raise AssertionError

    def sums(self, seed: Seed) -> list[float]:
        """Return how many parties sealed rows."""
        del seed
        return [float(self.count)]

    def reset(self) -> None:
        """Keep the rows: they are for the whole job."""

    def worth(self, parameters: Rows, party: str) -> float:
        """Return what a model is worth on a party's rows: the loss, negative."""
        rows = self._rows[party]
        sums = self._family.metric_sums(
            self._spec, parameters, np.ascontiguousarray(rows[:, :-1]), rows[:, -1].copy()
        )
        loss = measure_of(self._spec).summarise(sums).get("loss", _WORST)
        return -float(loss) if np.isfinite(loss) else -_WORST

    def views(self, parameters: Rows, present: list[str]) -> Floats:
        """Return a model's worth as each of these parties' others see it, (n,)."""
        every = sorted(self._rows)
        worth = {party: self.worth(parameters, party) for party in every}
        seen = others([worth[party] for party in every])
        return np.array([seen[every.index(party)] for party in present])


class ScoredFold(MeanFold):
    """The weighted mean, and what each update was worth to it.

    Args:
        spec: the job's.
        plan: its part on contributions.
        rows: the parties' rows.
        seed: of the orders in which parties join, 32 bytes (`ValidationFold.orders`).
    """

    def __init__(
        self,
        spec: TrainingSpec,
        plan: ContributionPlan,
        rows: ValidationFold,
        seed: bytes,
    ) -> None:
        super().__init__(spec, "train")
        self._rows = rows
        self._spill = Spill(spec.update_parameters)
        self._weights: dict[str, float] = {}
        self.seed = seed
        """Of the orders; told with the scores."""
        self.seconds = 0.0
        self.tally = Tally(spec.parties, plan.permutations)
        self._sampling = Sampling(self.seed, plan.permutations, plan.within, plan.between)
        self._number = 0

    def fold(self, update: OpenedUpdate) -> bytes:
        """Keep an update within the caps, and add it."""
        self._sum.check(update.parameters, update.sums)
        self._spill.add(update.binding.party, update.parameters)
        self._weights[update.binding.party] = float(update.sums[0])
        self._number = update.binding.round
        self._sum.add(update.parameters, update.sums)
        return b""

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Score the updates, which go then; move the model as without scores.

        What reads the disk comes first: if it fails, nothing has changed.

        Raises:
            SecureFlowError: those of `MeanFold.advance`; `spill_forged`.
            InfrastructureError: the disk cannot be read now.
        """
        began = time.perf_counter()
        present = sorted(self._weights)
        scored = self._scored(model.parameters, present)
        self.tally.add(self._number, present, scored)
        self.seconds += time.perf_counter() - began
        self._spill.clear()
        self._weights.clear()
        return super().advance(model, seed)

    def reset(self) -> None:
        """Remove the updates and clear the sums; scores stay."""
        self._spill.clear()
        self._weights.clear()
        super().reset()

    def _scored(self, before: Rows, present: list[str]) -> RoundScores:
        weights = np.array([self._weights[party] for party in present])

        def value(mask: int) -> Floats:
            members = np.array([float(mask >> place & 1) for place in range(len(present))])
            return self._rows.views(self._joined(before, members * weights), present)

        with np.errstate(over="ignore", invalid="ignore"):
            return round_scores(len(present), self._number, value, self._sampling)

    def _joined(self, before: Rows, weights: Floats) -> Rows:
        """Return the model that these weights of the updates make, float32 (d,)."""
        if not weights.any():
            return before
        shares, made = weights / weights.sum(), np.empty_like(before)
        for part, block in self._spill.blocks():
            made[part] = before[part] + shares @ block
        return made


def scoring_fold(
    spec: TrainingSpec, plan: ContributionPlan, stage: str, beside: Mapping[str, Fold]
) -> Fold | None:
    """Return the fold of a stage of a job that scores contributions; None for an ordinary one.

    So is a round's in an enclave that was restarted after the parties had sealed their rows, even
    if one of them sends its own again.
    """
    if stage == "moments":
        return MomentsFold(spec)
    if stage == VALIDATION:
        return ValidationFold(spec, _limits(spec, beside.get("moments")))
    rows = beside.get(VALIDATION)
    if stage == "train" and isinstance(rows, ValidationFold) and rows.closed:
        return ScoredFold(spec, plan, rows, rows.orders())
    return None


def _limits(spec: TrainingSpec, moments: Fold | None) -> RowLimits | None:
    """Return what a row can be, by the moments that this enclave released."""
    if spec.features is None:
        raise AssertionError  # the spec was checked
    if not spec.needs_moments:
        return row_limits(spec.features, declared_moments(spec.features))
    if not isinstance(moments, MomentsFold) or moments.released is None:
        return None
    sums = np.array(moments.released, np.float64)
    return row_limits(spec.features, moments_from_sums(spec.features, sums))


def scores_of(
    spec: TrainingSpec, plan: ContributionPlan, folds: Mapping[str, Fold]
) -> dict[str, JSON]:
    """Return what the enclave tells of contributions: scores, or that it has none.

    Args:
        spec: the job's.
        plan: its part on contributions.
        folds: stage → its sum in this enclave.
    """
    rows, scored = folds.get(VALIDATION), folds.get("train")
    if not isinstance(rows, ValidationFold) or not isinstance(scored, ScoredFold):
        return {"scored": False, "parties": sorted(spec.parties)}
    tally = scored.tally
    return {
        "scored": True,
        "method": plan.method,
        "rows": plan.rows,
        "seed": scored.seed.hex(),
        "permutations": plan.permutations,
        "within": plan.within,
        "between": plan.between,
        "rounds": list(tally.rounds),
        "evaluations": tally.evaluations,
        "seconds": round(scored.seconds, 3),
        "commitments": dict(sorted(rows.commitments.items())),
        "scores": {party: asdict(score) for party, score in sorted(tally.scores().items())},
    }

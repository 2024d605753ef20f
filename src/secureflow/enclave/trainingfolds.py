"""How the enclave adds up training: the mean, the noised sum, and the masked one."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from secureflow.domain.specs.privacy import MAX_COORDINATE
from secureflow.domain.specs.robust import Robust
from secureflow.domain.specs.strategies import FedNova
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.enclave.folds import Fold, MaskedSum, Seed
from secureflow.enclave.models import GlobalModel, PublishedMean
from secureflow.enclave.spill import Spill
from secureflow.engines.sealing import (
    FixedPointAccumulator,
    Manifest,
    OpenedUpdate,
    vector_manifest,
)
from secureflow.engines.sealing.fold import Parameters
from secureflow.engines.secagg import MaskingPlan, Opened
from secureflow.engines.training.capping import update_parts
from secureflow.engines.training.encodings import (
    SummedUpdates,
    apply_mean,
    opened_sums,
    published_dtype,
)
from secureflow.engines.training.models import Stage, update_layout
from secureflow.engines.training.noising import noise_of, released_sums, split_sums
from secureflow.engines.training.private import noised_once, noises_metrics, norm_cap
from secureflow.engines.training.robust.combining import combined
from secureflow.engines.training.sending import read_change, update_form
from secureflow.engines.training.settling import smoothing
from secureflow.engines.training.strategies import Blocks, next_state
from secureflow.engines.training.strategies.fednova import check_steps
from secureflow.engines.training.strategies.scaffold import attended
from secureflow.engines.training.summedtrees import check_histograms
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.layout import Whole, parts_of
from secureflow.engines.trees.owntrees import read_tree, with_trees
from secureflow.kit.errors import SecureFlowError

_NO_VALUES = np.zeros(0, np.float32)


class MeanFold:
    """The weighted mean of unmasked updates; it takes the memory of one model."""

    summed: ClassVar = True
    """Whether updates are added up; if not, only what comes beside them is."""

    def __init__(self, spec: TrainingSpec, stage: Stage) -> None:
        self._spec, self._stage = spec, stage
        layout = update_layout(spec, stage)
        self._sum = self._accumulator(layout.parameters, layout.sums - layout.seeds)

    @property
    def count(self) -> int:
        """The number of updates in the sum."""
        return self._sum.count

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add an update; raises those of `read_change` and `FixedPointAccumulator.fold`."""
        sums, seed = split_sums(self._spec, self._stage, update.sums)
        change = self._change(update)
        if self._stage == "train" and isinstance(self._spec.plan.strategy, FedNova):
            self._sum.check(change, sums)
            check_steps(self._spec, change, float(sums[0]))
        self._sum.fold(change, sums)
        return seed

    def open(self, number: int, opened: Opened | None) -> None:
        """There are no masks."""

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Add the weighted mean to the model."""
        del seed
        mean: Blocks = self._sum.mean()
        added = smoothing(self._spec, self._sum.weight)
        if added is not None:
            mean = mean[:] + added
        _move(self._spec, model, attended(self._spec, mean, self._sum.count))
        return None

    def sums(self, seed: Seed) -> list[float]:
        """Return weight and metrics unchanged."""
        del seed
        return released_sums(self._spec, self._stage, self._sum.sums().tolist())

    def reset(self) -> None:
        """Clear the sum; its memory stays allocated."""
        self._sum.reset()

    def _change(self, update: OpenedUpdate) -> Parameters:
        return read_change(self._spec, self._stage, update.tensors)

    def _accumulator(self, parameters: int, sums: int) -> FixedPointAccumulator:
        limits = self._spec.limits
        weight = float(limits.max_weight) if self._spec.privacy is None else 1.0
        return FixedPointAccumulator(
            parameters,
            sums,
            max_weight=weight,
            total_weight_cap=weight * len(self._spec.roster),
            clip_norm=limits.clip_norm,
            max_abs=limits.clip_norm,
            parts=update_parts(self._spec) if parameters else (),
            summed=self.summed,
        )


class RobustFold(MeanFold):
    """Single updates, sealed anew on the disk until a rule has combined them (`spill`)."""

    summed = False

    def __init__(self, spec: TrainingSpec, rule: Robust) -> None:
        super().__init__(spec, "train")
        self._rule = rule
        self._spill = Spill(spec.update_parameters)

    def fold(self, update: OpenedUpdate) -> bytes:
        """Keep an update that is within the caps; only its sums are added up."""
        sums, seed = split_sums(self._spec, self._stage, update.sums)
        change = self._change(update)
        self._sum.check(change, sums)
        self._spill.add(update.binding.party, change)
        self._sum.add(change, sums)
        return seed

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Update the model with what the rule makes of the updates, which go then.

        Raises:
            SecureFlowError: `spill_forged`.
        """
        del seed
        change = np.empty(self._spec.update_parameters, np.float32)
        combined(self._rule, self._spill, change)
        self._spill.clear()
        _move(self._spec, model, change)
        return None

    def reset(self) -> None:
        """Remove the updates and clear the sums."""
        self._spill.clear()
        super().reset()


class HistogramFold(MeanFold):
    """The sum of the parties' histograms of one level, from which trees are grown."""

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec, "train")
        self._total = np.zeros(spec.update_parameters, np.int64)
        self._before: GlobalModel | None = None

    def starts_from(self, model: GlobalModel) -> None:
        """Take the model that the step starts from: which nodes are open follows from it."""
        self._before = model

    def fold(self, update: OpenedUpdate) -> bytes:
        """Add whole numbers that a party's rows may have; its figures are checked beside them.

        Raises:
            SecureFlowError: `value_out_of_bounds`, and those of `MeanFold.fold`.
        """
        if self._before is None:
            raise AssertionError  # `starts_from` came first, under the job's lock
        histograms = update.tensors["parameters"]
        sums, seed = split_sums(self._spec, self._stage, update.sums)
        self._sum.check(_NO_VALUES, sums)
        # Of a party with more rows than count, the weight is a product of float64.
        rows = round(float(sums[0]))
        check_histograms(self._spec, self._before.parameters, histograms, rows)
        self._sum.fold(_NO_VALUES, sums)
        np.add(self._total, histograms, out=self._total)
        return seed

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Grow the next level; the sum stays here, with or without noise.

        Raises:
            SecureFlowError: `nothing_folded`, and those of growing.
        """
        self._sum.mean()  # refuses an empty round
        noised = noised_once(self._spec)
        noise = noise_of(self._spec, "train", seed()) if noised else np.int64(0)
        _move(self._spec, model, self._total + noise)
        return None

    def reset(self) -> None:
        """Clear the sums; their memory stays allocated."""
        self._total.fill(0)
        super().reset()

    def _accumulator(self, parameters: int, sums: int) -> FixedPointAccumulator:
        del parameters
        return super()._accumulator(0, sums)


class OwnTreesFold(HistogramFold):
    """One tree of each party (`engines.trees.owntrees`), held until it is certified whose count.

    Round 1 adds up counts, from which edges follow, as in `HistogramFold`. What is held is bounded
    by the layout: a tree of each party of the roster.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        super().__init__(spec)
        self._layout = layout_of(spec)
        self._trees: dict[str, Whole] = {}

    def fold(self, update: OpenedUpdate) -> bytes:
        """Keep a tree of the job's form; its figures are added up.

        Raises:
            SecureFlowError: `tree_malformed`, and those of `HistogramFold.fold`.
        """
        if self._before is None or not parts_of(self._layout, self._before.parameters).known:
            return super().fold(update)
        tree = read_tree(self._layout, update.tensors["parameters"])
        self._sum.fold(_NO_VALUES, update.sums)
        self._trees[update.binding.party] = tree
        return b""

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Append the round's trees; whose they are stays here.

        Raises:
            SecureFlowError: `nothing_folded`, and those of `HistogramFold.advance`.
        """
        if not self._trees:
            return super().advance(model, seed)
        model.parameters[:] = with_trees(
            self._layout, model.parameters, self._trees, self._spec.parties
        )
        model.moved()
        return None

    def reset(self) -> None:
        """Forget the trees and clear the sums."""
        self._trees.clear()
        super().reset()


class NoisedFold(MeanFold):
    """The sum of updates in lattice steps, to which noise is added here, once, before release.

    Weights are 1. The fold adds lattice steps exactly.
    """

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Update the model with the noised sum; the exact sum is not kept."""
        if not self._sum.count:
            raise SecureFlowError("nothing_folded", "No update was folded into this round.")
        exact = self._sum.fixed >> self._sum.exponent
        _move(self._spec, model, exact + noise_of(self._spec, "train", seed()))
        return None

    def sums(self, seed: Seed) -> list[float]:
        """Return weight and metrics; those of an evaluation are noised."""
        sums = self._sum.sums()
        if self._stage == "evaluate" and noises_metrics(self._spec):
            sums[1:] += noise_of(self._spec, self._stage, seed())
        return released_sums(self._spec, self._stage, sums.tolist())

    def _accumulator(self, parameters: int, sums: int) -> FixedPointAccumulator:
        return FixedPointAccumulator(
            parameters,
            sums,
            max_weight=1.0,
            total_weight_cap=float(len(self._spec.roster)),
            clip_norm=norm_cap(self._spec),
            max_abs=MAX_COORDINATE,
        )


class MaskedFold(MaskedSum):
    """The sum of masked updates, which opens to their weighted mean.

    Args:
        spec: the job's spec.
        stage: the step's stage.
        plan: the plan of the stage's masked sums.
    """

    def __init__(self, spec: TrainingSpec, stage: Stage, plan: MaskingPlan) -> None:
        super().__init__(plan)
        self._spec, self._stage = spec, stage

    def advance(self, model: GlobalModel, seed: Seed) -> PublishedMean | None:
        """Update the model with the mean of the opened sum, and return the mean."""
        del seed
        mean = np.empty(self._spec.update_parameters, published_dtype(self._spec))
        model.digest, digest = apply_mean(
            self._spec,
            self._plan,
            SummedUpdates(self._total, self._weight, self.count),
            model.parameters,
            mean,
        )
        return PublishedMean(mean, digest)

    def sums(self, seed: Seed) -> list[float]:
        """Return the opened sums: weight, then metrics; they contain their noise already."""
        del seed
        opened = opened_sums(self._spec, self._stage, self._plan, self._total, self._weight)
        return [float(value) for value in opened]


def training_manifest(spec: TrainingSpec, stage: Stage, plan: MaskingPlan | None) -> Manifest:
    """Return how a contribution to a stage is laid out; `plan` as in `training_fold`."""
    if plan is not None:
        return vector_manifest(plan.encoding.slots, plan.ring.itemsize)
    return update_form(spec, stage)


def training_fold(spec: TrainingSpec, stage: Stage, plan: MaskingPlan | None) -> Fold:
    """Return the fold of a stage; `plan` is that of its masked sums, if there are any."""
    if plan is not None:
        return MaskedFold(spec, stage, plan)
    if stage == "train" and isinstance(spec.model, XgboostModel):
        return OwnTreesFold(spec) if spec.own_trees else HistogramFold(spec)
    if stage == "train" and spec.plan.aggregation is not None:
        return RobustFold(spec, spec.plan.aggregation)
    return NoisedFold(spec, stage) if noised_once(spec) else MeanFold(spec, stage)


def _move(spec: TrainingSpec, model: GlobalModel, release: Blocks) -> None:
    """Update the model with the release of a round; on failure the model is unusable."""
    next_state(spec, model.parameters, release, model.parameters)
    model.moved()

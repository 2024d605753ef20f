"""The conversion of a training update to a masked vector, and of the opened sum to a release.

Each stage of a job is a separate masked session with its own keys: `moments` (one sum), `train`
(one per round) and `evaluate` (one). The vector of `train` is the update's coordinates, then its
metric sums; the other stages have a single zero in place of coordinates. The weight is part of it.

A round's context binds the digest of model *and* moments as its model: parties that were
shown different ones mask under different contexts, and nothing opens.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.compression import INT8_BITS
from secureflow.domain.specs.privacy import METRIC_BITS
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.sealing import tensor_digest
from secureflow.engines.secagg import Encoding, MaskingPlan, Metric
from secureflow.engines.secagg.encoding import Contribution, mean_into, metric_sums
from secureflow.engines.secagg.masks import Ring
from secureflow.engines.training.capping import update_parts
from secureflow.engines.training.models import Stage, UpdateLayout, update_layout
from secureflow.engines.training.noising import (
    longest_sum,
    noise_bound,
    noise_of,
    released_sums,
    split_sums,
)
from secureflow.engines.training.private import noise_shared, noises_metrics
from secureflow.engines.training.settling import smoothing
from secureflow.engines.training.strategies import next_state
from secureflow.engines.training.strategies.scaffold import attended
from secureflow.engines.training.summedtrees import (
    is_histogram,
    ring_bits,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_COUNTED_BITS: Final = 20
"""The resolution of metrics beside a change in 8 bits, as that of all values by default."""
_STEP_BITS: Final = 24
"""Lattice coordinates of an update stay below 2^24 (`domain.specs.privacy.MAX_COORDINATE`)."""
NORM_TOLERANCE = 1e-4
"""The published mean may exceed the cap by this share: clients clip in float32."""


def masked_stages(spec: TrainingSpec) -> tuple[Stage, ...]:
    """Return the stages of the job, in order."""
    return ("moments", "train", "evaluate") if spec.needs_moments else ("train", "evaluate")


def masked_round(stage: str, number: int) -> int:
    """Return a round's number within its stage's session, from 0."""
    return number - 1 if stage == "train" else 0


def masked_plan(spec: TrainingSpec, job: str, spec_digest: str, stage: Stage) -> MaskingPlan:
    """Return the plan of a stage's masked sums.

    Raises:
        SecureFlowError: `invalid_encoding`, `invalid_roster`, `ring_overflow`.
    """
    rounds = spec.planned_rounds if stage == "train" else 1
    dp = {} if spec.privacy is None else dump(spec.privacy)
    encoding = _encoding(spec, stage)
    return MaskingPlan(
        f"{job}-{stage}",
        spec_digest,
        spec.roster,
        encoding,
        rounds,
        dp,
        least=spec.min_contributors,
    )


def _encoding(spec: TrainingSpec, stage: Stage) -> Encoding:
    layout = update_layout(spec, stage)
    if _on_lattice(spec, stage):
        return _lattice_encoding(spec, stage)
    coded = spec.compression is not None and stage == "train"
    return Encoding(
        length=layout.parameters or 1,
        clip=spec.quantisation.clip,
        bits=INT8_BITS if coded else spec.quantisation.bits,
        counted_bits=_COUNTED_BITS if coded else 0,
        max_weight=spec.limits.max_weight,
        metrics=_metrics(layout),
    )


def _metrics(layout: UpdateLayout) -> tuple[Metric, ...]:
    """Return the sums of a stage; a count of parties is no larger than a weight."""
    first = layout.sums - layout.counts
    bounds = {n: layout.per_row if n < first else 1.0 for n in range(1, layout.sums)}
    return tuple(Metric(f"sum_{n}", bound) for n, bound in bounds.items())


def _on_lattice(spec: TrainingSpec, stage: Stage) -> bool:
    """Tell whether the values are already whole lattice steps, which must not be rounded."""
    return noise_shared(spec) or (noises_metrics(spec) and stage == "evaluate")


def _lattice_encoding(spec: TrainingSpec, stage: Stage) -> Encoding:
    """One ring unit is one lattice step: the clip is 2^bits steps, and a weight is 1."""
    layout, bits = update_layout(spec, stage), _STEP_BITS
    metrics = layout.sums - 1 - layout.seeds
    if metrics:
        rows = spec.privacy.rows if spec.privacy else 0
        bits = min(40, max(bits, METRIC_BITS + rows.bit_length()))
    elif spec.privacy is not None and is_histogram(spec, stage):
        bits = ring_bits(spec, spec.privacy)
    return Encoding(
        length=layout.parameters or 1,
        clip=2.0**bits,
        bits=bits,
        metrics=tuple(Metric(f"sum_{n}", 2.0**bits) for n in range(1, 1 + metrics)),
        noise_bound=noise_bound(spec, stage),
    )


def masked_parts(
    spec: TrainingSpec,
    stage: Stage,
    plan: MaskingPlan,
    parameters: NDArray[Any],
    sums: NDArray[np.float64],
) -> Contribution:
    """Return values, weight, metrics (per unit of weight) and the noise share of an update.

    Raises:
        SecureFlowError: those of `noising.split_sums`.
    """
    kept, seed = split_sums(spec, stage, sums)
    weight = round(float(kept[0]))
    values = parameters if parameters.size else np.zeros(1, np.float32)
    means = (kept[1:] / max(weight, 1)).tolist()
    names = (metric.name for metric in plan.encoding.metrics)
    noise = _placed(plan, stage, noise_of(spec, stage, seed)) if seed else None
    return Contribution(values, weight, dict(zip(names, means, strict=True)), noise)


def _placed(plan: MaskingPlan, stage: Stage, noise: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place noise on values or on metrics, never on the weight, which is 1."""
    encoding = plan.encoding
    slots = np.zeros(encoding.length + len(encoding.metrics) + 1, np.int64)
    at = encoding.length if stage == "evaluate" else 0
    slots[at : at + len(noise)] = noise
    return slots


def opened_sums(
    spec: TrainingSpec, stage: Stage, plan: MaskingPlan, total: Ring, weight: int
) -> list[float]:
    """Return the release's sums: the total weight, then the metric sums."""
    return released_sums(spec, stage, [float(weight), *metric_sums(plan.encoding, total)])


class SummedUpdates(NamedTuple):
    """An opened sum of masked vectors.

    Args:
        total: elements of the ring (slots,).
        weight: of all that are in it.
        parties: how many are in it.
    """

    total: Ring
    weight: int
    parties: int


def apply_mean(
    spec: TrainingSpec,
    plan: MaskingPlan,
    opened: SummedUpdates,
    model: NDArray[np.float32],
    mean: NDArray[Any],
) -> tuple[str, str]:
    """Write the published vector, apply it to the model in place; return both hex BLAKE3 digests.

    Published is the mean update, or under shared noise the noised sum in lattice steps.

    Args:
        spec: the job's.
        plan: the plan of the stage's masked sums.
        opened: the round's sum.
        model: the state from which the round started, float32 (parameters,).
        mean: what is published, (update_parameters,), of `published_dtype`.

    Raises:
        SecureFlowError: `model_inconsistent`, `model_not_finite`; then the model is unusable.
    """
    total, weight, parties = opened
    if isinstance(spec.model, XgboostModel):
        mean[:] = total[: len(mean)].view(np.dtype(f"<i{total.itemsize}"))
        check_mean(spec, mean)
        next_state(spec, model, mean, model)
        return tensor_digest(model), tensor_digest(mean)
    mean_into(plan.encoding, total, 1 if noise_shared(spec) else weight, mean)
    if len(mean) > spec.model_and_bound:
        behind = slice(spec.model_and_bound, len(mean))
        mean[behind] = attended(spec, mean, parties)[behind]
    added = smoothing(spec, weight)
    if added is not None:
        mean += added
    check_mean(spec, mean)
    next_state(spec, model, mean, model)
    return tensor_digest(model), tensor_digest(mean)


def _longest(spec: TrainingSpec) -> float:
    """Return the largest L2 norm of an update, all of its parts together."""
    return math.hypot(*(norm for _, norm in update_parts(spec)))


def published_dtype(spec: TrainingSpec) -> np.dtype[Any]:
    """Return the dtype of what is published: a mean in float32, or sums of histograms."""
    return np.dtype("<i8" if isinstance(spec.model, XgboostModel) else "<f4")


def published_bytes(spec: TrainingSpec) -> int:
    """Return the size of what is published."""
    return published_dtype(spec).itemsize * spec.update_parameters


def check_mean(spec: TrainingSpec, mean: NDArray[Any]) -> None:
    """Refuse a published mean update (or noised sum) that contributors within the caps cannot have.

    Raises:
        SecureFlowError: `model_inconsistent`.
    """
    if isinstance(spec.model, XgboostModel):
        return  # `engines.trees.growing` refuses sums that no rows have
    if noise_shared(spec):
        most = clip = longest_sum(spec)
    else:
        most, clip = _longest(spec), spec.quantisation.clip
        added = smoothing(spec, 1)
        if added is not None:
            most, clip = most + float(np.linalg.norm(added)), clip + float(added.max())
    squares, largest = 0.0, 0.0
    for start in range(0, mean.size, 1 << 16):
        block = mean[start : start + (1 << 16)].astype(np.float64)
        squares += float(np.add.reduce(block * block))
        largest = max(largest, float(np.abs(block).max(initial=0.0)))
    norm = squares**0.5
    # NaN compares as false: only a finite norm within the caps passes.
    if norm <= most * (1 + NORM_TOLERANCE) and largest <= clip * (1 + NORM_TOLERANCE):
        return
    raise SecureFlowError(
        "model_inconsistent",
        Text(
            "The published mean update has norm {norm:.6g} and a coordinate of "
            "{largest:.6g}; the spec allows {most:.6g} and {clip:.6g}.",
            norm=norm,
            largest=largest,
            most=most,
            clip=clip,
        ),
        "Refuse it: no contributors within the caps have this mean.",
    )

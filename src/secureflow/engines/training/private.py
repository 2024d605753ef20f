"""Differentially private rounds: a party's update, and its cost.

| unit, noise     | `delta` of an update (float32)          | who adds noise, on what         |
|-----------------|-----------------------------------------|---------------------------------|
| record, enclave | clipped gradient sum, in lattice steps  | the enclave, once, on the sum   |
| record, shared  | the same                                | each party, σ/√(t−c), when it masks |
| record, local   | change by `local_steps` DP-SGD steps    | the party, each step, full σ    |
| party, enclave  | clipped change of the model, in steps   | the enclave, once, on the sum   |
| party, shared   | the same                                | each party, σ/√(t−c), when it masks |

If the clipping norm adapts, it is the last value of the state that rounds update, and the last
slot of `delta` is the bit *my change was within it*, as ±½. Stage `evaluate` measures the final
model on the validation rows if `metrics_noise` gives its noise.

`sums` is the constant weight 1, metric steps (`evaluate`), and eight words of seed if the
enclave or the mask adds noise. In the enclave the noise is a function of all contributors' seeds
and of the release; a share is a function of the party's own seed. So a round that is summed again
(a restarted enclave, a repeated request) gets the same noise and cannot be averaged away.
Denominators are public. No row count is released; `noising` handles the sum.

Everything that a job releases is listed by `released`: nothing else leaves.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.privacy import MAX_COORDINATE, METRIC_BITS, Privacy
from secureflow.domain.specs.targets import form_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import TREES
from secureflow.engines.privacy.accounting import Charge, Mechanism
from secureflow.engines.privacy.clipping import AdaptiveClip
from secureflow.engines.privacy.dpsgd import (
    DpSgd,
    Features,
    Gradients,
    gradient_sum,
    noisy_step,
)
from secureflow.engines.privacy.gaussian import sample
from secureflow.engines.training.capping import Blocks, norm_of
from secureflow.engines.training.settling import settled
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:
    from secureflow.engines.training.families import ModelFamily

Parameters = NDArray[np.float32]
Vector = NDArray[np.float64]

SEED_WORDS = 8
"""32-bit words of noise seed in an update's `sums`."""
BOUNDS = (float(np.float32(1e-6)), float(np.float32(1e6)))
"""Bounds of an adaptive clipping norm, as of a fixed one."""
METRIC_UNIT = 1 << METRIC_BITS
"""Maximum number of steps that one row adds to a metric's sum."""


def privacy_of(spec: TrainingSpec) -> Privacy:
    """Return the privacy part of a spec that has one."""
    if spec.privacy is None:
        raise AssertionError  # the caller must check this
    return spec.privacy


def noised_once(spec: TrainingSpec) -> bool:
    """Tell whether the aggregate is noised, once, where it is summed."""
    return spec.privacy is not None and spec.privacy.noise == "enclave"


def noise_shared(spec: TrainingSpec) -> bool:
    """Tell whether every party masks its share of the noise together with its update."""
    return spec.privacy is not None and spec.privacy.noise == "shared"


def draws_noise(spec: TrainingSpec) -> bool:
    """Tell whether an update has a seed, from which noise is drawn later."""
    return noised_once(spec) or noise_shared(spec)


def noises_metrics(spec: TrainingSpec) -> bool:
    """Tell whether the final model is measured with noise."""
    return spec.privacy is not None and spec.privacy.metrics_noise is not None


def reads_rows(spec: TrainingSpec, stage: str) -> bool:
    """Tell whether an update of this stage depends on rows: a final model may go unmeasured."""
    return spec.privacy is None or stage != "evaluate" or noises_metrics(spec)


def charge(spec: TrainingSpec, rounds: int | None = None, *, evaluated: bool = False) -> Charge:
    """Return the cost of this many rounds of the job (default: the whole plan); () without DP.

    Trees take a round for each of their levels, and one for their edges.

    The evaluation is charged with any round, so that nobody needs to ask whether it came. Without
    one it is charged if it came (`evaluated`): a party may have missed every round but this. Its
    rows are not trained on, which would make it cheaper; the charge does not rely on that.
    """
    count = spec.planned_rounds if rounds is None else rounds
    return () if spec.privacy is None else charge_of(spec.privacy, count, evaluated=evaluated)


def charge_of(privacy: Privacy, rounds: int, *, evaluated: bool = False) -> Charge:
    """Return the cost of this many rounds under a privacy part; see `charge`."""
    evaluation = evaluation_charge(privacy) if rounds or evaluated else ()
    if rounds == 0:
        return evaluation
    steps = rounds * privacy.local_steps
    models = Mechanism("gaussian", privacy.multiplier, privacy.sampling, steps)
    return (models, *evaluation)


def evaluation_charge(privacy: Privacy) -> Charge:
    """Return the cost of the noised evaluation; () if nothing is measured."""
    if privacy.metrics_noise is None:
        return ()
    return (Mechanism("gaussian", privacy.metrics_noise),)


def released(spec: TrainingSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    privacy = spec.privacy
    if privacy is None:
        return ()
    models, *evaluation = (mechanism.as_json() for mechanism in charge(spec, 1))
    sums = "gradient sum" if privacy.unit == "record" else "sum of the parties' changes"
    if spec.model.family in BY_SUMS:
        sums = "sum of the rows' products"
    if spec.model.family == TREES:
        sums = "sums of a level's derivatives, of round 1 counts of the rows' values"
    noised = f"discrete Gaussian on the clipped {sums}"
    if privacy.noise == "local":
        noised = f"discrete Gaussian on each local step's clipped {sums}"
    rows: list[tuple[str, str, list[Any]]] = [
        ("model of each round", noised, [models]),
        ("weight", "public constant", []),
        ("standardisation", "declared bounds", []),
        ("denominator", "declared in the spec", []),
        ("number of rounds", "fixed in the spec", []),
    ]
    if privacy.adaptive is not None:
        text = "discrete Gaussian on the sum of the parties' bits, charged with the model"
        rows.insert(1, ("clipping norm of each round", text, []))
    if evaluation:
        rows.append(
            (
                "metrics of the final model",
                _MEASURED[form_of(spec.features.label if spec.features else None)],
                evaluation,
            )
        )
        rows.append(("row counts", "not released", []))
    else:
        rows.append(("metrics, row counts", "not released", []))
    return tuple({"number": n, "mechanism": m, "charge": c} for n, m, c in rows)


_MEASURED: Final = {
    "binary": "discrete Gaussian on rows, losses, hits and score bins of the validation rows",
    "classes": "discrete Gaussian on rows, losses and the confusion matrix of the validation rows",
    "number": "discrete Gaussian on rows, sums, squares and errors of the validation rows",
}


# --- at the party ----------------------------------------------------------------------------


def private_delta(
    spec: TrainingSpec,
    before: Parameters,
    rows: tuple[Features, Parameters],
    seed: bytes,
    counts: Parameters | None = None,
    family: ModelFamily | None = None,
) -> Parameters:
    """Return a record-level update's `delta`, see the table; a pure function of its arguments.

    It is finite for all rows: local steps that overflow float32 change nothing at all.

    Args:
        spec: with `privacy.unit` record.
        before: the global model, float32 (d,).
        rows: inputs (n, width) and targets (n,).
        seed: the party's secret seed of this round.
        counts: how much each row counts, (n,); None if all count alike.
        family: the spec's, if it holds more than the spec says: the base of an adapter.
    """
    # Lazy: whoever only adds up needs no model family.
    from secureflow.engines.training.families import model_family

    privacy, plan = privacy_of(spec), dp_sgd(spec)
    weights = before.astype(np.float64)
    gradients = Gradients((family or model_family(spec)).clipped_sum, counts, penalised(spec))
    if draws_noise(spec):
        # More rows than declared must not show as a refused update (`norm_cap`).
        longest = privacy.rows * privacy.clipping_norm
        total = gradient_sum(weights, *rows, plan, _derived(seed, "sample"), longest, gradients)
        return _on_lattice(total, privacy.step)
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(privacy.local_steps):
            weights = noisy_step(weights, *rows, plan, _derived(seed, f"step {step}"), gradients)
        weights = settled(spec, before, weights)
        delta = (weights - before).astype(np.float32)
    return delta if np.isfinite(delta).all() else np.zeros_like(delta)


def party_delta(spec: TrainingSpec, before: Parameters, trained: Parameters) -> Parameters:
    """Return a party-level update's `delta`: the whole change, clipped, in lattice steps.

    Args:
        spec: with `privacy.unit` party.
        before: the state from which the round starts, float32 (d,) or, with its bound, (d + 1,).
        trained: the party's model, float32 (d,).
    """
    change = trained.astype(np.float64) - before[: len(trained)]  # float32 could overflow
    if not np.isfinite(change).all():
        change = np.zeros_like(change)
    return np.concatenate(list(party_blocks(spec, before, lambda: iter((change,)))()))


def party_blocks(spec: TrainingSpec, before: Parameters, change: Blocks) -> Blocks:
    """Return a party-level update's `delta` block by block; the bit is a block of its own.

    Args:
        spec: with `privacy.unit` party.
        before: as for `party_delta`.
        change: of the model, finite, float64 (d,).
    """
    privacy, norm = privacy_of(spec), norm_of(change)
    if privacy.adaptive is None:
        share = _share(norm, privacy.clipping_norm)
        return lambda: (_on_lattice(block * share, privacy.step) for block in change())
    bound = adaptive_bound(privacy, before)
    share, bit = _share(norm, bound.bound), np.array([bound.bit(norm)])

    def within() -> Iterator[Parameters]:
        for block in change():
            yield _on_lattice(block * share / bound.bound, privacy.step)
        yield _on_lattice(bit, privacy.step)

    return within


def _share(norm: float, clip: float) -> float:
    """Return what a vector is multiplied with to be no longer than `clip`; 1 changes no bit."""
    if not math.isfinite(norm):
        raise SecureFlowError("invalid_update", "The update is not finite.")
    return clip / norm if norm > clip else 1.0


def adaptive_bound(privacy: Privacy, state: Parameters) -> AdaptiveClip:
    """Return the clipping norm in the last value of a state, and how it moves."""
    adaptive = privacy.adaptive
    if adaptive is None:
        raise AssertionError  # the caller must check this
    # A resumed job starts from any state that it names.
    bound = float(np.clip(np.nan_to_num(state[-1]), *BOUNDS))
    return AdaptiveClip(bound, adaptive.quantile, adaptive.rate, bit_noise=adaptive.bit_noise)


def private_sums(
    spec: TrainingSpec, seed: bytes, metrics: NDArray[np.int64] | None = None
) -> Vector:
    """Return an update's `sums`: the constant weight, metric steps, and a seed for later noise.

    Args:
        spec: the signed spec.
        seed: the party's secret seed of this round.
        metrics: exact metric steps of stage `evaluate`; None in `train`. If the noise is
            `local` they are noised here, with the whole σ.
    """
    steps = np.zeros(0) if metrics is None else metrics.astype(np.float64)
    if not draws_noise(spec):
        width, own = privacy_of(spec).metrics_sigma, _derived(seed, "metrics")
        return np.append(1.0, steps + sample(width, len(steps), own) if len(steps) else steps)
    words = np.frombuffer(_derived(seed, "noise"), "<u4").astype(np.float64)
    return np.concatenate([np.ones(1), steps, words])


def norm_cap(spec: TrainingSpec) -> float:
    """Return the largest L2 norm of one update, in lattice steps if noise is drawn later."""
    privacy = privacy_of(spec)
    units = privacy.rows if privacy.unit == "record" else 1
    # Rounding to the lattice may add half a step to each coordinate; the bit is ±½ of the ball.
    ball = units * 2.0**privacy.bits + 0.5 * math.sqrt(spec.update_parameters)
    return math.hypot(ball, 2.0 ** (privacy.bits - 1)) if privacy.adaptive else ball


def dp_sgd(spec: TrainingSpec) -> DpSgd:
    """Return the parameters of the spec's DP-SGD steps."""
    privacy = privacy_of(spec)
    local = privacy.noise == "local"
    return DpSgd(
        noise=privacy.multiplier,
        clip=privacy.clipping_norm,
        sampling=privacy.sampling,
        steps=privacy.local_steps,
        # With local noise every party takes its share of the public denominator, so that the mean
        # over the parties weighs each record equally and reveals nobody's row count.
        rows=max(1, privacy.rows // len(spec.roster)) if local else privacy.rows,
        # The mean of sums is not a gradient: it is added as it is.
        learning_rate=-1.0 if spec.model.family in BY_SUMS else spec.plan.learning_rate,
        bits=privacy.bits,
        l2=0.0 if spec.model.family in BY_SUMS else spec.model.l2,
    )


def penalised(spec: TrainingSpec) -> NDArray[np.bool_] | None:
    """Return which parameters `l2` shrinks, intercepts never; None: all but the last."""
    tensors = spec.tensors
    if len(tensors) == 2 and tensors[-1].size == 1:
        return None
    # PyTorch's names: the weights of layers, not of a norm.
    shrunk = (
        one.name.endswith("coef") or ("weight" in one.name and len(one.shape) > 1)
        for one in tensors
    )
    coefficients = (np.full(one.size, is_so) for one, is_so in zip(tensors, shrunk, strict=True))
    return np.concatenate(list(coefficients))


def _on_lattice(vector: Vector, step: float) -> Parameters:
    # Clamping moves no two neighbours apart, so the sensitivity stays.
    steps = np.clip(np.rint(vector / step), -MAX_COORDINATE, MAX_COORDINATE)
    return steps.astype(np.float32)


def _derived(seed: bytes, use: str) -> bytes:
    return hashlib.sha256(b"secureflow private round\n" + use.encode() + b"\n" + seed).digest()

"""Differentially private rounds: what a party sends, what the sum becomes, what it costs.

| unit, noise     | `delta` of an update (float32)              | who adds noise, on what          |
|-----------------|---------------------------------------------|----------------------------------|
| record, enclave | clipped gradient sum, in lattice steps      | the enclave, once, on the sum    |
| record, local   | change by `local_steps` steps of DP-SGD     | the party, at each step, full σ  |
| party, enclave  | clipped change of the model, lattice steps  | the enclave, once, on the sum    |

`sums` is the constant weight 1 and, where the enclave adds the noise, eight words of seed. The
noise is a function of all contributors' seeds and of what is released: a round that is summed again
(a restarted enclave, a repeated request) gets the same noise, so it cannot be averaged away, and
no party knows it alone. Denominators are public. No metric and no row count is released.

Everything that a job releases is listed by `released`: nothing else leaves the enclave.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.domain.privacy import MAX_COORDINATE, Privacy
from secureflow.domain.specs import TrainingSpec
from secureflow.engines.privacy.accounting import Charge, Mechanism
from secureflow.engines.privacy.clipping import clip_norm
from secureflow.engines.privacy.dpsgd import DpSgd, apply_sum, gradient_sum, noisy_step
from secureflow.engines.privacy.gaussian import sample
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError

Parameters = NDArray[np.float32]
Vector = NDArray[np.float64]

SEED_WORDS = 8
"""32-bit words of noise seed in an update's `sums`."""
_WORD = 32


def privacy_of(spec: TrainingSpec) -> Privacy:
    """Return the privacy part of a spec that has one."""
    if spec.privacy is None:
        raise AssertionError  # the caller asked first
    return spec.privacy


def noised_once(spec: TrainingSpec) -> bool:
    """Tell whether the aggregate is noised, once, where it is summed."""
    return spec.privacy is not None and spec.privacy.noise == "enclave"


def charge(spec: TrainingSpec, rounds: int | None = None) -> Charge:
    """Return what this many rounds of the job cost (default: the whole plan); () without DP."""
    privacy, count = spec.privacy, spec.plan.rounds if rounds is None else rounds
    if privacy is None or count == 0:
        return ()
    steps = count * privacy.local_steps
    return (Mechanism("gaussian", privacy.multiplier, privacy.sampling, steps),)


def released(spec: TrainingSpec) -> tuple[dict[str, Any], ...]:
    """Return every number that the job releases, with its mechanism and its charge."""
    if spec.privacy is None:
        return ()
    each = [mechanism.as_json() for mechanism in charge(spec, 1)]
    sums = "gradient sum" if spec.privacy.unit == "record" else "sum of the parties' changes"
    noised = f"discrete Gaussian on the clipped {sums}"
    if spec.privacy.noise == "local":
        noised = "discrete Gaussian on each local step's clipped gradient sum"
    rows: tuple[tuple[str, str, list[Any]], ...] = (
        ("model of each round", noised, each),
        ("weight", "public constant", []),
        ("standardisation", "declared bounds", []),
        ("denominator", "declared in the spec", []),
        ("number of rounds", "fixed in the spec", []),
        ("metrics, row counts", "not released", []),
    )
    return tuple({"number": n, "mechanism": m, "charge": c} for n, m, c in rows)


# --- at the party ----------------------------------------------------------------------------


def private_delta(
    spec: TrainingSpec, before: Parameters, rows: tuple[Parameters, Parameters], seed: bytes
) -> Parameters:
    """Return a record-level update's `delta`, see the table; a pure function of its arguments.

    Args:
        spec: with `privacy.unit` record.
        before: the global model, float32 (d,).
        rows: inputs (n, d - 1) and labels (n,).
        seed: the party's secret seed of this round.
    """
    privacy, plan = privacy_of(spec), _steps(spec)
    inputs, labels = rows[0].astype(np.float64), rows[1].astype(np.float64)
    weights = before.astype(np.float64)
    if noised_once(spec):
        total = gradient_sum(weights, inputs, labels, plan, _derived(seed, "sample"))
        return _on_lattice(total, privacy.step)
    for step in range(privacy.local_steps):
        weights = noisy_step(weights, inputs, labels, plan, _derived(seed, f"step {step}"))
    return (weights - before).astype(np.float32)


def party_delta(spec: TrainingSpec, change: Parameters) -> Parameters:
    """Return a party-level update's `delta`: the whole change, clipped, in lattice steps."""
    privacy = privacy_of(spec)
    return _on_lattice(clip_norm(change.astype(np.float64), privacy.clipping_norm), privacy.step)


def private_sums(spec: TrainingSpec, seed: bytes) -> Vector:
    """Return an update's `sums`: the constant weight, and the seed where the enclave noises."""
    if not noised_once(spec):
        return np.ones(1)
    words = np.frombuffer(_derived(seed, "noise"), "<u4").astype(np.float64)
    return np.concatenate([np.ones(1), words])


# --- at the aggregate ------------------------------------------------------------------------


def seed_of(sums: Sequence[float] | Vector) -> bytes:
    """Read the seed out of an update's `sums`.

    Raises:
        SecureFlowError: `noise_seed_malformed`.
    """
    words = np.asarray(sums[1:], np.float64)
    whole = words == np.floor(words)
    if words.shape != (SEED_WORDS,) or not (whole & (words >= 0) & (words < 2.0**_WORD)).all():
        raise SecureFlowError(
            "noise_seed_malformed",
            "The update brings no seed for the noise.",
            "Use an agent of the same version: noise that somebody else draws protects nobody.",
        )
    return words.astype("<u4").tobytes()


def joint_seed(seeds: Mapping[str, bytes], **facts: Any) -> bytes:
    """Return the seed of a release's noise: of all contributors, bound to what is released."""
    body = {"v": 1, "use": "noise", **facts, "seeds": {p: s.hex() for p, s in seeds.items()}}
    return hashlib.sha256(canonical_bytes(body)).digest()


def noised(spec: TrainingSpec, total: NDArray[np.int64], seed: bytes) -> Vector:
    """Return the sum with its noise, in the unit of the clipping norm.

    Args:
        spec: noised once.
        total: the exact sum over the contributors, in lattice steps.
        seed: of this release alone.
    """
    privacy = privacy_of(spec)
    noise = sample(privacy.sigma(len(total)), len(total), seed)
    return np.asarray((total + noise) * privacy.step, np.float64)


def next_model(spec: TrainingSpec, model: Parameters, noised_sum: Vector) -> Parameters:
    """Return the next model from a noised sum; it touches no data.

    Raises:
        SecureFlowError: `model_not_finite`.
    """
    weights = model.astype(np.float64)
    if privacy_of(spec).unit == "party":
        moved = weights + noised_sum / len(spec.roster)
    else:
        moved = apply_sum(weights, noised_sum, _steps(spec))
    with np.errstate(over="ignore"):  # refused by name below
        result = moved.astype(np.float32)
    if not np.isfinite(result).all():
        raise SecureFlowError(
            "model_not_finite",
            "The next model is not finite.",
            "Lower the learning rate or the noise.",
        )
    return result


def norm_cap(spec: TrainingSpec) -> float:
    """Return the largest L2 norm of one update, in lattice steps where the enclave noises."""
    privacy = privacy_of(spec)
    units = privacy.rows if privacy.unit == "record" else 1
    # Rounding to the lattice may add half a step to each coordinate.
    return units * 2.0**privacy.bits + 0.5 * math.sqrt(spec.parameters)


def _steps(spec: TrainingSpec) -> DpSgd:
    privacy = privacy_of(spec)
    local = privacy.noise == "local"
    return DpSgd(
        noise=privacy.multiplier,
        clip=privacy.clipping_norm,
        sampling=privacy.sampling,
        steps=privacy.local_steps,
        # With local noise every party takes its share of the public denominator, so that the mean
        # over the parties weighs each record alike and tells nobody's row count.
        rows=max(1, privacy.rows // len(spec.roster)) if local else privacy.rows,
        learning_rate=spec.plan.learning_rate,
        bits=privacy.bits,
        l2=spec.model.l2,
    )


def _on_lattice(vector: Vector, step: float) -> Parameters:
    # Clamping moves no two neighbours apart, so the sensitivity stays.
    steps = np.clip(np.rint(vector / step), -MAX_COORDINATE, MAX_COORDINATE)
    return steps.astype(np.float32)


def _derived(seed: bytes, use: str) -> bytes:
    return hashlib.sha256(b"secureflow private round\n" + use.encode() + b"\n" + seed).digest()

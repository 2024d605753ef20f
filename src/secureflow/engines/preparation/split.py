"""The local validation split: by key, by a secret and row position, or by seed and content.

| plan             | a row's part is drawn from                                      |
|------------------|-----------------------------------------------------------------|
| `split: by: key` | the organisation's secret and the row's key (`keysplit`)        |
| `draws: words`   | the party's secret, the plan's seed and share, the row's place  |
| with `order: public`, and in a simulation | the same, without a secret             |
| of version 0.2.0 | the plan's seed and the row's place                             |
| with `privacy`   | the plan's seed and the row's content                           |

The secret belongs to the published file: jobs with one seed and share measure on the same rows, so
that their figures compare, and a job that resumes another one measures on rows that this one never
trained on; unless the file has changed. Who chooses the seed learns and chooses nothing by it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.preparation.keysplit import held_out
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError

Parts = tuple[NDArray[np.int64], NDArray[np.int64]]
"""The ascending row indices of the training and of the validation part."""

LEAST_VALIDATION: Final = 10
"""Fewest rows that a party validates on; with fewer it trains on all of them, and its validation
sums are zeros: sums over one row would be the row."""

_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
"""Constants of SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
_WORDS_AT_A_TIME: Final = 1 << 20


def held_by_key(plan: TrainingPlan, keys: NDArray[Any], secret: bytes) -> NDArray[np.bool_]:
    """Tell which rows a plan that splits by key holds out; arguments as for `keysplit.held_out`."""
    if plan.split is None:
        raise AssertionError  # the caller must check this
    folds = plan.split.part
    return held_out(keys, secret, plan.validation if folds is None else None, folds)


def parts_by_key(held: NDArray[np.bool_]) -> Parts:
    """Return a party's parts under a split by key, without differential privacy.

    A row that is held out is never trained on, even if so few are that the party validates on none.

    Args:
        held: which rows are held out, (rows,).

    Raises:
        SecureFlowError: `empty_dataset` if no row is left to train on.
    """
    (train,), (valid,) = np.nonzero(~held), np.nonzero(held)
    if not len(train):
        raise SecureFlowError(
            "empty_dataset",
            "Every row of the party's dataset is held out by its key.",
            "Use a dataset with more keys, hold out fewer of them, or leave the job.",
        )
    return train, valid if len(valid) >= LEAST_VALIDATION else valid[:0]


def validation_parts(plan: TrainingPlan, rows: int, secret: bytes) -> Parts:
    """Return a party's parts without a split by key and without differential privacy.

    Args:
        plan: the job's.
        rows: number of rows, at least 0.
        secret: the party's; not used, and may be empty, where the order of rows is public.
    """
    if plan.draws is None:
        return split_validation(rows, plan.seed, plan.validation)
    hidden = b"" if plan.order == "public" else secret
    facts = {"v": 1, "use": "validation rows", "seed": plan.seed, "share": plan.validation}
    key = sha256(canonical_bytes(facts) + hidden)
    return _parted(_keyed_words(key, rows) < np.uint64(int(plan.validation * 2.0**64)),
                   LEAST_VALIDATION)  # fmt: skip


def split_validation(rows: int, seed: int, share: float) -> Parts:
    """Return the parts as 0.2.0 did: row i's draw depends only on the seed and i.

    So rows added later move no earlier one. A silo that is too small to spare a row trains on all
    of them and validates on none.

    Args:
        rows: number of rows, at least 0.
        seed: the plan's seed.
        share: expected validation share in [0, 0.5].
    """
    # As `Generator.random` makes them, from raw words: only these are promised to stay (NEP 19).
    draws = (np.random.PCG64(seed).random_raw(rows) >> np.uint64(11)) * 2.0**-53
    return _parted(draws < share, 0)


def split_by_content(
    inputs: NDArray[np.float32], labels: NDArray[np.float32], seed: int, share: float
) -> Parts:
    """Return row indices as `split_validation` does, decided only by the row's content.

    So removing a row, wherever it is, moves no other one to the other part: under
    differential privacy a record may only change its own part. Equal rows stay together.

    Args:
        inputs: shape (rows, width).
        labels: shape (rows,).
        seed: the plan's seed.
        share: expected validation share in [0, 0.5].
    """
    chosen = chosen_by_content(inputs, labels, seed, share)
    (train,), (valid,) = np.nonzero(~chosen), np.nonzero(chosen)
    return train, valid


def chosen_by_content(
    inputs: NDArray[np.float32], labels: NDArray[np.float32], seed: int, share: float
) -> NDArray[np.bool_]:
    """Tell which rows go to the validation part; arguments as in `split_by_content`.

    A row's answer depends only on that row, so this can be called for a few rows at a time.
    """
    # Multiply-and-add hashing of vectors (Dietzfelbinger 1996) under the seed's coefficients.
    words = np.random.PCG64(seed).random_raw(2 * (inputs.shape[1] + 1))
    coefficients = words.reshape(inputs.shape[1] + 1, 2)
    shifts, factors = coefficients[:, 0], coefficients[:, 1] | np.uint64(1)
    cells = np.column_stack([inputs, labels]).astype("<f4").view("<u4").astype(np.uint64)
    mixed = ((cells + shifts) * factors).sum(axis=1, dtype=np.uint64)
    for bits, factor in zip((30, 27), _MIXERS, strict=True):
        mixed = (mixed ^ (mixed >> np.uint64(bits))) * factor
    mixed ^= mixed >> np.uint64(31)
    return np.asarray(mixed < np.uint64(int(share * 2.0**64)))


def _parted(chosen: NDArray[np.bool_], least: int) -> Parts:
    if chosen.all() or int(chosen.sum()) < least:
        chosen = np.zeros_like(chosen)
    (train,), (valid,) = np.nonzero(~chosen), np.nonzero(chosen)
    return train, valid


def _keyed_words(key: bytes, count: int) -> NDArray[np.uint64]:
    """Return the first 64-bit words of AES-256-CTR under a key; the first n are always the same."""
    stream = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()
    found = np.empty(count, np.uint64)
    for start in range(0, count, _WORDS_AT_A_TIME):
        part = found[start : start + _WORDS_AT_A_TIME]
        part[:] = np.frombuffer(stream.update(bytes(8 * len(part))), "<u8")
    return found

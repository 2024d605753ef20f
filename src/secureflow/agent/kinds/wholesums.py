"""Sums of whole numbers that a worker returns, for kinds of job that add nothing else up."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def whole_sums(answer: Mapping[str, JSON], length: int, limit: int) -> bytes:
    """Return a worker's sums as little-endian int64, if they match the layout.

    Args:
        answer: the worker's.
        length: how many there must be.
        limit: the largest magnitude of each.

    Raises:
        SecureFlowError: `update_length_wrong`.
    """
    sums = answer["sums"]
    integers = all(type(one) is int and abs(one) <= limit for one in sums)
    if len(sums) != length or not integers:
        raise wrong_sums(length, len(sums))
    return np.asarray(sums, "<i8").tobytes()


def wrong_sums(length: int, count: int) -> SecureFlowError:
    """Return the error of sums that a worker must not return.

    Args:
        length: how many there must be.
        count: how many there are.
    """
    return SecureFlowError(
        "update_length_wrong",
        Text(
            "The worker's sums must be {length} integers; it sent {count} numbers.",
            count=count,
            length=length,
        ),
        "The worker and this agent must have the same version.",
    )

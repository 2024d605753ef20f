"""What a worker says of the keys that it listed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from secureflow.agent.compute.psi_sums import COMMITMENT, COUNTS, FIRST, KEYS_SUMS
from secureflow.agent.kinds.wholesums import whole_sums, wrong_sums
from secureflow.domain.specs.summed import LIMIT
from secureflow.kit.canonical import JSON


@dataclass(frozen=True)
class ListedKeys:
    """The keys of a party.

    Args:
        keys: how many different ones there are.
        commitment: hex, to the list.
        facts: for the owner alone: rows, and how many have no key of their own, with the first.
    """

    keys: int
    commitment: str
    facts: dict[str, JSON]


def listed_keys(answer: Mapping[str, JSON]) -> ListedKeys:
    """Read a worker's answer to step `keys`.

    Raises:
        SecureFlowError: `update_length_wrong`.
    """
    sums: list[int] = np.frombuffer(whole_sums(answer, KEYS_SUMS, LIMIT), "<i8").tolist()
    counts = dict(zip(COUNTS, sums, strict=False))
    commitment, first = sums[len(COUNTS) :][:COMMITMENT], sums[len(COUNTS) + COMMITMENT :]
    if min(sums) < 0 or max(commitment) > 255:
        raise wrong_sums(KEYS_SUMS, len(sums))
    odd: dict[str, Any] = {
        name: {"rows": counts[name], "first": [row for row in first[at : at + FIRST] if row]}
        for name, at in zip(COUNTS[2:], range(0, len(first), FIRST), strict=True)
    }
    facts = {"rows": counts["rows"], "keys": counts["keys"], **odd}
    return ListedKeys(counts["keys"], bytes(commitment).hex(), facts)

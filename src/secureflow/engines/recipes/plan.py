"""The masked sums of a preparation job, and the file of totals that goes from round to round.

The sums of all rounds have one length, that of the longest.

What a round starts from is everything that was opened before it: `totals`, int64 (rounds,
`schedule.longest`), little-endian. Each party replays the fits from it; masks are bound to its
digest, so that sums of parties that were shown different totals do not open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.passes import schedule
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.engines.preparation.fitting import Progress, learn, sigma_of, start
from secureflow.engines.recipes.stage import STAGE
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.wholenumbers import BYTES, Integers, whole_encoding, with_shares
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def preparation_plan(spec: PreparationSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's masked sums.

    Raises:
        SecureFlowError: `invalid_roster`.
    """
    encoding = whole_encoding(schedule(spec).longest)
    dp = {} if spec.privacy is None else dump(spec.privacy)
    rounds = len(schedule(spec).rounds)
    return MaskingPlan(
        f"{job}-{STAGE}",
        spec_digest,
        spec.roster,
        encoding,
        rounds,
        dp,
        least=spec.min_contributors,
    )


def noised(spec: PreparationSpec, number: int, sums: Integers, seed: bytes) -> Integers:
    """Return a party's sums of a round with its share of the noise, the same for the same seed.

    Args:
        spec: checked.
        number: the round, from 1.
        sums: without noise.
        seed: 32 secret bytes, of this round and what it starts from.
    """
    parts, offset = [], 0
    for at, query in enumerate(schedule(spec).rounds[number - 1]):
        own = sha256(canonical_bytes({"v": 1, "use": "preparation noise", "query": at}) + seed)
        parts.append((slice(offset, offset + query.slots), sigma_of(spec, query), own))
        offset += query.slots
    return with_shares(sums, parts, len(spec.roster))


def totals_bytes(spec: PreparationSpec, rounds: int) -> int:
    """Return the size of the file of totals after some rounds."""
    return rounds * schedule(spec).longest * BYTES


@dataclass(frozen=True)
class Known:
    """What is known after the rounds of a file of totals.

    Args:
        size: of the file, in bytes.
        digest: its BLAKE3.
        progress: what follows from it.
    """

    size: int
    digest: bytes
    progress: Progress


def replayed(spec: PreparationSpec, totals: bytes, known: Known | None) -> Known:
    """Return what is known after the rounds of a file of totals.

    Args:
        spec: checked.
        totals: the file.
        known: of the rounds before, if the caller has that: only what the file goes on with, if it
            begins with the same totals, is replayed.

    Raises:
        SecureFlowError: `totals_malformed`.
    """
    hasher, earlier = blake3(), None
    if known is not None:
        hasher.update(memoryview(totals)[: known.size])
        if hasher.digest() == known.digest:
            earlier = known.progress
        hasher.update(memoryview(totals)[known.size :])
    else:
        hasher.update(totals)
    return Known(len(totals), hasher.digest(), progress_after(spec, totals, earlier))


def progress_after(
    spec: PreparationSpec, totals: bytes, earlier: Progress | None = None
) -> Progress:
    """Return what is known after the rounds of a file of totals.

    Args:
        spec: checked.
        totals: the file.
        earlier: what is known after the first rounds of it, if the caller has that already.

    Raises:
        SecureFlowError: `totals_malformed` for a file that no rounds of this job have.
    """
    longest, most = schedule(spec).longest, len(schedule(spec).rounds)
    if len(totals) % (longest * BYTES) or len(totals) > totals_bytes(spec, most):
        raise SecureFlowError(
            "totals_malformed",
            Text("{count} bytes are not the totals of rounds of this job.", count=len(totals)),
            "Refuse them: the centre must follow the spec that was approved.",
        )
    progress = start(spec) if earlier is None else earlier
    for each in np.frombuffer(totals, "<i8").reshape(-1, longest)[progress.rounds :]:
        progress = learn(spec, progress, each.astype(np.int64))
    return progress

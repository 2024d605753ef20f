"""The plan on which all parties of a masked sum agree before the first message.

Thresholds (docs/secagg.md, "Parameters"): with N parties in the spec's roster, at most
`c = max(1, ⌈N/3⌉ − 1)` collude with the server and `t = ⌊2N/3⌋ + 1` must act together. For every
N ≥ 3, `2t > N + c`: two sets of t parties share an honest one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from secureflow.domain.quorum import threshold_of
from secureflow.domain.specs.base import RosterEntry
from secureflow.engines.secagg.encoding import Encoding
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import fingerprint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PROTOCOL = "sf-secagg-1"
MIN_PARTIES = 2
"""With two, each learns the other's update from the sum: each kind of job decides if it may."""
MAX_PARTIES = 256


@dataclass(frozen=True)
class MaskingPlan:
    """The plan of one job's sums.

    Args:
        job: job id.
        spec: hex digest of the signed spec.
        roster: the spec's contributors, in its order; signing keys as the *charter* pins them.
        encoding: how values become ring elements.
        rounds: the maximum number of sums that the job opens.
        dp: the spec's differential privacy section as JSON (bound by the context).
        least: the fewest contributors whose sum the spec opens; as many parties have to vote and to
            reveal their shares, if that is more than the quorum.
    """

    job: str
    spec: str
    roster: tuple[RosterEntry, ...]
    encoding: Encoding
    rounds: int = 1
    dp: Mapping[str, Any] = field(default_factory=dict)
    least: int = 0

    def __post_init__(self) -> None:
        """Refuse a roster that the protocol cannot protect.

        Raises:
            SecureFlowError: `invalid_roster`, `ring_overflow`.
        """
        size = len(self.roster)
        if not MIN_PARTIES <= size <= MAX_PARTIES:
            raise SecureFlowError(
                "invalid_roster",
                Text(
                    "The roster has {size} parties, not {min_parties} to {max_parties}.",
                    size=size,
                    min_parties=MIN_PARTIES,
                    max_parties=MAX_PARTIES,
                ),
                "One party alone has nobody to be summed with.",
            )
        if len(self.index) != size or len({c.key for c in self.roster}) != size:
            raise SecureFlowError("invalid_roster", "A party or a signing key stands in it twice.")
        self.encoding.ring(size)

    @cached_property
    def index(self) -> dict[str, int]:
        """Party → position in the roster; the Shamir point is one more."""
        return {c.party: i for i, c in enumerate(self.roster)}

    @cached_property
    def keys(self) -> dict[str, str]:
        """Party → base64 Ed25519 signing key."""
        return {c.party: c.key for c in self.roster}

    @property
    def threshold(self) -> int:
        """The quorum t, of the whole roster and not only of the parties online, or `least`."""
        return min(len(self.roster), max(threshold_of(len(self.roster)), self.least))

    @property
    def ring(self) -> np.dtype[Any]:
        """The ring of the masked vectors, as an unsigned dtype."""
        return self.encoding.ring(len(self.roster))

    @property
    def vector_bytes(self) -> int:
        """The exact size of one masked vector."""
        return self.encoding.slots * self.ring.itemsize

    def context(self, round_: int, model: str, keys: Sequence[tuple[str, str]]) -> str:
        """Return the hex context C of a round.

        Args:
            round_: round number from 0.
            model: hex digest of the global model from which the parties train.
            keys: (party, round-key digest) in roster order.
        """
        body = {
            "v": PROTOCOL,
            "job": self.job,
            "spec": self.spec,
            "round": round_,
            "roster": [[p, fingerprint(self.keys[p]), key] for p, key in keys],
            "model": model,
            "quantisation": self.encoding.as_json(),
            "dp": dict(self.dp),
            "t": self.threshold,
        }
        return digest(body)

"""Simulated attacks: what a party of bad intent sends in place of its update.

A party on the platform cannot exceed `limits.clip_norm`: its update would be refused. So an attack
is scaled to that norm at most, which is the strongest that gets through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_FORM: Final = re.compile(r"sign-flip:([0-9]{1,3})x([0-9.]{1,16})")
_LARGEST: Final = 1e6


@dataclass(frozen=True)
class Attack:
    """`sign-flip:COUNTxFACTOR`: the first COUNT parties send −FACTOR times their update."""

    count: int
    factor: float

    @classmethod
    def parse(cls, text: str, parties: int) -> Attack:
        """Parse an attack.

        Raises:
            SecureFlowError: `invalid_attack`.
        """
        found = _FORM.fullmatch(text)
        try:
            count, factor = (int(found[1]), float(found[2])) if found else (0, 0.0)
        except ValueError:
            count, factor = 0, 0.0
        if not 1 <= count < parties or not 0.0 < factor <= _LARGEST:
            raise SecureFlowError(
                "invalid_attack",
                Text(
                    "{text!r} is no attack on {parties} parties.", text=text[:80], parties=parties
                ),
                Text(
                    "Use sign-flip:COUNTxFACTOR, such as sign-flip:2x10, with fewer attackers than "
                    "parties, and a factor above 0 and at most {most}.",
                    most=f"{_LARGEST:,.0f}",
                ),
            )
        return cls(count, factor)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return f"sign-flip:{self.count}x{self.factor:g}"

    def strikes(self, place: int) -> bool:
        """Tell whether the party at this place of the roster attacks."""
        return place < self.count

    def update(self, honest: NDArray[np.float32], longest: float) -> NDArray[np.float32]:
        """Return what an attacker sends for its honest update, of L2 norm `longest` at most."""
        false = honest.astype(np.float64) * -self.factor
        norm = float(np.linalg.norm(false))
        # Slightly below: rounding to float32 must not raise the norm above it.
        scale = longest * (1 - 1e-6) / norm if norm > longest else 1.0
        return (false * scale).astype(np.float32)

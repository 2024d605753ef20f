"""What jobs of noised sums have cost, as reports and explanations tell it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from secureflow.domain.specs.matchedrows import MatchedRows, moved_rows
from secureflow.domain.specs.summed import Summed
from secureflow.engines.privacy.accounting import Charge, Conversion, convert, gaussian_curve
from secureflow.kit.canonical import JSON

CONVERSION: Final[Conversion] = "rdp-cks20"
"""The conversion by which ε is shown, alongside the exact `pld`."""


class SummedRounds(Summed, Protocol):
    """A spec whose rounds add numbers up, perhaps under noise."""

    @property
    def planned_rounds(self) -> int:
        """How many rounds there are."""

    @property
    def rows(self) -> MatchedRows | None:
        """The rows that alone are read."""


def noise_against(spec: Any) -> float:
    """Return the noise of a release over what one person can move its numbers by.

    It is the multiplier of a spec with differential privacy, but where rows matched: there a person
    counts in every owner's numbers.
    """
    return float(spec.privacy.multiplier) / moved_rows(spec)


@dataclass(frozen=True)
class Spending:
    """What jobs of a kind have cost.

    Args:
        charge: the releases of a spec's first rounds: Gaussian mechanisms of its multiplier.
        released: every number that a job releases, as a row each.
    """

    charge: Callable[[Any, int], Charge]
    released: Callable[[Any], Iterable[Mapping[str, JSON]]]

    def epsilon(self, spec: SummedRounds, rounds: int) -> float:
        """Return ε of the first rounds at the job's δ (`CONVERSION`), rounded up to 6 digits."""
        count = sum(one.count for one in self.charge(spec, rounds))
        privacy = spec.privacy
        if privacy is None or not count:
            return 0.0
        spent = convert(gaussian_curve(noise_against(spec)) * count, privacy.delta, CONVERSION)
        return float(np.ceil(spent * 1e6) / 1e6)

    def of_round(
        self, spec: SummedRounds, accounting: Mapping[str, JSON] | None, number: int
    ) -> dict[str, JSON]:
        """Return what a round's row tells of it; {} if nobody accounts for the job."""
        return {} if accounting is None else {"epsilon": self.epsilon(spec, number)}

    def section(
        self, spec: SummedRounds, accounting: Mapping[str, JSON] | None, rounds: int
    ) -> dict[str, JSON] | None:
        """Return the privacy section of reports and explanations; None without a privacy part.

        Args:
            spec: the signed spec.
            accounting: the accountant's answer for the whole job.
            rounds: how many were opened.
        """
        privacy = spec.privacy
        if privacy is None or accounting is None:
            return None
        return {
            "unit": privacy.unit,
            "contributions": spec.contributions,
            "mechanism": "gaussian",
            "noise": privacy.noise,
            "noise_multiplier": privacy.multiplier,
            "delta": privacy.delta,
            "rounds": rounds,
            "epsilon": self.epsilon(spec, rounds),
            "conversion": CONVERSION,
            # Exact figures were computed for the whole plan; fewer rounds cost less.
            "epsilon_pld": accounting["epsilon"]["pld"] if rounds == spec.planned_rounds else None,
            "epsilon_planned": dict(accounting["epsilon"]),
            "charge": [mechanism.as_json() for mechanism in self.charge(spec, rounds)],
            "released": [dict(row) for row in self.released(spec)],
        }

    def explained(
        self, spec: SummedRounds, accounting: Mapping[str, JSON] | None, rounds: int
    ) -> dict[str, JSON]:
        """Return the members of an explanation that tell the cost; see `section`."""
        spent = self.section(spec, accounting, rounds)
        each = range(1, rounds + 1) if spent else ()
        return {
            "privacy": spent,
            "epsilon_per_round": [
                {"round": number, "epsilon": self.epsilon(spec, number)} for number in each
            ],
            "rounds": rounds,
        }

"""What kinds of job that add numbers up under noise have in common: their price, and their unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from secureflow.application.jobs.declarations import unit_of_owners
from secureflow.application.jobs.kind import Drafted
from secureflow.application.jobs.pricing import (
    calibrated,
    capped_cost,
    check_unchanged,
    epsilon_notes,
    first_noise,
)
from secureflow.application.ports.accountant import Accountant
from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import JobSpec, parse, spec_digest
from secureflow.domain.specs.summed import Summed, SummedNoise, SummedPrivacy
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge


class SummedSpec(JobSpec, Summed, Protocol):
    """A spec whose privacy part is `SummedPrivacy`."""

    @property
    def privacy(self) -> SummedPrivacy | None:
        """The noise, if there is any."""


@dataclass(frozen=True)
class SummedPrice:
    """A job's cost: the spec with its multiplier, its charge, and the accountant's answer."""

    spec: SummedSpec
    charge: Charge
    answer: Mapping[str, JSON]

    def facts(self) -> dict[str, JSON]:
        """Return the facts shown to people before anything runs."""
        privacy = self.spec.privacy
        if privacy is None:
            raise AssertionError  # only a private job has a price
        return {
            "unit": privacy.unit,
            "contributions": self.spec.contributions,
            "mechanism": "gaussian",
            "noise": privacy.noise,
            "noise_multiplier": privacy.multiplier,
            "releases": sum(one.count for one in self.charge),
            "delta": privacy.delta,
            "epsilon": dict(self.answer["epsilon"]),
            "budget_conversion": "rdp-filter",
        }


async def price_summed(
    drafted: Drafted,
    parts: Mapping[str, Any],
    accountant: Accountant,
    charge: Callable[[Any], Charge],
    check: Callable[[Any], None],
) -> SummedPrice:
    """Return a drafted private job's cost, its multiplier calibrated if none was requested.

    Args:
        drafted: with the least multiplier if none was requested.
        parts: of the request.
        accountant: computes the cost of noise.
        charge: returns the releases of a spec.
        check: refuses contradictions in a spec.

    Raises:
        SecureFlowError: `contradictory_spec` if it costs more than its own ceiling, or if the
            calibrated noise would drown the sums; `budget_impossible`, `accounting_failed`.
    """
    spec: Any = drafted.spec
    request = parse(SummedNoise, parts["privacy"], "spec")
    noise = await calibrated(request, charge(spec), accountant)
    if noise is not None:
        spec = replace(spec, privacy=replace(spec.privacy, noise_multiplier=noise))
        check(spec)
    epsilon = await capped_cost(request, charge(spec), accountant)
    return SummedPrice(spec, charge(spec), {"epsilon": epsilon})


def with_price(drafted: Drafted, priced: SummedPrice) -> Drafted:
    """Return the draft with the priced noise, if nothing else changed since it was priced.

    Raises:
        SecureFlowError: `stale_version` if an owner has published another declaration meanwhile.
    """
    spec, as_priced = drafted.spec, cast("Any", priced.spec)
    unpriced = replace(as_priced, privacy=spec.privacy)
    check_unchanged(unchanged=unpriced == spec)
    return replace(
        drafted,
        spec=priced.spec,
        digest=spec_digest(priced.spec),
        notes=(*drafted.notes, *epsilon_notes(priced.answer["epsilon"])),
        details={**drafted.details, "privacy": priced.facts()},
    )


def private_parts(parts: Mapping[str, Any], chosen: Mapping[str, Dataset]) -> dict[str, JSON]:
    """Return the spec's privacy part and contributions; {} without differential privacy.

    A request without a multiplier gets the least one for now; `price_summed` calibrates it.

    Raises:
        SecureFlowError: `invalid_spec`, those of `unit_of_owners`.
    """
    asked = parts.get("privacy")
    if asked is None:
        return {}
    request = parse(SummedNoise, asked, "spec")
    unit, contributions = unit_of_owners(chosen)
    noise = first_noise(request)
    privacy = {"delta": request.delta, "epsilon": request.epsilon, "noise_multiplier": noise}
    return {"privacy": {**privacy, "unit": unit}, "contributions": contributions}

"""What kinds of job that add numbers up under noise have in common: their price, and their unit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from secureflow.application.jobs.declarations import unit_of_owners
from secureflow.application.jobs.kind import Drafted, Wanted
from secureflow.application.jobs.pricing import (
    calibrated,
    capped_cost,
    check_unchanged,
    epsilon_notes,
    first_noise,
)
from secureflow.application.ports.accountant import Accountant
from secureflow.application.ports.storage import UnitOfWork
from secureflow.domain.budgets import PrivacyUnit
from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import JobSpec, parse, spec_digest
from secureflow.domain.specs.matchedrows import moved_rows
from secureflow.domain.specs.summed import Summed, SummedNoise, SummedPrivacy
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge


class SummingJobs:
    """`application.jobs.kind.JobKind` of a kind whose noise is priced by `price_summed`."""

    @property
    def engine(self) -> EngineKind:
        """The kind's record in the engines."""
        raise NotImplementedError

    async def unpriced(self, work: UnitOfWork, wanted: Wanted, submitter: str, now: int) -> Drafted:
        """Draft a request, with the least noise if it asks for none."""
        raise NotImplementedError

    async def draft(
        self,
        work: UnitOfWork,
        wanted: Wanted,
        submitter: str,
        now: int,
        priced: SummedPrice | None,
    ) -> Drafted:
        """Fill in what the platform knows, and the priced noise; see `unpriced`."""
        return with_price(await self.unpriced(work, wanted, submitter, now), priced)

    async def price(
        self, wanted: Wanted, accountant: Accountant, draft: Callable[[], Awaitable[Drafted]]
    ) -> SummedPrice | None:
        """Return the job's cost; None without differential privacy."""
        return await price_summed(self.engine, wanted, accountant, draft)


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
    engine: EngineKind,
    wanted: Wanted,
    accountant: Accountant,
    draft: Callable[[], Awaitable[Drafted]],
) -> SummedPrice | None:
    """Return a private job's cost, its multiplier calibrated if none was requested; else None.

    Args:
        engine: of the job's kind.
        wanted: the request.
        accountant: computes the cost of noise.
        draft: drafts it with the least multiplier if none was requested.

    Raises:
        SecureFlowError: `contradictory_spec` if it costs more than its own ceiling, or if the
            calibrated noise would drown the sums; `budget_impossible`, `accounting_failed`.
    """
    if wanted.parts.get("privacy") is None:
        return None
    spec: Any = (await draft()).spec
    request = parse(SummedNoise, wanted.parts["privacy"], "spec")
    noise = await calibrated(request, engine.charge(spec), accountant, moved_rows(spec))
    if noise is not None:
        spec = replace(spec, privacy=replace(spec.privacy, noise_multiplier=noise))
        engine.spec.check(spec)
    charge = engine.charge(spec)
    epsilon = await capped_cost(request, charge, accountant)
    return SummedPrice(spec, charge, {"epsilon": epsilon})


def with_price(drafted: Drafted, priced: SummedPrice | None) -> Drafted:
    """Return the draft with the priced noise, if nothing else changed since it was priced.

    Raises:
        SecureFlowError: `stale_version` if an owner has published another declaration meanwhile.
    """
    if priced is None:
        return drafted
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


def unit_notes(unit: PrivacyUnit) -> Iterator[str]:
    """Yield a note on who is protected less than the unit of privacy says."""
    if unit == "record":
        yield "The unit is a record: a person with many records is protected less."
    else:
        yield (
            "A person with rows at several owners is protected less: the owners do not link "
            "identities."
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

"""What differentially private training will cost, before anything runs and anybody is asked.

A request may name ε instead of a noise multiplier; the spec that people sign has the multiplier.
The calibration takes seconds, so it is done before a unit of work is opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from secureflow.application.jobs.pricing import CEILING, check_ceiling
from secureflow.application.ports.accountant import Accountant
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.training import TrainingPlan
from secureflow.domain.specs.tree_families import TREES, XgboostModel
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge


@dataclass(frozen=True)
class Price:
    """A job's cost.

    Args:
        privacy: the part with its multiplier filled in.
        rounds: of the job: trees take one for each of their levels.
        answer: the accountant's.
    """

    privacy: Privacy
    rounds: int
    answer: Mapping[str, JSON]

    @property
    def charge(self) -> Charge:
        """The mechanisms of the whole plan."""
        from secureflow.engines.training.private import charge_of

        return charge_of(self.privacy, self.rounds)

    def facts(self) -> dict[str, JSON]:
        """Return what people are told before anything runs."""
        privacy = self.privacy
        return {
            "unit": privacy.unit,
            "mechanism": privacy.mechanism,
            "noise": privacy.noise,
            "noise_multiplier": privacy.multiplier,
            "sampling": privacy.sampling,
            "releases": self.rounds * privacy.local_steps,
            "delta": privacy.delta,
            "metrics_noise": privacy.metrics_noise,
            "epsilon": dict(self.answer["epsilon"]),
            "budget_conversion": "rdp-filter",
        }


async def price(parts: Mapping[str, Any], accountant: Accountant) -> Price | None:
    """Return what the requested job costs; None without differential privacy.

    A part that does not parse, or has neither multiplier nor ε, is left to the spec's own checks.

    Raises:
        SecureFlowError: `contradictory_spec` when it costs more than its own ceiling;
            `budget_impossible`, `accounting_failed`.
    """
    if parts.get("privacy") is None:
        return None
    try:
        privacy = parse(Privacy, parts["privacy"])
        rounds = _rounds(parts)
    except SecureFlowError:
        return None
    if privacy.noise_multiplier is None and privacy.epsilon is None:
        return None
    from secureflow.engines.training.private import evaluation_charge  # it brings NumPy

    answer = await accountant.quote(
        delta=privacy.delta,
        sampling=privacy.sampling,
        count=rounds * privacy.local_steps,
        noise=privacy.noise_multiplier,
        epsilon=privacy.epsilon,
        besides=evaluation_charge(privacy),
    )
    priced = Price(replace(privacy, noise_multiplier=answer["noise"]), rounds, answer)
    check_ceiling(privacy, answer["epsilon"][CEILING])
    return priced


def _rounds(parts: Mapping[str, Any]) -> int:
    plan, model = parse(TrainingPlan, parts.get("plan") or {}), parts.get("model")
    if isinstance(model, Mapping) and model.get("family") == TREES:
        return parse(XgboostModel, model).levels(plan.rounds)
    return plan.rounds


def with_noise(parts: Mapping[str, Any], priced: Price | None) -> dict[str, Any]:
    """Return the request's parts with the calibrated multiplier."""
    return dict(parts) if priced is None else {**parts, "privacy": dump(priced.privacy)}

"""What is told of the price of a differentially private job, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from secureflow.application.ports.accountant import Accountant
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge

CEILING: Final = "rdp-cks20"
"""The conversion by which `privacy.epsilon` is a target and a ceiling."""
LEAST_NOISE: Final = 0.1
"""The least noise multiplier of a spec."""


class Capped(Protocol):
    """What a request says of its privacy, whatever the kind of job."""

    @property
    def delta(self) -> float:
        """δ of the job."""

    @property
    def epsilon(self) -> float | None:
        """The most that it may cost; None for no ceiling."""


class Noised(Capped, Protocol):
    """What a request says of the noise on sums, whose unit and bounds are the owners'."""

    @property
    def noise_multiplier(self) -> float | None:
        """z of each release; None to have it calibrated from `epsilon`."""


def first_noise(request: Noised) -> float | None:
    """Return the multiplier to draft with: the least one where it is calibrated only later."""
    if request.noise_multiplier is None and request.epsilon is not None:
        return LEAST_NOISE
    return request.noise_multiplier


async def calibrated(
    request: Noised, charge: Charge, accountant: Accountant, moved: int = 1
) -> float | None:
    """Return the multiplier that a request leaves to its ε; None if it names one.

    Args:
        request: of noise.
        charge: what it costs; its noise is left out of account.
        accountant: computes the cost of noise.
        moved: how many owners' rows one person moves at once (`moved_rows`).

    Raises:
        SecureFlowError: `budget_impossible`, `accounting_failed`.
    """
    if request.noise_multiplier is not None or request.epsilon is None:
        return None
    charges = [one.as_json() | {"noise": 1.0 / moved} for one in charge]
    found = await accountant.fit(charges, request.delta, request.epsilon)
    return max(LEAST_NOISE, float(found["noise"]))


async def capped_cost(request: Noised, charge: Charge, accountant: Accountant) -> Any:
    """Return ε of a charge by each conversion.

    Raises:
        SecureFlowError: `contradictory_spec` if it is above the request's own ceiling;
            `accounting_failed`.
    """
    answer = await accountant.fit([one.as_json() for one in charge], request.delta)
    check_ceiling(request, answer["epsilon"][CEILING])
    return answer["epsilon"]


def check_unchanged(*, unchanged: bool) -> None:
    """Refuse a price of a spec that is drafted otherwise by now.

    Raises:
        SecureFlowError: `stale_version`.
    """
    if not unchanged:
        raise SecureFlowError(
            "stale_version",
            "A dataset was published again while the job was priced.",
            "Submit again: the job then uses what its owners declare now.",
        )


def epsilon_notes(epsilon: Mapping[str, JSON]) -> Iterator[str]:
    """Yield notes for people about the figures (conversion → ε)."""
    if epsilon["pld"] is None:
        yield (
            Text(
                "ε by privacy loss distribution was left out: with so little noise, or so"
                " many releases, it is too large to compute. ε by {ceiling} is an upper "
                "bound.",
                ceiling=CEILING,
            )
        )


def check_ceiling(privacy: Capped, cost: float) -> None:
    """Refuse a job that costs more than it says.

    Raises:
        SecureFlowError: `contradictory_spec`.
    """
    if privacy.epsilon is not None and cost > privacy.epsilon:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "privacy.noise_multiplier: the job costs ε = {cost:.4g} ({ceiling}) at δ "
                "= {delta:g}, more than its ceiling of {epsilon:g}.",
                cost=cost,
                ceiling=CEILING,
                delta=privacy.delta,
                epsilon=privacy.epsilon,
            ),
            "Leave privacy.noise_multiplier out to have it calibrated, or raise privacy.epsilon.",
            {"field": "privacy.noise_multiplier"},
        )

"""The cost of a job in (ε, δ): mechanisms, their composition and the two conversions.

Composition is in Rényi divergence (Mironov 2017) for the filter that refuses *before* a job runs,
and by privacy loss distributions (Koskela et al. 2020) for the report of a job whose parameters
are fixed. An ε is meaningful only together with the name of its conversion:

- `rdp-cks20`: RDP, conversion of Canonne, Kamath and Steinke 2020, Proposition 12;
- `rdp-mironov17`: RDP, the older and looser conversion, as printed by TF-Privacy's tutorials;
- `rdp-filter`: RDP at the few `FILTER_ORDERS`, each at δ/k: the basis for charging a budget;
- `pld`: privacy loss distribution.

Why the budget has its own conversion: the least ε over all orders is valid for parameters that
were fixed before anything was seen. When later jobs depend on earlier answers, a filter is sound at
an order that was fixed (Feldman and Zrnic 2021, also for concurrent jobs: Haney et al. 2023), but
"stop when no order is left" may end at another order on each path. With k fixed orders at δ/k it
is sound again: a transcript that ends within the budget of order α is one that the filter at α
alone would have let pass, so its share of δ is at most δ/k, and the k shares add up to δ.

Neighbours differ by adding or removing one unit. The engine is Google's dp-accounting; it is
imported on first use, because that takes most of a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Conversion = Literal["rdp-cks20", "rdp-mironov17", "rdp-filter", "pld"]
Kind = Literal["gaussian", "laplace", "tree", "response"]

# Fractions near 1 serve large ε, large integers small ε (dp-accounting's own choice).
ORDERS = np.array(
    [1 + x / 10.0 for x in range(1, 100)] + list(range(11, 64)) + [128, 256, 512, 1024], np.float64
)
# Geometric: good for ε from about 0.1 to 20. Changing them would change spent budgets: never do.
FILTER_ORDERS = (2.0, 3.5, 6.0, 10.0, 18.0, 32.0, 63.0, 256.0)

_FILTER = np.array([int(np.abs(ORDERS - order).argmin()) for order in FILTER_ORDERS])
_MAX_COUNT = 10_000_000
_LEARNED: dict[Mechanism, NDArray[np.float64]] = {}


@dataclass(frozen=True, order=True)
class Mechanism:
    """A release that happens `count` times.

    Args:
        kind: `gaussian`; `laplace`; `tree` (DP-FTRL, Kairouz et al. 2021: one tree of `count`
            leaves in which each record is at most once); `response`: randomised response, or
            any other mechanism that is (1/noise, 0)-DP. Budgets store kinds: never change one.
        noise: noise multiplier: σ (Laplace: scale) over the sensitivity; for a response, 1/ε.
        sampling: probability with which each unit enters independently (Poisson); 1 means all.
        count: the number of releases.
    """

    kind: Kind
    noise: float
    sampling: float = 1.0
    count: int = 1

    def __post_init__(self) -> None:
        """Refuse a mechanism that protects nothing or has no meaning.

        Raises:
            SecureFlowError: `invalid_mechanism` naming the field and its range.
        """
        if self.kind not in {"gaussian", "laplace", "tree", "response"}:
            raise _invalid("kind", "gaussian, laplace, tree or response")
        if not 1e-3 <= self.noise <= 1e9:
            raise _invalid("noise", "between 0.001 and 1e9")
        if not 0.0 < self.sampling <= 1.0 or (self.sampling < 1.0 and self.kind != "gaussian"):
            raise _invalid("sampling", "in (0, 1], and 1 unless the mechanism is gaussian")
        if type(self.count) is not int or not 1 <= self.count <= _MAX_COUNT:
            raise _invalid(
                "count", Text("a whole number between 1 and {max_count}", max_count=_MAX_COUNT)
            )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return asdict(self)


Charge = tuple[Mechanism, ...]


def epsilon(
    charge: Iterable[Mechanism], delta: float, conversion: Conversion = "rdp-cks20"
) -> float:
    """Return ε of the whole charge at δ, under the named conversion."""
    _check_delta(delta)
    mechanisms = tuple(charge)
    if conversion == "pld":
        return float(_pld(mechanisms).get_epsilon(delta)) if mechanisms else 0.0
    return convert(renyi(mechanisms), delta, conversion)


def delta_at(charge: Iterable[Mechanism], target: float) -> float:
    """Return δ of the charge at this ε, by privacy loss distribution."""
    return float(_pld(tuple(charge)).get_delta(target))


def renyi(charge: Iterable[Mechanism]) -> NDArray[np.float64]:
    """Return the Rényi divergence of the composition at each of `ORDERS`."""
    total = np.zeros(len(ORDERS))
    for mechanism in charge:
        single, times = _single(mechanism)
        known = _LEARNED.get(single)
        total += times * (_renyi_of(single) if known is None else known)
    return total


def curve(mechanism: Mechanism) -> list[float | None]:
    """Return the divergences of *one* release (of the whole tree) as JSON; None means unbounded."""
    single, _ = _single(mechanism)
    return [float(d) if math.isfinite(d) else None for d in _renyi_of(single)]


def gaussian_curve(noise: float) -> NDArray[np.float64]:
    """Return the divergences of one Gaussian release of everything: α / 2z² (Mironov 2017)."""
    return np.asarray(ORDERS / (2.0 * noise**2), np.float64)


def learn(mechanism: Mechanism, divergences: Sequence[float | None]) -> None:
    """Store a `curve` that another process computed: this one need not load dp-accounting.

    Raises:
        SecureFlowError: `invalid_mechanism` for another length or a negative divergence.
    """
    values = np.array([math.inf if d is None else d for d in divergences], np.float64)
    if values.shape != ORDERS.shape or not (values >= 0).all():
        raise _invalid("curve", Text("{count} divergences of 0 or more", count=len(ORDERS)))
    values.setflags(write=False)
    _LEARNED[_single(mechanism)[0]] = values


def learned(mechanism: Mechanism) -> bool:
    """Tell whether this process knows the mechanism's curve without loading dp-accounting."""
    single, _ = _single(mechanism)
    return single in _LEARNED or _closed(single) is not None


def convert(divergence: NDArray[np.float64], delta: float, conversion: Conversion) -> float:
    """Convert Rényi divergences at `ORDERS` to the least ε at δ."""
    orders = ORDERS
    if conversion == "rdp-filter":
        orders, divergence, delta = ORDERS[_FILTER], divergence[_FILTER], delta / len(_FILTER)
    slack = math.log(1 / delta)
    if conversion == "rdp-mironov17":
        return float((divergence + slack / (orders - 1)).min())
    improved = divergence + np.log1p(-1 / orders) + (slack - np.log(orders)) / (orders - 1)
    # Where δ² + exp(−D) > 1 the divergence alone bounds the total variation by δ.
    tiny = delta**2 + np.expm1(-divergence) > 0
    return max(0.0, float(np.where(tiny, 0.0, improved).min()))


def calibrate(
    target: float,
    delta: float,
    *,
    sampling: float = 1.0,
    count: int = 1,
    conversion: Conversion = "rdp-cks20",
    besides: Charge = (),
) -> float:
    """Return the least Gaussian noise multiplier whose `count` releases stay within (target, δ).

    `besides` is released in addition, whatever the multiplier. The result is found to 1e-4, rounded
    up to 4 digits (so at most 0.11 % above the least), and cached: it takes seconds under `pld`.

    Raises:
        SecureFlowError: `invalid_mechanism`, `budget_impossible`.
    """
    releases = (Mechanism("gaussian", 1.0, sampling, count),)
    return calibrate_charge(releases, target, delta, conversion, besides)


def calibrate_charge(
    charge: Charge,
    target: float,
    delta: float,
    conversion: Conversion = "rdp-cks20",
    besides: Charge = (),
) -> float:
    """Return the least factor on all noise of a charge that brings it within (target, δ).

    For a charge with noise 1 this is the least noise multiplier. `besides` is released in addition
    and keeps its noise. Rounded and cached as above.

    Raises:
        SecureFlowError: `invalid_mechanism`, `budget_impossible`.
    """
    _check_delta(delta)
    if not 0.0 < target < math.inf:
        raise _invalid("epsilon", "positive and finite")
    return _calibrate(target, delta, charge, conversion, besides)


def sum_gap(sigma: float, parties: int) -> float:
    """Return the max divergence per coordinate of a sum of discrete Gaussians from a single one.

    Kairouz, Liu and Steinke 2021 (distributed discrete Gaussian), Theorem 9: τ. For σ ≥ 3 steps it
    is below 1e-37 for any number of parties.
    """
    terms = (math.exp(-2 * math.pi**2 * sigma**2 * k / (k + 1)) for k in range(1, parties))
    return 10 * sum(terms)


def noise_share(noise: float, clip: float, dimension: int, step: float, honest: int) -> float:
    """Return one party's σ, in ring steps, if `honest` = t − c shares must make up the noise.

    Colluders know their own share and dropouts add none, so each party adds σ/√(t − c). The
    sensitivity in steps includes the rounding of both neighbours: (Δ + √d · step) / step.

    Args:
        noise: the accounted noise multiplier.
        clip: Δ, the L2 sensitivity before rounding.
        dimension: d, number of noised slots.
        step: value of one ring unit.
        honest: t − c.
    """
    sensitivity = clip / step + math.sqrt(dimension)
    return noise * sensitivity / math.sqrt(honest)


def parse_charge(value: Any) -> Charge:
    """Read a charge from JSON.

    Raises:
        SecureFlowError: `invalid_mechanism`.
    """
    fields = set(Mechanism.__dataclass_fields__)
    if not isinstance(value, list | tuple) or not all(
        isinstance(m, dict) and set(m) == fields for m in value
    ):
        raise _invalid("charge", "a list of mechanisms with all their fields")
    if any(isinstance(m[f], bool | str) for m in value for f in ("noise", "sampling")):
        raise _invalid("charge", "made of numbers")
    return tuple(Mechanism(**m) for m in value)


def _single(mechanism: Mechanism) -> tuple[Mechanism, int]:
    """Return one release and its multiplicity: divergences of independent releases add up."""
    if mechanism.kind == "tree":
        return mechanism, 1
    return replace(mechanism, count=1), mechanism.count


@lru_cache(maxsize=4096)
def _renyi_of(mechanism: Mechanism) -> NDArray[np.float64]:
    closed = _closed(mechanism)
    if closed is not None:
        return closed
    import dp_accounting
    from dp_accounting import rdp

    # The tree's analysis is stated for replacing a record by a special one; for one record per
    # tree that is the same as adding or removing it.
    relation = (
        dp_accounting.NeighboringRelation.REPLACE_SPECIAL
        if mechanism.kind == "tree"
        else dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE
    )
    accountant = rdp.RdpAccountant(list(ORDERS), relation)
    accountant.compose(_event(mechanism))
    # There is no public way to read the curve; dp-accounting is pinned below the next minor.
    curve = np.asarray(accountant._rdp, np.float64)
    curve.setflags(write=False)
    return curve


def _closed(mechanism: Mechanism) -> NDArray[np.float64] | None:
    """Return the divergences with a closed formula; None for all others."""
    if mechanism.kind == "response":
        return _response(mechanism.noise)
    if mechanism.kind == "gaussian" and mechanism.sampling == 1.0:
        curve = gaussian_curve(mechanism.noise)
        curve.setflags(write=False)
        return curve
    return None


def _response(noise: float) -> NDArray[np.float64]:
    """Return the divergences of binary randomised response with ε = 1/noise.

    Every ε-DP mechanism is a post-processing of it (Kairouz, Oh and Viswanath 2015, Theorem 3.1),
    so they bound k-ary response for every k. Laplace noise of the same ε diverges less.
    """
    pure = 1.0 / noise
    if pure < 1e-4:  # the closed form would be rounding errors; Bun and Steinke 2016, Prop. 3.3
        curve = ORDERS * pure**2 / 2
    else:
        log = np.logaddexp(ORDERS * pure, (1 - ORDERS) * pure) - np.logaddexp(0.0, pure)
        curve = np.minimum(log / (ORDERS - 1), pure)
    curve.setflags(write=False)
    return np.asarray(curve, np.float64)


def _pld(charge: Sequence[Mechanism]) -> Any:
    import dp_accounting
    from dp_accounting import pld

    accountant = pld.PLDAccountant()
    try:
        for mechanism in charge:
            if mechanism.kind == "response":
                _compose_response(accountant, mechanism)
            else:
                accountant.compose(_event(mechanism))
    except dp_accounting.UnsupportedEventError as error:
        raise SecureFlowError(
            "invalid_mechanism",
            "A tree aggregation has no privacy loss distribution here.",
            "Report it under rdp-cks20.",
        ) from error
    return accountant


def _compose_response(accountant: Any, mechanism: Mechanism) -> None:
    """Compose the worst (ε, 0)-DP mechanism: as an event, a response replaces its unit."""
    from dp_accounting.pld import common
    from dp_accounting.pld.privacy_loss_distribution import from_privacy_parameters

    parameters = common.DifferentialPrivacyParameters(1.0 / mechanism.noise, 0.0)
    one = from_privacy_parameters(parameters)
    # As above, there is no public way; the interval is the accountant's default.
    accountant._pld = accountant._pld.compose(one.self_compose(mechanism.count))


def _event(mechanism: Mechanism) -> Any:
    import dp_accounting

    if mechanism.kind == "tree":
        return dp_accounting.SingleEpochTreeAggregationDpEvent(mechanism.noise, mechanism.count)
    if mechanism.kind == "laplace":
        event: Any = dp_accounting.LaplaceDpEvent(mechanism.noise)
    else:
        event = dp_accounting.GaussianDpEvent(mechanism.noise)
    if mechanism.sampling < 1.0:
        event = dp_accounting.PoissonSampledDpEvent(mechanism.sampling, event)
    return dp_accounting.SelfComposedDpEvent(event, mechanism.count)


@lru_cache(maxsize=256)
def _calibrate(
    target: float, delta: float, charge: Charge, conversion: Conversion, besides: Charge
) -> float:
    def fits(factor: float) -> bool:
        scaled = (replace(one, noise=one.noise * factor) for one in charge)
        return epsilon((*scaled, *besides), delta, conversion) <= target

    high = _bracket(fits)
    low = high / 2
    while high - low > 1e-4 * low:
        middle = (low + high) / 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    digits = 4 - math.ceil(math.log10(high))
    return float(math.ceil(high * 10**digits) / 10**digits)


def _bracket(fits: Callable[[float], bool]) -> float:
    """Return a power of two times 0.25 that fits while its half does not (or 0.25)."""
    noise = 0.25
    while not fits(noise):
        noise *= 2
        if noise > 1e6:
            raise SecureFlowError(
                "budget_impossible",
                "No noise multiplier below a million reaches this ε.",
                "Allow a larger ε or δ, fewer rounds, or a smaller sampling rate.",
            )
    return noise


def _check_delta(delta: float) -> None:
    if not 1e-30 <= delta < 1.0:
        raise _invalid("delta", "between 1e-30 and 1")


def _invalid(field: str, allowed: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_mechanism",
        Text("{field} must be {allowed}.", field=field, allowed=allowed),
        "Correct it.",
        {"field": field},
    )

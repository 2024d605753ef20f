"""Every strategy and every robust rule with its facts, for people who choose one.

Ranges and defaults are read from the parameters themselves (`strategies`, `robust`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, Final, get_args, get_type_hints

from pydantic.fields import FieldInfo

from secureflow.domain.specs.robust import RULES_BY_NAME, least_parties
from secureflow.domain.specs.strategies import (
    BY_NAME,
    PLAIN,
    ends_with_own,
    kept_by_party,
    kept_vectors,
    sent_beside,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike
from secureflow.kit.text import Text

STRATEGY: Final = "strategy"
RULE: Final = "aggregation"
_ALL: Final = ("sealed", "secagg", "sealed+secagg")


@dataclass(frozen=True)
class StrategyParameter:
    """A number that a strategy takes.

    Args:
        name: as in a job file.
        type: `integer` or `number`.
        default: what it is where it is left out.
        least: the smallest that is taken, or None.
        above: it must be larger than this, or None.
        most: the largest that is taken, or None.
        below: it must be smaller than this, or None.
    """

    name: str
    type: str
    default: float
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None


@dataclass(frozen=True)
class StrategyEntry:
    """A strategy, or a rule that takes the place of the mean.

    Args:
        name: as in a job file.
        member: of the plan, in which it is named: `strategy` or `aggregation`.
        sentence: what it does.
        paper: where it was published.
        parameters: what it takes.
        kept_for_all: vectors of the model's length that are kept between rounds beside the model.
        kept_by_party: whether each party keeps values for itself.
        own_models: whether each party ends with a model of its own, which stays with it.
        sent_beside: what travels with the change of a model: `nothing`, `a number`, `a vector`.
        protections: under which it can run.
        privacy: whether it can run under noise that is added to the sum.
        smallest_roster: the fewest parties.
    """

    name: str
    member: str
    sentence: str
    paper: str
    parameters: tuple[StrategyParameter, ...] = ()
    kept_for_all: int = 0
    kept_by_party: bool = False
    own_models: bool = False
    sent_beside: str = "nothing"
    protections: tuple[str, ...] = _ALL
    privacy: bool = True
    smallest_roster: int = 2


@dataclass(frozen=True)
class _Words:
    sentence: str
    paper: str
    privacy: bool = True


_STRATEGIES: Final = {
    PLAIN: _Words(
        Text("The mean of the changes, weighted by rows."),
        "McMahan et al. 2017, arXiv 1602.05629",
    ),
    "fedavgm": _Words(
        Text("The mean change is added to a momentum, and the momentum to the model."),
        "Hsu, Qi and Brown 2019, arXiv 1909.06335",
    ),
    "fedadam": _Words(
        Text("Adam, with the mean change as its gradient: each coordinate has its own rate."),
        "Reddi et al. 2021, arXiv 2003.00295, Algorithm 2",
    ),
    "fedyogi": _Words(
        Text("Yogi, with the mean change as its gradient: rates grow slowly after large changes."),
        "Reddi et al. 2021, arXiv 2003.00295, Algorithm 2",
    ),
    "fedadagrad": _Words(
        Text("Adagrad, with the mean change as its gradient: rates only fall."),
        "Reddi et al. 2021, arXiv 2003.00295, Algorithm 2",
    ),
    "fedprox": _Words(
        Text("Local steps are pulled back to the model of the round."),
        "Li et al. 2020, arXiv 1812.06127",
    ),
    "feddyn": _Words(
        Text("Each party's loss gets a slope of its own, so that all end at one model."),
        "Acar et al. 2021, arXiv 2111.04263",
        privacy=False,
    ),
    "scaffold": _Words(
        Text("Control variates correct how far parties with different rows drift apart."),
        "Karimireddy et al. 2020, arXiv 1910.06378",
        privacy=False,
    ),
    "fednova": _Words(
        Text("Changes count per local step, so that more steps weigh no more."),
        "Wang et al. 2020, arXiv 2007.07481",
        privacy=False,
    ),
    "fedbn": _Words(
        Text("Normalisation layers stay at each party, which ends with a model of its own."),
        "Li et al. 2021, arXiv 2102.07623",
        privacy=False,
    ),
    "finetune": _Words(
        Text("The mean; at the end each party trains on by itself, and keeps that model."),
        "Yu, Bagdasaryan and Shmatikov 2020, arXiv 2002.04758",
        privacy=False,
    ),
}
_RULES: Final = {
    "median": _Words(
        Text("Of each coordinate the median."),
        "Yin et al. 2018, arXiv 1803.01498",
    ),
    "trimmed_mean": _Words(
        Text("Of each coordinate the mean without the largest and smallest values."),
        "Yin et al. 2018, arXiv 1803.01498",
    ),
    "krum": _Words(
        Text("The updates with the nearest neighbours; their mean, if several are selected."),
        "Blanchard et al. 2017, NeurIPS 30",
    ),
    "bulyan": _Words(
        Text("Trimmed means of the updates that Krum selects."),
        "El Mhamdi et al. 2018, arXiv 1802.07927",
    ),
    "geometric_median": _Words(
        Text("The point with the least sum of distances to the updates."),
        "Pillutla et al. 2022, arXiv 1912.13445",
    ),
    "centered_clipping": _Words(
        Text("The mean of the updates, each cut to a radius around it."),
        "Karimireddy et al. 2021, arXiv 2012.10333",
    ),
}
_SIDES: Final = {"ge": "least", "gt": "above", "le": "most", "lt": "below"}


def entries() -> Iterator[StrategyEntry]:
    """Yield every strategy, then every rule."""
    for name, words in _STRATEGIES.items():
        yield _strategy(name, words)
    for name, words in _RULES.items():
        yield _rule(name, words)


def entry_of(name: str) -> StrategyEntry:
    """Return a strategy or a rule by its name.

    Raises:
        SecureFlowError: `not_found`.
    """
    for one in entries():
        if one.name == name:
            return one
    near = alike(name[:40], tuple(one.name for one in entries()))
    raise SecureFlowError(
        "not_found",
        Text("There is no strategy or rule {name}.", name=name[:40]),
        Text(
            "{near} may be meant. List them with `secureflow strategy list`.", near=", ".join(near)
        )
        if near
        else "List them with `secureflow strategy list`.",
    )


def _strategy(name: str, words: _Words) -> StrategyEntry:
    chosen = name if name == PLAIN else BY_NAME[name](name)
    beside = sent_beside(chosen, 2)
    return StrategyEntry(
        name, STRATEGY, words.sentence, words.paper,
        () if name == PLAIN else tuple(_parameters(BY_NAME[name])),
        kept_vectors(chosen), kept_by_party(chosen), ends_with_own(chosen),
        ("nothing", "a number", "a vector")[beside], privacy=words.privacy,
        smallest_roster=4 if beside == 2 else 2,
    )  # fmt: skip


def _rule(name: str, words: _Words) -> StrategyEntry:
    kind = RULES_BY_NAME[name]
    return StrategyEntry(
        name, RULE, words.sentence, words.paper, tuple(_parameters(kind)),
        protections=("sealed",), privacy=False, smallest_roster=least_parties(kind(name)),
    )  # fmt: skip


def _parameters(kind: type[Any]) -> Iterator[StrategyParameter]:
    hints = get_type_hints(kind, include_extras=True)
    for one in fields(kind):
        if one.default is MISSING:  # its name
            continue
        base, *told = get_args(hints[one.name])
        sort = "integer" if base is int else "number"
        yield StrategyParameter(one.name, sort, one.default, **dict(_sides(told)))


def _sides(told: list[Any]) -> Iterator[tuple[str, float]]:
    for limit in (limit for one in told if isinstance(one, FieldInfo) for limit in one.metadata):
        for sign, side in _SIDES.items():
            if hasattr(limit, sign):
                yield side, getattr(limit, sign)

"""Robust aggregation: rules that take the place of the weighted mean of sealed updates.

| rule                | the mean change becomes                          | source                  |
|---------------------|--------------------------------------------------|-------------------------|
| `median`            | of each coordinate the median                    | Yin et al. 2018         |
| `trimmed_mean`      | of each coordinate the mean without `trim` ends  | Yin et al. 2018         |
| `krum`              | the mean of the `select` updates with the        | Blanchard et al. 2017   |
|                     | nearest neighbours                               |                         |
| `bulyan`            | trimmed means of what Krum selects               | El Mhamdi et al. 2018   |
| `geometric_median`  | the point with the least sum of distances        | Pillutla et al. 2022    |
| `centered_clipping` | the mean of updates cut to `radius` around it    | Karimireddy et al. 2021 |

Parties count alike: a weight would let a party speak louder. Single updates are needed, so no rule
works under masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import MISSPELT_RULE, UNKNOWN_RULE, UNNAMED_RULE
from secureflow.domain.specs.base import STRICT
from secureflow.kit.nearnames import alike

Malicious = Annotated[int, Field(ge=0, le=127)]
Passes = Annotated[int, Field(ge=1, le=1000)]


@dataclass(frozen=True)
class Median:
    """The median of each coordinate."""

    __pydantic_config__ = STRICT
    rule: Literal["median"]


@dataclass(frozen=True)
class TrimmedMean:
    """The mean of each coordinate without its `trim` largest and smallest values."""

    __pydantic_config__ = STRICT
    rule: Literal["trimmed_mean"]
    trim: Annotated[int, Field(ge=1, le=127)] = 1


@dataclass(frozen=True)
class Krum:
    """The mean of the `select` updates whose n − `malicious` − 2 nearest others are nearest."""

    __pydantic_config__ = STRICT
    rule: Literal["krum"]
    malicious: Malicious = 1
    select: Annotated[int, Field(ge=1, le=256)] = 3


@dataclass(frozen=True)
class Bulyan:
    """Trimmed means of the n − 2·`malicious` updates that Krum selects one after the other."""

    __pydantic_config__ = STRICT
    rule: Literal["bulyan"]
    malicious: Malicious = 1


@dataclass(frozen=True)
class GeometricMedian:
    """The point with the least sum of distances to the updates, by Weiszfeld's steps."""

    __pydantic_config__ = STRICT
    rule: Literal["geometric_median"]
    iterations: Passes = 100


@dataclass(frozen=True)
class CenteredClipping:
    """The mean of the updates, each cut to `radius` around the mean, again and again."""

    __pydantic_config__ = STRICT
    rule: Literal["centered_clipping"]
    radius: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    iterations: Passes = 10


Robust = Median | TrimmedMean | Krum | Bulyan | GeometricMedian | CenteredClipping

RULES_BY_NAME: Final[dict[str, type[Any]]] = {
    "median": Median,
    "trimmed_mean": TrimmedMean,
    "krum": Krum,
    "bulyan": Bulyan,
    "geometric_median": GeometricMedian,
    "centered_clipping": CenteredClipping,
}


def _offered(value: Any) -> Any:
    """Refuse a rule that there is none of, or that is not named."""
    if isinstance(value, (*RULES_BY_NAME.values(),)):
        return value
    named = value.get("rule") if isinstance(value, dict) else None
    if not isinstance(named, str):
        raise PydanticCustomError("unnamed_rule", UNNAMED_RULE)
    if named in RULES_BY_NAME:
        return value
    told = {"rule": named[:40], "rules": ", ".join(RULES_BY_NAME)}
    if near := alike(named[:40], tuple(RULES_BY_NAME)):
        raise PydanticCustomError("misspelt_rule", MISSPELT_RULE, {**told, "near": ", ".join(near)})
    raise PydanticCustomError("unknown_rule", UNKNOWN_RULE, told)


def _rule(value: object) -> str:
    rule = value.get("rule") if isinstance(value, dict) else getattr(value, "rule", None)
    return f"<{rule[:40]}>" if isinstance(rule, str) else "<median>"


Aggregation = Annotated[
    Annotated[Median, Tag("<median>")]
    | Annotated[TrimmedMean, Tag("<trimmed_mean>")]
    | Annotated[Krum, Tag("<krum>")]
    | Annotated[Bulyan, Tag("<bulyan>")]
    | Annotated[GeometricMedian, Tag("<geometric_median>")]
    | Annotated[CenteredClipping, Tag("<centered_clipping>")],
    Discriminator(_rule),
    BeforeValidator(_offered),
]
"""The rule of a plan; without one the weighted mean."""


def least_parties(rule: Robust) -> int:
    """Return the fewest updates from which a rule computes anything.

    Krum needs n ≥ 2f + 3 (Blanchard et al. 2017, Proposition 4.2), Bulyan n ≥ 4f + 3 (El Mhamdi et
    al. 2018, Proposition 2).
    """
    if isinstance(rule, TrimmedMean):
        return 2 * rule.trim + 1
    if isinstance(rule, Krum):
        return max(2 * rule.malicious + 3, rule.select + rule.malicious + 2)
    return 4 * rule.malicious + 3 if isinstance(rule, Bulyan) else MIN_UPDATES


MIN_UPDATES: Final = 3
"""Fewest updates of a median: of two it is the mean."""

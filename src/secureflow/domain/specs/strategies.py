"""The strategies that a training plan names: parameters, ranges, what they keep between rounds.

| name         | what it changes                     | source                         |
|--------------|-------------------------------------|--------------------------------|
| `fedavg`     | nothing: the weighted mean          | McMahan et al. 2017            |
| `fedavgm`    | momentum of the mean changes        | Hsu, Qi and Brown 2019         |
| `fedadam`    | adaptive steps with the mean change | Reddi et al. 2021, Algorithm 2 |
| `fedyogi`    | the same, a slower second moment    | Reddi et al. 2021, Algorithm 2 |
| `fedadagrad` | the same, squares add up            | Reddi et al. 2021, Algorithm 2 |
| `fedprox`    | local steps are pulled back         | Li et al. 2020 (MLSys)         |
| `feddyn`     | each party's loss gets a slope      | Acar et al. 2021               |
| `scaffold`   | control variates correct drift      | Karimireddy et al. 2020        |
| `fednova`    | changes count per local step        | Wang et al. 2020               |
| `fedbn`      | norms stay at each party            | Li et al. 2021                 |
| `finetune`   | each party trains the last model on | Yu, Bagdasaryan and Shmatikov 2020 |

What a strategy keeps for all (momentum, moments) lies behind the model's parameters in the state
that rounds hand on: a function of what was released, so everybody computes it. What it needs of
each party beside the change of its model travels behind that in the update, and what a party keeps
for itself stays there. With the last two each party ends with a model of its own, which never
leaves it. `engines.training.strategies` has the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import MISSPELT_STRATEGY, UNKNOWN_STRATEGY, UNNAMED_STRATEGY
from secureflow.domain.specs.base import STRICT
from secureflow.kit.nearnames import alike

MAX_NAMED: Final = 40
"""Most characters of a strategy's name that are told."""

Rate = Annotated[float, Field(gt=0.0, le=100.0)]
Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
Floor = Annotated[float, Field(ge=1e-9, le=1.0)]


@dataclass(frozen=True)
class FedAvgM:
    """The mean change is added to a momentum, and the momentum to the model."""

    __pydantic_config__ = STRICT
    name: Literal["fedavgm"]
    momentum: Decay = 0.9
    server_learning_rate: Rate = 1.0

    @property
    def first(self) -> tuple[float, ...]:
        """What the kept vectors are filled with before the first round: no momentum."""
        return (0.0,)


@dataclass(frozen=True)
class FedAdam:
    """The mean change is a gradient for Adam, without bias correction."""

    __pydantic_config__ = STRICT
    name: Literal["fedadam"]
    server_learning_rate: Rate = 0.1
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    tau: Floor = 1e-3

    @property
    def first(self) -> tuple[float, ...]:
        """No momentum, and τ², the least second moment that the paper allows."""
        return 0.0, self.tau**2


@dataclass(frozen=True)
class FedYogi:
    """The mean change is a gradient for Yogi."""

    __pydantic_config__ = STRICT
    name: Literal["fedyogi"]
    server_learning_rate: Rate = 0.1
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    tau: Floor = 1e-3

    @property
    def first(self) -> tuple[float, ...]:
        """No momentum, and τ², the least second moment that the paper allows."""
        return 0.0, self.tau**2


@dataclass(frozen=True)
class FedAdagrad:
    """The mean change is a gradient for Adagrad."""

    __pydantic_config__ = STRICT
    name: Literal["fedadagrad"]
    server_learning_rate: Rate = 0.1
    tau: Floor = 1e-3

    @property
    def first(self) -> tuple[float, ...]:
        """τ², the least sum of squares that the paper allows."""
        return (self.tau**2,)


@dataclass(frozen=True)
class FedProx:
    """Each party's loss has `mu`/2 · ‖w − w_global‖² added to it."""

    __pydantic_config__ = STRICT
    name: Literal["fedprox"]
    mu: Annotated[float, Field(gt=0.0, le=1000.0)] = 0.01

    @property
    def first(self) -> tuple[float, ...]:
        """Nothing is kept."""
        return ()


@dataclass(frozen=True)
class FedDyn:
    """Each party's loss gets `alpha`/2 · ‖w − w_global‖², and a slope that it keeps for itself."""

    __pydantic_config__ = STRICT
    name: Literal["feddyn"]
    alpha: Annotated[float, Field(gt=0.0, le=100.0)] = 0.1

    @property
    def first(self) -> tuple[float, ...]:
        """No slope."""
        return (0.0,)


@dataclass(frozen=True)
class Scaffold:
    """Each party's steps are corrected by the difference of everybody's slope and its own."""

    __pydantic_config__ = STRICT
    name: Literal["scaffold"]
    server_learning_rate: Rate = 1.0

    @property
    def first(self) -> tuple[float, ...]:
        """No slope."""
        return (0.0,)


@dataclass(frozen=True)
class FedNova:
    """A party's change counts per local step, so that more steps weigh no more."""

    __pydantic_config__ = STRICT
    name: Literal["fednova"]

    @property
    def first(self) -> tuple[float, ...]:
        """Nothing is kept."""
        return ()


@dataclass(frozen=True)
class FedBn:
    """Parameters and statistics of normalisation layers are each party's own, and never sent."""

    __pydantic_config__ = STRICT
    name: Literal["fedbn"]

    @property
    def first(self) -> tuple[float, ...]:
        """Nothing is kept for all."""
        return ()


@dataclass(frozen=True)
class FineTune:
    """Each party goes on from the last model, on its own rows, and keeps what comes of it.

    Args:
        name: `finetune`.
        epochs: passes over its training rows.
        learning_rate: of these passes.
    """

    __pydantic_config__ = STRICT
    name: Literal["finetune"]
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    learning_rate: Rate = 0.1

    @property
    def first(self) -> tuple[float, ...]:
        """Nothing is kept."""
        return ()


Named = (
    FedAvgM
    | FedAdam
    | FedYogi
    | FedAdagrad
    | FedProx
    | FedDyn
    | Scaffold
    | FedNova
    | FedBn
    | FineTune
)
"""Every strategy but the plain one, which has no parameters."""

PLAIN: Final = "fedavg"
BY_NAME: Final[dict[str, type[Any]]] = {
    "fedavgm": FedAvgM,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
    "fedadagrad": FedAdagrad,
    "fedprox": FedProx,
    "feddyn": FedDyn,
    "scaffold": Scaffold,
    "fednova": FedNova,
    "fedbn": FedBn,
    "finetune": FineTune,
}
NAMES: Final = (PLAIN, *BY_NAME)
MAX_KEPT: Final = 2
"""Most vectors of the model's length that a strategy keeps for all."""


def _offered(value: Any) -> Any:
    """Take a bare name as the strategy with its defaults; refuse one that there is none of."""
    named = value.get("name") if isinstance(value, dict) else value
    if not isinstance(named, str):
        if isinstance(value, (*BY_NAME.values(),)):
            return value
        raise PydanticCustomError("unnamed_strategy", UNNAMED_STRATEGY)
    if named in BY_NAME and isinstance(value, str):
        return {"name": named}
    if named == PLAIN:
        return PLAIN if value == {"name": PLAIN} else value
    if named in BY_NAME:
        return value
    given = named[:MAX_NAMED]
    every = ", ".join(NAMES)
    near = alike(given, NAMES)
    if near:
        told = {"strategy": given, "near": ", ".join(near), "strategies": every}
        raise PydanticCustomError("misspelt_strategy", MISSPELT_STRATEGY, told)
    told = {"strategy": given, "strategies": every}
    raise PydanticCustomError("unknown_strategy", UNKNOWN_STRATEGY, told)


def _tag(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return f"<{name[:MAX_NAMED]}>" if isinstance(name, str) else f"<{PLAIN}>"


ChosenStrategy = Annotated[
    Annotated[Literal["fedavg"], Tag("<fedavg>")]
    | Annotated[FedAvgM, Tag("<fedavgm>")]
    | Annotated[FedAdam, Tag("<fedadam>")]
    | Annotated[FedYogi, Tag("<fedyogi>")]
    | Annotated[FedAdagrad, Tag("<fedadagrad>")]
    | Annotated[FedProx, Tag("<fedprox>")]
    | Annotated[FedDyn, Tag("<feddyn>")]
    | Annotated[Scaffold, Tag("<scaffold>")]
    | Annotated[FedNova, Tag("<fednova>")]
    | Annotated[FedBn, Tag("<fedbn>")]
    | Annotated[FineTune, Tag("<finetune>")],
    Discriminator(_tag),
    BeforeValidator(_offered),
]
"""The strategy of a plan, by its name; a bare name stands for the strategy with its defaults."""


def name_of(strategy: Named | str) -> str:
    """Return a strategy's name."""
    return strategy if isinstance(strategy, str) else strategy.name


def sent_beside(strategy: Named | str, size: int) -> int:
    """Return how many values an update has beside the change of a model of this length."""
    if isinstance(strategy, Scaffold):
        return size
    return 1 if isinstance(strategy, FedNova) else 0


def kept_by_party(strategy: Named | str) -> bool:
    """Tell whether each party keeps values for itself between its rounds."""
    return isinstance(strategy, FedDyn | Scaffold | FedBn)


def ends_with_own(strategy: Named | str) -> bool:
    """Tell whether each party ends with a model of its own, which stays with it."""
    return isinstance(strategy, FedBn | FineTune)


def kept_vectors(strategy: Named | str) -> int:
    """Return how many vectors of the model's length a strategy keeps for all, behind the model."""
    return len(first_values(strategy))


def first_values(strategy: Named | str) -> tuple[float, ...]:
    """Return what each vector that a strategy keeps for all is filled with before round 1."""
    return () if isinstance(strategy, str) else strategy.first

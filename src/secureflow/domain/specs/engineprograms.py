"""Programs that an engine computes among parties: what each is asked, and what parties bring.

Unlike `joint-sums` these are of parties with *different* columns (or one number each): what they
bring never becomes a sum that anybody opens, it is computed on in shares. The results stay with the
parties that the spec names as receivers; the report has counts.

| program       | a party brings                          | receivers learn                        |
|---------------|-----------------------------------------|----------------------------------------|
| `ranking`     | a number for each of m measures         | each party's place in each measure     |
| `sealed-bid`  | a bid for each of m lots                | of each lot the winner and the price   |
| `correlation` | columns of the same n rows, in one order| the correlation of every two columns   |
| `logistic`    | columns of n rows; one party weights    | of each row a probability, or a class  |
| `mpyc`        | columns, for a program of others        | the files that it writes               |

Rows are matched by their place: parties prepare datasets in one order, as an intersection's result
is (`kind: psi`). A party without a dataset brings nothing and computes along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Column, Problem, RosterEntry, Slug
from secureflow.domain.specs.ownprograms import MpycProgram, arguments_problem
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.text import Text

MAX_COLUMNS: Final = 512
"""Most columns of one party."""
MAX_ATTEMPTS: Final = 10
MAX_DECIMALS: Final = 9

EngineName = Literal["spu", "mpyc"]


@dataclass(frozen=True)
class EngineRef:
    """What runs a program: every party must have this very version."""

    __pydantic_config__ = STRICT
    name: EngineName
    version: Annotated[str, Field(min_length=1, max_length=64), ONE_LINE]


@dataclass(frozen=True)
class MpcSide:
    """What one party brings.

    Args:
        party: of the roster.
        columns: those of its dataset, in the order in which results name them; () of a party that
            only computes along.
    """

    __pydantic_config__ = STRICT
    party: Slug
    columns: Annotated[tuple[Column, ...], Field(max_length=MAX_COLUMNS)] = ()


@dataclass(frozen=True)
class Ranking:
    """Whose number is larger, and by how many it is beaten: nobody shows its own.

    Args:
        decimals: digits behind the point that count.
    """

    __pydantic_config__ = STRICT
    name: Literal["ranking"]
    decimals: Annotated[int, Field(ge=0, le=MAX_DECIMALS)] = 0
    version: Literal[1] = 1


@dataclass(frozen=True)
class SealedBid:
    """The highest bid wins, and the losers' stay closed.

    Args:
        price: what the winner pays: its own bid, or the second highest.
        decimals: digits behind the point that count.
    """

    __pydantic_config__ = STRICT
    name: Literal["sealed-bid"]
    price: Literal["first", "second"] = "first"
    decimals: Annotated[int, Field(ge=0, le=MAX_DECIMALS)] = 0
    version: Literal[1] = 1


@dataclass(frozen=True)
class Correlation:
    """How columns of different parties go together, over the same rows."""

    __pydantic_config__ = STRICT
    name: Literal["correlation"]
    version: Literal[1] = 1


@dataclass(frozen=True)
class Logistic:
    """One party's model on the rows of others: neither sees the other's.

    Args:
        model: the party whose only column are the weights, the intercept last.
        output: what receivers learn of a row; a class tells less.
        threshold: of the class.
    """

    __pydantic_config__ = STRICT
    name: Literal["logistic"]
    model: Slug
    output: Literal["probability", "class"] = "probability"
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    version: Literal[1] = 1


EngineProgram = Ranking | SealedBid | Correlation | Logistic | MpycProgram
SINGLE: Final = {"ranking": "values", "sealed-bid": "bids"}
"""Programs of which a party brings one column, and what the engine calls it."""
COLUMNS: Final = "columns"
WEIGHTS: Final = "weights"


def input_of(program: EngineProgram, side: MpcSide) -> str:
    """Return what the engine calls that which a party brings; "" for nothing."""
    if not side.columns:
        return ""
    if isinstance(program, Logistic) and side.party == program.model:
        return WEIGHTS
    if isinstance(program, MpycProgram):
        return program.input
    return SINGLE.get(program.name, COLUMNS)


def outputs_of(program: EngineProgram) -> tuple[str, ...]:
    """Return what the engine calls the outputs of a program."""
    if isinstance(program, Logistic):
        return (program.output,)
    named = {"ranking": ("ranks",), "sealed-bid": ("winner", "price")}
    return named.get(program.name, ("correlation",))


def matched_by_place(program: EngineProgram, sides: Sequence[MpcSide]) -> tuple[str, ...]:
    """Return the parties that bring equally many rows: a row is the same one at all of them.

    Of a program of others none have to: what its rows are nobody knows.
    """
    if isinstance(program, MpycProgram):
        return ()
    inputs = {one.party: input_of(program, one) for one in sides}
    return tuple(party for party, name in inputs.items() if name and name != WEIGHTS)


def sides_problem(
    program: EngineProgram, sides: Sequence[MpcSide], roster: Sequence[RosterEntry]
) -> Problem | None:
    """Return a contradiction between a program, what parties bring, and their datasets; or None."""
    named = tuple(one.party for one in sides)
    if named != tuple(one.party for one in roster):
        strange = next((one for one in named if one not in {line.party for line in roster}), "")
        reason: str = "it does not list each party once, in the roster's order"
        if strange:
            reason = Text("{party} is not on the roster", party=strange)
        return "inputs", reason, "Name the columns of each party that takes part."
    for line, side in zip(roster, sides, strict=True):
        problem = _side_problem(program, side, brings=bool(line.dataset))
        if problem is not None:
            return f"inputs.{side.party}", *problem
    bringing = [one for one in sides if one.columns]
    if isinstance(program, MpycProgram):
        return arguments_problem(program, [name for one in bringing for name in one.columns])
    if len(bringing) < 2:
        reason = "fewer than two parties bring anything"
        return "inputs", reason, "Name columns of another party."
    if isinstance(program, Logistic):
        return _logistic_problem(program, bringing)
    return None


def _side_problem(program: EngineProgram, side: MpcSide, *, brings: bool) -> tuple[str, str] | None:
    if brings != bool(side.columns):
        if brings:
            return "no columns are named", "Name columns of its dataset, or list it in `compute`."
        return "it has no dataset", "Name one of its datasets, or leave its columns out."
    if len(set(side.columns)) != len(side.columns):
        return "a column is named twice", "Name each once."
    one = program.name in SINGLE or (isinstance(program, Logistic) and side.party == program.model)
    if brings and one and len(side.columns) != 1:
        reason = Text("a party brings one column to {program}", program=program.name)
        return reason, "Name the one that counts."
    return None


def _logistic_problem(program: Logistic, bringing: Sequence[MpcSide]) -> Problem | None:
    if program.model in {one.party for one in bringing}:
        return None
    reason = Text("{party} brings no weights", party=program.model)
    return "program.model", reason, "Name a party of the roster, and its column of weights."

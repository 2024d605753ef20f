"""The catalogue of programs among parties: what each computes, by which protocols, who learns what.

A program is named with its version; what it is asked is a dataclass of its own, so that its
parameters have a schema. What a protocol gives is a label, which stands in the catalogue, in what
owners read before they decide, and in the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Discriminator, Tag
from pydantic_core import PydanticCustomError

from secureflow.domain.fieldfaults import MISSPELT_PROGRAM, UNKNOWN_PROGRAM
from secureflow.domain.securitylabel import SecurityLabel
from secureflow.domain.specs.base import adapter
from secureflow.domain.specs.engineprograms import Correlation, Logistic, Ranking, SealedBid
from secureflow.domain.specs.jointsums import JointSums
from secureflow.domain.specs.ownprograms import MPYC, SHAMIR, MpycProgram
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text

_NAMES: Final = ("joint-sums", "ranking", "sealed-bid", "correlation", "logistic", "mpyc")


def _form(value: Any) -> str | None:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return f"<{name.replace('-', '_')}>" if isinstance(name, str) and name in _NAMES else None


def _offered(value: Any) -> Any:
    """Refuse a program that there is none of, with those that may be meant."""
    named = value.get("name") if isinstance(value, dict) else None
    if named is None or (isinstance(named, str) and named in _NAMES):
        return value
    told = {"program": str(named)[:MAX_TOLD], "programs": ", ".join(_NAMES)}
    if near := alike(str(named), _NAMES):
        told["near"] = ", ".join(near)
        raise PydanticCustomError("misspelt_program", MISSPELT_PROGRAM, told)
    raise PydanticCustomError("unknown_program", UNKNOWN_PROGRAM, told)


MpcProgram = Annotated[
    Annotated[JointSums, Tag("<joint_sums>")]
    | Annotated[Ranking, Tag("<ranking>")]
    | Annotated[SealedBid, Tag("<sealed_bid>")]
    | Annotated[Correlation, Tag("<correlation>")]
    | Annotated[Logistic, Tag("<logistic>")]
    | Annotated[MpycProgram, Tag("<mpyc>")],
    Discriminator(_form),
    BeforeValidator(_offered),
]
"""A program and what it is asked, by its `name`."""
Protocol = Literal["masked-sum", "aby3", "cheetah", "shamir"]
MAX_TOLD: Final = 64
"""Most characters that are repeated of the name of a program that there is none of."""
MAX_PARTIES: Final = 256
"""Most parties of a roster."""
BUILT_IN: Final = "built in"
"""The engine of programs that need no other."""


@dataclass(frozen=True)
class ProtocolEntry:
    """One way to compute a program.

    Args:
        engine: what runs it: `built in`, or an engine that each agent installs.
        parties: the fewest and the most.
        label: what it gives.
    """

    engine: str
    parties: tuple[int, int]
    label: SecurityLabel

    def takes(self, parties: int) -> bool:
        """Tell whether so many parties can compute by it."""
        least, most = self.parties
        return least <= parties <= most


@dataclass(frozen=True)
class ProgramEntry:
    """One program of the catalogue. Texts are for people.

    Args:
        name: in specs.
        version: of what it computes; one that computes something else gets the next.
        title: what it is good for.
        learns: who learns what: rows of (who, what).
        numeric: how exact its result is.
        parameters: the class of what it is asked.
        protocols: by their names, the default first.
    """

    name: str
    version: int
    title: str
    learns: tuple[tuple[str, str], ...]
    numeric: str
    parameters: type[Any]
    protocols: Mapping[str, ProtocolEntry]

    @property
    def engines(self) -> tuple[str, ...]:
        """What runs it, each once."""
        return tuple(dict.fromkeys(one.engine for one in self.protocols.values()))

    @property
    def smallest(self) -> int:
        """The fewest parties by any of its protocols."""
        return min(one.parties[0] for one in self.protocols.values())

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of its part of a job."""
        return adapter(self.parameters).json_schema()


_DIFFERENCES: Final = (
    "without noise, exact totals: two jobs over rosters or queries that differ in little tell what "
    "they differ by"
)
_MASKED_SUM: Final = SecurityLabel(
    adversary="semi-honest",
    threshold="the centre together with fewer than a third of the parties, or with one of three",
    collusion="those that collude learn the sum of the others; if one is left over, that one's",
    leakage=(
        "which parties contributed, and how many numbers are added up",
        _DIFFERENCES,
    ),
    repeats="nothing: a round is masked once, and a repeated question gets the same bytes",
    numeric="whole numbers in a ring of 2^64, exact up to 2^50 of each party",
    transport="charter",
)
_JOINT_SUMS: Final = ProgramEntry(
    name="joint-sums",
    version=1,
    title=(
        "Exact or noised totals over the rows of all parties: counts, sums, means, variances, "
        "covariances, correlations, histograms, by categories or by millions of keys"
    ),
    learns=(
        ("the project", "the totals, and what follows from them"),
        ("the centre", "the same: it opens the totals, and never a party's sums"),
        ("each party", "the same"),
    ),
    numeric=(
        "exact: whole numbers as they are, decimals rounded row by row to those that are asked "
        "for; under differential privacy with noise of the width that stands beside each number"
    ),
    parameters=JointSums,
    protocols={"masked-sum": ProtocolEntry(BUILT_IN, (2, MAX_PARTIES), _MASKED_SUM)},
)
_NUMBERS: Final = (
    "integers modulo 2^64; fractions have 18 bits, and a product is rounded up or down at random "
    "in the last of them"
)
_SHAPES: Final = "everybody learns how many rows and columns each party brings"
_FRESH: Final = (
    "a further attempt draws all shares anew: only attempts that end tell their result, and a "
    "party that changed its input in between is not noticed by the protocol"
)
SPU: Final[Mapping[str, ProtocolEntry]] = {
    "aby3": ProtocolEntry(
        "spu",
        (3, 3),
        SecurityLabel(
            adversary="semi-honest",
            threshold="one of the three parties learns nothing alone",
            collusion="two of the three that put together what they see learn every input",
            leakage=(_SHAPES,),
            repeats=_FRESH,
            numeric=_NUMBERS,
        ),
    ),
    "cheetah": ProtocolEntry(
        "spu",
        (2, 2),
        SecurityLabel(
            adversary="semi-honest",
            threshold="neither of the two learns more than it should alone",
            collusion="two parties are all there are: nobody is left to protect",
            leakage=(_SHAPES,),
            repeats=_FRESH,
            numeric=_NUMBERS,
            statistical_bits=40,
        ),
    ),
}
"""What SPU's protocols for programs give, by their names in specs."""
RECEIVERS: Final = "each receiver"
"""Who learns, where the spec names the parties."""
_ENGINE_PROGRAMS: Final = (
    ProgramEntry(
        name="ranking",
        version=1,
        title="Comparing and ranking numbers that nobody shows: who has more, and in which place",
        learns=(
            (RECEIVERS, "the place of every party's number, and which are equal"),
            ("the others", "nothing of a number, or by how much one is larger"),
        ),
        numeric="exact: numbers are whole after they are multiplied by 10^decimals and rounded",
        parameters=Ranking,
        protocols=SPU,
    ),
    ProgramEntry(
        name="sealed-bid",
        version=1,
        title="An auction with sealed bids: the highest wins, and the losers' stay closed",
        learns=(
            (
                RECEIVERS,
                (
                    "the winner of every lot, and the price: the loser's bid if the second price "
                    "counts and there are two"
                ),
            ),
            ("the others", "nothing of a bid"),
        ),
        numeric="exact: bids are whole after they are multiplied by 10^decimals and rounded",
        parameters=SealedBid,
        protocols=SPU,
    ),
    ProgramEntry(
        name="correlation",
        version=1,
        title="Correlation of columns that lie with different parties, over the same rows",
        learns=(
            (
                RECEIVERS,
                "the correlation of every two columns, of one party's among themselves too",
            ),
        ),
        numeric="a coefficient is within 0.000004 + 0.00001/n of the exact one, of n rows",
        parameters=Correlation,
        protocols=SPU,
    ),
    ProgramEntry(
        name="logistic",
        version=1,
        title="One party's logistic regression on the rows of others: neither sees the other's",
        learns=(
            (RECEIVERS, "every row's probability, or its class alone"),
            (
                "whoever learns probabilities of enough rows that it knows",
                "the weights: it can solve for them",
            ),
        ),
        numeric=(
            "a score is within (sum of the row's and the weights' magnitudes)/524288 + d/2^38 + "
            "0.00001 of the exact one, of d columns; a probability within a quarter of that"
        ),
        parameters=Logistic,
        protocols=SPU,
    ),
)
_PICKLE: Final = (
    "Every party keeps to the protocol: a message of a peer can run code in this engine's process "
    "(pickle), which holds this party's inputs to the job. The sandbox keeps such code from the "
    "agent, its other data and every network."
)
OPENS: Final = "what the program itself opens to a party: read it before you approve it"
_MPYC: Final = ProgramEntry(
    name=MPYC,
    version=1,
    title="A program of others, which MPyC runs among three parties or more: small data",
    learns=(
        (RECEIVERS, "the files that the program writes there, and what it prints"),
        (
            "every party",
            "what the program opens to it, whoever the receivers are: its source alone says that",
        ),
    ),
    numeric="as the program computes: whole numbers and finite fields exactly",
    parameters=MpycProgram,
    protocols={
        SHAMIR: ProtocolEntry(
            MPYC,
            (3, 16),
            SecurityLabel(
                "semi-honest",
                threshold="fewer than half of the parties",
                collusion=(
                    "Half of the parties or more that put together what they see learn every input."
                ),
                trusted=(_PICKLE,),
                leakage=("the sizes of inputs and of what is computed", OPENS),
                repeats=(
                    "What the program opens, once more: of the same inputs the same, or fresh "
                    "randomness."
                ),
                numeric=(
                    "a prime field of the program's choice; fixed-point truncation is probabilistic"
                ),
                statistical_bits=30,
            ),
        )
    },
)
PROGRAMS: Final[Mapping[str, ProgramEntry]] = {
    one.name: one for one in (_JOINT_SUMS, *_ENGINE_PROGRAMS, _MPYC)
}
"""By their names."""
VERSIONS: Final[Mapping[str, str]] = {"spu": "0.9.5", MPYC: "0.11"}
"""The version of each engine that jobs are drafted for."""


def entry_of(name: str) -> ProgramEntry:
    """Return a program's entry.

    Raises:
        SecureFlowError: `program_unknown`, with the names that may be meant.
    """
    found = PROGRAMS.get(name)
    if found is not None:
        return found
    near = alike(name, PROGRAMS)
    raise SecureFlowError(
        "program_unknown",
        Text("There is no program {name!r:.130}.", name=name),
        Text("{near} may be meant: secureflow mpc list.", near=some(near))
        if near
        else Text("The programs are: {names}.", names=some(PROGRAMS)),
        {"program": name[:128]},
    )

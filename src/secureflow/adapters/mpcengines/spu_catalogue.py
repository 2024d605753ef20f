"""SPU as an engine: its version, what it can compute, for how many, and who learns what."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from secureflow.adapters.mpcengines.checks import check_choice
from secureflow.adapters.mpcengines.spu_labels import LABELS, REFUSED
from secureflow.application.ports.mpcengine import EngineInfo, EngineProgram
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

NAME: Final = "spu"
VERSION: Final = "0.9.5"
FOLDER: Final = Path(__file__).with_name("spu_programs")
PARTIES: Final[Mapping[str, int]] = {"ABY3": 3, "CHEETAH": 2, "RR22": 2, "KKRT": 2, "ECDH": 2}
"""Protocol → parties."""
_SHARED: Final = ("ABY3", "CHEETAH")
_PSI: Final = ("RR22", "KKRT", "ECDH")
_TITLES: Final[Mapping[str, str]] = {
    "psi": "private set intersection",
    "ranking": "comparing and ranking figures",
    "sealed-bid": "an auction with sealed bids",
    "correlation": "correlation of columns that lie with different parties",
    "logistic": "a logistic regression applied to others' rows",
}
_LEARNS: Final[Mapping[str, tuple[str, ...]]] = {
    "psi": (
        "each receiver learns which of its own identifiers the other party has too",
        "where both receive, both learn the same rows in the same order",
    ),
    "ranking": (
        "each receiver learns the place of every party's figure, and which are equal",
        "nobody learns a figure, or by how much one is larger",
    ),
    "sealed-bid": (
        "each receiver learns the winner of every lot, and the price",
        "with the second price and two bidders the price is the loser's bid",
    ),
    "correlation": (
        (
            "each receiver learns the correlation of every two columns, of one party's among "
            "themselves too"
        ),
    ),
    "logistic": (
        "each receiver learns every row's probability, or its class alone",
        "who learns probabilities of enough rows that it knows can compute the weights",
        "with the model's weights, a probability tells one sum over the row's columns",
    ),
}
_NUMERIC: Final[Mapping[str, str]] = {
    "psi": "",
    "ranking": "",
    "sealed-bid": "",
    "correlation": "a coefficient is within 0.000004 + 0.00001/n of the exact one, of n rows",
    "logistic": (
        "a score is within (sum of the row's and the weights' magnitudes)/524288 + d/2^38 + "
        "0.00001 of the exact one, of d columns; a probability within a quarter of that"
    ),
}


@cache
def digest() -> str:
    """Return the hex SHA-256 of the version and of all files that run, in the order of names."""
    hasher = sha256(f"{NAME} {VERSION}\n".encode())
    for path in sorted(FOLDER.glob("*.py")):
        data = path.read_bytes()
        hasher.update(f"{path.name} {len(data)}\n".encode() + data)
    return hasher.hexdigest()


@cache
def info() -> EngineInfo:
    """Return what SPU is as an engine."""
    programs = {name: _program(name) for name in _TITLES}
    return EngineInfo(NAME, VERSION, LABELS, programs, (2, 3))


def _program(name: str) -> EngineProgram:
    protocols = _PSI if name == "psi" else _SHARED
    counts = [PARTIES[one] for one in protocols]
    return EngineProgram(
        title=_TITLES[name],
        digest=digest(),
        protocols=protocols,
        parties=(min(counts), max(counts)),
        learns=_LEARNS[name],
        numeric=_NUMERIC[name],
    )


def check(program: str, protocol: str, parties: int) -> None:
    """See that a program, its protocol and the number of parties fit.

    Raises:
        SecureFlowError: `program_unknown`, `protocol_refused`, `parties_wrong`.
    """
    if protocol in REFUSED:
        raise _refused(program, protocol)
    if protocol in PARTIES and parties != PARTIES[protocol] and program in _TITLES:
        raise SecureFlowError(
            "parties_wrong",
            Text(
                "{protocol} is for {right} parties, and the job has {count}.",
                protocol=protocol,
                right=PARTIES[protocol],
                count=parties,
            ),
            _hint(info().programs[program], parties),
        )
    check_choice(info(), program, protocol, parties)


def _refused(program: str, protocol: str) -> SecureFlowError:
    known = info().programs.get(program)
    names = ", ".join(info().protocols if known is None else known.protocols)
    told = Text(
        "SPU's protocol {protocol} is not run: {reason}.",
        protocol=protocol,
        reason=REFUSED[protocol],
    )
    return SecureFlowError(
        "protocol_refused", told, Text("Choose one of these: {names}.", names=names)
    )


def _hint(known: EngineProgram, count: int) -> str:
    fitting = [name for name in known.protocols if PARTIES[name] == count]
    if fitting:
        return Text("Choose one of these: {names}.", names=", ".join(fitting))
    if count == 2 and "ABY3" in known.protocols:
        return "Name a third party that computes along: the spec has a role for it."
    return "Propose it to as many parties as the protocol takes."

"""Who can see what of a prediction, and which attacks are stopped: derived from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.run.explaining import CODE_READ, Row, attack_rows, sight_rows
from secureflow.kit.canonical import JSON

_STAYS: Final = "every agent keeps what it predicts in a file of its own, and sends none of it"
_SEALED: Final = "files are sealed to the recipient's key, which only its agent has"
_SIZES: Final = (
    "that a party is done, and the size of its sealed file, so about how many rows; no row and no "
    "score"
)
_ANSWERS: Final = (
    "of every party what is predicted of each row, which may tell values of the columns that the "
    "model reads, and the columns beside it"
)
_FITTING: Final = (
    "a failure names a column, never a row; where an owner demands differential privacy no row "
    "makes the job fail"
)


def disclosure(spec: PredictionSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: PredictionSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    if spec.deliver is None:
        return attack_rows(_ATTACKS)
    return attack_rows((_SEALED_READING, _SEALING, *_ATTACKS[1:]))


def _sights(spec: PredictionSpec) -> Iterator[Row]:
    yield "owner", "the model, its own rows and what is predicted of them", "it computes it itself"
    if spec.deliver is None:
        yield (
            "operator",
            "that a party is done, and how long it took; no row, score or count",
            _STAYS,
        )
    else:
        yield (
            "operator",
            _SIZES,
            _SEALED,
        )
        yield (
            spec.deliver.to,
            _ANSWERS,
            "the job hands the files over, and every owner approves that",
        )
    if spec.bundle is not None:
        yield (
            "operator",
            "what the job's code tells by failing, or by the time that it takes",
            CODE_READ,
        )
    if spec.bundle is not None and spec.deliver is not None:
        yield (
            spec.deliver.to,
            "what the job's code has hidden in the files, rows among it",
            CODE_READ,
        )
    yield "network", "sizes and times", "TLS 1.3"
    yield (
        "whoever has the report",
        "which parties are done, and a commitment to the file of each",
        "a commitment is salted, and tells nothing of the file to anybody without its salt",
    )


_SEALED_READING: Final[Row] = ("the operator reads rows or scores", "yes", _SEALED)
_SEALING: Final[Row] = (
    "the centre has files sealed to a key of its own",
    "yes",
    "the recipient signs its key for the job, and each agent checks that under the roster's key",
)
_ATTACKS: Final[tuple[Row, ...]] = (
    ("the operator reads rows or scores", "yes", _STAYS),
    (
        "the centre has another model applied than the approved one",
        "yes",
        "each agent compares the parameters with the digest in the spec that it approved",
    ),
    (
        "an owner shows other predictions later than it made",
        "yes",
        "the log holds its commitment to the file, signed before the job ended",
    ),
    (
        "somebody tells from a failure whether a row fits the model",
        "partly",
        _FITTING,
    ),
    (
        "somebody tells from its duration how many rows a party has",
        "no",
        "how long a party takes is seen",
    ),
    (
        "an owner keeps the parameters of the model",
        "no",
        "it computes with them, so it has them",
    ),
)

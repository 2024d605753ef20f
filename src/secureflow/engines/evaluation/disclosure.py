"""Who can see what of an evaluation, and which attacks are stopped: derived from the spec."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.engines.run.explaining import (
    CODE_READ,
    MASKED,
    Row,
    attack_rows,
    averaging,
    false_sums,
    membership,
    sight_rows,
    subtracting_sums,
    sybils,
    two_parties,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

_REPEATED: Final = "for the same model a party's sums and noise are the same, bit by bit"


def disclosure(spec: EvaluationSpec) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why."""
    return sight_rows(_sights(spec))


def attacks(spec: EvaluationSpec) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    private = spec.privacy
    rows = (
        *(_reading(spec), sybils(spec), _differencing(spec), _choosing(spec), membership(private)),
        *(averaging(private, _REPEATED), subtracting_sums(spec, private), false_sums()),
    )
    return attack_rows(rows)


def _sights(spec: EvaluationSpec) -> Iterator[Row]:
    yield "owner", "the models, its own rows and their scores", "it computes them itself"
    yield from two_parties(spec)
    if spec.per_party:
        yield (
            "operator",
            "the totals of each model, and each party's own figures",
            "the job asks for figures of each party, and every owner approves that",
        )
    else:
        yield "operator", "the totals of each model; never a party's sums", MASKED
    yield "network", "masked bytes, sizes and times", "TLS 1.3"
    if spec.privacy is None:
        yield (
            "whoever has the report",
            "exact counts of rows in each cell of a model's scores",
            "without differential privacy they are released as they are",
        )
    else:
        yield (
            "whoever has the report",
            "what noised counts can tell about rows",
            Text("bounded by differential privacy per {unit}", unit=spec.privacy.unit),
        )
    if spec.bundle is not None:
        yield (
            "whoever has the report",
            "what the job's code has hidden in the scores that are counted, rows among it",
            CODE_READ,
        )


def _reading(spec: EvaluationSpec) -> Row:
    attack = "the operator reads a single party's sums"
    if spec.per_party:
        return attack, "no", "figures of each party are what the job releases"
    return attack, "yes", MASKED


def _differencing(spec: EvaluationSpec) -> Row:
    attack = "two totals over sets that differ in one party are subtracted"
    if spec.privacy is None:
        why = (
            "a party that is left out of another job is the difference; the totals of this one are "
            "over the same parties, and who contributed is on record"
        )
        return attack, "no", why
    unit = spec.privacy.unit
    why = f"the noise hides any {unit} of the difference, not the party's figures as a whole"
    return attack, "partly", why


def _choosing(spec: EvaluationSpec) -> Row:
    attack = "somebody submits a model that scores one row apart from all others"
    if spec.privacy is None:
        return attack, "no", "without differential privacy its label can be read from the counts"
    return attack, "yes", "every count is noised"

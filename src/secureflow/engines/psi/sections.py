"""The parts of an intersection's report that people read as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.psi.label import label_of
from secureflow.engines.run.labels import label_section
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, one_after_the_other, text_in, with_texts

RESULT: Final = "Intersection, kept by whoever learns it"
BROUGHT: Final = "Keys that each party brought"
CHANNELS: Final = "Bytes over each channel"
ATTEMPTS: Final = "Attempts"
_LEARNS: Final = {
    "one": "which keys match",
    "all": "which keys match, each party of its own",
    "size": "how many keys match",
}
JOINS: Final = {
    "inner": "inner join",
    "left": "left join",
    "right": "right join",
    "full": "full join",
    "difference": "difference",
}
"""What the rows of a result are, by the spec's word."""


def sections(spec: PsiSpec, told: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Return the sections of a report.

    Args:
        spec: the job's.
        told: what the report says of the intersection (`engines.psi.script`).
    """
    return [
        {"title": RESULT, "rows": list(_result(spec, told))},
        {"title": BROUGHT, "rows": _numbers(told["keys"])},
        {"title": CHANNELS, "rows": list(_channels(told["channels"]))},
        {"title": ATTEMPTS, "rows": list(map(_attempt, told["attempts"]))},
        label_section(label_of(spec)),
    ]


def _result(spec: PsiSpec, told: Mapping[str, Any]) -> Iterator[dict[str, JSON]]:
    yield {"label": "learned by", "value": list(spec.learners)}
    yield {"label": "learned", "value": _LEARNS[spec.learns]}
    yield {"label": "rows", "value": JOINS[spec.join]}
    engine = Text(
        "{protocol} by {engine} {version}",
        protocol=spec.protocol, engine=spec.engine.name, version=spec.engine.version,
    )  # fmt: skip
    yield with_texts({"label": "protocol", "value": engine})
    if spec.minimum:
        yield {"label": "minimum", "value": spec.minimum}
    for party, count in told["matched"].items():
        label = Text("keys that match, as {party} counts them", party=party)
        yield with_texts({"label": label, "value": count})
    if not told["matched"]:
        yield {"label": "keys that match", "value": _untold(spec)}
    yield {"label": "seconds", "value": told["seconds"]}
    if peak := max(told["peak"].values(), default=0):
        yield {"label": "peak memory of an engine in MB", "value": round(peak / 1e6)}


def _untold(spec: PsiSpec) -> str:
    """Return who else knows how many match, where the report does not say how many."""
    if spec.bytes_tell_size and not spec.tells_size:
        return "told to nobody else; the bytes over the channels tell about how many"
    return "told to nobody else"


def _numbers(counts: Mapping[str, JSON]) -> list[dict[str, JSON]]:
    return [{"label": party, "value": count} for party, count in counts.items()]


def _channels(channels: Sequence[Mapping[str, JSON]]) -> Iterator[dict[str, JSON]]:
    for one in channels:
        label = Text("{sender} to {receiver}", sender=one["from"], receiver=one["to"])
        yield with_texts({"label": label, "value": one["bytes"]})


def _attempt(row: Mapping[str, Any]) -> dict[str, JSON]:
    label = Text("attempt {number}", number=row["attempt"])
    if row["state"] == "succeeded":
        said: str = Text("succeeded after {seconds} s", seconds=row["seconds"])
    else:
        reasons = one_after_the_other([
            Text("{party}: {message}", party=one["party"], message=text_in(one, "reason"))
            for one in row["reasons"]
        ])  # fmt: skip
        said = Text("failed after {seconds} s. {reasons}", seconds=row["seconds"], reasons=reasons)
    return with_texts({"label": label, "value": said})

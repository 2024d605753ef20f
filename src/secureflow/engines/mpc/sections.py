"""The parts of a report that every program has: what ran, by which protocol, who learned what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.mpc_programs import entry_of
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, one_after_the_other, spelled, text_in, with_texts

PROGRAM: Final = "Program and protocol"
KEYED: Final = "Totals by keys, in a file beside this report"
KEPT: Final = "Result, kept by its receivers"
BROUGHT: Final = "Rows that each party brought"
CHANNELS: Final = "Bytes over each channel"
ATTEMPTS: Final = "Attempts"
LEFT_OUT: Final = "Rows that are in no answer"
_LABEL: Final = ("adversary", "threshold", "collusion", "repeats", "numeric", "transport")


def program_of(spec: MpcSpec) -> dict[str, JSON]:
    """Return what is computed, how, and what the protocol gives, as JSON."""
    entry = entry_of(spec.computation.name)
    protocol = entry.protocols[spec.protocol]
    receivers: JSON = "all" if spec.receivers == "all" else list(spec.receivers)
    found: dict[str, JSON] = {
        "name": entry.name,
        "version": spec.computation.version,
        "digest": spec.program,
        "protocol": spec.protocol,
        "engine": protocol.engine,
        "receivers": receivers,
        "learns": [spelled({"who": who, "what": what}) for who, what in entry.learns],
        "numeric": spelled(entry.numeric),
        "label": protocol.label.as_json(),
    }
    if (own := spec.of_others) is not None:
        found["code"] = {
            "digest": own.bundle.digest,
            "entry": own.bundle.entry,
            "arguments": list(own.arguments),
            "input": own.input,
        }
        found["inputs"] = {one.party: list(one.columns) for one in spec.sides}
    return found


def sections(
    spec: MpcSpec, job: str, answers: Sequence[Mapping[str, Any]]
) -> list[dict[str, JSON]]:
    """Return the sections of a report: the program, where totals by keys are, what is left out."""
    found: list[dict[str, JSON]] = [
        {"title": PROGRAM, "rows": list(map(with_texts, _program(spec)))}
    ]
    keyed = [
        with_texts(
            {
                "label": str(one["name"]),
                "value": Text(
                    "{count:,} keys of {column}, from {first} on: secureflow mpc totals {job} "
                    "totals.parquet --query {query}",
                    count=one["keys"]["count"],
                    column=one["keys"]["column"],
                    first=one["keys"]["first"],
                    job=job,
                    query=str(one["name"]),
                ),
            }
        )
        for one in answers
        if one.get("keys")
    ]
    if keyed:
        found.append({"title": KEYED, "rows": keyed})
    left = [
        {"label": str(one["name"]), "value": f"{one['left_out']:,}"}
        for one in answers
        if one.get("left_out")
    ]
    if left:
        found.append({"title": LEFT_OUT, "rows": left})
    return found


def computed_sections(spec: MpcSpec, told: Mapping[str, Any]) -> list[dict[str, JSON]]:
    """Return the sections of a report of an engine's program.

    Args:
        spec: the job's.
        told: what the report says of the run (`engines.mpc.computed`).
    """
    attempts = [with_texts(_attempt(row)) for row in told["attempts"]]
    return [
        {"title": PROGRAM, "rows": list(map(with_texts, _program(spec)))},
        {"title": KEPT, "rows": list(map(with_texts, _kept(spec, told)))},
        {"title": BROUGHT, "rows": [{"label": k, "value": v} for k, v in told["rows"].items()]},
        {"title": CHANNELS, "rows": list(map(with_texts, _channels(told["channels"])))},
        {"title": ATTEMPTS, "rows": attempts},
    ]


def _code(spec: MpcSpec) -> Iterator[dict[str, JSON]]:
    """Yield the program of others that ran, what it was given, and what it read of whom."""
    own = spec.of_others
    if own is None:
        return
    yield {"label": "bundle", "value": own.bundle.digest}
    yield {"label": "entry", "value": own.bundle.entry}
    if own.arguments:
        yield {"label": "arguments", "value": list(own.arguments)}
    for side in spec.sides:
        if side.columns:
            label = Text("columns of {party}, in inputs/{file}", party=side.party, file=own.input)
            yield {"label": label, "value": list(side.columns)}


def _kept(spec: MpcSpec, told: Mapping[str, Any]) -> Iterator[dict[str, JSON]]:
    yield {"label": "learned by", "value": list(spec.learners)}
    yield {"label": "seconds", "value": told["seconds"]}
    if peak := max(told["peak"].values(), default=0):
        yield {"label": "peak memory of an engine in MB", "value": round(peak / 1e6)}


def _channels(channels: Sequence[Mapping[str, JSON]]) -> Iterator[dict[str, JSON]]:
    for one in channels:
        label = Text("{sender} to {receiver}", sender=one["from"], receiver=one["to"])
        yield {"label": label, "value": one["bytes"]}


def _attempt(row: Mapping[str, Any]) -> dict[str, JSON]:
    label = Text("attempt {number}", number=row["attempt"])
    if row["state"] == "succeeded":
        return {"label": label, "value": Text("succeeded after {seconds} s",
                                              seconds=row["seconds"])}  # fmt: skip
    reasons = one_after_the_other([
        Text("{party}: {message}", party=one["party"], message=text_in(one, "reason"))
        for one in row["reasons"]
    ])  # fmt: skip
    said = Text("failed after {seconds} s. {reasons}", seconds=row["seconds"], reasons=reasons)
    return {"label": label, "value": said}


def _program(spec: MpcSpec) -> list[dict[str, JSON]]:
    entry = entry_of(spec.computation.name)
    protocol = entry.protocols[spec.protocol]
    label = protocol.label
    rows: list[dict[str, JSON]] = [
        {"label": "program", "value": f"{entry.name}/{spec.computation.version}"},
        {"label": "protocol", "value": Text("{protocol}, run by: {engine}",
                                            protocol=spec.protocol, engine=protocol.engine)},
        *_code(spec),
        *({"label": "learns", "value": Text("{who}: {what}", who=who, what=what)}
          for who, what in entry.learns),
        {"label": "exactness", "value": entry.numeric},
    ]  # fmt: skip
    told = {name: getattr(label, name) for name in _LABEL}
    rows += [{"label": name, "value": value} for name, value in told.items() if value]
    rows += [{"label": "trusted", "value": one} for one in label.trusted]
    rows += [{"label": "leakage", "value": one} for one in label.leakage]
    return rows

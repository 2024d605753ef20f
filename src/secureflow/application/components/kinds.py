"""What the catalogue says of each kind of job: its group, its parts, and a sample of it.

A sample is a job with the kind's defaults over parties that do not exist. By it the catalogue tells
who learns what before anything is chosen: the answer comes from the same `disclosure` as that of a
real job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.families import INTERNAL
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.mpc_programs import BUILT_IN, PROGRAMS, ProgramEntry
from secureflow.domain.specs.psi import VERSIONS
from secureflow.engines.training.extras import EXTRAS

Roster = list[dict[str, str]]

USUAL_PARTIES: Final = 3
"""Parties of a sample, where the kind of job takes as many."""
GROUPS: Final = ("align", "prepare", "compute", "learn", "evaluate", "report")
"""By what people want, in the order in which they come across it."""
_DIGEST: Final = "0" * 64
_FEATURES: Final = {
    "label": {"column": "label", "positive": "yes"},
    "numeric": [{"column": "x", "bounds": [0, 1], "scale": "bounds"}],
}
_TRAINING: Final = {"features": _FEATURES}
_MODEL: Final = {
    **{"job": "job_0000000000", "digest": _DIGEST, "features": _FEATURES},
    "model": {"family": "logistic_regression"},
}
_COLUMN: Final = {"column": "x", "type": "number", "bounds": [0, 1]}
_MEAN: Final = {"name": "mean", "measure": "mean"}
_ENGINE_VERSIONS: Final = {"spu": VERSIONS["spu"], "mpyc": "0.11"}
_FAMILY_NEEDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mlp": {"hidden": [16]},
    "bundle": {
        "bundle": {"digest": _DIGEST, "entry": "model:Model", "environment": _DIGEST},
        "weights": [{"name": "weights", "shape": [1]}],
    },
}
"""What a family has no default of."""
_PROGRAM_NEEDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "logistic": {"model": "party-b"},
    "mpyc": {"bundle": {"digest": _DIGEST, "entry": "program.py"}},
}
_HEAD: Final = {
    **{"project": "prj_0000000000", "name": "sample", "purpose": "sample"},
    "submitter": "sample",
}


@dataclass(frozen=True)
class Parts:
    """Where the parts of a kind stand that are components of their own.

    Args:
        field: of the kind's request.
        tag: the member that tells which part it is.
        level: what such a part is called.
        sample: returns the spec of a job with this part and its defaults.
        own: returns what of the kind's entry is otherwise for a part.
        hidden: parts that nobody looks for.
    """

    field: str
    tag: str
    level: str
    sample: Callable[[SpecKinds, str], JobSpec]
    own: Callable[[str], dict[str, Any]] = lambda _: {}
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Drawn:
    """What the catalogue says of a kind.

    Args:
        group: one of `GROUPS`.
        parts: the components within it; None if it has none.
        engine: that every agent must have installed.
        parties: of a sample.
    """

    group: str
    members: Callable[[Roster], Mapping[str, Any]]
    parts: Parts | None = None
    engine: str = ""
    parties: int = USUAL_PARTIES


def sample(
    kinds: SpecKinds, kind: str, parts: Mapping[str, Any] | None = None, parties: int | None = None
) -> JobSpec:
    """Return a spec of a kind with its defaults, and other members where `parts` has them.

    Args:
        kinds: the kinds of job.
        kind: which one.
        parts: members of the spec.
        parties: how many take part; by default as many as are usual.
    """
    drawn = DRAWN[kind]
    roster = [
        {"party": f"party-{letter}", "key": letter * 44, "dataset": "rows"}
        for letter in (chr(ord("a") + at) for at in range(parties or drawn.parties))
    ]
    spec = {**_HEAD, "kind": kind, "roster": roster, **drawn.members(roster), **(parts or {})}
    return kinds.parse(spec)


def _always(members: Mapping[str, Any]) -> Callable[[Roster], Mapping[str, Any]]:
    return lambda _: members


def _usual(kind: str) -> Callable[[SpecKinds, str], JobSpec]:
    """Return a maker of samples for parts by which nobody learns anything else."""
    return lambda kinds, _: sample(kinds, kind)


def _family_sample(kinds: SpecKinds, family: str) -> JobSpec:
    model = {"family": family, **_FAMILY_NEEDS.get(family, {})}
    return sample(kinds, "training", {"model": model})


def _family_facts(family: str) -> dict[str, Any]:
    return {"extra": EXTRAS[family].name} if family in EXTRAS else {}


def _program_facts(name: str) -> dict[str, Any]:
    entry = PROGRAMS[name]
    engine = next((one for one in entry.engines if one != BUILT_IN), "")
    protections = ["peers"] if engine else ["secagg"]
    return {"smallest_roster": entry.smallest, "engine": engine, "protections": protections}


def _program_sample(kinds: SpecKinds, name: str) -> JobSpec:
    """Return a spec of a computation by the protocol of the fewest parties."""
    entry: ProgramEntry = PROGRAMS[name]
    found = min(entry.protocols.items(), key=lambda one: one[1].parties[0])
    protocol, (fewest, _), engine = found[0], found[1].parties, found[1].engine
    if engine == BUILT_IN:
        return sample(kinds, "mpc")
    letters = [f"party-{chr(ord('a') + at)}" for at in range(fewest)]
    parts = {
        "computation": {"name": name, **_PROGRAM_NEEDS.get(name, {})},
        "protocol": protocol,
        "protection": "peers",
        "engine": {"name": engine, "version": _ENGINE_VERSIONS[engine]},
        "columns": [],
        "sides": [{"party": party, "columns": ["x"]} for party in letters],
        "receivers": letters[:1],
        "min_contributors": fewest,
    }
    return sample(kinds, "mpc", parts, fewest)


def _matched(roster: Roster) -> Mapping[str, Any]:
    return {
        "sides": [{"party": one["party"], "key": ["id"]} for one in roster],
        "key": {"parts": [{"rule": "trim"}]},
        "learns": "one",
        "receiver": roster[0]["party"],
        "engine": {"name": "spu", "version": VERSIONS["spu"]},
    }


def _inner(roster: Roster) -> dict[str, Any]:
    """Return the training that a job starts."""
    return {**_HEAD, "roster": roster, **_TRAINING}


def _swept(roster: Roster) -> Mapping[str, Any]:
    return {"training": _inner(roster), "points": [{"plan.rounds": 10}, {"plan.rounds": 20}]}


def _repeated(roster: Roster) -> Mapping[str, Any]:
    times = {"first": 1, "every": 86_400, "runs": 30, "window": 86_400}
    return {"job": {**_inner(roster), "kind": "training"}, "timetable": times}


def _stepped(roster: Roster) -> Mapping[str, Any]:
    return {"steps": [{"id": "train", "job": {**_inner(roster), "kind": "training"}}]}


DRAWN: Final[Mapping[str, Drawn]] = {
    "training": Drawn(
        "learn",
        _always(_TRAINING),
        Parts("model", "family", "family", _family_sample, _family_facts, frozenset({INTERNAL})),
    ),
    "statistics": Drawn(
        "compute",
        _always({
            "queries": [{**_MEAN, "column": "x"}], "columns": [_COLUMN],
            "privacy": {"delta": 1e-6, "noise_multiplier": 1.0},
        }),
        Parts("queries", "measure", "query", _usual("statistics")),
    ),
    "preparation": Drawn(
        "prepare",
        _always({"columns": [_COLUMN], "steps": [{"step": "standardise", "columns": ["x"]}]}),
        Parts("steps", "step", "step", _usual("preparation")),
    ),
    "evaluation": Drawn("evaluate", _always({"models": [_MODEL]})),
    "prediction": Drawn("evaluate", _always({"model": _MODEL})),
    "sweep": Drawn("learn", _swept),
    "psi": Drawn("align", _matched, engine="spu", parties=2),
    "mpc": Drawn(
        "compute",
        _always({
            "computation": {"name": "joint-sums", "queries": [{**_MEAN, "columns": ["x"]}]},
            "protocol": next(iter(PROGRAMS["joint-sums"].protocols)), "columns": [_COLUMN],
        }),
        Parts("program", "name", "program", _program_sample, _program_facts),
    ),
    "timetable": Drawn("report", _repeated),
    "pipeline": Drawn("report", _stepped),
}  # fmt: skip

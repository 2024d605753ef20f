"""A job of each kind with its defaults, over parties that do not exist.

By them the catalogue of components tells who learns what before anything is chosen: the answer
comes from the same `disclosure` as that of a real job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.mpc_programs import PROGRAMS, ProgramEntry
from secureflow.domain.specs.psi import VERSIONS

USUAL_PARTIES: Final = 3
"""Parties of a sample, where the kind of job takes as many."""
_DIGEST: Final = "0" * 64
_FEATURES: Final = {
    "label": {"column": "label", "positive": "yes"},
    "numeric": [{"column": "x", "bounds": [0, 1], "scale": "bounds"}],
}
_MODEL: Final = {
    "job": "job_0000000000",
    "digest": _DIGEST,
    "features": _FEATURES,
    "model": {"family": "logistic_regression"},
}
_COLUMN: Final = {"column": "x", "type": "number", "bounds": [0, 1]}
_NOISE: Final = {"delta": 1e-6, "noise_multiplier": 1.0}
_ENGINE_VERSIONS: Final = {"spu": VERSIONS["spu"], "mpyc": "0.11"}
FAMILY_NEEDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "mlp": {"hidden": [16]},
    "bundle": {
        "bundle": {"digest": _DIGEST, "entry": "model:Model", "environment": _DIGEST},
        "weights": [{"name": "weights", "shape": [1]}],
    },
}
"""What a family has no default of."""


def sample(
    kinds: SpecKinds, kind: str, parts: Mapping[str, Any] | None = None, parties: int | None = None
) -> JobSpec:
    """Return a spec of a kind with its defaults, and other members where `parts` has them.

    Args:
        kinds: the kinds of job.
        kind: which one.
        parts: members of the spec.
        parties: how many take part; by default three, of an intersection two.
    """
    count = parties or (2 if kind == "psi" else USUAL_PARTIES)
    roster = [
        {"party": f"party-{letter}", "key": letter * 44, "dataset": "rows"}
        for letter in (chr(ord("a") + at) for at in range(count))
    ]
    head = {"project": "prj_0000000000", "name": "sample", "purpose": "sample"}
    head |= {"submitter": "sample", "kind": kind}
    spec = {**head, "roster": roster, **_parts(kind, roster), **(parts or {})}
    return kinds.parse(spec)


def program_sample(kinds: SpecKinds, entry: ProgramEntry) -> JobSpec:
    """Return a spec of a computation by the usual protocol of its fewest parties."""
    found = min(entry.protocols.items(), key=lambda one: one[1].parties[0])
    protocol, (fewest, _) = found[0], found[1].parties
    if found[1].engine not in _ENGINE_VERSIONS:
        return sample(kinds, "mpc")
    spec = sample(kinds, "mpc", parties=fewest)
    engine = {"name": found[1].engine, "version": _ENGINE_VERSIONS[found[1].engine]}
    asked: dict[str, Any] = {"name": entry.name, **_PROGRAM_NEEDS.get(entry.name, {})}
    parts = {
        "computation": asked,
        "protocol": protocol,
        "protection": "peers",
        "engine": engine,
        "columns": [],
        "sides": [{"party": party, "columns": ["x"]} for party in spec.parties],
        "receivers": [spec.parties[0]],
        "min_contributors": fewest,
    }
    return sample(kinds, "mpc", parts, fewest)


_PROGRAM_NEEDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "logistic": {"model": "party-b"},
    "mpyc": {"bundle": {"digest": _DIGEST, "entry": "program.py"}},
}


def _parts(kind: str, roster: list[dict[str, str]]) -> dict[str, Any]:
    """Return the members that a kind has no default of."""
    training = {"features": _FEATURES}
    if kind == "psi":
        sides = [{"party": one["party"], "key": ["id"]} for one in roster]
        return {
            "sides": sides,
            "key": {"parts": [{"rule": "trim"}]},
            "learns": "one",
            "receiver": roster[0]["party"],
            "engine": {"name": "spu", "version": VERSIONS["spu"]},
        }
    if kind in {"sweep", "timetable", "pipeline"}:
        head = {"project": "prj_0000000000", "name": "sample", "purpose": "sample"}
        inner = {**head, "submitter": "sample", "roster": roster, **training}
        if kind == "sweep":
            return {"training": inner, "points": [{"plan.rounds": 10}, {"plan.rounds": 20}]}
        if kind == "pipeline":
            return {"steps": [{"id": "train", "job": {**inner, "kind": "training"}}]}
        times = {"first": 1, "every": 86_400, "runs": 30, "window": 86_400}
        return {"job": {**inner, "kind": "training"}, "timetable": times}
    query = {"name": "mean", "measure": "mean"}
    parts: Mapping[str, dict[str, Any]] = {
        "training": training,
        "statistics": {"queries": [{**query, "column": "x"}], "columns": [_COLUMN],
                       "privacy": _NOISE},
        "preparation": {"columns": [_COLUMN], "steps": [{"step": "standardise", "columns": ["x"]}]},
        "evaluation": {"models": [_MODEL]},
        "prediction": {"model": _MODEL},
        "mpc": {"computation": {"name": "joint-sums", "queries": [{**query, "columns": ["x"]}]},
                "protocol": next(iter(PROGRAMS["joint-sums"].protocols)), "columns": [_COLUMN]},
    }  # fmt: skip
    return dict(parts.get(kind, {}))

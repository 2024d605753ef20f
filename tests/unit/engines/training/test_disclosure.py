"""Every statement of the explanation, for each protection, place of the noise and kind of TEE.

What is true stands in these tables, independently of how the code words it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from peers.private_jobs import private_spec
from peers.statistics import LOCALLY, PERSON, SHARED, statistics_spec

from secureflow.domain.specs.base import RosterEntry, dump, parse
from secureflow.domain.specs.training import TrainingPlan, TrainingSpec
from secureflow.domain.specs.training_rules import check
from secureflow.engines.statistics import disclosure as statistics
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.private import released
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

NONE, REAL, SIMULATED = "", "SGX: UpToDate", "SIMULATED SGX"
PROTECTIONS = ("sealed", "secagg", "sealed+secagg")
PARTY = {"unit": "party", "mechanism": "central", "party_unit_acknowledged": True}
NOISES: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "enclave": {"noise": "enclave"},
    "shared": {"noise": "shared"},
    "local": {"noise": "local"},
    "party": {"noise": "enclave", **PARTY},
    "party-shared": {"noise": "shared", **PARTY, "adaptive": {"bit_noise": 5.0}},
    "measured": {"noise": "enclave", "metrics_noise": 1.0},
}


def spec(protection: str, noise: str, **changes: Any) -> TrainingSpec:
    """Return a spec that is allowed, or raise."""
    privacy = NOISES[noise]
    plan = {"rounds": 3, "learning_rate": 1.0, "validation": 0.2 if noise == "measured" else 0.0}
    value = {"protection": protection, "plan": plan, **changes}
    made = private_spec(privacy, **value)
    if privacy is None:
        made = replace(made, privacy=None)
    check(made)
    return made


def allowed() -> Iterator[tuple[str, str, str]]:
    for protection, noise, intermediate in product(PROTECTIONS, NOISES, ("operator", "agents")):
        try:
            spec(protection, noise, release={"intermediate": intermediate})
        except SecureFlowError:
            continue
        yield protection, noise, intermediate


ALLOWED = list(allowed())
EVERY = [
    (protection, noise, intermediate, tee)
    for protection, noise, intermediate in ALLOWED
    for tee in ((REAL, SIMULATED, NONE) if "sealed" in protection else (NONE,))
]


def sees(made: TrainingSpec, who: str, tee: str) -> str:
    return " / ".join(row["sees"] for row in disclosure(made, tee) if row["who"] == who)


def why(made: TrainingSpec, who: str, tee: str) -> str:
    return " / ".join(row["why"] for row in disclosure(made, tee) if row["who"] == who)


def test_the_table_covers_what_a_spec_may_say() -> None:
    assert {(protection, noise) for protection, noise, _ in ALLOWED} == {
        *product(("sealed",), ("plain", "enclave", "local", "party", "measured")),
        *product(("secagg", "sealed+secagg"), ("plain", "shared", "local", "party-shared")),
    }
    assert {p for p, _, intermediate in ALLOWED if intermediate == "agents"} == {"sealed"}


@pytest.mark.parametrize(("protection", "noise", "intermediate", "tee"), EVERY)
def test_who_sees_what(protection: str, noise: str, intermediate: str, tee: str) -> None:
    made = spec(protection, noise, release={"intermediate": intermediate})
    sealed, masked, simulated = "sealed" in protection, "secagg" in protection, tee == SIMULATED
    network = why(made, "network", tee)
    assert "TLS 1.3" in network
    assert ("HPKE" in network) == sealed
    assert ("mask" in network) == masked
    assert sees(made, "network", tee) == "encrypted bytes, sizes and times"

    enclave = sees(made, "enclave", tee)
    assert bool(enclave) == sealed
    assert enclave.startswith("single updates") == (sealed and not masked)
    assert ("noised by their party" in enclave) == (sealed and not masked and noise == "local")

    operator, reason = sees(made, "operator", tee), why(made, "operator", tee)
    assert ("everything that the enclave sees" in operator) == simulated
    assert ("masked" in reason) == masked
    assert ("past the server" in reason) == sealed
    assert operator.startswith("row counts") == (noise == "plain" and not masked)
    assert ("the total row count" in operator) == (noise == "plain" and masked)
    assert ("no row count" in operator) == (noise != "plain" or masked)
    assert ("no metric" in operator) == (noise not in {"plain", "measured"})
    assert ("final metrics with noise" in operator) == (noise == "measured")
    assert ("sums of metrics" in operator) == (noise == "plain")
    assert ("noised" in operator) == (noise != "plain")
    assert ("no intermediate model" in operator) == (intermediate == "agents")
    assert ("every round's model" in operator) == (intermediate == "operator")
    assert ("clipping norm" in operator) == (noise == "party-shared")

    model = why(made, "whoever has the model", tee)
    assert ("no differential privacy" in model) == (noise == "plain")
    assert ("per party" in model) == noise.startswith("party")
    assert ("not from the operator" in model) == (
        simulated and noise in {"enclave", "party", "measured"}
    )


def test_moments_are_told_where_there_are_any() -> None:
    for protection in PROTECTIONS:
        plain = spec(protection, "plain")
        assert plain.features
        numeric = tuple(replace(one, scale="federated") for one in plain.features.numeric)
        moments = replace(plain, features=replace(plain.features, numeric=numeric))
        assert "moments" not in sees(plain, "operator", NONE)
        assert "moments" in sees(moments, "operator", NONE)


# Attack → stopped. In the enclave's TEE: real, simulated, none admitted yet; then without one.
READING = {
    ("sealed", "plain"): ("yes", "no", "partly"),
    ("sealed", "enclave"): ("yes", "no", "partly"),
    ("sealed", "local"): ("yes", "partly", "partly"),
    ("sealed", "party"): ("yes", "no", "partly"),
    ("sealed", "measured"): ("yes", "no", "partly"),
}
BY_NOISE = {
    # differencing, membership, averaging, subtracting
    ("plain", False): ("partly", "no", "no", "no"),
    ("plain", True): ("partly", "no", "no", "no"),
    ("enclave", False): ("partly", "yes", "yes", "yes"),
    ("enclave", True): ("partly", "partly", "no", "no"),
    ("measured", False): ("partly", "yes", "yes", "yes"),
    ("measured", True): ("partly", "partly", "no", "no"),
    ("party", False): ("yes", "yes", "yes", "yes"),
    ("party", True): ("partly", "partly", "no", "no"),
    ("shared", False): ("partly", "yes", "yes", "yes"),
    ("shared", True): ("partly", "yes", "yes", "yes"),
    ("party-shared", False): ("yes", "yes", "yes", "yes"),
    ("party-shared", True): ("yes", "yes", "yes", "yes"),
    ("local", False): ("partly", "yes", "yes", "yes"),
    ("local", True): ("partly", "yes", "yes", "yes"),
}


@pytest.mark.parametrize(("protection", "noise", "intermediate", "tee"), EVERY)
def test_what_is_stopped(protection: str, noise: str, intermediate: str, tee: str) -> None:
    made = spec(protection, noise, release={"intermediate": intermediate})
    rows = attacks(made, tee)
    reading, differencing, sybils, *noised, poisoning = (row["stopped"] for row in rows)
    # Masks hold whatever the TEE is.
    by_tee = READING.get((protection, noise), ("yes", "yes", "yes"))
    assert reading == by_tee[(REAL, SIMULATED, NONE).index(tee)]
    assert (differencing, *noised) == BY_NOISE[noise, tee == SIMULATED]
    assert (sybils, poisoning) == ("yes", "partly")
    for row in rows:
        assert row["stopped"] != "yes" or "SIMULATED" not in row["why"]
        assert ("enclave" in row["why"]) <= ("sealed" in protection)
        assert ("mask" in row["why"]) <= ("secagg" in protection)


LEARNING: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    # plan → what is told of it, and how far the reading of a single update is stopped
    "krum": ({"aggregation": {"rule": "krum", "select": 1}}, {"plain": "no", "local": "partly"}),
    "multi-krum": ({"aggregation": {"rule": "krum", "select": 3}}, {}),
    "median": ({"aggregation": {"rule": "median"}}, {}),
    "trimmed_mean": ({"aggregation": {"rule": "trimmed_mean", "trim": 2}}, {}),
    "scaffold": ({"strategy": "scaffold"}, {"plain": "partly"}),
    "fednova": ({"strategy": "fednova"}, {}),
    "finetune": ({"strategy": "finetune", "validation": 0.2}, {}),
}


def learning() -> Iterator[tuple[str, str, TrainingSpec]]:
    """Yield the jobs that name a strategy or a rule, where one may."""
    for protection, noise, name in product(PROTECTIONS, ("plain", "local"), LEARNING):
        try:
            made = spec(protection, noise)
            made = replace(made, min_contributors=6, roster=_six(made))
            plan = parse(TrainingPlan, dump(made.plan) | LEARNING[name][0], "plan")
            made = replace(made, plan=plan)
            check(made)
        except SecureFlowError:
            continue
        yield name, noise, made


def _six(made: TrainingSpec) -> tuple[RosterEntry, ...]:
    return tuple(replace(made.roster[0], party=f"bank-{n}", key=f"{n:044}") for n in range(6))


def test_what_a_strategy_or_rule_shows_is_told() -> None:
    seen = set()
    for name, noise, made in learning():
        rounds = sees(made, "whoever has two rounds' models", REAL)
        assert ("the whole update of one party" in rounds) == (name == "krum")
        assert ("the mean of 3 updates" in rounds) == (name == "multi-krum")
        assert ("one party's value" in rounds) == (name in {"median", "trimmed_mean"})
        assert ("two sums" in rounds) == (name == "scaffold")
        assert ("on its disk" in sees(made, "enclave", REAL)) == (
            "aggregation" in LEARNING[name][0]
        )
        operator = sees(made, "operator", REAL)
        assert ("one party's update" in operator) == (name == "krum")
        assert ("never an update" in operator) == (name != "krum")
        steps = sees(made, "whoever has the published sums", REAL)
        assert ("local steps" in steps) == (name == "fednova" and "secagg" in made.protection)
        report = sees(made, "whoever has the report", REAL)
        assert ("the parties' own models" in report) == (name == "finetune")
        stopped = attacks(made, REAL)[0]["stopped"]
        assert stopped == LEARNING[name][1].get(noise, "yes")
        if name == "scaffold":
            hidden = "partly" if "secagg" in made.protection else "no"
            assert attacks(made, SIMULATED)[0]["stopped"] == hidden
        seen.add((name, made.protection))
    masked = {(name, one) for name in ("scaffold", "fednova", "finetune") for one in PROTECTIONS}
    assert seen == masked | {(name, "sealed") for name in LEARNING}


def texts() -> Iterator[str]:
    for _, _, made in learning():
        for row in (*disclosure(made, REAL), *attacks(made, REAL)):
            yield from (one for one in row.values() if isinstance(one, str))
    for protection, noise, intermediate, tee in EVERY:
        made = spec(protection, noise, release={"intermediate": intermediate})
        for row in (*disclosure(made, tee), *attacks(made, tee)):
            yield from (one for one in row.values() if isinstance(one, str))
        for line in released(made):
            yield from (line["number"], line["mechanism"])
    for privacy in (SHARED, PERSON, LOCALLY):
        asked = statistics_spec(privacy=privacy)
        for row in (*statistics.disclosure(asked), *statistics.attacks(asked)):
            yield from (one for one in row.values() if isinstance(one, str))


def test_all_of_it_is_there_in_chinese() -> None:
    for text in set(texts()):
        told = chinese(text)
        assert told, text
        numbers = [part for part in text.replace(";", " ").split() if part.isdecimal()]
        assert all(number in told for number in numbers), text
        assert "#" not in told

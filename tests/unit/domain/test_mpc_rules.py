"""Contradictions of a computation's spec, its facts, its catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml
from unit.engines.mpc.engine_world import asked
from unit.engines.mpc.world import COLUMNS, QUERIES, specified

from secureflow.adapters.mpcengines import spu_catalogue
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.bundles import bundle_facts
from secureflow.domain.specs.engineprograms import input_of, matched_by_place, outputs_of
from secureflow.domain.specs.jointsums import JointSums
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.domain.specs.mpc_programs import PROGRAMS, VERSIONS, entry_of
from secureflow.domain.specs.mpc_request import MpcRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.localprogram import local_program

EXAMPLES = Path(__file__).parents[3] / "examples"

KEYS = [f"{one}" * 44 for one in "abc"]
ROSTER = [
    {"party": f"bank-{n}", "key": key, "dataset": "d"} for n, key in zip("abc", KEYS, strict=True)
]
PRIVATE = {"delta": 1e-6, "noise_multiplier": 2.0}


def query(**changes: Any) -> dict[str, Any]:
    return {"queries": [{"name": "q", "measure": "sum", "columns": ["age"], **changes}]}


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"roster": ROSTER[:1]}, "roster", "fewer than 2"),
        ({"min_contributors": 2}, "min_contributors", "fewer than three parties"),
        ({"receivers": ["bank-z"]}, "receivers", "bank-z is not on the roster"),
        ({"receivers": ["bank-a"]}, "receivers", "stands in the report"),
        ({"columns": COLUMNS}, "columns.spent", "no query uses it"),
        ({"columns": []}, "columns.age", "does not declare it once"),
        ({"columns": [{"column": "age", "type": "number"}]}, "columns.age", "have bounds"),
        ({"columns": [{**COLUMNS[0], "categories": ["x"]}]}, "columns.age", "categories"),
        ({"queries": [{"name": "q", "measure": "count"}], "columns": []},
         "program.queries", "no query names a column"),
        ({"decimals": [{"column": "spent", "decimals": 2}]}, "program.decimals.spent", "no query"),
        ({"decimals": [{"column": "age", "decimals": 2}] * 2}, "program.decimals.age", "twice"),
        ({"decimals": [{"column": "age", "decimals": 2}], "privacy": PRIVATE},
         "program.decimals.age", "scaled to their bounds"),
        ({"queries": [QUERIES[1], QUERIES[1]]}, "program.queries.spent.name", "two queries"),
        (query(measure="covariance"), "program.queries.q.columns", "two columns at least"),
        (query(columns=[], by="sex"), "program.queries.q.columns", "of one column"),
        (query(columns=["age", "spent"]), "program.queries.q.columns", "of one column"),
        (query(measure="correlation", columns=["age", "age"]), "program.queries.q.columns",
         "named twice"),
        (query(columns=["sex"]), "program.queries.q.columns", "a category has no sum"),
        (query(by="spent"), "program.queries.q.by", "by a category"),
        (query(keys={"column": "sex", "count": 3}), "program.queries.q.keys.column", "whole"),
        (query(by="sex", keys={"column": "spent", "count": 3}), "program.queries.q.by", "not both"),
        (query(measure="mean", keys={"column": "spent", "count": 3}), "program.queries.q.keys",
         "not told by keys"),
        ({"queries": [query(name=f"q{n}", keys={"column": "spent", "count": 1 << 21})["queries"][0]
                      for n in range(3)]}, "program.queries", "more than 4194304"),
        ({"contributions": 2}, "contributions", "without privacy every row counts"),
        ({"privacy": {**PRIVATE, "unit": "party"}}, "privacy.unit", "not a whole party"),
        ({"privacy": {"delta": 1e-6}}, "privacy.noise_multiplier", "neither given nor"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named(changes: dict[str, Any], field: str, reason: str) -> None:
    changes = {"decimals": [], **changes}
    roster = changes.pop("roster", ROSTER)
    queries = changes.pop("queries", [{"name": "a", "measure": "mean", "columns": ["age"]}])
    with pytest.raises(SecureFlowError) as caught:
        specified(roster, queries, **changes)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert reason in caught.value.message
    assert caught.value.hint


def test_two_parties_sum_only_where_noise_or_their_owners_allow_it() -> None:
    """The spec lets them: whether each owner does is its agent's own question."""
    spec = specified(ROSTER[:2], min_contributors=2)
    assert not spec.all_private
    assert spec.tells_rows
    private = specified(ROSTER[:2], min_contributors=2, decimals=[], privacy=PRIVATE)
    assert private.all_private


def test_its_facts_are_what_policies_decide_on() -> None:
    assert specified(ROSTER).facts() == {
        "program": "joint-sums", "engine_program": "", "version": 1,
        "protocol": "masked-sum", "engine": "built in",
        "measures": ("count", "covariance", "sum"),
        "receivers": ("bank-a", "bank-b", "bank-c"), "attempts": 3, "contributions": 1,
        **bundle_facts(None, "ann", {}, "", 0.0),
    }  # fmt: skip
    assert set(specified(ROSTER).facts()) == set(SPEC_KINDS["mpc"].facts)


def test_the_centre_relays_channels_of_every_kind_that_may_have_some() -> None:
    for kind in SPEC_KINDS.values():
        protections = get_args(get_type_hints(kind.spec)["protection"])
        assert kind.peers == ("peers" in protections), kind.name


def test_there_is_an_example_of_every_program() -> None:
    found = {}
    for path in EXAMPLES.glob("*.yaml"):
        asked = yaml.safe_load(path.read_text())
        if asked.get("kind") != "mpc":
            continue
        datasets = [f"dst_{number:08}" for number in range(len(asked["datasets"]))]
        asked, _ = local_program(asked, path.parent)
        request = parse(MpcRequest, {**asked, "project": "prj_00000000", "datasets": datasets})
        found[request.program.name] = request
    assert found.keys() == PROGRAMS.keys()
    for name, request in found.items():
        if name == "joint-sums":
            continue
        bringing, computing = sorted(request.inputs), request.compute
        assert len(bringing) == len(request.datasets)
        roster = [
            {"party": party, "key": party[-1] * 44, "dataset": "d" * (party in bringing)}
            for party in sorted((*bringing, *computing))
        ]
        protocols = entry_of(name).protocols
        protocol = next(p for p, one in protocols.items() if one.takes(len(roster)))
        run_by = protocols[protocol].engine
        check_mpc(parse(MpcSpec, {
            **engine(), "roster": roster, "computation": dump(request.program),
            "protocol": protocol, "engine": {"name": run_by, "version": VERSIONS[run_by]},
            "receivers": request.receivers, "min_contributors": len(roster),
            "sides": [{"party": one["party"],
                       "columns": request.inputs[one["party"]].columns if one["dataset"] else []}
                      for one in roster],
        }))  # fmt: skip


def test_a_spec_is_the_same_after_its_json() -> None:
    spec = specified(ROSTER)
    again = parse(MpcSpec, dump(spec))
    assert again == spec
    assert spec_digest(again) == spec_digest(spec)
    other = specified(ROSTER, QUERIES[:2])
    assert other.program != spec.program


def test_an_unknown_program_or_protocol_is_refused_by_name() -> None:
    with pytest.raises(SecureFlowError, match="no program 'joint-sum'") as caught:
        entry_of("joint-sum")
    assert caught.value.code == "program_unknown"
    assert "joint-sums" in caught.value.hint
    with pytest.raises(SecureFlowError) as caught:
        parse(MpcSpec, {**dump(specified(ROSTER)), "computation": {"name": "magic"}})
    assert caught.value.details["fields"][0]["field"].startswith("computation")
    with pytest.raises(SecureFlowError, match="protocol"):
        specified(ROSTER, protocol="semi2k")


def test_every_program_of_the_catalogue_says_what_it_is() -> None:
    for name, entry in PROGRAMS.items():
        assert (entry.name, entry.version > 0, bool(entry.learns)) == (name, True, True)
        assert entry.schema["properties"]["name"]["const"] == name
        assert entry.smallest >= 2
        assert all(one.label.threshold for one in entry.protocols.values())
    assert entry_of("joint-sums").parameters is JointSums


def engine(**changes: Any) -> dict[str, Any]:
    return asked([dict(one) for one in changes.pop("roster", ROSTER)], **changes)


TWO = [{**ROSTER[0]}, {**ROSTER[1]}]
COMPUTING = [*TWO, {**ROSTER[2], "dataset": ""}]


def sides(*columns: list[str]) -> dict[str, Any]:
    return {
        "sides": [
            {"party": f"bank-{one}", "columns": own}
            for one, own in zip("abc", columns, strict=False)
        ]
    }


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"roster": TWO}, "protocol", "aby3 is of 3 parties, and the job has 2"),
        ({"protocol": "cheetah"}, "protocol", "cheetah is of 2 parties, and the job has 3"),
        ({"protocol": "masked-sum"}, "protocol", "ranking does not run by masked-sum"),
        ({"receivers": ["bank-z"]}, "receivers", "bank-z is not on the roster"),
        ({"receivers": ["bank-a", "bank-a"]}, "receivers", "listed twice"),
        ({"engine": None}, "engine", "aby3 is run by spu"),
        ({"protection": "secagg"}, "engine", "aby3 is run by spu"),
        ({"privacy": PRIVATE}, "privacy", "no noise is added"),
        (sides(["x"], ["x"]), "inputs", "in the roster's order"),
        (sides(["x"], ["x"], []), "inputs.bank-c", "no columns are named"),
        ({"roster": COMPUTING, **sides(["x"], ["x"], ["x"])}, "inputs.bank-c", "has no dataset"),
        (sides(["x", "y"], ["x"], ["x"]), "inputs.bank-a", "one column to ranking"),
        ({**sides(["x", "x"], ["x"], ["x"]), "computation": {"name": "correlation"}},
         "inputs.bank-a", "named twice"),
        ({"computation": {"name": "logistic", "model": "bank-z"}}, "program.model", "no weights"),
        ({"computation": {"name": "logistic", "model": "bank-a"},
          **sides(["w", "v"], ["x"], ["y"])},
         "inputs.bank-a", "one column to logistic"),
    ],
)  # fmt: skip
def test_a_contradiction_of_an_engines_program_is_named(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_mpc(parse(MpcSpec, engine(**changes)))
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert reason in caught.value.message
    assert caught.value.hint


def test_a_party_may_compute_along_and_only_receivers_learn() -> None:
    spec = parse(MpcSpec, engine(roster=COMPUTING))
    check_mpc(spec)
    assert [spec.columns_of(party) for party in spec.parties] == [("turnover",), ("turnover",), ()]
    assert spec.learners == ("bank-a",)
    assert not spec.all_private
    assert spec.planned_rounds == 3
    facts = spec.facts()
    assert (facts["program"], facts["engine"], facts["receivers"]) == (
        "ranking",
        "spu",
        ("bank-a",),
    )
    everybody = parse(MpcSpec, engine(roster=COMPUTING, receivers="all"))
    assert everybody.learners == everybody.parties


def test_what_parties_bring_is_named_as_the_engine_does() -> None:
    spec = parse(MpcSpec, engine(computation={"name": "logistic", "model": "bank-b"}))
    program = spec.program_of_engine
    assert [input_of(program, one) for one in spec.sides] == ["columns", "weights", "columns"]
    assert matched_by_place(program, spec.sides) == ("bank-a", "bank-c")
    assert outputs_of(program) == ("probability",)


def test_the_catalogue_says_of_an_engine_what_the_engine_says_of_itself() -> None:
    """The domain has it, so that a spec can be checked and explained where no engine is."""
    here = spu_catalogue.info()
    assert VERSIONS[here.name] == here.version
    for name, entry in PROGRAMS.items():
        for protocol, one in entry.protocols.items():
            if one.engine != here.name:
                continue
            program = here.programs[name]
            assert protocol.upper() in program.protocols
            assert one.parties == (spu_catalogue.PARTIES[protocol.upper()],) * 2
            assert program.numeric in {"", entry.numeric}

"""Programs of others: what a spec of one may say, what policies see of it, MPyC's own options."""

from __future__ import annotations

from typing import Any

import pytest
from peers.mpyc_world import CODE, asked_of_mpyc, program

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundles import applies, brought, given_beside_settings, runs
from secureflow.domain.specs.engineprograms import input_of, matched_by_place
from secureflow.domain.specs.mpc import MpcSpec, check_mpc
from secureflow.domain.specs.ownprograms import MpycProgram, own_options
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abcd"]
THREE = ROSTER[:3]


def spec_of(roster: list[dict[str, str]] = THREE, **changes: Any) -> MpcSpec:
    spec = parse(MpcSpec, asked_of_mpyc(roster, **changes))
    check_mpc(spec)
    return spec


def test_everything_that_it_is_given_is_in_the_digest_of_what_runs() -> None:
    spec = spec_of()
    assert (spec.engine_needed, spec.protocol) == (("mpyc", "0.11"), "shamir")
    assert spec.bundle is not None
    assert (spec.bundle.digest, spec.bundle.entry) == (CODE.digest, "program.py")
    changed = (
        {"bundle": {"digest": "ab" * 32, "entry": "program.py"}},
        {"bundle": {"digest": CODE.digest, "entry": "other.py"}},
        {"arguments": ["5"]},
        {"input": "votes.csv"},
    )
    others = {spec_of(computation=program(**one)).program for one in changed}
    assert len(others | {spec.program}) == 5
    assert parse(MpcSpec, dump(spec)) == spec


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"roster": ROSTER[:2]}, "protocol", "3 to 16 parties, and the job has 2"),
        ({"arguments": ["-T0"]}, "program.arguments", "'-T0' is an option of MPyC itself"),
        ({"arguments": ["5", "--thresh=0"]}, "program.arguments", "option of MPyC"),
        ({"arguments": ["@bids"]}, "program.arguments", "no party brings a column bids"),
        ({"arguments": ["@bid"], "input": "rows.npy"}, "program.arguments", "no CSV"),
        ({"engine": {"name": "spu", "version": "0.9.5"}}, "engine", "shamir is run by mpyc"),
        ({"protocol": "aby3"}, "protocol", "mpyc does not run by aby3"),
        ({"receivers": ["bank-z"]}, "receivers", "bank-z is not on the roster"),
        ({"sides": [{"party": one["party"]} for one in THREE]}, "inputs.bank-a", "no columns"),
    ],
)  # fmt: skip
def test_a_contradiction_is_named_before_anybody_is_asked(
    changes: dict[str, Any], field: str, reason: str
) -> None:
    given = {name: changes.pop(name) for name in ("arguments", "input") if name in changes}
    roster = changes.pop("roster", THREE)
    with pytest.raises(SecureFlowError) as caught:
        spec_of(roster, computation=program(**given), **changes)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert reason in caught.value.message
    assert chinese(caught.value.message)
    assert chinese(caught.value.hint)


@pytest.mark.parametrize(
    "entry", ["../program.py", "/etc/passwd", "program.txt", ".hidden.py", "a//b.py", "a/../b.py"]
)
def test_an_entry_is_a_file_of_the_bundle(entry: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        spec_of(computation=program(bundle={"digest": CODE.digest, "entry": entry}))
    assert caught.value.code == "invalid_spec"
    assert "entry" in caught.value.details["fields"][0]["field"]


@pytest.mark.parametrize("name", ["rows.txt", "../rows.csv", "a/rows.csv", ".csv", "rows"])
def test_an_input_is_a_plain_name(name: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        spec_of(computation=program(input=name))
    assert caught.value.code == "invalid_spec"


@pytest.mark.parametrize(
    ("argument", "own"),
    [
        *[(one, True) for one in ("-T", "-T0", "-M3", "-I", "--threshold", "--thresh=0", "--no",
                                  "--no-prss", "--ssl", "-h", "--help", "-fx", "-C", "--", "-Bx")],
        *[(one, False) for one in ("5", "-5", "-i", "-n7", "-", "--rounds", "--rounds=2", "@bid",
                                   "--batch-size", "T0")],
    ],
)  # fmt: skip
def test_options_of_mpyc_are_not_the_programs(argument: str, own: bool) -> None:
    assert list(own_options(["x", argument])) == ([argument] if own else [])


def test_policies_see_the_code_and_what_it_is_given() -> None:
    facts = spec_of(computation=program(arguments=["@bid"])).facts()
    assert (facts["program"], facts["engine_program"], facts["engine"]) == ("mpyc",) * 3
    assert (facts["bundle_digest"], facts["bundle_entry"]) == (CODE.digest, "program.py")
    assert facts["environment"] == ""
    assert facts["settings_digest"] == digest({"arguments": ["@bid"], "input": "rows.csv"})
    assert facts["settings_digest"] != spec_of().facts()["settings_digest"]


def test_a_stored_job_says_which_code_it_brings() -> None:
    stored = dump(spec_of(computation=program(arguments=["5"])))
    assert brought(stored)["bundle"]["digest"] == CODE.digest
    assert brought(stored)["settings"] == {"arguments": ["5"], "input": "rows.csv"}
    assert given_beside_settings(stored) == {"program.bundle.entry": "program.py"}
    assert (runs(stored), applies(stored)) == (True, False)


def test_rows_of_a_program_of_others_need_not_match() -> None:
    spec = spec_of()
    assert isinstance(spec.computation, MpycProgram)
    assert matched_by_place(spec.computation, spec.sides) == ()
    assert {input_of(spec.computation, one) for one in spec.sides} == {"rows.csv"}


def test_parties_without_a_dataset_compute_along() -> None:
    alone = [{**one, "dataset": "d" if one["party"] == "bank-b" else ""} for one in THREE]
    assert [one.columns for one in spec_of(alone).sides] == [(), ("bid",), ()]

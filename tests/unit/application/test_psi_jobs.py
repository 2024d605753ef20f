"""An intersection as the centre drafts it: who learns what, the engine, what is probed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.application.jobs.kind import Wanted
from secureflow.domain.jobs import JobState
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.psi import SMALL, PsiSpec
from secureflow.engines.psi.estimate import traffic
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.stage import Stage
from tests.unit.application.refusing import refused

BOTH = {"bank-a": {"key": ["job"]}, "bank-b": {"key": ["income"]}}


def wanted(stage: Stage, *, parties: int = 2, **parts: Any) -> Wanted:
    asked = stage.wanted()
    chosen = {"key": ["case"], "columns": BOTH, "learns": "bank-a", **parts}
    return Wanted(
        asked.project, "shared", asked.purpose, asked.datasets[:parties], chosen, "psi"
    )  # fmt: skip


async def drafted(stage: Stage, **parts: Any) -> tuple[PsiSpec, Any]:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage, **parts))
    return parse(PsiSpec, told.spec), told


async def refuse(stage: Stage, code: str, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await drafted(stage, **parts)
    assert caught.value.code == code, caught.value
    assert caught.value.hint
    return caught.value


async def test_the_spec_says_who_learns_and_what_runs(stage: Stage) -> None:
    spec, told = await drafted(stage)
    assert (spec.learns, spec.receiver, spec.parties) == ("one", "bank-a", ("bank-a", "bank-b"))
    assert (spec.protocol, spec.engine.name, spec.engine.version) == ("rr22", "spu", "0.9.5")
    assert spec.columns_of("bank-b") == ("income",)
    assert told.digest == spec_digest(spec)
    assert told.details["probed"] == {"bank-a": 0, "bank-b": 1_000_000}
    assert told.details["probed_at_worst"] == {"bank-a": 0, "bank-b": 3_000_000}
    assert any("3000000" in str(one) for one in told.notes)
    assert told.details["estimate"]["bytes"] == 34_100_000
    assert told.details["label"]["adversary"] == "semi-honest"
    assert any("are tested against the data of bank-b" in note for note in told.notes)
    assert any("rr22 tells its receiver the keys" in note for note in told.notes)
    assert all(chinese(note) for note in told.notes)


async def test_a_size_alone_is_of_the_protocol_that_tells_no_more(stage: Stage) -> None:
    spec, told = await drafted(stage, learns="size", receiver="bank-b")
    assert (spec.protocol, spec.engine.name, spec.receiver) == ("openmined", "openmined", "bank-b")
    assert {one.most_rows for one in spec.sides} == {SMALL}
    assert told.details["probed"] == {"bank-a": SMALL, "bank-b": 0}
    error = await refuse(stage, "contradictory_spec", learns="size")
    assert error.details["field"] == "receiver"
    error = await refuse(
        stage, "contradictory_spec", learns="size", receiver="bank-a", protocol="rr22"
    )
    assert "learns which of its keys match" in error.message


async def test_more_parties_are_intersected_by_one_that_learns(stage: Stage) -> None:
    columns = {**BOTH, "bank-c": {"key": ["job"], "most_rows": 50}}
    spec, told = await drafted(stage, parties=3, columns=columns, learns="bank-c")
    assert spec.receiver == "bank-c"
    assert told.details["probed"] == {"bank-a": 50, "bank-b": 50, "bank-c": 0}
    assert any("each single one of the others" in note for note in told.notes)


async def test_of_three_that_all_learn_one_is_named_that_learns_more(stage: Stage) -> None:
    columns = {**BOTH, "bank-c": {"key": ["job"], "granted": ["age"], "most_rows": 50}}
    asked: dict[str, Any] = {"parties": 3, "columns": columns, "learns": "all"}
    error = await refuse(stage, "contradictory_spec", **asked)
    assert error.details["field"] == "receiver"
    assert chinese(error.message)
    spec, told = await drafted(stage, **asked, receiver="bank-b", most_rows=100)
    assert (spec.receiver, told.details["learners"]) == ("bank-b", ["bank-a", "bank-b", "bank-c"])
    assert told.details["probed"] == {"bank-a": 150, "bank-b": 150, "bank-c": 200}
    (pairs,) = (one for one in told.notes if "each single one of the others" in one)
    (after,) = (one for one in told.notes if "after it has learned it" in one)
    (handed,) = (one for one in told.notes if "columns age of bank-c's rows" in one)
    assert pairs.startswith("bank-b learns")
    assert "bank-b" in after
    assert handed.startswith("bank-a, bank-b learns")
    assert all(chinese(note) for note in told.notes)
    assert "can tell the rest" in told.details["label"]["collusion"]
    smaller = await drafted(stage, **asked, receiver="bank-b", most_rows=60)
    assert told.details["estimate"]["bytes"] > smaller[1].details["estimate"]["bytes"]
    assert traffic(spec) - int(told.details["estimate"]["bytes"]) == 64 * 50 * 2 * 2


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ({"parties": 1}, "datasets"),
        ({"columns": {**BOTH, "bank-z": {"key": ["job"]}}}, "columns"),
        ({"columns": {"bank-a": {"key": ["job"]}, "bank-c": {"key": ["job"]}}}, "columns"),
        ({"columns": {"bank-a": {"key": ["job"]}}}, "columns"),
        ({"learns": "bank-z"}, "learns"),
        ({"receiver": "bank-b"}, "receiver"),
        ({"columns": {**BOTH, "bank-a": {"key": ["age"]}}}, "columns.bank-a.key"),
    ],
)
async def test_what_does_not_fit_is_named(stage: Stage, parts: dict[str, Any], field: str) -> None:
    error = await refuse(stage, "contradictory_spec", **parts)
    assert error.details["field"] == field
    assert chinese(error.message)
    assert chinese(error.hint)


async def test_columns_are_those_that_each_party_granted(stage: Stage) -> None:
    error = await refuse(stage, "unknown_column", columns={**BOTH, "bank-a": {"key": ["iban"]}})
    assert (error.details["party"], error.details["column"]) == ("bank-a", "iban")
    await stage.services.datasets.revoke(stage.owner("bank-b"), stage.ids["bank-b.grant"])
    error = await refuse(stage, "column_not_granted")
    assert error.details["party"] == "bank-b"


async def test_a_party_without_columns_is_named(stage: Stage) -> None:
    error = await refuse(stage, "contradictory_spec", columns={"bank-a": {"key": ["job"]}})
    assert "the columns of bank-b are missing" in error.message


async def test_a_purpose_that_no_grant_names_is_told_before_anybody_is_asked(stage: Stage) -> None:
    """A grant without purposes is for any: only its owner's people compare it with the project."""
    noted = [note for note in (await drafted(stage))[1].notes if "names no purpose" in note]
    assert noted == []
    ids = stage.ids
    grants = {}
    for party in ("bank-a", "bank-b"):
        grant = await stage.services.datasets.grant(
            stage.owner(party),
            ids[f"{party}.dataset"],
            project=ids["project"],
            columns=["job", "income"],
            purposes=[],
            expires=stage.now[0] + 3600,
        )
        grants[party] = grant.id
    asked = replace(wanted(stage), purpose="campaign")
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)
    noted = [note for note in told.notes if "names no purpose" in note]
    assert [
        f"the grant {grants[party]} of {party}" in note
        for party, note in zip(("bank-a", "bank-b"), noted, strict=True)
    ] == [True, True]
    assert "for 'credit-scoring', and this job for 'campaign'" in noted[0]
    assert all(chinese(note) for note in noted)


async def test_a_limit_below_the_estimate_is_told_before_anybody_is_asked(stage: Stage) -> None:
    _, told = await drafted(stage, limits={"seconds": 7, "peer_megabytes": 3})
    low = [note for note in told.notes if "limits." in note]
    assert [one.split(",")[0] for one in low] == [
        "limits.seconds is 7", "limits.peer_megabytes is 3"
    ]  # fmt: skip
    assert all(chinese(one) for one in low)
    assert not any("limits." in note for note in (await drafted(stage))[1].notes)


async def test_a_country_that_has_no_numbers_is_refused(stage: Stage) -> None:
    key = [{"rule": "phone", "country": "XX"}]
    error = await refuse(stage, "invalid_spec", key=key)
    assert "XX" in error.message


async def test_a_submitted_intersection_is_a_job_of_its_kind(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage))
    assert (job.kind, job.state) == ("psi", JobState.PROPOSED)
    with refused("not_found"):
        await stage.services.jobs.submit(stage.scientist("outsider"), wanted(stage))

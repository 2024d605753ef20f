"""A computation among parties as the centre drafts it, and the file of totals that it hands out."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from secureflow.domain.jobs import JobState
from secureflow.domain.schemas import most_rows, row_bucket
from secureflow.domain.specs.base import parse, spec_digest
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.test_bundles import CODE, upload
from tests.unit.application.test_statistics_jobs import RECORD, publish

SUMS = {
    "name": "joint-sums",
    "queries": [
        {"name": "ages", "measure": "mean", "columns": ["age"], "by": "job"},
        {"name": "by-age", "measure": "count", "keys": {"column": "age", "count": 121}},
    ],
}
NOISE = {"delta": 1e-6, "epsilon": 1.0}


def wanted(stage: Stage, **parts: Any) -> Any:
    return stage.wanted(parts={"program": SUMS, **parts}, kind="mpc", name="sums")


async def drafted(stage: Stage, **parts: Any) -> tuple[MpcSpec, Any]:
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), wanted(stage, **parts))
    return parse(MpcSpec, told.spec), told


async def refused(stage: Stage, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await drafted(stage, **parts)
    assert caught.value.hint
    return caught.value


async def test_the_spec_has_the_owners_declarations_and_the_usual_protocol(stage: Stage) -> None:
    spec, told = await drafted(stage)
    assert spec.protocol == "masked-sum"
    assert [(one.column, one.bounds or one.categories) for one in spec.columns] == [
        ("age", (0.0, 120.0)), ("job", ("clerk", "farmer")),
    ]  # fmt: skip
    assert spec.parties == BANKS
    assert told.digest == spec_digest(spec)
    # Two groups of (n, Σ), 121 keys, and of either query the rows left out.
    assert told.details["numbers"] == 2 * 2 + 1 + 121 + 1
    assert told.details["estimate"]["bytes"] > 3 * 8 * told.details["numbers"]
    assert told.details["program"]["label"]["adversary"] == "semi-honest"
    assert any("totals are exact" in note for note in told.notes)


async def test_a_submitted_computation_is_a_job_of_its_kind(stage: Stage) -> None:
    job = await stage.services.jobs.submit(stage.scientist("bank-a"), wanted(stage))
    assert (job.kind, job.state) == ("mpc", JobState.PROPOSED)


async def test_a_private_one_is_priced_for_each_query(stage: Stage) -> None:
    for bank in BANKS:
        await publish(stage, bank, RECORD)
    spec, told = await drafted(stage, privacy=NOISE)
    assert told.details["privacy"]["releases"] == 2
    assert told.details["privacy"]["epsilon"]["rdp-cks20"] <= 1.0
    assert spec.privacy is not None
    assert spec.privacy.noise_multiplier == told.details["privacy"]["noise_multiplier"]


async def test_owners_with_a_budget_are_told_of_where_it_is_not_used(stage: Stage) -> None:
    await publish(stage, "bank-b", RECORD)
    _, told = await drafted(stage)
    notes = [str(note) for note in told.notes]
    assert any(note.startswith("bank-b keeps a privacy budget for customers") for note in notes)


async def test_what_an_owner_lacks_is_refused_by_its_name(stage: Stage) -> None:
    absent = {**SUMS, "queries": [{"name": "q", "measure": "sum", "columns": ["height"]}]}
    error = await refused(stage, program=absent)
    assert (error.code, error.details["column"]) == ("unknown_column", "height")
    await publish(stage, "bank-c", None, age={"bounds": None})
    error = await refused(stage)
    assert (error.code, error.details["field"]) == ("contradictory_spec", "columns.age")
    assert "bank-c" in error.message
    await stage.services.datasets.revoke(stage.owner("bank-b"), stage.ids["bank-b.grant"])
    await publish(stage, "bank-c", None)
    error = await refused(stage)
    assert (error.code, error.details["party"]) == ("column_not_granted", "bank-b")


async def test_receivers_of_a_masked_sum_are_the_whole_project(stage: Stage) -> None:
    error = await refused(stage, receivers=["bank-a"])
    assert (error.code, error.details["field"]) == ("contradictory_spec", "receivers")
    error = await refused(stage, receivers=["nobody"])
    assert "nobody is not on the roster" in error.message


async def test_the_file_of_totals_is_what_numpy_reads(stage: Stage) -> None:
    totals = np.arange(-5, 300, dtype="<i8")

    async def chunks() -> AsyncIterator[bytes]:
        yield totals.tobytes()

    stored = await stage.artifacts.put(chunks(), limit=totals.nbytes)
    report = {"totals": {"artifact": stored.digest}}
    digest, size, stream = await stage.services.totals.of_report("job_x", report)
    content = b"".join([one async for one in stream])
    assert (digest, size) == (stored.digest, len(content))
    assert np.load(io.BytesIO(content), allow_pickle=False).tolist() == totals.tolist()
    for other in ({}, {"totals": "ab" * 32}, {"totals": {"artifact": None}}):
        with pytest.raises(SecureFlowError) as caught:
            await stage.services.totals.of_report("job_x", other)
        assert caught.value.code == "no_totals"


RANKING: dict[str, Any] = {"program": {"name": "ranking"}, "receivers": ["bank-b"]}
AGES = {bank: {"columns": ["age"]} for bank in BANKS}


def some(stage: Stage, count: int) -> tuple[str, ...]:
    return tuple(stage.ids[f"{bank}.dataset"] for bank in BANKS[:count])


async def computed(stage: Stage, count: int = 3, **parts: Any) -> tuple[MpcSpec, Any]:
    inputs = {bank: AGES[bank] for bank in BANKS[:count]}
    asked = stage.wanted(
        parts={**RANKING, "inputs": inputs, **parts}, kind="mpc", datasets=some(stage, count)
    )
    told = await stage.services.jobs.dry_run(stage.scientist("bank-a"), asked)
    return parse(MpcSpec, told.spec), told


async def contradicted(stage: Stage, field: str, count: int = 3, **parts: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await computed(stage, count, **parts)
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_spec", field)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(("count", "protocol"), [(2, "cheetah"), (3, "aby3")])
async def test_the_protocol_of_a_program_fits_the_number_of_parties(
    stage: Stage, count: int, protocol: str
) -> None:
    spec, told = await computed(stage, count)
    assert (spec.protocol, spec.protection, spec.learners) == (protocol, "peers", ("bank-b",))
    assert spec.engine is not None
    assert (spec.engine.name, spec.min_contributors) == ("spu", count)
    assert told.details["inputs"] == {bank: ["age"] for bank in BANKS[:count]}
    assert told.details["program"]["label"]["adversary"] == "semi-honest"
    notes = [str(note) for note in told.notes]
    assert any("secureflow engine install spu" in note for note in notes)


async def test_an_engines_program_is_estimated_for_as_many_rows_as_there_may_be(
    stage: Stage,
) -> None:
    """Before anybody is asked; owners say how many rows they have only roughly."""
    _, told = await computed(stage)
    estimate = told.details["estimate"]
    assert estimate["rows"] == most_rows("10k-50k") == 50_000
    assert estimate["bytes"] > 50_000 * 32 * 3
    assert estimate["memory_bytes"] > 0
    assert estimate["seconds"] > 0
    for rows in (1, 999, 1000, 70_000, 9_999_999):
        assert rows < most_rows(row_bucket(rows)) <= 10 * max(rows, 1000)
    model = {"name": "logistic", "model": "bank-b"}
    costs = [
        (await computed(stage, 2, program={**model, "output": output}))[1].details["estimate"]
        for output in ("probability", "class")
    ]
    assert costs[0]["bytes"] < costs[1]["bytes"]


async def test_a_limit_below_the_estimate_is_told_before_anybody_is_asked(stage: Stage) -> None:
    _, told = await computed(stage)
    assert not any("limits." in str(note) for note in told.notes)
    _, told = await computed(stage, limits={"seconds": 1, "peer_megabytes": 1})
    low = [str(note) for note in told.notes if "limits." in str(note)]
    assert [one.split(",")[0] for one in low] == [
        "limits.seconds is 1", "limits.peer_megabytes is 1"
    ]  # fmt: skip


async def test_a_member_without_a_dataset_computes_along(stage: Stage) -> None:
    spec, told = await computed(stage, 2, compute=["bank-c"])
    assert (spec.protocol, spec.parties) == ("aby3", BANKS)
    assert [one.dataset for one in spec.roster][2] == ""
    assert spec.side("bank-c").columns == ()
    assert any("must not collude" in str(note) for note in told.notes)


async def test_three_parties_are_no_two_party_protocol(stage: Stage) -> None:
    error = await contradicted(stage, "protocol", protocol="cheetah")
    assert "3" in error.message
    error = await contradicted(stage, "protocol", 2, protocol="aby3")
    assert "2" in error.message
    await contradicted(stage, "protocol", protocol="masked-sum")


async def test_who_takes_part_is_named_and_brings_numbers(stage: Stage) -> None:
    error = await contradicted(stage, "inputs.nobody", inputs={**AGES, "nobody": AGES["bank-a"]})
    assert "nobody" in error.message
    job = {**AGES, "bank-b": {"columns": ["job"]}}
    assert "bank-b" in (await contradicted(stage, "inputs.bank-b", inputs=job)).message
    missing = {bank: AGES[bank] for bank in BANKS[:2]}
    await contradicted(stage, "inputs.bank-c", inputs=missing)
    await contradicted(stage, "receivers", receivers=["nobody"])
    await contradicted(stage, "compute", compute=["bank-a"])
    await contradicted(stage, "privacy", privacy=NOISE)
    with pytest.raises(SecureFlowError) as caught:
        await computed(stage, 2, compute=["outsider"])
    assert (caught.value.code, caught.value.details["party"]) == ("not_a_member", "outsider")


async def test_an_unknown_program_is_told_which_there_are(stage: Stage) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await computed(stage, program={"name": "median"})
    assert (caught.value.code, "ranking" in str(caught.value)) == ("program_unknown", True)


async def test_what_joint_sums_do_not_take_is_refused(stage: Stage) -> None:
    for name, value in (("inputs", AGES), ("compute", ["bank-c"])):
        error = await refused(stage, **{name: value})
        assert (error.code, error.details["field"]) == ("contradictory_spec", name)


PROGRAM = {
    "name": "mpyc", "bundle": {"digest": CODE.digest, "entry": "model.py"}, "arguments": ["@age"],
}  # fmt: skip


async def test_a_program_of_others_needs_its_code_here_and_three_parties(stage: Stage) -> None:
    with pytest.raises(SecureFlowError, match="no bundle") as caught:
        await computed(stage, program=PROGRAM)
    assert "secureflow bundle push" in caught.value.hint
    await upload(stage)
    spec, told = await computed(stage, program=PROGRAM)
    assert (spec.protocol, spec.engine_needed) == ("shamir", ("mpyc", "0.11"))
    assert spec.bundle is not None
    assert spec.bundle.digest == CODE.digest
    notes = [str(note) for note in told.notes]
    assert any("secureflow engine install mpyc" in note for note in notes)
    assert any(CODE.digest in note for note in notes)
    assert not any("one order" in note for note in notes)
    assert told.details["program"]["code"]["arguments"] == ["@age"]
    await contradicted(stage, "protocol", 2, program=PROGRAM)
    taken = {**PROGRAM, "arguments": ["-T0"]}
    assert "MPyC" in (await contradicted(stage, "program.arguments", program=taken)).message


async def test_its_code_is_kept_while_its_job_runs(stage: Stage) -> None:
    stored = await upload(stage)
    inputs = {bank: AGES[bank] for bank in BANKS}
    asked = stage.wanted(
        parts={"program": PROGRAM, "inputs": inputs, "receivers": ["bank-b"]}, kind="mpc"
    )
    await stage.services.jobs.submit(stage.scientist("bank-a"), asked)
    kept = await stage.services.bundles.get(stage.scientist("bank-a"), CODE.digest)
    assert (stored.jobs, len(kept.jobs), kept.expires) == ((), 1, None)


async def test_cells_of_a_csv_are_numbers_categories_and_texts(stage: Stage) -> None:
    await upload(stage)
    inputs = {**AGES, "bank-b": {"columns": ["age", "job"]}}
    spec, _ = await computed(stage, program=PROGRAM, inputs=inputs)
    assert spec.side("bank-b").columns == ("age", "job")
    array = {**PROGRAM, "arguments": [], "input": "rows.npy"}
    error = await contradicted(stage, "inputs.bank-b", program=array, inputs=inputs)
    assert "a number is needed" in error.message


async def test_a_party_that_says_it_has_no_mpyc_is_named_at_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upload(stage)
    has = {"bank-a": {"mpyc": "0.11"}, "bank-b": None, "bank-c": {"spu": "0.9.5"}}
    monkeypatch.setattr(stage.services.jobs._reachability, "engines_of", has.get)
    with pytest.raises(SecureFlowError) as caught:
        await computed(stage, program=PROGRAM)
    assert (caught.value.code, caught.value.details["party"]) == ("engine_absent", "bank-c")
    assert "secureflow engine install mpyc" in caught.value.hint

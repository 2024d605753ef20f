"""Code of others computes a released model: what it sees, what it may say, and who counts it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from peers import scored_jobs
from peers.sandboxes import demand_sandbox
from peers.scored_jobs import COUNT, GOOD, ROSTER, WEIGHTS, scored, source, table
from unit.engines.evaluation.world import specified as evaluated
from unit.engines.prediction.world import specified as predicted

from secureflow.agent.compute import predicted_outputs
from secureflow.engines.evaluation.plan import party_sums
from secureflow.engines.training.foreign_outputs import outputs_from
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _confined() -> None:
    demand_sandbox("root" if os.geteuid() == 0 else "ordinary")


def inputs() -> Any:
    columns = table()
    return np.stack([columns["age"], columns["debt"]], axis=1) / 3


def said(form: str) -> Any:
    """What the good code says, computed here."""
    made: dict[str, Any] = {}
    exec(scored_jobs.source(GOOD[form]), made)
    rows = {"inputs": inputs().astype("f4")}
    return made["Model"]({}, 0).predict({"w": WEIGHTS}, rows).astype("f4")


def labels(form: str) -> Any:
    columns = table()
    if form == "number":
        return ((columns["price"] - 20) / 20).astype("f4")
    place = np.array([scored_jobs.CLASSES.index(one) for one in columns["income"]])
    return (place == 2 if form == "binary" else place).astype("f4")


@pytest.mark.parametrize("form", ["binary", "number"])
async def test_sums_are_those_of_what_the_code_says(form: str, tmp_path: Path) -> None:
    spec = evaluated(ROSTER, models=[scored(form)])
    async with scored_jobs.place(tmp_path / "agent", source(GOOD[form]), spec) as at:
        found = await at.ask()
    outputs = outputs_from(spec.models[0].features.label, said(form))
    assert found == party_sums(spec, 1, "bank-a", outputs, labels(form)).tolist()
    assert at.own.calls == ["rows", "count"]


async def test_predictions_are_what_the_code_says(tmp_path: Path) -> None:
    """With and without somebody who gets the files: they are the same."""
    form = "classes"
    spec = predicted(ROSTER, model=scored(form), outputs=["predicted", "probability", "score"])
    async with scored_jobs.place(tmp_path / "agent", source(GOOD[form]), spec) as at:
        assert await at.ask() == [COUNT, 0]
        found = pq.read_table(at.job / "update")
    chances = said(form)
    assert found.column_names[1:] == list(spec.titles)
    for place, title in enumerate(spec.titles[1:4]):
        np.testing.assert_allclose(found[title].to_numpy(), chances[:, place], atol=1e-6)
    likeliest = np.array(scored_jobs.CLASSES)[chances.argmax(axis=1)]
    assert found["predicted"].to_pylist() == likeliest.tolist()


SEES = """
told = {name: [one.dtype.name, list(one.shape), bool(one.flags.writeable)]
        for name, one in rows.items()}
print(json.dumps([told, sorted(weights), self.settings, self.seed, sorted(os.listdir("/bundle")),
                  sorted(os.listdir("/rows"))]))
with open("/rows/rows", "rb") as file:
    print(json.dumps(sorted(json.loads(file.read(int.from_bytes(file.read(8), "little"))))))
weights["w"] += 1
return np.full(len(rows["inputs"]), 0.5)
"""


async def test_the_code_sees_inputs_and_nothing_that_it_could_repeat(tmp_path: Path) -> None:
    for kind, spec in (
        ("evaluation", evaluated(ROSTER, models=[scored()])),
        ("prediction", predicted(ROSTER, model=scored())),
    ):
        async with scored_jobs.place(tmp_path / kind, source(SEES), spec) as at:
            await at.ask()
            first, second = at.log.splitlines()
        told, *others = json.loads(first)
        assert told == {"inputs": ["float32", [COUNT, 2], False]}
        assert others == [["w"], {"k": 2}, 5, ["model.py"], ["rows"]]
        assert json.loads(second) == ["rows/inputs"]


LEAKS = "raise ValueError(f'the first row is {rows[\"inputs\"][0]}')"
BAD: dict[str, tuple[str | None, str, str]] = {
    "it raises": (LEAKS, "bundle_failed", "a method raised an exception"),
    "no number": ("return np.full(60, np.nan)", "bundle_output_refused", "is not finite"),
    "it hangs": ("time.sleep(60)", "bundle_silent", "within its limit of time"),
    "it dies": ("os._exit(0)", "bundle_died", "ended without an answer"),
}


@pytest.mark.parametrize("name", BAD)
async def test_what_code_does_wrong_leaves_nothing_that_counts(name: str, tmp_path: Path) -> None:
    body, code, words = BAD[name]
    spec = evaluated(ROSTER, models=[scored(seconds=1 if name == "it hangs" else 20)])
    async with scored_jobs.place(tmp_path / "agent", source(body), spec) as at:
        with pytest.raises(SecureFlowError) as caught:
            await at.ask()
        assert not at.file.exists()
        assert at.workers._jobs[scored_jobs.JOB].process is None
    assert (caught.value.code, words in caught.value.message) == (code, True)
    assert "first row" not in str(caught.value)
    assert ("first row" in at.log) is (body == LEAKS)
    assert "count" not in at.own.calls


async def test_a_class_that_does_not_predict_is_found_before_it_could_see_rows(
    tmp_path: Path,
) -> None:
    spec = predicted(ROSTER, model=scored())
    async with scored_jobs.place(tmp_path / "agent", source(None), spec) as at:
        with pytest.raises(SecureFlowError, match="no method predict") as caught:
            await at.ask()
    assert "Add predict(self, weights, rows)" in caught.value.hint
    assert at.own.calls == []


async def test_of_no_rows_code_is_not_asked(tmp_path: Path) -> None:
    """Libraries raise at an empty table, and an owner may have no row that its keys hold out."""
    spec = evaluated(ROSTER, models=[scored()])
    at_all = scored_jobs.place(tmp_path / "agent", source("raise OSError"), spec, count=0)
    async with at_all as at:
        assert sum(await at.ask()) == 0
    assert at.own.calls == ["count"]
    whole = predicted(ROSTER, model=scored())
    async with scored_jobs.place(tmp_path / "b", source("raise OSError"), whole, count=0) as at:
        assert await at.ask() == [0, 0]


DRAWS = "print('asked', flush=True); return np.random.default_rng().random(len(rows['inputs']))"


async def test_a_repeated_request_gets_what_the_code_said_first(tmp_path: Path) -> None:
    """Two sums of one round would show what they differ by, and its mask is the same."""
    spec = evaluated(ROSTER, models=[scored()])
    async with scored_jobs.place(tmp_path / "agent", source(DRAWS), spec) as at:
        first = await at.ask()
        assert await at.ask() == first
        kept = at.file.read_bytes()
    async with scored_jobs.place(tmp_path / "agent", source(DRAWS), spec) as again:
        assert await again.ask() == first  # as of an agent that was started again
        assert again.file.read_bytes() == kept
        assert again.log.count("asked") == 1
        again.file.write_bytes(kept[:-4])  # it was not written whole
        assert await again.ask() != first
        assert again.log.count("asked") == 2


@pytest.mark.parametrize("ends", ["raise OSError", "os._exit(0)"])
async def test_code_that_failed_is_not_asked_again(ends: str, tmp_path: Path) -> None:
    """The centre may repeat a request: failing by the time of day could tell it every row."""
    spec = predicted(ROSTER, model=scored())
    body = f"print('asked', flush=True); {ends}"
    codes, asked = [], []
    for _ in range(2):  # as of an agent that was started again
        async with scored_jobs.place(tmp_path / "agent", source(body), spec) as at:
            for _ in range(2):
                with pytest.raises(SecureFlowError) as caught:
                    await at.ask()
                codes.append(caught.value.code)
                asked.append(at.log.splitlines().count("asked"))
    died = ends != "raise OSError"
    assert codes == ["bundle_died" if died else "bundle_failed"] * 4
    assert asked == [1 + died] * 4  # one that died is asked once more
    assert "failed before" in caught.value.message
    assert chinese(caught.value.message) is not None


KEEPS = """
import model
model.calls = getattr(model, "calls", 0) + 1
return np.full(len(rows["inputs"]), 0.1 * model.calls)
"""


async def test_each_model_has_a_process_of_its_own(tmp_path: Path) -> None:
    spec = evaluated(ROSTER, models=[scored()])
    async with scored_jobs.place(tmp_path / "agent", source(KEEPS), spec) as at:
        first = await at.ask()
        at.file.unlink()
        assert await at.ask() == first


@pytest.mark.parametrize("claims", [COUNT - 1, predicted_outputs.MOST])
async def test_a_worker_that_counts_wrong_ends_the_job(claims: int, tmp_path: Path) -> None:
    """As many bytes are read as its own count allows, and there is a limit to that."""
    spec = evaluated(ROSTER, models=[scored()])
    at_all = scored_jobs.place(tmp_path / "agent", source(GOOD["binary"]), spec, claims=claims)
    async with at_all as at:
        with pytest.raises(SecureFlowError) as caught:
            await at.ask()
    wanted = "too_large" if claims == predicted_outputs.MOST else "bundle_output_refused"
    assert caught.value.code == wanted


async def test_a_cancelled_step_leaves_nothing_that_counts(tmp_path: Path) -> None:
    spec = evaluated(ROSTER, models=[scored()])
    body = "print('asked', flush=True); time.sleep(60)"
    async with scored_jobs.place(tmp_path / "agent", source(body), spec) as at:
        asking = asyncio.create_task(at.ask())
        async with asyncio.timeout(60):
            while "asked" not in at.log:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not at.file.exists()

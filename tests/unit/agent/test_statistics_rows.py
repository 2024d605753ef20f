"""The worker's half of a statistics job, with OpenDP on a real file: whose rows count, how many.

The noise is as small as the spec allows, so that wrong counting shows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers.pictures import by_class
from peers.statistics import statistics_value

from secureflow.adapters.datasources import SourceLimits
from secureflow.agent.compute.columns import declared as declared_as
from secureflow.agent.compute.statistics_rows import columns_read
from secureflow.agent.compute.worker import Worker
from secureflow.agent.compute.workers import Workers
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.statistics.layout import UNIT
from secureflow.kit.errors import SecureFlowError

COUNT = [{"name": "rows", "measure": "count"}]
SUM = [*COUNT, {"name": "ages", "measure": "sum", "column": "age"}]
QUIET = {"delta": 1e-6, "noise_multiplier": 0.1, "noise": "party"}
"""σ is a tenth of what one unit moves: a tenth of a row, of two rows, …"""
PEOPLE, VISITS = 300, 5
PERSON = DatasetPrivacy("visits", 5.0, 1e-5, "person", person="patient", rows_per_person=2)


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    """Three hundred people with five rows of age 50 each; some rows are of nobody."""
    rows = [f"50,p{person}" for person in range(PEOPLE) for _ in range(VISITS)]
    (tmp_path / "visits.csv").write_text("\n".join(["age,patient", *rows]) + "\n")
    columns = (ColumnConfig("age", "number", bounds=(0.0, 100.0)),)
    return DatasetConfig("visits", str(tmp_path / "visits.csv"), "csv", columns)


def spec(queries: Any = COUNT, **changes: Any) -> dict[str, Any]:
    privacy = {**QUIET, **changes.pop("privacy", {})}
    return statistics_value(queries, privacy, kind="statistics", **changes)


def counted(dataset: DatasetConfig, value: dict[str, Any]) -> list[float]:
    """Prepare and ask once; sums in rows."""
    worker = Worker(SourceLimits())
    told = worker.prepare("job_1", value, dump(dataset), "00" * 32)
    assert (told["rows"], told["validation"]) == (0, 0)
    answer = worker.compute("statistics", "job_1")
    assert answer["seconds"] >= 0
    assert all(type(one) is int for one in answer["sums"])
    return [one / UNIT for one in answer["sums"]]


def test_counting_needs_no_column(dataset: DatasetConfig) -> None:
    (rows,) = counted(dataset, spec())
    assert rows == pytest.approx(PEOPLE * VISITS, abs=1)


def test_only_so_many_rows_of_a_person_count(dataset: DatasetConfig) -> None:
    asked = spec(SUM, privacy={"unit": "person"}, contributions=4)
    rows, ages = counted(replace(dataset, privacy=PERSON), asked)
    assert rows == pytest.approx(PEOPLE * 2, abs=4)  # the owner's bound, though the spec has room
    assert ages == pytest.approx(PEOPLE * 2 * 0.5, abs=4)


def test_the_spec_caps_what_an_owner_allows(dataset: DatasetConfig) -> None:
    """An agent refuses such a job; should it not, the noise must still fit."""
    asked = spec(privacy={"unit": "person"}, contributions=1)
    (rows,) = counted(replace(dataset, privacy=PERSON), asked)
    assert rows == pytest.approx(PEOPLE, abs=1)


def test_rows_of_nobody_do_not_count(dataset: DatasetConfig) -> None:
    path = Path(dataset.path)
    path.write_text(path.read_text() + "50,\n" * 100)
    asked = spec(privacy={"unit": "person"}, contributions=2)
    (rows,) = counted(replace(dataset, privacy=PERSON), asked)
    assert rows == pytest.approx(PEOPLE * 2, abs=2)


def test_a_declared_column_may_tell_the_person(dataset: DatasetConfig) -> None:
    """Age is the same for everybody here: one person, of two rows."""
    privacy = replace(PERSON, person="age")
    asked = spec(SUM, privacy={"unit": "person"}, contributions=2)
    rows, ages = counted(replace(dataset, privacy=privacy), asked)
    assert (rows, ages) == (pytest.approx(2, abs=2), pytest.approx(1, abs=2))


def test_a_person_column_that_is_not_there_is_named(dataset: DatasetConfig) -> None:
    asked = spec(privacy={"unit": "person"})
    with pytest.raises(SecureFlowError) as caught:
        counted(replace(dataset, privacy=replace(PERSON, person="customer")), asked)
    assert (caught.value.code, caught.value.details["column"]) == ("schema_mismatch", "customer")


def test_each_draw_is_another(dataset: DatasetConfig) -> None:
    worker = Worker(SourceLimits())
    worker.prepare("job_1", spec(), dump(dataset), "00" * 32)
    drawn = {worker.compute("statistics", "job_1")["sums"][0] for _ in range(5)}
    assert len(drawn) == 5


def test_a_contradictory_spec_reads_nothing(dataset: DatasetConfig) -> None:
    Path(dataset.path).unlink()
    with pytest.raises(SecureFlowError) as caught:
        counted(dataset, spec(privacy={"unit": "party"}))
    assert caught.value.code == "contradictory_spec"


@pytest.mark.slow
async def test_a_worker_that_died_draws_again_on_the_same_rows(dataset: DatasetConfig) -> None:
    workers = await Workers.start()
    try:
        await workers.prepare("job_1", spec(), dataset)
        first = await workers.compute("job_1", "statistics")
        process = workers._jobs["job_1"].process
        assert process is not None
        await process.kill()
        again = await workers.compute("job_1", "statistics")
    finally:
        await workers.stop()
    rows = np.array([first["sums"][0], again["sums"][0]]) / UNIT
    assert rows == pytest.approx([PEOPLE * VISITS] * 2, abs=1)
    assert first["sums"] != again["sums"]


def test_rows_of_images_are_counted_without_decoding_one(tmp_path: Path) -> None:
    """A broken image is a row like any: nothing of it may show in a count."""
    declared = by_class(tmp_path / "pets", 20)
    (tmp_path / "pets" / "cat" / "0000.png").write_bytes(b"")
    (rows,) = counted(declared, spec())
    assert rows == pytest.approx(40, abs=1)
    one = DatasetConfig("pets", declared.path, "images", (declared.columns[0],))
    assert counted(one, spec())[0] == pytest.approx(40, abs=1)
    value = SPEC_KINDS.parse(spec())
    assert columns_read(value, declared) == ("label",)
    assert columns_read(value, one) == ("image",)


def test_an_image_has_no_mean_at_the_agent_either(tmp_path: Path) -> None:
    declared = by_class(tmp_path / "pets")
    with pytest.raises(SecureFlowError) as caught:
        declared_as(declared, "image", {"number"})
    assert (caught.value.code, "'image'" in caught.value.message) == ("column_not_granted", True)
    assert "is declared as image" in caught.value.message

"""A job gets the file that was published, or nothing: no row is read, no budget is charged."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, World
from peers.pictures import by_class, png
from peers.statistics_world import StatisticsWorld

from secureflow.adapters.datasources import SourceLimits, dataset_commitment
from secureflow.adapters.datasources.image_folder import ImageFolderSource
from secureflow.agent.compute.worker import Worker
from secureflow.agent.owner.publications import Publication, declaration
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit.errors import SecureFlowError
from tests.unit.agent.test_worker import SALT, SPEC

BUDGET = {"domain": "customers", "epsilon": 5.0, "delta": 1e-5}
PRIVATE = {
    "plan": {"rounds": 3, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000},
}
FILES = ("", "age,job,income\n41,x,low\n7,y", "no table at all", "age,job,income\n999,q,?\n")


def training(directory: Path) -> World:
    return World(directory, privacy=BUDGET, spec_changes=PRIVATE)


def statistics(directory: Path) -> World:
    return StatisticsWorld(directory)


async def begin(world: World) -> None:
    """Bring an approved job to where it would read rows."""
    if isinstance(world, StatisticsWorld):
        await world.ask("setup", world.body())
    else:
        await world.admit()


async def refusal(world: World, doing: Any) -> dict[str, Any]:
    with pytest.raises(SecureFlowError) as caught:
        await doing
    told = caught.value.as_json()
    assert told["code"] in {"dataset_changed", "dataset_unreadable", "dataset_not_published"}
    return told


@pytest.mark.slow
@pytest.mark.parametrize("make", [training, statistics])
async def test_another_file_is_refused_before_a_row_is_read_and_costs_nothing(
    tmp_path: Path, make: Any
) -> None:
    world = make(tmp_path / "a")
    world.record(await world.ask("consent", world.consent_body()))
    before = world.store.budget_events("customers")
    told = []
    for text in FILES:
        world.data.write_text(text)
        told.append(await refusal(world, begin(world)))
    assert all(one == told[0] for one in told)  # the same words whatever is in the file
    world.data.unlink()
    assert (await refusal(world, begin(world)))["code"] == "dataset_unreadable"
    assert world.worker.calls == []
    assert world.store.budget_events("customers") == before
    assert world.store.leaves_of("budget") == []
    world.publish()  # the same file is back
    await begin(world)
    assert world.worker.calls == ["check"]


async def test_a_file_that_is_published_after_the_approval_is_not_what_was_approved(
    tmp_path: Path,
) -> None:
    world = training(tmp_path)
    world.record(await world.ask("consent", world.consent_body()))
    world.publish("age,job,income\n7,y,high\n")
    await refusal(world, begin(world))
    assert world.worker.calls == []


async def test_an_agent_that_starts_again_in_the_middle_reads_the_same_file_or_none(
    tmp_path: Path,
) -> None:
    world = training(tmp_path)
    await world.admitted()
    await world.round(1)
    original = world.data.read_text()
    world.data.write_text(original + "7,y,high\n")
    await world.round(2)  # what was loaded is what the job goes on with
    world.reopen()
    calls, number = list(world.worker.calls), 3
    await refusal(world, world.ask("train", world.train_body(number)))
    assert world.worker.calls == calls
    world.data.write_text(original)
    await world.round(number)


async def test_what_is_not_published_is_asked_for_in_vain(tmp_path: Path) -> None:
    world = training(tmp_path)
    with world.store.transaction():
        world.store.set_fact("dataset/customers", None)
    await refusal(world, world.ask("consent", world.consent_body()))
    assert world.store.job(JOB) is None


# The worker: what it read is what was committed to.


@pytest.fixture
def dataset(tmp_path: Path) -> DatasetConfig:
    path = tmp_path / "clients.csv"
    path.write_text("x,kind,y\n" + "1.5,a,0\n2.5,b,1\n" * 20)
    columns = (
        ColumnConfig("x", "number", bounds=(-10, 10)),
        ColumnConfig("kind", "category", ("a", "b")),
        ColumnConfig("y", "category", ("0", "1")),
    )
    return DatasetConfig("clients", str(path), "csv", columns)


@pytest.mark.parametrize("text", ["", "x,kind\n", "x,kind,y\n99,a,0\n", "x,kind,y\n1,a,0\n"])
def test_a_file_that_changes_while_it_is_read_says_nothing_else(
    dataset: DatasetConfig, text: str
) -> None:
    worker, path = Worker(SourceLimits()), Path(dataset.path)
    commitment = dataset_commitment(path, SALT)
    job = ("job", dump(SPEC), dump(dataset), SALT.hex())
    assert worker.prepare(*job, commitment)["rows"] > 0
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(SecureFlowError) as caught:
            worker.prepare(*job, commitment)
        assert caught.value.code == "dataset_changed"
        with pytest.raises(SecureFlowError) as caught:
            worker.compute("moments", "job")  # and its rows are gone
        assert caught.value.code == "job_not_prepared"


def test_a_file_that_is_still_written_is_not_published(
    dataset: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secureflow.adapters.datasources.csv_file import CsvSource

    describe = CsvSource.describe

    def slowly(source: CsvSource) -> Any:
        found = describe(source)
        with Path(dataset.path).open("a") as file:
            file.write("3.5,a,0\n")
        return found

    monkeypatch.setattr(CsvSource, "describe", slowly)
    with pytest.raises(SecureFlowError) as caught:
        Worker(SourceLimits()).describe(dump(dataset), SALT.hex())
    assert caught.value.code == "dataset_changed"


def test_the_same_file_keeps_its_commitment(dataset: DatasetConfig) -> None:
    worker, fresh = Worker(SourceLimits()), "11" * 32
    first = worker.describe(dump(dataset), SALT.hex())
    known = [first["salt"], first["commitment"]]
    assert worker.describe(dump(dataset), fresh, known) == first
    with Path(dataset.path).open("a") as file:
        file.write("3.5,a,0\n")
    other = worker.describe(dump(dataset), fresh, known)
    assert (other["salt"], other["commitment"] != first["commitment"]) == (fresh, True)


@pytest.mark.parametrize("change", ["a byte", "a file more", "a file less", "a link", "nothing"])
def test_a_folder_of_images_is_committed_to_as_a_whole(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "pets"
    declared = by_class(folder)
    found = Worker(SourceLimits()).describe(dump(declared), SALT.hex())
    assert (found["rows"], found["bucket"]) == (4, "<1k")
    assert "path" not in str(found["columns"])
    publication = Publication(declared, found["salt"], found["commitment"])
    publication.check_file()
    picture = folder / "cat" / "0000.png"
    data = picture.read_bytes()
    if change == "a byte":
        picture.write_bytes(data[:-1] + b"x")
    elif change == "a file more":
        (folder / "cat" / "more.png").write_bytes(data)
    elif change == "a file less":
        picture.unlink()
    elif change == "a link":
        picture.rename(tmp_path / "there.png")
        picture.symlink_to(tmp_path / "there.png")
    else:
        picture.write_bytes(data)
        publication.check_file()
        return
    with pytest.raises(SecureFlowError) as caught:
        publication.check_file()
    assert caught.value.code == "dataset_changed"
    shutil.rmtree(folder)
    with pytest.raises(SecureFlowError) as caught:
        publication.check_file()
    assert caught.value.code == "dataset_unreadable"


def test_a_folder_that_is_written_to_is_not_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = by_class(tmp_path / "pets")
    worker, read = Worker(SourceLimits()), ImageFolderSource.describe

    def describe(source: ImageFolderSource) -> Any:
        found = read(source)
        (tmp_path / "pets" / "cat" / "0000.png").write_bytes(png(9))
        return found

    monkeypatch.setattr(ImageFolderSource, "describe", describe)
    with pytest.raises(SecureFlowError) as caught:
        worker.describe(dump(declared), SALT.hex())
    assert caught.value.code == "dataset_changed"


def test_another_index_is_another_declaration(tmp_path: Path) -> None:
    by_folder = by_class(tmp_path / "pets")
    before = declaration(by_folder)
    assert before["reading"] == {"format": "images", "missing": [""], "person": None}
    assert declaration(replace(by_folder, index="a.csv")) != before
    wider = replace(by_folder.columns[0], fit="resize")
    assert declaration(replace(by_folder, columns=(wider, by_folder.columns[1]))) != before

"""What people do with a running platform: train by the SDK, refuse, cancel, resume, predict.

One platform of three banks with a few hundred rows each; every owner is asked for consent.
"""

from __future__ import annotations

import asyncio
import importlib.util
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from peers.pictures import by_class
from safetensors.numpy import save

from secureflow import simulate
from secureflow.agent import api
from secureflow.demo.data import LABEL, columns_of
from secureflow.demo.platform import Platform
from secureflow.demo.play import consent
from secureflow.demo.processes import stop_all
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.families import MlpModel
from secureflow.domain.specs.inputs import ImageFeature
from secureflow.domain.specs.sklearn_families import SgdClassifierModel
from secureflow.domain.specs.split import KeySplit
from secureflow.domain.specs.targets import ClassesLabel, Label
from secureflow.domain.specs.training import (
    FeatureSpec,
    NumericFeature,
    Release,
    Resume,
    TrainingPlan,
    TrainingSpec,
)
from secureflow.engines.preparation import validation_parts
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import AsyncClient
from tests.scenarios.owners import agreeable_owners, declared, waiting_item
from tests.survival.world import (
    ROOT,
    await_end,
    check_story,
    own_entries,
    platform,
    rehearsal,
    training,
    verified,
)

JSON = Any
FULL = pytest.mark.full
PUBLIC = TrainingPlan(rounds=3, batch_size=64, local_epochs=2, validation=0.2, order="public")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("scenarios") / "p"
    with platform(directory, mortal=False, policy="") as built:
        yield built


def run(place: Platform, request: Any) -> Any:
    with place.client("bank-a") as client:
        job = client.jobs.submit(request)
        consent(place, job.id)
        ended = await_end(client, job.id)
    assert ended.state == "succeeded", ended.error
    return ended


def test_the_example_trains_a_model_that_predicts(place: Platform) -> None:
    found = importlib.util.spec_from_file_location("train", ROOT / "examples" / "train.py")
    assert found is not None
    assert found.loader is not None
    example = importlib.util.module_from_spec(found)
    found.loader.exec_module(example)
    clients = [place.client(party) for party in place.parties]
    with agreeable_owners(place):
        model = example.train(clients[0], clients)
    for client in clients:
        client.close()
    rows = columns_of(pq.read_table(place.directory / "data" / "share-1.parquet"))
    scores = model.predict_proba(rows)
    assert scores.shape == (300, 2)
    assert ((scores[:, 1] > 0.5) == (rows[LABEL.column] == LABEL.positive)).mean() > 0.6


def test_the_example_of_the_readme_runs(
    place: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    owner, rows = place.parties["bank-a"], place.directory / "data" / "share-1.parquet"
    words = [place.url, place.ca, owner.party, place.project, rows]
    monkeypatch.setattr(sys, "argv", ["quickstart.py", *map(str, words)])
    monkeypatch.setattr("getpass.getpass", lambda: owner.password)
    with agreeable_owners(place):
        runpy.run_path(str(ROOT / "examples" / "quickstart.py"))
    assert "'auc': " in capsys.readouterr().out


@pytest.mark.full
@pytest.mark.parametrize(
    ("example", "label", "figure"),
    [("classes", "marital-status", "accuracy"), ("regression", "hours-per-week", "mae")],
)
def test_the_examples_of_other_targets_run(
    place: Platform,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    example: str,
    label: str,
    figure: str,
) -> None:
    """Softmax under masks, a network sealed: over real links, with consent of every owner."""
    owner, rows = place.parties["bank-a"], place.directory / "data" / "share-1.parquet"
    words = [place.url, place.ca, owner.party, place.project, rows, label]
    monkeypatch.setattr(sys, "argv", [f"{example}.py", *map(str, words)])
    monkeypatch.setattr("getpass.getpass", lambda: owner.password)
    with agreeable_owners(place):
        ended = runpy.run_path(str(ROOT / "examples" / f"{example}.py"))
    assert f"'{figure}': " in capsys.readouterr().out
    table = columns_of(pq.read_table(rows))
    model = ended.get("trained") or ended["model"]
    predicted = model.predict(table)
    if label == "marital-status":
        assert ended["report"]["kept_round"] in range(1, 7)
        assert (predicted == table[label]).mean() > 0.4
    else:
        assert np.abs(predicted - table[label]).mean() < 20


def test_a_job_starts_from_uploaded_weights_and_sends_half_the_bytes(
    place: Platform, tmp_path: Path
) -> None:
    request, plan = training(place), TrainingPlan(rounds=1, learning_rate=1e-6)
    with place.client("bank-a") as client:
        spec = parse(TrainingSpec, client.jobs.dry_run(request).spec)
        arrays = {one.name: np.full(one.shape, 0.25, np.float32) for one in spec.tensors}
        (tmp_path / "start.safetensors").write_bytes(bytes(save(arrays)))
        found = client.models.upload(tmp_path / "start.safetensors", request.project)
        asked = replace(request, plan=plan, initial=found.initial, wire="bfloat16")
        ended = run(place, asked)
        weights = client.models.load((ended.report or {})["model"]["id"]).parameters
    assert np.allclose(weights, 0.25, atol=1e-3)  # one small step away from where it started
    assert not (weights == np.float32(0.25)).all()
    check_story(place, ended)


async def test_the_asynchronous_client_does_the_same(place: Platform) -> None:
    owner = place.parties["bank-a"]
    async with AsyncClient(place.url, ca=place.ca) as client:
        await client.login(owner.party, owner.password)
        job = await client.jobs.submit(training(place))
        await asyncio.to_thread(consent, place, job.id)
        kinds = [event.kind async for event in client.jobs.watch(job.id)]
        assert kinds.count("round") == 2
        assert kinds[-1] == "done"
        report = await client.jobs.report(job.id)
        model = await client.models.load(report["model"]["id"])
        assert [one.id async for one in client.models.list(job=job.id)] == [report["model"]["id"]]
    assert model.card["digest"] == report["model"]["digest"]


def test_predictions_are_those_of_the_agents(place: Platform) -> None:
    """The agents' evaluation of the final model, bank by bank, made again by the SDK."""
    plan = TrainingPlan(rounds=3, batch_size=64, validation=0.3, order="public", draws="words")
    report = run(place, training(place, plan)).report
    with place.client("bank-b") as client:
        model = client.models.load(report["model"]["id"])
    hits, losses, total = 0, 0.0, 0
    for path in sorted((place.directory / "data").glob("*.parquet")):
        rows = columns_of(pq.read_table(path))
        _, chosen = validation_parts(plan, len(rows["age"]), b"")
        held_out = {name: values[chosen] for name, values in rows.items()}
        truth = held_out[LABEL.column] == LABEL.positive
        log_odds = model.log_odds(held_out).astype(np.float64)
        hits += int((model.predict(held_out) == truth).sum())
        losses += float(np.logaddexp(0.0, np.where(truth, -log_odds, log_odds)).sum())
        total += len(truth)
    assert report["metrics"]["rows"] == total
    assert report["metrics"]["accuracy"] == pytest.approx(hits / total, abs=1e-6)
    assert report["metrics"]["loss"] == pytest.approx(losses / total, abs=1e-5)


@pytest.mark.parametrize("protection", [pytest.param("sealed", marks=FULL), "sealed+secagg"])
def test_a_simulation_gives_the_model_of_the_platform(place: Platform, protection: str) -> None:
    asked = training(place, PUBLIC, protection=protection)
    simulated, report = in_both(place, asked, sorted(place.directory.glob("data/share-*.parquet")))
    for mine, theirs in zip(simulated.history, report["history"], strict=True):
        assert {**mine, "seconds": 0} == {
            name: 0 if name == "seconds" else value
            for name, value in theirs.items()
            if name != "survivors"
        }


@pytest.mark.full
def test_scikit_learn_trains_on_the_platform_as_in_a_simulation(place: Platform) -> None:
    asked = training(place, PUBLIC, model=SgdClassifierModel("sgd_classifier"))
    in_both(place, asked, sorted(place.directory.glob("data/share-*.parquet")))


@pytest.mark.full
def test_a_network_trains_on_folders_of_images(place: Platform, tmp_path: Path) -> None:
    """Published and granted by their three owners; the simulation reads the same folders."""
    folders, scans = [tmp_path / party for party in place.parties], []
    with ExitStack() as stack:
        for owner, folder in zip(place.parties.values(), folders, strict=True):
            dataset = replace(by_class(folder, 30), name="scans")
            stack.enter_context(declared(owner.config, dataset))
            published = api.data_publish(owner.config, "scans", "Scans")["id"]
            with place.client(owner.party) as client:
                client.datasets.grant(published, place.project, purposes=[place.purpose])
            scans.append(published)
        features = FeatureSpec(
            label=ClassesLabel("label", ("cat", "dog")), images=(ImageFeature("image", (4, 6, 3)),)
        )
        more: Any = {"datasets": tuple(scans), "features": features}
        in_both(place, training(place, PUBLIC, model=MlpModel("mlp", hidden=(5,)), **more), folders)


def loans(path: Path, key: str | None) -> DatasetConfig:
    columns = (
        ColumnConfig("x", "number", bounds=(0, 1)),
        ColumnConfig("y", "category", ("no", "yes")),
    )
    return DatasetConfig("loans", str(path), "csv", columns, key=key)


def write_loans(path: Path, order: list[int]) -> None:
    """Write two rows of each of sixty persons."""
    rows = [f"person-{at // 2},{at / 120:.4f},{'yes' if at % 5 > 1 else 'no'}" for at in range(120)]
    path.write_text("\n".join(["person,x,y", *(rows[at] for at in order)]) + "\n")


@pytest.mark.full
def test_folds_hold_every_person_out_once_whatever_happens_in_between(
    place: Platform, tmp_path: Path
) -> None:
    """Agents restart and files are written anew: nobody is in both folds or in none."""
    paths = [tmp_path / f"{party}.csv" for party in place.parties]
    ids: list[str] = []

    def publish(key: str | None, stack: ExitStack) -> None:
        for owner, path in zip(place.parties.values(), paths, strict=True):
            stack.enter_context(declared(owner.config, loans(path, key)))
            ids.append(api.data_publish(owner.config, "loans", "Loans")["id"])
            with place.client(owner.party) as client:
                client.datasets.grant(ids[-1], place.project, purposes=[place.purpose])

    def fold(number: int) -> Any:
        plan = TrainingPlan(
            rounds=2, split=KeySplit("key", 2, number), keep="best", metric="accuracy"
        )
        features = FeatureSpec(Label("y", "yes"), (NumericFeature("x", (0.0, 1.0)),))
        return training(place, plan, datasets=tuple(ids), features=features)

    for path in paths:
        write_loans(path, list(range(120)))
    with ExitStack() as stack:
        publish(None, stack)
        with place.client("bank-a") as client, pytest.raises(SecureFlowError) as refused:
            client.jobs.dry_run(fold(0))
        assert refused.value.code == "key_undeclared"
    ids.clear()
    with ExitStack() as stack:
        publish("person", stack)
        first = run(place, fold(0)).report
        agents = [name for name in place.processes if name in place.parties]
        assert len(agents) == 3
        stop_all([place.processes[name] for name in agents])
        for name in agents:
            place.start(name)
        for owner, path in zip(place.parties.values(), paths, strict=True):
            write_loans(path, list(range(119, -1, -1)))
            api.data_publish(owner.config, "loans", "Loans")
        second = run(place, fold(1)).report
    assert first["metrics"]["rows"] + second["metrics"]["rows"] == 360
    assert 0 < first["metrics"]["rows"] < 360
    assert all(one["metrics"]["rows"] % 2 == 0 for one in (first, second))
    assert first["chosen_by"] == second["chosen_by"] == "accuracy"
    assert first["metrics"]["accuracy"] >= first["history"][1]["accuracy"]


def in_both(place: Platform, asked: Any, data: list[Path]) -> Any:
    """Run a job on the platform and in a simulation, which must tell the same; return both."""
    report = run(place, asked).report
    simulated = simulate(dump(asked), data)
    assert simulated.digest == report["model"]["digest"]
    assert dict(simulated.metrics) == report["metrics"]
    return simulated, report


@pytest.mark.parametrize("intermediate", [pytest.param("operator", marks=FULL), "agents"])
def test_who_reads_intermediate_models(place: Platform, intermediate: str) -> None:
    plan = TrainingPlan(rounds=3, batch_size=64)
    job = run(place, training(place, plan, release=Release(intermediate=intermediate)))  # type: ignore[arg-type]
    with place.client("bank-a") as client:
        bundle = client.jobs.bundle(job.id)
        final = client.models.load(job.report["model"]["id"])
    closed = [
        entry["document"]
        for entry in own_entries(bundle, job.id)
        if entry["leaf"]["leaf"]["kind"] == "round.closed"
    ]
    models = {one["round"]: one["release"]["model"] for one in closed if one["stage"] == "train"}
    stored = {path.name for path in (place.server / "artifacts").rglob("*") if path.is_file()}
    readable = {number for number, digest in models.items() if digest in stored}
    assert readable == ({1, 2, 3} if intermediate == "operator" else {3})
    assert final.card["digest"] == models[3]
    check_story(place, job)


def test_cancelled_while_owners_are_asked(place: Platform) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place))
        waiting_item(place, "bank-b", job.id)
        client.jobs.cancel(job.id)
        ended = await_end(client, job.id)
    assert ended.state == "cancelled"
    for owner in place.parties.values():
        items = api.inbox_list(owner.config, waiting=False)
        assert {item["state"] for item in items if item["job"] == job.id} <= {"withdrawn"}


@pytest.mark.parametrize("by", ["a person", pytest.param("a freeze of the project", marks=FULL)])
def test_cancelled_while_it_runs(place: Platform, by: str) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(rehearsal(place, tuple(place.parties), 1000, 30.0))
        consent(place, job.id)
        next(event for event in client.jobs.watch(job.id) if event.kind == "round")
        if by == "a person":
            client.jobs.cancel(job.id)
            why = "was cancelled."
        else:
            client.projects.freeze(job.project, "a review")
            why = f"its project {job.project} was frozen."
        ended = await_end(client, job.id)
        with pytest.raises(SecureFlowError) as told:
            client.jobs.wait(job.id)
        client.projects.thaw(job.project)
        leaves = own_entries(client.jobs.bundle(job.id), job.id)
        received = client.projects.received(job.project).items
    assert ended.state == "cancelled"
    assert (told.value.code, told.value.message.endswith(why)) == ("cancelled", True)
    (reason,) = (one["document"]["reason"] for one in leaves
                 if one["leaf"]["leaf"]["kind"] == "job.finished")  # fmt: skip
    assert reason == told.value.message
    assert all(one.rounds > 0 for one in received if one.job == job.id)
    for owner in place.parties.values():
        outcomes = {one["job"]: one["outcome"] for one in api.status(owner.config)["jobs"]}
        assert outcomes[job.id] == "cancelled"


def test_an_owner_says_no(place: Platform) -> None:
    with place.client("bank-a") as client:
        job = client.jobs.submit(training(place))
        item = waiting_item(place, "bank-b", job.id)
        api.inbox_reject(place.parties["bank-b"].config, item["id"], "not for this purpose")
        ended = await_end(client, job.id)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["code"] == "consent_refused"
    assert ended.error["message"].startswith("bank-b refused: not for this purpose.")
    (refusal,) = ended.error["details"]["refusals"]
    assert (refusal["party"], refusal["reason"]) == ("bank-b", "not for this purpose")


def test_a_job_goes_on_from_a_released_round(place: Platform) -> None:
    with place.client("bank-a") as client:
        first = client.jobs.submit(training(place))
        consent(place, first.id)
        earlier = await_end(client, first.id)
        assert earlier.state == "succeeded", earlier.error
        report = client.jobs.report(first.id)
        start = Resume(first.id, report["rounds"], report["model"]["digest"])
        for other in (replace(start, round=start.round + 1), replace(start, model="ab" * 32)):
            with pytest.raises(SecureFlowError) as refused:
                client.jobs.submit(replace(training(place), resume=other))
            assert refused.value.code == "not_found"
        second = client.jobs.submit(replace(training(place), resume=start))
        consent(place, second.id)
        later = await_end(client, second.id)
        assert later.state == "succeeded", later.error
        history = client.jobs.report(second.id)["history"]
        # Round 1 measures the model that it starts from: the one that the first job ended with.
        assert history[0]["loss"] == pytest.approx(report["metrics"]["loss"], abs=1e-6)
        assert history[0]["loss"] < report["history"][0]["loss"]
        assert verified(place, second.id)
        told: list[tuple[int, Any]] = []
        client.jobs.wait(second.id, log_to=lambda step, figures: told.append((step, figures)))
        losses = {step: figures["loss"] for step, figures in told if "loss" in figures}
        assert [losses[step] for step in range(len(history))] == [one["loss"] for one in history]
        assert losses[len(history)] == later.report["metrics"]["loss"]  # type: ignore[index]
        models = [next(client.models.list(job=one.id)).id for one in (first, second)]
        comparison = client.models.compare(*models)
        assert comparison.comparable, comparison.reasons  # one seed and share: the same rows
        assert len(comparison.metrics) >= 3
        frame = client.models.load(models[1]).predict_frame(
            pq.read_table(place.directory / "data" / "share-1.parquet"), ids=["age"]
        )
        assert frame.num_rows == 300
        assert set(client.jobs.list().to_arrow()["id"].to_pylist()) >= {first.id, second.id}


@pytest.mark.full
def test_everything_restarts_between_two_jobs(place: Platform) -> None:
    before = run(place, training(place))
    with place.client("bank-a") as client:
        head = client.audit.head()
    stop_all(list(place.processes.values()))
    for name in list(place.processes):
        place.start(name)
    after = run(place, training(place))
    assert verified(place, before.id)
    check_story(place, after)
    with place.client("bank-a") as client:
        known = sorted(version.version for version in client.models.list())
        assert client.audit.head() != head
    assert known[-1] > before.report["model"]["version"]


def test_images_are_published_and_granted_and_a_changed_folder_is_not_used(
    place: Platform, tmp_path: Path
) -> None:
    """Over real links, from an edit of `agent.yaml`; nobody else sees more than the declaration."""
    owner = place.parties["bank-b"]
    pets = replace(by_class(tmp_path / "pets"), privacy=DatasetPrivacy("pets", 3.0, 1e-6))
    with declared(owner.config, pets) as changed:
        assert changed == ["datasets.pets"]
        published = api.data_publish(owner.config, "pets", "Pets")
        assert (published["rows"], published["counted"]) == ("<1k", 4)
        with place.client("bank-b") as client:
            granted = client.datasets.grant(
                published["id"], place.project, purposes=[place.purpose]
            )
        assert granted.columns == ("image", "label")
        with place.client("bank-a") as client:
            seen = client.datasets.get(published["id"])
            assert (seen.columns[0].shape, seen.columns[0].dtype) == ((4, 6, 3), "uint8")
            assert seen.columns[1].categories == ("cat", "dog")
            assert published["id"] in {one.id for one in client.datasets.list(place.project)}
        checks = {one["check"]: one for one in api.doctor(owner.config)}
        assert checks["data"]["ok"]
        (tmp_path / "pets" / "cat" / "0000.png").write_bytes(b"")
        checks = {one["check"]: one for one in api.doctor(owner.config)}
        assert checks["data"]["code"] == "dataset_changed"
        with pytest.raises(SecureFlowError, match=r"row 1, file cat/0000\.png, column 'image'"):
            api.data_publish(owner.config, "pets")

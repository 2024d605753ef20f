"""The data scientist's desk over real processes: prepare, train, predict, evaluate.

What comes of it equals scikit-learn's on everybody's rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from secureflow.agent import api
from secureflow.cli.main import app
from secureflow.demo.data import PURPOSE, dataset_config, split_silos
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.domain.specs.targets import Label
from secureflow.engines.preparation.recipe import recipe_digest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Costs, TrainingPlan, TrainingRequest, recipe_features
from tests.nursery import Born
from tests.survival.world import await_end, bank_names, verified

POLICY = """permit(principal, action == Action::"preparation", resource == Dataset::"adult");
permit(principal, action == Action::"training", resource == Dataset::"adult");
permit(principal, action == Action::"evaluation", resource == Dataset::"adult")
  when { context.per_party == 0 };
permit(principal, action == Action::"evaluation", resource == Dataset::"adult")
  when { context.per_party == 1 };
permit(principal, action == Action::"prediction", resource == Dataset::"adult")
  when { context.beside.containsAny(["education"]) };
permit(principal, action == Action::"prediction", resource == Dataset::"adult")
  when { context.deliver == "bank-b" };"""
STEPS = [
    {"step": "impute", "columns": ["age"], "by": "median"},
    {"step": "standardise", "columns": ["age"]},
    {"step": "quantile_bins", "columns": ["hours-per-week"], "bins": 4},
    {"step": "woe", "columns": ["hours-per-week", "education"]},
    {"step": "select", "columns": ["hours-per-week", "education"], "by": "iv", "threshold": 0.05},
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("preparation")
    owners = bank_names(3)
    paths = dict(zip(owners, split_silos(directory / "data", 3), strict=True))
    datasets = {party: dataset_config(path) for party, path in paths.items()}
    with Platform(directory / "p", owners, datasets, policy=POLICY, child=Born) as built:
        built.build()
        yield built


@pytest.fixture(scope="module")
def people(place: Platform) -> dict[str, np.ndarray]:
    """Everybody's rows: only this test sees them together."""
    tables = [pq.read_table(one.dataset.path) for one in place.parties.values() if one.dataset]
    together = pa.concat_tables(tables)
    names = ("age", "hours-per-week", "education", "income")
    return {name: np.array(together[name].to_pylist()) for name in names}


def asked(place: Platform, **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "kind": "preparation",
        "project": place.project,
        "name": "inputs",
        "purpose": PURPOSE,
        "datasets": [owner.dataset_id for owner in place.parties.values()],
        "columns": ["age", "hours-per-week", "education"],
        "label": {"column": "income", "positive": ">50K"},
        "steps": STEPS,
    }
    return {**facts, **changes}


def run(place: Platform, request: dict[str, Any]) -> Job:
    with place.client("bank-a") as client:
        return await_end(client, client.jobs.submit(request).id)


def fits(job: Job) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["name"], row["column"]): row["fit"] for row in (job.report or {})["fitted"]}


def test_what_is_fitted_is_what_all_rows_say(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    job = run(place, asked(place))
    assert job.state == "succeeded", str(job.error)
    found = fits(job)
    ages, hours = people["age"].astype(float), people["hours-per-week"].astype(float)
    assert found["impute", "age"]["value"] == np.median(ages)
    assert found["standardise", "age"]["mean"] == pytest.approx(ages.mean(), abs=1e-6)
    assert found["standardise", "age"]["std"] == pytest.approx(ages.std(), abs=1e-6)
    edges = sorted(set(np.quantile(hours, [0.25, 0.5, 0.75])))
    assert found["quantile_bins", "hours-per-week"]["edges"] == edges
    kept = found["select", ""]["kept"]
    values = found["select", ""]["values"]
    assert kept == [name for name, iv in values.items() if iv >= 0.05]
    assert verified(place, job.id)


def test_a_model_trains_and_predicts_on_what_the_recipe_makes(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    job = run(place, asked(place))
    with place.client("bank-a") as client:
        recipe = client.jobs.recipe(job.id)
        assert recipe_digest(recipe) == (job.report or {})["recipe"]["digest"]
        features = recipe_features(recipe, Label("income", ">50K"))
        request = TrainingRequest(
            place.project,
            "scores",
            PURPOSE,
            tuple(owner.dataset_id for owner in place.parties.values()),
            features,
            plan=TrainingPlan(rounds=6, learning_rate=0.5),
            protection="secagg",
        )
        other = replace(recipe, fits=({"columns": {"age": {"value": 41.5}}}, *recipe.fits[1:]))
        forged = replace(request, features=recipe_features(other, Label("income", ">50K")))
        with pytest.raises(SecureFlowError, match="it is not what"):
            client.jobs.submit(forged)
        trained = await_end(client, client.jobs.submit(request).id)
        assert trained.state == "succeeded", str(trained.error)
        (model,) = client.models.list(job=trained.id)
        predictor = client.models.load(model.id)
    names = ("age", "hours-per-week", "education")
    chances = predictor.predict_proba({name: people[name].tolist() for name in names})[:, 1]
    rich = people["income"] == ">50K"
    assert roc_auc_score(rich, chances) > 0.75
    assert trained.spec["features"]["recipe"]["job"] == job.id


def test_models_are_measured_on_everybodys_rows_and_on_each_partys(
    place: Platform, people: dict[str, np.ndarray]
) -> None:
    with place.client("bank-a") as client:
        models = list(client.models.list(place.project))
        datasets = [client.datasets.get(one.dataset_id) for one in place.parties.values()]
        asked = client.jobs.evaluate(
            place.project,
            [one.id for one in models],
            datasets,
            purpose=PURPOSE,
            per_party=True,
            costs=Costs(1, 5),
        )
        job = await_end(client, asked.id)
        assert job.state == "succeeded", str(job.error)
        predictor = client.models.load(models[0].id)
        html = client.jobs.report_html(job.id, "zh")
        table = client.jobs.report(job.id).evaluation
        again = client.jobs.evaluate(
            place.project, [models[0].id], datasets, purpose=PURPOSE, baseline=job.id
        )
        later = await_end(client, again.id)
    (one,) = (job.report or {})["evaluation"]["models"]
    names = ("age", "hours-per-week", "education")
    chances = predictor.predict_proba({name: people[name].tolist() for name in names})[:, 1]
    rich = people["income"] == ">50K"
    frame = pd.DataFrame({name: people[name] for name in names})
    pipeline = predictor.to_sklearn_pipeline()
    assert np.abs(pipeline.predict_proba(frame)[:, 1] - chances).max() <= 1e-6
    figures = one["figures"]
    assert {row["party"]: row["auc"] for row in table} == {
        "": figures["auc"], **{party: own["auc"] for party, own in one["parties"].items()}
    }  # fmt: skip
    assert figures["rows"] == len(rich)
    assert figures["auc"] == pytest.approx(roc_auc_score(rich, chances), abs=one["bounds"]["auc"])
    assert figures["accuracy"] == pytest.approx((rich == (chances > 0.5)).mean(), abs=1e-6)
    assert sum(own["rows"] for own in one["parties"].values()) == len(rich)
    assert set(one["parties"]) == set(place.parties)
    assert one["seen"] == sorted(place.parties)  # the training held no keys out
    assert verified(place, job.id)
    assert "ROC" in html
    (moved,) = (later.report or {})["evaluation"]["models"]
    assert moved["psi"]["psi"] == pytest.approx(0, abs=1e-6)  # the same rows


def test_predictions_stay_with_each_owner_and_are_those_of_the_downloaded_model(
    place: Platform, tmp_path: Path
) -> None:
    with place.client("bank-a") as client:
        (model,) = client.models.list(place.project)
        datasets = [client.datasets.get(one.dataset_id) for one in place.parties.values()]
        asked = client.jobs.predict(
            place.project,
            model.id,
            datasets,
            purpose=PURPOSE,
            outputs=["predicted", "probability", "score"],
            columns=["education"],
        )
        job = await_end(client, asked.id)
        assert job.state == "succeeded", str(job.error)
        predictor = client.models.load(model.id)
        told = json.dumps([client.jobs.bundle(job.id), client.jobs.report(job.id)])
        assert "bank-b" in client.jobs.report_html(job.id, "zh")
        assert client.jobs.explain(job.id)["privacy"] is None
    assert verified(place, job.id)
    kept = (job.report or {})["prediction"]["kept"]
    assert sorted(kept) == sorted(place.parties)
    for party, owner in place.parties.items():
        assert owner.dataset is not None
        shown = api.prediction_show(owner.config, job.id)
        assert (shown["state"], shown["proved"]) == ("kept", True)
        assert kept[party]["leaf"] == shown["hash"]
        found, rows = pq.read_table(shown["path"]), pq.read_table(owner.dataset.path)
        assert found["row"].to_pylist() == list(range(1, len(rows) + 1))
        assert found["education"].to_pylist() == rows["education"].to_pylist()
        expected = predictor.predict_frame(rows)
        for name in expected.column_names:
            assert np.allclose(found[name].to_numpy(), expected[name].to_numpy(), atol=1e-6), name
        assert shown["file"] not in told  # salted: nobody can compare what they guess
        assert f'"rows": {len(rows)}' not in told
        out = tmp_path / f"{party}.csv"
        command = ["agent", "prediction", "export", job.id, str(out), "--config", str(owner.config)]
        assert CliRunner().invoke(app, command).exit_code == 0
        assert len(out.read_text().splitlines()) == len(rows) + 1
        api.prediction_remove(owner.config, job.id)
        assert [one["state"] for one in api.prediction_list(owner.config)] == ["gone"]


def test_predictions_go_sealed_to_whom_the_spec_says(place: Platform, tmp_path: Path) -> None:
    with place.client("bank-a") as client:
        (model,) = client.models.list(place.project)
        datasets = [client.datasets.get(one.dataset_id) for one in place.parties.values()]
        asked = client.jobs.predict(
            place.project, model.id, datasets, purpose=PURPOSE, deliver_to="bank-b"
        )
        job = await_end(client, asked.id)
        assert job.state == "succeeded", str(job.error)
    assert verified(place, job.id)
    report = (job.report or {})["prediction"]
    others = sorted(set(place.parties) - {"bank-b"})
    assert report["delivered"] == {"to": "bank-b", "parties": others}
    shown = api.prediction_show(place.parties["bank-b"].config, job.id)
    assert {one["party"]: one["state"] for one in shown["received"]} == dict.fromkeys(
        others, "kept"
    )
    for one in shown["received"]:
        own = api.prediction_show(place.parties[one["party"]].config, job.id)
        assert Path(one["path"]).read_bytes() == Path(own["path"]).read_bytes()
        assert own["received"] == []
    config = str(place.parties["bank-b"].config)
    out = tmp_path / "of-c.parquet"
    command = ["agent", "prediction", "export", job.id, str(out), "--party", "bank-c"]
    assert CliRunner().invoke(app, [*command, "--config", config]).exit_code == 0
    assert pq.read_table(out).column_names[:2] == ["row", "predicted"]
    left = [one for one in (place.directory).rglob("vectors/*") if one.name == job.id]
    assert left == []  # the centre has forgotten the ciphertexts

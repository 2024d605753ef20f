"""Features made from declarations, and the example's job file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import yaml

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.training import (
    ArrayFeature,
    ClassesLabel,
    ImageFeature,
    LinearModel,
    NumberLabel,
    SampleWeight,
    SoftmaxModel,
)
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Privacy, TrainingRequest, common_features
from secureflow.sdk.features import usual_model

COLUMNS = (
    ColumnConfig("age", "number", bounds=(0, 100)),
    ColumnConfig("score", "number"),
    ColumnConfig("job", "category", ("a", "b")),
    ColumnConfig("note", "text"),
    ColumnConfig("sex", "category", ("f", "m"), sensitive=True),
    ColumnConfig("income", "category", ("<=50K", ">50K")),
)


def dataset(columns: tuple[ColumnConfig, ...] = COLUMNS) -> Dataset:
    return Dataset("dst_00000000", "bank-a", "silo", "Silo", columns, "<1k", "0" * 64, 1)


def test_only_usable_columns_that_all_declare_alike_are_taken() -> None:
    other = (replace(COLUMNS[0], bounds=(0, 50)), *COLUMNS[1:])
    both = [dataset(), dataset()]
    assert common_features(both, "income", ">50K").columns == ("age", "job", "income")
    every = common_features(both, "income", ">50K", leave_out={"age"}, sensitive=True)
    assert every.columns == ("job", "sex", "income")
    shared = common_features([dataset(), dataset(other)], "income", ">50K")
    assert shared.columns == ("job", "income")


def test_images_and_arrays_are_taken_and_texts_are_not() -> None:
    scan = ColumnConfig("scan", "image", shape=(8, 8, 3))
    signal = ColumnConfig("signal", "array", shape=(4,), dtype="int16", bounds=(0, 9))
    endless = ColumnConfig("endless", "array", shape=(4,), dtype="int16")
    columns = (*COLUMNS[3:], scan, signal, endless)
    found = common_features([dataset(columns), dataset(columns)], "income")
    assert found.columns == ("scan", "signal", "income")
    assert found.images == (ImageFeature("scan", (8, 8, 3)),)
    assert found.arrays == (ArrayFeature("signal", (4,), (0, 9), "int16"),)
    other = (*COLUMNS[3:], replace(scan, shape=(8, 9, 3)), signal)
    assert common_features([dataset(columns), dataset(other)], "income").images is None


def test_one_owners_word_makes_a_column_sensitive() -> None:
    careful = dataset((replace(COLUMNS[0], sensitive=True), *COLUMNS[1:]))
    assert "age" not in common_features([dataset(), careful], "income", ">50K").columns


@pytest.mark.parametrize(
    ("sets", "label", "positive", "code"),
    [
        ([dataset(), dataset(COLUMNS[:-1])], "income", ">50K", "unknown_column"),
        ([dataset()], "income", "rich", "unknown_category"),
        ([dataset((COLUMNS[1], COLUMNS[-1]))], "income", ">50K", "invalid_request"),
        ([], "income", ">50K", "unknown_column"),
    ],
)
def test_what_cannot_be_trained_is_said(
    sets: list[Dataset], label: str, positive: str, code: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        common_features(sets, label, positive)
    assert caught.value.code == code


def test_a_label_that_is_nearly_a_column_is_told_which() -> None:
    with pytest.raises(SecureFlowError) as caught:
        common_features([dataset()], "incme", ">50K")
    assert (caught.value.code, caught.value.hint) == ("unknown_column", "income may be meant.")


def test_the_example_job_file_is_a_valid_request() -> None:
    file = Path(__file__).resolve().parents[3] / "examples" / "job.yaml"
    request = parse(TrainingRequest, yaml.safe_load(file.read_text()), "request")
    assert request.features is not None
    assert request.features.width == 10
    assert dump(request)["plan"]["early_stop"] == {"patience": 5, "min_delta": 0.0001}


PRIVACY = Privacy(delta=1e-6, epsilon=3.0, rows=30_000, noise="shared")


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_training_says_how_it_is_protected(
    sdk_server: type, sdk_job: dict[str, object], asynchronous: bool
) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    asked = {"purpose": "credit", "protection": "secagg", "privacy": PRIVACY}
    arguments = ("prj_00000000", [dataset()], "income", ">50K")
    if asynchronous:
        await server.async_client().jobs.train(*arguments, **asked)
    else:
        server.client().jobs.train(*arguments, **asked)
    body = json.loads(server.requests[0].content)
    assert body["protection"] == "secagg"
    assert body["privacy"] == dump(PRIVACY)
    assert {feature["scale"] for feature in body["features"]["numeric"]} == {"bounds"}
    assert body["plan"]["validation"] == 0.0


def test_training_without_privacy_standardises_and_measures(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    server.client().jobs.train("prj_0", [dataset()], "income", ">50K", purpose="credit")
    body = json.loads(server.requests[0].content)
    assert (body["protection"], "privacy" in body) == ("sealed", False)
    assert {feature["scale"] for feature in body["features"]["numeric"]} == {"federated"}
    assert body["plan"]["validation"] > 0


def test_trees_take_numbers_within_their_bounds(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    target = ("prj_0", [dataset()], "income", ">50K")
    server.client().jobs.train(
        *target, purpose="credit", model=XgboostModel("xgboost", max_depth=4)
    )
    body = json.loads(server.requests[0].content)
    assert body["model"] == {**body["model"], "family": "xgboost", "max_depth": 4}
    assert {feature["scale"] for feature in body["features"]["numeric"]} == {"bounds"}


def test_metrics_are_measured_where_their_noise_is_named(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    measured = replace(PRIVACY, metrics_noise=4.0)
    client = server.client()
    client.jobs.train("prj_0", [dataset()], "income", ">50K", purpose="x", privacy=measured)
    assert json.loads(server.requests[0].content)["plan"]["validation"] > 0


def test_privacy_may_be_written_as_in_a_job_file(
    sdk_server: type, sdk_job: dict[str, object]
) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    jobs, target = server.client().jobs, ("prj_0", [dataset()], "income", ">50K")
    jobs.train(*target, purpose="x", privacy={"epsilon": 3, "delta": 1e-6, "rows": 30_000})
    assert json.loads(server.requests[0].content)["privacy"]["rows"] == 30_000
    with pytest.raises(SecureFlowError) as refusal:
        jobs.train(*target, purpose="x", privacy={"epsilonn": 3, "delta": 1e-6})
    assert refusal.value.code == "invalid_request"
    assert "epsilonn" in refusal.value.message


def test_a_label_without_a_positive_value_is_classes_or_a_number() -> None:
    sets = [dataset(), dataset()]
    classes = common_features(sets, "job", weight="age")
    assert classes.label == ClassesLabel("job", ("a", "b"))
    assert classes.weight == SampleWeight("age", (0, 100))
    assert classes.columns == ("income", "age", "job")
    number = common_features(sets, "age")
    assert number.label == NumberLabel("age", (0, 100))
    assert usual_model(number) == LinearModel("linear")
    assert usual_model(classes) == SoftmaxModel("softmax")
    assert usual_model(common_features(sets, "income", ">50K")) is None
    for label in ("score", "note"):  # a number without bounds, and a text
        with pytest.raises(SecureFlowError) as caught:
            common_features(sets, label)
        assert caught.value.code == "invalid_request"

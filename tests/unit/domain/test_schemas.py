from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.datasets import Dataset
from secureflow.domain.schemas import (
    DatasetConfig,
    DatasetPrivacy,
    check_dataset,
    row_bucket,
    with_key,
    with_person,
)
from secureflow.domain.specs.base import dump, parse
from secureflow.kit.errors import SecureFlowError

AGE: dict[str, Any] = {"name": "age", "type": "number", "bounds": [0, 120], "sensitive": True}
SEX: dict[str, Any] = {"name": "sex", "type": "category", "categories": ["f", "m"]}


def config(*columns: dict[str, Any]) -> DatasetConfig:
    value = {"name": "clients", "path": "/x.csv", "format": "csv", "columns": list(columns)}
    return parse(DatasetConfig, value, "dataset")


def test_a_declaration_round_trips_and_its_public_part_has_no_path() -> None:
    declared = config(AGE, SEX, {**AGE, "name": "gain", "clip": True})
    check_dataset(declared)
    assert parse(DatasetConfig, dump(declared), "dataset") == declared
    assert declared.public_schema() == [
        {"name": "age", "type": "number", "bounds": [0.0, 120.0], "sensitive": True},
        {"name": "sex", "type": "category", "categories": ["f", "m"], "sensitive": False},
        {"name": "gain", "type": "number", "bounds": [0.0, 120.0], "clip": True, "sensitive": True},
    ]


def test_a_list_is_read_up_to_its_first_wrong_item_and_the_hint_promises_no_more() -> None:
    with pytest.raises(SecureFlowError) as caught:
        config({**AGE, "type": "x"}, {**SEX, "type": "x"})
    fields = [one["field"] for one in caught.value.details["fields"]]
    assert "columns.0.type" in fields
    assert "columns.1.type" not in fields
    assert str(caught.value.hint) == "Correct the named field; there may be more."


@pytest.mark.parametrize(
    "columns",
    [
        [AGE, AGE],
        [{**SEX, "categories": []}],
        [{**SEX, "categories": ["f", "f"]}],
        [{**SEX, "type": "text"}],
        [{**SEX, "bounds": [0, 1]}],
        [{**AGE, "bounds": [3, 3]}],
        [{"name": "age", "type": "number", "clip": True}],
    ],
)
def test_contradictions_name_the_column(columns: list[dict[str, Any]]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_dataset(config(*columns))
    assert caught.value.code == "contradictory_schema"
    assert caught.value.details["column"] == columns[0]["name"]


def test_unknown_keys_and_unknown_columns_are_refused() -> None:
    with pytest.raises(SecureFlowError, match=r"columns\.0\.colour"):
        config({**AGE, "colour": "red"})
    with pytest.raises(SecureFlowError, match="declares no column 'pay'"):
        config(AGE).column("pay")


@pytest.mark.parametrize(
    ("rows", "bucket"),
    [(0, "<1k"), (999, "<1k"), (1_000, "1k-5k"), (10_000, "10k-50k"), (49_999, "10k-50k"),
     (700_000, "500k-1M"), (1_000_000, "1M-5M"), (10**7, ">=10M"), (10**9, ">=10M")],
)  # fmt: skip
def test_a_bucket_hides_the_row_count(rows: int, bucket: str) -> None:
    assert row_bucket(rows) == bucket


PERSONAL = {"domain": "clients", "epsilon": 1.0, "delta": 1e-6, "unit": "person", "person": "id"}


def private(**changes: Any) -> DatasetConfig:
    return replace(config(AGE), privacy=parse(DatasetPrivacy, PERSONAL | changes, "dataset"))


def test_the_public_part_of_a_budget_is_its_unit_and_bound() -> None:
    declared = private(rows_per_person=4)
    check_dataset(declared)
    assert declared.public_privacy() == {"unit": "person", "rows_per_person": 4}
    assert config(AGE).public_privacy() is None


@pytest.mark.parametrize(
    "changes",
    [
        {"person": None},
        {"unit": "record"},
        {"unit": "record", "person": None, "rows_per_person": 2},
        {"unit": "party", "person": None, "rows_per_person": 2},
    ],
)
def test_a_bound_without_a_person_is_contradictory(changes: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_dataset(private(**changes))
    assert caught.value.code == "contradictory_schema"
    assert caught.value.details["field"] == "privacy"


def test_the_person_column_is_read_but_not_published() -> None:
    assert [c.name for c in with_person(private()).columns] == ["age", "id"]
    assert [c["name"] for c in private().public_schema()] == ["age"]
    assert with_person(private(person="age")).columns == private().columns
    assert with_person(config(AGE)) == config(AGE)


def test_a_key_is_read_beside_the_columns_and_a_declaration_without_one_keeps_its_bytes() -> None:
    keyed = replace(config(AGE), key="account")
    check_dataset(keyed)
    assert [c.name for c in with_key(keyed).columns] == ["age", "account"]
    assert with_key(private()).columns == with_person(private()).columns
    assert with_key(config(AGE)) == config(AGE)
    assert "key" not in dump(config(AGE))
    assert parse(DatasetConfig, dump(keyed), "dataset") == keyed


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"format": "parquet", "key": "scan"}, "no key"),
        ({"format": "images", "key": "who"}, "no column of keys"),
    ],
)
def test_a_key_that_cannot_be_read_is_contradictory(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(SecureFlowError, match=problem) as caught:
        check_dataset(replace(config(IMAGE), **changes))
    assert (caught.value.code, caught.value.details["field"]) == ("contradictory_schema", "key")


# Images, arrays and texts.

IMAGE: dict[str, Any] = {"name": "scan", "type": "image", "shape": [28, 28, 1]}
ARRAY: dict[str, Any] = {"name": "wave", "type": "array", "shape": [8], "dtype": "float32"}
KIND: dict[str, Any] = {"name": "kind", "type": "category", "categories": ["a", "b"]}


def folder(form: str, *columns: dict[str, Any], **more: Any) -> DatasetConfig:
    value = {"name": "scans", "path": "/x", "format": form, "columns": list(columns), **more}
    return parse(DatasetConfig, value, "dataset")


def test_images_and_arrays_are_described_by_shape_and_dtype() -> None:
    declared = folder("parquet", {**IMAGE, "fit": "resize"}, {**ARRAY, "bounds": [-1, 1]},
                      {"name": "note", "type": "text", "length": 80})  # fmt: skip
    check_dataset(declared)
    assert parse(DatasetConfig, dump(declared), "dataset") == declared
    assert declared.public_schema() == [
        {"name": "scan", "type": "image", "shape": [28, 28, 1], "dtype": "uint8", "fit": "resize",
         "sensitive": False},
        {"name": "wave", "type": "array", "bounds": [-1.0, 1.0], "shape": [8], "dtype": "float32",
         "sensitive": False},
        {"name": "note", "type": "text", "length": 80, "sensitive": False},
    ]  # fmt: skip


def test_a_declaration_without_the_new_fields_keeps_its_bytes() -> None:
    """Approvals, publications and descriptions store it, and compare it with what was stored."""
    column = {"name": "age", "type": "number", "categories": [], "bounds": [0.0, 120.0],
              "sensitive": True, "clip": False}  # fmt: skip
    assert dump(config(AGE)) == {
        "name": "clients", "path": "/x.csv", "format": "csv", "columns": [column],
        "missing": [""], "privacy": None,
    }  # fmt: skip
    kept = Dataset("dst_1", "a", "b", "c", config(AGE).columns, "<1k", "ab" * 32, 1)
    assert dump(kept)["columns"] == [column]


@pytest.mark.parametrize(
    ("form", "columns", "more"),
    [
        ("parquet", [{**IMAGE, "shape": None}], {}),
        ("parquet", [{**IMAGE, "shape": [28, 28]}], {}),
        ("parquet", [{**IMAGE, "shape": [28, 28, 2]}], {}),
        ("parquet", [{**IMAGE, "shape": [65536, 65536, 3]}], {}),
        ("parquet", [{**IMAGE, "dtype": "float32"}], {}),
        ("parquet", [{**IMAGE, "bounds": [0, 255]}], {}),
        ("parquet", [{**ARRAY, "dtype": None}], {}),
        ("parquet", [{**ARRAY, "shape": None}], {}),
        ("parquet", [{**ARRAY, "fit": "resize"}], {}),
        ("parquet", [{**ARRAY, "dtype": "uint8", "bounds": [0, 256]}], {}),
        ("parquet", [{**ARRAY, "dtype": "int8", "bounds": [0.5, 1]}], {}),
        ("parquet", [{**ARRAY, "dtype": "float16", "bounds": [0, 1e5]}], {}),
        ("parquet", [{**AGE, "shape": [1]}], {}),
        ("parquet", [{**AGE, "length": 3}], {}),
        ("parquet", [AGE], {"index": "a.csv"}),
        ("csv", [IMAGE], {}),
        ("csv", [ARRAY], {}),
        ("images", [KIND], {}),
        ("images", [IMAGE, KIND, {**KIND, "name": "second"}], {}),
        ("images", [IMAGE, AGE], {}),
        ("images", [IMAGE, {**IMAGE, "name": "second"}], {}),
        ("images", [IMAGE, ARRAY], {"index": "a.csv"}),
        ("images", [IMAGE], {"index": "../a.csv"}),
        ("images", [IMAGE], {"index": "/a.csv"}),
        ("arrays", [{**ARRAY, "name": "../wave"}], {}),
        ("arrays", [{**ARRAY, "name": ".wave"}], {}),
        ("arrays", [{**IMAGE, "fit": "resize"}], {}),
        ("images", [IMAGE, KIND], {"privacy": PERSONAL}),
        ("parquet", [IMAGE], {"privacy": {**PERSONAL, "person": "scan"}}),
    ],
)
def test_contradictions_of_images_and_arrays_are_refused(
    form: str, columns: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_dataset(folder(form, *columns, **more))
    assert caught.value.code == "contradictory_schema"


@pytest.mark.parametrize(
    ("form", "columns", "more"),
    [
        ("images", [IMAGE], {}),
        ("images", [IMAGE, KIND], {}),
        ("images", [IMAGE, {**IMAGE, "name": "b"}, AGE, KIND], {"index": "lists/a.csv"}),
        ("images", [IMAGE], {"index": "a.csv", "privacy": PERSONAL}),
        ("arrays", [ARRAY, IMAGE, AGE, KIND], {}),
        ("parquet", [ARRAY, {**IMAGE, "fit": "refuse"}, KIND], {"privacy": PERSONAL}),
    ],
)
def test_images_and_arrays_that_fit_their_format_are_taken(
    form: str, columns: list[dict[str, Any]], more: dict[str, Any]
) -> None:
    check_dataset(folder(form, *columns, **more))


@pytest.mark.parametrize(
    ("later", "disclosed"),
    [
        ({**IMAGE, "shape": [56, 56, 1]}, True),
        ({**IMAGE, "shape": [14, 14, 1]}, True),
        ({**IMAGE, "fit": "resize"}, True),
        ({**IMAGE, "sensitive": True}, True),
        (IMAGE, False),
    ],
)
def test_another_shape_is_granted_anew(later: dict[str, Any], disclosed: bool) -> None:
    def described(column: dict[str, Any]) -> Dataset:
        columns = folder("parquet", column).columns
        return Dataset("dst_1", "a", "scans", "Scans", columns, "<1k", "ab" * 32, 1)

    assert described(IMAGE).widened(described(later)) == ({"scan"} if disclosed else set())


def test_longer_texts_are_granted_anew() -> None:
    def described(length: int | None) -> Dataset:
        columns = folder("csv", {"name": "note", "type": "text", "length": length}).columns
        return Dataset("dst_1", "a", "notes", "Notes", columns, "<1k", "ab" * 32, 1)

    assert described(80).widened(described(81)) == {"note"}
    assert described(80).widened(described(None)) == {"note"}
    assert not described(80).widened(described(20))
    assert not described(None).widened(described(20))

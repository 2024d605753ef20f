"""Predictions of files: ids come through as they are, in blocks, and bad cells are named."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from unit.engines.training.family_world import spec

from secureflow.cli import predictrows
from secureflow.domain.specs.targets import ClassesLabel
from secureflow.engines.training.export import ModelFile, model_card
from secureflow.engines.training.initial import initial_parameters
from secureflow.sdk.prediction import Predictor

IDS = ["007", "9007199254740993", '=1+1,"x"']
CSV = "\n".join([
    "id,x0,x1,word,opened",
    "007,0.5,-0.5,l,2024-02-29",
    "9007199254740993,,1.0,r,29.02.2024",
    '"=1+1,""x""",0.25,0.5,,',
]) + "\n"  # fmt: skip
ROWS = [
    {"x0": 0.5, "x1": -0.5, "word": "l"},
    {"x0": None, "x1": 1.0, "word": "r"},
    {"x0": 0.25, "x1": 0.5, "word": None},
]


@pytest.fixture(name="model", params=["binary"])
def _model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    job = spec("mlp", request.param)
    state = initial_parameters(job)
    card = model_card(job, state, moments=None, metrics={}, created=1)
    path = tmp_path / "m.safetensors"
    path.write_bytes(ModelFile(card, state).to_bytes())
    return path


@pytest.fixture(name="table")
def _table(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text(CSV)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def test_ids_of_a_csv_file_keep_every_character(
    cli: Any, model: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    code, told, err = cli("model", "predict", model, table, "--ids", "id,opened", "--save", out)
    assert (code, told, err) == (0, "", f"Written to {out}.\n")
    found = read_csv(out)
    assert list(found[0]) == ["id", "opened", "predicted", "P(y=yes)"]
    assert [row["id"] for row in found] == IDS
    assert [row["opened"] for row in found] == ["2024-02-29", "29.02.2024", ""]
    chances = Predictor.load(model).predict_proba(ROWS)[:, 1]
    assert [float(row["P(y=yes)"]) for row in found] == pytest.approx(chances, abs=1e-7)
    assert [row["predicted"] for row in found] == ["true" if c > 0.5 else "false" for c in chances]


def test_all_columns_follow_the_ids_where_they_are_asked_for(
    cli: Any, model: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    cli("model", "predict", model, table, "--ids", "opened", "--keep-all", "--save", out)
    assert list(read_csv(out)[0])[:5] == ["opened", "id", "x0", "x1", "word"]
    assert read_csv(out)[1]["x0"] == ""


def test_parquet_keeps_its_types(cli: Any, model: Path, tmp_path: Path) -> None:
    typed = {
        "id": pa.array([7, 2**62 + 1, None], pa.int64()),
        "day": pa.array([date(2024, 2, 29), None, date(1, 1, 1)], pa.date32()),
        "sum": pa.array([Decimal("1.10"), None, Decimal("0.00")], pa.decimal128(9, 2)),
        "part": pa.array(["a", "b", "a"]).dictionary_encode(),
        "deep": pa.array([[1], [], None], pa.list_(pa.int8())),
    }
    inputs = {name: [row[name] for row in ROWS] for name in ("x0", "x1", "word")}
    rows, out = tmp_path / "rows.parquet", tmp_path / "out.pq"
    pq.write_table(pa.table({**typed, **inputs}), rows)
    asked = ("model", "predict", model, rows, "--ids", ",".join(typed), "--save")
    assert cli(*asked, out)[0] == 0
    found = pq.read_table(out)
    for name, column in typed.items():
        assert found[name].type == column.type
        assert found[name].to_pylist() == column.to_pylist()
    assert found.schema.field("predicted").type == pa.bool_()
    chances = Predictor.load(model).predict_proba(ROWS)[:, 1]
    assert found["P(y=yes)"].to_pylist() == pytest.approx(chances)
    code, _, err = cli(*asked, tmp_path / "out.csv")  # a list is no cell
    assert code == 2
    assert "deep" in err
    assert not (tmp_path / "out.csv").exists()
    assert cli("model", "predict", model, rows, "--ids", "id,day,sum,part", "--save",
               tmp_path / "out.csv")[0] == 0  # fmt: skip
    first = read_csv(tmp_path / "out.csv")[0]
    assert (first["id"], first["day"], first["sum"], first["part"]) == (
        "7", "2024-02-29", "1.10", "a"
    )  # fmt: skip
    assert read_csv(tmp_path / "out.csv")[1]["id"] == str(2**62 + 1)


def test_ids_of_every_type_are_printed_as_they_are(cli: Any, model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    ids = {
        "day": pa.array([date(2024, 2, 29)]), "sum": pa.array([Decimal("1.10")]),
        "share": pa.array([0.123456789012]), "big": pa.array([2**62 + 1]),
        "part": pa.array(["a"]).dictionary_encode(), "when": pa.array([1], pa.timestamp("ns")),
    }  # fmt: skip
    inputs = {name: [one] for name, one in ROWS[0].items()}
    pq.write_table(pa.table({**ids, **inputs}), rows)
    asked = ("model", "predict", model, rows, "-o", "json", "--ids")
    (found,) = json.loads(cli(*asked, ",".join(ids))[1])
    assert (found["day"], found["sum"], found["part"]) == ("2024-02-29", "1.10", "a")
    assert (found["share"], found["big"]) == (0.123456789012, 2**62 + 1)
    assert found["when"].startswith("1970-01-01")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_files_go_through_in_blocks(
    cli: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(predictrows, "BLOCK_ROWS", 3)
    numbers = [(at - 5) / 10 for at in range(10)]
    table = pa.table({"id": [f"{at:03}" for at in range(10)], "x0": numbers, "x1": numbers,
                      "word": ["l", "m"] * 5})  # fmt: skip
    rows, out = tmp_path / f"rows{ending}", tmp_path / f"out{ending}"
    if ending == ".csv":
        with rows.open("w", newline="") as text:
            writer = csv.writer(text)
            writer.writerow(table.column_names)
            writer.writerows(zip(*(column.to_pylist() for column in table), strict=True))
    else:
        pq.write_table(table, rows)
    sizes: list[int] = []
    whole = Predictor.outputs

    def seen(self: Predictor, some: Any) -> Any:
        found = whole(self, some)
        sizes.append(len(found))
        return found

    monkeypatch.setattr(Predictor, "outputs", seen)
    assert cli("model", "predict", model, rows, "--ids", "id", "--save", out)[0] == 0
    assert sizes == [3, 3, 3, 1]
    read = pq.read_table(out).to_pylist() if ending == ".parquet" else read_csv(out)
    assert [row["id"] for row in read] == [f"{at:03}" for at in range(10)]
    expected = Predictor.load(model).predict_proba(table)[:, 1]
    assert [float(row["P(y=yes)"]) for row in read] == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("cells", "code", "told"),
    [
        ("0.1,1_000,l", "malformed_cell", "Row 5, column x1: '1_000'"),
        ("0.1,nan,l", "malformed_cell", "Row 5, column x1: 'nan'"),
        ("0.1,inf,l", "malformed_cell", "Row 5 of column 'x1'"),
        ("0.1,0.2,q", "unknown_category", "Row 5 of column 'word'"),
        ("0.1,0.2", "invalid_file", "row 5 has 2 cells, the header 3"),
    ],
)
def test_a_bad_cell_is_named_by_its_row_in_the_file(
    cli: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    cells: str, code: str, told: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(predictrows, "BLOCK_ROWS", 2)
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_text("x0,x1,word\n" + "0,0,l\n" * 4 + f"{cells}\n")
    exit_code, _, err = cli("model", "predict", model, rows, "--save", out)
    assert exit_code == 2
    assert err.startswith(f"{code}: ")
    assert told in err
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith((".secure", "out"))] == []


def test_a_file_of_another_encoding_is_refused(cli: Any, model: Path, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "out.csv"
    rows.write_bytes("id,x0,x1,word\nMüller,0,0,l\n".encode("latin-1"))
    code, _, err = cli("model", "predict", model, rows, "--ids", "id", "--save", out)
    assert code == 2
    assert "is not UTF-8" in err
    assert not out.exists()
    rows.write_bytes("\ufeffid,x0,x1,word\nMüller,0,0,l\n".encode())
    assert cli("model", "predict", model, rows, "--ids", "id", "--save", out)[0] == 0
    assert read_csv(out)[0]["id"] == "Müller"


def test_texts_may_stand_for_a_missing_value(cli: Any, model: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("id,x0,x1,word\nNA,NA,0.1,-\n")
    asked = ("model", "predict", model, rows, "--ids", "id", "-o", "json")
    assert cli(*asked)[0] == 2
    code, out, _ = cli(*asked, "--missing", "NA", "--missing", "-")
    assert code == 0
    (found,) = json.loads(out)
    assert found["id"] == "NA"  # what is passed through stays
    expected = Predictor.load(model).predict_proba([{"x0": None, "x1": 0.1, "word": None}])
    assert found["P(y=yes)"] == pytest.approx(expected[0, 1], abs=1e-6)


@pytest.mark.parametrize(("ids", "code"), [("nr", "missing_column"), ("predicted", "invalid_rows")])
def test_ids_that_cannot_be_passed_through_are_refused(
    cli: Any, model: Path, tmp_path: Path, ids: str, code: str
) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("predicted,x0,x1,word\n1,0,0,l\n")
    exit_code, _, err = cli("model", "predict", model, rows, "--ids", ids)
    assert exit_code == 2
    assert err.startswith(code)
    assert ids in err


def test_a_file_that_exists_is_replaced_only_on_request(
    cli: Any, model: Path, table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.csv"
    out.write_text("mine")
    asked = ("model", "predict", model, table, "--save", out)
    code, _, err = cli(*asked)
    assert code != 0
    assert "--force" in err
    assert out.read_text() == "mine"
    assert cli(*asked, "--force")[0] == 0
    assert out.read_text().startswith("predicted,")
    assert cli("model", "predict", model, table, "--save", tmp_path / "out.xlsx")[0] == 2


def test_the_names_of_predicted_classes_are_no_formulas_in_csv(
    cli: Any, table: Path, tmp_path: Path
) -> None:
    """The model's author chose them; ids are the person's own."""
    job = spec("mlp", "classes")
    assert job.features is not None
    assert isinstance(job.features.label, ClassesLabel)
    label = replace(job.features.label, classes=("=A1", "@x", "+1-A1"))
    job = replace(job, features=replace(job.features, label=label))
    state = initial_parameters(job)
    path, out = tmp_path / "m.safetensors", tmp_path / "out.csv"
    card = model_card(job, state, moments=None, metrics={}, created=1)
    path.write_bytes(ModelFile(card, state).to_bytes())
    code, _, err = cli("model", "predict", path, table, "--ids", "id", "--save", out)
    assert (code, "3 texts that a spreadsheet" in err) == (0, True)
    found = read_csv(out)
    assert [row["id"] for row in found] == IDS
    assert {row["predicted"] for row in found} <= {f"'{one}" for one in label.classes}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_file_without_rows_gives_one_without_rows(
    cli: Any, model: Path, tmp_path: Path, ending: str
) -> None:
    rows, out = tmp_path / f"rows{ending}", tmp_path / f"out{ending}"
    empty = {"id": pa.array([], pa.int32()), "x0": pa.array([], pa.float64()),
             "x1": pa.array([], pa.float64()), "word": pa.array([], pa.string())}  # fmt: skip
    if ending == ".csv":
        rows.write_text("id,x0,x1,word\n")
    else:
        pq.write_table(pa.table(empty), rows)
    assert cli("model", "predict", model, rows, "--ids", "id", "--save", out)[0] == 0
    if ending == ".csv":
        assert out.read_text() == "id,predicted,P(y=yes)\n"
    else:
        assert pq.read_table(out).schema.names == ["id", "predicted", "P(y=yes)"]


def test_a_file_without_the_models_columns_is_refused(
    cli: Any, model: Path, tmp_path: Path
) -> None:
    rows, out = tmp_path / "rows.parquet", tmp_path / "out.csv"
    pq.write_table(pa.table({"other": list(range(20_000))}), rows)
    for asked in ((), ("--save", out)):
        code, told, err = cli("model", "predict", model, rows, *asked)
        assert (code, told) == (2, "")
        assert "missing_column" in err
    assert not out.exists()


def test_a_model_of_the_centre_predicts_by_its_id(
    cli: Any, centre: Any, model: Path, table: Path
) -> None:
    served(centre, model)
    code, out, err = cli("model", "predict", "mdl_1", table, "-o", "json")
    assert (code, err) == (0, "")
    assert [one["row"] for one in json.loads(out)] == [1, 2, 3]
    code, _, err = cli("model", "predict", "mdl_1.safetensors", table)
    assert code == 2
    assert "secureflow model download" in err


def served(centre: Any, model: Path, name: str = "income") -> dict[str, Any]:
    file = ModelFile.from_bytes(model.read_bytes())
    described = {
        "id": "mdl_1", "project": "prj_1", "job": "job_1", "name": name, "version": 2,
        "digest": file.card["digest"], "artifact": "f" * 64, "family": "mlp", "metrics": {},
        "created": 1,
    }  # fmt: skip
    centre.answers["GET /models/mdl_1"] = (200, described)
    centre.answers["GET /models/mdl_1/card"] = (200, file.card)
    centre.answers["GET /models/mdl_1/content"] = (200, model.read_bytes())
    return described


def test_a_model_is_downloaded_under_its_name_with_its_card(
    cli: Any, centre: Any, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served(centre, model)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert cli("model", "download", "mdl_1", "--card")[0] == 0
    assert sorted(one.name for one in Path().iterdir()) == [
        "income-v2.card.json", "income-v2.safetensors"
    ]  # fmt: skip
    loaded = Predictor.load("income-v2.safetensors")
    assert json.loads(Path("income-v2.card.json").read_text()) == loaded.card
    code, _, err = cli("model", "download", "mdl_1")
    assert code != 0
    assert "--force" in err
    assert cli("model", "download", "mdl_1", "--force")[0] == 0
    assert cli("model", "download", "mdl_1", "other")[0] == 0
    assert Path("other.safetensors").is_file()


def test_a_name_that_is_a_path_is_no_file_name(
    cli: Any, centre: Any, model: Path, tmp_path: Path
) -> None:
    served(centre, model, "../../escape")
    assert cli("model", "download", "mdl_1", tmp_path)[0] == 0
    assert (tmp_path / "mdl_1-v2.safetensors").is_file()
    described = served(centre, model, "a/b")
    centre.answers["GET /models/mdl_1"] = (200, described | {"id": "../x"})
    assert cli("model", "download", "mdl_1", tmp_path)[0] != 0

"""`secureflow model predict-at`, its report, and an owner's own predictions."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secureflow.agent import api
from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import PendingRequest, screen
from secureflow.cli.kinds import CLI_KINDS
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.prediction_request import PredictionRequest
from tests.full import thinned
from tests.unit.engines.prediction.world import specified

VALUES = thinned(
    ["x\u202e", True, 3, [5], [], {"a": 1}, [[]], {}, None, 10**400], 5, pytest.mark.full
)
"""What a centre may say in the place of something else."""

MODEL: dict[str, Any] = {
    "id": "mdl_00000000", "project": "prj_00000000", "job": "job_00000000", "name": "scores",
    "version": 1, "digest": "ab" * 32, "artifact": "ab" * 32, "family": "logistic_regression",
    "metrics": {}, "created": 1,
}  # fmt: skip
REPORT: dict[str, Any] = {
    "job": "job_11111111", "name": "scores", "state": "succeeded", "protection": "none",
    "prediction": {"model": "ab" * 32, "kept": {
        "bank-a\u202e": {"leaf": "cd" * 32, "commitment": "ef" * 32},
    }, "delivered": {"to": "bank-b\u202e", "parties": ["bank-a"]}},
}  # fmt: skip


@pytest.fixture
def asked(centre: Any) -> Any:
    """What is sent to the dry run."""
    centre.answers["GET /models"] = (200, {"items": [MODEL], "next": ""})
    centre.answers["GET /models/mdl_00000000"] = (200, MODEL)
    centre.answers["GET /datasets?project=prj_00000000"] = (200, {"items": [], "next": ""})
    centre.answers["POST /jobs/dry-run"] = (200, {"digest": "d" * 64, "spec": {}})

    def sent() -> PredictionRequest:
        (body,) = (one for path, _, one in centre.asked if path == "POST /jobs/dry-run")
        return parse(PredictionRequest, body, "request")

    return sent


def test_options_become_the_request(cli: Any, asked: Any) -> None:
    status, _, err = cli(
        *("model", "predict-at", "scores", "--purpose", "credit-scoring", "--column", "id"),
        *("--column", "age", "--kept", "score", "--least", "3", "--to", "bank-b", "--dry-run"),
    )
    assert status == 0, err
    request = asked()
    assert (request.project, request.model) == ("prj_00000000", "mdl_00000000")
    assert (request.columns, request.outputs) == (("id", "age"), ("score",))
    assert request.min_contributors == 3
    assert request.deliver is not None
    assert request.deliver.to == "bank-b"


def test_a_job_file_names_its_model(cli: Any, asked: Any, tmp_path: Path) -> None:
    file = tmp_path / "prediction.yaml"
    file.write_text(
        "kind: prediction\nproject: prj_00000000\nname: scores\npurpose: p\n"
        "datasets: [dst_00000000]\nmodel: scores\n"
    )
    status, _, err = cli("job", "dry-run", file)
    assert status == 0, err
    assert asked().model == "mdl_00000000"


def test_a_report_has_commitments_alone(cli: Any, centre: Any) -> None:
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (200, REPORT)
    status, out, err = cli("job", "report", "job_11111111")
    assert status == 0, err
    assert "ef" * 32 in out  # whole
    assert "\u202e" not in out + err
    assert "has a copy of the files of: bank-a" in err
    assert "secureflow agent prediction show job_11111111" in err
    status, out, _ = cli("job", "report", "job_11111111", "-o", "json")
    assert json.loads(out)["prediction"] == REPORT["prediction"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", ["prediction", "kept", "party", "delivered", "to", "parties"])
def test_no_report_of_a_centre_ends_the_command_line(
    cli: Any, centre: Any, place: str, value: Any
) -> None:
    whole = REPORT["prediction"]
    changed = value if place == "prediction" else {**whole, place: value}
    if place == "party":
        changed = {**whole, "kept": {"bank-a": value}}
    if place in {"to", "parties"}:
        changed = {**whole, "delivered": {**whole["delivered"], place: value}}
    centre.answers["GET /jobs/job_11111111/report?format=json"] = (
        200,
        {**REPORT, "prediction": changed},
    )
    status, out, err = cli("job", "report", "job_11111111")
    assert (status, "\u202e" in out) == (0, False), err


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent tells of a job, with its file."""
    table = pa.table({"row": [1, 2], "id": ["007", None], "predicted": [True, None]})
    pq.write_table(table, tmp_path / "job_11111111.parquet")
    told: dict[str, Any] = {
        "job": "job_11111111", "name": "scores", "purpose": "p", "dataset": "people",
        "model": "ab" * 32, "rows": 2, "unfit": 1, "bytes": 9, "outputs": ["predicted"],
        "columns": ["id"], "file": "cd" * 32, "at": 1_800_000_000, "state": "kept",
        "path": str(tmp_path / "job_11111111.parquet"), "proved": True, "hash": "ee" * 32,
        "leaf": {}, "party": "bank-a", "received": [],
    }  # fmt: skip
    monkeypatch.setattr(api, "prediction_list", lambda config: [told])
    monkeypatch.setattr(api, "prediction_show", lambda config, job: told)
    return told


def test_an_owner_lists_and_shows_what_is_kept(cli: Any, kept: dict[str, Any]) -> None:
    status, out, _ = cli("agent", "prediction", "list")
    assert status == 0
    assert all(one in out for one in ("job_11111111", "people", "2"))
    status, out, err = cli("agent", "prediction", "show", "job_11111111")
    assert status == 0
    assert all(one in out for one in ("ab" * 32, "cd" * 32, kept["path"].rsplit("/", 1)[-1]))
    assert "Of 1 row nothing is predicted" in err
    assert "ee" * 32 in err
    kept["state"] = "altered"
    assert (
        "is not the one that this agent wrote"
        in cli("agent", "prediction", "show", "job_11111111")[2]
    )


def test_what_others_handed_over_is_shown_and_exported(
    cli: Any, kept: dict[str, Any], tmp_path: Path
) -> None:
    pq.write_table(pa.table({"row": [1]}), tmp_path / "of-c.parquet")
    kept["received"] = [
        {"job": "job_11111111", "party": "bank-c", "bytes": 7, "at": 1, "state": "kept",
         "path": str(tmp_path / "of-c.parquet"), "name": "scores", "purpose": "p"},
    ]  # fmt: skip
    status, out, _ = cli("agent", "prediction", "show", "job_11111111")
    assert status == 0
    assert "bank-c" in out
    target = tmp_path / "c.csv"
    exported = ("agent", "prediction", "export", "job_11111111", target, "--party")
    assert cli(*exported, "bank-c")[0] == 0
    assert target.read_text().splitlines() == ['"row"', "1"]
    target.unlink()
    status, _, err = cli(*exported, "bank-x")
    assert (status, "bank-x has handed over no predictions" in err) == (4, True)
    assert "These have: bank-c." in err
    assert "predicted again" not in err
    kept["received"] = []
    assert "the organisation that a job delivers to" in cli(*exported, "bank-c")[2]
    assert not target.exists()


FORMULAS = ["=1+1", "+1", "-1", "@sum", "\t=1", "\r=1", "\n=1", "＝1"]


@pytest.mark.parametrize(
    "of", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()), pa.binary()]
)
def test_texts_of_others_are_no_formulas_in_csv(
    cli: Any, kept: dict[str, Any], tmp_path: Path, of: pa.DataType
) -> None:
    """A spreadsheet would compute them for whoever opens the file; numbers are numbers."""
    texts = [*FORMULAS, "a=1", "", None]
    cells = [one and one.encode() for one in texts] if of == pa.binary() else texts
    table = pa.table({"@row": [-1] * len(texts), "id": pa.array(cells, of)})
    pq.write_table(table, tmp_path / "of-c.parquet")
    kept["received"] = [
        {"party": "bank-c", "state": "kept", "path": str(tmp_path / "of-c.parquet")}
    ]
    target = tmp_path / "c.csv"
    exported = ("agent", "prediction", "export", "job_11111111")
    status, _, err = cli(*exported, target, "--party", "bank-c")
    assert (status, "8 texts that a spreadsheet" in err) == (0, True)
    with target.open(newline="") as text:
        rows = list(csv.reader(text))
    assert rows[0] == ["'@row", "id"]
    assert rows[1:] == [["-1", one] for one in (*(f"'{f}" for f in FORMULAS), "a=1", "", "")]
    cli(*exported, tmp_path / "c.parquet", "--party", "bank-c")
    assert pq.read_table(tmp_path / "c.parquet") == table
    kept["path"] = str(tmp_path / "of-c.parquet")
    assert "spreadsheet" not in cli(*exported, tmp_path / "own.csv")[2]
    with (tmp_path / "own.csv").open(newline="") as text:
        assert [row[1] for row in csv.reader(text)][1:] == [one or "" for one in texts]


def test_classes_of_a_model_are_no_formulas_in_the_own_csv_either(
    cli: Any, kept: dict[str, Any], tmp_path: Path
) -> None:
    """Whoever submitted the model named them, and the owner's own columns stand beside them."""
    own = pa.table({"id": ["=1", "-5", "x"], "predicted": ['=A1&"b"', "-1", "+1-A1"]})
    pq.write_table(own, tmp_path / "own.parquet")
    kept["path"] = str(tmp_path / "own.parquet")
    target = tmp_path / "own.csv"
    status, _, err = cli("agent", "prediction", "export", "job_11111111", target)
    assert (status, "2 texts that a spreadsheet" in err) == (0, True)
    with target.open(newline="") as text:
        rows = list(csv.reader(text))
    assert rows[1:] == [["=1", '\'=A1&"b"'], ["-5", "-1"], ["x", "'+1-A1"]]


@pytest.mark.parametrize("content", ["nothing", "no table", "lists"])
def test_what_is_no_table_is_told_and_nothing_is_written(
    cli: Any, kept: dict[str, Any], tmp_path: Path, content: str
) -> None:
    """Another party wrote it: its signature says whose it is, not that it is a table."""
    path = tmp_path / "of-c.parquet"
    path.write_bytes(b"" if content == "nothing" else b"PAR1 and more PAR1")
    if content == "lists":
        pq.write_table(pa.table({"row": [[1, 2]]}), path)
    kept["received"] = [{"party": "bank-c", "state": "kept", "path": str(path)}]
    target = tmp_path / "c.csv"
    status, _, err = cli(
        "agent", "prediction", "export", "job_11111111", target, "--party", "bank-c"
    )
    assert status == 2
    assert "cannot be read as Parquet" in err
    assert not target.exists()


def test_a_table_is_exported_in_blocks(
    cli: Any, kept: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small file may hold more rows than fit in memory."""
    monkeypatch.setattr(pq, "read_table", None)
    rows = pa.table({"row": list(range(1, 200_001)), "id": ["x" * 100] * 200_000})
    pq.write_table(rows, kept["path"])
    target = tmp_path / "scores.csv"
    target.write_text("older")
    target.chmod(0o644)
    assert cli("agent", "prediction", "export", "job_11111111", target, "--force")[0] == 0
    with target.open(newline="") as text:
        assert sum(1 for _ in csv.reader(text)) == 200_001
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_an_export_is_whole_and_its_owners(
    cli: Any, kept: dict[str, Any], tmp_path: Path, ending: str
) -> None:
    out = tmp_path / f"scores{ending}"
    assert cli("agent", "prediction", "export", "job_11111111", out)[0] == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    if ending == ".csv":
        with out.open(newline="") as text:
            rows = list(csv.reader(text))
        assert rows == [["row", "id", "predicted"], ["1", "007", "true"], ["2", "", ""]]
    else:
        assert out.read_bytes() == Path(kept["path"]).read_bytes()


def test_an_export_replaces_no_file_unasked(cli: Any, kept: dict[str, Any], tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"
    out.write_text("mine")
    status, _, err = cli("agent", "prediction", "export", "job_11111111", out)
    assert (status != 0, "--force" in err, out.read_text()) == (True, True, "mine")
    assert cli("agent", "prediction", "export", "job_11111111", out, "--force")[0] == 0
    assert out.read_text() != "mine"


def test_only_what_the_agent_wrote_is_exported(
    cli: Any, kept: dict[str, Any], tmp_path: Path
) -> None:
    status, _, err = cli("agent", "prediction", "export", "job_11111111", tmp_path / "scores.txt")
    assert (status, "neither in .csv" in err) == (2, True)
    kept["state"] = "altered"
    status, _, err = cli("agent", "prediction", "export", "job_11111111", tmp_path / "scores.csv")
    assert status != 0
    assert "not as this agent wrote them" in err
    assert not (tmp_path / "scores.csv").exists()


def test_an_owner_reads_that_nothing_leaves_and_nothing_is_charged() -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
    spec = specified(roster, columns=["id"])
    request = {"dataset": "d", "columns": ["age", "id"], "sensitive": [], "epsilon": None}
    item = InboxItem("a" * 64, "job_11111111", spec_digest(spec), request, dump(spec),
                     ("no policy permits it",), "waiting", 1, 2)  # fmt: skip
    text = "\n".join(screen(PendingRequest(item, {}), CLI_KINDS, width=400, lines=100))
    for told in (
        "prediction of every row by", "beside it, in this agent's own file: id",
        "NOTHING OF THE ROWS", "no budget is charged", "3, each by itself: bank-a",
        "that a party is done, and how long it took",
    ):  # fmt: skip
        assert told in text, text


def test_an_owner_reads_in_capitals_to_whom_a_copy_goes() -> None:
    roster = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
    spec = specified(roster, columns=["id"], deliver={"to": "bank-b"})
    request = {"dataset": "d", "columns": ["age", "id"], "sensitive": [], "epsilon": None}
    item = InboxItem("a" * 64, "job_11111111", spec_digest(spec), request, dump(spec),
                     ("no policy permits it",), "waiting", 1, 2)  # fmt: skip
    text = "\n".join(screen(PendingRequest(item, {}), CLI_KINDS, width=400, lines=100))
    for told in (
        "the answers of every row", "id", "A COPY GOES TO bank-b", "NONE: what is released",
        "bank-b: of every party what is predicted of each row", "size of its sealed file",
    ):  # fmt: skip
        assert told in text, text
    assert "no budget is charged" not in text

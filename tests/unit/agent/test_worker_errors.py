"""A worker's errors are said again: an honest one's as they were, of a hostile one's nothing."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

import secureflow
from secureflow.adapters.datasources import SourceLimits, open_source
from secureflow.adapters.datasources.commitment import unreadable, unreadable_folder
from secureflow.adapters.datasources.conform import mismatch
from secureflow.adapters.datasources.source import too_large
from secureflow.agent.compute.evaluation_rows import too_few_rows
from secureflow.agent.compute.summedrows import SummedRows
from secureflow.agent.compute.worker import Worker
from secureflow.agent.compute.worker_errors import Asked, WorkerError, worker_error
from secureflow.agent.compute.worker_texts import ERRORS, REASONS, UNSAID, WHERE
from secureflow.agent.verbs.accusations import ACCUSING, culprits
from secureflow.domain.errors import CATALOGUE
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.summed import MOST_ROWS, Summed
from secureflow.engines.preparation.columns import malformed_cell
from secureflow.kit.disk import WAITED_FOR
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text
from secureflow.texts import catalogue

SECRET = "SECRET"
SPEC = {
    "kind": "training",
    "model": {"family": "logistic"},
    "features": {"label": {"column": "y", "positive": "1"}, "numeric": [{"column": "age"}],
                 "recipe": {"steps": [{"step": "date_parts", "columns": ["note"]}]}},
}  # fmt: skip
DATASET = DatasetConfig(
    "clients",
    "/nowhere/clients.csv",
    "csv",
    (
        ColumnConfig("age", "number", bounds=(-0.5, 120.0)),
        ColumnConfig("y", "category", ("0", "1")),
        ColumnConfig("note", "text", length=40),
    ),
)
ASKED = Asked("job_1", SPEC, DATASET)
PRIVATE = replace(ASKED, spec={**SPEC, "privacy": {"library": "opendp"}})


def crossed(error: SecureFlowError | Mapping[str, Any], asked: Asked = ASKED) -> SecureFlowError:
    """Return what an error is told as, once it has come over the channel."""
    raw = error.as_json() if isinstance(error, SecureFlowError) else error
    return worker_error(json.loads(json.dumps(raw)), asked)


def honest() -> Iterator[SecureFlowError]:
    for reason in (
        "it is not a number",
        "its category is not among the declared ones",
        Text("it is outside [{low:g}, {high:g}]", low=-0.5, high=120.0),
        Text("it has more than {length} characters", length=40),
        Text("the row has {cells} cells, the header {expected}", cells=3, expected=4),
    ):
        yield mismatch("clients", "age", 17, reason)
    for reason in (
        "it is not in the header",
        Text("its type {kind} cannot be a {type}", kind="int64", type="image"),
        Text("it holds numbers, not {type}", type="category"),
    ):
        yield mismatch("clients", "y", None, reason)
    yield from (unreadable("clients"), unreadable_folder("clients"), too_large("clients"))
    yield too_few_rows(9)
    with pytest.raises(SecureFlowError) as caught:
        SummedRows(cast("Summed", SimpleNamespace(contributions=1)), MOST_ROWS + 1, {}, None)
    yield caught.value
    yield malformed_cell("age", 4, "it is infinite")
    yield malformed_cell("note", 4, "no format of the step date_parts fits it", step="date_parts")


@pytest.mark.parametrize("error", list(honest()), ids=str)
def test_what_an_honest_worker_says_is_told_as_it_was(error: SecureFlowError) -> None:
    told = crossed(error)
    assert told.as_json() == error.as_json()
    assert isinstance(told, WorkerError)
    assert told.message.template == error.message.template  # type: ignore[attr-defined]


def test_the_name_of_a_file_is_told_if_it_is_one_of_the_datasets_folder(tmp_path: Path) -> None:
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "a.png").write_bytes(b"")
    columns = (ColumnConfig("image", "image", shape=(8, 8, 1)),)
    asked = replace(ASKED, dataset=DatasetConfig("clients", str(tmp_path), "images", columns))
    there = mismatch("clients", "image", 3, "it is damaged or cut short", "low/a.png")
    assert crossed(there, asked).as_json() == there.as_json()
    without = mismatch("clients", "image", 3, "it is damaged or cut short")
    for name in (SECRET, "../" + tmp_path.name + "/low/a.png", str(tmp_path / "low" / "a.png")):
        error = mismatch("clients", "image", 3, "it is damaged or cut short", name)
        assert crossed(error, asked).as_json() == without.as_json()
    private = replace(asked, spec=PRIVATE.spec)
    assert crossed(there, private).code == "worker_failed"


def test_a_real_workers_complaint_is_told_to_the_owner_whatever_the_privacy(
    tmp_path: Path,
) -> None:
    path = tmp_path / "clients.csv"
    path.write_text(f"age,y,note\n4,1,a\n{SECRET},1,b\n")
    dataset = replace(DATASET, path=str(path))
    with pytest.raises(SecureFlowError) as caught:
        open_source(dataset).describe()
    asked = {"dataset": dump(dataset), "salt": "00" * 32}
    line = json.dumps({"id": 1, "verb": "describe", "arguments": asked}).encode()
    raw = json.loads(Worker(SourceLimits()).answer(line))["error"]
    told = worker_error(raw, Asked(dataset=dataset, owner=True))
    assert told.as_json() == caught.value.as_json()
    assert told.details["row"] == 2


HOSTILE: list[Any] = [
    {},
    {"code": SECRET, "message": SECRET, "hint": SECRET, "details": {"x": SECRET}},
    {"code": [SECRET], "message": {"a": SECRET}, "texts": [SECRET]},
    {"code": {"code": SECRET}, "message": None, "texts": {"message": SECRET}},
    {"code": "dataset_changed", "message": SECRET, "details": {"rows": [[SECRET]]}},
    {"code": "setup_changed", "message": "x", "details": {"signer": "bank-b"}},
    {"code": "schema_mismatch", "message": SECRET * 100_000},
    *({"code": code, "message": SECRET, "details": {"signer": "bank-b"}} for code in CATALOGUE),
]


def forged(error: SecureFlowError) -> Iterator[dict[str, Any]]:
    """Yield an honest error with each of its parts replaced."""
    raw: dict[str, Any] = json.loads(json.dumps(error.as_json()))
    yield {**raw, "message": SECRET, "hint": SECRET}
    yield {**raw, "details": dict.fromkeys(raw["details"], SECRET) | {SECRET: SECRET}}
    yield {**raw, "details": {"row": 1 << 60, "column": SECRET, "dataset": [SECRET]}}
    made = raw["texts"]["message"]
    for other in ([SECRET], {SECRET: 1}, SECRET, 1 << 60, -1, True, None, 0.5):
        for name in made["facts"]:
            facts = {**made["facts"], name: other}
            yield {**raw, "texts": {"message": {**made, "facts": facts}}}
    for name, fact in made["facts"].items():
        if isinstance(fact, dict):
            for inner in fact["facts"]:
                within = {**fact, "english": SECRET, "facts": {**fact["facts"], inner: SECRET}}
                facts = {**made["facts"], name: within}
                yield {**raw, "texts": {"message": {**made, "facts": facts}}}
    yield {**raw, "texts": {"message": {**made, "template": "{" + SECRET + "}"}}}
    yield {**raw, "texts": {"hint": {"template": SECRET, "facts": {}}, "message": made}}


@pytest.mark.parametrize("asked", [ASKED, PRIVATE, Asked()], ids=["plain", "private", "nothing"])
def test_nothing_of_a_hostile_workers_words_is_told(
    asked: Asked, capfd: pytest.CaptureFixture[str]
) -> None:
    forgeries = [*HOSTILE, *(one for error in honest() if "texts" in error.as_json()
                             for one in forged(error))]  # fmt: skip
    for raw in forgeries:
        told = crossed(raw, asked)
        said = json.dumps(told.as_json())
        assert SECRET not in said, raw
        assert str(1 << 60) not in said, raw
        assert told.code in ERRORS
        assert not isinstance(told, InfrastructureError)
        assert len(said) < 4000
        assert culprits(told, "bank-a") == ()
    capfd.readouterr()


def test_a_private_job_tells_nothing_that_depends_on_a_row() -> None:
    for error in honest():
        told = crossed(error, PRIVATE)
        if any(one in str(error.as_json()) for one in ('"row": 17', "row 17", "Row 4")):
            assert told.message.endswith(f"{UNSAID}.")
            assert told.details == {}
    for kind in ("int64", "double"):
        reason = Text("its type {kind} cannot be a {type}", kind=kind, type="image")
        told = crossed(mismatch("clients", "y", None, reason), PRIVATE)
        assert kind not in str(told.as_json())
        assert "'y'" in told.message


def test_no_digit_beyond_those_that_are_read_is_told() -> None:
    error = mismatch("clients", "age", 1, Text("it is outside [{low:g}, {high:g}]",
                                               low=-0.5, high=120.0))  # fmt: skip
    raw = json.loads(json.dumps(error.as_json()))
    raw["texts"]["message"]["facts"]["reason"]["facts"]["high"] = 120.0000001
    assert crossed(raw).as_json() == error.as_json()
    column = ColumnConfig("age", "number", bounds=(-0.5, 1e6))
    wide = replace(ASKED, dataset=replace(DATASET, columns=(column,)))
    raw["texts"]["message"]["facts"]["reason"]["facts"]["high"] = 1_000_001
    assert "1000001" not in json.dumps(crossed(raw, wide).as_json())


def test_a_workers_error_accuses_nobody_whatever_its_code() -> None:
    for code in ACCUSING:
        assert culprits(SecureFlowError(code, "x"), "bank-a")
        assert culprits(WorkerError(code, "x", "", {"signer": "bank-b"}), "bank-a") == ()
    assert not ACCUSING & ERRORS.keys()
    assert not WAITED_FOR & ERRORS.keys()
    assert ERRORS.keys() <= set(CATALOGUE)


# What can be told follows the code that says it.

READ_BY_A_WORKER = (
    "adapters/datasources/array_folder.py",
    "adapters/datasources/conform.py",
    "adapters/datasources/commitment.py",
    "adapters/datasources/csv_file.py",
    "adapters/datasources/formats.py",
    "adapters/datasources/image_folder.py",
    "adapters/datasources/imagefiles.py",
    "adapters/datasources/nestedcells.py",
    "adapters/datasources/npyheader.py",
    "adapters/datasources/parquet_file.py",
    "adapters/datasources/source.py",
    "adapters/datasources/tensorcells.py",
    "adapters/frameworks",
    "agent/compute/evaluation.py",
    "agent/compute/evaluation_rows.py",
    "agent/compute/keyedrows.py",
    "agent/compute/kind.py",
    "agent/compute/prediction.py",
    "agent/compute/prediction_rows.py",
    "agent/compute/preparation.py",
    "agent/compute/preparation_rows.py",
    "agent/compute/psi.py",
    "agent/compute/psi_rows.py",
    "agent/compute/statistics.py",
    "agent/compute/statistics_rows.py",
    "agent/compute/summed.py",
    "agent/compute/summedrows.py",
    "agent/compute/training.py",
    "agent/compute/worker.py",
    "engines/preparation",
    "engines/statistics/rows.py",
    "engines/training/logistic.py",
)
SAID_HERE = {
    # The agent says these itself when a worker says `dataset_changed`.
    "The file of dataset {dataset!r} is not the one that its owner published.",
    (
        "Its owner restores the file, or publishes it again (secureflow agent data publish); "
        "then submit the job again."
    ),
    "The file of dataset {dataset!r} changed while it was read.",
    "Publish it when nothing writes to it any more: write another file and rename it into place.",
    # Of code of others, in the agent's own process (`adapters.frameworks.returned`).
    "Training cannot start from the global model's file.",
    "What the bundle returned is refused: {reason}.",
    "a number of its tensors cannot be held",
    "It must return what the spec declares: names, shapes, dtypes, finite numbers.",
    # The agent compares the totals with the spec before a worker reads them.
    "Round {number} came with totals of other rounds.",
    "Refuse them: the centre must follow the spec that was approved.",
    # Of recipes from outside, and of what the centre makes of totals.
    "The recipe is not valid: {reason}.",
    "Fetch it again, or fit it anew.",
    "The recipe does not have the digest by which it is named.",
    "Fetch it again; if it stays so, its store is damaged.",
    "The steps of {job} left no column: a selection dropped them all.",
    "Lower its threshold, or name columns that say more.",
}
ONLY_LOGGED = {
    # It quotes a file: only its owner needs it, and finds it in the log.
    "it holds elements of type {descr}, which is not read",
    # A defect: an agent hands the list over before its worker reads.
    "It has no list of the rows that it may read.",
    # What helps where the row is seen: in a simulation.
    "Give every row a weight from {low:g} to {high:g}.",
}


def test_every_text_of_a_worker_has_its_place_in_the_table() -> None:
    """A new error or reason: add it to `worker_texts`, or here if its owner's log is enough."""
    told = {one.message for many in ERRORS.values() for one in many}
    told |= {str(one.hint) for many in ERRORS.values() for one in many}
    told |= {*WHERE, *REASONS, *SAID_HERE, *ONLY_LOGGED}
    known, missing = catalogue(), set()
    for text in _texts():
        if text.strip(", ") and " " in text and text in known and text not in told:
            missing.add(text)
    assert not missing


def test_everything_in_the_table_has_its_chinese() -> None:
    told = {one.message for many in ERRORS.values() for one in many}
    told |= {one.hint for many in ERRORS.values() for one in many
             if one.hint and not isinstance(one.hint, Text)}  # fmt: skip
    assert not {*told, *REASONS, UNSAID} - set(catalogue())


def _texts() -> Iterator[str]:
    source = Path(secureflow.__file__).parent
    for name in READ_BY_A_WORKER:
        path = source / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value

"""An owner's own data: a draft from a file, publishing, withdrawing, edited settings."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from peers.pictures import by_class, png

from secureflow.agent import api
from secureflow.agent.owner.settingsfile import with_dataset
from secureflow.agent.settings import AgentSettings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_mapping

HEAD = """\
# Mine.
organisation: bank-a
server: https://c.example
link: c.example:1
trust_domain: x.example
"""
TAIL = """
# Who may ask.
consent:
  max_age: 60   # a minute
"""
PUBLISHED: dict[str, Any] = {
    "id": "dst_00000000",
    "name": "customers",
    "title": "Customers",
    "rows": "1k-5k",
    "counted": 1234,
    "columns": [{"name": f"column_{n}"} for n in range(23)],
    "commitment": "ab" * 32,
    "grants": {"kept": 0, "reduced": 0, "ended": 0},
}
GROWS = {
    "domain": "customers",
    "before": {"epsilon": 3.0, "delta": 1e-6},
    "after": {"epsilon": 5.0, "delta": 1e-6},
    "grows": True,
}


@pytest.fixture(name="answers")
def _answers() -> dict[str, Any]:
    return {
        "data.publish": PUBLISHED,
        "data.uses": {"grants": 3, "projects": 2, "waiting": 1, "approved": 4},
        "data.list": [{"name": "customers", "state": "edited since"}],
        "reload": {"changed": ["datasets.customers"], "restart": ["link"], "budgets": []},
        "status": {"settings": {"state": "same", "changed": [], "restart": [], "problem": None}},
    }


@pytest.fixture(name="asked")
def _asked(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    calls: list[tuple[str, dict[str, Any]]] = []

    def control(config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        calls.append((command, arguments))
        return answers.get(command, {})

    monkeypatch.setattr(api, "control", control)
    return calls


@pytest.fixture(name="table")
def _table(tmp_path: Path) -> Path:
    draw = random.Random(7)
    path = tmp_path / "data" / "Bank Customers.csv"
    path.parent.mkdir()
    lines = [
        f"{9000 + 3 * n},{draw.randint(17, 89)},{draw.choice('MF')},{draw.choice('?123456789')},"
        f"{draw.randint(0, 1)}"
        for n in range(200)
    ]
    path.write_text("\n".join(["customer_id,age,sex,hours,default", *lines]) + "\n")
    return path


def test_a_draft_is_yaml_for_the_settings_and_sends_nothing(
    cli: Any, asked: Any, table: Path
) -> None:
    code, out, err = cli("agent", "data", "inspect", table, "--category", "default")
    assert code == 0
    (entry,) = yaml.safe_load(out)
    assert (entry["name"], entry["path"]) == ("bank-customers", str(table))
    assert (entry["format"], entry["missing"]) == ("csv", ["", "?"])
    assert entry["columns"] == [
        {"name": "age", "type": "number", "bounds": [10, 90]},
        {"name": "sex", "type": "category", "categories": ["F", "M"], "sensitive": True},
        {"name": "hours", "type": "number", "bounds": [1, 9]},
        {"name": "default", "type": "category", "categories": ["0", "1"]},
    ]
    assert "bounds: [10, 90]}  # to be confirmed" in out
    assert "# to be confirmed; has missing values" in out
    assert "#   customer_id: it identifies rows or persons" in out
    assert "# privacy: {domain: bank-customers, unit: record" in out
    assert "\n  # key: customer_id\n" in out
    assert "Bounds taken from the data are data" in err
    assert not asked


BARE = """\
datasets:
- name: old
  path: o.csv
  format: csv
  columns: [{name: a, type: number}]
  # privacy: later
"""
DEEP = """\
datasets:
    - name: old
      path: o.csv
      format: csv
      columns:
        - name: a
          type: number

"""


@pytest.mark.parametrize("declared", ["", "datasets: []\n", "datasets: []  # none\n", BARE, DEEP])
def test_writing_adds_to_the_settings_and_keeps_what_else_is_there(
    cli: Any, asked: Any, table: Path, declared: str
) -> None:
    config = table.parent.parent / "agent.yaml"
    config.write_text(HEAD + declared + TAIL)
    config.chmod(0o640)
    arguments = ("agent", "data", "inspect", table, "--config", config, "--write")
    assert cli(*arguments)[0] == 2  # nobody is there to confirm
    assert config.read_text() == HEAD + declared + TAIL
    assert cli(*arguments, "--yes")[0] == 0
    text = config.read_text()
    assert text.startswith(HEAD)
    for line in (HEAD + declared + TAIL).splitlines():
        assert line.removeprefix("datasets: []") in text
    settings = AgentSettings.load(config)
    names = [one.name for one in settings.datasets]
    assert names == (["old"] if "old" in declared else []) + ["bank-customers"]
    assert settings.datasets[-1].path == str(table)
    assert "path: data/Bank Customers.csv" in text
    assert settings.consent.max_age == 60
    assert config.stat().st_mode & 0o777 == 0o640
    assert cli(*arguments, "--yes")[0] == 5  # the name is taken
    assert config.read_text() == text
    assert [one.name for one in config.parent.iterdir() if "partial" in one.name] == []


def test_an_entry_goes_below_the_comments_of_the_one_above_it() -> None:
    text = "datasets:\n  - name: a\n    # of a\n\n# of others\nconsent: {}\n"
    expected = "datasets:\n  - name: a\n    # of a\n  - name: b\n\n# of others\nconsent: {}\n"
    assert with_dataset(text, ["- name: b"]) == expected
    with pytest.raises(SecureFlowError, match="brackets"):
        with_dataset("datasets: [{name: a}]\n", ["- name: b"])


def test_publishing_shows_what_fits_on_a_screen(cli: Any, asked: Any, answers: Any) -> None:
    code, out, err = cli("agent", "data", "publish", "customers")
    assert code == 0
    assert asked[-1] == ("data.publish", {"name": "customers", "title": ""})
    assert "column_22" not in out
    assert max(map(len, out.splitlines())) <= 80
    assert "dst_00000000" in out
    assert "secureflow data grant dst_00000000 PROJECT" in err
    assert "column_22" in cli("agent", "data", "publish", "customers", "-o", "json")[1]
    answers["data.publish"] = {**PUBLISHED, "grants": {"kept": 1, "reduced": 2, "ended": 3}}
    err = cli("agent", "data", "publish", "customers")[2]
    assert "2 grants lost them, 3 ended, 1 is unchanged" in err


def test_withdrawing_says_what_it_ends_and_needs_a_yes(cli: Any, asked: Any) -> None:
    code, _, err = cli("agent", "data", "remove", "customers")
    assert code == 2
    assert "3 grants of 2 projects and refuses 1 request that waits; 4 approved jobs" in err
    assert [command for command, _ in asked] == ["data.uses"]
    assert cli("agent", "data", "remove", "customers", "--yes")[0] == 0
    assert asked[-1] == ("data.remove", {"name": "customers"})


def test_a_server_that_says_nothing_keeps_nobody_from_withdrawing(
    cli: Any, asked: Any, answers: Any
) -> None:
    error = {"code": "link_broken", "message": "The link to the server broke.", "hint": ""}
    answers["data.uses"] |= {"grants": 0, "projects": 0, "unsaid": error}
    code, _, err = cli("agent", "data", "remove", "customers", "--yes")
    assert code == 0
    assert "does not say which grants this ends: The link to the server broke. It refuses 1" in err
    assert "0 grants" not in err
    assert asked[-1] == ("data.remove", {"name": "customers"})


def test_reloading_tells_what_changed_and_what_is_left(cli: Any, asked: Any) -> None:
    code, out, err = cli("agent", "reload")
    assert code == 0
    assert "datasets.customers" in out
    assert "need a restart: link" in err
    assert "secureflow agent data publish customers" in err
    assert [a for c, a in asked if c == "reload"] == [
        {"preview": True, "agreed": []},
        {"preview": False, "agreed": []},
    ]


def test_a_budget_grows_only_after_a_yes(cli: Any, asked: Any, answers: Any) -> None:
    answers["reload"] = {**answers["reload"], "budgets": [GROWS]}
    code, _, err = cli("agent", "reload")
    assert code == 2
    assert "Budget customers: ε 3.0 at δ 1e-06 → ε 5.0 at δ 1e-06" in err
    assert len(asked) == 1
    assert cli("agent", "reload", "--yes")[0] == 0
    assert ("reload", {"preview": False, "agreed": [GROWS]}) in asked


def test_more_ids_are_tested_only_after_a_yes(cli: Any, asked: Any, answers: Any) -> None:
    tested = {
        "domain": "customers", "before": {"limit": 5, "window": None},
        "after": {"limit": 9, "window": 30}, "grows": True,
    }  # fmt: skip
    answers["reload"] = {**answers["reload"], "probing": [tested]}
    code, _, err = cli("agent", "reload")
    assert code == 2
    assert "Probing limit customers: 5 ids → 9 ids in 30 days" in err
    assert cli("agent", "reload", "--yes")[0] == 0
    assert ("reload", {"preview": False, "agreed": [tested]}) in asked


def test_status_says_how_the_file_stands(cli: Any, asked: Any, answers: Any) -> None:
    assert "as in the file" in cli("agent", "status")[1]
    settings = {"changed": ["datasets.a"], "restart": ["link"], "problem": None, "state": "edited"}
    answers["status"] = {"settings": settings}
    out = cli("agent", "status")[1]
    assert "edited, not applied: datasets.a" in out
    assert "needs a restart: link" in out
    problem = {"message": "x is wrong"}
    answers["status"] = {"settings": {**settings, "state": "invalid", "problem": problem}}
    assert "does not load: x is wrong" in cli("agent", "status")[1]


def test_a_bundle_is_read_as_the_job_wrote_it(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML takes 1e-06 for text: the spec's digest was another one, and no budget was unlocked."""
    given: list[Any] = []
    monkeypatch.setattr(api, "data_settle", lambda *told: given.append(told) or {})
    bundle = tmp_path / "bundle.json"
    bundle.write_text(
        json.dumps({"job": "job_1", "spec": {"delta": 1e-06}, "big": "x" * (2 << 20)})
    )
    assert cli("agent", "data", "settle", "customers", "--bundle", bundle, "--yes")[0] == 0
    assert given[0][2][0]["spec"] == {"delta": 1e-06}
    bundle.write_text("[]")
    code, _, err = cli("agent", "data", "settle", "customers", "--bundle", bundle, "--yes")
    assert (code, err.partition(":")[0]) == (2, "invalid_file")


def test_a_job_file_of_a_person_holds_numbers_with_exponents(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("delta: 1e-6\nname: 12e3x\nquoted: '1e-6'\nrows: 12\n")
    assert read_mapping(file) == {"delta": 1e-6, "name": "12e3x", "quoted": "1e-6", "rows": 12}


def test_a_folder_of_images_is_drafted_and_written(cli: Any, asked: Any, tmp_path: Path) -> None:
    folder = tmp_path / "Chest X-rays"
    by_class(folder)
    (folder / "dog" / "0009.png").write_bytes(png(9, (8, 8, 3)))
    config = tmp_path / "agent.yaml"
    config.write_text(HEAD)
    arguments = ("agent", "data", "inspect", folder, "--config", config, "--write", "--yes")
    code, out, err = cli(*arguments)
    assert code == 0
    (entry,) = yaml.safe_load(out)
    assert entry == {
        "name": "chest-x-rays", "path": "Chest X-rays", "format": "images",
        "columns": [
            {"name": "image", "type": "image", "shape": [4, 6, 3], "fit": "resize"},
            {"name": "label", "type": "category", "categories": ["cat", "dog"]},
        ],
    }  # fmt: skip
    assert "The images of image have several sizes" in err
    (declared,) = AgentSettings.load(config).datasets
    assert (declared.is_folder, declared.decodes) == (True, True)
    assert not asked


def test_arrays_are_drafted_with_a_word_about_bounds(cli: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "wave.npy", np.zeros((30, 4), np.float32))
    code, out, err = cli("agent", "data", "inspect", tmp_path, "--name", "waves")
    assert (code, yaml.safe_load(out)[0]["columns"]) == (
        0, [{"name": "wave", "type": "array", "shape": [4], "dtype": "float32"}],
    )  # fmt: skip
    assert "add bounds to wave" in err


@pytest.mark.usefixtures("asked")
def test_a_key_is_told_where_datasets_are_listed(cli: Any, answers: dict[str, Any]) -> None:
    one = {"name": "loans", "state": "published", "published": "dst_1", "columns": 3, "path": "l"}
    answers["data.list"] = [{**one, "key": ""}]
    assert "key" not in cli("agent", "data", "list")[1]
    answers["data.list"] = [{**one, "key": "customer_id"}]
    assert "customer_id" in cli("agent", "data", "list")[1]


@pytest.mark.usefixtures("asked")
def test_one_dataset_is_shown_with_the_sensitive_columns_first(
    cli: Any, answers: dict[str, Any]
) -> None:
    answers["data.show"] = {
        "name": "customers", "title": "Customers", "state": "published", "published": "dst_1",
        "rows": "1k-5k", "format": "csv", "path": "c.csv", "columns": 2, "key": "",
        "schema": [
            {"name": "age", "type": "number", "sensitive": False, "bounds": [0, 120]},
            {"name": "diagnosis", "type": "text", "sensitive": True},
        ],
        "privacy": None, "probing": None, "result": None,
    }  # fmt: skip
    code, shown, _ = cli("agent", "data", "show", "customers")
    assert code == 0
    assert "1k-5k" in shown
    assert shown.index("diagnosis") < shown.index("age ")

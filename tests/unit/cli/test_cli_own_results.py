"""`secureflow agent results` and `agent probing`, over what an agent tells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from secureflow.agent import api

JOB = "job_11111111"


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the agent tells of a job's result, with its file."""
    file = tmp_path / f"{JOB}.parquet"
    pq.write_table(pa.table({"id": ["=1+1", "b"], "age": [1, 2]}), file)
    told: dict[str, Any] = {
        "job": JOB, "name": "shared customers", "purpose": "p", "kind": "psi", "at": 1_800_000_000,
        "dataset": "people", "domain": "households", "rows": 2, "matched": 2, "attempt": 1,
        "learns": "one", "join": "inner", "peers": {"bank-b": {"keys": 7}}, "bytes": 9,
        "file": "cd" * 32, "state": "kept", "path": str(file), "datasets": [],
        "proved": True, "hash": "ee" * 32, "leaf": {},
    }  # fmt: skip
    monkeypatch.setattr(api, "results_list", lambda config: [told])
    monkeypatch.setattr(api, "results_show", lambda config, job: told)
    return told


def test_an_owner_lists_and_shows_a_result_with_its_lineage(cli: Any, kept: dict[str, Any]) -> None:
    status, out, _ = cli("agent", "results", "list")
    assert (status, JOB in out, "psi" in out) == (0, True, True)
    status, out, err = cli("agent", "results", "show", JOB)
    assert status == 0
    assert "households" in out
    assert "bank-b" in out
    assert f"secureflow agent data inspect --result {JOB}" in err
    assert "one party" in out
    assert "datasets" not in out
    kept["datasets"] = ["joint"]
    err = cli("agent", "results", "show", JOB)[2]
    assert "It is declared as a dataset: joint." in err
    assert "data inspect" not in err
    kept["state"] = "gone"
    assert "submit it again" in cli("agent", "results", "show", JOB)[2]
    kept["state"] = "altered"
    assert "is not the one that this agent wrote" in cli("agent", "results", "show", JOB)[2]


def test_an_owner_shows_and_exports_what_peers_signed(
    cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"leaf": {"leaf": {}}, "document": {"count": 7}, "salt": "05" * 32}
    told = {
        "attempt": 1, "party": "bank-b\u202e", "count": 7, "inputs": "cd" * 32, "at": 1_800_000_000,
        "leaf": "ab" * 32, "key": "K", "holds": True, "entry": entry,
    }  # fmt: skip
    monkeypatch.setattr(api, "results_entries", lambda config, job: [told])
    status, out, _ = cli("agent", "results", "entries", JOB)
    assert (status, "cdcdcd" in out, "\u202e" in out) == (0, True, False)
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    status, out, _ = cli("agent", "results", "entries", JOB)
    assert [one in out for one in ("有效", "输入", "占用", "inputs")] == [True, True, False, False]
    target = tmp_path / "entries.json"
    assert cli("agent", "results", "entries", JOB, target)[0] == 0
    assert json.loads(target.read_text()) == {"job": JOB, "entries": [told]}
    assert cli("agent", "results", "entries", JOB, target)[0] == 5  # it exists
    assert cli("agent", "results", "entries", JOB, target, "--force")[0] == 0


def test_texts_of_peers_are_no_formulas(cli: Any, kept: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    assert cli("agent", "results", "export", JOB, target)[0] == 0
    assert target.read_text().splitlines()[1] == '"\'=1+1",1'
    assert target.stat().st_mode & 0o777 == 0o600
    copy = tmp_path / "copy.parquet"
    assert cli("agent", "results", "export", JOB, copy)[0] == 0
    assert copy.read_bytes() == Path(kept["path"]).read_bytes()
    assert cli("agent", "results", "export", JOB, copy)[0] == 5  # it exists
    kept["state"] = "altered"
    status, _, err = cli("agent", "results", "export", JOB, tmp_path / "more.csv")
    assert (status, "altered" in err) == (4, True)
    assert not (tmp_path / "more.csv").exists()


def test_a_result_that_is_a_dataset_is_removed_knowingly(
    cli: Any, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    removed = []
    monkeypatch.setattr(api, "results_remove", lambda config, job: removed.append(job))
    kept["datasets"] = ["joint"]
    status, _, err = cli("agent", "results", "remove", JOB, "--yes")
    assert (status, removed, "joint" in err) == (0, [JOB], True)


def test_a_result_is_drafted_as_a_dataset_with_its_lineage(
    cli: Any, kept: dict[str, Any], tmp_path: Path
) -> None:
    status, out, err = cli("agent", "data", "inspect", "--result", JOB, "--name", "joint")
    assert status == 0, err
    (draft,) = yaml.safe_load(out)
    assert draft["result"] == {"job": JOB, "domain": "households"}
    assert (draft["name"], draft["path"]) == ("joint", kept["path"])
    assert "households" in out.split("# privacy:")[1]
    assert "stay in the privacy domain households" in err
    for neither in ((), (tmp_path / "a.csv", "--result", JOB)):
        assert cli("agent", "data", "inspect", *neither)[0] == 2
    kept["state"] = "gone"
    assert cli("agent", "data", "inspect", "--result", JOB)[0] == 4


LISTS = [
    {"job": JOB, "party": "bank-b", "inputs": "ab" * 32, "ids": 60, "at": 1, "state": "committed"},
    {"job": "", "party": "", "inputs": "3", "ids": 5, "at": 1, "state": "committed"},
]


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the agent tells of one domain; the calls that settle it are collected."""
    row = {"domain": "people", "limit": 100, "window": 30, "tested": 65, "remaining": 35,
           "locked": False, "lists": LISTS}  # fmt: skip
    calls: list[Any] = []

    def settle(config: Path, domain: str, tested: int | None = None) -> dict[str, Any]:
        calls.append((domain, tested))
        return {"domain": domain, "jobs": [JOB], "remaining": None if tested is None else 30}

    monkeypatch.setattr(api, "probing_list", lambda config: [row])
    monkeypatch.setattr(api, "probing_settle", settle)
    return calls


def test_an_owner_sees_the_limits_and_what_was_tested(cli: Any, limits: list[Any]) -> None:
    status, out, _ = cli("agent", "probing", "list")
    assert status == 0
    assert all(one in out for one in ("people", "100", "65", "35"))
    status, out, err = cli("agent", "probing", "show", "people")
    assert status == 0
    assert all(one in out for one in ("bank-b", "60", "the owner's statement"))
    assert "35 of 100 ids are left" in err
    status, _, err = cli("agent", "probing", "show", "others")
    assert (status, "people" in err) == (4, True)


def test_the_owner_states_what_was_tested(cli: Any, limits: list[Any]) -> None:
    status, _, err = cli("agent", "probing", "settle", "people", "--tested", "5", "--yes")
    assert (status, limits) == (0, [("people", None), ("people", 5)])
    assert JOB in err
    assert cli("agent", "probing", "settle", "people", "--tested", "-1", "--yes")[0] == 2
    assert cli("agent", "probing", "settle", "people", "--yes")[0] == 2

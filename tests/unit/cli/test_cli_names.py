"""Names where ids are asked for: one fitting thing counts, several are an error, ids work."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

JOB = {
    "id": "job_00000000", "project": "prj_00000000", "organisation": "bank-a", "name": "income",
    "submitter": "sam", "kind": "training", "script": "training/1", "spec": {}, "digest": "0" * 64,
    "state": "running", "created": 1, "updated": 1,
}  # fmt: skip
PROJECTS = [
    {"id": f"prj_0000000{n}", "name": name, "purpose": "credit", "organisation": owner,
     "members": [], "created": 1}
    for n, (name, owner) in enumerate(
        [("Credit risk", "bank-a"), ("Fraud", "bank-a"), ("Fraud", "bank-z"),
         ("prj_00000001", "bank-z")]
    )
]  # fmt: skip
DATASETS = [
    {"id": f"dst_0000000{n}", "organisation": owner, "name": "customers", "title": f"Silo {n}",
     "columns": [{"name": "age", "type": "number"}], "rows": "<1k", "commitment": "", "created": 1}
    for n, owner in enumerate(["bank-a", "bank-b"])
]  # fmt: skip
GRANT = {
    "id": "grt_00000000", "dataset": "dst_00000000", "organisation": "bank-a",
    "project": "prj_00000000", "columns": ["age"], "purposes": [], "created": 1, "expires": 2,
    "granted_by": "sam",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _world(centre: Any) -> None:
    centre.answers |= {
        "GET /projects": (200, {"items": PROJECTS}),
        "GET /datasets": (200, {"items": DATASETS}),
        "GET /jobs": (200, {"items": [JOB]}),
        "GET /jobs/job_00000000": (200, JOB),
        "POST /jobs/job_00000000/cancel": (200, JOB | {"state": "cancelled"}),
        "POST /jobs": (201, JOB),
        "POST /datasets/dst_00000000/grants": (201, GRANT),
        "GET /datasets/dst_00000000": (200, DATASETS[0]),
        **{f"GET /projects/{one['id']}": (200, one) for one in PROJECTS},
        **{f"POST /projects/{one['id']}/accept": (200, one) for one in PROJECTS},
    }


def _asked(centre: Any) -> list[str]:
    return [what for what, _, _ in centre.asked]


def test_a_unique_name_counts_and_its_id_is_said(centre: Any, cli: Any) -> None:
    code, out, err = cli("project", "show", "Credit risk")
    assert (code, _asked(centre)[:2]) == (0, ["GET /projects", "GET /projects/prj_00000000"])
    assert err == "Credit risk (bank-a) is prj_00000000.\n"
    assert "prj_00000000" in out
    assert "income (bank-a, running) is job_00000000." in cli("job", "show", "income")[2]
    assert cli("data", "show", "bank-a/customers")[0] == 0
    assert cli("data", "show", "Silo 0")[0] == 0


def test_an_id_is_asked_for_at_once_even_where_it_is_another_ones_name(
    centre: Any, cli: Any
) -> None:
    assert cli("project", "show", "prj_00000001")[0] == 0
    assert _asked(centre)[0] == "GET /projects/prj_00000001"
    assert "GET /projects" not in _asked(centre)


def test_a_name_of_several_things_lists_them_with_full_ids(centre: Any, cli: Any) -> None:
    code, out, err = cli("project", "show", "Fraud")
    assert (code, out, _asked(centre)) == (2, "", ["GET /projects"])
    assert err.startswith("ambiguous_name: ")
    assert "prj_00000001 Fraud (bank-a); prj_00000002 Fraud (bank-z)" in err
    assert err.endswith("→ Give the id.\n")
    code, _, err = cli("data", "show", "customers")
    assert code == 2
    assert "Give the id, or the whole name: bank-a/customers." in err


def test_a_name_of_nothing_is_4(cli: Any) -> None:
    code, _, err = cli("project", "show", "credit risk")
    assert code == 4
    assert err.startswith("not_found: ")


@pytest.mark.parametrize(
    ("by_name", "by_id", "action"),
    [
        (
            ("data", "grant", "bank-a/customers", "Credit risk"),
            ("data", "grant", "dst_00000000", "prj_00000000"),
            "POST /datasets/dst_00000000/grants",
        ),
        (
            ("project", "accept", "Credit risk"),
            ("project", "accept", "prj_00000000"),
            "POST /projects/prj_00000000/accept",
        ),
    ],
)
def test_a_decision_by_name_is_confirmed_with_the_id(
    centre: Any,
    cli: Any,
    monkeypatch: pytest.MonkeyPatch,
    by_name: tuple[str, ...],
    by_id: tuple[str, ...],
    action: str,
) -> None:
    code, out, err = cli(*by_name)
    assert (code, out) == (2, "")
    assert "prj_00000000" in err
    assert "not_confirmed" in err
    assert action not in _asked(centre)
    answer = io.StringIO("y\n")
    answer.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", answer)
    assert "prj_00000000" in cli(*by_name)[2]
    assert _asked(centre).count(action) == 1
    assert cli(*by_name, "--yes")[0] == 0
    assert cli(*by_id)[0] == 0
    assert _asked(centre).count(action) == 3


def test_cancelling_asks_about_the_id(centre: Any, cli: Any) -> None:
    code, _, err = cli("job", "cancel", "income")
    assert code == 2
    assert "job_00000000" in err
    assert cli("job", "cancel", "income", "--yes")[0] == 0
    assert _asked(centre)[-1] == "POST /jobs/job_00000000/cancel"


def test_a_job_file_may_name_its_project_and_datasets(
    centre: Any, cli: Any, tmp_path: Path
) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("project: Credit risk\ndatasets: [bank-a/customers, dst_00000001]\nname: x\n")
    assert cli("job", "submit", file)[0] == 0
    assert centre.asked[-1][2] == {
        "project": "prj_00000000", "datasets": ["dst_00000000", "dst_00000001"], "name": "x",
    }  # fmt: skip

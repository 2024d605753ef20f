"""What the console needs, on the command line: filters, lineage, search, links, PDF."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

AGENT = "spiffe://x/org/bank-a/agent/agent-1"
JOB = "job_00000000000000000000"
MODEL = "mdl_00000000000000000000"


def _asked(centre: Any, path: str) -> str:
    """Return the query of the last request to a path."""
    keys = [key for key, _, _ in centre.asked if key.startswith(f"GET {path}")]
    return str(keys[-1].partition("?")[2])


def test_jobs_are_filtered_by_the_centre_newest_first(cli: Any, centre: Any) -> None:
    cli("job", "list", "--state", "failed", "--submitter", "ann", "--text", "churn model")
    query = _asked(centre, "/jobs")
    for part in ("state=failed", "submitter=ann", "text=churn", "newest=1"):
        assert part in query


def test_a_lineage_is_a_table_of_relations(cli: Any, centre: Any) -> None:
    node = {"kind": "job", "organisation": "", "created": 1, "detail": {}}
    centre.answers[f"GET /models/{MODEL}/lineage"] = (200, {
        "model": MODEL, "more": True, "evaluations": [],
        "nodes": [{"id": JOB, "name": "income", **node}, {"id": MODEL, "name": "m", **node}],
        "edges": [{"source": JOB, "target": MODEL, "relation": "released"}],
    })  # fmt: skip
    code, out, err = cli("model", "lineage", MODEL)
    assert code == 0, err
    assert JOB in out
    assert "released" in out
    assert "cut" in err
    _, told, _ = cli("model", "lineage", MODEL, "-o", "json")
    assert json.loads(told)["edges"][0]["relation"] == "released"


def test_a_link_is_shown_step_by_step(cli: Any, centre: Any) -> None:
    quoted = AGENT.replace(":", "%3A").replace("/", "%2F")
    step = {
        "name": "connected", "state": "failed", "cause": "bank-a has no link.", "who": "agent",
        "command": "secureflow agent doctor", "facts": {},
    }  # fmt: skip
    centre.answers[f"GET /agents/{quoted}/link"] = (200, {
        "agent": AGENT, "party": "bank-a", "organisation": "bank-a", "kind": "agent",
        "state": "failed", "steps": [step],
    })  # fmt: skip
    code, out, err = cli("party", "link", AGENT)
    assert code == 0, err
    assert "bank-a has no link." in out
    assert "secureflow agent doctor" in out


def test_a_search_of_the_log_goes_on_until_there_is_enough(cli: Any, centre: Any) -> None:
    def page(before: int, index: int, following: int) -> None:
        query = f"kind=job.&since=0&until=0&before={before}&limit="
        entry = {"index": index, "hash": "ab", "kind": "job.proposed", "author": "server"}
        for limit in (1, 2):
            centre.answers[f"GET /audit/search?{query}{limit}"] = (
                200, {"items": [entry], "next": following},
            )  # fmt: skip

    page(0, 9, 9)
    page(9, 4, 4)
    code, out, err = cli("audit", "search", "--kind", "job.", "--limit", "2", "-o", "json")
    assert code == 0, (err, [key for key, _, _ in centre.asked])
    assert [one["index"] for one in json.loads(out)] == [9, 4]


@pytest.mark.parametrize(("verb", "path"), [("report", "report"), ("explain", "explain")])
def test_a_report_and_an_explanation_are_written_as_files(
    cli: Any, centre: Any, tmp_path: Path, verb: str, path: str
) -> None:
    centre.answers[f"GET /jobs/{JOB}/{path}?format=pdf&lang=en"] = (200, b"%PDF-1.7 \xff")
    centre.answers[f"GET /jobs/{JOB}/{path}?format=html&lang=en"] = (200, b"<html>")
    pdf, html = tmp_path / "told.pdf", tmp_path / "told.html"
    code, out, err = cli("job", verb, JOB, "--pdf", str(pdf), "--html", str(html))
    assert (code, out) == (0, ""), err
    assert pdf.read_bytes() == b"%PDF-1.7 \xff"
    assert html.read_text() == "<html>"

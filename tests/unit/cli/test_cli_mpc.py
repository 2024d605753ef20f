"""`secureflow mpc`: the catalogue in both languages, estimates, and totals by keys as files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from secureflow.application.totals import npy_header
from secureflow.cli.peerkinds import MpcText, holds
from secureflow.domain.specs.mpc_programs import PROGRAMS
from secureflow.engines.mpc.sections import program_of
from secureflow.engines.mpc.sharecost import share_estimate
from secureflow.texts import chinese
from tests.unit.engines.mpc.engine_world import computed
from tests.unit.engines.mpc.world import QUERIES, specified

EXAMPLES = Path(__file__).parents[3] / "examples"
JOB = "job_0123456789"
ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]
STEPS = np.array([9, 150, 275, -25], "<i8")


def report(**changes: Any) -> dict[str, Any]:
    keys = {"column": "age", "first": 18, "count": 3, "offset": 1, "step": 0.01,
            "standard_error": None}  # fmt: skip
    return {
        "job": JOB, "kind": "mpc", "state": "succeeded",
        "answers": [
            {"name": "rows", "measure": "count", "rows": [{"value": 9, "reason": ""}]},
            {"name": "by-age", "measure": "sum", "keys": keys, "rows": [{"value": 4.0}]},
        ],
        "totals": {"artifact": "ab" * 32, "sha256": hashlib.sha256(STEPS.tobytes()).hexdigest()},
        **changes,
    }  # fmt: skip


def test_programs_are_listed_and_described(cli: Any) -> None:
    status, out, _ = cli("mpc", "list", "-o", "json")
    assert status == 0
    assert [row["name"] for row in json.loads(out)] == list(PROGRAMS)
    status, out, _ = cli("mpc", "list")
    assert [line.split()[:4] for line in out.splitlines() if line.startswith("sealed-bid")] == [
        ["sealed-bid", "1", "spu", "2-3"]
    ]
    for name in PROGRAMS:
        status, out, _ = cli("mpc", "describe", name, "-o", "yaml")
        assert status == 0
        status, out, _ = cli("mpc", "describe", name)
        assert status == 0
        assert "semi-honest" in out
    status, _, err = cli("mpc", "describe", "joint-sum")
    assert status != 0
    assert "joint-sums may be meant" in err


def test_the_catalogue_has_its_chinese(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in PROGRAMS.values():
        for text in (entry.title, entry.numeric, *(one for row in entry.learns for one in row)):
            assert chinese(text), text
        for protocol in entry.protocols.values():
            label = protocol.label
            told = (label.threshold, label.collusion, label.repeats, label.numeric)
            for text in (*told, *label.leakage, *label.trusted):
                assert not text or chinese(text), text
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    _, out, _ = cli("mpc", "describe", "joint-sums")
    assert "谁" in out or "各方" in out


def test_it_is_said_of_an_auction_that_receivers_learn_the_price_and_losers_nothing() -> None:
    told = dict(PROGRAMS["sealed-bid"].learns)
    assert set(told) == {"each receiver", "the others"}
    assert "the loser's bid" in told["each receiver"]


def test_an_estimate_grows_with_parties_and_numbers(cli: Any) -> None:
    def bytes_of(*more: str) -> int:
        status, out, _ = cli("mpc", "estimate", "joint-sums", *more, "-o", "json")
        assert status == 0
        return int(json.loads(out)["bytes"])

    assert bytes_of("--parties", "4") > bytes_of() > 3 * 8 * 1000
    assert 24_000_000 < bytes_of("--numbers", "1000000") < 55_000_000


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".npy"])
def test_totals_by_keys_are_written_as_files(
    cli: Any, centre: Any, tmp_path: Path, suffix: str
) -> None:
    centre.answers[f"GET /jobs/{JOB}/report?format=json"] = (200, report())
    centre.answers[f"GET /jobs/{JOB}/totals"] = (200, npy_header(4) + STEPS.tobytes())
    file = tmp_path / f"totals{suffix}"
    status, _, err = cli("mpc", "totals", JOB, str(file))
    assert status == 0, err
    if suffix == ".parquet":
        found = pq.read_table(file)
        assert found["age"].to_pylist() == [18, 19, 20]
        assert found["by-age"].to_pylist() == [1.5, 2.75, -0.25]
    elif suffix == ".csv":
        assert file.read_text().splitlines()[1:] == ["18,1.5", "19,2.75", "20,-0.25"]
    else:
        assert np.load(file, allow_pickle=False).tolist() == [1.5, 2.75, -0.25]


@pytest.mark.parametrize("what", ["forged", "cut", "beyond", "no array"])
def test_totals_that_are_not_those_of_the_report_are_not_written(
    cli: Any, centre: Any, tmp_path: Path, what: str
) -> None:
    content, told = npy_header(4) + STEPS.tobytes(), report()
    if what == "forged":
        content = content[:-1] + b"\x01"
    if what == "cut":
        content = content[:-8]
    if what == "beyond":
        told["answers"][1]["keys"]["count"] = 4
    if what == "no array":
        content = b"\x93NUMPY but none"
    centre.answers[f"GET /jobs/{JOB}/report?format=json"] = (200, told)
    centre.answers[f"GET /jobs/{JOB}/totals"] = (200, content)
    status, _, err = cli("mpc", "totals", JOB, str(tmp_path / "totals.npy"))
    assert status != 0
    assert "digest_mismatch" in err or "invalid_answer" in err
    assert list(tmp_path.glob("totals.npy")) == []


def test_a_file_of_no_known_form_is_refused_before_anything_is_asked(cli: Any) -> None:
    status, _, err = cli("mpc", "totals", JOB, "totals.xlsx")
    assert status != 0
    assert ".parquet" in err


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_a_dry_run_says_who_learns_what_and_against_whom_it_holds(
    cli: Any, centre: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tongue: str
) -> None:
    """As the catalogue does: for people, in their language."""
    monkeypatch.setenv("SECUREFLOW_LANG", tongue)
    spec, file = computed(ROSTER), tmp_path / "job.json"
    file.write_text(json.dumps({"kind": "mpc", "project": "prj_00000000", "datasets": []}))
    code = {"digest": "ab" * 32, "entry": "own.py", "arguments": ["-n", "3"], "input": "rows"}
    details = {"program": {**program_of(spec), "code": code}, "receivers": ["bank-a"],
               "attempts": 3, "inputs": {"bank-a": ["turnover"]},
               "estimate": share_estimate(spec, 1000)}  # fmt: skip
    answer = {"digest": "d" * 64, "spec": {}, "details": details}
    centre.answers["POST /jobs/dry-run"] = (200, answer)
    status, out, err = cli("job", "submit", str(file), "--dry-run")
    assert status == 0, err
    learned = "the place of every party's number, and which are equal"
    held = "two of the three that put together what they see learn every input"
    for text in (learned, held):
        assert (str(chinese(text)) if tongue == "zh" else text) in out
    assert "ranking/1" in out
    assert "who=" not in out
    assert all(one in out for one in ("ab" * 32, "own.py", "-n, 3" if tongue == "en" else "-n、3"))
    if tongue == "zh":
        labels = {line.split()[0] for line in out.splitlines() if line}
        assert not {"receivers", "attempts", "inputs", "estimated_rows"} & labels


def test_a_person_reads_what_is_asked_and_what_leaves() -> None:
    spec = specified(ROSTER, QUERIES)
    text = MpcText()
    assert "joint-sums by masked-sum" in text.task(spec)
    assert "60 keys of age from 18 on" in text.task(spec)
    assert "exact sums" in text.leaves(spec)
    noised = specified(ROSTER, privacy={"delta": 1e-6, "noise_multiplier": 2.0}, decimals=[])
    assert "noised sums" in text.leaves(noised)
    assert text.label(spec) is text.label(noised) is None
    label = text.label(computed(ROSTER, protocol="aby3"))
    assert label is not None
    assert "learn every input" in holds(label)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_dry_run_says_in_words_who_learns_what(
    cli: Any, centre: Any, monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    found = program_of(specified(ROSTER))
    centre.answers["POST /jobs/dry-run"] = (
        200, {"digest": "d" * 64, "spec": {}, "details": {"program": found}, "notes": []},
    )  # fmt: skip
    monkeypatch.chdir(EXAMPLES)
    project = {"id": "prj_00000000", "name": "p", "created": 1, "members": []}
    centre.answers["GET /projects/prj_000000000000"] = (200, project)
    status, out, err = cli("job", "dry-run", "sums.yaml")
    assert status == 0, err
    assert f"joint-sums/{found['version']}" in out
    for one in found["learns"]:
        told = f"learns: {one['who']}: {one['what']}"
        assert (told in out) == (lang == "en")
    assert "who=" not in out
    assert ("得知" in out) == (lang == "zh")

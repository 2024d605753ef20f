"""Programs of others at the command line: job files, the owner's screen, the files that come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from peers.mpyc_world import asked_of_mpyc, program

from secureflow.agent import api
from secureflow.cli.peerkinds import MpcText
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.canonical import b64encode
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.bundlefiles import read_bundle
from secureflow.sdk.localprogram import local_program
from tests.unit.cli.test_cli_bringing import DATASET, DRAFTED, PROJECT, _Any, posted
from tests.unit.cli.test_cli_inbox import told

Cli = Callable[..., tuple[int, str, str]]
ROSTER = [{"party": f"bank-{one}", "key": one * 43 + "=", "dataset": "d"} for one in "abc"]
CODE = Bundle({"program.py": b"from mpyc.runtime import mpc\nprint('x')\n"})


def spec_of(**changes: Any) -> MpcSpec:
    given = {"computation": program(CODE, arguments=["-n", "3", "@bid"]), **changes}
    return parse(MpcSpec, asked_of_mpyc(ROSTER, **given))


@pytest.fixture(name="job")
def _job(tmp_path: Path) -> Path:
    """A job file beside the folder of its program."""
    folder = tmp_path / "auction"
    folder.mkdir()
    (folder / "program.py").write_bytes(CODE.files["program.py"])
    file = tmp_path / "job.yaml"
    asked = {
        "kind": "mpc", "project": PROJECT, "name": "auction", "purpose": "p",
        "datasets": [DATASET], "receivers": ["bank-a"],
        "program": {"name": "mpyc", "folder": "auction", "arguments": ["@bid"]},
        "inputs": {"bank-a": {"columns": ["bid"]}},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(asked))
    return file


def test_a_submission_checks_uploads_and_asks(centre: Any, cli: Cli, job: Path) -> None:
    row = {"id": "p.d", "digest": CODE.digest, "name": "auction", "size": 1, "files": 1, "lines": 2}
    kept = {"project": PROJECT, "organisation": "a", "uploader": "u", "created": 1, "expires": 2}

    def answer(key: str) -> tuple[int, Any]:
        if key.startswith("POST /jobs/dry-run"):
            return 200, DRAFTED
        return (201, row | kept) if key.startswith("POST /bundles") else (400, {"code": "x"})

    centre.answers = _Any("POST /", answer)
    cli("job", "submit", job)
    checked, bundle, submitted = posted(centre)
    assert f"bundle={CODE.digest}" in checked
    assert f"digest={CODE.digest}" in bundle
    assert submitted == "POST /jobs"
    asked = centre.asked[-1][2]["program"]
    assert asked == {
        "name": "mpyc", "bundle": {"digest": CODE.digest, "entry": "program.py"},
        "arguments": ["@bid"], "input": "rows.csv", "version": 1,
    }  # fmt: skip


def test_a_dry_run_uploads_nothing(centre: Any, cli: Cli, job: Path) -> None:
    centre.answers = _Any("POST /jobs/dry-run", lambda _: (200, DRAFTED))
    code, _, err = cli("job", "dry-run", job)
    assert code == 0, err
    assert len(posted(centre)) == 1
    assert f"auction: {CODE.digest}" in err


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"entry": "other.py"}, "invalid_spec", "program.entry: the folder has no file other.py"),
        ({"folders": "x"}, "invalid_spec", "program.folders"),
        ({"folder": "job.yaml"}, "invalid_spec", "is a file"),
        ({"input": "../x.csv"}, "invalid_spec", "program.input"),
        ({"folder": "nowhere"}, "invalid_file", ""),
    ],
)
def test_what_a_folder_lacks_is_said_before_anything_is_sent(
    job: Path, changes: dict[str, Any], code: str, reason: str
) -> None:
    asked = yaml.safe_load(job.read_text())
    asked["program"] |= changes
    with pytest.raises(SecureFlowError) as caught:
        local_program(asked, job.parent)
    assert caught.value.code == code
    assert reason in str(caught.value)


def test_what_is_no_text_is_in_no_bundle(job: Path) -> None:
    (job.parent / "auction" / "bids.csv").write_text("1\n")
    with pytest.raises(SecureFlowError, match=r"bids.csv"):
        local_program(yaml.safe_load(job.read_text()), job.parent)


def test_a_job_that_names_no_folder_is_left_as_it_is(job: Path) -> None:
    for asked in ({"kind": "mpc", "program": program(CODE)}, {"kind": "training"}):
        assert local_program(asked, job.parent) == (asked, None)
    assert read_bundle(job.parent / "auction").digest == CODE.digest


def test_an_owner_reads_what_runs_on_what_and_who_gets_files() -> None:
    spec = spec_of(receivers=["bank-b"])
    task = MpcText().task(spec)
    assert f"program.py of the bundle {CODE.digest}" in task
    assert "by shamir of mpyc 0.11" in task
    assert "-n 3 @bid" in task
    assert "bank-c by bid" in task
    leaves = MpcText().leaves(spec)
    assert "READ IT" in leaves
    assert leaves.endswith("bank-b")


def test_the_source_and_what_it_is_given_are_shown_before_a_decision(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of()
    facts = {name: spec.facts()[name] for name in ("bundle_digest", "bundle_entry", "environment")}
    item = told(dump(spec), **facts)
    review = {"digest": CODE.digest, "packed": b64encode(pack(CODE)), "before": None,
              "environment": None}  # fmt: skip
    answers = {"inbox.show": item, "bundle.review": review}
    monkeypatch.setattr(api, "control", lambda _, command, *__, **___: answers[command])
    code, out, err = cli("agent", "inbox", "show", item["id"])
    assert code == 0, err
    plain = " ".join(out.split())
    assert "+print('x')" in out.splitlines()
    assert f"Code {CODE.digest}, entry program.py" in plain
    assert 'arguments: ["-n", "3", "@bid"]' in plain
    assert "an engine runs it" in plain
    assert "no receiver of the job changes that" in plain
    assert "PROBLEM" not in out
    # The label, as far as it is about this party.
    assert "reads of bank-b: bid" in plain
    assert "half of the parties or more, together: every input" in plain
    assert "a party that leaves the protocol: the inputs of this party to the job" in plain
    assert "every party: what the program itself opens to a party" in plain


@pytest.fixture(name="kept")
def _kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    file = tmp_path / "job_1.parquet"
    table = {
        "file": ["printed.txt", "m.npy", "../x", ".profile"],
        "content": [b"7\n", b"\x80\x04pickle", b"", b""],
    }
    pq.write_table(pa.table(table), file)
    found: dict[str, Any] = {
        "job": "job_1", "name": "auction", "purpose": "p", "kind": "mpc", "at": 1_800_000_000,
        "files": 2, "peers": {"bank-b": {"rows": 7}}, "state": "kept", "path": str(file),
        "datasets": [], "proved": True, "hash": "ee" * 32, "leaf": {},
    }  # fmt: skip
    monkeypatch.setattr(api, "results_show", lambda config, job: found)
    return found


def test_files_of_a_program_go_into_a_new_folder(
    cli: Cli, kept: dict[str, Any], tmp_path: Path
) -> None:
    assert "agent results export job_1 FOLDER" in cli("agent", "results", "show", "job_1")[2]
    folder = tmp_path / "out"
    status, _, err = cli("agent", "results", "export", "job_1", folder)
    assert status == 0, err
    found = {one.name: one.read_bytes() for one in folder.iterdir()}
    assert found == {"printed.txt": b"7\n", "m.npy": b"\x80\x04pickle"}
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}
    assert not (tmp_path / "x").exists()
    assert cli("agent", "results", "export", "job_1", folder, "--force")[0] == 5  # it exists
    kept["state"] = "altered"
    assert cli("agent", "results", "export", "job_1", tmp_path / "more")[0] == 4
    assert not (tmp_path / "more").exists()


def test_its_least_cost_is_estimated(cli: Cli) -> None:
    status, out, err = cli("mpc", "estimate", "mpyc", "--rows", "1000", "-o", "json")
    assert status == 0, err
    told = json.loads(out)
    assert (told["protocol"], told["parties"], told["bytes"] > 60_000) == ("shamir", 3, True)
    assert cli("mpc", "estimate", "mpyc", "--parties", "2")[0] != 0


@pytest.mark.parametrize(("language", "said"), [("en", "fewer than half"), ("zh", "半数")])
def test_it_is_described_with_its_label(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    status, out, _ = cli("mpc", "describe", "mpyc")
    assert (status, said in out, "pickle" in out) == (0, True, True)

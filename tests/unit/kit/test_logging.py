from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.kit.logging import announce_ready, configure_logging, get_logger, job_context


def test_lines_of_a_job_carry_it_and_secrets_are_masked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logging("server", form="json")
    log = get_logger("secureflow.test")
    with job_context("job_1", "bank-a"):
        token = "sft_01jf2k_" + "s" * 43
        log.info("asked", password="hunter2", header=f"Bearer {token}", inner={"secret": "x1y2"})
        logging.getLogger("library").warning("foreign %s", token)
        log.info("cookie", header=f"__Host-secureflow=sfs_01jf2k_{'c' * 43}; a=b")
    log.info("after")
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.err.splitlines()]
    assert captured.out == ""
    assert [line.get("job") for line in lines] == ["job_1", "job_1", "job_1", None]
    assert lines[0]["party"] == "bank-a"
    assert lines[0]["process"] == "server"
    for secret in ("hunter2", "ssssss", "cccccc", "x1y2"):
        assert secret not in captured.err


def test_ready_is_announced_to_launchers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    announce_ready(tmp_path, {"rest": "https://127.0.0.1:1"})
    on_disk = json.loads((tmp_path / "ready.json").read_text())
    assert on_disk == json.loads(capsys.readouterr().out)
    assert on_disk["event"] == "ready"
    assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]


def test_a_trace_shows_no_local_variable_where_nothing_was_configured() -> None:
    program = (
        "from secureflow.kit.logging import get_logger\n"
        "def step(password):\n"
        "    raise ValueError('the step failed')\n"
        "try:\n"
        "    step('hunt' + 'er2')\n"
        "except ValueError:\n"
        "    get_logger('x').exception('defect')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "ValueError: the step failed" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout

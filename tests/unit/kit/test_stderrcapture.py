"""Every line of a process that logs JSON is JSON, whoever wrote it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import process_logging

PROGRAM = """
import os, subprocess, sys, threading, warnings
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger, process_logging

with process_logging("server", form="json") as tell:
    get_logger("own").info("began")
    warnings.warn("serialized value may not be as expected", UserWarning)
    print("stray of Python", file=sys.stderr)
    os.write(2, b"E0000 stray of C: handshake failed\\nand more \\xff\\n\\n")
    child = "import sys; sys.stderr.write('{\\"of\\": \\"a child\\"}\\\\n')"
    subprocess.run([sys.executable, "-c", child])
    def fail(): raise ValueError("in a thread")
    one = threading.Thread(target=fail); one.start(); one.join()
    {end}
"""


def _lines(end: str) -> tuple[int, list[dict[str, object]]]:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{end}", end)], capture_output=True, check=False
    )
    return ended.returncode, [json.loads(line) for line in ended.stderr.splitlines()]


def test_every_line_is_an_object() -> None:
    code, lines = _lines("tell(SecureFlowError('disk_full', 'No room.', 'Make room.'))")
    events = [str(line.get("event", "")) for line in lines]
    assert code == 0
    assert any("serialized value" in event for event in events)
    assert "stray of Python" in events
    assert "E0000 stray of C: handshake failed" in events
    assert {"of": "a child"} in lines
    assert any("in a thread" in event for event in events)
    assert [line["hint"] for line in lines if line.get("code") == "disk_full"] == ["Make room."]


def test_a_defect_is_a_line_too() -> None:
    code, lines = _lines("raise KeyError('nobody expected it')")
    assert code == 70
    assert "nobody expected it" in str([line.get("exception") for line in lines])


def test_a_person_reads_the_last_words_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    with process_logging("agent", form="console") as tell:
        tell(SecureFlowError("disk_full", "No room.", "Make room."))
    assert capsys.readouterr().err == "disk_full: No room. (Make room.)\n"

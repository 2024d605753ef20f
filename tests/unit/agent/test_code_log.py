"""The owner reads what code has printed, with every hidden character made visible."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.cli.main import run

JOB = "job_1m8ksg7bkgds1py9qmk5"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "agent.yaml"
    file.write_text(
        "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\ntrust_domain: x\n"
    )
    folder = tmp_path / "bundles" / "logs"
    folder.mkdir(parents=True)
    (folder / f"{JOB}.log").write_bytes(b"rows: 7\n\x1b[2Jgone \xe2\x80\xae\xff\n")
    (tmp_path / "secret.log").write_text("a secret")
    return file


def test_it_is_shown_escaped(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "bundle", "log", JOB, "--config", str(config)]) == 0
    assert capsys.readouterr().out == "rows: 7\n\\x1b[2Jgone \\u202e\ufffd\n"


@pytest.mark.parametrize("job", ["job_000000000000", "../../secret", f"../logs/{JOB}", "x" * 999])
def test_nothing_else_is(job: str, config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["agent", "bundle", "log", job, "--config", str(config)]) == 4
    told = capsys.readouterr()
    assert "secret" not in told.out
    assert len(told.err) < 600

"""The hint for a missing extra names what works here: the checkout, or the installed wheel."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from secureflow.kit.commandline import command, examples, install_hint, runnable


def test_an_installed_wheel_names_the_distribution(tmp_path: Path) -> None:
    module = tmp_path / "lib" / "site-packages" / "secureflow" / "kit" / "installing.py"
    assert install_hint("stats", module) == (
        f"Install it: {sys.executable} -m pip install 'secureflow[stats]'"
    )


def test_a_checkout_names_itself(tmp_path: Path) -> None:
    module = tmp_path / "src" / "secureflow" / "kit" / "installing.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    assert install_hint("stats", module) == (
        f"Install it: {sys.executable} -m pip install -e '{tmp_path}[stats]'"
    )


def test_hints_name_the_command_that_works_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my venv" / "bin" / "secureflow"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", "/nonexistent")
    told = "Next: secureflow agent start --config a/secureflow b. See `secureflow doctor`."
    assert runnable(told, str(script)) == (
        f"Next: '{script}' agent start --config a/secureflow b. See `'{script}' doctor`."
    )
    monkeypatch.setenv("PATH", str(script.parent))
    assert runnable(told, str(script)) == told
    assert command("/usr/bin/pytest") == "secureflow"
    other = tmp_path / "secureflow"
    other.write_text("#!/bin/sh\n")
    assert command(str(other)) == str(other), "another installation's is on the path"


def test_the_examples_are_where_the_hint_says(tmp_path: Path) -> None:
    """In a checkout and in what a wheel installs, which carries them beside the code."""
    assert (examples() / "agent.example.yaml").is_file()
    carried = tmp_path / "site-packages" / "secureflow" / "configs"
    carried.mkdir(parents=True)
    assert examples(tmp_path / "site-packages" / "secureflow" / "kit" / "installing.py") == carried
    project = tomllib.loads((examples().parent / "pyproject.toml").read_text())
    built = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["force-include"] == {
        "configs": "secureflow/configs",
        "requirements/core.txt": "secureflow/requirements/core.txt",
    }

"""The systemd units: what they start exists, they are hardened, and systemd takes them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from secureflow.cli.main import app
from secureflow.domain.exits import EXITS

FOLDER = Path(__file__).resolve().parents[3] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
KEEPING = [unit for unit in UNITS if unit.stem != "secureflow-console"]
"""Those of processes that keep something: the owner's page keeps nothing."""
HARDENED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "CapabilityBoundingSet": "",
    "UMask": "0077", "LimitCORE": "0", "Restart": "on-failure",
    "StartLimitIntervalSec": "0",
}  # fmt: skip


def _settings(unit: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(value)
    return found


def test_there_is_one_for_each_process() -> None:
    assert [unit.stem for unit in UNITS] == [
        "secureflow-agent",
        "secureflow-console",
        "secureflow-enclave",
        "secureflow-server",
    ]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_is_hardened_and_starts_what_exists(unit: Path) -> None:
    settings = _settings(unit)
    assert {name: settings.get(name, [None])[0] for name in HARDENED} == HARDENED
    sandboxed = "user mnt pid net ipc uts cgroup"  # what bubblewrap makes for the agent's workers
    assert settings["RestrictNamespaces"] == [sandboxed if unit.stem.endswith("agent") else "yes"]
    (start,) = settings["ExecStart"]
    _, *words = start.split()
    command: Any = get_command(app)
    for word in words[: words.index("--config") if "--config" in words else None]:
        command = command.commands[word]
    assert "--config" in {option for one in command.params for option in one.opts}
    assert settings["User"] == [unit.stem]
    assert f"u {unit.stem} " in (FOLDER / "secureflow.sysusers.conf").read_text().replace("  ", " ")


@pytest.mark.parametrize("unit", KEEPING, ids=lambda unit: unit.stem)
def test_what_a_process_keeps_is_its_own(unit: Path) -> None:
    settings = _settings(unit)
    assert settings["StateDirectory"] == settings["User"]
    assert settings["StateDirectoryMode"] == ["0700"]
    assert settings["ExecStart"][0].split()[-1].startswith(f"/var/lib/{unit.stem}/")


def test_the_owners_page_cannot_read_what_the_agent_keeps() -> None:
    settings = _settings(FOLDER / "secureflow-console.service")
    (agent,) = _settings(FOLDER / "secureflow-agent.service")["StateDirectory"]
    assert "StateDirectory" not in settings
    assert f"-/var/lib/{agent}" in settings["InaccessiblePaths"][0].split()
    assert settings["User"] != [agent]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_only_what_a_person_must_mend_is_not_tried_again(unit: Path) -> None:
    (codes,) = _settings(unit)["RestartPreventExitStatus"]
    listed = {one.code for one in EXITS}
    assert set(map(int, codes.split())) <= listed
    assert not {"6", "8", "70"} & set(codes.split())  # these pass, or are worth another try


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    program = tmp_path / "secureflow"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = unit.read_text().replace("/opt/secureflow/bin/secureflow", str(program))
    here = tmp_path / unit.name
    here.write_text(text.replace("secureflow-server.service", "network-online.target"))
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")

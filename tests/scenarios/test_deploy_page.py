"""The commands of docs/deploy.md, in the order in which they stand there, on real processes.

What belongs to a machine is replaced: folders of the system lie in a temporary one, `sudo` and
`install` forget users, and `systemctl` starts and stops the processes of the units' `ExecStart`.
Everything else is the page, to the letter. Whether each user may read what its commands name is
followed on the page alone: it takes no root.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from secureflow.demo.platform import free_ports
from secureflow.domain.errors import CATALOGUE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "deploy.md"
PATIENCE = 500.0
NO_ERRORS = {"log_form", "record_unsaved"}  # a setting, and a line of the log

SUDO = """#!/bin/sh
[ "$1" = -u ] && shift 2
exec "$@"
"""
INSTALL = """#!/bin/sh
for word; do
  shift
  case $word in
    -o|-g) skip=1 ;;
    *) [ -n "$skip" ] || set -- "$@" "$word"; skip= ;;
  esac
done
PATH=${PATH#*:} exec install "$@"
"""
SYSTEMCTL = """#!/bin/sh
# systemctl enable --now|start|stop UNIT
verb=$1; shift; [ "$1" = --now ] && shift
unit=$1; state=$ROOT/run/$unit
case $verb in
  enable|start)
    command=$(sed -n 's/^ExecStart=//p' $UNITS/$unit.service |
      sed "s#/var/#$ROOT/var/#g; s#/opt/secureflow/bin#$ROOT/bin#")
    folder=$ROOT/var/lib/$unit
    rm -f $folder/ready.json
    nohup $command >$state.out 2>$state.err & echo $! >$state.pid
    for i in $(seq 1200); do
      [ -s $folder/ready.json ] && exit 0
      kill -0 $(cat $state.pid) || { cat $state.err >&2; exit 1; }
      sleep 0.1
    done
    exit 1 ;;
  stop)
    kill $(cat $state.pid)
    while kill -0 $(cat $state.pid) 2>/dev/null; do sleep 0.1; done
    rm $state.pid ;;
esac
"""


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that stands for a machine's root, with the commands that the page uses."""
    for name in ("bin", "run", "var/lib", "var/backups", "home"):
        (tmp_path / name).mkdir(parents=True)
    secureflow = f'#!/bin/sh\nexec {sys.executable} -m secureflow "$@"\n'
    tools = {"sudo": SUDO, "install": INSTALL, "systemctl": SYSTEMCTL, "secureflow": secureflow}
    for name, text in tools.items():
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return tmp_path


def placed(text: str, machine: Path, rest: int, link: int) -> str:
    """Return the page's commands for this machine."""
    text = text.replace("/opt/secureflow/bin", f"{machine}/bin")
    for folder in ("/var/", "/etc/"):
        text = text.replace(folder, f"{machine}{folder}")
    text = text.replace(
        "--host centre.example", f"--host 127.0.0.1 --rest-port {rest} --link-port {link}"
    )
    return text.replace("https://centre.example:8443", f"https://127.0.0.1:{rest}")


def environment(machine: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SECUREFLOW")}
    return {
        **kept,
        "PATH": f"{machine}/bin:{os.environ['PATH']}",
        "ROOT": str(machine),
        "UNITS": str(ROOT / "deploy" / "systemd"),
        "HOME": str(machine / "home"),
        "XDG_CONFIG_HOME": str(machine / "home"),
        "SECUREFLOW_LANG": "en",
    }


@pytest.mark.full
def test_the_page_does_what_it_says(machine: Path) -> None:
    script = machine / "page.sh"
    commands = placed("\n".join(blocks()), machine, *free_ports(2))
    script.write_text(f"set -eux\ncd {machine}\n{commands}")
    try:
        done = subprocess.run(
            ["/bin/sh", str(script)], env=environment(machine), capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-6000:]
        said = done.stdout + done.stderr
        for sentence in (
            "holds",  # the log was proven
            "log in again",
            "any job that is older than this restore",
            "secureflow agent data settle DOMAIN",
        ):
            assert sentence in said, sentence
        assert "bank-a" in done.stdout
        for backup in (machine / "var/backups").rglob("*.tar"):
            assert backup.stat().st_mode & 0o777 == 0o600
        assert len(list((machine / "var/backups").rglob("*.tar"))) == 3
        for secret in (machine / "etc/secureflow").iterdir():
            assert secret.stat().st_mode & 0o777 == 0o600
    finally:
        for state in (machine / "run").glob("*.pid"):
            subprocess.run(["/bin/kill", state.read_text().strip()], check=False)


def test_each_user_may_read_what_its_commands_name() -> None:
    """A file of root's or of another process's user cannot be opened after `sudo -u`."""
    assert refused("\n".join(blocks())) == []


@pytest.mark.parametrize(
    "commands",
    [
        "sudo -u agent secureflow agent enroll --token-file bank-a.token",
        "install -d -m 0700 -o server /s\nsudo -u enclave secureflow init --token-file /s/token",
        "install -d -m 0700 -o server /s\n(umask 077; head x > /s/key)\nsudo -u server cat /s/key",
    ],
)
def test_a_file_that_a_user_cannot_read_is_found(commands: str) -> None:
    assert len(refused(commands)) == 1


def refused(commands: str) -> list[str]:
    """Follow whose each folder and file is, and return what a user other than it would open."""
    owners: dict[str, str] = {}
    found: list[str] = []
    for line in commands.splitlines():
        user = (re.findall(r"^sudo -u (\S+)", line) or ["root"])[0]
        words = line.split(" < ")[0].split()
        if "install" in words:
            owners[words[-1]] = (re.findall(r" -o (\S+)", line) or ["root"])[0]
        elif words and words[0] == "mv":
            owners[words[2]] = owners.pop(words[1])
        elif user != "root":
            named = [word for word in words if re.match(r"/(?!opt/)", word)]
            named += re.findall(r"-file ([^/\s-]\S*)", line)
            found += [f"{user}: {one}" for one in named if _owner(one, owners) != user]
        owners |= dict.fromkeys(re.findall(r"(?:>|--save) *([^\s)]+)", line), user)
    return found


def _owner(path: str, owners: dict[str, str]) -> str:
    above = [path, *(str(one) for one in Path(path).parents)]
    return next((owners[one] for one in above if one in owners), "root")


def test_every_code_that_the_page_names_exists() -> None:
    codes = r"`((?:record|budget|restored|log|data|backup)_[a-z_]+)`"
    named = set(re.findall(codes, PAGE.read_text())) - NO_ERRORS
    assert len(named) > 6
    assert named <= set(CATALOGUE)

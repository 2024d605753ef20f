"""An owner's environments: made from hashed wheels, named by the lock, compared file by file."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.edge.ownchecks import check_environments
from secureflow.agent.owner import environments, installed, venvs
from secureflow.agent.owner.environments import Environments
from secureflow.agent.owner.venvs import Source
from secureflow.agent.record.folder import locked_folder
from secureflow.engines.bundles.lock import parse_lock
from secureflow.kit.atomic import flush_filesystem
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import folder_lock
from secureflow.texts import error_in
from tests.peers.wheels import wheel

pytestmark = pytest.mark.slow
PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two machines: one has the index's build of `net`, and one a build of its own."""
    folder = tmp_path_factory.mktemp("wheels")
    ordinary = wheel(folder / "index", "net", "1.0", ("drivers",))
    own = wheel(folder / "own", "net", "1.0+cpu")
    drivers = wheel(folder / "index", "drivers", "3.0")
    (folder / "lock.txt").write_text(
        f"net==1.0 --hash=sha256:{ordinary} --hash=sha256:{own}\n"
        f"drivers==3.0 --hash=sha256:{drivers}\n"
    )
    return folder


@pytest.fixture(scope="module", name="installed")
def _installed(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent's folder with one environment, made while the agent ran."""
    directory = tmp_path_factory.mktemp("agent")
    with pytest.MonkeyPatch.context() as patch, locked_folder(directory):
        patch.setenv("PIP_TARGET", str(directory / "elsewhere"))  # settings of somebody else
        patch.setenv("PIP_NO_INDEX", "0")
        patch.setenv("PYTHONPATH", str(directory))
        lock = (wheels / "lock.txt").read_bytes()
        Environments(directory).add("net", PYTHON, lock, Source(folder=wheels / "index"))
    return directory


@pytest.fixture
def agent(installed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(installed, tmp_path / "agent", symlinks=True))


def venv_of(agent: Path) -> Path:
    return agent / "environments" / Environments(agent).get("net").home / "venv"


def broken(agent: Path, *, quick: bool = False) -> str:
    with pytest.raises(SecureFlowError) as refusal:
        Environments(agent).verify("net", quick=quick)
    assert refusal.value.code == "environment_broken"
    return refusal.value.message


def test_what_is_installed_is_what_the_lock_pins(installed: Path) -> None:
    own = Environments(installed)
    (found,) = own.every()
    assert found.packages == (("drivers", "3.0"), ("net", "1.0"))
    assert own.of(found.digest) == found == own.get("net")
    assert found.version == f"{sys.version_info[0]}.{sys.version_info[1]}"
    told = subprocess.run(
        [own.python(found), "-IB", "-c", "import net, sys; print(net.VERSION, sys.flags.isolated)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout == "1.0 1\n"
    assert not (installed / "elsewhere").exists()
    assert own.verify("net") == found
    assert (installed / "environments").stat().st_mode & 0o777 == 0o700


def test_what_is_installed_is_compiled_once(agent: Path) -> None:
    """Or each start of a job compiles what it imports."""
    own = Environments(agent)
    found = own.get("net")
    (bytecode,) = venv_of(agent).rglob("net.*.pyc")
    told = subprocess.run(
        [own.python(found), "-IBv", "-c", "import net"], capture_output=True, text=True, check=True
    )
    assert f"code object from '{bytecode}'" in told.stderr
    assert own.verify("net") == found  # it is part of what was installed
    content = bytearray(bytecode.read_bytes())
    content[-1] ^= 1
    bytecode.write_bytes(content)
    assert bytecode.name in broken(agent)


def test_bytecode_is_of_the_source_beside_it(tmp_path: Path) -> None:
    """A wheel may ship other bytecode, and files that do not compile."""
    folder = tmp_path / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    cached = folder / "__pycache__" / f"good.{sys.implementation.cache_tag}.pyc"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"shipped")
    (folder / "good.py").write_text("VALUE = 7")
    (folder / "bad.py").write_text("print 'of another Python'")
    found = venvs._compiled(tmp_path, PYTHON)
    assert [*found] == [cached.relative_to(tmp_path).as_posix()]
    assert found[next(iter(found))][0] == cached.stat().st_size > len(b"shipped")


def test_one_lock_serves_a_machine_with_a_build_of_its_own(
    installed: Path, wheels: Path, tmp_path: Path
) -> None:
    lock = b"# with another look\n" + (wheels / "lock.txt").read_bytes()
    made = Environments(tmp_path).add("own", PYTHON, lock, Source(folder=wheels / "own"))
    assert made.packages == (("net", "1.0+cpu"),)
    assert made.digest == Environments(installed).get("net").digest


def test_what_a_package_requires_must_be_in_the_lock(wheels: Path, tmp_path: Path) -> None:
    pins = (wheels / "lock.txt").read_text().splitlines()
    lock = next(line for line in pins if line.startswith("net")).encode()
    with pytest.raises(SecureFlowError) as refusal:
        Environments(tmp_path).add("net", PYTHON, lock, Source(folder=wheels / "index"))
    assert refusal.value.code == "environment_failed"
    assert "drivers" in refusal.value.message
    assert re.search("[^.][.]$", refusal.value.message)
    assert list((tmp_path / "environments").iterdir()) == []  # nothing is left of it


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [("drivers>=4", "drivers>=4"), ("absent; python_version > '3'", "absent"), ("x y", "x y"),
     pytest.param(f"x; {'(' * 3000}os_name{')' * 3000}", "x; ((((", id="deep"),
     ("absent; python_version < '3'", ""), ("absent; extra == 'all'", ""),
     ("DRIVERS<4,>=3", ""), ("drivers[x]==3.*; sys_platform == 'linux'", "")],
)  # fmt: skip
def test_what_a_package_requires_is_read_from_outside(
    needs: str, lacks: str, tmp_path: Path
) -> None:
    packages = tmp_path / "venv" / "lib" / "python3.11" / "site-packages"
    for name, given in (("net", (needs,)), ("drivers", ())):
        wheel(tmp_path, name, "3.0", given)
        with zipfile.ZipFile(tmp_path / f"{name}-3.0-py3-none-any.whl") as archive:
            archive.extractall(packages)
    told = installed.lacking(tmp_path / "venv", venvs._markers(PYTHON))
    assert told.replace("'", "").startswith(f"net requires {lacks}"[:20]) if lacks else not told


CODE = "import pathlib; pathlib.Path({ran!r}).touch()\n"


@pytest.mark.parametrize(
    "file",
    ["evil.pth", "net-1.0.data/scripts/python",
     *(pytest.param(name, marks=pytest.mark.full) for name in (
         "usercustomize/__init__.py", ".pth", "sitecustomize.py", "net-1.0.data/purelib/evil.pth",
         "net-1.0.data/data/pyvenv.cfg", "net-1.0.data/data/bin/pyvenv.cfg",
         "net-1.0.data/scripts/python3._pth",
         "net-1.0.data/platlib/sitecustomize.cpython-311-x86_64-linux-gnu.so"))],
)  # fmt: skip
def test_a_wheel_that_would_run_with_every_start_is_refused(file: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    digest = wheel(tmp_path, "net", "1.0", (), {file: CODE.format(ran=str(ran))})
    lock = f"net==1.0 --hash=sha256:{digest}\n".encode()
    with pytest.raises(SecureFlowError) as refusal:
        Environments(tmp_path / "agent").add("net", PYTHON, lock, Source(folder=tmp_path))
    assert refusal.value.code == "environment_failed"
    assert "a wheel" in refusal.value.message
    assert not ran.exists()
    assert list((tmp_path / "agent" / "environments").iterdir()) == []


def test_what_common_wheels_run_for_nothing_is_left_out(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    more = {"distutils-precedence.pth": CODE.format(ran=str(ran))}
    lock = f"net==1.0 --hash=sha256:{wheel(tmp_path, 'net', '1.0', (), more)}\n".encode()
    own = Environments(tmp_path / "agent")
    made = own.add("net", PYTHON, lock, Source(folder=tmp_path))
    assert own.verify("net") == made
    told = [own.python(made), "-IB", "-c", "import net; print(net.VERSION)"]
    assert subprocess.run(told, capture_output=True, text=True, check=True).stdout == "1.0\n"
    assert not ran.exists()


def test_files_are_on_disk_before_they_are_described(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def flush(home: Path) -> None:
        seen.append(sorted(one.name for one in (*home.parent.glob("*.json"), *home.iterdir())))
        flush_filesystem(home)

    monkeypatch.setattr(environments, "flush_filesystem", flush)
    lock = (wheels / "lock.txt").read_bytes()
    Environments(tmp_path).add("net", PYTHON, lock, Source(folder=wheels / "index"))
    assert seen == [["contents.json", "lock.txt", "pinned.txt", "venv"]]


def test_every_byte_is_compared_once_after_each_start_of_the_machine(
    agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("first\n")
    monkeypatch.setattr(environments, "_BOOT", boot)
    own = Environments(agent)
    digest = own.get("net").digest
    assert own.ready(digest).name == "net"
    module = next(venv_of(agent).rglob("net.py"))
    content = module.read_bytes()
    module.write_bytes(bytes(len(content)))  # as a power cut leaves it
    assert own.ready(digest).name == "net"  # names and sizes are right
    boot.write_text("second\n")
    for _ in range(2):
        with pytest.raises(SecureFlowError) as refusal:
            own.ready(digest)
        assert refusal.value.code == "environment_broken"
    module.write_bytes(content)
    assert own.ready(digest).name == "net"
    boot.unlink()
    module.write_bytes(bytes(len(content)))
    with pytest.raises(SecureFlowError):  # nothing names the boot: always
        own.ready(digest)


def test_jobs_that_begin_at_once_find_an_environment_ready(
    agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both compare every byte, and both note it."""
    boot, met, fsync = tmp_path / "boot_id", threading.Barrier(2, timeout=30), os.fsync
    boot.write_text("at once\n")
    monkeypatch.setattr(environments, "_BOOT", boot)
    own = Environments(agent)
    digest = own.get("net").digest

    def meet(handle: int) -> None:
        fsync(handle)
        if stat.S_ISREG(os.fstat(handle).st_mode):
            met.wait()

    monkeypatch.setattr(os, "fsync", meet)
    with ThreadPoolExecutor(2) as threads:
        found = [one.name for one in threads.map(own.ready, [digest, digest])]
    assert found == ["net", "net"]


def test_one_broken_description_is_not_every_environments(
    agent: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, folder = Environments(agent), agent / "environments"
    found = own.get("net")
    for name in ("aaa", "other"):
        described = json.loads((folder / "net.json").read_text())
        shutil.copytree(folder / found.home, folder / f"{name}.{'0' * 16}", symlinks=True)
        described |= {"name": name, "home": f"{name}.{'0' * 16}", "digest": name}
        (folder / f"{name}.json").write_text(json.dumps(described))
    (folder / "aaa.json").write_text("")
    assert own.of(found.digest) == found
    assert own.of("other").name == "other"
    assert [one.name for one in own.every()] == ["net", "other"]
    own.remove("other")
    left = {one.name.partition(".")[0] for one in folder.iterdir() if one.is_dir()}
    assert left == {"net", "aaa"}  # what the broken one describes may still be mended


@pytest.mark.parametrize("wrong", ["hash", "python", "folder"])
def test_what_cannot_be_made_leaves_nothing(wrong: str, wheels: Path, tmp_path: Path) -> None:
    lock = f"net==1.0 --hash=sha256:{'0' * 64}".encode() if wrong == "hash" else (
        wheels / "lock.txt").read_bytes()  # fmt: skip
    python = Path("/bin/false") if wrong == "python" else PYTHON
    source = Source(folder=tmp_path if wrong == "folder" else wheels / "index")
    with pytest.raises(SecureFlowError) as refusal:
        Environments(tmp_path / "agent").add("net", python, lock, source)
    assert refusal.value.code == "environment_failed"
    assert list((tmp_path / "agent" / "environments").iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("python", "/nope/python：没有这个文件或文件夹"),
        ("folder", "中没有与锁定文件哈希值相符的 wheel"),
    ],
)
def test_what_cannot_be_made_is_told_in_one_language(
    wrong: str, told: str, wheels: Path, tmp_path: Path
) -> None:
    python = Path("/nope/python") if wrong == "python" else PYTHON
    source = Source(folder=tmp_path if wrong == "folder" else wheels / "index")
    with pytest.raises(SecureFlowError) as refusal:
        Environments(tmp_path / "agent").add(
            "net", python, (wheels / "lock.txt").read_bytes(), source
        )
    assert told in error_in(refusal.value.as_json(), "zh")["message"]


@pytest.mark.parametrize("index", ["https://index.example/simple", ""])
def test_wheels_alone_are_installed_by_hash_and_from_where_the_owner_says(
    index: str, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], step: str, **_: bool) -> str:
        asked.append(command)
        return "{}" if "json" in command[-1] else "3.11.1 x"

    monkeypatch.setattr(venvs, "_run", run)
    lock = parse_lock((wheels / "lock.txt").read_bytes())
    venvs.make(tmp_path / "venv", PYTHON, lock, Source(index))
    (install,) = (one for one in asked if "install" in one)
    assert {"--require-hashes", "--no-deps", ":all:", "--isolated", "-I"} <= {*install}
    assert ("--index-url" in install) == bool(index)
    assert not index or install[install.index("--index-url") + 1] == index
    assert parse_lock((tmp_path / "pinned.txt").read_bytes()) == lock


@pytest.mark.parametrize("where", ["lib", "bin", "extra", "link", "gone", "bytecode"])
def test_every_change_is_found(where: str, agent: Path) -> None:
    venv = venv_of(agent)
    module = next(venv.rglob("net.py"))
    if where == "lib":
        module.write_text(module.read_text().replace("1.0", "9.9"))  # of the same length
    elif where == "bin":
        (venv / "bin" / "activate").write_text("x")
    elif where == "extra":
        (module.parent / "sitecustomize.py").write_text("")
    elif where == "link":
        (venv / "bin" / "python").unlink()
        (venv / "bin" / "python").symlink_to("/bin/true")
    elif where == "gone":
        module.unlink()
    else:
        (module.parent / "__pycache__").mkdir(exist_ok=True)
        (module.parent / "__pycache__" / "net.cpython-311.pyc").write_bytes(b"x")
    names = {"lib": "net.py", "bin": "bin/activate", "extra": "sitecustomize.py",
             "link": "bin/python", "gone": "net.py", "bytecode": "net.cpython-311.pyc"}  # fmt: skip
    name = names[where]
    assert name in broken(agent)
    if where != "lib":  # the doctor and each job look at names and sizes
        assert name in broken(agent, quick=True)


@pytest.mark.parametrize("file", ["lock.txt", "contents.json"])
def test_its_description_is_part_of_it(file: str, agent: Path) -> None:
    place = venv_of(agent).parent / file
    place.write_bytes(place.read_bytes().replace(b"3.0", b"3.1"))  # well-formed, of other words
    assert broken(agent)
    place.unlink()
    assert broken(agent)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"name": "net"}', "x" * 10, '{"packages": 7}']
)
def test_a_damaged_description_is_told(text: str, agent: Path) -> None:
    (agent / "environments" / "net.json").write_text(text)
    assert "cannot be read" in broken(agent)


def test_a_description_leads_nowhere_else(agent: Path) -> None:
    place = agent / "environments" / "net.json"
    value = json.loads(place.read_text())
    shutil.copytree(agent / "environments" / value["home"], agent / "x", symlinks=True)
    for home in ("../x", "net.0123456789abcdef/../..", "", "/tmp"):
        place.write_text(json.dumps({**value, "home": home}))
        assert broken(agent)


def test_the_doctor_names_a_broken_one(agent: Path) -> None:
    class Known:
        directory = agent

    so_far: Any = Diagnosis(agent / "agent.yaml")
    so_far.settings = Known()
    assert check_environments(so_far).startswith("1 ")
    next(venv_of(agent).rglob("net.py")).unlink()
    with pytest.raises(SecureFlowError, match="net"):
        check_environments(so_far)


def test_names_are_taken_once_and_given_back(agent: Path, wheels: Path) -> None:
    own, lock = Environments(agent), (wheels / "lock.txt").read_bytes()
    for name, code in (("net", "already_exists"), ("../x", "invalid_name"), ("", "invalid_name")):
        with pytest.raises(SecureFlowError) as refusal:
            own.add(name, PYTHON, lock, Source(folder=wheels / "index"))
        assert refusal.value.code == code
    home = venv_of(agent).parent
    (agent / "environments" / f"cut.{'0' * 16}").mkdir()  # of a command that was killed
    own.remove("net")
    assert own.every() == []
    assert not home.exists()
    assert list((agent / "environments").iterdir()) == []
    for call in (own.get, own.remove, own.verify, own.of):
        with pytest.raises(SecureFlowError) as refusal:
            call("net")
        assert refusal.value.code == "environment_unknown"
        assert ("lock.txt" in refusal.value.hint) == (call == own.of)  # of a job: not the owner's


def test_two_commands_do_not_meet(agent: Path) -> None:
    busy = SecureFlowError("x", "x")
    with folder_lock(agent / "environments", busy), pytest.raises(SecureFlowError) as refusal:
        Environments(agent).remove("net")
    assert refusal.value.code == "environment_busy"


def test_the_command_line(
    agent: Path, wheels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from secureflow.cli.main import run

    config = agent / "agent.yaml"
    config.write_text(
        "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\ntrust_domain: x\n"
    )

    def cli(*arguments: object) -> tuple[int, str, str]:
        code = run(["agent", "environment", *map(str, arguments), "--config", str(config)])
        told = capsys.readouterr()
        return code, told.out, told.err

    code, out, err = cli("list")
    assert (code, "net" in out) == (0, True), err
    assert json.loads(cli("list", "-o", "json")[1])[0]["packages"][1] == ["net", "1.0"]
    assert cli("verify")[0] == cli("verify", "net")[0] == 0
    next(venv_of(agent).rglob("net.py")).unlink()
    code, _, err = cli("verify")
    assert (code, "environment_broken" in err) == (7, True)
    lock = wheels / "lock.txt"
    assert (
        cli("add", "x", "--requirements", lock, "--index", "https://i", "--find-links", wheels)[0]
        == 2
    )
    assert cli("add", "x", "--requirements", tmp_path / "none", "--find-links", wheels)[0] == 2
    assert cli("remove", "net")[0] == 2  # nobody at the terminal
    assert cli("remove", "net", "--yes")[0] == 0
    assert cli("remove", "net", "--yes")[0] == 4
    digest = run(["bundle", "lock", str(lock), "-o", "json"])
    assert digest == 0
    assert len(json.loads(capsys.readouterr().out)["digest"]) == 64

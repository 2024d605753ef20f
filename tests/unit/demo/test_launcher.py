"""What the demo refuses before it takes anything away."""

from __future__ import annotations

import contextlib
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.demo.launcher import (
    MARK,
    Interrupts,
    Options,
    _judged,
    _leave,
    _make_room,
    _runs_from,
    run,
    stop,
)
from secureflow.demo.own_table import OwnTable
from secureflow.demo.platform import MODULE, TRUST_DOMAIN
from secureflow.demo.words import Words
from secureflow.enclave.__main__ import command
from secureflow.kit.builtfiles import BuiltPage
from secureflow.kit.errors import SecureFlowError


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Return the directory of a demo that ended."""
    (tmp_path / "demo" / "data").mkdir(parents=True)
    (tmp_path / "demo" / "report.html").write_text("earlier")
    (tmp_path / "demo" / MARK).touch()
    return tmp_path / "demo"


@pytest.fixture
def asleep() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Return a list of children that no test leaves behind."""
    children = list[subprocess.Popen[bytes]]()
    yield children
    for child in children:
        child.kill()
        child.wait()


def sleeping_enclave(sources: Path, config: str) -> subprocess.Popen[bytes]:
    """Start a process that does nothing under an enclave's command line."""
    file = sources / "secureflow/enclave/__main__.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("import time; time.sleep(600)")
    python, *flags, _, paths, config = command(config)
    return subprocess.Popen([python, *flags, str(file), paths, config], start_new_session=True)


def sleeper(*words: str) -> subprocess.Popen[bytes]:
    """Start a process that does nothing under these words of a command line."""
    line = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)", *words)
    return subprocess.Popen(line, start_new_session=True)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_kept_demo_says_how_to_be_another_owner_beside_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], language: Any
) -> None:
    parties = {
        name: SimpleNamespace(party=name, password="secret", config=tmp_path / name)
        for name in ("bank-a", "bank-b", "bank-c")
    }
    platform: Any = SimpleNamespace(
        directory=tmp_path, processes={}, url="https://c.example", ca=tmp_path / "ca.pem",
        parties=parties, charter_file=lambda: tmp_path / "charter.json",
    )  # fmt: skip
    _leave(platform, Words(language))
    told = capsys.readouterr().err
    for party, profile in (("bank-a", "profile.json"), ("bank-b", "bank-b.json")):
        lines = [line.strip() for line in told.splitlines()]
        at = lines.index(f"export SECUREFLOW_PROFILE={tmp_path / profile}")
        login = lines[at + 1]
        assert f"--name {party} --password-file {tmp_path / party}.password" in login
    assert "secret" not in told


def test_a_kept_demo_says_how_anchors_and_the_settlement_are_seen_if_there_are_any(
    tmp_path: Path,
) -> None:
    platform: Any = SimpleNamespace(directory=tmp_path, project="prj_1")
    config = tmp_path / "agent.yaml"
    config.write_text("slug: bank-a\n")
    assert _judged(config, platform) == ()
    config.write_text("slug: bank-a\nanchors:\n- name: demo\n")
    (tmp_path / "settlement").mkdir()
    assert _judged(config, platform) == (
        f"secureflow agent anchor heads --config {config}",
        f"secureflow agent settlement list prj_1 --config {config}",
    )


@pytest.mark.parametrize("built", [True, False])
def test_a_kept_demo_says_where_the_console_is_or_how_it_is_built(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    built: bool,
) -> None:
    monkeypatch.setattr(BuiltPage, "page", lambda _: "<html>" if built else None)
    parties = {
        name: SimpleNamespace(party=name, password="secret", config=tmp_path / name)
        for name in ("bank-a", "bank-b")
    }
    platform: Any = SimpleNamespace(
        directory=tmp_path, processes={}, url="https://c.example", ca=tmp_path / "ca.pem",
        parties=parties, charter_file=lambda: tmp_path / "charter.json",
    )  # fmt: skip
    _leave(platform, Words("en"))
    told = capsys.readouterr().err.partition("In a browser:")[2]
    assert "https://c.example" in told
    assert (str(tmp_path / "bank-a.password") in told) is built
    assert ("make web" in told) is not built
    assert (str(tmp_path / "server" / "admin.password") in told) is built
    assert f"agent console --config {tmp_path / 'bank-a'}" in told
    assert "agent people add" in told
    assert "secret" not in told


@pytest.mark.parametrize("lent", [True, False])
def test_a_kept_demo_whose_agents_lack_an_engine_says_how_they_get_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lent: bool
) -> None:
    parties = {}
    for name in ("bank-a", "bank-b"):
        (tmp_path / name / "engines").mkdir(parents=True)
        config = tmp_path / name / "agent.yaml"
        parties[name] = SimpleNamespace(party=name, password="secret", config=config)
    if not lent:
        (tmp_path / "bank-b" / "engines").rmdir()
    platform: Any = SimpleNamespace(
        directory=tmp_path, processes={}, url="https://c.example", ca=tmp_path / "ca.pem",
        parties=parties, charter_file=lambda: tmp_path / "charter.json",
    )  # fmt: skip
    _leave(platform, Words("en"))
    told = capsys.readouterr().err
    assert ("secureflow demo --keep --engine openmined" in told) is not lent


def test_stopping_a_kept_demo_ends_every_process_that_runs_from_its_directory(
    earlier: Path, asleep: list[subprocess.Popen[bytes]]
) -> None:
    """The enclave too, whose command line is another one than the command that started it."""
    server, enclave = str(earlier / "server/server.yaml"), str(earlier / "enclave/enclave.yaml")
    ours = [
        sleeper(*MODULE, "server", "start", "--config", server),
        sleeping_enclave(earlier.parent / "src", enclave),
    ]
    reader = sleeper("vim", enclave)  # it names the directory, and is none of the demo's
    elsewhere = sleeping_enclave(earlier.parent / "src", f"{earlier}-2/enclave/enclave.yaml")
    asleep += [*ours, reader, elsewhere]
    assert stop(earlier) == 0
    assert [child.wait(20) for child in ours] == [-15, -15]
    assert reader.poll() is None
    assert elsewhere.poll() is None


def strangers(directory: Path) -> dict[str, list[str]]:
    """Return command lines of others that name an enclave's entry point and the directory."""
    here, elsewhere = str(directory / "enclave/enclave.yaml"), "/var/lib/other/enclave.yaml"
    python, *flags, file, paths, _ = command(here)
    inner = f"{directory}/.venv/lib/python3.11/site-packages"
    own = f"{inner}/secureflow/enclave/__main__.py"
    return {
        "installed below it": [python, *flags, own, paths, elsewhere],
        "paths that begin with it": [python, *flags, file, inner, elsewhere],
        "other settings below it": [python, *flags, file, paths, f"{directory}/real/enclave.yaml"],
        "an editor": ["vim", file, f"{directory}/notes.txt"],
        "an editor of both": ["vim", file, here],
        "a search": ["grep", *flags, "enclave", file, here],
        "no argument": [],
    }


def line(words: list[str]) -> bytes:
    return b"".join(word.encode() + b"\0" for word in words)


@pytest.mark.parametrize("stranger", strangers(Path()))
def test_a_stranger_that_names_the_directory_is_not_ended(earlier: Path, stranger: str) -> None:
    assert not _runs_from(earlier, line(strangers(earlier)[stranger]))
    assert _runs_from(earlier, line(command(str(earlier / "enclave/enclave.yaml"))))


def refused(options: Options) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as refusal:
        run(options)
    return refusal.value


def test_a_table_in_the_directory_that_would_be_emptied_is_not_lost(earlier: Path) -> None:
    table = earlier / "clients.csv"
    table.write_text("a,b\n1,2\n")
    assert refused(Options(earlier, own=OwnTable(table, "b"))).code == "directory_in_use"
    assert table.exists()


def test_refused_options_leave_the_earlier_demo_as_it_was(earlier: Path, tmp_path: Path) -> None:
    table = tmp_path / "clients.csv"
    table.write_text("a,b\n1,2\n")
    assert refused(Options(earlier, own=OwnTable(table, "nope"))).code == "unknown_column"
    assert refused(Options(earlier, by="nope")).code == "unknown_column"
    assert (earlier / "report.html").read_text() == "earlier"


def test_a_directory_of_other_things_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    assert refused(Options(tmp_path)).code == "directory_in_use"
    assert (tmp_path / "thesis.txt").exists()


def test_a_project_with_a_folder_of_data_is_not_emptied(tmp_path: Path) -> None:
    """Such a folder is in every other project: it does not tell that a demo made it."""
    files = [tmp_path / name for name in ("data/study.csv", "server/server.yaml", "thesis.txt")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("trust_domain: bank.example\n")
    assert refused(Options(tmp_path)).code == "directory_in_use"
    assert sorted(one for one in tmp_path.rglob("*") if one.is_file()) == sorted(files)
    assert {file.read_text() for file in files} == {"trust_domain: bank.example\n"}


@pytest.mark.parametrize("marked", [True, False])
def test_an_earlier_demo_is_removed_and_its_directory_stays_a_demos(
    earlier: Path, marked: bool
) -> None:
    """Older demos left no mark: their server's trust domain tells them."""
    if not marked:
        (earlier / MARK).unlink()
        (earlier / "server").mkdir()
        (earlier / "server/server.yaml").write_text(f"trust_domain: {TRUST_DOMAIN}\n")
    _make_room(earlier, Words("en"))
    assert [one.name for one in earlier.iterdir()] == [MARK]
    _make_room(earlier, Words("en"))


def test_an_interrupt_that_is_lost_on_its_way_ends_the_demo_at_its_next_step() -> None:
    interrupts, taken = Interrupts(), list[str]()
    step = interrupts.before(taken.append)
    step("first")

    class Finalised:
        def __del__(self) -> None:
            with contextlib.suppress(KeyboardInterrupt):  # as Python does there, with a warning
                interrupts.come()

    Finalised()
    gc.collect()
    with pytest.raises(KeyboardInterrupt):
        step("second")
    assert taken == ["first"]

"""The process: what it imports, what it opens, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from peers.links import DOMAIN, Centre, Pki, until

from secureflow.adapters.datasources import formats
from secureflow.adapters.link import party as party_module
from secureflow.agent import api
from secureflow.agent.edge import clockwatch
from secureflow.agent.edge.control import ControlServer
from secureflow.agent.edge.main import serve
from secureflow.agent.settings import AgentSettings
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.pki import write_private

pytestmark = pytest.mark.slow

HEAVY = (
    "pyarrow", "scipy", "dp_accounting", "fastapi", "sqlalchemy", "sklearn", "httpx", "typer",
    "rich", "PIL")  # fmt: skip


@contextlib.asynccontextmanager
async def enrolled(tmp_path: Path) -> AsyncIterator[tuple[Path, Centre]]:
    pki = Pki(tmp_path / "pki")
    centre = await Centre(pki, tmp_path).start()
    directory = tmp_path / "agent"
    directory.mkdir(mode=0o700)
    source = pki.agent("bank-a")._directory
    for name in ("link.pem", "ca.pem"):
        write_private(directory / name, (source / name).read_bytes())
    SigningKey.generate().save(directory / "signing.key")
    (directory / "rows.csv").write_text("age\n41\n7\n")
    column = {"name": "age", "type": "number", "bounds": [0, 100]}
    dataset = {"name": "people", "path": "rows.csv", "format": "csv", "columns": [column]}
    settings: dict[str, Any] = {
        "directory": ".",
        "organisation": "bank-a",
        "server": "https://centre.example",
        "link": centre.address,
        "trust_domain": DOMAIN,
        "datasets": [dataset],
    }
    config = directory / "agent.yaml"
    config.write_text(yaml.safe_dump(settings))
    try:
        yield config, centre
    finally:
        await centre.server.stop(0)


def listening(pid: int) -> set[str]:
    """Return the local addresses that a process listens on, by /proc."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(handle.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                found.add(fields[1])
    return found


async def ask(function: Any, *arguments: Any, **options: Any) -> Any:
    return await asyncio.to_thread(function, *arguments, **options)


async def linked(config: Path) -> Any:
    """Return the agent's status once it knows of its link: the centre knows a moment earlier."""
    for _ in range(1000):
        if (status := await ask(api.status, config))["link"] == "connected":
            return status
    raise AssertionError(status)


def test_the_main_process_imports_nothing_heavy() -> None:
    check = (
        "import sys, secureflow.agent.edge.main, secureflow.agent.edge.doctor; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def narrow(config: Path) -> None:
    settings = yaml.safe_load(config.read_text())
    settings["datasets"][0]["columns"][0]["bounds"] = [0, 50]
    config.write_text(yaml.safe_dump(settings))


async def edited_while_it_runs(config: Path) -> None:
    """Status and publishing say so; a reload brings it into force."""
    assert (await ask(api.status, config))["settings"]["state"] == "same"
    narrow(config)
    assert (await ask(api.status, config))["settings"]["changed"] == ["datasets.people"]
    with pytest.raises(SecureFlowError) as error:
        await ask(api.data_publish, config, "people")
    assert error.value.code == "settings_edited"
    assert (await ask(api.reload, config, preview=True))["changed"] == ["datasets.people"]
    assert (await ask(api.reload, config))["changed"] == ["datasets.people"]
    assert (await ask(api.data_list, config))[0]["state"] == "edited since"


async def test_serving_and_ending(tmp_path: Path) -> None:
    async with enrolled(tmp_path) as (config, centre):
        running = asyncio.create_task(serve(AgentSettings.load(config)))
        await centre.connected("bank-a")
        ready = config.parent / "ready.json"
        assert json.loads(ready.read_text())["party"] == "bank-a"
        status = await linked(config)
        assert (status["link"], status["charter"], status["alarm"]) == ("connected", None, None)
        hello = centre.hellos[0][1]
        assert (hello["key"], hello["unproved"]) == (status["key"], [])
        with pytest.raises(SecureFlowError) as error:
            await serve(AgentSettings.load(config))
        assert error.value.code == "agent_running"
        assert (await ask(api.status, config))["link"] == "connected"  # the first one lives

        centre.answer_call = lambda _, kind, body: {"id": "dst_1"} if kind != "charter.get" else {}
        published = await ask(api.data_publish, config, "people", "People")
        assert (published["id"], published["rows"], published["counted"]) == ("dst_1", "<1k", 2)
        sent = next(body for _, kind, body in centre.calls if kind == "dataset.publish")
        assert sent.keys() == {"name", "title", "columns", "rows", "commitment", "privacy"}
        assert (await ask(api.data_list, config))[0]["published"] == "dst_1"
        assert (await ask(api.data_list, config))[0]["state"] == "published"
        await edited_while_it_runs(config)
        assert published["grants"] == {"kept": 0, "reduced": 0, "ended": 0}
        centre.answer_call = lambda _, kind, body: {"grants": 2, "projects": 1, "evil": "\x1b[2J"}
        uses = {"grants": 2, "projects": 1, "waiting": 0, "approved": 0, "unsaid": None}
        assert await ask(api.data_uses, config, "people") == uses
        centre.answer_call = lambda _, kind, body: {}
        await ask(api.data_remove, config, "people")
        assert (await ask(api.data_list, config))[0]["published"] == ""
        with pytest.raises(SecureFlowError) as error:
            await ask(api.charter_pin, config, None, "")
        assert error.value.code == "charter_missing"
        assert [action["action"] for action in await ask(api.log, config)] == [
            "dataset.removed",
            "settings.reloaded",
            "dataset.published",
        ]
        running.cancel()
        await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 60)
        with pytest.raises(SecureFlowError) as error:
            await ask(api.status, config)
        assert error.value.code == "agent_not_running"


async def test_a_real_process_opens_no_port_and_obeys_sigterm(tmp_path: Path) -> None:
    async with enrolled(tmp_path) as (config, centre):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c"),
            "import sys, pathlib; from secureflow.agent.edge.main import run; "
            "sys.exit(run(pathlib.Path(sys.argv[1])))",
            str(config),
            env={**os.environ, "SECUREFLOW_AGENT__LOG_FORM": "json"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            line = json.loads(await process.stdout.readline())
            assert (line["event"], line["pid"]) == ("ready", process.pid)
            await centre.connected("bank-a")
            assert listening(process.pid) == set()
            assert listening(os.getpid()) != set()  # the centre's port: the check can see one
            text = config.read_text().replace("people", "others")
            config.write_text(text)
            process.send_signal(signal.SIGHUP)
            while b"settings_reloaded" not in (said := await process.stderr.readline()):
                assert said
            assert (await ask(api.data_list, config))[0]["name"] == "others"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_wrong_clock_is_noticed_while_the_agent_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned = asyncio.Event()
    log = SimpleNamespace(
        warning=lambda event, **_: warned.set() if event == "clock_differs" else 0
    )
    monkeypatch.setattr(party_module, "_log", log)
    monkeypatch.setattr(clockwatch, "INTERVAL", 0.05)
    async with enrolled(tmp_path) as (config, centre):
        ahead = int(time.time()) + 7200
        centre.answer_call = lambda _, kind, body: {"time": ahead} if kind == "status" else {}
        running = asyncio.create_task(serve(AgentSettings.load(config)))
        await asyncio.wait_for(warned.wait(), 60)
        assert 7000 < (await ask(api.status, config))["clock_skew"] <= 7200
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_agent_outlives_its_centre(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had started on a full disk, too: its socket came into being over the reserve."""
    start, reserve = ControlServer.start, tmp_path / "agent" / "agent.reserve"

    async def full(server: ControlServer) -> None:
        if reserve.exists():
            raise InfrastructureError("disk_full", "It is full.")
        await start(server)

    monkeypatch.setattr(ControlServer, "start", full)
    async with enrolled(tmp_path) as (config, centre):
        running = asyncio.create_task(serve(AgentSettings.load(config)))
        await asyncio.wait_for(centre.connected("bank-a"), 60)
        greeted = len(centre.hellos)
        await centre.restart()
        await until(lambda: len(centre.hellos) > greeted)
        assert (await ask(api.status, config))["organisation"] == "bank-a"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_what_is_wrong_with_the_settings_is_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from secureflow.agent.edge.main import run

    config = tmp_path / "agent.yaml"
    config.write_text("organisation: bank-a\nserver: https://x\nlink: x:1\ntrust_domain: d\n")
    assert run(config) == 5
    assert "not_enrolled" in capfd.readouterr().err
    config.write_text("organisation: 7\n")
    assert run(config) == 2


def test_why_it_does_not_start_is_said_in_the_language_of_whoever_starts_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from secureflow.agent.edge import main

    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    config = tmp_path / "agent.yaml"
    config.write_text("organisation: bank-a\nserver: https://x\nlink: x:1\ntrust_domain: d\n")

    async def twice(*_: object) -> None:
        with main.locked_folder(tmp_path), main.locked_folder(tmp_path):
            raise AssertionError

    monkeypatch.setattr(main, "serve", twice)
    assert main.run(config) == 5
    told = capfd.readouterr().err
    assert f"agent_running: {tmp_path} 中已有代理在运行" in told
    assert "Stop it first" not in told


async def test_an_agent_without_the_library_of_its_images_says_so_at_its_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with enrolled(tmp_path) as (config, _):
        settings = yaml.safe_load(config.read_text())
        scans = {"name": "scans", "path": "scans", "format": "images",
                 "columns": [{"name": "scan", "type": "image", "shape": [8, 8, 1]}]}  # fmt: skip
        config.write_text(yaml.safe_dump({**settings, "datasets": [scans]}))
        monkeypatch.setattr(formats, "find_spec", lambda name: None)
        with pytest.raises(SecureFlowError) as error:
            await serve(AgentSettings.load(config))
        assert (error.value.code, "[images]" in error.value.hint) == ("library_missing", True)

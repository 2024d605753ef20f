from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.agent.edge import control
from secureflow.agent.edge.control import ControlServer, call
from secureflow.kit.diskreserve import DiskReserve
from secureflow.kit.errors import InfrastructureError, SecureFlowError


async def add(a: int, b: int = 1) -> int:
    return a + b


async def refuse() -> None:
    raise SecureFlowError("not_found", "nothing is here", "look elsewhere", {"a": 1})


async def echo(lines: list[str]) -> list[str]:
    return lines


async def repeat(count: int) -> str:
    return "x" * count


async def hang() -> None:
    await asyncio.Event().wait()


async def unfit() -> int:
    return len(3)  # type: ignore[arg-type]


async def fail(number: int) -> None:
    raise OSError(number, "it failed")


@contextlib.asynccontextmanager
async def serving(path: Path) -> AsyncIterator[ControlServer]:
    commands = (add, refuse, hang, fail, echo, repeat, unfit)
    server = ControlServer(path, {one.__name__: one for one in commands})
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def ask(path: Path, command: str, **arguments: Any) -> Any:
    patience = arguments.pop("patience", 60.0)
    return await asyncio.to_thread(call, path, command, arguments, patience)


async def code(path: Path, command: str, **arguments: Any) -> str:
    with pytest.raises(SecureFlowError) as error:
        await ask(path, command, **arguments)
    return error.value.code


async def test_commands_answer(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with serving(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert await ask(path, "add", a=2) == 3
        assert await code(path, "refuse") == "not_found"
        assert await code(path, "nothing") == "unknown_command"
        assert await code(path, "add", c=3) == "invalid_request"
        assert await code(path, "unfit") == "internal"  # a defect, not what was asked
        assert await code(path, "fail", number=errno.ENOSPC) == "disk_full"
        assert await code(path, "fail", number=errno.ECONNREFUSED) == "internal"
        assert await code(path, "hang", patience=0.05) == "agent_silent"
    assert not path.exists()
    assert await code(path, "add") == "agent_not_running"


async def test_a_left_over_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert await code(path, "add", a=1) == "agent_not_running"
    async with serving(path):
        assert await ask(path, "add", a=1) == 2


async def test_a_long_directory_is_reached(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 120) / "agent.sock"
    path.parent.mkdir()
    async with serving(path):
        assert await ask(path, "add", a=1) == 2


async def test_all_leaves_of_a_long_job_and_many_bundles_fit(tmp_path: Path) -> None:
    path, much = tmp_path / "agent.sock", ["x" * 1000] * 8000
    async with serving(path):
        assert await ask(path, "echo", lines=much) == much


async def test_what_does_not_fit_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.sock"
    monkeypatch.setattr(control, "MAX_LINE", 4096)
    async with serving(path):
        assert await code(path, "echo", lines=["x" * 4096]) == "too_large"
        assert await code(path, "repeat", count=4096) == "too_large"
        around = len('{"result": ""}\n')
        assert len(await ask(path, "repeat", count=4096 - around)) == 4096 - around
        assert await code(path, "repeat", count=4097 - around) == "too_large"


async def test_on_a_full_disk_it_listens_over_the_reserve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve, bind = DiskReserve(tmp_path / "agent.reserve", 4096), socket.socket.bind

    class Full(socket.socket):
        def bind(self, name: Any) -> None:
            if (tmp_path / "agent.reserve").exists():
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            bind(self, name)

    path = tmp_path / "agent.sock"
    server = ControlServer(path, {"add": add})
    monkeypatch.setattr(socket, "socket", Full)
    assert reserve.keep()
    with pytest.raises(InfrastructureError, match="is full"):
        await server.start()
    await reserve.run_async(server.start)
    try:
        assert await ask(path, "add", a=2) == 3
    finally:
        await server.stop()


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agent.sock"
    async with serving(path):
        assert await ask(path, "add", a=1) == 2
        monkeypatch.setattr(control, "_peer_user", lambda _: 12345)
        assert await code(path, "add", a=1) == "agent_not_running"


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[]\n", b"\xff\xfe\n", b'{"command": ["add"]}\n', b"no line"]
)
async def test_garbage_is_refused_and_the_server_lives(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "agent.sock"
    async with serving(path):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(line)
        writer.write_eof()
        answer = await reader.readline()
        assert not answer or b'"error"' in answer
        writer.close()
        assert await ask(path, "add", a=1) == 2


@pytest.mark.slow
@given(st.binary(max_size=200))
@settings(max_examples=2000, deadline=None)
def test_any_line_has_an_answer(line: bytes) -> None:
    server = ControlServer(Path("unused"), {"add": add})
    answer = asyncio.run(server._answer(line, os.geteuid()))
    assert answer.keys() in ({"result"}, {"error"})

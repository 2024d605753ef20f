"""The control socket: the owner's command line connects to the running agent.

A Unix socket of mode 0600 in the agent's directory, and the peer's user id is checked as well: the
agent's own user or root. Where the owner names a group, its members may connect too (0660), and a
*gate* decides by the person's session that they show (`agent.edge.permissions`).

One JSON object per line: `{"command", "arguments", "session"}` is answered with `{"result"}` or
`{"error"}`; `session` is the secret of a person's session, and may be left out. With `strict` the
agent demands it even of its own Unix user, whose reading commands pass without: who serves others,
as the owner's page does, asks so. With `unattended` a command that decides nothing does not keep
the session alive: no person asks, but a page by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import json
import os
import socket
import sqlite3
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from secureflow.agent.edge.arguments import check
from secureflow.agent.owner.acting import Actor, as_actor
from secureflow.kit.canonical import JSON, parse_json
from secureflow.kit.disk import Place, fault_of, size, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.oserrors import reason_of
from secureflow.kit.text import Text, read_back, spelled

Command = Callable[..., Awaitable[JSON]]
Admit = Callable[..., Actor]
"""Returns who gives a command, of its name, the session that is shown and the peer's user id; with
`strict=True` only for a session, unless the command is open to everybody."""
MAX_LINE: Final = 64 << 20
"""Bytes of a request or an answer: all leaves of the longest job, all bundles of a settlement."""
MAX_OTHERS_LINE: Final = 1 << 20
"""Bytes of a request of another Unix user than the agent's: it is read before anybody is known."""
MAX_OTHERS: Final = 16
"""Connections at the same time of each other Unix user."""
_CHUNK: Final = 64 << 10
_UCRED: Final = struct.Struct("3i")
_LONGEST_PATH: Final = 100
"""`sun_path` holds 108 bytes; a longer path is reached by a relative one."""

_log = get_logger(__name__)


class ControlServer:
    """Serves commands on the socket.

    Args:
        path: of the socket; a left-over one is replaced.
        commands: name → coroutine function with keyword arguments.
        admit: the gate; without one, whoever may connect may do everything.
        group: members of this Unix group may connect, if there is a gate.
    """

    def __init__(
        self,
        path: Path,
        commands: Mapping[str, Command],
        admit: Admit | None = None,
        group: str | None = None,
    ) -> None:
        self._path = path
        self._commands = commands
        self._admit = admit
        self._group = None if admit is None else group
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._others: Counter[int] = Counter()

    async def start(self) -> None:
        """Listen.

        Raises:
            InfrastructureError: `disk_full` and others of `kit.disk`: a socket needs a file name.
        """
        self._path.unlink(missing_ok=True)
        with contextlib.ExitStack() as stack:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            before = os.umask(0o177)  # the socket is 0600 from the start
            try:
                with writing(Place(self._path.parent, "own files")), reachable(self._path) as name:
                    listener.bind(name)
            finally:
                os.umask(before)
            if self._group is not None:
                _open_to(self._path, self._group)
            stack.pop_all()
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_CHUNK)

    async def stop(self) -> None:
        """Stop listening and close open connections."""
        if self._server is not None:
            self._server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            user = _peer_user(writer)
            if is_own(user):
                await self._converse(reader, writer, user, MAX_LINE)
            elif self._group is not None and self._others[user] < MAX_OTHERS:
                with self._counted(user):
                    await self._converse(reader, writer, user, MAX_OTHERS_LINE)
            else:
                _log.warning("control_refused", user=user)
        finally:
            writer.close()

    @contextlib.contextmanager
    def _counted(self, user: int) -> Iterator[None]:
        """Count a connection of another Unix user."""
        self._others[user] += 1
        try:
            yield
        finally:
            self._others[user] -= 1
            if not self._others[user]:
                del self._others[user]

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, user: int, most: int
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while (line := await _read_line(reader, most)) is not None:
                answer = written(await self._answer(line, user))
                if len(answer) > MAX_LINE:
                    error = SecureFlowError(
                        "too_large",
                        Text(
                            "The agent's answer has {size}, more than {most}.",
                            size=size(len(answer)),
                            most=size(MAX_LINE),
                        ),
                        "Ask for fewer entries at once.",
                    )
                    answer = written({"error": error.as_json()})
                writer.write(answer)
                await writer.drain()

    async def _answer(self, line: bytes, user: int) -> dict[str, JSON]:
        try:
            request = parse_json(line, MAX_LINE)
            if not isinstance(request, dict):
                request = {}
            name, session = request.get("command"), request.get("session", "")
            arguments = request.get("arguments", {})
            command = self._commands.get(name) if isinstance(name, str) else None
            if command is None or not isinstance(arguments, dict) or not isinstance(session, str):
                raise SecureFlowError(
                    "unknown_command",
                    Text("The agent has no command {name!r:.100}.", name=name),
                    "The command line and the agent must have the same version.",
                )
            secret = session.encode("ascii", "replace").decode()  # no session has other letters
            how = {one: True for one in ("strict", "unattended") if request.get(one) is True}
            with as_actor(await self._admitted(str(name), secret, user, **how)):
                check(command, arguments, line)
                return {"result": await command(**arguments)}
        except SecureFlowError as error:
            return {"error": error.as_json()}
        except Exception as error:  # noqa: BLE001  the edge of a command: its owner must get the error
            return {"error": self._fault(error).as_json()}

    async def _admitted(self, name: str, session: str, user: int, **how: bool) -> Actor:
        if self._admit is None:
            return Actor(user=user)
        return await asyncio.to_thread(self._admit, name, session, user, **how)

    def _fault(self, error: Exception) -> SecureFlowError:
        """Name the cause of a failed command: a fault of this machine, or a bug."""
        if isinstance(error, OSError | sqlite3.Error):
            known = fault_of(error, Place(self._path.parent, "own files"))
            if known is not None:
                return known
        _log.exception("command_failed")
        return SecureFlowError(
            "internal", "The agent had an internal error.", "The agent's log has the trace."
        )


def is_own(user: int) -> bool:
    """Return whether this is the agent's own Unix user, or root."""
    return user in {os.geteuid(), 0}


def _open_to(path: Path, group: str) -> None:
    """Let the members of a group connect to the socket.

    Raises:
        SecureFlowError: `invalid_settings`.
    """
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(0o660)
    except (KeyError, OSError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it does not exist"
        raise SecureFlowError(
            "invalid_settings",
            Text(
                "The socket {path} cannot be given to the group {group}: {reason}.",
                path=path,
                group=group,
                reason=reason,
            ),
            "Make the agent's user a member of the group, or correct control.group in agent.yaml.",
        ) from error


def call(
    path: Path,
    command: str,
    arguments: Mapping[str, JSON],
    timeout: float,
    session: str = "",
) -> JSON:
    """Send one command to a running agent (blocking) and return its result.

    Raises:
        SecureFlowError: `agent_not_running`, `agent_silent`, `too_large`, or the agent's own
            refusal.
    """
    line = request_line(command, arguments, session)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout)
            with reachable(path) as name:
                connection.connect(name)
            connection.sendall(line)
            with connection.makefile("rb") as answers:
                data = answers.readline(MAX_LINE)
    except TimeoutError as error:
        raise silent(command, timeout) from error
    except OSError as error:
        raise away(path, error) from error
    return result_of(data)


def request_line(
    command: str,
    arguments: Mapping[str, JSON],
    session: str,
    *,
    strict: bool = False,
    unattended: bool = False,
) -> bytes:
    """Return the line that asks for a command.

    Args:
        command: its name.
        arguments: the command's.
        session: the secret of a person's session, or empty.
        strict: whether a session is demanded whoever asks.
        unattended: whether no person asks, but a page by itself.

    Raises:
        SecureFlowError: `too_large`.
    """
    shown: dict[str, JSON] = {"session": session} if session else {}
    shown |= {"strict": True} if strict else {}
    shown |= {"unattended": True} if unattended else {}
    line = written({"command": command, "arguments": dict(arguments), **shown})
    if len(line) > MAX_LINE:
        raise SecureFlowError(
            "too_large",
            Text(
                "The request to the agent has {size}, more than {most}.",
                size=size(len(line)),
                most=size(MAX_LINE),
            ),
            "Send less at once.",
        )
    return line


def silent(command: str, timeout: float) -> SecureFlowError:
    """Return the error of an agent that does not answer in time."""
    return SecureFlowError(
        "agent_silent",
        Text(
            "The agent does not answer {command!r} within {timeout:.0f} s.",
            command=command,
            timeout=timeout,
        ),
        "See the agent's log.",
    )


def away(path: Path, error: OSError) -> SecureFlowError:
    """Return the error of a socket that nobody answers at."""
    return SecureFlowError(
        "agent_not_running",
        Text("No agent answers at {path}: {strerror}.", path=path, strerror=reason_of(error)),
        "Start it: secureflow agent start --config FILE. It must run as your user.",
    )


async def _read_line(reader: asyncio.StreamReader, most: int) -> bytes | None:
    """Return the next line; None if it is longer than `most`: nothing of it is kept."""
    found = bytearray()
    while len(found) <= most:
        try:
            found += await reader.readuntil()
        except asyncio.LimitOverrunError as error:
            found += await reader.readexactly(error.consumed)
            continue
        return bytes(found) if len(found) <= most else None
    return None


def written(value: Mapping[str, JSON]) -> bytes:
    """Return a request or an answer as a line."""
    return json.dumps(spelled(value)).encode() + b"\n"


def result_of(data: bytes) -> JSON:
    """Return the result of an answer's line.

    Raises:
        SecureFlowError: the agent's refusal; `agent_not_running` without an answer.
    """
    answer = read_back(parse_json(data, MAX_LINE)) if data else {}
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        raise SecureFlowError.from_json(answer["error"])
    if not isinstance(answer, dict) or "result" not in answer:
        raise SecureFlowError(
            "agent_not_running",
            "The agent closed the connection without an answer.",
            "It may be stopping, or it runs as another user.",
        )
    return answer["result"]


def _peer_user(writer: asyncio.StreamWriter) -> int:
    connection = writer.get_extra_info("socket")
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    return int(_UCRED.unpack(data)[1])


@contextlib.contextmanager
def reachable(path: Path) -> Iterator[str]:
    """Yield a name short enough for a socket address.

    A long directory is opened and named through /proc, which changes nothing else in the process.
    """
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)

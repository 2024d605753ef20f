"""`secureflow engine doctor`: whether each engine of this agent would run, step by step.

An engine is started for real: in the agent's sandbox, with a network of its own, where it imports
its package and leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.registry import MAKES, Engines
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import choose_sandbox
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports.sandbox import Launch, Limits, Sandbox
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_PATIENCE: Final = 120.0
_PROBE: Final = (
    "import socket, {module}; s = socket.create_server(('127.0.0.1', 0)); "
    "socket.create_connection(s.getsockname(), 5)"
)
"""It imports its package, and talks with itself."""


def examine(settings: AgentSettings, name: str = "") -> Iterator[dict[str, JSON]]:
    """Yield `{check, ok, message, hint, code}` for each check.

    Args:
        settings: the agent's.
        name: of the engine; all that are installed by default.

    Raises:
        SecureFlowError: `engine_unknown`.
    """
    own = OwnEngines(settings.directory)
    wanted = [own.make(name)] if name else [own.make(one.name) for one in own.every()]
    sandbox: list[Sandbox] = []

    def network() -> str:
        sandbox.append(asyncio.run(choose_sandbox(settings.worker.sandbox)).sandbox)
        if sandbox[0].confines:
            return Text("{name}, with a network of its own", name=sandbox[0].name)
        if settings.engines.unconfined:
            return "none: engines see this machine's files and network, as agent.yaml allows"
        raise failures.unconfined("*", ever=True)

    yield _finding("sandbox", network)
    for make in wanted:
        state = next(one.state for one in own.every() if one.name == make.name)
        if state == "absent" and not name:
            told = Text("not installed: secureflow engine install {name}", name=make.name)
            yield _finding(make.name, lambda told=told: told)  # type: ignore[misc]
            continue

        def ready(name: str = make.name, module: str = make.module) -> str:
            own.verify(name)
            if not sandbox:
                return "every file is as it was installed"
            runs = EngineRuns(
                sandbox[0], settings.engines_folder, unconfined=settings.engines.unconfined
            )
            if name in MAKES:
                Engines(runs, own.interpreter).ready(name)
            python = str(own.interpreter(name).find())
            return asyncio.run(_started(sandbox[0], python, name, module, settings))

        yield _finding(make.name, ready)


async def _started(
    sandbox: Sandbox, python: str, name: str, module: str, settings: AgentSettings
) -> str:
    began = time.monotonic()
    probe = _PROBE.format(module=module)
    limits = Limits(settings.engines.memory_mb << 20, addresses=64 << 30)
    launch = Launch(
        (python, "-I", "-B", "-c", probe), {"LANG": "C.UTF-8"}, limits=limits, loopback=True
    )
    process = await sandbox.start(launch)
    try:
        async with asyncio.timeout(_PATIENCE):
            code = await process.wait()
    except TimeoutError as error:
        raise failures.silent(name, settings.organisation, "connect", _PATIENCE) from error
    finally:
        await process.kill()
    if code:
        lines = process.printed.decode(errors="replace").splitlines()
        reason = shown(lines[-1][:200]) if lines else Text("exit code {code}", code=code)
        raise failures.failed(name, settings.organisation, "connect", reason)
    return Text(
        "as it was installed; it starts in {seconds:.1f} s", seconds=time.monotonic() - began
    )


def _finding(check: str, look: Callable[[], str]) -> dict[str, JSON]:
    try:
        message = look()
    except SecureFlowError as error:
        plain = error.as_json()
        plain.pop("details")
        return {"check": check, "ok": False, **plain}
    return {"check": check, "ok": True, "code": "", "message": message, "hint": ""}

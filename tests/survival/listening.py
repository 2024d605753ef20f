"""`python -m tests.survival.listening server|agent start --config FILE`: processes that tell.

The server writes down every byte that reaches it behind TLS, from parties and from people; an agent
writes down its updates in clear, and may leak them as a faulty one would.
"""

from __future__ import annotations

import base64
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.survival.entry import DIRECTORY

HEARD = "heard"
LEAK = "leak"


def listening_server(directory: Path) -> Callable[[Path], int]:
    """Append every received message and request body to `heard`."""
    from secureflow.adapters.link import data, server
    from secureflow.server import main as process

    heard = (directory / HEARD).open("ab", buffering=0)

    def received(message: bytes) -> bytes:
        # One function reads and writes: what the server sends is in the capture too.
        heard.write(message)
        return message

    server.identity = received  # type: ignore[assignment]
    data.identity = received  # type: ignore[assignment]
    create_app = process.create_app

    def create(*arguments: Any) -> Any:
        app = create_app(*arguments)

        async def listen(scope: Any, receive: Any, send: Any) -> None:
            async def told() -> Any:
                message = await receive()
                heard.write(message.get("body", b""))
                return message

            await app(scope, told, send)

        listen.state = app.state  # type: ignore[attr-defined]
        return listen

    process.create_app = create  # type: ignore[assignment]
    return process.run


def telling_agent(directory: Path) -> Callable[[Path], int]:
    """Write each update in clear to `<party>-<stage>-<round>.update`; leak it when told to."""
    from secureflow.agent.edge.main import run
    from secureflow.agent.kinds.training.updates import Updates

    compute = Updates.compute

    async def compute_and_tell(self: Any, job: Any, spec: Any, request: Any, *rest: Any) -> Any:
        held = await compute(self, job, spec, request, *rest)
        name = f"{self._context.party}-{held.stage}-{held.round}.update"
        plaintext = bytes(held.plaintext)
        (directory / name).write_bytes(plaintext)
        if (directory / LEAK).exists():
            await self._files._link.call("status", {"x": base64.b64encode(plaintext).decode()})
        return held

    Updates.compute = compute_and_tell  # type: ignore[method-assign]
    return run


def main(arguments: list[str]) -> int:
    """Run what `secureflow <kind> start --config FILE` runs."""
    kind, _, _, config = arguments
    directory = Path(os.environ[DIRECTORY])
    listening = {"server": listening_server, "agent": telling_agent}[kind]
    return listening(directory)(Path(config))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A sender that prepares a ticket, says so, sends it, and then waits to be killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys, FabricPlace
from secureflow.engines.anchors.entries import RegisterJob


async def main() -> None:
    told = json.loads(sys.stdin.readline())
    coded = {name: told[name].encode() for name in ("ca", "certificate")}
    where = FabricPlace(**{**told["where"], **coded})
    keys = FabricKeys(told["key"].encode())
    anchor = FabricAnchor(where, lambda: Path(told["python"]), lambda: keys)
    ticket = await anchor.prepare([RegisterJob(b"k" * 32, b"s" * 32)], [])
    print(json.dumps([anchor.gateway.pid, ticket.id, ticket.body]), flush=True)
    await anchor.send(ticket)
    print("sent", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())

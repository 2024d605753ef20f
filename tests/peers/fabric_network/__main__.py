"""`python -I -B fabric_network`: settings in the first line of standard input, then commands.

    {"do": "fault", "name": …} {"do": "hold"} {"do": "release"} {"do": "cut"} {"do": "codes"}

It says where it listens in its first line, answers each command with one, and ends with its input.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import grpc
from chain import Chain
from fabric_protos.gateway import gateway_pb2_grpc
from fabric_protos.peer import transaction_pb2
from msp import Members
from service import Gateway

LIMIT = 32 << 20


def say(told: Any) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def obey(asked: dict[str, Any], gateway: Gateway, chain: Chain) -> Any:
    match asked["do"]:
        case "fault":
            gateway.fault = asked["name"]
        case "hold":
            gateway.held = True
        case "release":
            gateway.release()
        case "cut":
            gateway.cut()
        case "codes":
            name = transaction_pb2.TxValidationCode.Name
            return [
                [name(chain.code(number, index)) for index in range(len(block.data.data))]
                for number, block in enumerate(chain.blocks)
            ][1:]
    return {}


async def main() -> None:
    reader = asyncio.StreamReader(limit=LIMIT)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    told = json.loads(await reader.readline())
    members = Members(told["channel"], told["orgs"])
    chain = Chain(Path(told["file"]), members, told["chaincode"])
    gateway = Gateway(
        chain, members, told["channel"], told["chaincode"], told["address"], told["timeout"]
    )
    options = [("grpc.max_receive_message_length", LIMIT), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    gateway_pb2_grpc.add_GatewayServicer_to_server(gateway, server)
    pair = (told["tls"]["key"].encode(), told["tls"]["certificate"].encode())
    credentials = grpc.ssl_server_credentials([pair])
    port = server.add_secure_port(f"127.0.0.1:{told['port']}", credentials)
    await server.start()
    ordering = asyncio.create_task(gateway.order())
    say({"port": port})
    while line := await reader.readline():
        say(obey(json.loads(line), gateway, chain))
    ordering.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await ordering
    await server.stop(0)
    await gateway.close()


asyncio.run(main())

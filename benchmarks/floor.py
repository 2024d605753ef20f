"""The bare loop that a round is measured against: move the bytes, encrypt, fold, nothing else.

One process plays server and enclave; N client processes fetch the model (encrypted once, the same
bytes to all), and send an update of the same size back. grpc.aio over mTLS with raw messages,
AES-256-GCM in 1 MiB chunks, each opened into one reused buffer and folded into float32 in place.
No signature, digest, journal, ledger, vote, or check of any kind.

    python -m benchmarks.floor --mb 25 --clients 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem

CHUNK = 1 << 20
TAG = 16
WARM_UP = 1
NAME = "floor-server"
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
KEY = AESGCM(b"k" * 32)


def floor_seconds(mb: int, clients: int, rounds: int) -> float:
    """Return the median seconds of a bare round, the first one left out."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        _make_certificates(directory)
        return asyncio.run(_Floor(directory, mb, clients, rounds + WARM_UP).run())


class _Floor:
    """The one server process."""

    def __init__(self, directory: Path, mb: int, clients: int, rounds: int) -> None:
        self._directory = directory
        self._clients = clients
        self._rounds = rounds
        self._model: NDArray[np.float32] = np.ones(mb * CHUNK // 4, np.float32)
        self._sum = np.zeros_like(self._model)
        self._scratch = np.empty(CHUNK // 4, np.float32)
        self._encoded: list[bytes] = []
        self._round = 0
        self._arrived = 0
        self._ended: list[float] = []
        self._next = asyncio.Condition()

    async def run(self) -> float:
        """Serve until every client has gone through every round."""
        self._encoded = list(_encrypt(self._model))
        server = grpc.aio.server(options=(*OPTIONS, ("grpc.so_reuseport", 0)))
        handlers = {
            "Get": grpc.unary_stream_rpc_method_handler(self._get, _raw, _raw),
            "Put": grpc.stream_unary_rpc_method_handler(self._put, _raw, _raw),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("F", handlers),))
        credentials = grpc.ssl_server_credentials(
            [(_read(self._directory, "server.key"), _read(self._directory, "server.pem"))],
            _read(self._directory, "ca.pem"),
            require_client_auth=True,
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        command = [sys.executable, "-m", "benchmarks.floor", "--client", str(self._directory)]
        arguments = ["--mb", str(self._model.nbytes // CHUNK), "--port", str(port)]
        processes = [
            await asyncio.create_subprocess_exec(
                *command, *arguments, "--rounds", str(self._rounds)
            )
            for _ in range(self._clients)
        ]
        codes = await asyncio.gather(*(process.wait() for process in processes))
        await server.stop(0)
        if any(codes):
            raise subprocess.CalledProcessError(max(codes), command)
        return statistics.median(np.diff(self._ended).tolist())

    async def _get(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        async with self._next:
            await self._next.wait_for(lambda: self._round >= int(request))
        for chunk in self._encoded:
            yield chunk

    async def _put(self, chunks: AsyncIterator[bytes], _: Any) -> bytes:
        buffer, index = bytearray(CHUNK), 0
        async for chunk in chunks:
            size = len(chunk) - TAG
            KEY.decrypt_into(_nonce(index), chunk, None, memoryview(buffer)[:size])
            part = np.frombuffer(buffer, np.float32, size // 4)
            start = index * CHUNK // 4
            total = self._sum[start : start + part.size]
            scaled = np.multiply(part, 1 / self._clients, out=self._scratch[: part.size])
            np.add(total, scaled, out=total)
            index += 1
        self._arrived += 1
        if self._arrived == self._clients:
            await self._close()
        return b""

    async def _close(self) -> None:
        self._model, self._sum, self._arrived = self._sum, self._model, 0
        self._sum.fill(0)
        self._encoded = list(_encrypt(self._model))
        self._ended.append(time.perf_counter())
        async with self._next:
            self._round += 1
            self._next.notify_all()


async def _client(directory: Path, mb: int, port: int, rounds: int) -> None:
    weights = np.empty(mb * CHUNK // 4, np.float32)
    view = weights.data.cast("B")
    credentials = grpc.ssl_channel_credentials(
        _read(directory, "ca.pem"),
        _read(directory, "client.key"),
        _read(directory, "client.pem"),
    )
    options = (*OPTIONS, ("grpc.ssl_target_name_override", NAME))
    async with grpc.aio.secure_channel(
        f"127.0.0.1:{port}", credentials, options=options
    ) as channel:
        get = channel.unary_stream("/F/Get", _raw, _raw)
        put = channel.stream_unary("/F/Put", _raw, _raw)
        for number in range(rounds):
            index = 0
            async for chunk in get(str(number).encode()):
                place = view[index * CHUNK : index * CHUNK + len(chunk) - TAG]
                KEY.decrypt_into(_nonce(index), chunk, None, place)
                index += 1
            await put(_encrypt(weights))


def _encrypt(array: NDArray[np.float32]) -> Iterator[bytes]:
    view = array.data.cast("B")
    for index in range(-(-len(view) // CHUNK)):
        yield KEY.encrypt(_nonce(index), view[index * CHUNK : (index + 1) * CHUNK], None)


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _raw(data: bytes) -> bytes:
    return data


def _read(directory: Path, name: str) -> bytes:
    return (directory / name).read_bytes()


def _make_certificates(directory: Path) -> None:
    now = int(time.time())
    authority = Authority.create(directory / "ca", "floor.example", now)
    (directory / "ca.pem").write_text(authority.pem)
    roles = {"server": ("server", [NAME]), "client": ("org/floor/agent/client", [])}
    for name, (path, dns) in roles.items():
        key = new_link_key()
        chain = authority.issue(make_csr(key), f"spiffe://floor.example/{path}", now, dns=dns)
        (directory / f"{name}.key").write_bytes(private_pem(key))
        (directory / f"{name}.pem").write_text(chain)


def main() -> None:
    """Measure from the command line, or be one of the clients."""
    parser = argparse.ArgumentParser(description="The bare loop behind `round_overhead`.")
    parser.add_argument("--mb", type=int, default=25)
    parser.add_argument("--clients", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--client", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client is not None:
        asyncio.run(_client(options.client, options.mb, options.port, options.rounds))
        return
    seconds = floor_seconds(options.mb, options.clients, options.rounds)
    figures = {"mb": options.mb, "clients": options.clients, "rounds": options.rounds}
    print(json.dumps({**figures, "floor_seconds": round(seconds, 4)}))


if __name__ == "__main__":
    main()

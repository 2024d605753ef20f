"""Channels between two agents through the centre's relay: speed, round trips, the control links.

`python -m benchmarks.peers` starts a centre's link and two agents, each a process of its own, and
measures over real gRPC and TLS on loopback:

- `mb_per_second`: one way, agent to agent, of a byte stream that is always full;
- `added_rtt_ms_p50`: a message there and one back, beyond the same over a bare TCP connection
  between the same two processes;
- `control_p95_ms`: requests of the centre to both agents over their control links, answered while
  the channel is full;
- `psi_ratio`: an intersection (RR22) of 100k ids through the relay, by one over addresses that the
  agents dial directly (`benchmarks.psiratio`; null where SPU is not installed in the demo's place:
  `python -m tests.engines spu`, or with `--ids 0`).

The last line is JSON. The processes share two processors, as a demonstration's would.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.processes import cpu_seconds
from benchmarks.psiratio import psi_ratio, spu_is_here
from secureflow.adapters.artifacts import FileArtifacts
from secureflow.adapters.link import SERVER_NAME, CredentialFiles, Link, PeerIdentity
from secureflow.adapters.link.callbacks import Callbacks
from secureflow.adapters.link.peerlink import RelayDialler
from secureflow.adapters.link.relay import PeerPlace
from secureflow.adapters.link.server import LinkServer
from secureflow.agent.peers.channels import PeerChannels
from secureflow.application.ports.artifacts import Artifacts
from secureflow.application.ports.courier import Request
from secureflow.application.ports.peers import ChannelLimits, PeerChannel
from secureflow.engines.peers.statements import ChannelScope
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.memory import limit_arenas
from secureflow.kit.pki import Authority, SpiffeId, make_csr, new_link_key

DOMAIN: Final = "bench.example"
PARTIES: Final = ("bank-a", "bank-b")
BLOCK: Final = 1 << 20
"""Bytes of one write of the measured stream."""
PSI_RATIO: Final = 1.5
"""An intersection through the relay takes at most so many times one over a direct connection."""
PAUSE: Final = 0.02
"""Seconds between two requests over the control links."""


def main() -> None:
    """Measure, or be one of the processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1024, help="bytes of the stream, in MB")
    parser.add_argument("--times", type=int, default=1000, help="round trips")
    parser.add_argument("--ids", type=int, default=100_000, help="of each party's list; 0: none")
    parser.add_argument("--jobs", type=int, default=3, help="intersections on each of two ways")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.role:
        limit_arenas()
        asyncio.run(_centre(asked.folder) if asked.role == "centre" else _agent(asked))
        return
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        figures = measure(Path(folder), asked.mb, asked.times)
    ratio = psi_ratio(asked.ids, asked.jobs) if asked.ids and spu_is_here() else None
    print(json.dumps({"missed": bars(figures, ratio)}))
    print(json.dumps({**figures, "psi_ratio": ratio}))


def measure(folder: Path, mb: int, times: int) -> dict[str, float]:
    """Start the processes, measure, and end them."""
    _enrol(folder)
    with contextlib.ExitStack() as stack:
        centre = stack.enter_context(_Process("centre", folder))
        (folder / "address").write_text(centre.told()["address"])
        agents = [stack.enter_context(_Process(party, folder)) for party in PARTIES]
        offers = [agent.told() for agent in agents]
        for agent, other in zip(agents, reversed(offers), strict=True):
            agent.tell(theirs=other["statement"], port=other["port"])
        for agent in agents:
            agent.told()
        processes = {"centre": centre, **dict(zip(PARTIES, agents, strict=True))}
        bare = _round_trips(agents, "bare", times)
        relayed = _round_trips(agents, "relayed", times)
        centre.tell(do="probe")
        before = {name: cpu_seconds(one.pid) for name, one in processes.items()}
        seconds = _stream(agents, mb)
        spent = {name: cpu_seconds(one.pid) - before[name] for name, one in processes.items()}
        centre.tell(do="stop")
        control = centre.told()["seconds"]
        for agent in agents:
            agent.tell(do="close")
        for agent in agents:
            agent.told()
    print(json.dumps({"cpu_seconds": {name: round(one, 2) for name, one in spent.items()}}))
    return {
        "mb_per_second": round(mb / seconds, 1),
        "rtt_ms_p50": round(1000 * relayed, 3),
        "added_rtt_ms_p50": round(1000 * (relayed - bare), 3),
        "control_p95_ms": round(1000 * statistics.quantiles(control, n=20)[-1], 2),
        "control_requests": len(control),
    }


def _round_trips(agents: list[_Process], what: str, times: int) -> float:
    for agent in agents:
        agent.tell(do=what, times=times)
    told = [agent.told() for agent in agents]
    seconds: list[float] = told[0]["seconds"]
    return statistics.median(seconds)


def _stream(agents: list[_Process], mb: int) -> float:
    for agent in agents:
        agent.tell(do="stream", bytes=mb * 1_000_000)
    return max(float(agent.told()["seconds"]) for agent in agents)


class _Process:
    """One of the processes, told what to do line by line."""

    def __init__(self, role: str, folder: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.peers", "--role", role]
        self._process = subprocess.Popen(
            [*command, "--folder", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tell(self, **what: JSON) -> None:
        """Send a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def told(self) -> Any:
        """Return the next line."""
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def _enrol(folder: Path) -> None:
    """Make an authority, link certificates and signing keys."""
    now = system_clock()
    authority = Authority.create(folder / "ca", DOMAIN, now)
    uris = {party: f"spiffe://{DOMAIN}/org/{party}/agent/a1" for party in PARTIES}
    for name, uri in {**uris, "centre": f"spiffe://{DOMAIN}/server"}.items():
        key = new_link_key()
        dns = [SERVER_NAME] if name == "centre" else []
        chain = authority.issue(make_csr(key), uri, now, dns=dns)
        CredentialFiles.create(folder / name, authority.pem, key, chain)
    for party in PARTIES:
        SigningKey.generate().save(folder / party / "signing.key")


def _say(**what: JSON) -> None:
    print(json.dumps(what), flush=True)


async def _told() -> dict[str, Any]:
    line: dict[str, Any] = json.loads(await asyncio.to_thread(sys.stdin.readline) or '{"do": ""}')
    return line


async def _centre(folder: Path) -> None:
    """Serve links; on request ask both agents something again and again."""

    async def authorise(spiffe: SpiffeId, serial: str) -> PeerIdentity:
        return PeerIdentity(spiffe.organisation, spiffe, serial)

    async def anything(*_: Any) -> None:
        return None

    async def nothing(*_: Any) -> Artifacts | None:
        return None

    async def never(*_: Any) -> bool:
        return False

    async def joins(_peer: PeerIdentity, _place: PeerPlace) -> None:
        return None

    callbacks = Callbacks(authorise, anything, anything, anything, never, nothing, may_join=joins)
    server = LinkServer(
        "127.0.0.1:0", CredentialFiles(folder / "centre"), DOMAIN, callbacks,
        FileArtifacts(folder / "blobs"), clock=system_clock,
    )  # fmt: skip
    _say(address=f"127.0.0.1:{await server.start()}")
    await _told()
    took: list[float] = []
    probing = asyncio.create_task(_probe(server, took))
    await _told()
    probing.cancel()
    _say(seconds=took)
    await _told()


async def _probe(server: LinkServer, took: list[float]) -> None:
    number = 0
    while True:
        for party in PARTIES:
            number += 1
            began = time.monotonic()
            await server.ask(Request(f"job_1/{number}/{party}", party, "ping", {}, 30.0))
            took.append(time.monotonic() - began)
        await asyncio.sleep(PAUSE)


async def _agent(asked: argparse.Namespace) -> None:
    """Be an agent: a control link, and a channel to the other one."""
    folder, own = asked.folder, asked.role
    (peer,) = set(PARTIES) - {own}
    credentials = CredentialFiles(folder / own)
    keys = {party: SigningKey.load(folder / party / "signing.key") for party in PARTIES}
    scope = ChannelScope(
        "job_1", "0" * 64, 1, "0" * 64, {party: key.public for party, key in keys.items()}
    )
    address = (folder / "address").read_text()

    async def handle(verb: str, _body: JSON, _proofs: JSON) -> JSON:
        return {"verb": verb}

    link = Link(address, credentials, _hello, handle, clock=system_clock)
    linking = asyncio.create_task(link.run())
    channels = PeerChannels(own, keys[own], RelayDialler(address, credentials))
    bare = _Bare()
    _say(statement=channels.offer(scope, [peer])[peer], port=await bare.listen())
    told = await _told()
    opened = await channels.open(scope, {peer: told["theirs"]}, deadline=30, limits=ChannelLimits())
    await bare.connect(told["port"], dials=own == PARTIES[0])
    await link.connected.wait()
    _say(ready=True)
    await _work(opened[peer], bare, first=own == PARTIES[0])
    linking.cancel()


def _hello() -> dict[str, JSON]:
    return {"version": "1", "log_size": 0, "unproved": []}


async def _work(channel: PeerChannel, bare: _Bare, *, first: bool) -> None:
    while (told := await _told())["do"] != "close":
        if told["do"] == "bare":
            _say(seconds=await bare.ping(told["times"], first=first))
        elif told["do"] == "relayed":
            _say(seconds=await _ping(channel, told["times"], first=first))
        elif first:
            await _fill(channel, told["bytes"])
            _say(seconds=0.0)
        else:
            _say(seconds=await _drain(channel, told["bytes"]))
    await channel.close()
    _say(closed=True)


async def _ping(channel: PeerChannel, times: int, *, first: bool) -> list[float]:
    took = []
    for _ in range(times):
        began = time.monotonic()
        if first:
            await channel.send(b"ping")
        await channel.receive()
        if not first:
            await channel.send(b"pong")
        took.append(time.monotonic() - began)
    return took


async def _fill(channel: PeerChannel, size: int) -> None:
    stream, block = await channel.open(), os.urandom(BLOCK)
    while size > 0:
        await stream.write(block[: min(size, BLOCK)])
        size -= BLOCK
    stream.close_write()
    await stream.read(1)


async def _drain(channel: PeerChannel, size: int) -> float:
    stream = await channel.accept()
    left, began = size, time.monotonic()
    while data := await stream.read(BLOCK):
        left -= len(data)
    assert not left
    seconds = time.monotonic() - began
    stream.close_write()
    return seconds


class _Bare:
    """A TCP connection between the two agents."""

    def __init__(self) -> None:
        self._coming: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.get_running_loop().create_future()
        )

    async def listen(self) -> int:
        """Listen and return the port."""
        server = await asyncio.start_server(
            lambda reader, writer: self._coming.set_result((reader, writer)), "127.0.0.1", 0
        )
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def connect(self, port: int, *, dials: bool) -> None:
        """Connect one of the two to the other."""
        if dials:
            self._coming.set_result(await asyncio.open_connection("127.0.0.1", port))
        await self._coming

    async def ping(self, times: int, *, first: bool) -> list[float]:
        """Return the seconds of round trips."""
        reader, writer = await self._coming
        took = []
        for _ in range(times):
            began = time.monotonic()
            if first:
                writer.write(b"ping")
            await reader.readexactly(4)
            if not first:
                writer.write(b"pong")
            took.append(time.monotonic() - began)
        return took


def bars(figures: Mapping[str, float], ratio: float | None = None) -> list[str]:
    """Return the names of the bars that figures miss; a ratio that was not measured misses none."""
    least, most = {"mb_per_second": 150.0}, {"added_rtt_ms_p50": 2.0, "control_p95_ms": 100.0}
    missed = [name for name, bar in least.items() if figures[name] < bar]
    missed += [name for name, bar in most.items() if figures[name] > bar]
    return missed + (["psi_ratio"] if ratio is not None and ratio > PSI_RATIO else [])


if __name__ == "__main__":
    main()

"""Does a stranger who holds thousands of connections slow the others down?

`python -m benchmarks.idle_connections` prints one JSON object as its last line: how long calls took
while the centre was quiet, while 2,000 idle TLS connections and 200 half-open handshakes came and
were held (once on the REST port, once on the link's), and while the stranger dialled every one
again that was closed; the ratios to quiet, the descriptors and the memory of the server.

Four callers call in turn, as others would: a member over a connection that stands (`known`), a
newcomer whose every call is a fresh connection (`fresh`, from an address of its own, and `beside`,
from the stranger's address), and a party over its agent's link (`link`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks.processes import cpu_seconds, status_kb
from secureflow.adapters.link import CredentialFiles, Link
from secureflow.agent.settings import AgentSettings
from secureflow.demo.platform import Platform
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import system_clock
from secureflow.sdk import Client
from secureflow.sdk.connection import trust

STRANGER = "127.0.0.66"
OTHER = "127.0.0.77"
PERIOD = 0.02


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--half", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        platform = Platform(Path(folder) / "platform", {f"bank-{x}": x for x in "abc"})
        with platform:
            platform.build()
            figures = _measure(platform, asked)
    print(json.dumps(figures))


def _measure(platform: Platform, asked: argparse.Namespace) -> dict[str, JSON]:
    pid = platform.processes["server"].pid
    ready = json.loads((platform.server / "ready.json").read_text())
    rest, link = ready["rest"].removeprefix("https://"), ready["link"]
    rows: dict[str, Any] = {}
    with _callers(platform) as round_of_calls:

        def row() -> dict[str, JSON]:
            cpu = cpu_seconds(pid)
            times = asyncio.run(_repeat(round_of_calls, asked.seconds))
            return {
                **{caller: _figures(seconds) for caller, seconds in times.items()},
                "server_cpu": round((cpu_seconds(pid) - cpu) / asked.seconds, 3),
                **_held_by(pid),
            }

        rows["warm"] = row()
        rows["quiet"] = row()
        for name, target, more in (
            ("held", rest, ()),
            ("again", rest, ("--again",)),
            ("link", link, ("--again",)),
        ):
            with _siege(target, asked, more) as held:
                rows[name] = {"siege": held, **row()}
            time.sleep(2)
        rows["after"] = row()
    log = platform.directory / "logs" / "server.log"
    rows["log_bytes"] = log.stat().st_size
    rows["ratios"] = {
        name: {
            caller: round(rows[name][caller]["p95_ms"] / rows["quiet"][caller]["p95_ms"], 2)
            for caller in ("known", "fresh", "beside", "link")
        }
        for name in ("held", "again", "link", "after")
    }
    return rows


@contextmanager
def _callers(platform: Platform) -> Iterator[Callable[[], dict[str, Callable[[], Awaitable[Any]]]]]:
    """Yield what makes the callers, inside an event loop."""
    party, owner = next(iter(platform.parties.items()))
    with Client(platform.url, ca=platform.ca) as client:
        token = client.login(party, owner.password).token
    settings = AgentSettings.load(owner.config)
    context = trust(platform.ca)
    headers = {"Authorization": f"Bearer {token}"}

    def transport(address: str) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=context, local_address=address)

    def callers() -> dict[str, Callable[[], Awaitable[Any]]]:
        known = httpx.AsyncClient(transport=transport(OTHER), base_url=platform.url, timeout=60)
        link = Link(
            settings.link, CredentialFiles(settings.directory), dict, _nothing, clock=system_clock
        )

        async def fresh(address: str) -> None:
            async with httpx.AsyncClient(transport=transport(address), timeout=60) as one:
                (await one.get(f"{platform.url}/api/v1/ca")).raise_for_status()

        async def known_call() -> None:
            (await known.get("/api/v1/me", headers=headers)).raise_for_status()

        return {
            "known": known_call,
            "fresh": lambda: fresh(OTHER),
            "beside": lambda: fresh(STRANGER),
            "link": lambda: link.call("audit.head", {"from": 0}),
        }

    yield callers


async def _repeat(
    make: Callable[[], dict[str, Callable[[], Awaitable[Any]]]], seconds: float
) -> dict[str, list[float]]:
    callers = make()
    times: dict[str, list[float]] = {name: [] for name in callers}
    for call in callers.values():
        await call()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for name, call in callers.items():
            began = time.perf_counter()
            await call()
            times[name].append(time.perf_counter() - began)
            await asyncio.sleep(PERIOD)
    return times


@contextmanager
def _siege(target: str, asked: argparse.Namespace, more: tuple[str, ...]) -> Iterator[JSON]:
    command = [sys.executable, "-m", "benchmarks.siege", target, "--address", STRANGER, *more]
    sizes = ["--idle", str(asked.idle), "--half", str(asked.half)]
    process = subprocess.Popen(
        [*command, *sizes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)


def _figures(seconds: list[float]) -> dict[str, JSON]:
    ordered = sorted(seconds)
    rank = max(1, math.ceil(len(ordered) * 0.95))
    return {
        "calls": len(ordered),
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p95_ms": round(1000 * ordered[rank - 1], 2),
    }


def _held_by(pid: int) -> dict[str, JSON]:
    return {
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "rss_mb": round(status_kb(pid, "VmRSS") / 1024, 1),
    }


async def _nothing(verb: str, body: dict[str, JSON], log_proofs: JSON) -> JSON:
    raise AssertionError(verb, body, log_proofs)


if __name__ == "__main__":
    main()

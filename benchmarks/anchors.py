"""What anchoring does under faults, and how fast it is: `python -m benchmarks.anchors`.

Plays seeded schedules of the sender in this process's own time (`tests.peers.anchor_schedules`:
killed at any step, reorganisations, outages of hours, lost transactions, lies), then sends business
entries through the real driver to a contract on anvil, if it is installed here. Beside each figure
stand the machine's load and what the same chain does with empty transfers, sent as fast as it takes
them: the node's own limit in the same minute. The last line is JSON: `schedules`, `lost` and
`doubled` (bar: none), `tx_per_second` (bar: 400 business entries a second in batches; null where it
was not run), `empty_transfers_per_second`, `load`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.agent.record.store import RecordStore
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.application.ports.anchor import Anchor, Outcome
from secureflow.application.ports.anchoroutbox import Verdict
from secureflow.engines.anchors.entries import CommitRound, Entry, job_digest
from secureflow.kit import canonical

ROOT: Final = Path(__file__).parents[1]
BAR: Final = 400
SLOW: Final = 640
"""Entries sent where a block comes each second: one ticket for each block."""
TRANSFERS: Final = 500
FREE: Final = ("--gas-price", "0", "--block-base-fee-per-gas", "0")


def schedules(seeds: str) -> dict[str, Any]:
    """Play the schedules in a process of their own, and return their sums."""
    command = [sys.executable, "-m", "tests.peers.anchor_schedules", "--seeds", seeds]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    *wrong, last = done.stdout.strip().splitlines()
    for line in wrong:
        print(line, flush=True)
    sums: dict[str, Any] = json.loads(last)
    return sums


def rounds(count: int) -> list[Entry]:
    """Return business entries: what one member saw of so many rounds."""
    job, none = job_digest("benchmark"), bytes(32)
    return [
        CommitRound(job, at, canonical.sha256(str(at).encode()), none, none)
        for at in range(1, count + 1)
    ]


class Watched(RecordOutbox):
    """Tells when nothing is on its way any more."""

    def __init__(self, store: RecordStore, place: str, over: asyncio.Event) -> None:
        super().__init__(store)
        self._kept = store
        self._place = place
        self._over = over

    async def finished(
        self, place: str, ticket: str, outcome: Outcome, verdicts: Sequence[Verdict], now: int
    ) -> None:
        """Store it, and look whether it was the last."""
        await super().finished(place, ticket, outcome, verdicts, now)
        if not self._kept.anchor_entries(self._place, ended=False, limit=1):
            self._over.set()


async def carried(anchor: Anchor, member: str, count: int) -> float:
    """Return the seconds from the deeds' transaction to the last entry's final row."""
    over = asyncio.Event()
    with tempfile.TemporaryDirectory() as folder:
        store = RecordStore(Path(folder) / "agent.db")
        outbox = Watched(store, anchor.place, over)
        pace = Pace(gather=0, look=0.002, poll=0.1)
        with store.transaction():
            store.add_anchor_entries([anchor.place], rounds(count), 0)
        begun = time.perf_counter()
        sending = asyncio.create_task(
            Anchoring(outbox, [anchor], member, lambda: int(time.time()), pace).run()
        )
        await over.wait()
        seconds = time.perf_counter() - begun
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        results = {one.result for one in store.anchor_entries(anchor.place, limit=count)}
        store.close()
    if results != {"kept"}:
        message = f"not every entry was kept: {sorted(map(str, results))}"
        raise SystemExit(message)
    return seconds


async def transfers(rpc: Any, account: Any, chain: int, count: int) -> float:
    """Return empty transfers per second that the chain takes; they are signed before."""
    to = bytes.fromhex(account.address[2:])
    begin = int(await rpc.ask("eth_getTransactionCount", account.address, "latest"), 16)
    fields = {"to": to, "value": 0, "gas": 21_000, "gasPrice": 0, "chainId": chain, "data": b""}
    signed = [account.signed({**fields, "nonce": begin + at}) for at in range(count)]
    begun = time.perf_counter()
    await rpc.known([("eth_sendRawTransaction", (f"0x{one.raw.hex()}",)) for one in signed])
    while await rpc.ask("eth_getTransactionReceipt", f"0x{signed[-1].id}") is None:
        pass
    return count / (time.perf_counter() - begun)


@dataclass(frozen=True)
class Speed:
    """Entries a second, empty transfers a second, and the load at the end."""

    entries: float
    transfers: float
    load: float


async def throughput(count: int, options: Sequence[str]) -> Speed | None:
    """Return how fast entries get to anvil with these options; None where there is none."""
    chains: Any = importlib.import_module("tests.peers.chains")
    if told := chains.lacking():
        print(f"THROUGHPUT WAS NOT RUN: {told}", flush=True)
        return None
    with chains.chain(*FREE, *options) as url:
        async with chains.world(url, members=3) as world:
            sender = world.parties[0]
            seconds = await carried(world.anchor(sender), sender.key.hex(), count)
            limit = await transfers(world.rpc, sender.account, world.settings.chain, TRANSFERS)
    return Speed(count / seconds, limit, os.getloadavg()[0])


def said(what: str, speed: Speed | None) -> None:
    """Print a figure with what stands beside it."""
    if speed is not None:
        print(
            f"{what}: {speed.entries:.0f} entries/s "
            f"(empty transfers: {speed.transfers:.0f}/s; load {speed.load:.1f})",
            flush=True,
        )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:1000", help="schedules to play")
    parser.add_argument("--entries", type=int, default=4000, help="to send to the chain")
    asked = parser.parse_args()
    fast = asyncio.run(throughput(asked.entries, ("--hardfork", "cancun")))
    said("anvil, a block for each transaction", fast)
    slow = asyncio.run(throughput(SLOW, ("--hardfork", "berlin", "--block-time", "1")))
    said("anvil, a block each second", slow)
    sums = schedules(asked.seeds)
    figures = {
        "tx_per_second": fast and round(fast.entries),
        "tx_per_second_with_blocks_of_1_s": slow and round(slow.entries),
        "empty_transfers_per_second": fast and round(fast.transfers),
        "load": fast and round(fast.load, 1),
        **sums,
        "bar_tx_per_second": BAR,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

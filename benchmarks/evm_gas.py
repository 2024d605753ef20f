"""Gas of each entry on an EVM chain, and what the driver allows for it.

python -m benchmarks.evm_gas [--members N] [--anvil FOLDER]

The last line is JSON: for each kind the gas of a transaction that carries one entry, and the gas
that the driver gives such a one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from secureflow.adapters.anchors.evm.account import EvmAccount
from secureflow.adapters.anchors.evm.deploying import deploy, planned
from secureflow.adapters.anchors.evm.development import anvil
from secureflow.adapters.anchors.evm.driver import EvmAnchor
from secureflow.adapters.anchors.evm.rpc import Rpc
from secureflow.adapters.anchors.evm.settings import EvmSettings
from secureflow.engines.anchors import entries as e

WINDOW = 1_000


def word(*values: object) -> bytes:
    """Return a 32-byte value."""
    return hashlib.sha256(repr(values).encode()).digest()


class Party:
    """A member: charter key and account."""

    def __init__(self, number: int) -> None:
        self.signing = Ed25519PrivateKey.from_private_bytes(word("key", number))
        self.key = self.signing.public_key().public_bytes_raw()
        self.account = EvmAccount(word("account", number))

    def binding(self, place: str) -> e.Admit:
        """Return the member with its signature over its account."""
        made = self.signing.sign(e.binding(place, self.key, self.account.word))
        return e.Admit(self.key, self.account.word, (made[:32], made[32:]))


def steps(place: str, parties: list[Party], new: Party) -> Iterator[tuple[str, int, e.Entry]]:
    """Yield what is measured: a name, who sends, and the entry; votes that decide come last."""
    k = 2 * len(parties) // 3 + 1
    log, job, data = word("log"), word("job"), word("dataset")
    halves, money = (word(1), word(2)), e.currency_word("EUR")
    yield "anchor", 0, e.AnchorHead(log, 1, word("root"), halves)
    yield "anchor, next", 0, e.AnchorHead(log, 2, word("root"), halves)
    yield "anchor, fork", 1, e.AnchorHead(log, 2, word("other"), halves)
    yield "registerJob", 0, e.RegisterJob(job, word("spec"))
    yield "approveJob", 0, e.ApproveJob(job, word("spec"))
    yield "commitDataset", 0, e.CommitDataset(data, word("commitment"), 10**6)
    yield "commitRound", 0, e.CommitRound(job, 1, word(1), word(2), word(3))
    yield "spend", 0, e.Spend(data, job, 1_000)
    named = tuple(sorted(one.key for one in parties))
    shares = [e.WHOLE // len(named)] * len(named)
    shares[0] += e.WHOLE - sum(shares)
    said = e.SetContributions(job, 1, word("scores"), named, tuple(shares), named[0])
    for i in range(k):
        yield "setContributions" + (", carried" if i == k - 1 else ""), i, said
    yield "dispute", 0, e.Dispute(job, 1, word("evidence"))
    yield "withdraw", 0, e.Withdraw(job, 1)
    parted = e.Split(job, 1, parties[0].key, 10**9, money)
    for i in range(k):
        yield "split" + (", carried" if i == k - 1 else ""), i, parted
    yield "settle", 0, e.Settle(parties[1].key, 1_000, money, word("payment"))
    yield "confirm", 1, e.Confirm(parties[0].key, word("payment"))
    for i in range(k):
        yield "admit" + (", carried" if i == k - 1 else ""), i, new.binding(place)
    for i in range(2 * (len(parties) + 1) // 3 + 1):
        yield "remove", i, e.Remove(new.key)
    for i in range(k):
        yield "upgrade", i, e.Upgrade(word("successor"))


async def measured(program: Path, members: int, fork: str) -> dict[str, dict[str, int]]:
    """Return gas used and given for each kind."""
    found: dict[str, dict[str, int]] = {}
    with anvil.running(program, "--hardfork", fork, *anvil.FREE) as url:
        rpc = Rpc(url)
        parties = [Party(i) for i in range(members)]
        place = await planned(rpc, parties[0].account.address)
        await deploy(rpc, parties[0].account, [one.binding(place) for one in parties], WINDOW)
        made = await rpc.ask("eth_getBlockByNumber", "latest", True)
        found["deploy"] = {
            "used": int(made["gasUsed"], 16),
            "given": int(made["transactions"][0]["gas"], 16),
        }
        chain, contract = int(place.split(":")[1]), place.split(":")[2]
        settings = EvmSettings(url, chain, contract, confirmations=0)
        places = [EvmAnchor(settings, one.account, rpc) for one in parties]
        for name, sender, entry in steps(place, parties, Party(members)):
            if name.startswith("split"):
                await rpc.ask("evm_increaseTime", WINDOW)
            used, given = await once(rpc, places[sender], entry)
            if used > found.get(name, {"used": 0})["used"]:
                found[name] = {"used": used, "given": given}
        await rpc.close()
    return found


async def once(rpc: Rpc, place: EvmAnchor, entry: e.Entry) -> tuple[int, int]:
    """Send one entry alone; return gas used and given."""
    ticket = await place.prepare([entry], [])
    await place.send(ticket)
    for _ in range(10_000):
        if (outcome := await place.outcome(ticket)).state != "waiting":
            break
        await asyncio.sleep(0.001)
    if outcome.results not in {("kept",), ("fork",)}:
        raise SystemExit(f"{entry.kind}: {outcome}")
    receipt: Any = await rpc.ask("eth_getTransactionReceipt", f"0x{ticket.id}")
    return int(receipt["gasUsed"], 16), int(ticket.body["gas"])


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--fork", default="cancun")
    parser.add_argument(
        "--anvil", type=Path, default=Path.home() / ".cache" / "secureflow-engines" / "anvil"
    )
    asked = parser.parse_args()
    program = anvil.program(asked.anvil) or anvil.install(asked.anvil)
    found = asyncio.run(measured(program, asked.members, asked.fork))
    for name, one in found.items():
        print(f"{name:28} {one['used']:>10,} of {one['given']:>10,}")
    print(json.dumps({"members": asked.members, "fork": asked.fork, "gas": found}))


if __name__ == "__main__":
    main()

"""One agent's outbox and its places through everything that goes wrong, drawn from a seed.

The sender is killed before and after any of its steps and begun again from the record; places are
down for hours, reorganise, forget what they took, invalidate it, lose answers, tell events twice,
and lie for a while. At the end each entry is kept exactly once where it is not against the rules,
the outbox says so, and each event was handed on exactly once.

    python -m tests.peers.anchor_schedules --seeds 0:1000    # last line: JSON
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from secureflow.agent.record.anchoroutbox import RecordOutbox
from secureflow.agent.record.store import RecordStore
from secureflow.application.anchoring import Anchoring, Pace
from secureflow.application.ports.anchor import Happened, Page, Position
from secureflow.application.ports.anchoroutbox import key_of
from secureflow.engines.anchors import entries as e
from tests.chaos.virtual import VirtualLoop
from tests.memory import in_memory
from tests.peers.anchor_chain import Chain, ChainAnchor, Transaction, lying, member, word

RECORD = "agent.db"
BUSY = 600.0
"""Virtual seconds in which deeds are done and things go wrong."""
PATIENCE = 6 * 3600.0
"""Virtual seconds after which everything must be over."""
MOST_KILLS = 80
LIES = ("lost", "nothing", "early", "results")
SAYS = ("lost", "doubled", "wrong", "unheard", "repeated", "unfinished")


class QuickRecord(RecordStore):
    """A record that does not wait for the disk."""

    def _open(self, path: Path) -> None:
        super()._open(path)
        self._db.execute("PRAGMA synchronous=OFF")


@dataclass
class Fate:
    """Decides at every step whether the sender dies there."""

    dice: random.Random
    likely: float
    killed: asyncio.Event = field(default_factory=asyncio.Event)
    kills: int = 0

    async def step(self) -> None:
        if self.kills < MOST_KILLS and self.dice.random() < self.likely:
            self.kills += 1
            self.killed.set()
            await asyncio.Event().wait()


class Mortal:
    """Passes calls on; the sender may die before and after each."""

    def __init__(self, inner: Any, fate: Fate) -> None:
        self._inner = inner
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        async def call(*arguments: Any) -> Any:
            await self._fate.step()
            result = await found(*arguments)
            await self._fate.step()
            return result

        return call


class Stuttering(ChainAnchor):
    """Tells events twice now and then."""

    again = 0.0

    async def happened(self, after: Position | None, limit: int = 500) -> Page:
        chain, dice = self.chain, self.chain.dice
        if after is None or self.gone(after) or dice.random() >= self.again:
            return await super().happened(after, limit)
        older = chain.blocks[dice.randrange(after.block + 1)]
        return await super().happened(
            dice.choice([None, Position(older.number, older.hash)]), limit
        )


def deeds(dice: random.Random) -> tuple[list[list[e.Entry]], set[str]]:
    """Return one member's deeds in their order, and the keys of those against the rules."""
    made: list[list[e.Entry]] = []
    against: set[str] = set()
    sizes, datasets = [0, 0], 0
    for number in range(dice.randint(4, 12)):
        job = word("job", number)
        kind = dice.randrange(6)
        if kind <= 1:
            sizes[kind] += dice.randint(1, 5)
            made.append([head(kind, sizes[kind])])
        elif kind == 2:
            made.append([e.RegisterJob(job, word("spec", number)),
                         e.ApproveJob(job, word("spec", number))])  # fmt: skip
        elif kind == 3:
            made.append(
                [e.CommitRound(job, at, word("model", number, at), bytes(32), bytes(32))
                 for at in range(1, dice.choice([2, 4, 25]))]
            )  # fmt: skip
        elif kind == 4:
            datasets += 1
            own = word("dataset", datasets)
            made.append([e.CommitDataset(own, word("about", datasets), 100)])
            made.append([e.Spend(own, word("job", at), 40) for at in range(dice.randint(0, 2))])
        else:
            bad = e.Spend(word("nobody's", number), job, 1)
            against.add(key_of(bad))
            made.append([bad])
        if made and dice.random() < 0.1:
            made.append(dice.choice(made))
    return made, against


def head(log: int, size: int, root: str = "root") -> e.AnchorHead:
    """Return a head of one of two logs."""
    return e.AnchorHead(word("log", log), size, word(root, log, size), (bytes(32), bytes(32)))


class Run:
    """One schedule."""

    def __init__(self, seed: int, record: Path) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.until = self.loop.time() + BUSY
        self.heard: Counter[tuple[str, str, str, str]] = Counter()
        self.store = QuickRecord(record)
        self.fate = Fate(self.dice, self.dice.choice([0.0, 0.0005, 0.003, 0.01]))
        self.chains = [self._chain(at) for at in range(self.dice.choice([1, 1, 2]))]
        self.anchors = [Stuttering(chain, chain.members[0]) for chain in self.chains]
        self.member = self.chains[0].members[0].key.hex()
        for one in self.anchors:
            one.again = self.dice.choice([0.0, 0.0, 0.1])
        self.deeds, self.against = deeds(self.dice)

    def _chain(self, at: int) -> Chain:
        place = f"evm:{at}:00"
        confirmations = self.dice.choice([1, 1, 2, 5])
        members = [member(place, name) for name in ("alice", "bob", "carol")]
        dice = random.Random(f"{self.seed}/{at}")
        chain = Chain(place, members, confirmations=confirmations, dice=dice, clock=self.loop.time)
        chain.weather.slow = dice.choice([0.0, 0.1, 3.0])
        return chain

    def now(self) -> int:
        return int(self.loop.time())

    def hear(self, place: str, events: Sequence[Happened]) -> None:
        for one in events:
            self.heard[place, one.transaction, key_of(one.entry), one.sender] += 1

    async def play(self) -> dict[str, int]:
        """Play it and say what is wrong."""
        background = [self.loop.create_task(self._mine(chain)) for chain in self.chains]
        disturbing = [
            self.loop.create_task(one)
            for one in (
                self._do(),
                *(self._disturb(chain) for chain in self.chains),
                *(self._bob(chain) for chain in self.chains),
            )
        ]
        sender = self.loop.create_task(self._send())
        try:
            await asyncio.gather(*disturbing)
            self.fate.likely = 0.0
            for chain in self.chains:
                chain.weather = type(chain.weather)()
            await self._calm(sender)
            return self._judge()
        finally:
            for task in (*disturbing, *background, sender):
                task.cancel()
            await asyncio.gather(*disturbing, *background, sender, return_exceptions=True)
            self.store.close()

    async def _send(self) -> None:
        pace = Pace(gather=1, poll=5.0, idle=30.0, sure=150.0)
        while True:
            outbox = RecordOutbox(self.store, self.hear)
            anchors: Any = [Mortal(one, self.fate) for one in self.anchors]
            mortal: Any = Mortal(outbox, self.fate)
            self.fate.killed = asyncio.Event()
            running = self.loop.create_task(
                Anchoring(mortal, anchors, self.member, self.now, pace).run()
            )
            dying = self.loop.create_task(self.fate.killed.wait())
            try:
                await asyncio.wait((running, dying), return_when=asyncio.FIRST_COMPLETED)
                if running.done():
                    running.result()
            finally:
                for task in (running, dying):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task

    async def _mine(self, chain: Chain) -> None:
        interval = chain.dice.choice([1.0, 5.0, 12.0])
        while True:
            await asyncio.sleep(interval * (0.5 + chain.dice.random()))
            if chain.pool or len(chain.blocks) < 200 or chain.dice.random() < 0.5:
                chain.mine()

    async def _do(self) -> None:
        places = [chain.place for chain in self.chains]
        for one in self.deeds:
            await asyncio.sleep(self.dice.random() * BUSY / len(self.deeds))
            with self.store.transaction():
                self.store.add_anchor_entries(places, one, self.now())

    async def _bob(self, chain: Chain) -> None:
        """Another member says some of the same, and contradicts some of it."""
        bob = chain.members[1]
        for _ in range(chain.dice.randint(0, 6)):
            await asyncio.sleep(chain.dice.random() * BUSY / 6)
            root = chain.dice.choice(["root", "root", "other"])
            said = head(chain.dice.randrange(2), chain.dice.randint(1, 30), root)
            nonce = chain.blocks[-1].nonces.get(bob.account, 0)
            name = word(bob, nonce, said).hex()
            chain.pool[name] = Transaction(name, bob.account, nonce, (said,))

    async def _disturb(self, chain: Chain) -> None:
        dice, weather = chain.dice, chain.weather
        while self.loop.time() < self.until:
            await asyncio.sleep(dice.random() * 150)
            what = dice.randrange(9)
            lasts = dice.choice([2.0, 30.0, 120.0])
            if what == 0:
                weather.down = True
                await asyncio.sleep(dice.choice([5.0, 120.0, 3 * 3600.0]))
                weather.down = False
            elif what in (1, 2):
                deep = dice.random() < 0.1
                most = chain.confirmations + 2 if deep else chain.confirmations - 1
                if most:
                    chain.reorganise(dice.randint(1, most), forget=dice.random() < 0.5)
            elif what == 3:
                chain.pool.clear()
            elif what == 4:
                weather.forgetful = True
                await asyncio.sleep(lasts)
                weather.forgetful = False
            elif what == 5:
                chain.invalid.update(chain.pool)
            elif what == 6:
                weather.mute = dice.choice([0.1, 0.6])
                await asyncio.sleep(lasts)
                weather.mute = 0.0
            elif what == 7:
                weather.lie = lying(dice.choice(LIES))
                await asyncio.sleep(lasts)
                weather.lie = None
            else:
                self.fate.killed.set()

    async def _calm(self, sender: asyncio.Task[None]) -> None:
        end = self.loop.time() + PATIENCE
        while self.loop.time() < end:
            await asyncio.sleep(30.0)
            if sender.done():
                sender.result()
            if not self.store.anchor_entries("", ended=False, limit=1):
                break
        await asyncio.sleep(150.0)

    def _judge(self) -> dict[str, int]:
        wrong = dict.fromkeys(SAYS, 0)
        for chain in self.chains:
            self._judge_place(chain, wrong)
        wrong["repeated"] += sum(count - 1 for count in self.heard.values())
        wrong["kills"] = self.fate.kills
        wrong["entries"] = sum(len(one) for one in self.deeds) * len(self.chains)
        return wrong

    def _judge_place(self, chain: Chain, wrong: dict[str, int]) -> None:
        events = chain.events()
        own = Counter(key_of(one.entry) for one in events if one.sender == self.member)
        anybodys = {key_of(one.entry) for one in events}
        wrong["doubled"] += sum(count - 1 for count in own.values())
        for deed in self.deeds:
            for entry in deed:
                key, row = key_of(entry), self.store.anchor_entry(chain.place, entry)
                if row is None or row.ended is None:
                    wrong["unfinished"] += 1
                elif key in self.against:
                    wrong["wrong"] += row.state != "refused"
                elif key not in anybodys:
                    wrong["lost"] += 1
                elif row.state != "final" or (row.result in ("kept", "fork") and not own[key]):
                    wrong["wrong"] += 1
        told = {(chain.place, one.transaction, key_of(one.entry), one.sender) for one in events}
        wrong["unheard"] += len(told - set(self.heard))
        if not chain.deep:
            wrong["wrong"] += len({one for one in self.heard if one[0] == chain.place} - told)


def play(seed: int, folder: Path) -> dict[str, int]:
    """Play a schedule in a folder that has or gets an empty record."""
    template, record = folder / "template.db", folder / RECORD
    if not template.exists():
        with closing(QuickRecord(template)) as made, suppress(sqlite3.Error):
            made._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for rest in folder.glob(f"{RECORD}*"):
        rest.unlink()
    shutil.copy(template, record)
    loop = VirtualLoop(seed)

    async def whole() -> dict[str, int]:
        return await Run(seed, record).play()

    state = random.getstate()
    random.seed(seed)  # the sender's jitter
    try:
        return loop.run_until_complete(whole())
    finally:
        random.setstate(state)
        loop.close()


def play_all(
    seeds: Sequence[int], told: Callable[[int, dict[str, int]], None] = lambda seed, one: None
) -> Counter[str]:
    """Play many; tell of each, and return the sums."""
    sums: Counter[str] = Counter(schedules=0)
    with tempfile.TemporaryDirectory(prefix="sf-anchors-", dir=in_memory()) as folder:
        for seed in seeds:
            one = play(seed, Path(folder))
            told(seed, one)
            sums.update(one)
            sums["schedules"] += 1
    return sums


def main() -> None:
    """Play the seeds asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:50")
    first, end = map(int, parser.parse_args().seeds.split(":"))
    begun = time.perf_counter()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    def told(seed: int, one: dict[str, int]) -> None:
        if any(one[name] for name in SAYS):
            print(f"seed {seed}: {one}", flush=True)

    sums = play_all(range(first, end), told)
    print(json.dumps({**sums, "seconds": round(time.perf_counter() - begun, 1)}))


if __name__ == "__main__":
    main()

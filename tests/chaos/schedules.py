"""What goes wrong, and when: drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from tests.chaos.jobs import KINDS, PATIENCE, kind_of
from tests.chaos.platform import ENCLAVE, MACHINES, PARTIES, SERVER

SHIFTS = (-7200, -600, -240, 240, 600, 7200, 90_000)
"""Seconds by which a clock is set wrong."""
KILL, STOP, DISK, LOCK, RESTART = "kill", "stop", "disk full", "lock", "database restart"
CUT, HOLE, HALF, SLOW, CLOCK, CANCEL = "cut", "hole", "half-close", "slow", "clock", "cancel"
MUTE = "lost answers"
LINKS = (*((party, SERVER) for party in (*PARTIES, ENCLAVE)), *((p, ENCLAVE) for p in PARTIES))
"""Who dials whom: the links, and the uplinks."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        at: seconds after the job was submitted.
        what: its kind.
        whom: the machine, or who dials whom.
        seconds: how long it lasts.
        amount: of a clock's shift or a delay, in seconds.
    """

    at: float
    what: str
    whom: str
    seconds: float
    amount: float = 0.0

    @property
    def link(self) -> tuple[str, str]:
        """Return who dials whom."""
        one, _, other = self.whom.partition(" > ")
        return one, other

    def __str__(self) -> str:
        more = f" by {self.amount:g} s" if self.amount else ""
        return f"{self.at:.2f} s: {self.what} of {self.whom}{more} for {self.seconds:.2f} s"


@dataclass(frozen=True)
class Schedule:
    """A kind of job and what disturbs it."""

    seed: int
    kind: str
    faults: tuple[Fault, ...]

    @property
    def until(self) -> float:
        """Return when the last fault is over, in seconds after the job was submitted."""
        return max((one.at + one.seconds for one in self.faults), default=0.0)

    @property
    def gentle(self) -> bool:
        """Tell whether all of it together lasts less than the job's patience.

        Then nobody is left out: the job succeeds as if nothing had happened.
        """
        hard = any(fault.what in {CLOCK, CANCEL} for fault in self.faults)
        return not hard and sum(fault.seconds for fault in self.faults) < PATIENCE / 3

    def __str__(self) -> str:
        lines = [f"seed {self.seed}: a {self.kind} job", *map(str, self.faults)]
        return "\n  ".join(lines)


def _seconds(dice: random.Random) -> float:
    low, high = dice.choices(((0.05, 3.0), (3.0, 15.0), (15.0, 100.0)), (5, 3, 2))[0]
    return dice.uniform(low, high)


def _fault(dice: random.Random, within: float) -> Fault:
    whats = {
        KILL: 6, STOP: 3, DISK: 2, LOCK: 2, CUT: 4, HOLE: 3, HALF: 3, SLOW: 2, CLOCK: 1,
        CANCEL: 1,
    }  # fmt: skip
    what = dice.choices(list(whats), list(whats.values()))[0]
    at, seconds, amount = dice.uniform(0, within), _seconds(dice), 0.0
    if what in {CUT, HOLE, HALF, SLOW}:
        whom = " > ".join(dice.choice(LINKS))
    elif what in {DISK, LOCK, CANCEL}:
        whom = SERVER
    else:
        whom = dice.choice(MACHINES)
    if what == SLOW:
        amount = dice.uniform(0.05, 5.0)
    if what == CLOCK:
        amount = float(dice.choice(SHIFTS))
    return Fault(at, what, whom, 0.0 if what == CANCEL else seconds, amount)


def _mute(dice: random.Random, within: float) -> Fault:
    """Two or three rounds of a party in a row, all of whose answers are lost."""
    party = dice.choice(PARTIES)
    seconds = dice.uniform(1.2, 3.2) * PATIENCE
    return Fault(dice.uniform(0, within), MUTE, f"{party} > {SERVER}", seconds)


def draw_real(seed: int, postgres: bool) -> Schedule:
    """Return a seed's schedule on real processes, whose seconds are real ones."""
    dice = random.Random(f"chaos on processes {seed}")
    kind = KINDS[seed % len(KINDS)]
    faults = [_real(dice, kind.seconds, postgres) for _ in range(dice.choice((1, 2, 2, 3)))]
    return Schedule(seed, kind.name, tuple(sorted(faults, key=lambda one: one.at)))


def _real(dice: random.Random, within: float, postgres: bool) -> Fault:
    drawn = _fault(dice, within)
    seconds = dice.uniform(0.1, 3.0) if dice.random() < 0.85 else dice.uniform(3.0, 12.0)
    whom, what = drawn.whom, drawn.what
    if what == DISK:
        whom = dice.choice(("server", "bank-b"))
        what, whom = (LOCK, SERVER) if postgres and whom == SERVER else (what, whom)
    return replace(drawn, at=drawn.at / 2, seconds=drawn.seconds and seconds, whom=whom, what=what)


def draw(seed: int) -> Schedule:
    """Return the seed's schedule."""
    dice = random.Random(f"chaos {seed}")
    kind = kind_of(seed)
    faults = [_fault(dice, kind.seconds) for _ in range(dice.choice((1, 1, 2, 2, 3, 4)))]
    if dice.random() < 1 / 12:
        faults.append(_mute(dice, kind.seconds))
    return Schedule(seed, kind.name, tuple(sorted(faults, key=lambda one: one.at)))

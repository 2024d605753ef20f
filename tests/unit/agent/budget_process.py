"""A process for the kill tests: it reserves, releases and settles until it is killed.

It says `released JOB` only after the transaction with the round record, as an upload would begin.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from itertools import count
from pathlib import Path
from typing import Any

from peers.accounting import Analytic
from peers.agent_world import World

from secureflow.agent.record.records import JobRecord, RoundRecord
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.privacy import BudgetLedger, Mechanism
from secureflow.kit.errors import SecureFlowError

LIMIT = 12.0
PRIVATE: dict[str, Any] = {
    "plan": {"rounds": 2, "validation": 0.0},
    "privacy": {"delta": 1e-6, "noise_multiplier": 5.0, "rows": 1000},
}


def world(directory: Path) -> World:
    """Open the agent on its directory."""
    privacy = {"domain": "customers", "epsilon": LIMIT, "delta": 1e-5}
    return World(directory, privacy=privacy, spec_changes=PRIVATE, accounting=Analytic())


def opened(directory: Path) -> tuple[TrainingSpec, BudgetLedger]:
    """Return the budget as a new process finds it."""
    agent = world(directory)
    budgets = agent.assembly.context.budgets
    asyncio.run(Analytic().learn([Mechanism("gaussian", 5.0)]))
    policy = agent.settings.datasets[0].privacy
    assert policy
    with agent.store.transaction():
        return agent.spec, budgets._ledger(policy)


async def work(agent: World, name: str) -> None:
    """Run job after job; every third ends early, every fifth is given back."""
    budgets, store = agent.assembly.context.budgets, agent.store
    random_ = random.Random(name)
    for number in count():
        job = JobRecord(f"job_{name}x{number}", agent.digest, dump(agent.spec), b"", 0, 0)
        try:
            await budgets.reserve(job, agent.spec)
        except SecureFlowError as error:
            assert error.code == "budget_exceeded"  # noqa: PT017  no test, a process
            say(f"full {job.job}")
            continue
        say(f"reserved {job.job}")
        if random_.random() < 0.8:
            with store.transaction():
                store.add_round(RoundRecord(job.job, 1, "train", "m", "c", 0, 0.0, 0, ""))
                budgets.spend(job)
            say(f"released {job.job}")
        if random_.random() < 0.5:
            with store.transaction():
                budgets.settle(job)


def say(line: str) -> None:
    """Tell the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def live(directory: Path) -> None:
    """Fork a process for each name on stdin, and say when it has ended: loading takes a second."""
    for name in sys.stdin:
        child = os.fork()
        if child == 0:
            say(f"{os.getpid()}")
            asyncio.run(work(world(directory), name.strip()))
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    live(Path(sys.argv[1]))

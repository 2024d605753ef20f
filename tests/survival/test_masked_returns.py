"""A party that is away when a masked job sets its keys up, over the real links.

The course is driven step by step, so that the party is gone exactly then and back exactly later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from peers.links import until
from peers.operator import Operator, Run, operating

from secureflow.demo.platform import Platform
from secureflow.engines.course.course import Course
from tests.survival.world import platform

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("masked-returns"),
    pytest.mark.timeout(240),
]
PATIENCE = 8.0  # seconds without a sign of life: far more than a busy machine needs


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("returns") / "p"
    with platform(directory, 4, data=False, mortal=False) as built:
        yield built


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(place: Platform) -> AsyncIterator[Operator]:
    async with operating(place) as centre:
        yield centre


def course(run: Run) -> Course[Any]:
    """Return what the script knows."""
    found: Course[Any] = run._script.gi_frame.f_locals["course"]
    return found


def roster(run: Run) -> tuple[str, ...]:
    """Return who is in the open round."""
    return course(run).conductors["train"].roster


@pytest.mark.parametrize("protection", ["secagg", "sealed+secagg"])
async def test_a_party_away_at_the_set_up_comes_back(operator: Operator, protection: str) -> None:
    limits = {"patience_seconds": PATIENCE}
    run = Run(operator, operator.spec(protection=protection, limits=limits))
    gone = operator.platform.processes["bank-d"]
    await run.until("setup")
    gone.kill()
    await until(lambda: not operator.link.status("bank-d").connected)
    await run.until("answer", round=1)
    others = ("bank-a", "bank-b", "bank-c")
    assert roster(run) == others
    # It is asked again each round, and its absence is known at once.
    now = asyncio.get_running_loop().time
    began = now()
    await run.until("answer", round=2)
    assert now() - began < PATIENCE
    assert roster(run) == others
    operator.platform.start("bank-d", wait=False)
    await operator.standing()
    await run.until("answer", round=3)
    assert roster(run) == (*others, "bank-d")
    await run.until("finish")
    assert course(run).rounds["bank-d"] == 3
    dropouts = course(run).dropouts
    assert {(one["party"], one["code"]) for one in dropouts} == {("bank-d", "party_silent")}
    assert {one["round"] for one in dropouts} == {0, 1, 2}
    await run.give_up()

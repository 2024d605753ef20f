"""An engine over the channels of a job: TLS from agent to agent, many streams in each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from peers.channels import Carrier, Pair
from peers.engines import Table, job_of
from peers.toyengine import ToyEngine, numbers

from secureflow.application.ports.mpcengine import EngineDeadlines, EngineResult
from secureflow.kit.errors import SecureFlowError
from tests.contract.mpcengines.cases import Bench, bench_of, soon

BANKS = ("bank-a", "bank-b")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of("toy") as made:
        yield made


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    carrier = Carrier()
    made = Pair(*(carrier.of(bank) for bank in BANKS))
    yield made
    await made.stop()


async def table(bench: Bench, pair: Pair, act: str = "pass") -> Table:
    engines = {
        "bank-a": ToyEngine(bench.runs, bench.folder),
        "bank-b": ToyEngine(bench.runs, bench.folder, act),
    }
    job = job_of(BANKS, receivers=("bank-a",))
    made = Table(engines, bench.folder, job, numbers(bench.folder, {"bank-a": 1, "bank-b": 2}))
    a, b = await pair.open()
    made.channels = {"bank-a": {"bank-b": a}, "bank-b": {"bank-a": b}}  # type: ignore[dict-item]
    return made


async def test_it_computes(bench: Bench, pair: Pair) -> None:
    made = await table(bench, pair)
    found = await made.run()
    assert isinstance(found["bank-a"], EngineResult), found
    assert found["bank-a"].outputs["sum.txt"].read_text() == "3"
    assert isinstance(found["bank-b"], EngineResult)
    assert made.channels["bank-a"]["bank-b"].sent > 0


async def test_a_peer_that_dies_is_named_over_its_channel(bench: Bench, pair: Pair) -> None:
    made = await table(bench, pair, "import os; os._exit(7)")
    found = await made.run()
    error = found["bank-a"]
    assert isinstance(error, SecureFlowError)
    assert (error.code, error.details["party"]) == ("peer_broken", "bank-b")


async def test_a_peer_that_closes_its_channel_is_named(bench: Bench, pair: Pair) -> None:
    made = await table(bench, pair, "import time; time.sleep(1000)")
    tasks = {one: made.start(one) for one in BANKS}
    await soon(lambda: any(phase == "inputs" for phase, _ in made.told["bank-b"]))
    tasks["bank-b"].cancel()
    await asyncio.gather(tasks["bank-b"], return_exceptions=True)
    await made.channels["bank-b"]["bank-a"].close()
    with pytest.raises(SecureFlowError) as failed:
        await tasks["bank-a"]
    assert (failed.value.code, failed.value.details["party"]) == ("peer_broken", "bank-b")


async def test_a_peer_whose_engine_never_comes_is_absent(bench: Bench, pair: Pair) -> None:
    made = await table(bench, pair)
    deadlines = EngineDeadlines(1.0, 120.0, 240.0)
    with pytest.raises(SecureFlowError) as failed:
        await made.engines["bank-a"].run(
            replace(made.of("bank-a"), deadlines=deadlines), lambda *_: None
        )
    assert (failed.value.code, failed.value.details["party"]) == ("peer_absent", "bank-b")

"""With three parties a peer speaks for itself alone: over real engines, and in the forwarder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from peers.engine_environments import demand_engine
from peers.engines import MemoryConnection, Table, job_of
from peers.mpycs import demand_mpyc
from peers.toyengine import ToyEngine

from secureflow.adapters.mpcengines import mpyc_speech
from secureflow.adapters.mpcengines.mpyc_engine import MpycEngine
from secureflow.adapters.mpcengines.plan import Plan
from secureflow.adapters.mpcengines.speaking import ImpostorError, Stream
from secureflow.adapters.mpcengines.spu import SpuEngine, _with_settings
from secureflow.adapters.mpcengines.spu_values import CHUNK
from secureflow.application.ports.mpcengine import EngineCode, EngineLimits, MpcEngine
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese
from tests.contract.mpcengines.cases import PARTIES, Bench, bench_of
from tests.contract.mpcengines.test_spu_engine import Found
from tests.contract.mpcengines.test_spu_speech import chunk, framed, message, part

SECRET = """
from mpyc.runtime import mpc

field = mpc.SecFld(2147483647)
number = int(open("inputs/vote").read()) if mpc.pid == 2 else None
mpc.run(mpc.start())
print(mpc.run(mpc.output(mpc.input(field(number), senders=2))))
mpc.run(mpc.shutdown())
"""


@pytest.fixture
def bench() -> Iterator[Bench]:
    with bench_of("toy") as made:
        yield made


def _mpyc(bench: Bench) -> Table:
    """Return a table at which the third party alone has an engine, and a secret."""
    code = bench.folder / "code"
    code.mkdir()
    (code / "program.py").write_text(SECRET)
    (bench.folder / "c.txt").write_text("123456789\n")
    job = job_of(PARTIES, receivers=("a",), program="bundle", protocol="shamir",
                 code=EngineCode(code, "program.py", 1 << 20))  # fmt: skip
    engine = MpycEngine(bench.runs, demand_mpyc())
    return Table({"c": engine}, bench.folder, job, {"c": {"vote": bench.folder / "c.txt"}})


def _spu(bench: Bench) -> Table:
    path = bench.folder / "c.npy"
    np.save(path, np.array([9, 0, 3]))
    engine = SpuEngine(bench.runs, Found(demand_engine("spu")))
    digest = engine.describe().programs["ranking"].digest
    job = job_of(PARTIES, program="ranking", protocol="ABY3", digest=digest,
                 limits=EngineLimits(4 << 30, 1 << 30))  # fmt: skip
    return Table({"c": engine}, bench.folder, job, {"c": {"values": path}})


class Peers:
    """The agents of the other two parties, who say what agents say, and have no engine."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.run = table.start("c")
        self._agents = [asyncio.create_task(self._agent(one)) for one in "ab"]
        self._agents.append(asyncio.create_task(self._takes_the_blame()))

    async def _agent(self, party: str) -> None:
        engine: MpcEngine = self._table.engines["c"]
        channel = self._table.channels[party]["c"]
        job = self._table.of("c")
        terms = (_with_settings(job) if job.protocol == "ABY3" else job).agreement(
            engine.describe()
        )
        await channel.send(canonical_bytes({"say": "hello", "agreement": terms}))
        while True:
            await asyncio.sleep(2)
            await channel.send(b'{"say":"beat"}')

    async def _takes_the_blame(self) -> None:
        """One says that a failure is surely its own, which it cannot be."""
        channel = self._table.channels["a"]["c"]
        while b"failed" not in (await channel.receive() or b"failed"):
            pass
        await channel.send(b'{"say":"failed","sure":true,"phase":"compute"}')

    async def opened(self, party: str, data: bytes) -> MemoryConnection:
        stream = await self._table.channels[party]["c"].open()
        await stream.write(data)
        return stream

    async def ended(self, streams: list[MemoryConnection]) -> SecureFlowError:
        """Return why the run ended; nothing came back before that."""
        reading = [asyncio.create_task(one.read(4096)) for one in streams]
        try:
            await asyncio.wait([self.run, *reading], return_when=asyncio.FIRST_COMPLETED)
            for one in reading:
                if one.done() and one.exception() is None:
                    assert not one.result(), "the engine took it for another party, and answered"
            with pytest.raises(SecureFlowError) as failed:
                await self.run
        finally:
            for one in reading:
                one.cancel()
            await asyncio.gather(*reading, return_exceptions=True)
        return failed.value

    async def stop(self) -> None:
        for one in (self.run, *self._agents):
            one.cancel()
        await asyncio.gather(self.run, *self._agents, return_exceptions=True)


@contextlib.asynccontextmanager
async def beside(table: Table) -> AsyncIterator[Peers]:
    made = Peers(table)
    try:
        yield made
    finally:
        await made.stop()


def _names(error: SecureFlowError, party: str, reason: str) -> None:
    assert (error.code, error.details["party"]) == ("peer_broken", party), error
    assert reason in error.message
    assert chinese(error.message)


async def test_a_party_does_not_get_what_mpyc_would_send_another(bench: Bench) -> None:
    """It would put the shares of two together: the secret of the third."""
    async with beside(_mpyc(bench)) as peers:
        streams = [await peers.opened("b", pid.to_bytes(2, "little") + bytes(16)) for pid in (1, 0)]
        _names(await peers.ended(streams[1:]), "b", "more connections")


async def test_a_party_does_not_say_the_number_of_another_to_mpyc(bench: Bench) -> None:
    async with beside(_mpyc(bench)) as peers:
        streams = [await peers.opened("b", b"\0\0" + bytes(16))]
        _names(await peers.ended(streams), "b", "another party")


async def test_a_party_does_not_send_in_the_name_of_another_over_spu(bench: Bench) -> None:
    """What it says as itself is answered: so would be what it says as another."""
    async with beside(_spu(bench)) as peers:
        own = await peers.opened("b", message(1, b"", b"connect_1\x01\x020"))
        reading = asyncio.ensure_future(own.read(4096))
        await asyncio.wait({reading, peers.run}, return_when=asyncio.FIRST_COMPLETED)
        assert not peers.run.done(), peers.run.exception()
        assert (await reading).startswith(b"PRPC")
        streams = [await peers.opened("b", message(0, b"", b"connect_0\x01\x020"))]
        _names(await peers.ended(streams), "b", "another party")


async def test_a_party_does_not_write_beyond_a_value_of_spu(bench: Bench) -> None:
    """Its process would end, or do what the bytes say, with its party's shares."""
    async with beside(_spu(bench)) as peers:
        own = await peers.opened("b", message(1, b"", b"connect_1\x01\x020"))
        assert (await own.read(4096)).startswith(b"PRPC")
        await own.write(chunk(1, bytes(CHUNK), CHUNK + 9, 0))
        assert (await own.read(4096)).startswith(b"PRPC")
        await own.write(chunk(1, bytes(CHUNK), 1 << 30, 1 << 29))
        _names(await peers.ended([]), "b", "no engine")


@pytest.mark.parametrize("forged", [True, False])
async def test_a_party_does_not_answer_for_another_over_spu(bench: Bench, forged: bool) -> None:
    """And whom an answer ends is not sure that this began there: it waits for who is."""
    table = _spu(bench)
    async with beside(table) as peers:
        for place, party in enumerate("ab"):
            await peers.opened(party, message(place, b"", b"connect_%d\x01\x020" % place))
        streams: dict[str, MemoryConnection] = {}
        by = {"a": "b" if forged else "a", "b": "b"}
        answering = [asyncio.create_task(_answered(table, streams, one, by[one])) for one in "ab"]
        try:
            error = await peers.ended([])
        finally:
            for task in answering:
                task.cancel()
            await asyncio.gather(*answering, return_exceptions=True)
        if forged:
            _names(error, "b", "another party")
        else:  # who says that it is surely its own fault
            _names(error, "a", "its engine failed")


async def _answered(
    table: Table, streams: dict[str, MemoryConnection], party: str, by: str
) -> None:
    """Answer what a party is asked: that it is there, and then with an error of a party."""
    streams[party] = asked = await table.channels[party]["c"].accept()
    held = b""
    while data := await asked.read(1 << 16):
        held += data
        while len(held) >= 12 and len(held) >= (end := 12 + int.from_bytes(held[4:8], "big")):
            meta = held[12 : 12 + int.from_bytes(held[8:12], "big")]
            wrong = b"connect_" not in held[:end]
            told = part(0x12, b"\x08\xf6\x07" if wrong else b"\x08\x00")
            call = meta[meta.rindex(b"\x18\x00\x20") :]
            answer = framed(told + call, b"" if wrong else b"\x0a\x00")
            await streams[by if wrong else party].write(answer)
            held = held[end:]


async def test_three_parties_have_somebody_who_listens(bench: Bench, tmp_path: Path) -> None:
    """An adapter cannot forget it."""
    engine: Any = ToyEngine(bench.runs, tmp_path)
    run = engine._runs.run

    async def forgetful(plan: Plan, *more: Any) -> Any:
        return await run(replace(plan, speech=None), *more)

    engine._runs = SimpleNamespace(run=forgetful, problem=lambda _: None)
    table = Table({"a": engine}, tmp_path, job_of(PARTIES))
    with pytest.raises(ValueError, match="toy"):
        await table.start("a")


def test_mpyc_says_who_it_is_in_two_bytes() -> None:
    listener = mpyc_speech.speech(Stream(2, 1, True))
    assert listener.passed(b"\1") == b""
    assert listener.passed(b"\0keys") == b"\1\0keys"
    assert listener.passed(b"more") == b"more"
    for said in (b"\0", b"\0\0", b"\1\1", b"\2\0"):
        with pytest.raises(ImpostorError, match="another party"):
            mpyc_speech.speech(Stream(2, 1, True)).passed(said)
    with pytest.raises(ImpostorError, match="opens itself"):
        mpyc_speech.speech(Stream(1, 2, True))
    assert mpyc_speech.speech(Stream(1, 2, False)).passed(b"\0\0") == b"\0\0"

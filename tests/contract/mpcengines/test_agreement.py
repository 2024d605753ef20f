"""What agents say to one another around a run: who differs, goes, fails, and where it began."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from peers.deadlines import Deadlines
from peers.engines import channels_of, job_of

from secureflow.adapters.mpcengines import agreement
from secureflow.adapters.mpcengines.agreement import TERMS, Peers
from secureflow.application.ports.mpcengine import EngineDeadlines, EngineInfo
from secureflow.kit.errors import SecureFlowError
from tests.contract.mpcengines.cases import soon

INFO = EngineInfo("toy", "1", {}, {}, (2, 16))
NAMES = ("a", "b", "c")
RAISED = SecureFlowError("engine_failed", "It raised an exception.")


def parties(*names: str, **more: Any) -> tuple[dict[str, Peers], dict[str, Any]]:
    channels = channels_of(NAMES)
    made = {
        one: Peers(replace(job_of(NAMES), party=one, channels=channels[one], **more), INFO)
        for one in names or NAMES
    }
    return made, channels


async def error_of(work: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as failed:
        await work
    return failed.value


async def test_all_agree_and_are_done() -> None:
    made, _ = parties()
    await asyncio.gather(*(one.agree(120.0) for one in made.values()))
    for one in made.values():
        await one.tell({"say": "beat", "phase": "compute"})
        await one.tell({"say": "done"})
    await asyncio.gather(
        *(made[one].watch(other) for one in NAMES for other in NAMES if one != other)
    )


@pytest.mark.parametrize("field", sorted(TERMS))
async def test_each_term_is_compared(field: str) -> None:
    made, _ = parties()
    made["b"]._terms = {**made["b"]._terms, field: "SECRET"}
    error = await error_of(asyncio.gather(*(one.agree(120.0) for one in made.values())))
    assert error.code == "program_mismatch"
    assert TERMS[field] in error.message
    assert "SECRET" not in str(error)


def test_the_terms_are_those_of_a_job() -> None:
    assert set(job_of(NAMES).agreement(INFO)) == set(TERMS)


@pytest.mark.parametrize(
    "said",
    [b"", b"{", b"[]", b'{"say":"hi"}', b'{"say":"hello"}', b"x" * (2 << 20), b'{"say":["done"]}'],
)
async def test_who_says_anything_else_is_named(said: bytes) -> None:
    made, channels = parties("a")
    for other in ("b", "c"):
        await channels[other]["a"].send(said)
    error = await error_of(made["a"].agree(120.0))
    assert error.code in {"peer_broken", "program_mismatch"}
    assert error.details["party"] in {"b", "c"}
    await channels["b"]["a"].send(said)
    error = await error_of(made["a"].watch("b"))
    assert (error.code, error.details["party"]) == ("peer_broken", "b")


async def test_who_closes_or_breaks_is_named() -> None:
    made, channels = parties("a")
    await channels["b"]["a"].close()
    assert (await error_of(made["a"].watch("b"))).details["party"] == "b"
    channels["c"]["a"].cut()
    assert (await error_of(made["a"].watch("c"))).details["party"] == "c"
    assert (await error_of(made["a"].tell({"say": "beat"}))).details["party"] == "c"


async def test_silence_is_noticed_and_a_beat_is_a_sign(deadlines: Deadlines) -> None:
    """Each message gives a peer the whole time again."""
    made, channels = parties("a", deadlines=EngineDeadlines(120.0, 4321.0, 120.0))
    watching = asyncio.ensure_future(made["a"].watch("b"))
    for number in range(8):
        await soon(lambda: len(deadlines.of(4321.0)) > number)  # noqa: B023
        await channels["b"]["a"].send(b'{"say":"beat"}')
    await soon(lambda: len(deadlines.of(4321.0)) == 9)
    assert not watching.done()
    deadlines.expire(4321.0)
    error = await error_of(watching)
    assert error.code == "peer_broken"
    assert "nothing came from it" in error.message


async def test_a_peer_may_beat_less_often_than_an_engine_must_move(deadlines: Deadlines) -> None:
    made, _ = parties("a", deadlines=EngineDeadlines(120.0, 0.01, 120.0))
    watching = asyncio.ensure_future(made["a"].watch("b"))
    await soon(lambda: deadlines.of(3 * agreement.BEAT))
    assert not deadlines.of(0.01)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)


async def test_a_peer_works_as_long_as_its_agent_says_so() -> None:
    made, channels = parties("a")
    peers, seen = made["a"], list[list[str]]()
    watching = asyncio.ensure_future(peers.watch("b"))
    for told in (b'{"say":"beat"}', b'{"say":"beat","works":true}', b'{"say":"beat","works":false}',
                 b'{"say":"beat","works":true}', b'{"say":"beat","works":1}',
                 b'{"say":"beat","works":true}', b'{"say":"done"}'):  # fmt: skip
        await channels["b"]["a"].send(told)
        await soon(channels["a"]["b"]._messages.empty)
        for _ in range(9):  # until it is read
            await asyncio.sleep(0)
        seen.append(peers.working)
    await watching
    assert seen == [[], ["b"], [], ["b"], [], ["b"], []]
    assert peers.waiting == ["c"]


async def test_beats_tell_whether_the_engine_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "BEAT", 0.01)
    made, channels = parties("a")
    works = iter([True, False])
    beating = asyncio.ensure_future(made["a"].beat(lambda _: next(works, False)))
    told = [json.loads(await channels["b"]["a"].receive() or b"") for _ in range(2)]
    assert [one["works"] for one in told] == [True, False]
    beating.cancel()
    await asyncio.gather(beating, return_exceptions=True)


@pytest.mark.parametrize("phase", ["compute", "SECRET PHASE", "secret", 5, None, ["compute"]])
async def test_a_failure_tells_its_phase_if_it_is_one(phase: Any) -> None:
    made, channels = parties("a")
    message = json.dumps({"say": "failed", "sure": True, "phase": phase}).encode()
    await channels["b"]["a"].send(message)
    error = await error_of(made["a"].watch("b"))
    assert error.details["phase"] == (phase if phase == "compute" else "connect")
    assert "secret" not in str(error).lower()


@pytest.mark.parametrize(("sure", "named"), [(True, "c"), (False, None)])
async def test_the_party_where_it_began_is_found(sure: bool, named: str | None) -> None:
    """One that is not sure of its failure waits a moment for one that is."""
    made, _ = parties()
    await asyncio.gather(*(one.agree(120.0) for one in made.values()))
    watching = {one: asyncio.create_task(made["a"].watch(one)) for one in ("b", "c")}
    await made["b"].fail(RAISED, sure=False)
    await made["c"].fail(RAISED, sure=sure)
    found = await made["a"].culprit(RAISED, watching)
    assert found.details.get("party") == named
    await asyncio.gather(*watching.values(), return_exceptions=True)


@pytest.mark.parametrize("first", ["b", "c"])
async def test_who_ends_only_after_another_is_not_named(first: str) -> None:
    """Whichever is heard first, and whichever the run looks at first."""
    made, _ = parties()
    await asyncio.gather(*(one.agree(120.0) for one in made.values()))
    watching = {one: asyncio.create_task(made["a"].watch(one)) for one in ("b", "c")}
    why = {"b": RAISED, "c": SecureFlowError("peer_broken", "b ended.")}
    for one in (first, *(why.keys() - {first})):
        await made[one].fail(why[one], sure=False)
    await asyncio.wait(watching.values())
    for task in watching.values():
        met = task.exception()
        assert isinstance(met, SecureFlowError)
        found = await made["a"].culprit(met, watching)
        assert (found.code, found.details["party"]) == ("peer_broken", "b")


async def test_a_failure_is_told_although_one_peer_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(agreement, "GRACE", 0.3)
    made, channels = parties("a")

    async def full(_: bytes) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(channels["a"]["b"], "send", full)
    await made["a"].fail(RAISED, sure=True)
    assert b"failed" in (await channels["c"]["a"].receive() or b"")

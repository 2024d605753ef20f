"""An agent in an intersection: one entry an attempt, one result a job, whenever it is killed."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peers.agent_world import ALLOW, JOB, ME
from peers.engines import MemoryChannel
from peers.psi_world import PEER, PsiAgentWorld, ToyEngine

from secureflow.agent.owner.results import result_file
from secureflow.agent.verbs.peers import LEAST_BYTES, USUAL
from secureflow.application.ports.mpcengine import EngineLimits
from secureflow.domain.specs.psi import MATCHED
from secureflow.engines.ledger.leaves import commitment, leaf_from_json
from secureflow.engines.run.attempts import ATTEMPT
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese


class Died(BaseException):
    """The process is gone."""


SENDER: dict[str, Any] = {"receiver": PEER}


async def ready(tmp_path: Path, **changes: Any) -> PsiAgentWorld:
    world = PsiAgentWorld(tmp_path / "agent", **changes)
    await world.consented()
    return world


async def refused(asked: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await asked
    return caught.value


def leaves(world: PsiAgentWorld, kind: str) -> list[Any]:
    return [one for one in world.store.leaves(JOB) if one.kind == kind]


async def test_an_entry_commits_to_the_keys_and_to_every_statement(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    reply = await world.offer()
    assert set(reply["statements"]) == {PEER}
    document = reply["document"]
    assert (document["attempt"], document["program"]) == (1, world.spec.program)
    assert document["count"] == 3
    signed = leaf_from_json(reply["leaf"])
    assert signed.leaf.commitment == commitment(bytes.fromhex(reply["salt"]), document)
    (noted,) = [one for one in world.store.actions(job=JOB) if one["action"] == "psi.keys"]
    assert noted["facts"]["missing"] == {"rows": 1, "first": [3]}
    assert noted["facts"]["repeated"] == {"rows": 1, "first": [5]}
    assert "done" not in reply


async def test_a_repeated_entry_is_answered_from_the_record(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    first = await world.offer()
    again = await world.offer()
    assert {k: v for k, v in again.items() if k != "leaves"} == {
        k: v for k, v in first.items() if k != "leaves"
    }
    world.reopen()
    after = await world.offer()
    assert (after["statements"], after["leaf"]) == (first["statements"], first["leaf"])
    assert len(leaves(world, ATTEMPT)) == 1


async def test_a_result_is_written_here_and_nothing_of_it_is_told(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    reply = await world.run()
    assert reply["figures"] == {"keys": 3, "matched": 2}
    assert reply["channels"] == {PEER: {"sent": 0, "received": 0}}
    assert pq.read_table(world.file).to_pylist() == [
        {"row": 1, "phone": "13800138000"}, {"row": 4, "phone": "+86 13700137000"},
    ]  # fmt: skip
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    (kept,) = leaves(world, KEPT)
    assert leaf_from_json(reply["leaf"]).hash() == kept.hash
    assert "document" not in reply
    document = kept.bundle["document"]
    assert (document["rows"], document["matched"], document["attempt"]) == (2, 2, 1)
    assert document["peers"][PEER]["inputs"] == "cd" * 32
    assert "13800138000" not in json.dumps([reply, kept.bundle])
    (job,) = world.engine.jobs
    assert (job.receivers, job.parties, job.protocol) == ((ME,), (ME, PEER), "RR22")
    assert job.limits == EngineLimits(memory=96 << 20, scratch=7 << 20)  # the owner's


async def test_what_an_attempt_keeps_is_there_in_the_next_and_goes_with_the_job(
    tmp_path: Path,
) -> None:
    world = await ready(tmp_path)
    for attempt, inputs in ((1, "cd"), (2, "cd"), (3, "ef")):
        await world.offer(attempt)
        world.engine.fails = SecureFlowError("engine_failed", "it ended")
        assert (await refused(world.run(attempt, inputs=inputs * 32))).code == "engine_failed"
        world.reopen()
        kept = world.engine.jobs[-1].kept
        assert kept is not None
        there = [one.name for one in kept.iterdir()]
        assert there == (["bucket"] if attempt == 2 else []), "only of the peer's same list"
        (kept / "bucket").write_bytes(b"done")
    assert not world.engine.jobs[0].kept.exists()  # type: ignore[union-attr]
    await world.finished("failed")
    assert not list((world.directory / "models").glob(f"{JOB}*"))


async def test_a_result_counts_whatever_becomes_of_the_channels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await ready(tmp_path)
    await world.offer()
    at_close = []

    async def close(_: MemoryChannel) -> None:
        at_close.append(len(leaves(world, KEPT)))
        raise SecureFlowError("peer_broken", "it did not answer")

    monkeypatch.setattr(MemoryChannel, "close", close)
    reply = await world.run()
    assert reply["figures"] == {"keys": 3, "matched": 2}
    assert at_close == [1]
    assert world.links_to.forgotten == [1]


async def test_a_repeated_run_is_answered_from_the_record(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    first = await world.run()
    world.file.unlink()  # whatever became of it
    world.reopen()
    assert await world.run() == first
    assert len(world.engine.jobs) == 1


async def test_an_attempt_is_lost_with_the_process_and_the_next_has_the_same_keys(
    tmp_path: Path,
) -> None:
    world = await ready(tmp_path)
    first = await world.offer()
    world.reopen()
    error = await refused(world.run())
    assert error.code == "attempt_lost"
    assert chinese(error.message)
    second = await world.offer(2)
    assert second["document"]["inputs"] == first["document"]["inputs"]
    assert second["statements"] != first["statements"]
    assert (await world.run(2))["attempt"] == 2


async def test_one_that_was_killed_before_it_committed_has_no_result(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    keep = world.assembly.context.witness.leaf

    def die(kind: str, *given: Any) -> Any:
        if kind == KEPT:
            raise Died
        return keep(kind, *given)

    world.assembly.context.witness.leaf = die  # type: ignore[method-assign]
    with pytest.raises(Died):
        await world.run()
    assert world.file.exists()
    world.reopen()
    assert leaves(world, KEPT) == []
    await world.offer(2)
    await world.run(2)
    assert len(leaves(world, KEPT)) == 1
    assert pq.read_table(world.file).num_rows == 2


async def test_a_file_that_nothing_commits_to_goes_with_the_job(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.file.parent.mkdir()
    world.file.write_bytes(b"half of it")
    await world.finished("failed")
    assert not world.file.exists()
    assert not list((world.directory / "models").glob(f"{JOB}*"))
    assert world.links_to.forgotten[-1] is None


async def test_channels_carry_what_the_spec_says_or_the_estimate_lets_expect(
    tmp_path: Path,
) -> None:
    """The limit is of all attempts: what one carried is not forgotten when the next begins."""
    for name, changes, most in (
        ("named", {"limits": {"peer_megabytes": 5}}, 5 << 20),
        ("small", {}, 3 * LEAST_BYTES),
        ("large", {"attempts": 2, "sides": None}, 2 * USUAL * 67_100_000),
    ):
        if "sides" in changes:
            changes["sides"] = [
                {"party": one, "key": ["phone"], "most_rows": 2_000_000} for one in (ME, PEER)
            ]
        world = PsiAgentWorld(tmp_path / name, **changes)
        await world.consented()
        await world.offer()
        world.links_to.absent = True
        await refused(world.run())
        assert world.links_to.bytes == [most]
        await world.offer(2)
        assert world.links_to.forgotten == []
        await world.finished("failed")
        assert world.links_to.forgotten == [None]


async def test_a_result_outlives_its_job_and_is_made_once(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    first = await world.run()
    before = world.file.read_bytes()
    second = await world.offer(2)
    assert second["done"]["figures"] == first["figures"]
    world.engine.theirs = ()  # the peer has changed its list meanwhile
    again = await world.run(2)
    assert (again["figures"], again["leaf"]) == (first["figures"], first["leaf"])
    assert world.file.read_bytes() == before
    assert len(leaves(world, KEPT)) == 1
    await world.finished()
    assert world.file.read_bytes() == before


async def test_who_does_not_receive_has_no_result_and_counts_the_ids_that_are_tested(
    tmp_path: Path,
) -> None:
    world = await ready(tmp_path, **SENDER)
    dataset = world.settings.datasets[0]
    probing = world.assembly.context.probing
    await world.offer()
    reply = await world.run(count=40)
    assert reply["figures"] == {"keys": 3}
    assert leaf_from_json(reply["leaf"]).leaf.kind == ATTEMPT
    assert not world.file.exists()
    assert world.engine.jobs[0].receivers == (PEER,)
    assert probing.left(dataset) == 960


async def test_ids_beyond_the_owners_limit_are_not_tested(tmp_path: Path) -> None:
    world = await ready(tmp_path, **SENDER)
    world.limit = 10
    world.reopen()
    await world.offer()
    error = await refused(world.run(count=40))
    assert error.code == "probing_exceeded"
    assert world.engine.jobs == []
    assert PEER in world.links_to.near, "the peer would wait for it until it is absent"
    assert world.links_to.forgotten == [1], "and learns at once that nothing follows"


async def test_a_peer_that_does_not_come_has_tested_nothing(tmp_path: Path) -> None:
    world = await ready(tmp_path, **SENDER)
    world.links_to.absent = True
    context = world.assembly.context
    probing, dataset = context.probing, context.settings.datasets[0]
    before = probing.left(dataset)
    await world.offer()
    assert (await refused(world.run(count=40))).code == "peer_absent"
    assert probing.left(dataset) == before


async def test_a_peer_that_brings_more_than_the_spec_lets_it_is_refused(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    error = await refused(world.run(count=101))
    assert (error.code, error.details["party"]) == ("keys_too_many", PEER)
    assert chinese(error.message)
    assert world.engine.jobs == []


@pytest.mark.parametrize("fault", ["document", "statement", "key", "program", "nothing"])
async def test_an_entry_that_is_not_the_peers_own_is_refused(tmp_path: Path, fault: str) -> None:
    world = await ready(tmp_path)
    await world.offer()
    entry = world.peers_entry(**({"program": "ab" * 32} if fault == "program" else {}))
    if fault == "document":
        entry["offers"][PEER]["document"] |= {"count": 1}
    if fault == "statement":
        entry["statements"][PEER] = {"body": {}, "signature": "of the centre"}
    if fault == "key":
        entry["offers"][PEER]["leaf"]["key"] = world.keys[ME].public
    if fault == "nothing":
        entry["offers"] = {}
    error = await refused(world.ask("peer_run", world.body(attempt=1, **entry)))
    assert error.code == ("peer_absent" if fault == "nothing" else "peer_offer_forged")
    assert error.details["party"] == PEER
    assert chinese(error.message)
    assert world.engine.jobs == []


async def test_what_was_not_approved_is_not_entered(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    error = await refused(world.offer(program="ab" * 32))
    assert (error.code, "another program" in error.message) == ("invalid_request", True)
    assert (await refused(world.offer(4))).code == "peer_offer_stale"  # three attempts at most
    await world.offer(2)
    assert (await refused(world.offer(1))).code == "peer_offer_stale"
    assert (await refused(world.run(1))).code == "peer_offer_stale"


async def test_a_failure_of_the_engine_ends_the_attempt_and_its_channels(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    assert (await refused(world.run())).code == "engine_failed"
    assert world.links_to.forgotten == [1]
    assert (await refused(world.run())).code == "attempt_lost"
    world.engine.fails = None
    await world.offer(2)
    assert (await world.run(2))["figures"]["matched"] == 2


async def test_a_further_attempt_ends_a_run_that_nobody_waits_for(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.engine.hold = asyncio.Event()
    running = asyncio.ensure_future(world.run())
    while not world.engine.jobs:  # noqa: ASYNC110  it runs in this loop
        await asyncio.sleep(0)
    await world.offer(2)
    assert (await refused(running)).code == "attempt_lost"
    world.engine.hold = None
    assert (await world.run(2))["attempt"] == 2


async def test_the_end_of_a_job_ends_its_run(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.engine.hold = asyncio.Event()
    running = asyncio.ensure_future(world.run())
    while not world.engine.jobs:  # noqa: ASYNC110  it runs in this loop
        await asyncio.sleep(0)
    await world.finished("cancelled")
    assert (await refused(running)).code == "attempt_lost"
    assert not world.file.exists()


async def test_too_small_an_intersection_is_not_shown(tmp_path: Path) -> None:
    world = await ready(tmp_path, minimum=3)
    await world.offer()
    error = await refused(world.run())
    assert error.code == "intersection_too_small"
    assert "2" not in error.message
    assert chinese(error.message)
    assert not world.file.exists()
    assert leaves(world, KEPT) == []


@pytest.mark.parametrize("minimum", [2, 3])
async def test_who_does_not_receive_stops_where_the_size_comes_first(
    tmp_path: Path, minimum: int
) -> None:
    world = await ready(tmp_path, minimum=minimum, size_first=True, **SENDER)
    small = world.more_ports["engines"].ready("openmined")
    await world.offer()
    if minimum == 2:
        await world.run()
        assert [len(small.jobs), len(world.engine.jobs)] == [1, 1]
        assert small.jobs[0].receivers == (ME,)
        assert small.jobs[0].protocol == "ECDH-SIZE"
        return
    assert (await refused(world.run())).code == "intersection_too_small"
    assert world.engine.jobs == []


async def test_a_size_is_told_without_a_file(tmp_path: Path) -> None:
    engine = {"name": "openmined", "version": "2.0.6"}
    world = await ready(tmp_path, learns="size", protocol="openmined", engine=engine)
    await world.offer()
    reply = await world.run()
    assert reply["figures"] == {"keys": 3, "matched": 2}
    assert not world.file.exists()
    (kept,) = leaves(world, KEPT)
    assert kept.bundle["document"]["matched"] == 2


async def test_how_many_match_stays_here_where_the_spec_says_so(tmp_path: Path) -> None:
    world = await ready(tmp_path, tells_size=False)
    await world.offer()
    assert (await world.run())["figures"] == {"keys": 3}


@pytest.mark.parametrize("places", [[7], [-1], [0, 0]])
async def test_what_an_engine_says_is_looked_at(tmp_path: Path, places: list[int]) -> None:
    world = await ready(tmp_path)
    world.engine.places = places
    await world.offer()
    assert (await refused(world.run())).code == "engine_output_refused"
    assert not world.file.exists()


BOTH: dict[str, Any] = {
    "learns": "all",
    "sides": [
        {"party": ME, "key": ["phone"], "granted": ["segment"], "most_rows": 100},
        {"party": PEER, "key": ["phone"], "granted": ["city"], "most_rows": 100},
    ],
}


async def exchanged(world: PsiAgentWorld, table: pa.Table | bytes) -> tuple[Any, pa.Table]:
    """Run, with a peer that hands this table over; return the reply, and what it got."""
    await world.offer()
    running = asyncio.ensure_future(world.run())
    while PEER not in world.links_to.far:  # noqa: ASYNC110  it runs in this loop
        await asyncio.sleep(0)
    far, path = world.links_to.far[PEER], world.directory / "theirs.parquet"
    if isinstance(table, bytes):
        path.write_bytes(table)
    else:
        pq.write_table(table, path)
    data = path.read_bytes()
    await far.send(json.dumps({"say": "file", "bytes": len(data)}).encode())
    await far.send(data)
    try:
        return await running, None
    finally:
        await far.receive()
        path.write_bytes(await far.receive() or b"")
        world.got = pq.read_table(path)  # type: ignore[attr-defined]


async def test_columns_are_exchanged_in_the_order_of_the_keys(tmp_path: Path) -> None:
    world = await ready(tmp_path, **BOTH)
    await exchanged(world, pa.table({MATCHED: [True, True], "city": ["Beijing", "Xi'an"]}))
    found = pq.read_table(world.file).to_pylist()
    assert [row["row"] for row in found] == [1, 4]
    assert {row["city"] for row in found} == {"Beijing", "Xi'an"}
    given = world.got.to_pylist()  # type: ignore[attr-defined]
    assert given == [{MATCHED: True, "segment": "gold"}] * 2


@pytest.mark.parametrize(
    "table",
    [
        pa.table({MATCHED: [True], "city": ["Beijing"]}),
        pa.table({MATCHED: [True, True], "town": ["a", "b"]}),
        pa.table({MATCHED: [True, False], "city": ["a", "b"]}),
        pa.table({MATCHED: [True, True, False], "city": ["a", "b", "c"]}),
        pa.table({MATCHED: [True, True], "city": [b"a", b"b"]}),
        b"no Parquet at all",
    ],
    ids=["fewer", "another column", "another flag", "rows without a match", "bytes", "garbage"],
)
async def test_columns_that_are_not_as_agreed_are_refused(
    tmp_path: Path, table: pa.Table | bytes
) -> None:
    world = await ready(tmp_path, **BOTH)
    error = await refused(exchanged(world, table))
    assert error.code == "peer_result_malformed"
    assert chinese(error.message)
    assert not world.file.exists()


async def test_rows_without_keys_are_no_list(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    world.publish("phone,segment,age\n,a,1\nnot a phone,b,2\n")
    await world.consented()
    error = await refused(world.offer())
    assert error.code == "empty_dataset"
    assert chinese(error.message)


async def test_an_engine_that_is_not_here_is_said_before_anybody_is_asked(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    world.engine.version = "0.9.4"
    error = await refused(world.consented())
    assert (error.code, error.details["party"]) == ("engine_absent", ME)
    assert chinese(error.message)
    world.engine.name = "other"
    world.more_ports["engines"].engines = {"other": ToyEngine("other")}
    assert (await refused(world.consented())).code == "engine_absent"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"columns": [{"name": "phone", "type": "number"}, {"name": "segment", "type": "text"}]},
         "column_not_granted"),
        ({"privacy": {"domain": "people", "epsilon": 1.0, "delta": 1e-5, "required": True}},
         "privacy_required"),
        ({"probing": None}, "probing_undeclared"),
    ],
)  # fmt: skip
async def test_what_the_owner_does_not_allow_is_refused_at_consent(
    tmp_path: Path, change: dict[str, Any], code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PsiAgentWorld.declared.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(PsiAgentWorld, "declared", property(lambda self: {**whole(self), **change}))
    world = PsiAgentWorld(tmp_path / "agent", **SENDER)
    error = await refused(world.consented())
    assert error.code == code
    assert chinese(error.message)


async def test_a_policy_written_before_there_were_intersections_allows_none(
    tmp_path: Path,
) -> None:
    world = PsiAgentWorld(tmp_path / "agent", policy=ALLOW)
    waiting = asyncio.ensure_future(world.ask("consent", world.consent_body()))
    while not world.store.inbox(waiting=True):
        await asyncio.sleep(0.01)
        assert not waiting.done()
    (item,) = world.store.inbox(waiting=True)
    assert "who learns which keys match" in item.reasons[0]
    waiting.cancel()


def test_a_result_has_its_place_by_the_id_of_its_job(tmp_path: Path) -> None:
    world = PsiAgentWorld(tmp_path / "agent")
    with pytest.raises(SecureFlowError, match="keeps no result"):
        result_file(world.settings, "../etc/passwd")

"""An agent in an engine's program: what it brings, what it keeps, and who is refused."""

from __future__ import annotations

import asyncio
import json
import stat
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from peers.agent_world import ALLOW, JOB, ME
from peers.mpc_world import POLICY, MpcAgentWorld, consenting, refused

from secureflow.agent.kinds.mpc_engines import MOST_SAID
from secureflow.agent.verbs.peers import USUAL
from secureflow.application.ports.mpcengine import EngineLimits
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.run.attempts import ATTEMPT
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import chinese

OTHERS: dict[str, Any] = {"receivers": ["bank-b"]}


class Died(BaseException):
    """The process is gone."""


ready = partial(consenting, MpcAgentWorld)


def leaves(world: MpcAgentWorld, kind: str) -> list[Any]:
    return [one for one in world.store.leaves(JOB) if one.kind == kind]


async def test_an_entry_commits_to_what_is_brought_and_to_its_rows(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    reply = await world.offer()
    assert set(reply["statements"]) == {"bank-b", "bank-c"}
    assert (reply["document"]["count"], reply["document"]["program"]) == (2, world.spec.program)
    world.reopen()
    again = await world.offer(2)
    assert again["document"]["inputs"] == reply["document"]["inputs"]
    assert len(leaves(world, ATTEMPT)) == 2


async def test_a_receiver_keeps_the_result_and_tells_only_that_it_has_it(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    reply = await world.run()
    assert reply["figures"] == {"rows": 2}
    assert world.engine.read == [{"values": [40.0, 7.0]}]
    assert pq.read_table(world.file).to_pylist() == [
        {"measure": 1, "bank-a": 2, "bank-b": 1, "bank-c": 3},
        {"measure": 2, "bank-a": 1, "bank-b": 3, "bank-c": 2},
    ]
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    (kept,) = leaves(world, KEPT)
    assert leaf_from_json(reply["leaf"]).hash() == kept.hash
    document = kept.bundle["document"]
    assert (document["kind"], document["rows"], document["attempt"]) == ("mpc", 2, 1)
    assert document["peers"]["bank-c"]["inputs"] == "cd" * 32
    assert "document" not in reply
    assert "ranks" not in json.dumps(reply)
    (job,) = world.engine.jobs
    assert (job.program, job.protocol, job.receivers) == ("ranking", "ABY3", (ME,))
    assert (job.digest, job.parameters) == ("ab" * 32, {"decimals": 0})
    assert job.limits == EngineLimits(memory=96 << 20, scratch=7 << 20)  # the owner's


async def test_channels_carry_a_multiple_of_what_the_engine_estimates(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    await world.run()
    assert world.links_to.bytes == [3 * USUAL * (100 << 20)]
    program, protocol, shapes = world.engine.shapes
    assert (program, protocol) == ("ranking", "ABY3")
    assert dict(shapes) == {one: {"values": (2, 1)} for one in ("bank-a", "bank-b", "bank-c")}


async def test_no_peer_chooses_the_limit_of_bytes(tmp_path: Path) -> None:
    """Who only computes along has nothing to compare their word with."""
    world = await ready(tmp_path, compute=(ME,), receivers=["bank-b"])
    await world.offer()
    await world.run(rows=2**53 - 1)
    _, _, shapes = world.engine.shapes
    assert dict(shapes) == {one: {"values": (MOST_SAID, 1)} for one in ("bank-b", "bank-c")} | {
        ME: {}
    }


async def test_who_learns_nothing_keeps_nothing(tmp_path: Path) -> None:
    world = await ready(tmp_path, **OTHERS)
    await world.offer()
    reply = await world.run()
    assert leaf_from_json(reply["leaf"]).leaf.kind == ATTEMPT
    assert leaves(world, KEPT) == []
    assert not world.file.exists()
    assert world.engine.jobs[0].receivers == ("bank-b",)


async def test_a_party_without_a_dataset_computes_along(tmp_path: Path) -> None:
    changes = {"compute": (ME,), "receivers": ["bank-b"]}
    world = await ready(tmp_path, **changes)
    reply = await world.offer()
    assert reply["document"]["count"] == 0
    await world.run()
    assert world.engine.read == [{}]
    assert world.worker_here.calls == []  # no file of the owner was read


async def test_one_without_a_dataset_may_learn_as_well(tmp_path: Path) -> None:
    world = await ready(tmp_path, compute=(ME,))
    world.engine.says = np.array([[1], [2]])
    await world.offer()
    await world.run()
    assert pq.read_table(world.file).to_pylist() == [{"measure": 1, "bank-b": 1, "bank-c": 2}]


async def test_other_numbers_of_rows_are_refused_before_the_engine_runs(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    error = await refused(world.run(rows=3), "inputs_unequal")
    assert error.details == {"party": "bank-b", "theirs": 3, "own": 2}
    assert world.engine.jobs == []


@pytest.mark.parametrize("changes", [{}, OTHERS], ids=["receiver", "brings"])
async def test_what_ran_to_its_end_here_is_not_run_again(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """That the others' inputs are the ones that they committed to is their word."""
    world = await ready(tmp_path, **changes)
    await world.offer()
    first = await world.run()
    before = world.file.read_bytes() if not changes else b""
    world.engine.others = {"bank-b": [0.0, 0.0], "bank-c": [0.0, 0.0]}
    world.reopen()
    second = await world.offer(2)
    assert ("done" in second) == (not changes)
    error = await refused(world.run(2), "attempts_exhausted")
    assert error.details == {"party": ME, "attempt": 1}
    assert len(world.engine.jobs) == 1
    assert world.links_to.forgotten[-1] == 2, "the others learn of it at once"
    if not changes:
        assert second["done"]["leaf"] == first["leaf"]
        assert world.file.read_bytes() == before
        assert len(leaves(world, KEPT)) == 1


async def test_an_attempt_is_lost_with_the_process(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.reopen()
    await refused(world.run(), "attempt_lost")
    await world.offer(2)
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


async def test_a_failure_ends_the_attempt_and_the_next_brings_the_same(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    first = await world.offer()
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    with pytest.raises(SecureFlowError, match="it ended"):
        await world.run()
    assert world.links_to.forgotten == [1]
    world.engine.fails = None
    second = await world.offer(2)
    assert second["document"]["inputs"] == first["document"]["inputs"]
    assert (await world.run(2))["attempt"] == 2
    assert world.worker_here.calls.count("mpc_bring") == 1


@pytest.mark.parametrize("where", [{"row": 3}, {"row": 3, "column": 2}])
async def test_which_row_does_not_fit_stays_here(tmp_path: Path, where: dict[str, int]) -> None:
    """The submitter chooses what fits, by the decimals: the row would answer a question."""
    world = await ready(tmp_path)
    await world.offer()
    told = SecureFlowError("engine_failed", "too large (row 3)", "", {**where, "party": ME})
    world.engine.fails = told
    error = await refused(world.run(), "engine_failed")
    assert "3" not in str(error.message)
    assert "row" not in error.details
    assert "row 3" in json.dumps(world.store.actions(job=JOB))


async def test_a_peer_brings_the_same_in_every_attempt(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    with pytest.raises(SecureFlowError, match="it ended"):
        await world.run()
    world.engine.fails = None
    world.reopen()
    await world.offer(2)
    error = await refused(world.run(2, inputs="ef" * 32), "dataset_changed")
    assert error.details["party"] in {"bank-b", "bank-c"}
    assert len(world.engine.jobs) == 1
    await world.offer(3)
    assert (await world.run(3))["attempt"] == 3


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
async def test_nothing_is_left_of_a_job_without_a_result(tmp_path: Path, outcome: str) -> None:
    world = await ready(tmp_path)
    await world.offer()
    world.file.parent.mkdir()
    world.file.write_bytes(b"half of it")
    await world.finished(outcome)
    assert not world.file.exists()
    assert not list((world.directory / "models").glob(f"{JOB}*"))


async def test_a_result_outlives_its_job(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    await world.offer()
    await world.run()
    await world.finished()
    assert pq.read_table(world.file).num_rows == 2
    assert not list((world.directory / "models").glob(f"{JOB}*"))


@pytest.mark.parametrize(
    "says",
    [
        np.array([[1], [2]]), np.array([[1], [2], [4]]), np.array([[1.0], [2.0], [3.0]]),
        np.array([1, 2, 3]), np.array([[0], [1], [2]]),
    ],
    ids=["a party less", "no such place", "fractions", "a line", "places from zero"],
)  # fmt: skip
async def test_what_an_engine_says_is_looked_at(tmp_path: Path, says: Any) -> None:
    world = await ready(tmp_path)
    world.engine.says = says
    await world.offer()
    await refused(world.run(), "engine_output_refused")
    assert not world.file.exists()
    assert leaves(world, KEPT) == []


async def test_an_engine_that_is_not_here_is_said_before_consent(tmp_path: Path) -> None:
    world = MpcAgentWorld(tmp_path / "agent")
    world.engine.version = "0.9.4"
    error = await refused(world.consented(), "engine_absent")
    assert "0.9.4" in error.message
    assert error.details["party"] == ME
    world.engine.version, world.engine.programs = "0.9.5", ("sealed-bid",)
    await refused(world.consented(), "program_mismatch")
    world.more_ports["engines"].engines.clear()
    with pytest.raises(SecureFlowError) as caught:
        await world.consented()
    assert caught.value.code == "engine_absent"


async def test_an_owner_who_demands_noise_takes_no_part(tmp_path: Path) -> None:
    world = MpcAgentWorld(tmp_path / "agent")
    world.privacy = {"domain": "people", "epsilon": 8.0, "delta": 1e-6, "required": True}
    world.reopen()
    await refused(world.consented(), "privacy_required")


async def test_a_column_that_is_no_number_is_refused_before_consent(tmp_path: Path) -> None:
    sides = [{"party": p, "columns": ["town"]} for p in ("bank-a", "bank-b", "bank-c")]
    world = MpcAgentWorld(tmp_path / "agent", sides=sides)
    error = await refused(world.consented(), "column_not_granted")
    assert "town" in str(error.details)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [(POLICY, "no policy permits it"), (ALLOW, "programs that compute on shares")],
)
async def test_a_person_decides_what_no_policy_was_written_about(
    tmp_path: Path, policy: str, reason: str
) -> None:
    world = MpcAgentWorld(tmp_path / "agent", policy=policy, receivers=["bank-c"])
    waiting = asyncio.ensure_future(world.ask("consent", world.consent_body()))
    while not world.store.inbox(waiting=True):
        await asyncio.sleep(0.01)
        assert not waiting.done()
    (item,) = world.store.inbox(waiting=True)
    assert reason in item.reasons[0]
    assert chinese(item.reasons[0])
    waiting.cancel()

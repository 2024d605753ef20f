"""An agent in a program of others: what it may see and bring, what it keeps, who is refused."""

from __future__ import annotations

import asyncio
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from peers.agent_world import ALLOW, JOB, ME
from peers.mpc_world import consenting, refused
from peers.mpyc_world import CODE, FilesEngine, MpycAgentWorld, policy_of, program

from secureflow.agent.edge.bundlecommands import BundleCommands
from secureflow.agent.owner.environments import Environments
from secureflow.engines.bundles import Bundle, pack
from secureflow.engines.bundles.format import MAX_BYTES
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.run.attempts import ATTEMPT
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError

ready = partial(consenting, MpycAgentWorld)


async def ran(world: MpycAgentWorld, attempt: int = 1) -> dict[str, Any]:
    await world.offer(attempt)
    return await world.run(attempt)


async def test_it_runs_the_approved_code_on_the_granted_columns(tmp_path: Path) -> None:
    given = program(arguments=["-n", "3", "@bid"])
    world = await ready(tmp_path, columns=("bid", "rate", "town"), computation=given)
    await ran(world)
    (job,) = world.engine.jobs
    assert (job.program, job.protocol, job.digest) == ("bundle", "shamir", CODE.digest)
    assert job.parameters == {"arguments": ["-n", "3", "@bid"]}
    assert world.engine.code == [dict(CODE.files)]
    assert job.code is not None
    assert job.code.most == 64 << 20  # what it may write: it is for small data
    rows = world.engine.read[0]["rows.csv"].decode()
    assert rows == 'bid,rate,town\n40,0.5,"Xi\'an, old"\n7,,\n'


async def test_numbers_alone_are_an_array(tmp_path: Path) -> None:
    world = await ready(tmp_path, computation=program(input="x.npy"))
    await ran(world)
    found = np.load(io.BytesIO(world.engine.read[0]["x.npy"]), allow_pickle=False)
    assert (found.dtype, found.tolist()) == (np.float64, [[40.0], [7.0]])


async def test_an_empty_cell_is_no_number_of_an_array(tmp_path: Path) -> None:
    world = await ready(tmp_path, columns=("rate",), computation=program(input="x.npy"))
    error = await refused(world.offer(), "malformed_cell")
    assert error.details["column"] == "rate"


async def test_a_receiver_keeps_the_files_as_bytes_and_tells_only_how_many(tmp_path: Path) -> None:
    """A pickle among them is bytes like others: nothing here parses what a program wrote."""
    world = await ready(tmp_path)
    reply = await ran(world)
    assert reply["figures"] == {"rows": 2}
    assert pq.read_table(world.file).to_pylist() == [
        {"file": "printed.txt", "content": b"7\n"},
        {"file": "sum.npy", "content": b"\x80\x04no numbers"},
    ]
    (kept,) = [one for one in world.store.leaves(JOB) if one.kind == KEPT]
    assert kept.bundle["document"]["files"] == 2
    assert "printed" not in json.dumps(reply)
    await world.finished()
    assert world.file.exists()
    assert not list((world.directory / "models").glob(f"{JOB}*"))


async def test_who_is_no_receiver_keeps_nothing(tmp_path: Path) -> None:
    world = await ready(tmp_path, receivers=["bank-b"])
    reply = await ran(world)
    assert leaf_from_json(reply["leaf"]).leaf.kind == ATTEMPT
    assert [one.kind for one in world.store.leaves(JOB)].count(KEPT) == 0
    assert not world.file.exists()
    await world.finished()
    assert not list((world.directory / "models").glob(f"{JOB}*"))


async def test_each_attempt_runs_the_code_as_it_was_approved(tmp_path: Path) -> None:
    world = await ready(tmp_path)
    world.engine.fails = SecureFlowError("engine_failed", "it ended")
    await world.offer()
    with pytest.raises(SecureFlowError, match="it ended"):
        await world.run()
    world.engine.fails = None
    held = world.directory / "models" / f"{JOB}.held" / "code"
    (held / "helper.py").chmod(0o600)
    (held / "helper.py").write_text("x = 2")
    (held / "more.py").write_text("")
    await ran(world, 2)
    assert world.engine.code == [dict(CODE.files)] * 2


async def test_an_entry_that_the_bundle_lacks_is_refused_before_consent(tmp_path: Path) -> None:
    bundle = {"digest": CODE.digest, "entry": "other.py"}
    world = MpycAgentWorld(tmp_path / "agent", computation=program(bundle=bundle))
    error = await refused(world.consented(), "bundle_unusable")
    assert "other.py" in error.message
    assert world.store.job(JOB) is None
    assert list((world.directory / "bundles").iterdir()) == []


@pytest.mark.parametrize("lacking", ["code", "engine", "version"])
async def test_what_could_not_run_here_is_refused_before_consent(
    tmp_path: Path, lacking: str
) -> None:
    world = MpycAgentWorld(tmp_path / "agent")
    if lacking == "code":
        world.blobs.clear()
    elif lacking == "engine":
        world.shelf.engines.clear()
    elif lacking == "version":
        world.engine.version = "0.10"
    with pytest.raises(SecureFlowError) as caught:
        await world.consented()
    assert caught.value.code == ("not_found" if lacking == "code" else "engine_absent")
    if lacking != "code":
        assert caught.value.details["party"] == ME
    assert world.store.job(JOB) is None


async def test_a_bundle_beyond_its_bounds_is_refused_before_consent(tmp_path: Path) -> None:
    line = b"#" * 1999 + b"\n"
    huge = Bundle({"program.py": line * (MAX_BYTES // 2000 - 1)})
    world = MpycAgentWorld(tmp_path / "agent", policy=policy_of(huge), code=huge)
    world.blobs[huge.digest] = pack(huge) + b"#" * 3000
    with pytest.raises(SecureFlowError) as caught:
        await world.consented()
    assert caught.value.code in {"bundle_refused", "digest_mismatch"}
    assert world.store.job(JOB) is None


async def test_an_owner_who_demands_noise_takes_no_part(tmp_path: Path) -> None:
    world = MpycAgentWorld(tmp_path / "agent")
    world.privacy = {"domain": "people", "epsilon": 8.0, "delta": 1e-6, "required": True}
    world.reopen()
    await refused(world.consented(), "privacy_required")


async def test_texts_are_no_numbers(tmp_path: Path) -> None:
    world = MpycAgentWorld(
        tmp_path / "agent", columns=("town",), computation=program(input="x.npy")
    )
    error = await refused(world.consented(), "column_not_granted")
    assert "town" in str(error.details)


LOOKS_AT_PROGRAM = """permit(principal, action == Action::"mpc", resource)
when { context.engine_program == "mpyc" };"""
LOOKS_AT_CODE = f"""permit(principal, action == Action::"mpc", resource)
when {{ context.bundle_digest == "{CODE.digest}" }};"""


@pytest.mark.parametrize("policy", [ALLOW, LOOKS_AT_PROGRAM, LOOKS_AT_CODE + LOOKS_AT_PROGRAM])
async def test_a_person_reads_what_no_policy_was_written_about(tmp_path: Path, policy: str) -> None:
    """The request has the source, and a changed byte is another digest."""
    world = MpycAgentWorld(tmp_path / "agent", policy=policy)
    waiting = asyncio.ensure_future(world.ask("consent", world.consent_body()))
    while not world.store.inbox(waiting=True):
        await asyncio.sleep(0.01)
        assert not waiting.done()
    (item,) = world.store.inbox(waiting=True)
    assert item.request["bundle_digest"] == CODE.digest
    commands = BundleCommands(
        world.assembly.inbox, world.store, world.assembly.bundles, Environments(world.directory)
    )
    told = await commands.table()["bundle.review"](item=item.id)
    assert (told["digest"], told["environment"], told["approved"]) == (CODE.digest, None, None)
    waiting.cancel()


async def test_other_code_is_another_job(tmp_path: Path) -> None:
    other = Bundle({**CODE.files, "helper.py": b"x = 2\n"})
    world = MpycAgentWorld(tmp_path / "agent", code=other)
    waiting = asyncio.ensure_future(world.ask("consent", world.consent_body()))
    while not world.store.inbox(waiting=True):
        await asyncio.sleep(0.01)
        assert not waiting.done()  # the policy names another digest
    waiting.cancel()


async def test_code_that_was_not_approved_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = await ready(tmp_path)
    await world.offer()
    monkeypatch.setattr(world.store, "approved_bundle", lambda digest: None)
    await refused(world.run(), "not_approved")
    assert world.engine.jobs == []


def test_the_toy_is_described_as_mpyc_is() -> None:
    assert FilesEngine().describe().programs == {}

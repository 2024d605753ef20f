"""An agent in a prediction: one file of its own, one commitment, nothing of the rows leaves."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3
from peers.agent_world import JOB, ME, NOW, World

from secureflow.agent.edge.predictioncommands import PredictionCommands
from secureflow.agent.edge.predictionscheck import PredictionsCheck
from secureflow.agent.kinds.prediction import check_declared
from secureflow.agent.owner.predictions import KeptPredictions
from secureflow.domain.schemas import ColumnConfig
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.ledger.leaves import commitment, leaf_from_json
from secureflow.engines.run.kept import KEPT
from secureflow.kit.disk import Place
from secureflow.kit.errors import InfrastructureError, SecureFlowError

PARAMETERS = np.array([2.0, 0.5], "<f4").tobytes()
MODEL = blake3(PARAMETERS).hexdigest()
FEATURES: dict[str, Any] = {
    "label": {"column": "unknown here", "positive": "high"},
    "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
}
REQUIRED = {"domain": "people", "epsilon": 1.0, "delta": 1e-5, "required": True}


class Predicting:
    """Stands in for the warm worker: a small table, whose ages tests change."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.ages = [41, 42]
        self.sums: list[Any] = [2, 1]
        self.fails: SecureFlowError | None = None

    async def check(self, *_: Any) -> None:
        raise AssertionError

    async def prepare(self, job: str, *_: Any, **__: Any) -> dict[str, Any]:
        self.calls.append("prepare")
        if self.fails is not None:
            raise self.fails
        return {"rows": 2, "validation": 0}

    async def compute(self, job: str, step: str, arguments: Any = None) -> dict[str, Any]:
        self.calls.append(step)
        assert np.fromfile(arguments["model"], np.uint8).tobytes() == PARAMETERS
        table = pa.table({"row": [1, 2], "age": self.ages, "predicted": [True, None]})
        pq.write_table(table, arguments["result"])
        return {"sums": self.sums, "seconds": 0.1}

    async def close(self, job: str) -> None:
        self.calls.append("close")


class PredictedWorld(World):
    """A job that asks for the age beside the prediction."""

    def make_spec(self, **changes: Any) -> Any:
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        value = {
            "project": "prj_0123456789", "name": "scores", "purpose": "credit scoring",
            "submitter": "usr_alice", "roster": roster, "columns": ["age"],
            "model": {"job": "job_aaaaaaaaaa", "digest": MODEL, "features": FEATURES,
                      "model": {"family": "logistic_regression"}},
        }  # fmt: skip
        return parse(PredictionSpec, {**value, **changes})

    def open_agent(self) -> None:
        self.worker: Any = getattr(self, "predicting", None) or Predicting()
        self.predicting = self.worker
        super().open_agent()

    async def consented(self) -> None:
        self.record(await self.ask("consent", self.consent_body()))

    def keep_body(self, digest: str = MODEL, **changes: Any) -> dict[str, Any]:
        model = {"digest": digest, "artifact": digest, "size": len(PARAMETERS)}
        return self.body(model=model, head=self.head(), **changes)

    @property
    def file(self) -> Path:
        return self.directory / "predictions" / f"{JOB}.parquet"

    @property
    def commands(self) -> PredictionCommands:
        context = self.assembly.context
        return PredictionCommands(
            lambda: KeptPredictions(context.settings, context.store, context.clock)
        )

    async def finished(self, outcome: str = "succeeded") -> None:
        await self.ask("finish", self.body(outcome=outcome, model=None, head=self.head()))


@pytest.fixture
def world(tmp_path: Path) -> PredictedWorld:
    return made(tmp_path)


def made(tmp_path: Path, **more: Any) -> PredictedWorld:
    world = PredictedWorld(tmp_path / "agent", **more)
    world.blobs[MODEL] = PARAMETERS
    return world


async def refused(world: PredictedWorld, verb: str, body: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, body)
    return caught.value


async def test_a_file_stays_here_and_its_commitment_goes_to_the_log(world: PredictedWorld) -> None:
    await world.consented()
    reply = await world.ask("keep", world.keep_body())
    assert set(reply) == {"leaf", "leaves"}
    assert "document" not in reply["leaves"][-1]
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(world.file.parent.stat().st_mode) == 0o700
    (leaf,) = [one for one in world.store.leaves(JOB) if one.kind == KEPT]
    signed, document = leaf_from_json(reply["leaf"]), leaf.bundle["document"]
    assert signed.leaf.commitment == commitment(bytes.fromhex(leaf.bundle["salt"]), document)
    assert (signed.leaf.author, signed.leaf.spec) == (ME, world.digest)
    assert document == {
        "kind": "prediction", "model": MODEL, "dataset": "customers",
        "data": world.assembly.context.publication(world.spec).commitment,
        "outputs": ["predicted"], "columns": ["age"], "bytes": world.file.stat().st_size,
        "rows": 2, "unfit": 1, "file": blake3(world.file.read_bytes()).hexdigest(),
    }  # fmt: skip
    assert str(document["file"]) not in json.dumps(reply)


async def test_a_repeated_request_computes_and_writes_nothing(world: PredictedWorld) -> None:
    await world.consented()
    first = await world.ask("keep", world.keep_body())
    before, calls = world.file.stat(), list(world.predicting.calls)
    world.reopen()
    again = await world.ask("keep", world.keep_body())
    assert again["leaf"] == first["leaf"]
    assert world.file.stat() == before
    world.file.unlink()  # its owner's business
    assert (await world.ask("keep", world.keep_body()))["leaf"] == first["leaf"]
    assert not world.file.exists()
    assert world.predicting.calls == calls


async def test_an_agent_that_dies_before_it_commits_makes_the_same_file_again(
    world: PredictedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.consented()

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(world.assembly.context.witness, "leaf", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.ask("keep", world.keep_body())
    content = world.file.read_bytes()
    assert not [one for one in world.store.leaves(JOB) if one.kind == KEPT]
    assert await world.commands.every() == []
    world.reopen()
    await world.ask("keep", world.keep_body())
    assert world.file.read_bytes() == content
    assert len([one for one in world.store.leaves(JOB) if one.kind == KEPT]) == 1


async def test_a_file_that_nothing_commits_to_goes_with_its_job(
    world: PredictedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.consented()

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(world.assembly.context.witness, "leaf", killed)
        with pytest.raises(KeyboardInterrupt):
            await world.ask("keep", world.keep_body())
    world.reopen()
    await world.finished("cancelled")
    assert not world.file.exists()
    assert not list((world.directory / "models").iterdir())


async def test_the_file_outlives_its_job_until_its_owner_removes_it(world: PredictedWorld) -> None:
    await world.consented()
    world.record(await world.ask("keep", world.keep_body()))
    await world.finished()
    assert not list((world.directory / "models").iterdir())
    assert world.predicting.calls[-1] == "close"
    (listed,) = await world.commands.every()
    told = {name: listed[name] for name in ("job", "name", "dataset", "rows", "unfit", "state")}
    assert told == {"job": JOB, "name": "scores", "dataset": "customers", "rows": 2, "unfit": 1,
                    "state": "kept"}  # fmt: skip
    shown = await world.commands.show(JOB)
    assert (shown["state"], shown["proved"]) == ("kept", True)
    assert shown["path"] == str(world.file)
    assert (await world.commands.remove(JOB))["job"] == JOB
    assert not world.file.exists()
    (listed,) = await world.commands.every()
    assert listed["state"] == "gone"
    with pytest.raises(SecureFlowError, match="removed already"):
        await world.commands.remove(JOB)
    with pytest.raises(SecureFlowError, match="keeps no predictions of a job"):
        await world.commands.show("../agent")
    assert world.store.actions()[0]["action"] == "result.removed"


async def test_a_file_that_was_altered_is_told(world: PredictedWorld) -> None:
    await world.consented()
    await world.ask("keep", world.keep_body())
    data = bytearray(world.file.read_bytes())
    data[-20] ^= 1
    world.file.write_bytes(data)
    assert (await world.commands.show(JOB))["state"] == "altered"


async def test_of_what_a_restored_record_lacks_nobody_says_that_it_was_altered(
    world: PredictedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Own leaves that are read from the log come without what they commit to."""
    await world.consented()
    await world.ask("keep", world.keep_body())
    bare = {
        one.kind: replace(one, bundle={"leaf": one.bundle["leaf"]})
        for one in world.store.leaves(JOB)
    }
    monkeypatch.setattr(world.store, "leaf_of", lambda job, kind: bare.get(kind))
    assert (await world.commands.show(JOB))["state"] == "unknown"
    world.file.unlink()
    assert (await world.commands.show(JOB))["state"] == "gone"


async def test_a_check_finds_a_file_that_was_altered_and_misses_none_that_was_removed(
    world: PredictedWorld,
) -> None:
    await world.consented()
    await world.ask("keep", world.keep_body())
    check = PredictionsCheck(world.settings)
    assert list(check.findings(world.store.leaves(JOB))) == []
    assert check.count == 1
    world.file.write_bytes(world.file.read_bytes() + b"more")
    (found,) = check.findings(world.store.leaves(JOB))
    assert str(world.file) in found.message
    world.file.unlink()
    assert list(check.findings(world.store.leaves(JOB))) == []


@pytest.mark.parametrize("other", ["digest", "none"])
async def test_another_model_than_the_approved_one_is_refused(
    world: PredictedWorld, other: str
) -> None:
    await world.consented()
    body = world.keep_body("cd" * 32) if other == "digest" else {**world.keep_body(), "model": None}
    error = await refused(world, "keep", body)
    assert error.code == "invalid_request"
    assert "another model than the approved one" in error.message
    assert world.predicting.calls == []
    assert not world.file.exists()


async def test_nothing_is_kept_that_was_not_approved(world: PredictedWorld) -> None:
    assert (await refused(world, "keep", world.keep_body())).code == "not_approved"
    await world.consented()
    body = {**world.keep_body(), "digest": "ab" * 32}
    assert (await refused(world, "keep", body)).code == "spec_digest_mismatch"
    await world.ask("keep", world.keep_body())
    await world.finished()
    assert (await refused(world, "keep", world.keep_body())).code == "job_finished"


async def test_a_training_keeps_nothing(tmp_path: Path) -> None:
    world = World(tmp_path / "agent")
    await world.admitted()
    body = world.body(model=None, head=world.head())
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("keep", body)
    assert caught.value.code == "protection_unsupported"


async def test_no_budget_is_charged_and_none_is_needed(tmp_path: Path) -> None:
    world = made(tmp_path, privacy=REQUIRED)
    await world.consented()
    await world.ask("keep", world.keep_body())
    await world.finished()
    (budget,) = await world.assembly.context.budgets.report(exact=False)
    assert (budget["spent"], budget["reservations"]) == (0.0, [])
    assert not [one for one in world.store.leaves(JOB) if one.kind == "budget"]


async def test_a_full_disk_is_told_before_anything_is_copied(
    world: PredictedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.consented()
    free = Place.free
    with monkeypatch.context() as patched:
        patched.setattr(
            Place, "free", lambda self: 10 if self.folder.name == "predictions" else free(self)
        )
        error = await refused(world, "keep", world.keep_body())
    assert isinstance(error, InfrastructureError)
    assert (error.code, error.details["free"]) == ("disk_full", 10)
    assert not world.file.exists()
    await world.ask("keep", world.keep_body())
    assert world.file.exists()


@pytest.mark.parametrize(
    "sums",
    [[10**400, 0], [1 << 51, 0], [2, -1], [-1, 0], [2], [2, 1, 0], [2.0, 1], [2.5, 1], [True, 1]],
)
async def test_a_worker_that_tells_other_counts_than_two_whole_ones_is_not_believed(
    world: PredictedWorld, sums: list[Any]
) -> None:
    await world.consented()
    world.predicting.sums = sums
    assert (await refused(world, "keep", world.keep_body())).code == "update_length_wrong"
    assert not world.file.exists()
    assert not [one for one in world.store.leaves(JOB) if one.kind == KEPT]


async def test_a_row_that_does_not_fit_is_named_to_its_owner_alone(world: PredictedWorld) -> None:
    await world.consented()
    world.predicting.fails = SecureFlowError(
        "malformed_cell", "Row 7, column 'age': it is no number.", "", {"row": 7, "column": "age"}
    )
    error = await refused(world, "keep", world.keep_body())
    assert (error.code, error.details) == ("malformed_cell", {"column": "age"})
    assert "7" not in error.message
    noted = next(one for one in world.store.actions(job=JOB) if one["action"] == "job.row_refused")
    assert "Row 7" in noted["facts"]["message"]


async def test_columns_that_the_owner_does_not_declare_are_refused(tmp_path: Path) -> None:
    world = made(tmp_path, spec_changes={"columns": ["iban"]})
    error = await refused(world, "consent", world.consent_body())
    assert (error.code, error.details["column"]) == ("column_not_granted", "iban")
    picture = ColumnConfig("scan", "image", shape=(8, 8, 1))
    (dataset,) = world.settings.datasets
    wider = replace(dataset, columns=(*dataset.columns, picture))
    spec = world.make_spec(columns=["scan"])
    with pytest.raises(SecureFlowError, match="is declared as image"):
        check_declared(spec, wider)


async def test_policies_decide_by_the_model_and_the_columns_beside_the_answers(
    tmp_path: Path,
) -> None:
    policy = (
        'permit(principal, action == Action::"prediction", resource) when '
        f'{{ context.model == "{MODEL}" && context.beside == ["age"] && '
        'context.family == "logistic_regression" && context.outputs.contains("predicted") };'
    )
    world = made(tmp_path, policy=policy)
    approved = await world.ask("consent", world.consent_body())
    assert approved["approval"]["body"]["expires"] == NOW + 86_400


async def test_a_worker_that_wrote_nothing_is_told(
    world: PredictedWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.consented()
    monkeypatch.setattr(pq, "write_table", lambda table, path: Path(path).write_bytes(b""))
    error = await refused(world, "keep", world.keep_body())
    assert error.code == "worker_failed"
    assert not world.file.exists()

"""A result of computing with peers: one file here, committed to, in its rows' privacy domain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from peers.agent_world import JOB, ME, World

from secureflow.agent.edge.predictionscheck import PredictionsCheck
from secureflow.agent.edge.resultcommands import ResultCommands
from secureflow.agent.owner.keptfiles import keep_file
from secureflow.agent.owner.predictions import KeptPredictions
from secureflow.agent.owner.publications import check_lineage, check_publishable
from secureflow.agent.owner.results import KeptOutcomes, result_file
from secureflow.agent.record.records import JobRecord
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy, ResultOrigin
from secureflow.engines.ledger.leaves import commitment, leaf_from_json
from secureflow.engines.run.kept import KEPT
from secureflow.kit.errors import SecureFlowError

BUDGET = {"domain": "people", "epsilon": 5.0, "delta": 1e-5, "required": False}
PEERS = {"bank-b": {"leaf": "ab" * 32, "inputs": "cd" * 32, "keys": 5}}


class Receiver(World):
    """An agent with an approved job, which gets a result."""

    @property
    def file(self) -> Path:
        return self.directory / "results" / f"{JOB}.parquet"

    @property
    def job(self) -> JobRecord:
        found = self.store.job(JOB)
        assert found is not None
        return found

    @property
    def commands(self) -> ResultCommands:
        return ResultCommands(
            lambda: KeptOutcomes(self.settings, self.store, self.assembly.context.clock)
        )

    def keep(self, **changes: Any) -> dict[str, Any]:
        """Keep what an engine wrote, and commit to it, as the kinds do; return the document."""
        written = self.directory / "engine.parquet"
        pq.write_table(pa.table({"id": [f"id {n}" for n in range(3)]}), written)
        size, digest = keep_file(written, result_file(self.settings, JOB), ME)
        document = {
            "kind": "psi", "dataset": "customers", "peers": PEERS, "rows": 3, "bytes": size,
            "file": digest, **changes,
        }  # fmt: skip
        with self.store.transaction():
            self.assembly.context.witness.leaf(KEPT, JOB, self.digest, document)
        return document

    def derived(self, domain: str = "people", **changes: Any) -> DatasetConfig:
        """Return a declaration of the result as a dataset."""
        columns = (ColumnConfig("id", "text"),)
        made = DatasetConfig("joint", str(self.file), "parquet", columns,
                             result=ResultOrigin(JOB, domain))  # fmt: skip
        return replace(made, **changes)


@pytest.fixture
async def receiver(tmp_path: Path) -> Receiver:
    world = Receiver(tmp_path, privacy=BUDGET)
    world.record(await world.ask("consent", world.consent_body()))
    return world


def refused(dataset: DatasetConfig, world: Receiver) -> str:
    with pytest.raises(SecureFlowError) as caught:
        check_publishable(world.store, dataset)
    return caught.value.code


async def test_a_result_is_kept_with_its_lineage_and_only_its_commitment_leaves(
    receiver: Receiver,
) -> None:
    document = receiver.keep()
    (told,) = await receiver.commands.every()
    assert (told["job"], told["name"], told["state"]) == (JOB, "credit", "kept")
    assert (told["dataset"], told["domain"], told["peers"]) == ("customers", "people", PEERS)
    shown = await receiver.commands.show(JOB)
    assert (shown["state"], shown["path"], shown["datasets"]) == ("kept", str(receiver.file), [])
    leaf = receiver.store.leaf_of(JOB, KEPT)
    assert leaf is not None
    assert leaf.sent == {"leaf": leaf.bundle["leaf"]}
    opened = commitment(bytes.fromhex(leaf.bundle["salt"]), document)
    assert opened == leaf_from_json(leaf.bundle["leaf"]).leaf.commitment
    assert receiver.file.stat().st_mode & 0o777 == 0o600
    assert receiver.file.parent.stat().st_mode & 0o777 == 0o700


async def test_results_are_no_predictions(receiver: Receiver) -> None:
    receiver.keep()
    predictions = KeptPredictions(receiver.settings, receiver.store, lambda: 0)
    assert predictions.every() == []
    with pytest.raises(SecureFlowError):
        await predictions.one(JOB)


async def test_a_size_alone_has_no_file(receiver: Receiver) -> None:
    receiver.keep(file=None)
    receiver.file.unlink()
    assert (await receiver.commands.show(JOB))["state"] == "told"
    with pytest.raises(SecureFlowError, match="no file"):
        await receiver.commands.remove(JOB)
    own = DatasetPrivacy("people", 5.0, 1e-5, required=False)
    assert refused(receiver.derived(privacy=own), receiver) == "not_found"


async def test_it_outlives_its_job_until_its_owner_removes_it(receiver: Receiver) -> None:
    receiver.keep()
    await receiver.ask("finish", receiver.body(outcome="failed", model=None, head=receiver.head()))
    assert receiver.file.exists()
    assert (await receiver.commands.remove(JOB))["job"] == JOB
    assert not receiver.file.exists()
    assert (await receiver.commands.show(JOB))["state"] == "gone"
    with pytest.raises(SecureFlowError, match="is removed already"):
        await receiver.commands.remove(JOB)
    assert receiver.store.actions()[0]["action"] == "result.removed"


async def test_a_file_that_was_altered_is_told(receiver: Receiver) -> None:
    receiver.keep()
    check = PredictionsCheck(receiver.settings)
    assert list(check.findings(receiver.store.leaves(JOB))) == []
    assert check.count == 1
    receiver.file.write_bytes(b"other")
    assert (await receiver.commands.show(JOB))["state"] == "altered"
    (found,) = check.findings(receiver.store.leaves(JOB))
    assert str(receiver.file) in found.message


async def test_a_restored_record_says_that_it_does_not_know(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.keep()
    leaf = receiver.store.leaf_of(JOB, KEPT)
    assert leaf is not None
    bare = replace(leaf, bundle={"leaf": leaf.bundle["leaf"]})
    of = replace(receiver.job, spec={**receiver.job.spec, "kind": "psi"})
    monkeypatch.setattr(receiver.store, "leaf_of", lambda job, kind: bare)
    monkeypatch.setattr(receiver.store, "job", lambda job: of)  # its spec alone says the kind
    assert (await receiver.commands.show(JOB))["state"] == "unknown"
    own = DatasetPrivacy("people", 5.0, 1e-5, required=False)
    assert refused(receiver.derived(privacy=own), receiver) == "not_found"


@pytest.mark.parametrize("job", ["../agent", "job_9999999999"])
async def test_no_other_file_is_shown(receiver: Receiver, job: str) -> None:
    for call in (receiver.commands.show, receiver.commands.remove):
        with pytest.raises(SecureFlowError) as caught:
            await call(job)
        assert caught.value.code == "not_found"
    with pytest.raises(SecureFlowError):
        result_file(receiver.settings, "../agent")


async def test_an_engine_that_wrote_no_file_keeps_nothing(receiver: Receiver) -> None:
    written = receiver.directory / "engine.parquet"
    written.symlink_to(receiver.settings.record)
    for _ in range(2):
        with pytest.raises(SecureFlowError) as caught:
            keep_file(written, receiver.file, ME)
        assert caught.value.code == "worker_failed"
        assert not receiver.file.exists()
        written.unlink(missing_ok=True)


# As a dataset for further jobs.


async def test_a_result_stays_in_the_privacy_domain_of_its_rows(receiver: Receiver) -> None:
    receiver.keep()
    own = DatasetPrivacy("people", 5.0, 1e-5, required=False)
    check_publishable(receiver.store, receiver.derived(privacy=own))
    assert receiver.derived().domain == "people"
    assert refused(receiver.derived(), receiver) == "privacy_fixed"  # its data has a budget
    elsewhere = DatasetPrivacy("fresh", 5.0, 1e-5)
    assert refused(receiver.derived("fresh", privacy=elsewhere), receiver) == "privacy_fixed"
    with pytest.raises(SecureFlowError) as caught:  # what a start and a reload look at
        check_lineage(receiver.store, receiver.derived("fresh", privacy=elsewhere))
    assert caught.value.code == "privacy_fixed"


async def test_without_a_budget_the_domain_is_inherited_as_well(tmp_path: Path) -> None:
    world = Receiver(tmp_path)
    world.record(await world.ask("consent", world.consent_body()))
    world.keep()
    check_publishable(world.store, world.derived("customers"))
    assert refused(world.derived("another"), world) == "privacy_fixed"


async def test_another_file_is_not_the_result(receiver: Receiver, tmp_path: Path) -> None:
    receiver.keep()
    own = DatasetPrivacy("people", 5.0, 1e-5, required=False)
    other = tmp_path / "other.parquet"
    other.write_bytes(b"other")
    assert refused(receiver.derived(privacy=own, path=str(other)), receiver) == "dataset_changed"
    assert refused(receiver.derived(privacy=own, path="absent"), receiver) == "dataset_changed"
    no_result = replace(
        receiver.derived(privacy=own), result=ResultOrigin("job_9999999999", "people")
    )
    assert refused(no_result, receiver) == "not_found"

"""The secret under which keys are drawn: one for an organisation, whatever happens to its agent."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import World

from secureflow.agent.owner.keysecret import FACT, keep_key_secret, key_secret
from secureflow.agent.owner.publications import declaration, differs, keep_published
from secureflow.agent.record.store import RecordStore
from secureflow.domain.schemas import ColumnConfig, DatasetConfig, DatasetPrivacy
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

KEY = SigningKey.from_seed(b"a" * 32)
OTHER = SigningKey.from_seed(b"b" * 32)
SPLIT = {"plan": {"rounds": 3, "validation": 0.2, "split": {"by": "key"}}}


class KeyedWorld(World):
    @property
    def declared(self) -> dict[str, Any]:
        return {**super().declared, "key": "person"}


def kept(store: RecordStore, key: SigningKey) -> bytes:
    with store.transaction():
        keep_key_secret(store, key)
    return key_secret(store, key)


def test_it_belongs_to_the_organisation_and_outlives_its_key(tmp_path: Path) -> None:
    with closing(RecordStore(tmp_path / "a.db")) as store:
        first = key_secret(store, KEY)
        assert len(first) == 32
        assert key_secret(store, OTHER) != first
        assert KEY.private.private_bytes_raw() not in first
        assert kept(store, KEY) == first
        assert kept(store, OTHER) == first  # the key has changed since


def test_a_backup_from_before_gives_the_same_rows(tmp_path: Path) -> None:
    with closing(RecordStore(tmp_path / "a.db")):
        shutil.copy(tmp_path / "a.db", tmp_path / "before.db")
    with closing(RecordStore(tmp_path / "a.db")) as store:
        now = kept(store, KEY)
    with closing(RecordStore(tmp_path / "before.db")) as store:
        assert key_secret(store, KEY) == now


def test_it_is_kept_once_a_dataset_with_a_key_is_published(tmp_path: Path) -> None:
    """A backup from before the first job holds out the same rows when the signing key is new."""
    with closing(RecordStore(tmp_path / "a.db")) as store:
        for declared, there in ((config(), False), (config(key="person"), True)):
            with store.transaction():
                keep_published(store, KEY, declared)
            assert (store.fact(FACT) is not None) == there
        kept = key_secret(store, KEY)
    shutil.copy(tmp_path / "a.db", tmp_path / "backup.db")
    with closing(RecordStore(tmp_path / "backup.db")) as store:
        assert key_secret(store, OTHER) == kept


@pytest.mark.parametrize("value", [7, "ab", "Z" * 64, ["ab" * 32]])
def test_a_damaged_one_is_named_and_not_replaced(tmp_path: Path, value: Any) -> None:
    with closing(RecordStore(tmp_path / "a.db")) as store:
        with store.transaction():
            store.set_fact(FACT, value)
        with pytest.raises(SecureFlowError, match="the fact keys cannot be read") as error:
            key_secret(store, KEY)
        assert error.value.code == "record_damaged"


async def test_an_approval_keeps_it_and_the_worker_gets_it_again_after_a_restart(
    tmp_path: Path,
) -> None:
    world = KeyedWorld(tmp_path / "a", spec_changes=SPLIT)
    assert world.store.fact(FACT) is None
    await world.ask("consent", world.consent_body())
    assert world.store.fact(FACT) is not None
    given = []
    for _ in range(2):
        context = world.assembly.context
        job, spec = context.approved(world.consent_body()["job"], world.digest)
        dataset, _, _, keys = context.reading(context.pinned(job, spec))
        assert dataset is not None
        assert dataset.key_column == "person"
        given.append(keys)
        world.reopen()
    assert given[0] == given[1] == key_secret(world.store, world.all_keys["bank-a"])


async def test_whoever_decides_is_told_the_column_of_keys(tmp_path: Path) -> None:
    world = KeyedWorld(tmp_path / "a", policy="", spec_changes=SPLIT)
    asking = asyncio.create_task(world.ask("consent", world.consent_body()))
    for _ in range(1_000):
        await asyncio.sleep(0.001)
        if waiting := world.assembly.inbox.list(waiting=True):
            break
    assert waiting[0].request["key"] == "person"
    assert "person" not in waiting[0].request["columns"]
    asking.cancel()


async def test_a_job_by_key_on_data_without_one_is_refused_before_anybody_is_asked(
    tmp_path: Path,
) -> None:
    world = World(tmp_path / "a", spec_changes=SPLIT)
    with pytest.raises(SecureFlowError) as error:
        await world.ask("consent", world.consent_body())
    assert error.value.code == "key_undeclared"
    assert "'customers'" in str(error.value.message)
    assert "`key: COLUMN`" in str(error.value.hint)
    assert world.store.fact(FACT) is None


def config(**more: Any) -> DatasetConfig:
    return DatasetConfig("clients", "clients.csv", "csv", (ColumnConfig("x", "number"),), **more)


def test_a_key_that_is_declared_or_changed_later_is_published_again() -> None:
    fact: Any = declaration(config())
    assert not differs(fact, config())
    assert differs(fact, config(key="person"))
    assert differs(declaration(config(key="person")), config(key="account"))  # type: ignore[arg-type]
    person = DatasetPrivacy("d", 1.0, 1e-6, "person", person="who")
    assert "key" not in declaration(config(privacy=person))["reading"]  # type: ignore[operator]

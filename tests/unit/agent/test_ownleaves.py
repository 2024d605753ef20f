"""Own leaves out of the log: read as far as the log signed that it goes, and to an end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World

from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.record.restored import ForgottenJobs
from secureflow.domain.charter import SignedCharter
from secureflow.domain.specs.base import dump
from secureflow.engines.ledger.leaves import leaf_from_json, sign_leaf
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.crypto import SigningKey
from tests.unit.agent.test_budgets import BUDGET, PRIVATE, spent, world
from tests.unit.agent.test_restored import (
    backed_up,
    logged,
    put_back,
    put_raw,
    refusal,
    refused_domain,
    restored_since,
    settle,
    unsettled,
)


class Liar:
    """A centre whose log has a signed head, and pages as it pleases; a reader must come to an end.

    Args:
        agent: whose log it is.
        page: what each page is made of, from the one that an honest centre gives.
        head: the same of the head.
    """

    def __init__(self, agent: World, page: Any = None, head: Any = None) -> None:
        self._agent, self._page, self._head = agent, page, head
        self.pages = 0

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        answer = await self._agent.call(kind, body)
        if kind == "audit.head" and self._head is not None:
            return self._head(answer)
        if kind == "audit.entries" and self._page is not None:
            self.pages += 1
            assert self.pages < 5
            return {"entries": self._page(answer["entries"])}
        return answer


def readers(agent: World, liar: Liar) -> dict[str, Any]:
    """Return everything that reads the log for own leaves."""
    context = agent.assembly.context
    public = context.key.public
    late = BudgetRecovery(context.budgets, agent.store, ME, public, liar.call, context.clock)
    rollback, budgets = agent.assembly.rollback, context.budgets
    rollback._call = budgets._reconciliation._call = liar.call
    return {
        "settle": lambda: late.settle("customers", []),
        "first look": rollback.check,
        "consent": lambda: ForgottenJobs(agent.store, ME, public, liar.call).check("job_of_today"),
        "private job": budgets._reconciliation.ensure,
    }


@pytest.mark.parametrize("reader", ["settle", "first look", "consent", "private job"])
async def test_pages_without_end_are_not_read(tmp_path: Path, reader: str) -> None:
    """The log signs how far it goes; a centre kept the reader, and every private job, for ever."""
    agent = world(tmp_path)
    put_back(agent, backed_up(agent))
    agent.entries = [{"index": at, "hash": "00" * 32} for at in range(3)]
    liar = Liar(agent, lambda page: page or [{"hash": "00" * 32}])
    await readers(agent, liar)[reader]()
    assert liar.pages == 1


@pytest.mark.parametrize("reader", ["settle", "first look", "consent", "private job"])
@pytest.mark.parametrize("lie", ["too long a page", "too few pages", "no head", "another's head"])
async def test_a_centre_shows_no_more_and_no_less_than_its_log_signed(
    tmp_path: Path, reader: str, lie: str
) -> None:
    agent = world(tmp_path)
    put_back(agent, backed_up(agent))
    agent.entries = [{"index": at, "hash": "00" * 32} for at in range(3)]
    other = sign_checkpoint(Checkpoint(ORIGIN, 3, bytes(32)), agent.keys["bank-c"])
    liar = {
        "too long a page": Liar(agent, lambda page: [{"hash": "00" * 32}] * 501),
        "too few pages": Liar(agent, lambda page: page[2:]),
        "no head": Liar(agent, head=lambda head: {"entries": []}),
        "another's head": Liar(agent, head=lambda head: {"note": other}),
    }[lie]
    error = await refusal(agent, readers(agent, liar)[reader]())
    signed = "ledger_bad_signature" if lie == "another's head" else "invalid_answer"
    assert error.code == signed
    assert refused_domain(agent, "customers") == "budget_locked"


async def test_an_owner_who_settles_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.agent.owner.budgetrecovery.READ_WITHIN", 0.05)
    agent, _, bundle = await restored_since(tmp_path)
    context = agent.assembly.context

    async def silent(kind: str, body: dict[str, Any]) -> Any:
        await asyncio.Event().wait()

    late = BudgetRecovery(
        context.budgets, agent.store, ME, context.key.public, silent, context.clock
    )
    error = await refusal(agent, late.settle("customers", [bundle]))
    assert error.code == "server_unreachable"


async def another_key(tmp_path: Path, *, restored: bool = True) -> tuple[World, float]:
    """Return an agent on a record from before a job, under a key made since, and what it spent.

    The log shows what was signed in the job, under the key that the pinned charter names.
    """
    agent = World(tmp_path, privacy=BUDGET, spec_changes=PRIVATE, members=("bank-d",))
    copy = backed_up(agent)
    await agent.admitted()
    await agent.round(1)
    before, agent.entries = await spent(agent), logged(agent)
    agent.all_keys[ME] = SigningKey.generate()
    (put_back if restored else put_raw)(agent, copy)
    return agent, before


async def test_what_was_spent_under_the_key_of_before_is_settled(tmp_path: Path) -> None:
    """A change of the key as docs/deploy.md tells it: the spent budget was whole again."""
    agent, before = await another_key(tmp_path)
    assert await unsettled(agent) == "bundle_missing"
    assert refused_domain(agent, "customers") == "budget_locked"
    await settle(agent, {"job": JOB, "spec": dump(agent.spec)})
    assert await spent(agent) == pytest.approx(before)


async def test_a_budget_entry_under_the_key_of_before_stops_a_private_job(tmp_path: Path) -> None:
    agent, _ = await another_key(tmp_path, restored=False)
    error = await refusal(agent, agent.assembly.context.budgets._reconciliation.ensure())
    assert error.code == "budget_rolled_back"


async def test_a_job_under_the_key_of_before_is_older_than_the_restore(tmp_path: Path) -> None:
    agent, _ = await another_key(tmp_path)
    floor = ForgottenJobs(agent.store, ME, agent.assembly.context.key.public, agent.call)
    assert (await refusal(agent, floor.check(JOB))).code == "restored_since"


async def test_also_where_the_charter_that_named_that_key_was_followed(tmp_path: Path) -> None:
    """The members changed it to the new key; the version before it is kept."""
    agent, before = await another_key(tmp_path)
    pinned = agent.assembly.context.charter.pinned()
    changed = replace(agent.charter, version=2, previous=pinned.digest)
    signed = SignedCharter(changed)
    for name, key in agent.all_keys.items():
        signed = signed.sign(name, key)
    agent.assembly.context.charter.pin(signed)
    agent.reopen()
    assert await unsettled(agent) == "bundle_missing"
    await settle(agent, {"job": JOB, "spec": dump(agent.spec)})
    assert await spent(agent) == pytest.approx(before)


async def test_a_key_that_no_charter_named_makes_no_own_leaf(tmp_path: Path) -> None:
    """Else whoever puts one into the log could keep an organisation out of any job."""
    agent, _ = await another_key(tmp_path)
    stranger = SigningKey.generate()
    leaves = [leaf_from_json(one["leaf"]).leaf for one in agent.entries]
    agent.entries = [
        {"index": at, "leaf": sign_leaf(leaf, stranger).json()} for at, leaf in enumerate(leaves)
    ]
    await settle(agent)
    assert await spent(agent) == 0

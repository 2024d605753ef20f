"""Own leaves out of the log: read as far as the log signed that it goes, and to an end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import ME, ORIGIN, World

from secureflow.agent.restored import Floor
from secureflow.agent.settling import Settling
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from tests.unit.agent.test_budgets import world
from tests.unit.agent.test_restored import (
    backed_up,
    put_back,
    refusal,
    refused_domain,
    restored_since,
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
    late = Settling(context.budgets, agent.store, ME, public, liar.call, context.clock)
    recall, budgets = agent.assembly.recall, context.budgets
    recall._call = budgets._call = liar.call
    return {
        "settle": lambda: late.settle("customers", []),
        "first look": recall.check,
        "consent": lambda: Floor(agent.store, ME, public, liar.call).check("job_of_today"),
        "private job": budgets._reconcile,
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
    monkeypatch.setattr("secureflow.agent.settling.READ_WITHIN", 0.05)
    agent, _, bundle = await restored_since(tmp_path)
    context = agent.assembly.context

    async def silent(kind: str, body: dict[str, Any]) -> Any:
        await asyncio.Event().wait()

    late = Settling(context.budgets, agent.store, ME, context.key.public, silent, context.clock)
    error = await refusal(agent, late.settle("customers", [bundle]))
    assert error.code == "server_unreachable"

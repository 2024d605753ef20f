"""An auditor's own node says which statements about a chain are true."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from peers.chains import World, chain, finished, word, world

from secureflow.cli.anchornodes import NodeAnswer, asked_of_node
from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors.statements import Statement

JOB = e.RegisterJob(word("job"), word("spec"))


@pytest.fixture
async def here() -> AsyncIterator[World]:
    with chain("--gas-price", "0", "--block-base-fee-per-gas", "0") as url:
        async with world(url, members=2) as made:
            yield made


async def test_a_node_holds_what_is_there_and_nothing_else(here: World) -> None:
    anchor, url = here.anchor(here.parties[0]), here.settings.url
    ticket = await anchor.prepare([JOB], [])
    await anchor.send(ticket)
    done = await finished(anchor, ticket)
    true = Statement(here.place, JOB, "kept", ticket.id, done.position.block, done.receipt, 1)
    _, chain_id, contract = here.place.split(":")
    said = {
        "as it is": (true, True),
        "another deed": (replace(true, entry=e.Remove(word("x"))), False),
        "another transaction beside the receipt": (replace(true, transaction="ab" * 32), False),
        "another block beside the receipt": (replace(true, block=true.block + 1), False),
        "no receipt": (replace(true, receipt=None), False),
        "another contract": (replace(true, place=f"evm:{chain_id}:0x" + "ab" * 20), None),
        "a file": (replace(true, place="file:" + "ab" * 32), None),
        "a channel": (replace(true, place="fabric:a:b"), None),
        "another chain": (replace(true, place=f"evm:{int(chain_id) + 1}:{contract}"), None),
    }
    answers = await asked_of_node([one for one, _ in said.values()], url)
    held = {what: answer.holds for what, answer in zip(said, answers, strict=True)}
    assert held == {what: expected for what, (_, expected) in said.items()}
    assert answers[-1].reason
    assert answers[-2] == NodeAnswer()

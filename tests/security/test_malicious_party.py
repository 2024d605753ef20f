"""One party of the roster against the others' job: it may drop out, never stop them unnamed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from secureflow.application.ports.courier import PartyStatus, Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.recording import pending_leaves
from secureflow.engines.ledger.ends import End
from secureflow.engines.script import Ask, Record
from secureflow.kit.errors import SecureFlowError
from tests.unit.engines.training.test_federated_script import drive
from tests.unit.engines.training.world import World

JSON = Any
Lie = Callable[[dict[str, JSON]], JSON]


def lying(verb: str, lie: Lie) -> Callable[[str, str, dict[str, JSON]], JSON]:
    """bank-d lies in its answers to one verb."""
    return lambda party, asked, reply: lie(reply) if (party, asked) == ("bank-d", verb) else reply


@pytest.mark.parametrize("code", ["enclave_lost", "attestation_expired"])
def test_a_party_that_always_says_that_the_enclave_is_gone_drops_out(code: str) -> None:
    """Else each of its answers costs everybody an attestation, until the job fails unnamed."""
    world = World(count=4)
    world.refuse["bank-d", "train"] = SecureFlowError(code, "bank-d sees no enclave")
    report = drive(world, [])
    assert report["contributions"]["bank-d"]["rounds"] == 0
    assert {drop["party"] for drop in report["dropouts"]} == {"bank-d"}
    assert report["generations"] < 12


def test_where_nobody_can_be_missed_it_is_named() -> None:
    world = World(count=3)
    world.refuse["bank-c", "train"] = SecureFlowError("enclave_lost", "bank-c sees no enclave")
    with pytest.raises(SecureFlowError, match="bank-c") as caught:
        drive(world, [])
    assert caught.value.code == "too_few_contributors"


@pytest.mark.parametrize(
    "lie",
    [
        lambda reply: {**reply, "vote": {}},
        lambda reply: {**reply, "vote": {**reply["vote"], "signature": "?"}},
        lambda reply: {},
    ],
)
def test_a_vote_that_is_none_does_not_count(lie: Lie) -> None:
    assert drive(World(count=4, liar=lying("close", lie)), [])["rounds"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"document": {"rows": "another"}},
        {"salt": "zz" * 32},
        {"salt": "07" * 31},
        {"salt": 7},
        {"salt": ["07"]},
    ],
)
def test_a_leafs_document_is_what_it_commits_to(changes: dict[str, JSON]) -> None:
    """Else the party's word in the log is one thing and what the audit shows another."""
    world = World(count=4, liar=lying("train", lambda reply: {**reply, **changes, "leaves": []}))
    with pytest.raises(SecureFlowError, match="bank-d") as caught:
        drive(world, [])
    assert caught.value.code == "leaf_forged"
    for number, entry in enumerate(world.entries):  # whatever is recorded can be stored
        record = Record((entry,))
        pending_leaves(
            "job_1", number, record, "log.example", world.log_key, world.digest, 1, End()
        )


class Parties:
    """A courier whose parties give set answers."""

    def __init__(self, **replies: JSON) -> None:
        self._replies = replies

    async def ask(self, request: Request) -> JSON:
        return self._replies[request.party]

    def status(self, party: str) -> PartyStatus:
        raise NotImplementedError

    async def withdraw(self, job: str) -> None:
        raise NotImplementedError


HONEST: JSON = {"title": "SIMULATED SGX 00", "tier": "sgx", "simulated": True}
"""What an agent says of an enclave that it verified."""


async def _ignore(party: str, head: str, line: str) -> None:
    del party, head, line


@pytest.mark.parametrize(
    ("verb", "reply"),
    [
        ("train", []),
        ("train", None),
        ("train", {"rows": "many"}),
        ("train", {"rows": -1}),
        ("train", {"rows": 1.5}),
        ("train", {"leaves": 5}),
        ("train", {"leaves": ["leaf"]}),
        ("train", {"leaf": "leaf"}),
        ("train", {"cosignature": 5}),
        ("challenge", {}),
        ("challenge", {"nonce": "00" * 32, "recipient": "", "signature": 1}),
        ("challenge", {"nonce": "0" * 65, "recipient": "", "signature": ""}),
        ("challenge", {"nonce": "", "recipient": "A" * 8193, "signature": ""}),
        ("admit", {"verdict": "fine"}),
        ("admit", {}),
        ("consent", {"approval": None}),
        ("close", {"vote": "yes"}),
    ],
)
async def test_an_answer_of_another_shape_is_its_partys_failure(verb: str, reply: JSON) -> None:
    """A script that met it would stop by a defect, for all parties and without a name."""
    asking = Asking(Parties(a={"nonce": "00", "recipient": "", "signature": "", "verdict": HONEST,
                               "approval": {}, "vote": {}}, b=reply), _ignore)  # fmt: skip
    found = await asking.perform("job_1", 1, Ask(("a", "b"), verb, {}, need=0), asyncio.Event())
    assert list(found["replies"]) == ["a"]
    assert found["failures"]["b"]["code"] == "malformed_reply"
    assert "b" in found["failures"]["b"]["message"]

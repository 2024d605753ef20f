"""What members say they anchored, at the centre: theirs alone, once, and bounded."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.domain import anchorstatements
from secureflow.engines.anchors.entries import RegisterJob
from secureflow.engines.anchors.statements import Statement, sign_statement
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import SpiffeId
from secureflow.server.anchorverbs import tell_anchors
from tests.stage import Stage, known_key

PLACE = "evm:1337:0x" + "ab" * 20


def agent(organisation: str) -> PeerIdentity:
    return PeerIdentity(organisation, SpiffeId("test.example", "agent", organisation, "a"), "1")


def statement(number: int, by: str = "bank-a") -> Any:
    """Return a statement by the stage's key of an organisation."""
    entry = RegisterJob(number.to_bytes(32, "big"), b"\x02" * 32)
    made = Statement(PLACE, entry, "kept", "ab" * 32, number, {"status": 1}, 1_800_000_000)
    return sign_statement(made, known_key(by)).json()


async def tell(stage: Stage, *told: Any, by: str = "bank-a") -> Any:
    return await tell_anchors(stage.services, agent(by), {"statements": list(told)})


async def listed(stage: Stage, **filters: Any) -> list[Any]:
    page = await stage.services.anchors.list(stage.scientist("bank-b"), **filters)
    return page.items


async def test_what_a_member_signed_is_kept_once_and_shown_to_all(stage: Stage) -> None:
    assert await tell(stage, statement(1), statement(2)) == {"kept": 2}
    assert await tell(stage, statement(2), statement(3)) == {"kept": 1}
    found = await listed(stage)
    assert {one.statement["body"]["block"] for one in found} == {1, 2, 3}
    assert {(one.organisation, one.place, one.kind) for one in found} == {
        ("bank-a", PLACE, "registerJob")
    }
    assert await listed(stage, organisation="bank-b") == []
    assert len(await listed(stage, place=PLACE)) == 3


async def test_of_a_deed_that_stands_elsewhere_by_now_the_last_statement_counts(
    stage: Stage,
) -> None:
    """After a reorganisation the first one would convict the member."""
    await tell(stage, statement(1))
    entry = RegisterJob((1).to_bytes(32, "big"), b"\x02" * 32)
    moved = Statement(PLACE, entry, "kept", "cd" * 32, 7, {"status": 1}, 1_800_000_009)
    signed = sign_statement(moved, known_key("bank-a")).json()
    assert await tell(stage, signed) == {"kept": 1}
    assert await tell(stage, signed) == {"kept": 0}
    (found,) = await listed(stage)
    assert found.statement == signed


async def test_nobody_speaks_for_another(stage: Stage) -> None:
    with pytest.raises(SecureFlowError, match="another key"):
        await tell(stage, statement(1), by="bank-b")
    with pytest.raises(SecureFlowError) as caught:
        await tell_anchors(stage.services, agent(ENCLAVE), {"statements": []})
    assert caught.value.code == "forbidden"
    assert await listed(stage) == []


@pytest.mark.parametrize("told", [None, {}, ["x"], [statement(1)] * 51, [{**statement(1), "x": 1}]])
async def test_what_is_malformed_leaves_nothing(stage: Stage, told: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await tell_anchors(stage.services, agent("bank-a"), {"statements": told})
    assert caught.value.code == "malformed_anchor"
    assert await listed(stage) == []


async def test_of_each_member_the_newest_are_kept(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.application.anchorstatements.MOST_HELD", 3)
    await tell(stage, statement(9, "bank-b"), by="bank-b")
    for number in range(5):
        await tell(stage, statement(number))
    assert len(await listed(stage, organisation="bank-a")) == 3
    assert len(await listed(stage, organisation="bank-b")) == 1
    assert anchorstatements.MOST_TOLD == 50

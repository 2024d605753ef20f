"""A faulty or hostile party against the aggregator: refused by name, the round goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from peers.secagg import MODEL, Table

from secureflow.engines.closing import cast_vote
from secureflow.engines.secagg import messages
from secureflow.engines.secagg.masks import self_key
from secureflow.engines.secagg.messages import Ballot, Opening
from secureflow.engines.secagg.shamir import PRIME, SHARE_BYTES
from secureflow.engines.secagg.shares import open_pair, seal_pair
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(SecureFlowError) as refused:
        call()
    return refused.value.code


@pytest.fixture
def closed() -> Table:
    """Four parties, one lost before its upload; the question is out."""
    table = Table(4)
    table.set_up()
    table.begin()
    table.upload(table.names[:3])
    table.aggregator.close()
    return table


def test_a_party_speaks_only_for_itself() -> None:
    table = Table(4)
    first, second = table.names[:2]
    receive = table.aggregator.receive
    assert code_of(lambda: receive(second, table.clients[first].setup())) == "forged_sender"
    table.set_up()
    again = table.clients[first].advance(1)
    assert code_of(lambda: receive(second, again)) == "forged_sender"
    assert code_of(lambda: receive("org-9", again)) == "unknown_party"
    assert code_of(lambda: receive(first, table.aggregator.meet())) == "unexpected_message"


def test_keys_that_their_organisation_did_not_sign() -> None:
    table = Table(4)
    table.set_up()
    first = table.names[0]
    client, stranger = table.clients[first], SigningKey.generate()
    setup = messages.sign_setup(stranger, table.plan, first, client._own.key)
    receive = table.aggregator.receive
    assert code_of(lambda: receive(first, messages.pack(setup))) == "forged_key"
    advance, body = messages.unpack(table.plan, client.advance(1))
    forged = dataclasses.replace(advance.round_key, commitment="00" * 32)
    frame = messages.pack(dataclasses.replace(advance, round_key=forged), bytes(body))
    assert code_of(lambda: receive(first, frame)) == "forged_key"
    assert table.aggregator.ready(1) == ()


def test_a_vote_on_another_question(closed: Table) -> None:
    first = closed.names[0]
    asked, _ = messages.unpack(closed.plan, closed.aggregator.requests()[first])
    other = dataclasses.replace(asked, round=1)
    vote = cast_vote(other, first, closed.keys[first])
    frame = messages.pack(Ballot(first, vote.signature))
    assert code_of(lambda: closed.aggregator.receive(first, frame)) == "vote_forged"
    dead = closed.names[3]
    vote = cast_vote(asked, dead, closed.keys[dead])
    frame = messages.pack(Ballot(dead, vote.signature))
    assert code_of(lambda: closed.aggregator.receive(dead, frame)) == "unexpected_message"
    assert closed.aggregator.certificate is None


def test_an_upload_after_the_close_is_too_late(closed: Table) -> None:
    late = closed.names[3]
    assert code_of(lambda: closed.upload([late])) == "upload_too_late"
    closed.ask()
    closed.ask()
    assert closed.aggregator.result().survivors == tuple(closed.names[:3])


def test_shares_outside_the_field_are_refused_on_both_sides(closed: Table) -> None:
    closed.ask()
    first = closed.names[0]
    frame = closed.clients[first].answer(closed.aggregator.requests()[first])
    opening, body = messages.unpack(closed.plan, frame)
    assert isinstance(opening, Opening)
    wide = PRIME.to_bytes(SHARE_BYTES, "big") + bytes(body[SHARE_BYTES:])
    receive = closed.aggregator.receive
    assert code_of(lambda: receive(first, messages.pack(opening, wide))) == "malformed_frame"
    one, other = closed.clients[closed.names[1]], closed.clients[first]
    key = one._round_key(1)
    agreed = one._agreed[first]
    sealed = seal_pair(agreed, one._own, other._own, key, (PRIME, 1))
    assert code_of(lambda: open_pair(agreed, one._own, other._own, key, sealed)) == (
        "share_unopenable"
    )


def test_a_self_mask_is_fresh_in_every_context() -> None:
    assert self_key(bytes(32), "aa" * 32) != self_key(bytes(32), "ab" * 32)


def test_too_few_keys_or_updates_lose_the_round_by_name() -> None:
    table = Table(4)
    table.set_up(table.names[:2])
    with pytest.raises(SecureFlowError) as lost:
        table.aggregator.begin(0, MODEL)
    assert lost.value.code == "round_lost"
    assert lost.value.details == {"missing": table.names[2:], "round": 0}
    table = Table(4)
    table.set_up()
    table.begin()
    table.upload(table.names[:2])
    with pytest.raises(SecureFlowError) as lost:
        table.aggregator.close()
    assert lost.value.details == {"missing": table.names[2:], "round": 0}

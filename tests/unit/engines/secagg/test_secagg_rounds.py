"""Whole rounds without a network: hypothesis chooses who drops when and who crashes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from peers.secagg import MODEL, Table

from secureflow.engines.secagg import Aggregator, SecAggClient
from secureflow.engines.secagg.framing import FrameKind, decode_frame
from secureflow.engines.secagg.shamir import PRIME, lagrange
from secureflow.kit.errors import SecureFlowError

STAGES = ("setup", "advance", "begin", "upload", "vote", "open", "never")
CLEAN = {"round_lost", "too_few_openings"}


def _check(table: Table, survivors: set[str]) -> None:
    got = table.aggregator.result()
    mean, weight = table.expected(sorted(survivors))
    assert (got.mean == mean).all()
    assert (got.weight, set(got.survivors)) == (weight, survivors)
    loss = sum(table.losses[n] * table.weights[n] for n in survivors) / weight
    assert got.metrics["loss"] == pytest.approx(loss, abs=10 / 2**12)


def _finish(table: Table, voters: set[str], openers: set[str]) -> None:
    table.aggregator.close()
    if not table.aggregator._round.nobody_dead:
        table.ask(voters)
    table.ask(openers)


class _Script:
    """One round in which each party leaves at its stage, and everybody crashes at some stages."""

    def __init__(self, table: Table, last: dict[str, str], crashes: set[str]) -> None:
        self.table = table
        self.last = last
        self.crashes = crashes

    def left(self, stage: str) -> set[str]:
        """Who still takes part in this stage."""
        return {n for n in self.table.names if STAGES.index(self.last[n]) > STAGES.index(stage)}

    def reach(self, stage: str) -> set[str]:
        if stage in self.crashes:
            self.table.restart(self.left(stage), aggregator=True)
        return self.left(stage)

    def run(self) -> str:
        """Return `sum` after checking that it is exact, or the code of the abort."""
        try:
            self._run()
        except SecureFlowError as error:
            return error.code
        _check(self.table, self.left("upload"))
        return "sum"

    def _run(self) -> None:
        table = self.table
        for name in self.reach("setup"):
            table.aggregator.receive(name, table.clients[name].setup())
        for name in self.reach("advance"):
            table.clients[name].meet(table.aggregator.meet())
            table.aggregator.receive(name, table.clients[name].advance(0))
        begun = table.aggregator.begin(0, MODEL)
        for name in self.reach("begin"):
            table.clients[name].begin(begun[name], MODEL)
        table.upload(sorted(self.reach("upload")))
        table.aggregator.close()
        table.ask(self.reach("vote"))
        if not self.everybody:
            table.ask(self.reach("open"))
        table.aggregator.result()

    @property
    def everybody(self) -> bool:
        """Nobody was lost between the round's begin and its close: one closing flight."""
        return self.left("advance") == self.left("upload")


def _open(table: Table, voters: set[str], openers: set[str]) -> None:
    _finish(table, voters, openers)
    table.aggregator.result()


@pytest.mark.slow
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_any_dropout_ends_in_the_exact_sum_or_a_clean_abort(data: st.DataObject) -> None:
    table = Table(data.draw(st.integers(3, 8)), rounds=2)
    # Mostly present, else nearly every example would end before a sum.
    when = st.just("never") | st.just("never") | st.sampled_from(STAGES)
    last = {n: data.draw(when, label=n) for n in table.names}
    script = _Script(table, last, data.draw(st.sets(st.sampled_from(STAGES))))
    enough = len(script.left("vote" if script.everybody else "open")) >= table.plan.threshold
    outcome = script.run()
    event(outcome)
    assert outcome == "sum" if enough else outcome in CLEAN


@pytest.mark.parametrize("dropped", range(4))
@pytest.mark.parametrize("stage", ["before upload", "before vote", "before opening"])
def test_every_stage_and_number_of_dropouts_of_eight(dropped: int, stage: str) -> None:
    table = Table(8)
    table.set_up()
    table.begin()
    gone = set(table.names[1 : 1 + dropped])
    everybody = set(table.names)
    alive = everybody - gone
    table.upload(sorted(alive) if stage == "before upload" else None)
    survivors = alive if stage == "before upload" else everybody
    attempt = (table, everybody if stage == "before opening" else alive, alive)
    if dropped == 3:
        with pytest.raises(SecureFlowError) as lost:
            _open(*attempt)
        assert lost.value.code in CLEAN
        return
    _open(*attempt)
    _check(table, survivors)


def test_a_round_of_few_bits_a_value_takes_two_bytes_a_slot() -> None:
    table = Table(4, bits=7, counted_bits=20)
    assert table.plan.ring == np.dtype("<u2")
    table.set_up()
    table.begin()
    alive = set(table.names[1:])
    table.upload(sorted(alive))
    table.restart(sorted(alive), aggregator=True)
    _finish(table, alive, alive)
    _check(table, alive)


def test_the_steady_state_has_two_flights() -> None:
    table = Table(4, rounds=3)
    table.set_up()
    for round_ in range(3):
        table.begin(round_)
        table.upload()
        table.aggregator.close()
        table.ask()
        _check(table, set(table.names))
        assert len(table.aggregator.certificate.votes) == 4


def test_a_party_that_missed_a_round_comes_back() -> None:
    table = Table(5, rounds=4)
    table.set_up(table.names[:4])
    table.begin(0)
    table.upload(table.names[:4])
    _finish(table, set(table.names), set(table.names))
    _check(table, set(table.names[:4]))
    # The newcomer meets the others while they already hold keys for round 1; it joins round 2.
    late = table.names[4]
    table.aggregator.receive(late, table.clients[late].setup())
    for client in table.clients.values():
        client.meet(table.aggregator.meet())
    table.aggregator.receive(late, table.clients[late].advance(2))
    table.begin(1)
    table.upload(table.names[:4])
    _finish(table, set(table.names), set(table.names))
    assert table.aggregator.ready(2) == tuple(table.names)
    table.begin(2)
    table.upload([*table.names[:3], late])
    _finish(table, set(table.names), set(table.names))
    _check(table, {*table.names[:3], late})
    # One dropped out of round 2, so it has no key for round 3 until it advances itself.
    missed = table.names[3]
    assert missed not in table.aggregator.ready(3)
    table.aggregator.receive(missed, table.clients[missed].advance(3))
    assert table.aggregator.ready(3) == tuple(table.names)
    table.begin(3)
    table.upload()
    _finish(table, set(table.names), set(table.names))
    _check(table, set(table.names))


def test_a_restart_repeats_every_word() -> None:
    table = Table(4)
    table.set_up()
    table.begin()
    name = table.names[0]
    key = table.keys[name]

    def twin() -> SecAggClient:
        return SecAggClient.restore(table.plan, name, key, table.clients[name].export_state())

    first = bytes(table.masked(name))
    assert (
        twin().upload(table.values[name], table.weights[name], {"loss": table.losses[name]})
        == first
    )
    table.upload(table.names[:3])
    table.aggregator.close()
    question = table.aggregator.requests()[name]
    vote = table.clients[name].answer(question)
    assert twin().answer(question) == vote
    table.ask(table.names[1:])
    table.aggregator.receive(name, vote)
    certificate = table.aggregator.requests()[name]
    assert decode_frame(certificate, 0).kind is FrameKind.CERTIFICATE
    assert twin().answer(certificate) == table.clients[name].answer(certificate)


def test_a_repeated_frame_changes_nothing() -> None:
    table = Table(4)
    table.set_up()
    table.begin()
    for _ in range(2):
        table.upload()
    table.aggregator.close()
    for _ in range(2):
        for name, frame in table.aggregator.requests().items():
            answer = table.clients[name].answer(frame)
            table.aggregator.receive(name, answer)
            table.aggregator.receive(name, answer)
    _check(table, set(table.names))


def test_the_aggregators_state_holds_no_secret() -> None:
    table = Table(4)
    table.set_up()
    table.begin()
    table.upload()
    table.aggregator.close()
    table.ask()
    shares = [s for row in table.aggregator._round.shares.values() for s in row]
    state = table.aggregator.export_state()
    assert shares
    for share in shares:
        assert share.to_bytes(66, "big")[-40:] not in state
        assert str(share).encode() not in state


def test_a_lying_share_is_left_out_or_aborts_by_name() -> None:
    for parties, spare in ((4, True), (3, False)):
        table = Table(parties)
        table.set_up()
        table.begin()
        table.upload()
        table.aggregator.close()
        table.ask()
        liar = table.names[1]
        table.aggregator._round.shares[liar][0] ^= 1
        if spare:
            _check(table, set(table.names))
            assert table.aggregator.liars == (liar,)
        else:
            with pytest.raises(SecureFlowError) as lost:
                table.aggregator.result()
            assert lost.value.code == "share_mismatch"
            assert lost.value.details == {"party": table.names[0]}


@pytest.mark.parametrize("place", [0, 4])
def test_a_lie_that_still_gives_32_bytes_is_named(place: int) -> None:
    """The liar knows the coefficients, and moves the secret by one: a survivor's b, a dead's s."""
    table = Table(5)
    table.set_up()
    table.begin()
    table.upload(table.names[:4])
    table.aggregator.close()
    table.ask()
    table.ask()
    shares = table.aggregator._round.shares[table.names[1]]
    shares[place] = (shares[place] + pow(lagrange([1, 2, 3, 4])[1], -1, PRIME)) % PRIME
    with pytest.raises(SecureFlowError) as lost:
        table.aggregator.result()
    assert (lost.value.code, lost.value.details["party"]) == ("share_mismatch", table.names[place])


def test_sixty_four_bit_rings_work_the_same() -> None:
    table = Table(5, bits=30, max_weight=1 << 20)
    assert table.plan.ring == np.dtype("<u8")
    table.set_up()
    table.begin()
    table.upload(table.names[1:])
    _finish(table, set(table.names), set(table.names))
    assert (table.aggregator.result().mean == table.expected(table.names[1:])[0]).all()


@pytest.mark.parametrize("cut", [0, 7, 9, 200, -4, -1])
def test_an_unreadable_state_is_no_fresh_start(cut: int) -> None:
    table = Table(3)
    table.set_up()
    table.begin()
    name = table.names[0]
    state = table.clients[name].export_state()
    with pytest.raises(SecureFlowError) as refused:
        SecAggClient.restore(table.plan, name, table.keys[name], state[:cut])
    assert refused.value.code == "state_unreadable"
    for broken in (table.aggregator.export_state()[:cut], b'{"setups":[]}'):
        with pytest.raises(SecureFlowError) as refused:
            Aggregator.restore(table.plan, broken)
        assert refused.value.code == "state_unreadable"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("dropped", range(0, 23))
@pytest.mark.parametrize("stage", ["before upload", "before vote", "before opening"])
def test_every_stage_and_number_of_dropouts_of_sixty_four(dropped: int, stage: str) -> None:
    table = Table(64, rounds=1)
    table.set_up()
    table.begin()
    everybody = set(table.names)
    alive = everybody - set(table.names[1 : 1 + dropped])
    table.upload(sorted(alive) if stage == "before upload" else None)
    attempt = (table, everybody if stage == "before opening" else alive, alive)
    if dropped > 64 - table.plan.threshold:
        with pytest.raises(SecureFlowError) as lost:
            _open(*attempt)
        assert lost.value.code in CLEAN
        return
    _open(*attempt)
    _check(table, alive if stage == "before upload" else everybody)


@pytest.mark.soak
def test_a_full_graph_of_256() -> None:
    table = Table(256, dim=3, rounds=1)
    table.set_up()
    table.begin()
    table.upload(table.names[85:])
    _finish(table, set(table.names), set(table.names))
    _check(table, set(table.names[85:]))

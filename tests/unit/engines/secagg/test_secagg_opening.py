"""A round whose vectors travel apart: the conductor's words, and what the folder checks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from peers.secagg import MODEL, Table

from secureflow.engines.closing import Certificate, Question, cast_vote
from secureflow.engines.secagg import Conductor, Opened, SecAggClient, open_sum
from secureflow.engines.secagg.encoding import decode, mean_into
from secureflow.kit.errors import SecureFlowError

DIM = 16


class Apart:
    """A table whose vectors do not pass through its conductor."""

    def __init__(self, parties: int = 4, least: int = 0) -> None:
        self.table = Table(parties)
        self.plan = self.table.plan = replace(self.table.plan, least=least)
        keys = self.table.keys.items()
        self.table.clients = {name: SecAggClient(self.plan, name, key) for name, key in keys}
        self.conductor = Conductor(self.plan)
        self.total = np.zeros(self.plan.encoding.slots, self.plan.ring)
        clients = self.table.clients
        for name, client in clients.items():
            self.conductor.receive(name, client.setup())
        for client in clients.values():
            client.meet(self.conductor.meet())
        for name, client in clients.items():
            self.conductor.receive(name, client.advance(0))
        for name, frame in self.conductor.begin(0, MODEL).items():
            clients[name].begin(frame, MODEL)

    def upload(self, names: list[str]) -> np.ndarray:
        """Have parties mask; return the sum of their values, each of weight 1."""
        expected = np.zeros(self.plan.encoding.length)
        for at, name in enumerate(names):
            values = np.full(self.plan.encoding.length, 0.25 * (at + 1), np.float32)
            metrics = {metric.name: 0.5 for metric in self.plan.encoding.metrics}
            vector = np.empty(self.plan.encoding.slots, self.plan.ring)
            frame, _ = self.table.clients[name].contribute(values, 1, metrics, None, vector)
            self.conductor.receive(name, frame)
            self.total += vector
            expected += values
        return expected

    def close(self) -> Opened:
        """Ask until t parties opened."""
        self.conductor.close()
        while not self.conductor.complete:
            for name, frame in self.conductor.requests().items():
                self.conductor.receive(name, self.table.clients[name].answer(frame))
        return self.conductor.opened()


@pytest.mark.parametrize("least", [0, 4])
def test_one_of_four_takes_its_approval_back_before_it_answers(least: int) -> None:
    """Three of four open a sum, unless all have to contribute: then nothing is ever opened."""
    apart = Apart(least=least)
    names = apart.table.names
    apart.upload(names)
    apart.conductor.close()
    for _ in range(2):
        for name, frame in apart.conductor.requests().items():
            if name != names[0]:
                apart.conductor.receive(name, apart.table.clients[name].answer(frame))
    assert apart.conductor.complete is (least == 0)
    if least:
        with pytest.raises(SecureFlowError):
            open_sum(apart.plan, 0, apart.conductor.opened(), apart.total)
    else:
        assert open_sum(apart.plan, 0, apart.conductor.opened(), apart.total) == 4


@pytest.mark.parametrize("dropped", [0, 1])
def test_the_folder_opens_the_sum_of_the_survivors(dropped: int) -> None:
    apart = Apart()
    names = apart.table.names[dropped:]
    expected = apart.upload(names)
    opened = Opened.from_json(apart.close().as_json())
    weight = open_sum(apart.plan, 0, opened, apart.total)
    assert weight == len(names)
    mean = np.empty(apart.plan.encoding.length, np.float32)
    mean_into(apart.plan.encoding, apart.total, weight, mean)
    assert np.allclose(mean, expected / weight, atol=1e-3)
    total = decode(apart.plan.encoding, apart.total, tuple(names))
    assert np.allclose(total.mean, mean)


def _other_secret(opened: Opened) -> Opened:
    first = next(iter(opened.secrets))
    return replace(opened, secrets={**opened.secrets, first: bytes(32)})


def _no_secret(opened: Opened) -> Opened:
    return replace(opened, secrets={})


def _other_model(opened: Opened) -> Opened:
    return replace(opened, model="cd" * 32)


def _fewer_keys(opened: Opened) -> Opened:
    return replace(opened, keys=opened.keys[:2])


def _turned_keys(opened: Opened) -> Opened:
    return replace(opened, keys=tuple(reversed(opened.keys)))


def _forged_key(opened: Opened) -> Opened:
    return replace(opened, keys=(replace(opened.keys[0], commitment="ab" * 32), *opened.keys[1:]))


def _short(opened: Opened) -> Opened:
    votes = dict(list(opened.certificate.votes.items())[:1])
    return replace(opened, certificate=replace(opened.certificate, votes=votes))


LIES: list[tuple[Callable[[Opened], Opened], str]] = [
    (_other_secret, "share_mismatch"),
    (_no_secret, "share_mismatch"),
    (_other_model, "certificate_mismatch"),
    (_fewer_keys, "other_roster"),
    (_turned_keys, "other_roster"),
    (_forged_key, "forged_key"),
    (_short, "certificate_short"),
]


@pytest.mark.parametrize(("lie", "code"), LIES, ids=[lie.__name__ for lie, _ in LIES])
@pytest.mark.parametrize("dropped", [0, 1])
def test_what_opens_a_sum_is_checked(
    lie: Callable[[Opened], Opened], code: str, dropped: int
) -> None:
    apart = Apart()
    apart.upload(apart.table.names[dropped:])
    opened = lie(apart.close())
    before = apart.total.copy()
    with pytest.raises(SecureFlowError) as refused:
        open_sum(apart.plan, 0, opened, apart.total)
    assert refused.value.code == code
    assert (apart.total == before).all()


def test_a_survivor_outside_the_context_does_not_open() -> None:
    """t colluders could certify it; the folder finds that nobody masked towards it."""
    apart = Apart(5)
    table = apart.table
    apart.upload(table.names)
    keys = apart.close().keys[:4]
    context = apart.plan.context(0, MODEL, [(key.party, key.digest) for key in keys])
    question = Question(apart.plan.job, 0, "secagg", context, tuple(table.names), ())
    votes = {n: cast_vote(question, n, table.keys[n]).signature for n in table.names}
    opened = Opened(MODEL, keys, Certificate(question, votes), {})
    with pytest.raises(SecureFlowError) as refused:
        open_sum(apart.plan, 0, opened, apart.total)
    assert refused.value.code == "other_roster"


def test_another_round_or_other_vectors_do_not_open() -> None:
    apart = Apart()
    apart.upload(apart.table.names)
    opened = apart.close()
    with pytest.raises(SecureFlowError) as refused:
        open_sum(apart.plan, 1, opened, apart.total)
    assert refused.value.code == "stale_key"
    apart.total[0] += 1  # one unit is within what survivors may have sent
    apart.total[-1] += 1  # the check slots are not
    with pytest.raises(SecureFlowError) as refused:
        open_sum(apart.plan, 0, opened, apart.total)
    assert refused.value.code == "sum_inconsistent"


@pytest.mark.parametrize("value", [None, [], {}, {"model": "", "keys": [], "certificate": {}}])
def test_malformed_openings_are_refused(value: Any) -> None:
    with pytest.raises(SecureFlowError) as refused:
        Opened.from_json(value)
    assert refused.value.code == "invalid_secagg_message"

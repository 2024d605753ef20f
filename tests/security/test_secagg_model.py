"""Search for an attack: whatever a malicious server says, no sum of fewer than t − c honest opens.

The machine shows honest parties any roster, model and round, asks any closing question, builds
certificates from every vote it has, restarts parties, and counts what it learns. The second test
takes the guards away and demands that the same search then finds an attack.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from peers.secagg import MODEL, OTHER_MODEL, Table
from peers.secagg_adversary import Adversary

from secureflow.domain.quorum import colluders_of
from secureflow.engines import closing
from secureflow.engines.closing import Question
from secureflow.engines.secagg import guards
from secureflow.kit.errors import SecureFlowError


class MaliciousServer(RuleBasedStateMachine):
    """The rules are the server's moves; a refusal costs it nothing."""

    server: Adversary

    @initialize(parties=st.sampled_from([3, 4, 5, 6, 7]))
    def job(self, parties: int) -> None:
        self.server = Adversary(Table(parties, dim=1))
        self.floor = self.server.plan.threshold - colluders_of(parties)

    def _some(self, data: st.DataObject, names: list[str]) -> list[str]:
        """Mostly everybody or nearly so, else anybody."""
        one, any_ = st.sets(st.sampled_from(names), max_size=1), st.sets(st.sampled_from(names))
        out = data.draw(st.just(set()) | st.just(set()) | one | one | any_)
        return [n for n in names if n not in out]

    def _try(self, call: object, *args: object) -> None:
        try:
            call(*args)  # type: ignore[operator]
        except SecureFlowError:
            return

    @rule(
        data=st.data(),
        round_=st.sampled_from([0, 0, 0, 1]),
        other=st.sampled_from([False, False, False, True]),
    )
    def begin_and_mask(self, data: st.DataObject, round_: int, other: bool) -> None:
        roster = self._some(data, self.server.table.names)
        model = OTHER_MODEL if other else MODEL
        for name in self._some(data, self.server.honest):
            self._try(self.server.begin, name, round_, roster, model)
            if self.server.table.clients[name]._round is not None:
                self._try(self.server.mask, name)

    @precondition(lambda self: self.server.contexts)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        context = data.draw(st.sampled_from(list(self.server.contexts)))
        survivors = self._some(data, list(self.server.contexts[context].roster))
        odd = data.draw(st.sampled_from([False, False, False, True]))
        dead = self._some(data, self.server.table.names) if odd else None
        question = self.server.question(context, survivors, dead)
        for name in self._some(data, self.server.honest):
            self._try(self.server.ask, name, question)

    @precondition(lambda self: self.server.votes)
    @rule(data=st.data())
    def certify(self, data: st.DataObject) -> None:
        questions = list(self.server.votes)
        question: Question = data.draw(st.sampled_from(questions))
        certificate = self.server.certificate(question)
        for name in self._some(data, self.server.honest):
            self._try(self.server.ask, name, certificate)

    @rule(data=st.data())
    def restart(self, data: st.DataObject) -> None:
        self.server.table.restart([data.draw(st.sampled_from(self.server.honest))])

    @invariant()
    def no_small_sum_opens(self) -> None:
        if not hasattr(self, "server"):
            return
        for context in self.server.contexts:
            for opened in self.server.opened(context):
                assert len(opened) >= self.floor, (opened, self.floor)


_SEARCH = {
    "deadline": None,
    "stateful_step_count": 14,
    "suppress_health_check": list(HealthCheck),
}


def test_no_message_sequence_opens_a_small_sum() -> None:
    run_state_machine_as_test(MaliciousServer, settings=settings(max_examples=60, **_SEARCH))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_no_message_sequence_opens_a_small_sum_at_length() -> None:
    run_state_machine_as_test(MaliciousServer, settings=settings(max_examples=20_000, **_SEARCH))


def test_the_same_search_finds_the_attack_without_guards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "RULES", {})
    monkeypatch.setattr(closing, "may_vote", lambda *_, **__: None)
    unguarded = settings(
        max_examples=2000, phases=[Phase.generate], derandomize=True, database=None, **_SEARCH
    )
    lucky = seed(5)(type("Unguarded", (MaliciousServer,), {}))  # others search for 20 s
    with pytest.raises(AssertionError):
        run_state_machine_as_test(lucky, settings=unguarded)


def test_the_algebra_agrees_with_honest_rounds() -> None:
    """What the model calls readable is what an honest round opens: everybody, or the survivors."""
    for dropped in (0, 1):
        server = Adversary(Table(6))
        names = server.table.names
        for name in names:
            context = server.begin(name, 0, names)
        survivors = names[dropped:]
        for name in survivors:
            server.mask(name)
        assert server.opened(context) == []
        question = server.question(context, survivors)
        for name in server.honest[dropped:]:
            server.ask(name, question)
        if dropped:
            assert server.opened(context) == []
            for name in server.honest[dropped:]:
                server.ask(name, server.certificate(question))
        assert server.opened(context) == [set(survivors) - set(server.own)]

"""Tested ids count over all partners and jobs; a list counts once in a job, another in full."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.privacy.probing import (
    DAY,
    Probe,
    ProbingLedger,
    ProbingRule,
    chain_name,
    check_tested,
)
from secureflow.kit.errors import SecureFlowError

NOW = 1_800_000_000
RULE = ProbingRule("customers", 100)
EVENTS = list[dict[str, Any]]


def ledger(events: EVENTS, rule: ProbingRule = RULE) -> ProbingLedger:
    return ProbingLedger(rule, list(events), events.append)


def probe(ids: int, inputs: str = "a", party: str = "bank-b") -> Probe:
    return Probe(party, ids, inputs)


def refused(act: Callable[[], object], code: str) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        act()
    assert caught.value.code == code
    return caught.value


def test_ids_of_all_partners_and_jobs_add_up() -> None:
    events: EVENTS = []
    book = ledger(events)
    assert book.reserve("job-1", [probe(50)], NOW)
    assert book.reserve("job-2", [probe(30, party="bank-c")], NOW)
    assert book.left(NOW) == 20
    error = refused(lambda: book.reserve("job-3", [probe(21, party="bank-d")], NOW),
                    "probing_exceeded")  # fmt: skip
    assert (error.details["left"], error.details["wanted"]) == (20, 21)
    assert "20 of 100 are left" in error.message
    assert book.check("job-3", [probe(20, party="bank-d")], NOW) == 0
    assert [event["kind"] for event in events] == ["limit", "reserve", "reserve"]


def test_lists_of_one_attempt_are_reserved_together_or_not_at_all() -> None:
    book = ledger([])
    both = [probe(60), probe(60, "b", "bank-c")]
    refused(lambda: book.reserve("job-1", both, NOW), "probing_exceeded")
    assert book.left(NOW) == 100


def test_the_same_list_counts_once_in_a_job_and_again_in_another() -> None:
    events: EVENTS = []
    book = ledger(events)
    assert book.reserve("job-1", [probe(40)], NOW)
    assert not book.reserve("job-1", [probe(40)], NOW + 5)
    book.commit("job-1", [probe(40)], NOW + 6)
    assert not book.reserve("job-1", [probe(40), probe(40)], NOW + 7)
    book.commit("job-1", [probe(40)], NOW + 8)
    assert book.tested(NOW + 9) == 40
    assert book.reserve("job-2", [probe(40)], NOW)
    assert book.tested(NOW) == 80
    assert [event["kind"] for event in events] == ["limit", "reserve", "commit", "reserve"]


def test_a_changed_list_is_charged_in_full() -> None:
    book = ledger([])
    book.reserve("job-1", [probe(40, "a")], NOW)
    assert book.reserve("job-1", [probe(40, "b")], NOW)
    assert book.left(NOW) == 20
    refused(lambda: book.reserve("job-1", [probe(40, "c")], NOW), "probing_exceeded")


def test_one_commitment_does_not_name_two_lengths() -> None:
    book = ledger([])
    book.reserve("job-1", [probe(40)], NOW)
    refused(lambda: book.reserve("job-1", [probe(41)], NOW), "probing_conflict")
    refused(lambda: book.commit("job-1", [probe(41)], NOW), "probing_conflict")
    assert not book.reserve("job-1", [probe(39)], NOW)  # it counts with what it named first
    assert book.tested(NOW) == 40


def test_only_what_is_reserved_is_begun_with() -> None:
    book = ledger([])
    refused(lambda: book.commit("job-1", [probe(1)], NOW), "probing_conflict")
    book.reserve("job-1", [probe(1)], NOW)
    assert book.void("job-1")
    refused(lambda: book.commit("job-1", [probe(1)], NOW), "probing_conflict")


def test_only_this_process_gives_back_and_only_what_it_has_not_begun_with() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("job-1", [probe(10, "a")], NOW)
    book.commit("job-1", [probe(10, "a")], NOW)
    book.reserve("job-1", [probe(20, "b")], NOW)
    assert book.void("job-1")
    assert not book.void("job-1")
    assert book.tested(NOW) == 10
    book.reserve("job-1", [probe(20, "b")], NOW)  # named again, it counts again
    assert book.tested(NOW) == 30
    after = ledger(events)
    assert not after.void("job-1")
    assert after.tested(NOW) == 30
    assert [one["state"] for one in after.lists()] == ["committed", "unknown"]
    after.commit("job-1", [probe(20, "b")], NOW)  # the job goes on under it
    assert after.tested(NOW) == 30


def test_a_list_counts_with_the_length_that_the_engine_saw() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("job-1", [probe(10)], NOW)
    refused(lambda: book.exceed("job-1", probe(500), NOW), "probing_conflict")
    book.commit("job-1", [probe(10)], NOW)
    assert not book.exceed("job-1", probe(9), NOW)
    assert book.exceed("job-1", probe(500), NOW)
    assert (book.tested(NOW), book.left(NOW)) == (500, 0)
    assert ledger(events).tested(NOW) == 500


def test_with_a_window_old_ids_count_no_longer() -> None:
    rule = ProbingRule("customers", 100, 30)
    book = ledger([], rule)
    book.reserve("job-1", [probe(80)], NOW)
    book.commit("job-1", [probe(80)], NOW + DAY)
    assert book.left(NOW + 31 * DAY - 1) == 20
    assert book.left(NOW + 31 * DAY) == 100
    error = refused(lambda: book.reserve("job-2", [probe(21)], NOW + DAY), "probing_exceeded")
    assert "in 30 days" in error.message


def test_a_limit_changes_by_one_more_event() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("job-1", [probe(50)], NOW)
    book.change_rule(ProbingRule("customers", 40))
    assert book.left(NOW) == 0
    assert ledger(events, ProbingRule("customers", 40)).left(NOW) == 0
    assert [event["kind"] for event in events] == ["limit", "reserve", "limit"]


def test_what_the_owner_states_counts_even_above_the_limit() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.enter(70, NOW)
    book.enter(70, NOW)
    assert (book.tested(NOW), ledger(events).tested(NOW)) == (140, 140)


def test_a_failed_write_leaves_the_domain_refusing() -> None:
    def full(event: object) -> None:
        if failing:
            raise OSError

    failing = False
    book = ProbingLedger(RULE, [], full)
    failing = True
    with pytest.raises(OSError):  # noqa: PT011  the disk's own
        book.reserve("job-1", [probe(10)], NOW)
    failing = False
    refused(lambda: book.reserve("job-2", [probe(10)], NOW), "budget_unsettled")
    refused(lambda: book.commit("job-1", [probe(10)], NOW), "budget_unsettled")


def test_an_older_state_than_the_own_leaves_is_refused() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("job-1", [probe(10)], NOW)
    head = book.head
    assert head["domain"] == chain_name("customers") == "probing:customers"
    ledger(events).reconcile([head, {"domain": "customers", "events": 9, "digest": "x"}])
    refused(lambda: ledger(events[:1]).reconcile([head]), "budget_rolled_back")
    changed = [events[0], {**events[1], "at": 1}]
    refused(lambda: ledger(changed).reconcile([head]), "budget_rolled_back")


@pytest.mark.parametrize(
    "event",
    [{"kind": "other"}, {"kind": "reserve", "job": "j"}, {"kind": "commit", "probes": [["j"]]},
     {"kind": "void", "probes": [["j", "p", "i"]]}, {"kind": "limit", "domain": "customers"},
     {"kind": "enter", "at": NOW, "ids": "many"}],
)  # fmt: skip
def test_an_unreadable_event_is_told(event: dict[str, Any]) -> None:
    refused(lambda: ledger([RULE.as_json(), event]), "budget_corrupt")


def test_a_stored_chain_is_verified_again() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("job-1", [probe(60)], NOW)
    book.commit("job-1", [probe(60)], NOW)
    book.exceed("job-1", probe(90), NOW)
    assert check_tested("probing:customers", events).tested(NOW) == 90
    more = {"kind": "reserve", "job": "job-2", "at": NOW, "probes": [probe(11, "b").as_json()]}
    refused(lambda: check_tested("probing:customers", [*events, more]), "probing_exceeded")
    with pytest.raises(KeyError):
        check_tested("probing:others", events)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "commit", "void", "exceed", "restart"]),
        st.sampled_from(["job-1", "job-2"]),
        st.sampled_from([probe(30, "a"), probe(40, "b"), probe(30, "c", "bank-c")]),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_happens_what_was_begun_with_counts(
    steps: list[tuple[str, str, Probe]],
) -> None:
    events: EVENTS = []
    book, begun = ledger(events), set[tuple[str, Probe]]()
    for step, job, one in steps:
        try:
            if step == "reserve":
                book.reserve(job, [one], NOW)
            elif step == "commit":
                book.commit(job, [one], NOW)
                begun.add((job, one))
            elif step == "exceed":
                book.exceed(job, one, NOW)
            elif step == "void":
                book.void(job)
            else:
                book = ledger(events)
        except SecureFlowError as error:
            assert error.code in {"probing_exceeded", "probing_conflict"}  # noqa: PT017
        assert sum(one.ids for _, one in begun) <= book.tested(NOW) <= RULE.limit
    assert check_tested("probing:customers", events).tested(NOW) == ledger(events).tested(NOW)

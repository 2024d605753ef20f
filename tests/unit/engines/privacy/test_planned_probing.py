"""Ids that the parts of a job will test are set aside before the first, and drawn part by part."""

from __future__ import annotations

from secureflow.engines.privacy.probing import PLANNED, check_tested
from tests.unit.engines.privacy.test_probing import EVENTS, NOW, RULE, ledger, probe, refused


def test_parts_draw_from_what_is_set_aside() -> None:
    events: EVENTS = []
    book = ledger(events)
    assert book.reserve("whole", [probe(60, PLANNED)], NOW)
    assert book.left(NOW) == 40
    refused(lambda: book.reserve("other", [probe(41)], NOW), "probing_exceeded")
    assert book.draw("part-1", "whole", [probe(20)], NOW)
    assert not book.draw("part-1", "whole", [probe(20)], NOW)  # a repeated attempt
    assert book.left(NOW) == 40
    book.commit("part-1", [probe(20)], NOW)
    assert book.draw("part-2", "whole", [probe(30, "b")], NOW)
    assert book.left(NOW) == 40
    check_tested("probing:customers", events)


def test_what_goes_beyond_is_compared_with_what_is_left() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("whole", [probe(60, PLANNED)], NOW)
    error = refused(lambda: book.draw("part", "whole", [probe(101)], NOW), "probing_exceeded")
    assert (error.details["wanted"], error.details["left"]) == (41, 40)
    assert book.draw("part", "whole", [probe(100)], NOW)
    assert book.left(NOW) == 0
    refused(lambda: book.draw("part", "whole", [probe(1, "b")], NOW), "probing_exceeded")


def test_a_draw_is_of_its_own_whole_and_party() -> None:
    book = ledger([])
    book.reserve("whole", [probe(100, PLANNED)], NOW)
    refused(lambda: book.draw("part", "another", [probe(1)], NOW), "probing_exceeded")
    strange = probe(1, party="bank-c")
    refused(lambda: book.draw("part", "whole", [strange], NOW), "probing_exceeded")


def test_what_no_part_drew_is_given_back_after_a_restart_too() -> None:
    events: EVENTS = []
    book = ledger(events)
    book.reserve("whole", [probe(60, PLANNED)], NOW)
    book.draw("part", "whole", [probe(20)], NOW)
    again = ledger(events)  # the agent was killed
    assert again.left(NOW) == 40
    assert again.void("whole")
    assert again.left(NOW) == 80, "the part's list is not this process' own: it counts"
    assert not again.void("part")
    refused(lambda: again.draw("late", "whole", [probe(81, "b")], NOW), "probing_exceeded")


def test_a_stored_draw_beyond_the_limit_is_found() -> None:
    events: EVENTS = []
    ledger(events).reserve("whole", [probe(60, PLANNED)], NOW)
    forged: EVENTS = []
    book = ledger(forged, type(RULE)("customers", 1000))
    book.reserve("whole", [probe(60, PLANNED)], NOW)
    book.draw("part", "whole", [probe(200)], NOW)
    assert check_tested("probing:customers", forged)
    forged[0]["limit"] = 100
    refused(lambda: check_tested("probing:customers", forged), "probing_exceeded")

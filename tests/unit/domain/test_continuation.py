"""Continuations in the charter: what they may change, who agrees, that none is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.domain.charter import (
    Charter,
    SignedCharter,
    accept_change,
    accept_first,
    check_follows,
    compare,
)
from secureflow.domain.continuation import MAX_CONTINUATIONS, Continuation
from secureflow.domain.origins import continues, following
from secureflow.kit.errors import SecureFlowError
from tests.unit.domain.test_charter import KEYS, charter, refusal, successor

LOSS = Continuation("log.example", 66, "ab" * 32, "note", 33, "cd" * 32)


def continued(pinned: Charter, signers: str = "abc", **changes: Any) -> SignedCharter:
    told: dict[str, Any] = {
        "origin": following(pinned.origin),
        "continuations": (*pinned.continuations, LOSS),
    }
    letters = "".join(one.organisation[-1] for one in pinned.members)
    return successor(pinned, changes.pop("letters", letters), signers, **(told | changes))


def test_names_follow_one_another() -> None:
    assert following("log.example") == "log.example~2"
    assert following("log.example~2") == "log.example~3"
    assert following("x/log~2") == "x/log~3"
    assert continues("x~3", "x")
    assert continues("x~3", "x~2")
    assert continues("x", "x")
    assert not continues("x", "x~2")
    assert not continues("y~2", "x")
    assert following("x~1") == "x~1~2"  # no continuation opens that: a name of its own
    assert following("x~01") == "x~01~2"
    assert not continues("x~1", "x")


def test_a_charter_without_continuations_is_what_it_was() -> None:
    assert "continuations" not in charter().json()
    assert Charter.from_json(charter().json()) == charter()
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        Charter.from_json(charter().json() | {"continuations": []})


def test_a_continuation_comes_back_from_its_file() -> None:
    new = accept_change(charter(), continued(charter()))
    assert Charter.from_json(new.json()) == new
    assert compare(charter(), new)[-1] == (
        "log log.example: rolled back from 66 entries to 33, 33 are lost"
    )


@pytest.mark.parametrize("signers", ["", "a", "ab"])
def test_two_thirds_are_too_few(signers: str) -> None:
    assert refusal(charter(), continued(charter(), signers)) == "charter_not_signed"


def test_more_than_two_thirds_suffice() -> None:
    pinned = charter("abcd")
    assert accept_change(pinned, continued(pinned, "abc")).continuations == (LOSS,)


@pytest.mark.parametrize(
    "changes",
    [
        {"letters": "abd"},  # a member goes, another one comes
        {"log_key": KEYS["bank-f"].public},
        {"continuations": (LOSS, replace(LOSS, origin="log.example~2", start=40))},  # two at once
        {"continuations": (replace(LOSS, origin="log.other"),), "origin": "log.other~2"},
    ],
)
def test_a_continuation_changes_nothing_else(changes: dict[str, Any]) -> None:
    pinned = charter()
    if len(changes.get("continuations", ())) == 2:
        changes["origin"] = "log.example~3"
    assert refusal(pinned, continued(pinned, **changes)) == "charter_mismatch"


def test_no_later_version_hides_or_edits_a_continuation() -> None:
    second = accept_change(charter(), continued(charter()))
    for told in ((), (replace(LOSS, size=40),)):
        origin = second.origin if told else "log.example"
        hidden = successor(second, "abc", "abc", origin=origin, continuations=told)
        assert refusal(second, hidden) == "charter_mismatch"
    kept = successor(second, "abcd", "abc")
    assert accept_change(second, kept).continuations == (LOSS,)
    with pytest.raises(SecureFlowError, match="charter_mismatch"):
        check_follows(charter(), successor(charter(), "abc", "abc", origin="log.other").charter)


def test_an_old_continuation_is_not_replayed() -> None:
    first = continued(charter())
    second = accept_change(charter(), first)
    third = accept_change(second, successor(second, "abcd", "abc"))
    assert accept_change(second, first) == second
    assert refusal(third, first) == "charter_mismatch"
    again = continued(second, origin="log.example~3", continuations=(LOSS, LOSS_2))
    assert accept_change(second, again).continuations == (LOSS, LOSS_2)


LOSS_2 = replace(LOSS, origin="log.example~2", size=90, start=40)


@pytest.mark.parametrize(
    "broken",
    [
        {"start": 67},
        {"start": -1},
        {"size": True},
        {"size": 1 << 60},
        {"size": 66.0},
        {"start": 33.0},
        {"start": True},
        {"start": "33"},
        {"root": "xy"},
        {"start_root": ""},
        {"note": "x" * 5000},
        {"note": 7},
        {"start": 66},  # nothing lost, and another root
        {"origin": "log.other"},
        {"origin": ""},
        {"origin": 7},
        {"origin": "\x1b[31mlog.example"},
        {"origin": "x" * 900_000},
        {"origin": "~2" * 400_000},
    ],
)
def test_a_malformed_continuation_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(SecureFlowError, match="malformed_charter") as caught:
        replace(charter(), origin="log.example~2", continuations=(replace(LOSS, **broken),))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    "told",
    [7, {}, "x", None, [], [7], [{}], [{**LOSS.json(), "more": 1}],
     [{name: one for name, one in LOSS.json().items() if name != "note"}],
     [LOSS.json()] * (MAX_CONTINUATIONS + 1)],
)  # fmt: skip
def test_what_is_no_list_of_continuations_is_malformed(told: Any) -> None:
    value = replace(charter(), origin="log.example~2", continuations=(LOSS,)).json()
    assert Charter.from_json(value).continuations == (LOSS,)
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        Charter.from_json({**value, "continuations": told})


def test_there_are_no_more_than_somebody_can_read() -> None:
    many = tuple(
        replace(LOSS, origin="log.example" if n < 2 else f"log.example~{n}", size=1000, start=n)
        for n in range(1, MAX_CONTINUATIONS + 2)
    )
    for count, refused in ((MAX_CONTINUATIONS, False), (MAX_CONTINUATIONS + 1, True)):
        changes: dict[str, Any] = {"origin": f"log.example~{count + 1}"}
        changes["continuations"] = many[:count]
        if refused:
            with pytest.raises(SecureFlowError, match="more than 64 continuations"):
                replace(charter(), **changes)
        else:
            assert len(replace(charter(), **changes).continuations) == MAX_CONTINUATIONS


def test_of_a_log_that_was_pinned_under_a_later_name_none_is_hidden_either() -> None:
    """Two at once: the one that is told last begins where the pinned charter is."""
    pinned = replace(charter(), origin="log.example~2")
    told = (LOSS, LOSS_2)
    assert refusal(pinned, continued(pinned, continuations=told)) == "charter_mismatch"
    assert accept_change(pinned, continued(pinned, continuations=(LOSS_2,))).origin[-2:] == "~3"


def test_a_later_start_is_never_before_an_earlier_one() -> None:
    back = replace(LOSS_2, start=33)
    with pytest.raises(SecureFlowError, match="malformed_charter"):
        replace(charter(), origin="log.example~3", continuations=(LOSS, back))


def test_a_newcomer_learns_of_every_gap() -> None:
    second = continued(charter("abcd"), "abcd")
    assert accept_first(second).continuations == (LOSS,)

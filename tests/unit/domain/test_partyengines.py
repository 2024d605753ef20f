"""What agents announce of their engines, and what a job is refused for."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.partyengines import MOST, announced, check_engines
from secureflow.kit.errors import SecureFlowError

NEEDED = ("spu", "0.9.5")


@pytest.mark.parametrize("value", [None, "spu", ["spu"], 1])
def test_who_says_nothing_of_engines_is_not_judged(value: Any) -> None:
    assert announced(value) is None


def test_what_is_no_name_or_version_is_left_out() -> None:
    said = {"spu": "0.9.5", "Ω": "1", "../x": "1", "a" * 33: "1", "mpyc": 1, "x": "1\n", "y": ""}
    assert announced(said) == {"spu": "0.9.5"}
    assert len(announced({f"e{n}": "1" for n in range(1000)}) or {}) == MOST


def test_a_party_that_lacks_it_is_named_with_the_command() -> None:
    with pytest.raises(SecureFlowError) as refused:
        check_engines(NEEDED, {"a": {"spu": "0.9.5"}, "bank-b": {"mpyc": "0.11"}})
    assert refused.value.code == "engine_absent"
    assert refused.value.details["party"] == "bank-b"
    assert "bank-b" in refused.value.message
    assert "secureflow engine install spu" in refused.value.hint


def test_another_version_is_refused() -> None:
    with pytest.raises(SecureFlowError) as refused:
        check_engines(NEEDED, {"a": {"spu": "0.9.4"}})
    assert refused.value.code == "engine_absent"
    assert "0.9.4" in refused.value.message
    assert "0.9.5" in refused.value.message


def test_who_is_away_or_needs_none_is_not_refused() -> None:
    check_engines(NEEDED, {"a": None, "b": {"spu": "0.9.5"}})
    check_engines(None, {"a": {}})

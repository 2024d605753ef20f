"""Clocks that differ are told so that somebody can set the right one."""

from __future__ import annotations

import pytest

from secureflow.domain.clocks import naming, wrong_clocks
from secureflow.kit.errors import SecureFlowError


@pytest.mark.parametrize("ahead", [{}, {"bank-a": None}, {"bank-a": 300, "bank-b": -300}])
def test_what_differs_a_little_or_is_unknown_is_no_matter(ahead: dict[str, int | None]) -> None:
    assert wrong_clocks(ahead) is None


def test_one_that_differs_is_named_with_its_side() -> None:
    wrong = wrong_clocks({"bank-a": 7200, "bank-b": 1, "bank-c": None})
    assert wrong is not None
    assert wrong.code == "clock_skew"
    assert wrong.message == "These clocks differ from the centre's: bank-a 7200 s ahead."
    assert wrong.details == {"clock_ahead": {"bank-a": 7200}}
    assert "NTP" in wrong.hint


def test_where_all_agree_against_the_centre_it_is_the_centres() -> None:
    wrong = wrong_clocks({"bank-a": -7200, "bank-b": -7190, "enclave": -7201})
    assert wrong is not None
    assert "the centre's own clock is probably wrong" in wrong.message
    apart = wrong_clocks({"bank-a": -7200, "bank-b": 7200})
    assert apart is not None
    assert "own clock" not in apart.message


def test_a_partys_error_names_the_clock_once_and_only_where_it_may_be_the_cause() -> None:
    ahead = {"bank-a": 0, "enclave": 7200}
    broken = naming(SecureFlowError("link_broken", "It broke."), ahead)
    assert broken.code == "link_broken"
    assert broken.message.startswith("It broke. These clocks differ")
    assert naming(broken, ahead) is broken
    other = SecureFlowError("column_unknown", "No such column.")
    assert naming(other, ahead) is other
    assert naming(SecureFlowError("link_broken", "It broke."), {"bank-a": 0}).hint == ""

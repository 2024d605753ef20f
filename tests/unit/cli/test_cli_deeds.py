"""Deeds in a project are told in words, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.cli.deeds import facts_of, last_day
from secureflow.cli.entrykinds import deed
from secureflow.texts import catalogue

EXPIRES = 1_900_000_000
COLUMNS = ["age", "income", "debt", "bad", "rooms"]
GRANT: dict[str, Any] = {
    "grant": "grt_00000000", "dataset": "dst_00000000", "columns": COLUMNS,
    "purposes": ["credit-scoring"], "expires": EXPIRES,
}  # fmt: skip
FINISHED: dict[str, Any] = {
    "outcome": "succeeded", "model": "ab" * 32, "metrics": {"auc": 0.7}, "rounds": 2,
    "contributions": {"bank-a": {"rounds": 2, "rows": None}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")


def test_a_grant_is_told_in_one_short_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = facts_of("grant.created", GRANT)
    assert deed("grant.created") == "granted data"
    assert told.startswith(
        "grant grt_00000000; dataset dst_00000000; columns age, income, debt and 2 more; "
        "purposes credit-scoring; valid until 2030-03-1"
    )
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert deed("grant.created") == "授权数据"
    told = facts_of("grant.created", GRANT)
    assert told.startswith("授权 grt_00000000；数据集 dst_00000000；列 age、income、debt 等，")
    assert str(EXPIRES) not in told


def test_an_end_has_no_digests_and_rounds_only_where_there_were_some() -> None:
    assert facts_of("job.finished", FINISHED) == "outcome succeeded; rounds 2"
    table = {"evaluation": "cd" * 32, "comparison": "ab" * 32}
    assert facts_of("job.finished", {"outcome": "succeeded", **table}) == "outcome succeeded"
    other = {"outcome": "succeeded", "intersection": "cd" * 32, "rounds": 1, "contributions": {}}
    assert facts_of("job.finished", other) == "outcome succeeded"


def test_an_approval_names_who_decided_and_until_when() -> None:
    body = {"job": "job_0", "spec": "ab" * 32, "expires": EXPIRES, "people": ["psn_1", "psn_2"]}
    told = facts_of("approval", {"body": body, "signature": "cd" * 64})
    assert told.endswith("; decided by psn_1, psn_2")
    assert "cd" not in told


def test_a_change_says_what_holds_now_and_a_beginning_what_is_so() -> None:
    now = {"ends": None, "restricted": False}
    assert facts_of("project.changed", now) == "ends none; restricted no"
    assert facts_of("project.created", {"purpose": "fraud", **now, "template": ""}) == (
        "purpose fraud"
    )
    assert facts_of("project.created", {"ends": 1_814_400_000}) == (
        f"ends {last_day(1_814_400_000)}"
    )
    assert last_day(1_814_400_000) == "2027-06-30 (last day, UTC)"


def test_a_newer_centres_deed_is_shown_as_it_came() -> None:
    assert deed("moon.landed") == "moon.landed"
    assert facts_of("moon.landed", {"feet": [1, 2], "ends": "x", "columns": 3}) == (
        "feet 1, 2; ends x; columns 3"
    )


def test_every_word_has_its_chinese() -> None:
    from secureflow.cli.deeds import _TITLES

    words = (*_TITLES.values(), "grant", "dataset", "columns", "purposes")
    assert not [one for one in words if one not in catalogue()]

"""Grants on the page: states, terms, uses, and what a revocation stopped."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent.console.screens.grants import (
    grant_row,
    groups,
    stopped_under,
    uses_of,
)
from secureflow.domain.grants import GrantTerms, SealedRows
from secureflow.domain.specs.base import dump

TERMS = GrantTerms(
    "customers", "prj_0123456789", ("age", "job"), 2_000_000_000,
    purposes=("credit scoring",), kinds=("training",), parties=("bank-b",),
    protections=("sealed",), epsilon=3.0, epsilon_per_job=1.0, min_group=3, uses=5,
    own_trees=7, validation=SealedRows(50, simulated=True),
)  # fmt: skip


def listed(state: str = "granted", uses: int = 0, epsilon: float = 0.0, **more: Any) -> dict:
    return {
        "id": "a" * 64, "state": state, "terms": dump(TERMS), "proposal": "",
        "used": {"uses": uses, "epsilon": epsilon}, "created": 100, "revoked": None, "reason": "",
        **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (listed(), "in force"),
        (listed(uses=4, epsilon=2.9), "in force"),
        (listed(uses=5), "used up"),
        (listed(epsilon=3.0), "used up"),
        (listed("revoked"), "taken back"),
        (listed("revoked", uses=5), "taken back"),
        (listed("expired"), "expired"),
        (listed("locked", uses=5), "locked"),
        (listed("forged"), "forged"),
        (listed("proposed"), "proposed"),
    ],
)
def test_a_grant_has_the_state_that_an_owner_acts_on(value: dict[str, Any], state: str) -> None:
    assert grant_row(value).state == state


def test_every_field_of_the_terms_is_on_the_page() -> None:
    shown = {one.name: one.values for one in grant_row(listed()).terms}
    assert set(shown) | {"expires"} == set(dump(TERMS)) | {"bundles", "automatic"}
    assert shown["columns"] == ("age", "job")
    assert shown["epsilon_per_job"] == ("1",)
    assert shown["bundles"] == ()
    assert shown["validation"] == ("50", "SIMULATED")
    assert shown["own_trees"] == ("7",)


def test_whoever_signs_sees_every_column_and_no_rounded_number() -> None:
    """A proposal of the centre has as many columns as it likes: the last ones may matter most."""
    many = (*(f"c{number}" for number in range(4095)), "diagnosis")
    terms = {**dump(TERMS), "columns": list(many), "epsilon": 1234.567, "epsilon_per_job": 1.00049}
    row = grant_row({"id": "grt_0123456789", "state": "proposed", "terms": terms})
    shown = {one.name: one.values for one in row.terms}
    assert shown["columns"] == row.columns == many
    assert (shown["epsilon"], shown["epsilon_per_job"]) == (("1,234.567",), ("1.00049",))


def test_code_by_digest_by_person_or_none() -> None:
    def code(bundles: Any) -> tuple[str, ...]:
        value = listed() | {"terms": {**dump(TERMS), "bundles": bundles}}
        return next(one.values for one in grant_row(value).terms if one.name == "bundles")

    assert code("none") == ()
    assert code("person") == ("person",)
    assert code(["c" * 64]) == ("c" * 64,)


def test_what_somebody_must_act_on_stands_first_and_the_newest_of_a_state_first() -> None:
    value = [
        listed("revoked", id="r"), listed(id="old", created=1), listed(id="new", created=2),
        {"id": "grt_1", "state": "proposed", "terms": dump(TERMS), "by": "usr_alice"},
    ]  # fmt: skip
    found = groups(value)
    assert [one.state for one in found] == ["proposed", "in force", "taken back"]
    assert [one.id for one in found[1].rows] == ["new", "old"]
    assert found[0].rows[0].by == "usr_alice"


def test_hidden_characters_of_a_proposal_are_visible() -> None:
    value = listed("proposed", by="usr_\u202eecila")
    assert grant_row(value).by == "usr_\\u202eecila"


def test_jobs_under_a_grant_say_which_would_stop() -> None:
    shown = listed() | {"jobs": [
        {"job": "job_1", "epsilon": 1.0, "at": 10}, {"job": "job_2", "epsilon": 0.5, "at": 20},
    ]}  # fmt: skip
    usage = {"uses": [
        {"job": "job_1", "outcome": "running", "purpose": "p", "requester": "usr_a"},
        {"job": "job_3", "outcome": "running"},
    ]}  # fmt: skip
    rows = uses_of(shown, usage)
    assert [one.job for one in rows] == ["job_2", "job_1"]
    assert [one.job for one in rows if one.running] == ["job_1"]


def test_what_a_revocation_stopped_says_what_cannot_be_taken_back() -> None:
    facts = {
        "code": "grant_revoked", "name": "g1", "voted": [[1, "train"]], "sent": [[2, "train"]],
        "needed": 3, "parties": 4, "kept": False, "by": "owner", "reason": "",
    }  # fmt: skip
    log = [
        {"id": 2, "at": 7, "action": "job.stopped", "job": "job_1", "facts": facts},
        {
            "id": 1,
            "at": 6,
            "action": "job.stopped",
            "job": "job_2",
            "facts": facts | {"name": "g2"},
        },
        {"id": 0, "at": 5, "action": "job.stopped", "job": "job_3", "facts": {"damaged": True}},
    ]
    (one,) = stopped_under(log, "g1")
    assert one.job == "job_1"
    assert "voted on" in one.told[0]
    assert "3 of the 4" in one.told[1]


def test_nonsense_is_no_grant_and_no_error() -> None:
    assert groups(None) == ()
    row = grant_row({"terms": "no", "used": 3, "id": None})
    assert (row.columns, row.uses.limit, row.state) == ((), None, "")

"""The rules of a grant: every term refuses what is beyond it, and nothing within."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from secureflow.agent.record.going import STOPPED
from secureflow.domain.errors import name_of
from secureflow.domain.granterrors import STOPPING
from secureflow.domain.grants import (
    MAX_SECONDS,
    GrantRequest,
    GrantTerms,
    SealedRows,
    Used,
    fits,
    read_terms,
    widens,
)
from secureflow.domain.jobs import WITHDRAWALS
from secureflow.domain.specs.base import dump
from secureflow.kit.crypto import SigningKey, fingerprint
from secureflow.kit.errors import SecureFlowError

NOW = 1_800_000_000
KEYS = {name: SigningKey.from_seed(name.ljust(32).encode()).public for name in ("bank-a", "bank-b")}
CODE = "ab" * 32
GRANT = GrantTerms(
    dataset="customers",
    project="prj_0123456789",
    columns=("age", "income"),
    expires=NOW + 1000,
    purposes=("credit scoring",),
    kinds=("training",),
    parties=("bank-b",),
    protections=("sealed",),
    epsilon=3.0,
    epsilon_per_job=2.0,
    min_group=3,
    bundles=(CODE,),
    uses=2,
)
JOB = GrantRequest(
    dataset="customers",
    project="prj_0123456789",
    columns=("age",),
    purpose="credit scoring",
    kind="training",
    owner="bank-a",
    keys=KEYS,
    protection="sealed",
    epsilon=1.5,
    group=3,
    bundle=CODE,
)


def test_a_job_within_every_term_fits() -> None:
    assert fits(GRANT, JOB, Used(1, 1.5), NOW) == []
    assert fits(GRANT, replace(JOB, bundle="", columns=("age", "income")), Used(), NOW) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dataset": "patients"}, "another dataset"),
        ({"project": "prj_9876543210"}, "another project"),
        ({"columns": ("age", "job")}, "columns job"),
        ({"purpose": "fraud"}, "purpose 'fraud'"),
        ({"kind": "psi"}, "kind psi"),
        ({"keys": {**KEYS, "bank-c": KEYS["bank-a"]}}, "with bank-c"),
        ({"protection": "secagg"}, "protection secagg"),
        ({"epsilon": None}, "differential privacy"),
        ({"epsilon": 2.5}, "ε 2 per job"),
        ({"group": 2}, "groups of 3"),
        ({"bundle": "cd" * 32}, "code " + "cd" * 32),
        ({"validation": 1}, "0 rows to leave"),
        ({"own_trees": 1}, "0 trees of this owner alone"),
    ],
)
def test_each_term_refuses_what_is_beyond_it(changes: dict[str, Any], reason: str) -> None:
    (found,) = fits(GRANT, replace(JOB, **changes), Used(), NOW)
    assert reason in found


def test_time_uses_and_epsilon_end_a_grant() -> None:
    assert fits(GRANT, JOB, Used(), GRANT.expires) == ["it has expired"]
    assert "2 uses" in fits(GRANT, JOB, Used(2, 0.0), NOW)[0]
    assert "ε 3 in all" in fits(GRANT, JOB, Used(1, 1.6), NOW)[0]
    # A part of a job is paid for by its whole; time and columns hold for it as well.
    assert fits(GRANT, JOB, Used(2, 3.0), NOW, part=True) == []
    assert fits(GRANT, JOB, Used(), GRANT.expires, part=True) == ["it has expired"]


def test_a_party_is_known_by_its_key_too() -> None:
    grant = replace(GRANT, parties=(fingerprint(KEYS["bank-b"]),))
    assert fits(grant, JOB, Used(), NOW) == []
    other = {**KEYS, "bank-b": SigningKey.from_seed(b"\x05" * 32).public}
    assert "with bank-b" in fits(grant, replace(JOB, keys=other), Used(), NOW)[0]


def test_code() -> None:
    assert fits(replace(GRANT, bundles="person"), JOB, Used(), NOW) == []
    assert "no code" in fits(replace(GRANT, bundles="none"), JOB, Used(), NOW)[0]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("columns", ("age", "income", "job")),
        ("expires", NOW + 1001),
        ("purposes", ()),
        ("purposes", ("credit scoring", "fraud")),
        ("kinds", ()),
        ("parties", ("bank-b", "bank-c")),
        ("protections", ()),
        ("epsilon", 3.5),
        ("epsilon", None),
        ("epsilon_per_job", None),
        ("uses", 3),
        ("min_group", None),
        ("bundles", "person"),
        ("bundles", (CODE, "cd" * 32)),
        ("automatic", True),
        ("validation", SealedRows(1)),
        ("own_trees", 1),
        ("project", "prj_9876543210"),
    ],
)
def test_whatever_allows_more_is_wider(field: str, value: Any) -> None:
    wider = replace(GRANT, **{field: value})
    assert widens(wider, GRANT)
    assert not widens(GRANT, GRANT)


def test_fewer_is_not_wider() -> None:
    less = replace(
        GRANT, columns=("age",), expires=NOW + 1, epsilon=1.0, uses=1, bundles="none", min_group=4
    )
    assert not widens(less, GRANT)


def test_rows_leave_as_far_as_a_grant_says() -> None:
    grant = replace(GRANT, validation=SealedRows(50))
    assert fits(grant, replace(JOB, validation=50), Used(), NOW) == []
    assert "50 rows to leave" in fits(grant, replace(JOB, validation=51), Used(), NOW)[0]
    assert widens(replace(GRANT, validation=SealedRows(51)), grant)
    assert widens(replace(GRANT, validation=SealedRows(50, simulated=True)), grant)
    assert not widens(replace(GRANT, validation=SealedRows(49)), grant)
    assert "validation" not in dump(GRANT)  # grants of before are signed as they were


def test_trees_of_one_party_are_released_as_far_as_a_grant_says() -> None:
    grant = replace(GRANT, own_trees=50)
    asked = replace(JOB, own_trees=50)
    assert asked.by_name
    assert not JOB.by_name
    assert fits(grant, asked, Used(), NOW) == []
    assert "50 trees" in fits(grant, replace(JOB, own_trees=51), Used(), NOW)[0]
    assert "groups of 3" in fits(grant, replace(asked, group=2), Used(), NOW)[0]  # of the sums
    assert widens(replace(GRANT, own_trees=51), grant)
    assert not widens(replace(GRANT, own_trees=49), grant)
    assert "own_trees" not in dump(GRANT)


def test_an_owners_stop_names_the_end_of_a_job() -> None:
    away, stopped, full = ({"code": one} for one in ("party_silent", "grant_revoked", "disk_full"))
    assert name_of([away, stopped], "too_few_answers") == "grant_revoked"
    assert name_of([away, full], "too_few_answers") == "too_few_answers"
    assert name_of([full], "too_few_answers") == "disk_full"
    assert set(WITHDRAWALS) == set(STOPPED) == STOPPING


@pytest.mark.parametrize(
    "wrong",
    [
        {"columns": []},
        {"columns": ["a\x1b[2J"]},
        {"expires": NOW},
        {"expires": NOW + MAX_SECONDS + 1},
        {"epsilon": float("inf")},
        {"epsilon": 0.0},
        {"uses": 0},
        {"bundles": []},
        {"bundles": "any"},
        {"parties": ["Bank B"]},
        {"protections": ["none"]},
        {"validation": {"rows": 0}},
        {"validation": {"simulated": True}},
        {"more": 1},
    ],
)
def test_terms_that_are_refused(wrong: dict[str, Any]) -> None:
    value = {
        "dataset": "customers", "project": "prj_0123456789", "columns": ["age"],
        "expires": NOW + 10, **wrong,
    }  # fmt: skip
    with pytest.raises(SecureFlowError) as refused:
        read_terms(value, NOW)
    assert refused.value.code == "invalid_grant"

"""The explanation follows the spec: no option claims what another one would give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from peers.private_jobs import private_spec

from secureflow.engines.privacy.accounting import Mechanism, curve
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.explanation import explanation

REAL, SIMULATED = "SGX: UpToDate", "SIMULATED SGX"
PRIVATE = private_spec()
PLAIN = replace(PRIVATE, privacy=None)
ACCOUNTING = {
    "curve": curve(Mechanism("gaussian", 2.0)),
    "epsilon": {"pld": 3.0, "rdp-cks20": 4.0, "rdp-filter": 5.0},
}


def stopped(spec: Any, tee: str = REAL) -> dict[str, str]:
    return {row["attack"].split(" ")[-1]: row["stopped"] for row in attacks(spec, tee)}


def who(spec: Any, name: str, tee: str = REAL) -> str:
    return " / ".join(row["sees"] for row in disclosure(spec, tee) if row["who"] == name)


def test_without_noise_membership_is_not_stopped_and_with_it_is() -> None:
    assert stopped(PLAIN)["data"] == "no"
    assert stopped(PRIVATE)["data"] == "yes"
    assert stopped(PRIVATE)["away"] == "yes"


@pytest.mark.parametrize(
    ("spec", "tee", "reads"),
    [
        (PLAIN, REAL, "yes"),
        (PLAIN, SIMULATED, "no"),
        (PRIVATE, SIMULATED, "no"),
        (private_spec({"noise": "local"}), SIMULATED, "partly"),
        (replace(PLAIN, protection="secagg"), "", "yes"),
        (replace(PLAIN, protection="sealed+secagg"), SIMULATED, "yes"),
    ],
)
def test_who_reads_a_single_update(spec: Any, tee: str, reads: str) -> None:
    assert stopped(spec, tee)["update"] in {reads, "partly"}
    assert attacks(spec, tee)[0]["stopped"] == reads


def test_a_private_job_shows_no_row_count_to_the_operator() -> None:
    assert who(PLAIN, "operator").startswith("row counts")
    assert "no row count" in who(PRIVATE, "operator")
    assert "everything that the enclave sees" in who(PLAIN, "operator", SIMULATED)
    assert "masked" in who(replace(PLAIN, protection="sealed+secagg"), "enclave")
    assert who(replace(PLAIN, protection="secagg"), "enclave") == ""


def test_epsilon_so_far_and_per_round_come_from_the_journal() -> None:
    rounds = [
        {"round": 1, "parties": list(PRIVATE.parties)},
        {"round": 2, "parties": list(PRIVATE.parties[1:])},
    ]
    gone = [{"party": "bank-a", "round": 2, "stage": "train", "code": "party_silent"}]
    told = explanation(PRIVATE, tee=REAL, accounting=ACCOUNTING, rounds=rounds, dropouts=gone)
    first, second = (row["epsilon"] for row in told["epsilon_per_round"])
    assert 0 < first < second == told["privacy"]["epsilon"]
    assert (told["privacy"]["unit"], told["privacy"]["conversion"]) == ("record", "rdp-cks20")
    assert told["dropouts"] == gone


def test_a_job_without_noise_says_so() -> None:
    told = explanation(PLAIN, tee=REAL, accounting=None, rounds=[{"round": 1}], dropouts=())
    assert told["privacy"] is None
    assert told["epsilon_per_round"] == []
    assert told["dropouts"] == []

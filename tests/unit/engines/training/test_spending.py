"""ε so far follows from one release's curve; it grows with each round and ends at the quote."""

from __future__ import annotations

from dataclasses import replace

import pytest
from peers.private_jobs import private_spec

from secureflow.engines.privacy.accounting import Mechanism, curve, epsilon
from secureflow.engines.training.spending import epsilon_after, spending

SPEC = private_spec({"sampling": 0.5, "noise": "local", "local_steps": 2})
WHOLE = (Mechanism("gaussian", 2.0, 0.5, 6),)
ACCOUNTING = {
    "curve": curve(WHOLE[0]),
    "epsilon": {"pld": 9.0, "rdp-cks20": epsilon(WHOLE, 1e-6), "rdp-filter": 11.0},
}


def test_epsilon_grows_to_what_was_quoted_and_never_shows_less() -> None:
    told = [epsilon_after(SPEC, ACCOUNTING, rounds) for rounds in range(4)]
    assert told[0] == 0.0
    assert told == sorted(set(told))
    assert told[3] == pytest.approx(epsilon(WHOLE, 1e-6), abs=2e-6)
    assert told[3] >= epsilon(WHOLE, 1e-6)


def test_the_report_names_unit_conversion_and_every_number() -> None:
    section = spending(SPEC, ACCOUNTING, 3)
    assert section
    assert (section["unit"], section["conversion"], section["delta"]) == (
        "record",
        "rdp-cks20",
        1e-6,
    )
    assert section["epsilon_pld"] == 9.0
    assert section["charge"] == [WHOLE[0].as_json()]
    assert section["released"]
    early = spending(SPEC, ACCOUNTING, 1)
    assert early
    assert early["epsilon_pld"] is None  # the exact figure was for the whole plan
    assert early["epsilon"] < section["epsilon"]


def test_a_job_without_privacy_has_no_section() -> None:
    assert spending(replace(SPEC, privacy=None), None, 3) is None

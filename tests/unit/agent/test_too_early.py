"""An agent holds the centre to the time that its owner approved."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent.job.guards import check_approved
from secureflow.agent.record.records import JobRecord
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError


def record(**spec: Any) -> JobRecord:
    return JobRecord("job_1", "ab" * 32, spec, b"", 1, 10_000_000)


def test_nothing_is_computed_before_the_approved_time() -> None:
    with pytest.raises(SecureFlowError) as caught:
        check_approved(record(not_before=5_000), "job_1", "ab" * 32, 5_000 - MAX_SKEW - 1)
    assert caught.value.code == "too_early"


def test_clocks_may_differ_a_little() -> None:
    timed = record(not_before=5_000)
    assert check_approved(timed, "job_1", "ab" * 32, 5_000 - MAX_SKEW) is timed


def test_a_job_without_a_time_starts_at_once() -> None:
    usual = record()
    assert check_approved(usual, "job_1", "ab" * 32, 2) is usual

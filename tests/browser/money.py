"""A project's revenue for tests in browsers: shared by participation, signed at agents."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from secureflow.agent import api
from secureflow.demo.platform import Platform

TERMS: Final[dict[str, Any]] = {
    "weights": {"scores": 0, "rows": 0, "participation": 1}, "floor": 500, "rounding": "bank-a",
    "currency": "EUR", "window_days": 30, "payer": "bank-a", "per_job": 100_000,
}  # fmt: skip


def draft(platform: Platform) -> str:
    """Draft an agreement as the first bank; return its digest."""
    with platform.client("bank-a") as client:
        found = client.settlements.draft(platform.project, TERMS)
    assert found.candidate is not None
    return found.candidate.digest


def sign(platform: Platform, digest: str, parties: Iterable[str]) -> None:
    """Sign it at the agents of banks that have no people."""
    for one in parties:
        api.revenue_sign(platform.parties[one].config, platform.project, digest)


def propose(platform: Platform, job: str) -> str:
    """Propose a settlement of a job as the first bank; return its id."""
    with platform.client("bank-a") as client:
        return client.settlements.open(platform.project, [job]).id


def approve(platform: Platform, settlement: str, parties: Iterable[str]) -> None:
    """Approve it at the agents of banks that have no people."""
    for one in parties:
        config = platform.parties[one].config
        digest = str(api.settlement_show(config, settlement)["digest"])
        api.settlement_decide(config, "approve", settlement, confirm=digest)

"""Agreements, evidence and deeds for tests of revenue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from secureflow.engines.revenue.agreement import Agreement, Member, SignedAgreement, Weights
from secureflow.engines.revenue.deeds import CENTRE, Act, Deed
from secureflow.engines.revenue.evidence import JobEvidence
from secureflow.engines.revenue.settlement import Computed, Settlement, computed
from secureflow.engines.revenue.shares import Measured
from secureflow.kit.crypto import SigningKey

PROJECT = "prj_0123456789abcdefghjk"
DAY = 86_400


@cache
def key_of(name: str) -> SigningKey:
    return SigningKey.from_seed(name.encode().ljust(32, b"\0")[:32])


def names_of(count: int) -> list[str]:
    return [f"m{number:03d}" for number in range(count)]


def agreement_of(names: list[str], **changes: Any) -> Agreement:
    values: dict[str, Any] = {
        "project": PROJECT,
        "origin": "log.example/secureflow",
        "version": 1,
        "members": tuple(Member(one, key_of(one).public) for one in names),
        "weights": Weights(),
        "floor": 0,
        "rounding": names[0],
        "currency": "EUR",
        "window_days": 30,
        "payer": names[0],
        "per_job": 100_000,
        "entered": True,
    }
    return Agreement(**{**values, **changes})


def signed_by_all(agreement: Agreement) -> SignedAgreement:
    signed = SignedAgreement(agreement)
    for name in agreement.keys:
        signed = signed.sign(name, key_of(name))
    return signed


def measured(score: int | None, rows: int = 0, steps: int = 1) -> Measured:
    return Measured(score, score, score, None if score is None else 0, rows, steps)


def evidence_of(
    job: str, parties: Mapping[str, Measured], outcome: str = "succeeded", **changes: Any
) -> JobEvidence:
    values: dict[str, Any] = {
        "job": job,
        "spec": "ab" * 32,
        "project": PROJECT,
        "kind": "training",
        "outcome": outcome,
        "scores": "cd" * 32,
        "end": 100,
        "measured": dict(parties),
    }
    return JobEvidence(**{**values, **changes})


def settlement_of(agreement: Agreement, *jobs: str, **changes: Any) -> Settlement:
    values: dict[str, Any] = {
        "project": PROJECT,
        "agreement": agreement.digest,
        "jobs": tuple(sorted(jobs)),
        "entered": 0,
        "version": 1,
        "at": 1000,
        "nonce": "00" * 16,
    }
    return Settlement(**{**values, **changes})


def case_of(count: int = 4, **changes: Any) -> tuple[Agreement, Settlement, Computed]:
    """Return an agreement, a settlement of one job, and what follows from it."""
    names = names_of(count)
    agreement = agreement_of(names, **changes)
    settlement = settlement_of(agreement, "job_a")
    parties = {name: measured(100 + 7 * place) for place, name in enumerate(names)}
    return agreement, settlement, computed(agreement, settlement, [evidence_of("job_a", parties)])


def deed_of(act: Act, settlement: Settlement, who: str, at: int, **facts: Any) -> Deed:
    made = Deed(act, PROJECT, settlement.id, who, at, facts)
    return made.sign(key_of("log" if who == CENTRE else who))

"""Cosignatures that a job's end lacks are asked for again when somebody wants its bundle."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from secureflow.application.audit import Audit
from secureflow.application.charters import member_keys
from secureflow.application.ports.courier import PartyStatus, Request
from secureflow.application.running.asking import Asking
from secureflow.application.running.recosigning import AGAIN, Recosigning
from secureflow.application.witnessing import Witnessing
from secureflow.domain.users import Role
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.notes import cosign, parse_note
from secureflow.kit.errors import SecureFlowError
from tests.stage import BANKS, Stage
from tests.unit.application.test_audit import finished_job


class Parties:
    """A courier whose parties cosign; `away` are not connected, `refusing` say no."""

    def __init__(self, stage: Stage, away: Any = (), refusing: Any = ()) -> None:
        self.stage, self.away, self.refusing = stage, away, refusing
        self.asked: list[tuple[str, str]] = []
        self.ids: set[str] = set()

    async def ask(self, request: Request) -> dict[str, Any]:
        self.asked.append((request.verb, request.party))
        self.ids.add(request.id)
        if request.party in self.refusing:
            raise SecureFlowError("end_left_out", "An entry of ours is left out.")
        assert not parse_note(request.body["head"]).cosigners(
            {name: key.public for name, key in self.stage.keys.items()}
        )
        key = self.stage.keys[request.party]
        line = cosign(request.body["head"], request.party, key, self.stage.now[0])
        return {"cosignature": line}

    def status(self, party: str) -> PartyStatus:
        return PartyStatus(party, connected=party not in self.away, last_progress=0.0)

    async def withdraw(self, job: str) -> None:
        del job


def audit_of(stage: Stage, parties: Any, ticks: Any = lambda: 0.0) -> Audit:
    begin, ledger = stage.services.begin, stage.ledger
    witnessing = Witnessing(ledger, partial(member_keys, begin))
    asking = Asking(parties, witnessing.cosigned)
    return Audit(begin, ledger, Recosigning(ledger, parties, asking, ticks))


async def unwitnessed(stage: Stage) -> Any:
    """A job that ended, and the log went on; nobody cosigned its end."""
    job = await finished_job(stage)
    await stage.publish("bank-a", "later")
    stage.ledger._lines.clear()
    return job


async def verdict_of(stage: Stage, audit: Audit, job: Any) -> Any:
    bundle = await audit.bundle(stage.person("bank-b", Role.AUDITOR), job.id)
    charter = await stage.services.charters.current()
    assert charter is not None
    return verify_bundle(bundle, charter.charter)


async def test_whoever_is_there_now_cosigns_the_end(stage: Stage) -> None:
    job = await unwitnessed(stage)
    assert not (await verdict_of(stage, Audit(stage.services.begin, stage.ledger), job)).ok
    parties = Parties(stage)
    verdict = await verdict_of(stage, audit_of(stage, parties), job)
    assert verdict.ok, verdict.failures
    assert verdict.cosigners == BANKS
    assert sorted(parties.asked) == [("cosign", bank) for bank in sorted(BANKS)]


@pytest.mark.parametrize("how", ["away", "refusing"])
async def test_whose_cosignature_is_missing_is_told(stage: Stage, how: str) -> None:
    job = await unwitnessed(stage)
    parties = Parties(stage, **{how: ("bank-a", "bank-b")})
    verdict = await verdict_of(stage, audit_of(stage, parties), job)
    assert not verdict.ok
    assert verdict.cosigners == ("bank-c",)


async def test_nobody_is_asked_again_and_again(stage: Stage) -> None:
    job, now = await unwitnessed(stage), [0.0]
    parties = Parties(stage, refusing=BANKS)
    audit = audit_of(stage, parties, lambda: now[0])
    for _ in range(3):
        await verdict_of(stage, audit, job)
    assert len(parties.asked) == len(BANKS)
    now[0] += AGAIN
    await verdict_of(stage, audit, job)
    assert len(parties.asked) == 2 * len(BANKS)


async def test_a_witnessed_end_asks_nobody(stage: Stage) -> None:
    job = await finished_job(stage)
    parties = Parties(stage)
    assert (await verdict_of(stage, audit_of(stage, parties), job)).ok
    assert not parties.asked

"""What a hostile centre tries against approvals: swapped, widened, decided in a person's place.

The whole list of such attacks, with the test of each, is in docs/threat-model.md, "A hostile
centre, and a hostile page"; here are those that have no file of their own.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peers.agent_people import waiting_item
from peers.agent_world import JOB, NOW, World

from secureflow.agent.edge.permissions import PERMISSIONS
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.errors import SecureFlowError

OTHER = "job_another000"


@pytest.fixture
def asked(tmp_path: Path) -> World:
    """An agent whose policies leave every request to a person."""
    return World(tmp_path / "agent", policy="")


async def refused(world: World, verb: str, body: dict[str, Any]) -> str:
    with pytest.raises(SecureFlowError) as caught:
        await world.ask(verb, body)
    return caught.value.code


async def approved(world: World) -> dict[str, Any]:
    """Have a person approve the world's job; return the agent's answer."""
    asking, item = await waiting_item(world)
    await world.assembly.inbox.approve(item.id, "", 5.0)
    return await asking  # type: ignore[no-any-return]


def wider(world: World) -> dict[str, Any]:
    """Return specs that take more than the approved one: rounds, columns' bounds, who gets it."""
    spec = dump(world.spec)
    return {
        "rounds": {**spec, "plan": {**spec["plan"], "rounds": 300}},
        "purpose": {**spec, "purpose": "marketing"},
        "submitter": {**spec, "submitter": "usr_eve"},
        "protection": {**spec, "protection": "secagg"},
    }


async def test_an_approval_is_not_widened(asked: World) -> None:
    """Under the name of the approved job: neither asked anew, nor by the verbs that follow."""
    await approved(asked)
    for what, spec in wider(asked).items():
        digest = spec_digest(parse(TrainingSpec, spec))
        assert digest != asked.digest, what
        again = asked.consent_body(spec=spec, digest=digest)
        assert await refused(asked, "consent", again) == "spec_digest_mismatch", what
        body = {**asked.body(generation=1), "digest": digest}
        assert await refused(asked, "challenge", body) == "spec_digest_mismatch", what
        lied = asked.consent_body(spec=spec)  # the approved digest over another spec
        again = await asked.ask("consent", lied)
        assert again["approval"]["body"]["spec"] == asked.digest, "what was signed, once more"
    job = asked.store.job(JOB)
    assert job is not None
    assert (job.digest, job.spec) == (asked.digest, dump(asked.spec))


async def test_an_approval_is_not_swapped_for_another_jobs(asked: World) -> None:
    """Another job, of the very spec that was approved, asks a person anew and may do nothing."""
    await approved(asked)
    body = {**asked.body(generation=1), "job": OTHER}
    assert await refused(asked, "challenge", body) == "not_approved"
    asking, item = await waiting_item(asked, asked.consent_body(job=OTHER))
    assert (item.job, item.state) == (OTHER, "waiting")
    assert await refused(asked, "challenge", body) == "not_approved"
    asked.assembly.inbox.decide(item.id, "rejected", "no")
    asked.assembly.inbox.wake(item.id)
    with pytest.raises(SecureFlowError):
        await asking
    assert asked.store.job(OTHER) is None
    assert asked.store.job(JOB) is not None


async def test_the_centre_has_no_verb_that_decides(asked: World) -> None:
    """Nothing that a person does at the socket can be asked for over the link."""
    asking, item = await waiting_item(asked)
    for command in PERMISSIONS:
        for body in ({**asked.body(item=item.id), "reason": "yes"}, {"item": item.id}, item.id):
            with pytest.raises(SecureFlowError) as caught:
                await asked.assembly.agent.handle(command, body, None)
            assert caught.value.code == "unknown_verb", command
    assert asked.assembly.inbox.get(item.id).state == "waiting"
    assert not asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_decision_on_record_is_read_for_what_it_was_made_for(asked: World) -> None:
    """A centre with a copy of an approval shows it under another end, party or key."""
    answer = await approved(asked)
    body = answer["approval"]["body"]
    assert (body["job"], body["spec"], body["party"]) == (JOB, asked.digest, asked.me)
    assert body["expires"] <= NOW + 86_400
    kept = asked.store.job(JOB)
    assert kept is not None
    assert replace(kept, expires=body["expires"]) == kept

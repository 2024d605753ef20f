"""A job's calls to the centre outlast a fault of the centre's, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import World
from structlog.testing import capture_logs

from secureflow.agent.job import retrying
from secureflow.agent.job.retrying import call_with_retries
from secureflow.kit.errors import SecureFlowError


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "FIRST", 0.001)
    monkeypatch.setattr(retrying, "LONGEST", 0.002)


class Centre:
    """Fails with these codes, one after the other, and answers then."""

    def __init__(self, *codes: str) -> None:
        self.codes = list(codes)
        self.asked = 0

    async def __call__(self) -> Any:
        self.asked += 1
        if self.codes:
            raise SecureFlowError(self.codes.pop(0), "Not now.")
        return {"answer": 1}


@pytest.mark.parametrize("code", sorted(retrying.PASSING))
async def test_what_passes_is_waited_for(code: str) -> None:
    centre = Centre(*[code] * 20)
    assert await call_with_retries("log.prove", centre) == {"answer": 1}
    assert centre.asked == 21


async def test_the_log_says_once_what_is_waited_for() -> None:
    with capture_logs() as told:
        await call_with_retries("log.prove", Centre(*["database_unavailable"] * 3))
        await call_with_retries("log.prove", Centre())
    assert told == [
        {
            "event": "centre_awaited",
            "log_level": "warning",
            "call": "log.prove",
            "code": "database_unavailable",
            "message": "Not now.",
        }
    ]


@pytest.mark.parametrize("code", ["not_found", "forbidden", "unknown_kind", "internal"])
async def test_a_refusal_is_not(code: str) -> None:
    centre = Centre("database_busy", code)
    with pytest.raises(SecureFlowError) as caught:
        await call_with_retries("log.prove", centre)
    assert caught.value.code == code
    assert centre.asked == 2


async def test_it_is_not_waited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "CALLED_SECONDS", 0.01)
    with pytest.raises(SecureFlowError, match="Not now"):
        await call_with_retries("log.prove", Centre(*["database_unavailable"] * 10_000))


async def test_a_witness_that_needs_a_proof_of_a_failing_centre_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two requests overtook each other just then: that is no failure of this party."""
    world = World(tmp_path / "agent")
    call, faults = world.call, ["database_unavailable", "link_broken", "disk_full"]
    asked: list[str] = []

    async def flaky(kind: str, body: dict[str, Any]) -> Any:
        if kind == "log.mine":  # asked once, before the first answer
            return await call(kind, body)
        asked.append(kind)
        if faults:
            raise SecureFlowError(faults.pop(), "Not now.")
        if kind == "audit.head":
            size = body["from"]
            proof = world.tree.consistency_proof(size) if size else []
            return {"note": world.head(), "consistency": [node.hex() for node in proof]}
        return await call(kind, body)

    monkeypatch.setattr(world, "call", flaky)
    await world.admitted()
    old = world.head()
    world.record(await world.ask("consent", world.consent_body()))
    await world.ask("cosign", {"job": "", "head": world.head()})
    # An older head comes after a newer one, with proofs that start elsewhere.
    reply = await world.assembly.agent.handle("cosign", {"job": "", "head": old}, None)
    assert reply["cosignature"]
    assert not faults
    assert asked[:3] == ["audit.head"] * 3

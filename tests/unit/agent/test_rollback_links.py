"""An agent whose memory is set back with its record, or that has a twin, notices it on its link."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from peers.agent_world import JOB, ME, ORIGIN, World

from secureflow.engines.ledger.leaves import Leaf, sign_leaf
from secureflow.kit.errors import SecureFlowError


@dataclass
class Centre(World):
    """A world whose log has what another process signed with this agent's key."""

    logged: list[dict[str, Any]] = field(default_factory=list)
    meanwhile: bool = False

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        if kind != "log.mine":
            return await super().call(kind, body)
        told = list(self.logged)
        if self.meanwhile:
            self.meanwhile = False
            self.twin_answers()
        return {"leaves": told}

    def listed(self) -> list[dict[str, Any]]:
        return self.logged

    def twin_answers(self) -> str:
        """Let another copy of this agent have a link, and sign on it."""
        signed = sign_leaf(Leaf("noted", ORIGIN, ME, 1, "ab" * 32, job="job_1"), self.all_keys[ME])
        self.logged.append({"index": len(self.logged), "leaf": signed.json()})
        self.links += 1
        return signed.hash()


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path / "agent")


async def asked(world: Centre) -> str:
    """Deliver a request; return the code of the refusal."""
    with pytest.raises(SecureFlowError) as caught:
        await world.ask("challenge", {"job": JOB, "digest": world.digest, "generation": 1})
    return caught.value.code


async def test_a_new_link_is_a_reason_to_look_again(centre: Centre) -> None:
    """A snapshot with the memory in it goes back without a start; and so it is with a twin."""
    assert await asked(centre) == "not_approved"
    lost = centre.twin_answers()
    assert await asked(centre) == "record_set_back"
    assert centre.store.fact("alarm")["details"]["leaves"] == [lost]
    await centre.assembly.rollback.accept()
    with centre.store.transaction():
        centre.store.set_fact("alarm", None)
    centre.links += 1
    assert await asked(centre) == "not_approved"


async def test_what_was_asked_on_another_link_is_not_answered_before_it_was_looked(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval waits for days: the machine may be set back under it."""

    async def waits(body: Any, log_proofs: Any) -> dict[str, Any]:
        del body, log_proofs
        centre.twin_answers()
        return {}

    monkeypatch.setitem(centre.assembly.agent._verbs, "challenge", waits)
    assert await asked(centre) == "record_set_back"


async def test_a_link_that_comes_while_the_centre_is_asked_is_looked_at_too(
    centre: Centre,
) -> None:
    centre.meanwhile = True
    assert await asked(centre) == "record_set_back"

"""Two servers on one database: who is shut out at one of them is cut off at the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.application.revocations import RevocationWatch
from secureflow.domain.organisations import Agent
from tests.stage import Stage, two_worlds


class Other:
    """The other server's links, as they hear of it."""

    def __init__(self, stage: Stage) -> None:
        self.expelled: list[Agent] = []
        self.told: list[list[str]] = []
        self._outs = RevocationWatch(
            stage.database.begin, self.expelled.append, lambda out: self.told.append(list(out))
        )

    async def look(self) -> tuple[list[str], list[list[str]]]:
        """Look, and return who was expelled and what was told since the last time."""
        await self._outs.poll()
        heard = [agent.id for agent in self.expelled], list(self.told)
        self.expelled.clear()
        self.told.clear()
        return heard


@pytest.fixture
async def stage(tmp_path: Path) -> Stage:
    return await two_worlds(tmp_path)


async def test_who_is_revoked_or_disabled_at_another_server_is_cut_off(stage: Stage) -> None:
    organisations, other = stage.services.organisations, Other(stage)
    assert await other.look() == ([], [[]])  # a start says who is out
    assert await other.look() == ([], [])
    await organisations.revoke(stage.operator, stage.ids["bank-a.agent"])
    assert await other.look() == ([stage.ids["bank-a.agent"]], [[]])
    await organisations.set_disabled(stage.operator, "bank-b", disabled=True)
    assert await other.look() == ([], [["bank-b"]])
    await organisations.set_disabled(stage.operator, "bank-b", disabled=False)
    assert await other.look() == ([], [[]])
    assert await other.look() == ([], [])


async def test_who_comes_back_with_another_agent_is_not_cut_off_again(stage: Stage) -> None:
    organisations, other = stage.services.organisations, Other(stage)
    await organisations.revoke(stage.operator, stage.ids["bank-a.agent"])
    await organisations.set_disabled(stage.operator, "bank-b", disabled=True)
    assert await other.look() == ([], [["bank-b"]])  # nobody had a link yet
    await organisations.set_disabled(stage.operator, "bank-c", disabled=True)
    assert await other.look() == ([], [["bank-b", "bank-c"]])

"""Tells the centre the questions of people here, and asks it for the answers.

Nothing is asked while no question is open.
"""

from __future__ import annotations

import asyncio
from typing import Final

from secureflow.adapters.link.missedends import AT_ONCE, CentreLink
from secureflow.agent.owner.questions import OwnQuestions
from secureflow.agent.record.store import RecordStore
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

OPEN_SECONDS: Final = 10.0
"""Seconds between two times of asking for answers."""
IDLE_SECONDS: Final = 600.0
"""Seconds between two looks for questions that were left open, if none is asked."""
_log = get_logger(__name__)


class QuestionWatch:
    """Exchanges questions and answers.

    Args:
        link: to the centre.
        store: the agent's record.
        questions: the owner's.
    """

    def __init__(self, link: CentreLink, store: RecordStore, questions: OwnQuestions) -> None:
        self._link = link
        self._store = store
        self._questions = questions

    async def run(self) -> None:
        """Exchange when something is asked, and while something is open, until cancelled."""
        while True:
            await self._link.connected.wait()
            self._questions.asked.clear()
            waits = True
            try:
                waits = await self.exchange()
            except SecureFlowError as error:
                _log.warning("questions_not_exchanged", code=error.code, message=error.message)
            try:
                async with asyncio.timeout(OPEN_SECONDS if waits else IDLE_SECONDS):
                    await self._questions.asked.wait()
            except TimeoutError:
                pass

    async def exchange(self) -> bool:
        """Tell what the centre does not have, and fetch answers; return whether any is awaited.

        A question that the centre refuses hinders no other one.

        Raises:
            SecureFlowError: of the link.
        """
        asked = await asyncio.to_thread(self._store.open_questions, AT_ONCE)
        for one in asked:
            if not one.told:
                await self._tell(one.key, {"job": one.job, "key": one.key, "text": one.question})
        if not asked:
            return False
        jobs: list[JSON] = sorted({one.job for one in asked})
        answer = await self._link.call("question.answers", {"jobs": jobs})
        told = answer.get("answers") if isinstance(answer, dict) else None
        waiting = [one for one in asked if isinstance(told, list)]
        new = await asyncio.to_thread(self._questions.keep_answers, waiting, told)
        return new < len(asked)

    async def _tell(self, key: str, body: dict[str, JSON]) -> None:
        try:
            await self._link.call("question.ask", body)
        except SecureFlowError as error:
            if error.code in ("unavailable", "link_broken"):
                raise
            _log.warning("question_refused", job=body["job"], code=error.code)
            return
        known = {one.key: one for one in self._store.open_questions(AT_ONCE)}
        if key in known:
            await asyncio.to_thread(self._questions.keep_told, known[key])

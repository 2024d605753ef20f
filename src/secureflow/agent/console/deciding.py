"""A request as it is shown to whoever decides, and whether it still is so when they decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.agent.console.visits import Visit
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects

ITEM: Final = "[0-9a-f]{64}"
"""The whole id of a request; a beginning of one names nothing."""
RECKONING: Final = 60.0
"""Seconds to wait for a document: a cost may have to be reckoned anew."""


@dataclass(frozen=True)
class Shown:
    """A request as the agent tells it: `item` is the summary, `document` None if that is all."""

    item: Mapping[str, Any]
    document: Mapping[str, Any] | None

    @property
    def seen(self) -> str:
        """A digest of what a decision depends on and may change: approvals, budget, answers."""
        document = self.document or {}
        people = members(document.get("people"))
        parts = {
            "id": self.item.get("id"),
            "spec": self.item.get("digest"),
            "state": self.item.get("state"),
            "two_people": people.get("two_people"),
            "approved": [one.get("id") for one in objects(people.get("approved"))],
            "privacy": document.get("privacy"),
            "rule": members(document.get("rule")).get("effect"),
            "code": members(document.get("code")).get("digest"),
            "questions": [(one.get("question"), one.get("answer")) for one in self.questions],
        }
        return digest(parts)

    @property
    def questions(self) -> tuple[Mapping[str, Any], ...]:
        """What was asked of the submitter, and the answers as the centre told them."""
        return objects((self.document or {}).get("questions"))

    @property
    def open_question(self) -> Mapping[str, Any] | None:
        """The question that waits for its answer, if there is one."""
        return next((one for one in self.questions if not one.get("answered")), None)

    def approved_by(self, person: Any) -> bool:
        """Tell whether a person approved it already, in the own place or another's."""
        people = members((self.document or {}).get("people"))
        return any(one.get("id") == person for one in objects(people.get("approved")))

    def decided(self, person: Mapping[str, Any], state: str) -> bool:
        """Tell whether this very decision of a person was taken already."""
        mine = state == "approved" and self.approved_by(person.get("id"))
        return mine or self.item.get("state") == state


async def shown_of(visit: Visit, item: str, page: int = 1) -> Shown:
    """Return a request as it is now.

    Args:
        visit: who looks at it, in which language.
        item: its whole id.
        page: of the difference of its code.
    """
    asking = visit.ask("inbox.document", RECKONING, item=item, language=visit.language, page=page)
    answer = members(await asking)
    document = answer.get("document")
    return Shown(members(answer.get("item")), document if isinstance(document, Mapping) else None)


def changed() -> SecureFlowError:
    """Return the error of a decision about what is not any more as it was shown."""
    return SecureFlowError(
        "request_changed",
        "The request is not as this page had shown it: nothing was decided.",
        "Look at it again; below it is as it is now.",
    )

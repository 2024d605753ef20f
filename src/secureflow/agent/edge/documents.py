"""Everything that a person decides on about a request, as one document for the owner's page."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from secureflow.agent.edge.control import Command
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import Language


class Describe(Protocol):
    """Makes the document of a request (`cli.pagedocument.PageDocuments`)."""

    def __call__(
        self,
        answer: Mapping[str, Any],
        code: Mapping[str, Any] | None,
        language: Language,
        page: int,
    ) -> dict[str, Any]:
        """Return it; blocks while a cost is reckoned."""


def document_command(
    table: Mapping[str, Command], describe: Describe | None
) -> Mapping[str, Command]:
    """Return the command, over those of an agent that tell of a request and its code."""
    return DocumentCommands(table["inbox.show"], table["bundle.review"], describe).table()


@dataclass(frozen=True)
class DocumentCommands:
    """The command.

    Args:
        shown: `inbox.show`.
        reviewed: `bundle.review`.
        describe: makes the document; None where a program started the agent that has none.
    """

    shown: Command
    reviewed: Command
    describe: Describe | None

    def table(self) -> Mapping[str, Command]:
        """Return the command by its name."""
        return {"inbox.document": self.document}

    async def document(self, item: str, language: str = "en", page: int = 1) -> dict[str, JSON]:
        """Return one request as a document: see `cli.requestdocument.document`.

        `code` has what there is to know of its code, and a page of its difference. Of a request
        that was not decided by a person only the summary is kept: `document` is None then.
        """
        answer: dict[str, JSON] = await self.shown(item)
        summary = {name: one for name, one in answer.items() if name not in ("spec", "here")}
        if spec := answer.get("spec"):
            summary["name"] = spec.get("name")
        if self.describe is None or not spec:
            return {"item": summary, "document": None}
        code = await self._code(answer)
        spoken: Language = "zh" if language == "zh" else "en"
        number = page if type(page) is int else 1
        made = await asyncio.to_thread(self.describe, answer, code, spoken, number)
        return {"item": summary, "document": made}

    async def _code(self, answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not (answer.get("request") or {}).get("bundle_digest"):
            return None
        try:
            told: Mapping[str, Any] = await self.reviewed(str(answer["id"]))
        except SecureFlowError as error:
            if error.code == "not_found" and answer.get("state") != "waiting":
                return None  # decided, and its code is not kept any more
            raise
        return told

"""The words that pages say, from their own catalogue: a walk finds things as people read them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from peers.verifiers import WEB

_TEXTS = WEB / "src" / "shared" / "texts"


@cache
def _area(language: str, area: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((_TEXTS / language / f"{area}.json").read_text("utf-8"))
    return found


class Words:
    """Texts in one language: `words("jobs:report")`, with the facts that stand in them."""

    def __init__(self, language: str) -> None:
        self.language = language

    def __call__(self, key: str, **facts: Any) -> str:
        """Return a text by its key, as the pages name it."""
        area, name = key.split(":", 1)
        text = _area(self.language, area)[name]
        for fact, value in facts.items():
            text = text.replace("{{" + fact + "}}", str(value))
        return text

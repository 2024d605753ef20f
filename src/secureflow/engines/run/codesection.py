"""The part of a report that names the code of others which a job brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.kit.canonical import JSON

COMPUTED: Final = "The code that computed it"


def code_section(title: str, code: Mapping[str, Any]) -> dict[str, JSON]:
    """Return a section of a report: the bundle's digest, its entry point, the environment."""
    named = {"Bundle": "digest", "Entry": "entry", "Environment": "environment"}
    rows: list[JSON] = [{"label": label, "value": code[name]} for label, name in named.items()]
    return {"title": title, "rows": rows}

"""What must hold of every answer, whatever was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from secureflow.domain.errors import CATALOGUE
from secureflow.kit.plain import hidden

MEMBERS = {"code", "message", "hint", "details"}


def faults_of_error(error: Any) -> list[str]:
    """Return what is wrong with an error as it was sent: its code, and its texts."""
    if not isinstance(error, dict) or not error.keys() >= MEMBERS:
        return [f"no error of ours: {error!r:.300}"]
    found = [] if error["code"] in CATALOGUE else [f"unknown code {error['code']!r:.80}"]
    if error["code"] == "internal":
        found.append(f"a defect: {error['message']}")
    told = {name: error[name] for name in ("message", "hint")}
    return found + [f"{name} hides characters: {text!r:.200}" for name, text in told.items()
                    if not isinstance(text, str) or hidden(text)]  # fmt: skip


class Secrets:
    """What no answer may contain: what only the database holds, and others' secrets."""

    def __init__(self, planted: Iterable[str]) -> None:
        self._planted = sorted({one for one in planted if len(one) >= 16})
        self._any = re.compile("|".join(map(re.escape, self._planted)).encode())

    def told(self, answer: bytes, asked: bytes = b"") -> list[str]:
        """Return the secrets in an answer that were not in the question."""
        if not self._any.search(answer):
            return []
        return [f"the secret {one:.12}… is told" for one in self._planted
                if one.encode() in answer and one.encode() not in asked]  # fmt: skip


def as_json(data: bytes) -> Any:
    """Parse an answer; what is no JSON stays as it is."""
    try:
        return json.loads(data)
    except ValueError:
        return data


def tell(found: Iterable[tuple[int, list[str]]], repeat: str) -> None:
    """Fail with every seed that broke a promise, and the command that repeats it."""
    told = ["\n  ".join([repeat.format(seed, seed + 1), *wrong]) for seed, wrong in found if wrong]
    assert not told, f"{len(told)} seeds:\n" + "\n".join(told[:40])

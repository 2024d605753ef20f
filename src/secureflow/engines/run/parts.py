"""A part of a job, and what is told if it is not started at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.engines.script import RunJob, Script, Tell
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import with_texts

NOT_STARTED: Final = "grant_revoked"
"""The code with which a part is refused before it exists."""


def run_part(kind: str, counted: Mapping[str, JSON], effect: RunJob) -> Script[Any]:
    """Run a part to its end; return its answer (`RunJob`).

    Args:
        kind: of the events that tell of parts.
        counted: the members of such an event that say which part it is.
        effect: the part.

    Raises:
        SecureFlowError: `grant_revoked` if an owner's grant of its data was revoked: there is no
            such job, and its whole ends; `cancelled`.
    """
    try:
        return (yield effect)
    except SecureFlowError as error:
        if error.code == NOT_STARTED:
            told = {**counted, "job": "", "state": "failed", "error": error.as_json()}
            yield Tell(kind, with_texts(told))
        raise

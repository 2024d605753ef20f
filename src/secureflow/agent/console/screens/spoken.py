"""Texts of ours among facts: answered in the reader's language.

What was filled into them may be foreign: hidden characters become visible escapes (`kit.plain`).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import PlainSerializer, SerializationInfo

from secureflow.kit.plain import shown
from secureflow.texts import Language, told


def _said(value: str, info: SerializationInfo) -> str:
    language: Language = (info.context or {}).get("language", "en")
    return shown(told(value, language), several=True)


Spoken = Annotated[str, PlainSerializer(_said, return_type=str)]
"""A text of ours; pydantic writes it in the language that the context names."""


def approval_in(value: str, language: Language) -> str:
    """Return by whom a job was approved; a person's decision with the note that was left."""
    who, colon, note = value.partition(": ")
    if who in ("a person", "two people"):
        return told(who, language) + colon + note
    return told(value, language)


def _approved(value: str, info: SerializationInfo) -> str:
    language: Language = (info.context or {}).get("language", "en")
    return shown(approval_in(value, language), several=True)


SpokenApproval = Annotated[str, PlainSerializer(_approved, return_type=str)]
"""By whom a job was approved."""

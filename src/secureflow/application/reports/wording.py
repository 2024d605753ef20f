"""Texts of a page in both languages, escaped; CSS shows one of them."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup, escape

from secureflow.texts import chinese


def both(english: Any) -> Markup:
    """Return an escaped text in both languages; CSS shows one of them."""
    text = english if isinstance(english, str) else str(english)
    told = chinese(text)
    return escape(text) if told is None else in_both(text, told)


def in_both(english: str, chinese: str) -> Markup:
    """Return a text in both languages, each escaped."""
    return Markup('<span class="en">{}</span><span class="zh" lang="zh">{}</span>').format(
        english, chinese
    )

"""Which language a browser asks for: English, or Chinese where `Accept-Language` prefers it."""

from __future__ import annotations

import re
from typing import Final

from secureflow.texts import Language

_WEIGHT: Final = re.compile(r"0(\.\d{0,3})?|1(\.0{0,3})?")


def prefers_chinese(languages: str) -> bool:
    """Tell whether an `Accept-Language` (RFC 9110, 12.5.4) puts Chinese before English.

    Malformed headers count as English; only the first ranges of a long header are read.
    """
    best = {"zh": 0.0, "en": 0.0}
    for one in languages[:512].lower().split(",")[:16]:
        tag, *parameters = (part.strip() for part in one.split(";"))
        weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        family = tag.partition("-")[0]
        if family in best and _WEIGHT.fullmatch(weight):
            best[family] = max(best[family], float(weight))
    return best["zh"] > best["en"]


def asked(languages: str) -> Language:
    """Return the language that an `Accept-Language` asks for."""
    return "zh" if prefers_chinese(languages) else "en"

"""Whether an error is told in Chinese throughout: its message, and the next step."""

from __future__ import annotations

import re

from secureflow.kit.errors import SecureFlowError
from secureflow.texts import error_in

_CJK = re.compile("[\u4e00-\u9fff]")
_ENGLISH = re.compile("[a-z]{2,}( [a-z]{2,}){2}")
"""Three words in a row: names of fields stand alone."""
_COMMAND = re.compile("secureflow [a-z ]+")


def in_chinese(error: SecureFlowError) -> bool:
    """Tell whether message and hint are Chinese, after their way through JSON."""
    told = error_in(SecureFlowError.from_json(error.as_json()).as_json(), "zh")
    said = [_COMMAND.sub("", told[name]) for name in ("message", "hint")]
    return all(_CJK.search(one) and not _ENGLISH.search(one) for one in said)

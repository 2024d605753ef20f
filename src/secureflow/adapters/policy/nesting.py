"""How deep a Cedar text may go, before Cedar reads it.

Cedar's parser calls itself for each bracket within another: some hundreds of them overflow its
stack and end the whole process. A chain of operators becomes JSON that is as deep as the chain is
long, which Python's parser refuses. Policies that people wrote are far from both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

DEEPEST: Final = 64
"""Brackets within one another."""
LONGEST: Final = 1000
"""Operators and accesses of one policy."""
LEVELS: Final = 300
"""Levels of a policy as JSON: chains of about 150 conditions."""
PART_LEVELS: Final = 120
"""Levels of one of those conditions: Cedar reads JSON of 128 with what stands around it."""
_TOKEN: Final = re.compile(
    r'"(?:[^"\\]|\\.)*"?|//[^\r\n]*|[(\[{]|[)\]}]|;|&&|\|\||[+*.!-]|\bif\b', re.DOTALL
)


def too_deep(text: str) -> bool:
    """Tell whether a policy of a text goes deeper, or is longer, than Cedar should be given."""
    depth = links = 0
    for found in _TOKEN.finditer(text):
        sign = found[0]
        if sign[0] == '"' or sign.startswith("//"):
            continue
        if sign == ";":
            links = 0
        elif sign in ")]}":
            depth -= 1
        else:
            depth += sign in "([{"
            links += 1
        if depth > DEEPEST or links > LONGEST:
            return True
    return False


def levels(value: Any) -> int:
    """Return how many levels a JSON value has, at most one more than `LEVELS`."""
    found, level = 0, [value]
    while level and found <= LEVELS:
        found += 1
        level = [one for inner in level for one in _inside(inner)]
    return found


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()

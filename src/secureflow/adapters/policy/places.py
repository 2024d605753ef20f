"""Where in a Cedar text a complaint belongs: Cedar's own says what is wrong and not where.

Cedar numbers the policies of a text from `policy0`; of a text that it cannot read it names none, so
each policy is read alone until one cannot be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import cedarpy

_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|;|\s+|[^";/\s]+|.', re.DOTALL)
_NAMED: Final = re.compile(r"\[?(?:for policy )?`?policy(\d+)`?\]?[,:]?\s*")


def line_of(text: str, problem: str) -> int | None:
    """Return the line, from 1, at which the policy begins that a complaint is about; None unknown.

    Args:
        text: that was checked, not nested too deeply.
        problem: the complaint.
    """
    every = list(_policies(text))
    named = _NAMED.match(problem)
    if named:
        number = int(named[1])
        return every[number][0] if number < len(every) else None
    return next((line for line, one in every if not _readable(one)), None)


def unnumbered(problem: str) -> str:
    """Return a complaint without Cedar's number of the policy."""
    while named := _NAMED.match(problem):
        problem = problem[named.end() :]
    return problem


def _policies(text: str) -> Iterator[tuple[int, str]]:
    """Yield each policy with the line of its first word; comments before it are not its own."""
    line, begun, taken = 1, 0, ""
    for found in _TOKEN.finditer(text):
        part = found[0]
        plain = not part.isspace() and not part.startswith("//")
        if plain and not begun:
            begun = line
        if begun:
            taken += part
        line += part.count("\n")
        if part == ";":
            yield begun, taken
            begun, taken = 0, ""
    if begun:
        yield begun, taken


def _readable(policy: str) -> bool:
    try:
        cedarpy.policies_to_json_str(policy)
    except ValueError:
        return False
    return True

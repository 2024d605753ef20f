"""Texts in CSV files that a spreadsheet must not take for formulas.

A program that opens CSV may compute a text that begins with `=`, say, and a formula can send other
cells away. An apostrophe before it makes it a text everywhere (OWASP, CSV injection).
"""

from __future__ import annotations

from typing import Final

FORMULA_STARTS: Final = tuple("=+-@\t\r\n＝＋－＠")
"""With what a formula begins, in any spreadsheet; the wide signs are those of East Asian input."""
SIGN: Final = "'"
"""What makes it a text."""


def plain_cell(text: str) -> str:
    """Return a text as a cell that is no formula."""
    return SIGN + text if text.startswith(FORMULA_STARTS) else text

"""A settlement's statement as a page like that of a report: self-contained, in both languages."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

from jinja2 import Template

from secureflow.application.reports.page import contents, environment


def render(statement: Mapping[str, Any], lang: Literal["en", "zh"] = "en") -> str:
    """Return the HTML page of a statement (`application.statements.statement`).

    Args:
        statement: of a settlement, for one organisation.
        lang: the language shown first; the page can switch.
    """
    return _template().render(**contents(statement, lang))


@functools.cache
def _template() -> Template:
    return environment().get_template("settlement.html.jinja")

"""A test in a browser waits for what it asserts: a page that is read once may be on its way there.

Playwright's `expect` (`peers.browsers`) looks again until it is so. What is read once, and how long
something is waited for whatever it does, is named here with the reason why that is right.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.syntax import nodes

TESTS: Final = Path(__file__).resolve().parents[2]
FILES: Final = [*sorted((TESTS / "browser").rglob("*.py")), TESTS / "peers" / "browsers.py"]
ONCE: Final = {
    *("all", "all_inner_texts", "all_text_contents", "bounding_box", "count", "get_attribute"),
    *("inner_html", "inner_text", "input_value", "is_checked", "is_disabled", "is_editable"),
    *("is_enabled", "is_hidden", "is_visible", "text_content", "wait_for_timeout"),
}
"""What Playwright's locators and pages answer at once; and the one that only lets time go by."""
BARE: Final = {"all", "count"}
"""Texts and lists have these too, with an argument."""
ASSERTED: Final = {"evaluate", "url"}
"""What is read once, and asserted at the same place."""
_FORMS: Final = "browser/asked/test_forms.py::"
_FRAME: Final = "browser/console/test_frame.py::"
_CANVAS: Final = "browser/console/test_canvas.py::"
_LISTS: Final = "browser/whole/test_lists.py::"
RIGHT: Final[dict[str, str]] = {
    f"{_FORMS}test_a_mean_is_asked_for_and_answered_with_its_interval": (
        "the numbers are computed with, once the row has them"
    ),
    f"{_FORMS}test_explanation_and_report_print_whole_and_on_white": (
        "nothing is cut off on a page at rest"
    ),
    f"{_CANVAS}test_what_is_drawn_stays_in_sight_while_other_things_are_filled_in": (
        "what was noted until the page was at rest"
    ),
    f"{_FRAME}test_a_second_factor_is_added_and_asked_for": "a secret is used, once it is shown",
    f"{_FRAME}unread": "a count of a page at rest, which a later one is compared with",
    f"{_FRAME}test_the_policy_stops_what_the_program_did_not_make": (
        "what a script did not do, after it was refused"
    ),
    f"{_FORMS}test_a_key_is_no_column_of_which_a_number_is_asked": (
        "the id of a list is used, once the list is open"
    ),
    "browser/whole/test_enrolled.py::token_of": "a token is used, once all three are shown",
    f"{_LISTS}rows": "the most rows of many moments",
    f"{_LISTS}shown": "a count of a page at rest, which a later one is compared with",
    f"{_LISTS}older": "a page at rest has more before it, or has not",
}
"""Where reading once is right, and why."""


def read_once(tree: ast.AST) -> Iterator[str]:
    """Yield what a function, or a module outside of its functions, reads once."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            name = node.func.attr
            if name in ONCE and not (name in BARE and (node.args or node.keywords)):
                yield name
        if isinstance(node, ast.Assert):
            for part in ast.walk(node.test):
                if isinstance(part, ast.Attribute) and part.attr in ASSERTED and at_once(part):
                    yield part.attr


def at_once(part: ast.Attribute) -> bool:
    """Tell whether it is a page's own: what a request or an event of `one` had stays as it was."""
    return isinstance(part.value, ast.Name) and part.value.id != "one"


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield everything of a function but the functions within it."""
    for child in ast.iter_child_nodes(tree):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from nodes_of(child)


def found() -> dict[str, list[str]]:
    """Return where a page is read once: file and function → what is read."""
    places: dict[str, list[str]] = {}
    for path in FILES:
        name = path.relative_to(TESTS).as_posix()
        functions = [node for node in nodes(path) if isinstance(node, ast.FunctionDef)]
        for one in functions:
            if read := sorted(set(read_once(one))):
                places[f"{name}::{one.name}"] = read
    return places


def test_no_test_asserts_what_it_has_read_once() -> None:
    wrong = {place: read for place, read in found().items() if place not in RIGHT}
    assert not wrong, "use peers.browsers.expect; where reading once is right, say why in RIGHT"


def test_no_reason_is_left_over() -> None:
    assert set(RIGHT) <= set(found())


@pytest.mark.parametrize("text", [
    "assert page.locator('a').count() == 1",
    "assert not page.get_by_text('a').is_visible()",
    "told = alert.inner_text()\n    assert 'no' in told",
    "assert page.url.endswith('/login')",
    "assert page.evaluate('document.title') == 'a'",
    "page.wait_for_timeout(500)",
])  # fmt: skip
def test_it_is_seen(text: str) -> None:
    assert list(read_once(ast.parse(f"def test():\n    {text}").body[0]))


@pytest.mark.parametrize("text", [
    "expect(page.locator('a')).to_have_count(1)",
    "assert [one.url for one in asked] == []",
    "assert text.count('a') == 1",
])  # fmt: skip
def test_nothing_else_is(text: str) -> None:
    assert not list(read_once(ast.parse(f"def test():\n    {text}").body[0]))

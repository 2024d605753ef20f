"""What can be told of a bundle without running it."""

from __future__ import annotations

import sys

import pytest

from secureflow.engines.bundles import Bundle, inspect
from secureflow.engines.bundles.inspection import MAX_PARSED

GOOD = """
import json, numpy.linalg as la
from . import sibling
from ..up import thing
from torch import nn
class Model:
    def initial(self): ...
    def prepare(self, training, validation):
        import collections.abc
    def train(self, weights, round): ...
    def evaluate(self, weights): ...
"""


def bundle(**files: str) -> Bundle:
    return Bundle({f"{name.replace('__', '/')}.py": text.encode() for name, text in files.items()})


def problems(found: Bundle, entry: str = "model:Model") -> list[tuple[str, int, str]]:
    return [(one.file, one.line, one.text) for one in inspect(found, entry).problems]


def test_a_good_bundle_and_its_imports() -> None:
    found = inspect(bundle(model=GOOD), "model:Model")
    assert found.problems == ()
    assert found.imports == {
        "model.py": (".", "..up", "collections.abc", "json", "numpy.linalg", "torch")
    }
    assert found.modules == ("collections", "json", "numpy", "torch")


def test_a_syntax_error_is_named_with_line_and_version() -> None:
    ((file, line, text),) = problems(bundle(model="x = 1\ndef f(:\n"))
    assert (file, line) == ("model.py", 2)
    assert f"Python {sys.version_info[0]}.{sys.version_info[1]}" in text


def test_syntax_is_that_of_the_environments_python() -> None:
    source = bundle(model="match x:\n    case 1: pass\n")
    assert inspect(source).problems == ()
    (found,) = inspect(source, python=(3, 9)).problems
    assert "Python 3.9" in found.text


@pytest.mark.parametrize("name", ["json", "os", "random__inner", "sitecustomize"])
def test_a_module_of_python_itself(name: str) -> None:
    found = problems(bundle(model=GOOD, **{name: "x = 1"}))
    assert [text for _, _, text in found if name.partition("__")[0] in text]


def test_a_name_of_python_deeper_down_is_fine() -> None:
    assert problems(bundle(model=GOOD, own__json="x = 1")) == []


def test_a_text_file_named_like_a_module_is_fine() -> None:
    files = {"model.py": GOOD.encode(), "json.txt": b"about json"}
    assert inspect(Bundle(files), "model:Model").problems == ()


@pytest.mark.parametrize(
    ("files", "entry", "told"),
    [
        ({"other": GOOD}, "model:Model", "is not in the bundle"),
        ({"model": "x = 1"}, "model:Model", "is not defined"),
        ({"model": "class Model:\n    def train(self): ..."}, "model:Model", "no method"),
    ],
)
def test_a_missing_entry_point(files: dict[str, str], entry: str, told: str) -> None:
    assert any(told in text for _, _, text in problems(bundle(**files), entry))


@pytest.mark.parametrize(
    "source", ["Model = make()", "from elsewhere import Model", "from e import *",
               "class Model(Base): ...", "def Model(): ..."],
)  # fmt: skip
def test_what_cannot_be_known_is_not_a_problem(source: str) -> None:
    assert problems(bundle(model=source)) == []


def test_an_entry_point_in_a_package() -> None:
    for path in ("p/q/__init__.py", "p/q.py"):
        assert problems(Bundle({path: GOOD.encode()}), "p.q:Model") == []


def test_a_long_file_is_not_parsed_but_named() -> None:
    found = inspect(bundle(model=GOOD, long="a, b, c, d,\n" * (MAX_PARSED >> 3)), "model:Model")
    assert found.unread == ("long.py",)
    assert found.problems == ()
    assert inspect(bundle(model=GOOD + "########\n" * (MAX_PARSED >> 3)), "model:Model").unread == (
        "model.py",
    )


@pytest.mark.parametrize(
    "source",
    [
        ("(" * 1000 + "\n") * 100,
        "(" + ("-" * 1000 + "\n") * 60 + "1)",
        "(x" + (".y" * 900 + "\n") * 55 + ")",
    ],
)
def test_source_that_is_nested_too_deeply(source: str) -> None:
    found = inspect(bundle(model=source))
    assert [one.file for one in found.problems] in (["model.py"], [])


def test_a_warning_of_the_parser_is_no_problem() -> None:
    assert inspect(bundle(model="x = '\\d'\n")).problems == ()

"""The pages do not promise what is not there: links, files, tests, dependencies, both READMEs."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from secureflow.server.rest.export import description

ROOT = Path(__file__).resolve().parents[3]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if target.startswith("http"):
            continue
        found = page.parent / target if target else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            assert anchor in slugs, anchor


def test_the_tests_that_the_threat_model_names_exist() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"::(test_\w+)", page)
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *(one for group in extras.values() for one in group)]
    names = {re.split(r"[\[<>=~! ]", one)[0] for one in wanted} - {"secureflow"}
    page = (ROOT / "docs" / "dependencies.md").read_text()
    listed = set(re.findall(r"[A-Za-z0-9][\w-]*", page))
    assert sorted(names - listed) == []


def test_the_api_description_is_that_of_the_code() -> None:
    written = json.loads((ROOT / "api" / "openapi.json").read_text())
    assert written == json.loads(description()), "make docs"


def test_the_readmes_are_in_step() -> None:
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README-zh.md"))
    assert _commands(english) == _commands(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("\n| ") == chinese.count("\n| ")


def _commands(text: str) -> list[str]:
    lines = re.findall(r"^(?:secureflow|make) .*$", text, re.MULTILINE)
    words = (re.sub(r'"[^"]*"', '""', line.split("  #")[0]) for line in lines)
    return [re.sub(r"\s+", " ", line).strip() for line in words]

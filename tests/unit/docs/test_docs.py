"""The pages do not promise what is not there, and stand beside each other: links, files, words."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from secureflow.agent.console.api.description import text as description_of_owners_page
from secureflow.agent.console.api.routes import OPERATIONS
from secureflow.cli.main import app
from secureflow.server.rest.export import description

ROOT = Path(__file__).resolve().parents[3]
ROOT_COMMAND: Any = get_command(app)
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
SOURCES = [
    path
    for folder in ("api", "benchmarks", "configs", "deploy", "examples", "src", "tests")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".jinja", ".proto", ".py", ".service", ".yaml"}
]
MODULES = [f"/{path.relative_to(ROOT).as_posix()}" for path in SOURCES]
PAGE = r"(?<![\w./-])([\w./-]+\.md)"
ELSEWHERE = {"examples/mnist_README.md", "tutorials/README.md"}  # pages of other projects


def every(wrong: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return what is wrong on any page, with the page."""
    return [f"{page.relative_to(ROOT)}: {one}" for page in PAGES for one in wrong(page)]


def test_links_lead_somewhere() -> None:
    assert every(_astray) == []


def _astray(page: Path) -> Iterator[str]:
    text = page.read_text()
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if target.startswith("http"):
            continue
        found = page.parent / target if target else page
        if not found.exists():
            yield target
        elif anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
            if anchor not in slugs:
                yield f"{target}#{anchor}"


def test_the_modules_that_pages_name_exist() -> None:
    assert every(_without_module) == []


def _without_module(page: Path) -> list[str]:
    gone = {"CHANGELOG.md"}  # tells of the past
    told = re.findall(r"`([\w./{},-]+/[\w./{},-]+\.py)`", page.read_text())
    paths = [one for name in told for one in _braces(name) if not one.endswith("/overlap.py")]
    paths = [one for one in paths if not one.startswith("engines/overlap/")]  # a kind to come
    if page.name in gone:
        return []
    return [one for one in paths if not any(have.endswith(f"/{one}") for have in MODULES)]


def _braces(name: str) -> list[str]:
    """Return the names that `a/{b,c}.py` stands for."""
    found = re.fullmatch(r"(.*?)\{([^}]*)\}(.*)", name)
    if not found:
        return [name]
    before, choices, after = found.groups()
    return [one for choice in choices.split(",") for one in _braces(f"{before}{choice}{after}")]


def test_the_pages_that_sources_name_exist() -> None:
    assert [one for path in SOURCES for one in _lost(path)] == []


def _lost(path: Path) -> list[str]:
    """Return each page, and each heading of a page, that a docstring or comment names in vain."""
    text = re.sub(r"\n *(?:#:? )?", " ", path.read_text())
    named = {*re.findall(rf"{PAGE}\b", text), *re.findall(r"\bdocs/adr/\d+\b", text)}
    lost = [one for one in named - ELSEWHERE if not _pages(one)]
    for page, heading in re.findall(rf'{PAGE}, "([^"]+)"', text):
        titles = [re.findall(r"^#+ (.+)$", one.read_text(), re.MULTILINE) for one in _pages(page)]
        lost += [f"{page}, {heading}" for one in titles if heading not in one]
    return [f"{path.relative_to(ROOT)}: {one}" for one in lost]


def _pages(name: str) -> list[Path]:
    """Return the page of that name, at the root or in docs/; an ADR's number names it."""
    places = [ROOT / name, ROOT / "docs" / name, *ROOT.glob(f"{name}-*.md")]
    return [path for path in places if path.is_file()]


def test_the_tests_that_the_threat_model_names_exist() -> None:
    page = (ROOT / "docs" / "threat-model.md").read_text()
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"::(test_\w+)", page)
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in sources] == []


def test_the_tests_of_the_worlds_faults_exist() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text()
    rows = page.partition("## Faults of the world")[2].partition("\n## ")[0].splitlines()
    missing, file, found = [], "", 0
    for of, name in re.findall(r"`([\w/]*(?:\.py)?)::(test_\w+)`", "\n".join(rows)):
        file, found = of or file, found + 1
        if f"def {name}(" not in (ROOT / "tests" / file).read_text():
            missing.append(f"{file}::{name}")
    assert missing == []
    assert found > 30
    assert [row.split()[1] for row in rows if re.match(r"\| \d", row)] == [
        str(number) for number in range(1, 12)
    ]


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
    owners = json.loads((ROOT / "api" / "owner.json").read_text())
    assert owners == json.loads(description_of_owners_page(OPERATIONS)), "make docs"


def test_the_commands_that_pages_name_exist() -> None:
    assert every(_without_command) == []


def _without_command(page: Path) -> list[str]:
    text = page.read_text()
    told = re.findall(r"(?:^|/bin/)(secureflow .*)$", text, re.MULTILINE)
    told += re.findall(r"`((?:secureflow )?[a-z]+ [a-z-]+[^`]*)`", text)
    gone = {"user create --password"} if page.name == "CHANGELOG.md" else set()
    return [one for one in told if one not in gone and _unknown(one)]


def _unknown(told: str) -> bool:
    """Tell whether a line asks for a command or an option that there is not."""
    at, ours, words = ROOT_COMMAND, told.startswith("secureflow "), told.split()
    named = True  # words still name commands
    for word in words[ours:]:
        name, known = word.strip("'…,:").split("=")[0], getattr(at, "commands", {})
        if word in {"#", "<", "|"}:
            break
        if name.startswith("--"):
            named = False
            if name not in {*(one for option in at.params for one in option.opts), "--help"}:
                return True
        elif named and known and re.fullmatch(r"[a-z-]+(\|[a-z-]+)*", name):
            if not set(name.split("|")) <= set(known):
                return at is not ROOT_COMMAND or ours
            at, named = known.get(name, at), "|" not in name
    return False


def test_the_design_documents_names_lead_to_what_is_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ((?:works|partly|planned)[^|]*) \|$", page, re.MULTILINE
    )
    assert len(rows) > 50
    for name, here, state in rows:
        paths = re.findall(r"`([^`]+)`", here)
        assert bool(paths) != state.startswith("planned"), name
        assert [path for path in paths if not (ROOT / path).exists()] == [], name
        assert state == "works" or not state.startswith("partly") or ":" in state, name


def test_the_pages_of_bundles_are_in_step() -> None:
    """The same commands, options, names and sections stand in both languages."""
    english, chinese = ((ROOT / "docs" / f"bundles{of}.md").read_text() for of in ("", "-zh"))
    assert len(re.findall("^## ", english, re.MULTILINE)) == len(
        re.findall("^## ", chinese, re.MULTILINE)
    )
    for pattern in (
        r"secureflow (?:agent )?[a-z]+ [a-z-]+", r"(?<![\w-])--[a-z-]+", r"`([a-z]+_[a-z_]+)`"
    ):  # fmt: skip
        assert set(re.findall(pattern, english)) == set(re.findall(pattern, chinese)), pattern


def test_the_readmes_are_in_step() -> None:
    english, chinese = ((ROOT / name).read_text() for name in ("README.md", "README-zh.md"))
    assert _commands(english) == _commands(chinese)
    assert english.count("\n## ") == chinese.count("\n## ")
    assert english.count("\n| ") == chinese.count("\n| ")


def test_the_first_job_is_in_step() -> None:
    page, chinese = ((ROOT / "docs" / name).read_text() for name in ("deploy.md", "deploy-zh.md"))
    english = page.split("## The first job, step by step\n")[1].split("\n## ")[0]
    assert _commands(english) == _commands(chinese)
    assert len(_commands(english)) > 20
    assert english.count("```") == chinese.count("```")


def test_the_pages_of_programs_among_parties_are_in_step() -> None:
    english, chinese = ((ROOT / "docs" / f"mpc{end}.md").read_text() for end in ("", "-zh"))
    assert _commands(english) == _commands(chinese)
    assert len(_commands(english)) > 8
    assert set(re.findall(r"examples/[a-z-]+", english)) == set(
        re.findall(r"examples/[a-z-]+", chinese)
    )


@pytest.mark.parametrize(
    "name", ["psi", "psi-keys", "mpc", "engines", "peers", "sandbox", "demo", "fabric"]
)
def test_pages_in_two_languages_are_in_step(name: str) -> None:
    """Each names the other, with the same sections, tables, lists, and files to copy from."""
    files = [f"{name}{of}.md" for of in ("", "-zh")]
    english, chinese = ((ROOT / "docs" / file).read_text() for file in files)
    assert f"({files[1]})" in english[:400]
    assert f"({files[0]})" in chinese[:400]
    for line in (r"^## ", r"^\|", r"^- "):
        assert len(re.findall(line, english, re.MULTILINE)) == len(
            re.findall(line, chinese, re.MULTILINE)
        ), line
    assert _copied(english) == _copied(chinese)


def _copied(page: str) -> list[str]:
    """Return the blocks of a page that people copy, without their comments."""
    blocks = re.findall(r"^```(?:yaml|python)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s*(?<![\w\"])#.*", "", block).strip() for block in blocks]


def test_the_pages_of_simulation_are_in_step() -> None:
    pages = [(ROOT / "docs" / f"simulation{end}.md").read_text() for end in ("", "-zh")]
    assert _commands(pages[0]) == _commands(pages[1])
    named = [re.findall(r"^\| `(--[^`]+)`", page, re.MULTILINE) for page in pages]
    assert named[0] == named[1]
    assert len(named[0]) > 8
    points = [page.split("\n## ") for page in pages]
    assert [one.count("\n- ") for one in points[0][:3]] == [
        one.count("\n- ") for one in points[1][:3]
    ]


def test_deploying_says_what_a_python_needs_that_finds_its_library_by_a_variable() -> None:
    """The enclave's start drops it, and the loader's error names no way out."""
    page = (ROOT / "docs" / "deploy.md").read_text()
    (said,) = [one for one in page.split("\n\n") if "`LD_LIBRARY_PATH`" in one]
    assert "libpython" in said
    assert "ldconfig" in said
    assert "error while loading shared libraries" in said


def _commands(text: str) -> list[str]:
    lines = re.findall(r"^(?:secureflow|make) .*$", text, re.MULTILINE)
    words = (re.sub(r'"[^"]*"', '""', line.split("  #")[0]) for line in lines)
    return [re.sub(r"\s+", " ", line).strip() for line in words]


@pytest.mark.parametrize("name", ["README.md", "README-zh.md"])
def test_the_readmes_example_is_the_one_that_is_run(name: str) -> None:
    """`tests/scenarios/test_platform.py` runs the file; only the comments may differ."""
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)
    run = ast.parse((ROOT / "examples" / "quickstart.py").read_text())
    run.body = run.body[1:]  # without its docstring
    assert ast.dump(ast.parse(shown)) == ast.dump(run)


def test_the_glossary_says_what_the_texts_say() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text()
    cells = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [^|]+ \| [^|]+ \|$", page, re.MULTILINE)
    words = [word for term, chinese in cells if term != "term" for word in chinese.split("、")]
    assert len(words) > 50
    texts = "".join(path.read_text() for path in (ROOT / "src").rglob("zh/*.json"))
    own = {"数据科学家"}  # the texts name the role as it is typed: data-scientist
    assert [word for word in words if word not in texts and word not in own] == []

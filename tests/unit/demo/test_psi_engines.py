"""Which engine the demo of an intersection uses, and what it installs when nobody said so: none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.adapters.mpcengines.registry import MAKES
from secureflow.demo.psi import engines
from secureflow.demo.psi.engines import Asked, Shelf
from secureflow.demo.words import Words
from secureflow.kit.errors import SecureFlowError


class Owned:
    """`OwnEngines`, which installs nothing but notes it."""

    here: set[str]
    fails: set[str]
    made: list[str]

    def __init__(self, _: Path) -> None:
        pass

    def every(self) -> list[Any]:
        states = {name: "installed" if name in self.here else "absent" for name in MAKES}
        return [SimpleNamespace(name=name, state=state) for name, state in states.items()]

    def make(self, name: str) -> Any:
        return MAKES[name]

    def install(self, name: str, *_: Any) -> None:
        if name in self.fails:
            raise SecureFlowError("environment_failed", f"no Python for {name}")
        self.made.append(name)
        self.here.add(name)


YES, NO = (lambda _: True), (lambda _: False)
BOTH = {"spu", "openmined"}


@pytest.mark.parametrize(
    ("here", "fails", "asked", "used", "made"),
    [
        ({"spu"}, set(), Asked(), "spu", []),
        ({"spu"}, set(), Asked("openmined"), "openmined", ["openmined"]),
        ({"openmined"}, set(), Asked(), "openmined", []),
        ({"openmined"}, set(), Asked(install=True), "spu", ["spu"]),
        ({"openmined"}, {"spu"}, Asked(install=True), "openmined", []),
        (set(), {"spu"}, Asked(agreed=YES), "openmined", ["openmined"]),
        (set(), set(), Asked(agreed=YES), "spu", ["spu"]),
        ({"openmined"}, set(), Asked(agreed=NO), "openmined", []),
        (set(), set(), Asked(agreed=NO), "engine_absent", []),
        (set(), set(), Asked(), "engine_absent", []),
        (set(), {"spu"}, Asked("spu"), "environment_failed", []),
        (set(), BOTH, Asked(install=True), "environment_failed", []),
    ],
)
def test_what_is_used_and_what_is_installed(
    here: set[str], fails: set[str], asked: Asked, used: str, made: list[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    Owned.here, Owned.fails, Owned.made = {*here}, fails, []
    monkeypatch.setattr(engines, "OwnEngines", Owned)
    told: list[str] = []
    shelf = Shelf(tmp_path, Words(), told.append)
    try:
        found: str = shelf.chosen(asked)
    except SecureFlowError as error:
        found = error.code
    assert (found, Owned.made) == (used, made)
    if made and made[0] == "spu":
        assert "220 MB" in told[0]
    if fails and found == "openmined":
        assert "no Python for spu" in " ".join(told)


@pytest.mark.parametrize(
    ("here", "asked", "offered", "made"),
    [
        (set(), Asked(), (), []),
        ({"openmined"}, Asked(agreed=YES), ("openmined",), []),
        (BOTH, Asked(), ("spu", "openmined"), []),
        (set(), Asked("openmined"), ("openmined",), ["openmined"]),
        ({"openmined"}, Asked(install=True), ("spu", "openmined"), ["spu"]),
    ],
)
def test_a_kept_demo_has_every_engine_that_is_there_and_installs_what_was_asked_for(
    here: set[str], asked: Asked, offered: tuple[str, ...], made: list[str],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    Owned.here, Owned.fails, Owned.made = {*here}, set(), []
    monkeypatch.setattr(engines, "OwnEngines", Owned)
    shelf = Shelf(tmp_path, Words(), [].append)
    assert (shelf.offered(asked), Owned.made) == (offered, made)

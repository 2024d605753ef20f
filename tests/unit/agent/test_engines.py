"""Engines that an owner installs: from a lock, while an agent runs, which tells the centre."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from peers.toyengine import ToyEngine
from peers.wheels import wheel

from secureflow.adapters.mpcengines.registry import EngineMake, Engines
from secureflow.adapters.mpcengines.runs import EngineRuns
from secureflow.adapters.sandbox import PlainSandbox
from secureflow.agent.edge.enginewatch import EngineWatch
from secureflow.agent.owner.engines import OwnEngines
from secureflow.agent.owner.venvs import Source
from secureflow.kit.errors import SecureFlowError

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@dataclass(frozen=True)
class Made(EngineMake):
    """An engine whose lock is given."""

    given: bytes = b""

    @property
    def lock(self) -> bytes:
        return self.given


def make_of(folder: Path, version: str = "1") -> Made:
    digest = wheel(folder / "wheels", "toypackage", version)
    lock = f"toypackage=={version} --hash=sha256:{digest}\n".encode()
    return Made(
        "toy", version, "adds numbers", (HERE,), (0, 1), 1, "toypackage",
        lambda runs, python: _Toy(runs, folder, python), given=lock,
    )  # fmt: skip


class _Toy(ToyEngine):
    def __init__(self, runs: EngineRuns, folder: Path, python: Any) -> None:
        super().__init__(runs, folder)
        self._environment = python

    def available(self) -> SecureFlowError | None:
        try:
            self._environment.find()
        except SecureFlowError as error:
            return error
        return super().available()


def code_of(work: Callable[[], object]) -> str:
    with pytest.raises(SecureFlowError) as refused:
        work()
    return refused.value.code


def test_an_engine_is_installed_verified_and_removed(tmp_path: Path) -> None:
    make = make_of(tmp_path)
    own, source = OwnEngines(tmp_path, {"toy": make}), Source(folder=tmp_path / "wheels")
    python = own.interpreter("toy")
    assert [one.state for one in own.every()] == ["absent"]
    assert code_of(python.find) == code_of(python.ready) == "engine_absent"
    assert code_of(lambda: own.verify("toy")) == code_of(lambda: own.remove("toy")) == (
        "engine_absent"
    )  # fmt: skip
    assert own.install("toy", None, source) is not None
    assert own.install("toy", None, source) is None
    (found,) = own.every()
    assert (found.state, found.version) == ("installed", "1")
    assert found.python.startswith(HERE)
    assert python.ready() == python.find()
    (package,) = (tmp_path / "engines").glob("toy-*/venv/lib/python3*/site-packages/toypackage.py")
    package.write_text("VERSION = 'other'\n")
    assert code_of(lambda: own.verify("toy")) == code_of(python.ready) == "engine_broken"
    assert code_of(lambda: own.install("toy", None, source)) == "engine_broken"
    own.remove("toy")
    assert [one.state for one in own.every()] == ["absent"]
    assert list((tmp_path / "engines").glob("toy*")) == []


def test_another_lock_is_another_environment(tmp_path: Path) -> None:
    """A newer version of SecureFlow finds none; the old one goes when the new one is complete."""
    source = Source(folder=tmp_path / "wheels")
    OwnEngines(tmp_path, {"toy": make_of(tmp_path)}).install("toy", None, source)
    newer = OwnEngines(tmp_path, {"toy": make_of(tmp_path, "2")})
    assert [one.state for one in newer.every()] == ["outdated"]
    assert code_of(newer.interpreter("toy").find) == "engine_absent"
    broken = replace(make_of(tmp_path, "2"), given=b"toypackage==3 --hash=sha256:" + b"0" * 64)
    assert code_of(lambda: OwnEngines(tmp_path, {"toy": broken}).install("toy", None, source)) == (
        "environment_failed"
    )
    assert [one.state for one in newer.every()] == ["outdated"]
    newer.install("toy", None, source)
    assert [one.state for one in newer.every()] == ["installed"]
    assert len(list((tmp_path / "engines").glob("toy-*.json"))) == 1


def test_an_interpreter_of_another_version_is_refused(tmp_path: Path) -> None:
    make = replace(make_of(tmp_path), pythons=("3.1",))
    own = OwnEngines(tmp_path, {"toy": make})
    for python in (None, Path(sys.executable)):
        with pytest.raises(SecureFlowError) as refused:
            own.install("toy", python, Source(folder=tmp_path / "wheels"))
        assert refused.value.code == "environment_failed"
        assert "3.1" in refused.value.message
    assert code_of(lambda: own.make("no such")) == "engine_unknown"


class Link:
    """What the centre is told; it may be an older one."""

    def __init__(self, *, knows: bool = True) -> None:
        self.told: list[Any] = []
        self._knows = knows

    async def call(self, kind: str, body: dict[str, Any]) -> Any:
        self.told.append((kind, body))
        if not self._knows:
            raise SecureFlowError("unknown_kind", "It does not know this call.")
        return {}


@pytest.mark.parametrize("knows", [True, pytest.param(False, marks=pytest.mark.full)])
async def test_the_centre_is_told_of_a_change_alone(tmp_path: Path, knows: bool) -> None:
    make = make_of(tmp_path)
    own = OwnEngines(tmp_path, {"toy": make})
    runs = EngineRuns(PlainSandbox(), tmp_path / "engines", unconfined=True)
    link = Link(knows=knows)
    watch = EngineWatch(link, Engines(runs, own.interpreter, {"toy": make}))
    assert watch.here == {}
    await watch.look()
    own.install("toy", None, Source(folder=tmp_path / "wheels"))
    await watch.look()
    await watch.look()
    assert link.told == [("engines", {"engines": {"toy": "1"}})]
    assert watch.here == {"toy": "1"}


def test_without_a_sandbox_only_the_owners_word_lets_engines_run(tmp_path: Path) -> None:
    own = OwnEngines(tmp_path, {"toy": make_of(tmp_path)})
    own.install("toy", None, Source(folder=tmp_path / "wheels"))
    for allowed in (False, True):
        runs = EngineRuns(PlainSandbox(), tmp_path / "engines", unconfined=allowed)
        engines = Engines(runs, own.interpreter, {"toy": make_of(tmp_path)})
        assert engines.here() == ({"toy": "1"} if allowed else {})
        if allowed:
            engines.ready("toy")
        else:
            assert code_of(lambda: engines.ready("toy")) == "engine_unconfined"  # noqa: B023
        problem = runs.problem("mpyc", needs_network=True)
        assert problem is not None
        assert problem.code == "engine_unconfined"


def test_what_a_killed_agent_left_is_swept(tmp_path: Path) -> None:
    runs = EngineRuns(PlainSandbox(), tmp_path)
    (tmp_path / "work.abcdefgh" / "deep").mkdir(parents=True)
    (tmp_path / "logs").mkdir()
    runs.sweep()
    assert [one.name for one in tmp_path.iterdir()] == ["logs"]

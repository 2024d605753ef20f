"""Which sandbox an agent starts with: not without one where one ran before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.adapters.sandbox import Choice, PlainSandbox
from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.compute.worker_process import MODULE, WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.agent.edge import computing, doctor
from secureflow.agent.edge.computing import (
    RAN,
    HiddenPlaces,
    HidingSandbox,
    start_workers,
)
from secureflow.agent.edge.diagnosis import Diagnosis
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.agent.record.room import reserve_of
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings, WorkerSettings
from secureflow.application.ports.sandbox import Launch, SandboxMode
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit import kernels
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.kernels import same_kernels
from tests.unit.agent.test_worker import SPEC


class Confining(PlainSandbox):
    """A sandbox as far as its choice is concerned; what it is to start is kept."""

    confines = True  # type: ignore[misc,assignment]

    def __init__(self) -> None:
        self.launches: list[Launch] = []

    async def start(self, launch: Launch) -> Any:
        self.launches.append(launch)


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    (tmp_path / "agent.yaml").write_text(
        "organisation: bank-a\nserver: https://c.example\nlink: c.example:1\ntrust_domain: x\n"
    )
    return AgentSettings.load(tmp_path / "agent.yaml")


@pytest.fixture
def store(settings: AgentSettings) -> Iterator[RecordStore]:
    with closing(RecordStore(settings.record, reserve_of(settings))) as store:
        yield store


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[SandboxMode]:
    """Have the sandbox there or not (`computing._there`); return what was asked for."""
    asked: list[SandboxMode] = []

    async def choose(mode: SandboxMode) -> Choice:
        asked.append(mode)
        if mode == "off":
            return Choice(PlainSandbox())
        if there[0]:
            return Choice(Confining(), "", frozenset({"memory", "pids"}))
        if mode == "require":
            raise SecureFlowError("sandbox_missing", "it is not there")
        return Choice(PlainSandbox(), "it is not there")

    there = [True]
    monkeypatch.setattr(computing, "choose_sandbox", choose)
    monkeypatch.setattr(computing, "_there", there, raising=False)
    return asked


def worker(settings: AgentSettings, **given: Any) -> AgentSettings:
    return settings.model_copy(update={"worker": WorkerSettings(**given)})


async def started(settings: AgentSettings, store: RecordStore) -> None:
    await start_workers(settings, MODULE, AGENT_KINDS, store, HiddenPlaces(settings))


async def test_one_that_ran_is_demanded_from_then_on(
    settings: AgentSettings, store: RecordStore, installed: list[SandboxMode]
) -> None:
    there = computing._there  # type: ignore[attr-defined]
    there[0] = False
    await started(settings, store)
    assert store.fact(RAN) is None
    there[0] = True
    await started(settings, store)
    assert store.fact(RAN) == "none"
    there[0] = False
    with pytest.raises(SecureFlowError) as refusal:
        await started(settings, store)
    assert refusal.value.code == "sandbox_missing"
    await started(worker(settings, sandbox="off"), store)  # its owner says so
    with pytest.raises(SecureFlowError):
        await started(settings, store)
    assert installed == ["auto", "auto", "require", "off", "require"]


async def test_what_its_owner_sets_for_code_of_others_holds(
    settings: AgentSettings, store: RecordStore, installed: list[SandboxMode]
) -> None:
    set_by_owner = worker(settings, warm=3, idle_minutes=5, seconds=7)
    hidden = HiddenPlaces(set_by_owner)
    config = (await start_workers(set_by_owner, MODULE, AGENT_KINDS, store, hidden)).config
    assert (config.warm, config.idle, config.others_seconds) == (3, 300.0, 7)


@pytest.mark.parametrize(
    ("wanted", "old", "chosen"),
    [
        ("", False, None),
        ("", True, {}),
        ("native", False, {}),
        ("SkylakeX", True, {"OPENBLAS_CORETYPE": "SkylakeX"}),
    ],
)
async def test_numeric_code_is_that_of_every_host(
    settings: AgentSettings,
    store: RecordStore,
    installed: list[SandboxMode],
    wanted: str,
    old: bool,
    chosen: dict[str, str] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unfinished job of 0.2.0 goes on with the code that it began with: its processor's."""
    able = "avx2 fma avx512f avx512cd avx512bw avx512dq avx512vl"
    monkeypatch.setattr(kernels, "features", lambda _: frozenset(able.split()))
    set_by_owner = worker(settings, kernels=wanted)
    hidden = HiddenPlaces(set_by_owner)
    config = (await start_workers(set_by_owner, MODULE, AGENT_KINDS, store, hidden)).config
    private = replace(SPEC.plan, validation=0.0)
    for plan in (SPEC.plan, private):
        spec = replace(SPEC, plan=plan) if old else replace(SPEC, plan=plan).drawn()
        assert config.kernels(dump(spec)) == (same_kernels() if chosen is None else chosen)


async def test_code_that_this_processor_cannot_run_starts_no_agent(
    settings: AgentSettings,
    store: RecordStore,
    installed: list[SandboxMode],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every worker would crash; the doctor says so too, and names what runs here."""
    monkeypatch.setattr(kernels, "features", lambda _: frozenset({"avx", "avx2", "fma"}))
    so_far = Diagnosis(settings.directory / "agent.yaml")
    (check,) = (one for name, _, one in doctor._CHECKS if name == "kernels")
    for wanted in ("SkylakeX", "nonsense"):
        so_far.settings = worker(settings, kernels=wanted)
        for asked in (lambda: check(so_far), None):
            with pytest.raises(SecureFlowError) as refused:
                await started(so_far.settings, store) if asked is None else asked()
            assert refused.value.code == "invalid_settings"
            assert wanted in str(refused.value)
            assert "Haswell" in str(refused.value.hint)
    told = []
    for wanted in ("", "native", "Haswell"):
        so_far.settings = worker(settings, kernels=wanted)
        await started(so_far.settings, store)
        told.append(check(so_far))
    assert told[1:] == ["what this processor can do", "Haswell"]
    assert "x86-64" in told[0]


async def test_a_worker_gets_the_code_that_its_job_needs() -> None:
    seen: list[Launch] = []

    class Refusing(PlainSandbox):
        async def start(self, launch: Launch) -> Any:
            seen.append(launch)
            raise SecureFlowError("sandbox_failed", "not here")

    config = WorkerConfig(sandbox=Refusing(), kernels=lambda _: {"OPENBLAS_CORETYPE": "Zen"})
    with pytest.raises(SecureFlowError):
        await Workers(config).check("job_1", dump(SPEC), None)
    assert seen[0].environment["OPENBLAS_CORETYPE"] == "Zen"


def test_the_doctor_says_what_a_start_would(
    settings: AgentSettings, store: RecordStore, installed: list[SandboxMode]
) -> None:
    with store.transaction():
        store.set_fact(RAN, "bubblewrap")
    computing._there[0] = False  # type: ignore[attr-defined]
    so_far = Diagnosis(settings.directory / "agent.yaml")
    so_far.settings = settings
    (check,) = (one for name, _, one in doctor._CHECKS if name == "sandbox")
    with pytest.raises(SecureFlowError):
        check(so_far)
    assert installed == ["require"]


@pytest.mark.parametrize("sandbox", ["auto", "off"])
async def test_a_share_of_processors_that_nothing_holds_is_refused(
    settings: AgentSettings, store: RecordStore, installed: list[SandboxMode], sandbox: str
) -> None:
    with pytest.raises(SecureFlowError, match="cpus"):
        await started(worker(settings, sandbox=sandbox, cpus=1.5), store)
    assert installed == [sandbox]


async def test_what_a_reload_adds_is_hidden(settings: AgentSettings, tmp_path: Path) -> None:
    active, inner = ActiveSettings(settings), Confining()
    hidden = HiddenPlaces(settings)
    sandbox = HidingSandbox(inner, hidden)
    hidden.follow(active)
    await sandbox.start(Launch(("x",), hidden=(tmp_path / "mine",)))
    rows = DatasetConfig("rows", "/srv/rows.csv", "csv", (ColumnConfig("n", "text"),))
    active.replace(settings.model_copy(update={"datasets": (rows,)}))
    await sandbox.start(Launch(("x",)))
    assert [one.hidden for one in inner.launches] == [
        (tmp_path / "mine", settings.directory.absolute()),
        (settings.directory.absolute(), Path("/srv/rows.csv")),
    ]

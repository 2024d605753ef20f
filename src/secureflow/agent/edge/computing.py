"""Where this agent's workers run: in the sandbox that its owner chose, where it is installed.

Once it ran here the record says so, and no agent of that record starts without it any more, unless
its owner says `off`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from secureflow.adapters.sandbox import PACKAGE, Choice, choose_sandbox
from secureflow.adapters.sandbox.failures import unshared
from secureflow.agent.activesettings import ActiveSettings
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings, WorkerSettings
from secureflow.application.ports.sandbox import Launch, Sandbox, SandboxMode, SandboxProcess
from secureflow.domain.room import model_bytes
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import contributes
from secureflow.kit.kernels import check_core, same_kernels
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)

RAN: Final = "sandbox"
"""The fact that a sandbox ran here: its name."""


class HiddenPlaces:
    """The files that no worker may see, as the settings name them now.

    Args:
        settings: those of the start; a reload replaces them.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._now: Callable[[], AgentSettings] = lambda: settings

    def follow(self, active: ActiveSettings) -> None:
        """Look at the settings in force from now on."""
        self._now = lambda: active.settings

    def __call__(self) -> tuple[Path, ...]:
        """Return the agent's folder and every dataset."""
        settings = self._now()
        own = (settings.directory, *(Path(one.path) for one in settings.datasets))
        return tuple(one.absolute() for one in own)


class HidingSandbox:
    """`application.ports.sandbox.Sandbox` in which places are hidden that are known at each start.

    Args:
        sandbox: the one that it stands for.
        hidden: returns the places.
    """

    def __init__(self, sandbox: Sandbox, hidden: Callable[[], tuple[Path, ...]]) -> None:
        self._sandbox = sandbox
        self._hidden = hidden
        self.name = sandbox.name
        self.confines = sandbox.confines

    def inside(self, launch: Launch, path: Path) -> Path:
        """See `Sandbox.inside`."""
        return self._sandbox.inside(launch, path)

    async def start(self, launch: Launch) -> SandboxProcess:
        """See `Sandbox.start`."""
        hidden = tuple(dict.fromkeys((*launch.hidden, *self._hidden())))
        return await self._sandbox.start(replace(launch, hidden=hidden))


async def start_workers(
    settings: AgentSettings,
    module: str,
    kinds: AgentKinds,
    store: RecordStore,
    hidden: HiddenPlaces,
) -> Workers:
    """Return this agent's workers.

    Args:
        settings: the agent's.
        module: what worker processes run.
        kinds: those of job that they compute.
        store: remembers that a sandbox ran.
        hidden: what no worker may see.

    Raises:
        SecureFlowError: `sandbox_missing`; `invalid_settings` for numeric code that this processor
            cannot run.
    """
    wanted, specs = settings.worker, kinds.engines.specs
    describe_kernels(settings)
    choice = await _chosen(settings, store.fact(RAN))
    if choice.sandbox.confines:
        _log.info("sandbox", name=choice.sandbox.name, counted=sorted(choice.counted))
        if store.fact(RAN) is None:
            store.reserve.run(lambda: _remember(store, choice.sandbox.name))
    else:
        _log.warning("sandbox_off", message=choice.reason or "worker: sandbox: off")
    return await Workers.start(
        WorkerConfig(
            module,
            wanted.memory_mb << 20,
            sandbox=HidingSandbox(choice.sandbox, hidden),
            files=settings.models.absolute(),
            cpus=wanted.cpus,
            processes=wanted.processes,
            scratch=wanted.scratch_mb << 20,
            listed=lambda spec: kinds.scratch(specs.parse(dict(spec), stored=True)),
            seconds=wanted.seconds,
            others_seconds=wanted.others_seconds,
            written=lambda spec: _largest(specs.parse(dict(spec), stored=True), wanted),
            kernels=lambda spec: _kernels(specs.parse(dict(spec), stored=True), wanted.kernels),
            state=wanted.state_mb << 20,
            devices=wanted.devices,
            warm=wanted.warm,
            idle=60.0 * wanted.idle_minutes,
        )
    )


def _largest(spec: JobSpec, wanted: WorkerSettings) -> int:
    """Return the bytes of the largest file of a job's worker: a model, or rows.

    Rows are prepared for code of others, or what is said of them stays here.
    """
    if spec.bundle is None and contributes(spec):
        return model_bytes(spec)
    return wanted.memory_mb << 20 or 1 << 50


def _kernels(spec: JobSpec, wanted: str) -> Mapping[str, str]:
    """Return the variables that choose the code of numeric libraries for a job's worker.

    Code of others runs with the NumPy of its own environment. Version 0.2.0 left the choice to the
    processor. Its updates are made again as they were made.
    """
    if wanted not in {"", "native"}:
        return {"OPENBLAS_CORETYPE": wanted}
    if wanted or spec.of_0_2_0:
        return {}
    return same_kernels(any_numpy=spec.bundle is not None)


def _remember(store: RecordStore, name: str) -> None:
    with store.transaction():
        store.set_fact(RAN, name)


async def _chosen(settings: AgentSettings, ran: object) -> Choice:
    """Return the sandbox; one that ran here before is demanded, unless its owner turned it off."""
    wanted = settings.worker
    mode: SandboxMode = "require" if wanted.sandbox == "auto" and ran else wanted.sandbox
    choice = await choose_sandbox(mode)
    if wanted.cpus and "cpu" not in choice.counted:
        raise unshared()
    return choice


def describe_kernels(settings: AgentSettings) -> str:
    """Return which numeric code workers run, for the doctor.

    Raises:
        SecureFlowError: `invalid_settings` for one that this processor cannot run.
    """
    wanted = settings.worker.kernels
    if not wanted:
        return "the same on every x86-64 processor since 2013"
    if wanted == "native":
        return "what this processor can do"
    check_core(wanted)
    return wanted


def describe_sandbox(settings: AgentSettings, ran: object = None) -> str:
    """Return where workers run, for the doctor.

    Args:
        settings: the agent's.
        ran: the fact `RAN` of its record.

    Raises:
        SecureFlowError: `sandbox_missing`.
    """
    choice = asyncio.run(_chosen(settings, ran))
    if choice.sandbox.confines and choice.counted:
        return Text(
            "{name}; cgroups count {counted}",
            name=choice.sandbox.name,
            counted=", ".join(sorted(choice.counted)),
        )
    if choice.sandbox.confines:
        return Text(
            "{name}; no cgroup counts memory and processes here, rlimits do",
            name=choice.sandbox.name,
        )
    if not choice.reason:
        return "off in agent.yaml: code that others bring is refused"
    return Text(
        "none, because {reason}: SecureFlow's own code computes without it, code that others bring "
        "is refused. To install it: apt-get install {package}",
        reason=choice.reason.rstrip("."),
        package=PACKAGE,
    )

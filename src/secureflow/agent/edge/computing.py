"""Where this agent's workers run: in the sandbox that its owner chose, as far as it runs here."""

from __future__ import annotations

import asyncio
from pathlib import Path

from secureflow.adapters.sandbox import PACKAGE, choose_sandbox
from secureflow.agent.compute.worker_process import WorkerConfig
from secureflow.agent.compute.workers import Workers
from secureflow.agent.settings import AgentSettings, WorkerSettings
from secureflow.domain.room import model_bytes
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.kind import SpecKinds
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_log = get_logger(__name__)


async def start_workers(settings: AgentSettings, module: str, specs: SpecKinds) -> Workers:
    """Return this agent's workers.

    Args:
        settings: the agent's.
        module: what worker processes run.
        specs: the kinds of job that they compute.

    Raises:
        SecureFlowError: `sandbox_missing`.
    """
    wanted = settings.worker
    choice = await choose_sandbox(wanted.sandbox)
    if choice.sandbox.confines:
        _log.info("sandbox", name=choice.sandbox.name, counted=sorted(choice.counted))
    else:
        _log.warning("sandbox_off", message=choice.reason or "worker: sandbox: off")
    return await Workers.start(
        WorkerConfig(
            module,
            wanted.memory_mb << 20,
            sandbox=choice.sandbox,
            files=settings.models.absolute(),
            hidden=(settings.directory.absolute(), *(Path(one.path) for one in settings.datasets)),
            cpus=wanted.cpus,
            processes=wanted.processes,
            scratch=wanted.scratch_mb << 20,
            seconds=wanted.seconds,
            others_seconds=wanted.others_seconds,
            written=lambda spec: _largest(specs.parse(dict(spec), stored=True), wanted),
            state=wanted.state_mb << 20,
            devices=wanted.devices,
        )
    )


def _largest(spec: JobSpec, wanted: WorkerSettings) -> int:
    """Return the bytes of the largest file of a job's worker: a model, or rows for its code."""
    if spec.bundle is None:
        return model_bytes(spec)
    return wanted.memory_mb << 20 or 1 << 50


def describe_sandbox(settings: AgentSettings) -> str:
    """Return where workers run, for the doctor.

    Raises:
        SecureFlowError: `sandbox_missing`.
    """
    choice = asyncio.run(choose_sandbox(settings.worker.sandbox))
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

"""The runs of this agent's engines: where they happen, and what is kept of them.

<folder>/logs/JOB.ATTEMPT    what a process of an engine printed, for the owner alone; kept of
                             the last `LOGS` runs that failed
<folder>/work.*              where nothing confines: what a run works in, wiped when it ends,
                             and when the agent starts after it was killed
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.plan import Place, Plan
from secureflow.adapters.mpcengines.running import EngineRun
from secureflow.application.ports.mpcengine import EngineJob, EngineResult, Progress
from secureflow.application.ports.sandbox import Sandbox
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.wiping import wipe

LOGS: Final = 32
WORK: Final = "work."
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Interpreter(Protocol):
    """The interpreter of an engine's environment on this machine."""

    def find(self) -> Path:
        """Return its path; nothing is compared.

        Raises:
            SecureFlowError: `engine_absent`.
        """

    def ready(self) -> Path:
        """Return its path, once its environment was compared with what was installed.

        Raises:
            SecureFlowError: `engine_absent`, `engine_broken`.
        """


class EngineRuns:
    """Runs engines.

    Args:
        sandbox: the agent's.
        folder: for logs, and for work where nothing confines.
        unconfined: whether the owner lets engines run without a sandbox.
    """

    def __init__(self, sandbox: Sandbox, folder: Path, *, unconfined: bool = False) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._unconfined = unconfined

    def problem(self, engine: str, *, needs_network: bool = False) -> SecureFlowError | None:
        """Return why no engine of this name may run here, or None.

        Args:
            engine: its name.
            needs_network: whether it needs a network of its own in any case, because it listens on
                every address.
        """
        if self._sandbox.confines or (self._unconfined and not needs_network):
            return None
        return failures.unconfined(engine, ever=not needs_network)

    def sweep(self) -> None:
        """Remove what an agent that was killed left behind; no run may be under way."""
        for one in self._folder.glob(f"{WORK}*"):
            wipe(one)

    async def run(self, plan: Plan, job: EngineJob, progress: Progress) -> EngineResult:
        """Run an engine for a job; see `MpcEngine.run`, whose checks are the caller's.

        Raises:
            SecureFlowError: as there.
        """
        log = self._log(job)
        with contextlib.ExitStack() as stack:
            folder = self._folder
            if not self._sandbox.confines:
                folder = Path(tempfile.mkdtemp(prefix=WORK, dir=self._folder))
                stack.callback(wipe, folder)
            place = Place(self._sandbox, folder, log)
            result = await EngineRun(place, plan, job, progress).run()
        log.unlink(missing_ok=True)
        return result

    def _log(self, job: EngineJob) -> Path:
        """Return the file for what is printed; the oldest of earlier ones make room."""
        logs = self._folder / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = sorted(logs.iterdir(), key=lambda one: one.stat().st_mtime_ns)
        for one in before[: max(0, len(before) - LOGS + 1)]:
            one.unlink(missing_ok=True)
        name = job.job if _NAME.fullmatch(job.job) else sha256(job.job.encode()).hexdigest()
        return logs / f"{name}.{job.attempt}"

"""Accounting out of process: dp-accounting costs most of a second and 100 MB, which no server or
agent should carry when idle. Answers are pure functions of the question, so they are cached."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.kernels import same_kernels

if TYPE_CHECKING:  # NumPy is loaded with the first price
    from secureflow.engines.privacy.accounting import Charge, Mechanism

PATIENCE: Final = 120.0
"""Time limit for one question, in seconds; a calibration takes a few."""
GRACE: Final = 1.0
"""Seconds in which a process ends by itself once it has answered."""
CACHED: Final = 256
AT_ONCE: Final = 2
MAX_LINE: Final = 4 << 20
_ENVIRONMENT: Final = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1"}


class ProcessAccountant:
    """Answers questions about ε; see `process` for the questions."""

    def __init__(self, python: str = sys.executable) -> None:
        self._python = python
        self._known: OrderedDict[bytes, JSON] = OrderedDict()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def quote(
        self,
        *,
        delta: float,
        sampling: float,
        count: int,
        noise: float | None = None,
        epsilon: float | None = None,
        besides: Charge = (),
    ) -> dict[str, JSON]:
        """Return the cost of `count` Gaussian releases; without `noise`, of the least that fits ε.

        Args:
            delta: δ of every figure.
            sampling: of the releases.
            count: how many.
            noise: their multiplier.
            epsilon: upper bound on the total cost, to find the multiplier.
            besides: the job's other releases.

        Returns:
            `noise`; `epsilon`: conversion → total ε; `curve`: Rényi divergences of one release.

        Raises:
            SecureFlowError: `invalid_mechanism`, `budget_impossible`, `accounting_failed`.
        """
        question = {
            "verb": "quote", "delta": delta, "sampling": sampling, "count": count,
            "noise": noise, "epsilon": epsilon, "besides": [one.as_json() for one in besides],
        }  # fmt: skip
        answer: dict[str, JSON] = await self._ask(question)
        return answer

    async def fit(
        self, charges: Sequence[Mapping[str, JSON]], delta: float, epsilon: float | None = None
    ) -> dict[str, JSON]:
        """Return the total cost of releases, with all noise scaled up until they fit into ε.

        Returns:
            `noise`: the least factor on the charges' noise, 1 without an ε; `epsilon`: conversion →
            total ε with it.

        Raises:
            SecureFlowError: `invalid_mechanism`, `budget_impossible`, `accounting_failed`.
        """
        listed = [dict(charge) for charge in charges]
        answer: dict[str, JSON] = await self._ask(
            {"verb": "fit", "charges": listed, "delta": delta, "epsilon": epsilon}
        )
        return answer

    async def spent(self, charges: Sequence[Mapping[str, JSON]], delta: float) -> dict[str, JSON]:
        """Return conversion → total ε of the charges."""
        answer: dict[str, JSON] = await self._ask(
            {"verb": "spent", "charges": [dict(charge) for charge in charges], "delta": delta}
        )
        return answer

    async def learn(self, mechanisms: Sequence[Mechanism]) -> None:
        """Load the Rényi curves of these mechanisms into this process."""
        from secureflow.engines.privacy.accounting import learn, learned

        missing = [one for one in mechanisms if not learned(one)]
        if not missing:
            return
        question = {"verb": "curves", "mechanisms": [one.as_json() for one in missing]}
        for mechanism, curve in zip(missing, await self._ask(question), strict=True):
            learn(mechanism, curve)

    async def _ask(self, question: Mapping[str, JSON]) -> JSON:
        line = canonical_bytes(dict(question))
        if line in self._known:
            self._known.move_to_end(line)
            return self._known[line]
        async with self._slots:
            answer = await self._run(line)
        if "error" in answer:
            raise SecureFlowError.from_json(answer["error"])
        self._known[line] = answer["answer"]
        if len(self._known) > CACHED:
            self._known.popitem(last=False)
        return answer["answer"]

    async def _run(self, line: bytes) -> dict[str, JSON]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *(self._python, "-I", "-m", "secureflow.adapters.accounting.process"),
            stdin=pipe,
            stdout=pipe,
            env={**_ENVIRONMENT, **same_kernels()},  # the figures are those of every host
            limit=MAX_LINE,
        )
        try:
            lines = await _lines(process, line)
            await _soon_over(process)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        try:
            answer = parse_json(lines[-1], MAX_LINE)  # the exact one, if it arrived
        except (IndexError, SecureFlowError) as error:
            raise SecureFlowError(
                "accounting_failed",
                "The privacy accounting did not answer, so nothing was spent or started.",
                "Try again; if it happens again, lower the number of rounds or raise the noise.",
            ) from error
        if not isinstance(answer, dict) or not answer.keys() & {"answer", "error"}:
            raise SecureFlowError("accounting_failed", "The privacy accounting did not answer.")
        return answer


async def _soon_over(process: asyncio.subprocess.Process) -> None:
    """Let a process that has answered end by itself.

    Killed as it ends, it is reaped by who kills it, and asyncio warns that it knows of no such
    child.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await process.wait()


async def _lines(process: asyncio.subprocess.Process, question: bytes) -> list[bytes]:
    """Ask, and return the complete lines that arrive within `PATIENCE`."""
    if process.stdin is None or process.stdout is None:
        raise AssertionError  # it was started with pipes
    found: list[bytes] = []
    # If the process ends early, even unasked, or a line is too long, the lines so far count.
    with contextlib.suppress(TimeoutError, OSError, ValueError):
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(OSError):
                process.stdin.write(question + b"\n")
                await process.stdin.drain()
            process.stdin.close()
            while (line := await process.stdout.readline()).endswith(b"\n"):
                found.append(line)
    return found

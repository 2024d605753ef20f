"""Which sandbox an agent uses: bubblewrap where it is installed, unless its owner says otherwise.

That it is installed and does not run is no reason to compute without it: something used up or held
back what a start needs, and that may be the very code that it confines.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import Final

from secureflow.adapters.sandbox.bubblewrap import BubblewrapSandbox
from secureflow.adapters.sandbox.failures import missing
from secureflow.adapters.sandbox.plain import PlainSandbox
from secureflow.application.ports.sandbox import Launch, Sandbox, SandboxMode
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

PROGRAM: Final = "bwrap"


@dataclass(frozen=True)
class Choice:
    """A sandbox, and why it is not the better one.

    Args:
        sandbox: the one to use.
        reason: why bubblewrap is not used, empty if it is or if nobody asked for it.
        counted: what cgroups count of a confined process.
    """

    sandbox: Sandbox
    reason: str = ""
    counted: frozenset[str] = frozenset()


async def choose_sandbox(mode: SandboxMode, python: str = sys.executable) -> Choice:
    """Return the sandbox for an owner's setting; bubblewrap is tried out first.

    Raises:
        SecureFlowError: `sandbox_missing` if it does not run, unless it is not installed and the
            setting is `auto`.
    """
    if mode == "off":
        return Choice(PlainSandbox())
    sandbox = BubblewrapSandbox()
    reason = await why_not(sandbox, python)
    if not reason:
        return Choice(sandbox, "", sandbox.counted)
    if mode == "require" or is_installed():
        raise missing(reason)
    return Choice(PlainSandbox(), reason)


def is_installed() -> bool:
    """Tell whether bubblewrap is there, whether it runs or not."""
    return shutil.which(PROGRAM) is not None


async def why_not(sandbox: BubblewrapSandbox, python: str = sys.executable) -> str:
    """Return why bubblewrap does not run here, empty if it does."""
    if not is_installed():
        return "bubblewrap is not installed"
    try:
        process = await sandbox.start(Launch((python, "-I", "-S", "-c", "")))
        code = await process.wait()
    except SecureFlowError as error:
        return error.message
    return shown(process.printed.decode(errors="replace")) or f"exit code {code}" if code else ""

"""Why a sandbox does not start, and what its owner does about it."""

from __future__ import annotations

from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text, without_stop

PACKAGE: Final = "bubblewrap"
"""Of Debian and its like."""


def failed(name: str, reason: str) -> SecureFlowError:
    """Return the error of a process that did not start."""
    return SecureFlowError(
        "sandbox_failed",
        Text(
            "A process did not start in its sandbox ({name}): {reason}.",
            name=name,
            reason=_told(reason),
        ),
        "secureflow agent doctor shows whether the sandbox runs on this machine.",
    )


def missing(reason: str) -> SecureFlowError:
    """Return the error of an agent whose owner demands the sandbox, where it does not run."""
    return SecureFlowError(
        "sandbox_missing",
        Text(
            "The sandbox does not run on this machine: {reason}.",
            reason=_told(reason),
        ),
        Text(
            "Install it (apt-get install {package}) and allow user namespaces to the agent's user; "
            "or accept in agent.yaml that SecureFlow's own code computes without it (worker: "
            "sandbox: off).",
            package=PACKAGE,
        ),
    )


def unshared() -> SecureFlowError:
    """Return the error of an agent whose owner limits processors, where nothing does."""
    return SecureFlowError(
        "sandbox_missing",
        "No cgroup shares out processors on this machine: `worker: cpus` cannot be held.",
        "Run the agent with a cgroup of its own (deploy/systemd), or set `worker: cpus` to 0.",
    )


def _told(reason: str) -> str:
    if isinstance(reason, Text):
        return without_stop(reason)
    return shown(reason.strip().rstrip(".")) or "?"

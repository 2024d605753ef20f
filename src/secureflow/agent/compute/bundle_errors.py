"""What is told of code that failed: constant words, for it could write rows into any other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_HINT: Final = "The owner finds its trace in the agent's folder: bundles/logs."
_DECLARED: Final = "It must return what the spec declares: names, shapes, dtypes, finite numbers."
PREDICTED: Final = (
    "predict returns a finite number for each row: of two classes the chance of the second, of "
    "several the chances of all, which add up to 1."
)
_UNUSABLE: Final[Mapping[str, str]] = {
    "shadows": "a module of it has the name of one of the environment",
    "syntax": "a module of it does not parse in the environment's Python",
    "import": "it imports a module that the environment does not have",
    "entry": "it has no class with the methods that are called",
    "predict": "its class has no method predict, so it can only be trained",
    "numpy": "the environment has no NumPy",
}
_NEXT: Final[Mapping[str, str]] = {
    "predict": "Add predict(self, weights, rows) to the class, and train with that code; the new "
    "job may resume this model.",
}
_FAILED: Final[Mapping[str, str]] = {
    "raised": "a method raised an exception",
    "memory": "a method needs more memory than it may have",
    "data": "a file of rows cannot be read",
}


def failure(kind: object) -> SecureFlowError:
    """Return the error for a word of the host; unknown ones are not repeated."""
    if isinstance(kind, str) and kind in _FAILED:
        reason = Text("The bundle failed: {reason}.", reason=_FAILED[kind])
        return SecureFlowError("bundle_failed", reason, _HINT)
    if isinstance(kind, str) and kind in _UNUSABLE:
        reason = Text("The bundle cannot run here: {reason}.", reason=_UNUSABLE[kind])
        return SecureFlowError("bundle_unusable", reason, _NEXT.get(kind, _HINT))
    return refused("a method returned something else than was declared")


def died() -> SecureFlowError:
    """Return the error of a process that is gone."""
    return SecureFlowError("bundle_died", "The bundle's process ended without an answer.", _HINT)


def failed_before(code: str) -> SecureFlowError:
    """Return the error of code that is not called again in a job, by the code of its failure."""
    told = "The bundle has failed before, and is not called again in this job."
    return SecureFlowError(code, told, _HINT)


def refused(reason: str, hint: str = _DECLARED) -> SecureFlowError:
    """Return the error of an answer that counts for nothing."""
    told = Text("What the bundle returned is refused: {reason}.", reason=reason)
    return SecureFlowError("bundle_output_refused", told, hint)

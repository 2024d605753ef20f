"""The one error root: what happened to whom, and the next step.

Edges (REST, gRPC, CLI) map it once. Codes live in `secureflow.domain.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Self

from secureflow.kit.plain import shown

MAX_FOREIGN: Final = 8192
"""The most characters of a message or hint that is taken from somebody else."""
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class SecureFlowError(Exception):
    """A failure that a person can act on.

    Args:
        code: stable snake_case identifier from the catalogue, e.g. `consent_refused`.
        message: what happened, to whom (names the party, field, row or object).
        hint: the next step that a person can take.
        details: JSON-able facts for programs (never data, never secrets).
    """

    def __init__(
        self, code: str, message: str, hint: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        """One line for logs: `code: message (hint)`."""
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that journals and answers carry."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "details": self.details,
        }

    @classmethod
    def foreign(cls, code: Any, message: Any, hint: Any = "", details: Any = None) -> Self:
        """Build an error that somebody else tells of: bounded, and nothing hidden in its texts."""
        known = isinstance(code, str) and _CODE.fullmatch(code)
        return cls(
            str(code) if known else "internal",
            _one_line(message),
            _one_line(hint),
            details if isinstance(details, Mapping) else None,
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SecureFlowError:
        """Rebuild an error from `as_json`; missing parts become empty strings."""
        return cls(
            str(value.get("code", "internal")),
            str(value.get("message", "")),
            str(value.get("hint", "")),
            value.get("details") or {},
        )


class InfrastructureError(SecureFlowError):
    """What this process stands on (database, disk) failed for a while: the same call may work soon.

    A class of its own, because whoever waits must not take a party's word (`from_json`) for it.
    """


def _one_line(text: Any) -> str:
    return shown(" ".join(str(text)[:MAX_FOREIGN].split("\n")))

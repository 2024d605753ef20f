"""The root of all errors: what happened to whom, and the next step.

Edges (REST, gRPC, CLI) map it once. Codes live in `secureflow.domain.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Self

from secureflow.kit.text import Text, foreign, one_after_the_other, text_in, with_texts

MAX_DEPTH: Final = 32
"""Maximum depth of details from others: JSON is read and written recursively."""
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
        self.of_others = False
        """Whether somebody else said so (`foreign`): code and details prove nothing then."""

    def __str__(self) -> str:
        """One line for logs: `code: message (hint)`."""
        return f"{self.code}: {self.message}" + (f" ({self.hint})" if self.hint else "")

    def retold(self, message: str, hint: str | None = None) -> SecureFlowError:
        """Return the same failure in other words; its notes, which never leave, stay with it."""
        made = SecureFlowError(
            self.code, message, self.hint if hint is None else hint, self.details
        )
        made.of_others = self.of_others
        for note in getattr(self, "__notes__", ()):
            made.add_note(note)
        return made

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form that journals and answers carry.

        `texts` has the templates and facts of message and hint, if these have facts.
        """
        return with_texts(
            {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "details": self.details,
            }
        )

    @classmethod
    def foreign(
        cls, code: Any, message: Any, hint: Any = "", details: Any = None, texts: Any = None
    ) -> Self:
        """Build an error from someone else: bounded, without hidden characters in its texts."""
        known = isinstance(code, str) and _CODE.fullmatch(code)
        made_of = texts if isinstance(texts, Mapping) else {}
        made = cls(
            str(code) if known else "internal",
            foreign(message, made_of.get("message")),
            foreign(hint, made_of.get("hint")),
            details if isinstance(details, Mapping) and _is_shallow(details) else None,
        )
        made.of_others = True
        return made

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SecureFlowError:
        """Rebuild an error from `as_json`; missing parts become empty strings."""
        details = value.get("details")
        return cls(
            str(value.get("code", "internal")),
            text_in(value, "message"),
            text_in(value, "hint"),
            details if isinstance(details, Mapping) else None,
        )


def reasons_of(failures: Mapping[str, Any]) -> str:
    """Return why several parties failed: `party → error` as JSON."""
    return one_after_the_other(
        [
            Text("{party}: {message}", party=party, message=text_in(error, "message"))
            for party, error in failures.items()
        ]
    )


class InfrastructureError(SecureFlowError):
    """A temporary failure of this process's own infrastructure (database, disk): retry later.

    A class of its own, so that an error that a party reports (`from_json`) never counts as one.
    """


def _is_shallow(value: object, depth: int = MAX_DEPTH) -> bool:
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return True
    return depth > 0 and all(_is_shallow(one, depth - 1) for one in value)

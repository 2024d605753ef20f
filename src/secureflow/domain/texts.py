"""What names and texts of members may contain: the rules of `kit.plain` as field annotations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from secureflow.kit import plain

STORED: Final = {"stored": True}
"""Validation context for stored values, which may be older than the rule and are shown escaped."""


@dataclass(frozen=True)
class Plain:
    """Marks a text field: `Annotated[str, Field(max_length=200), ONE_LINE]`.

    Args:
        pattern: the rule in the JSON schema.
        check: returns the text or raises `ValueError` with the reason.
    """

    pattern: str
    check: Callable[[str], str]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check after every other rule of the field."""
        return core_schema.with_info_after_validator_function(self._checked, handler(source))

    def _checked(self, text: str, info: core_schema.ValidationInfo) -> str:
        return text if info.context == STORED else self.check(text)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describe the rule."""
        return {**handler(core), "pattern": self.pattern}


ONE_LINE = Plain(plain.LINE_PATTERN, plain.line)
"""No control, bidirectional, zero-width or line-separating character."""
SEVERAL_LINES = Plain(plain.LINES_PATTERN, plain.lines)
"""The same, but newlines are meant."""

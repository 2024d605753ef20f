"""How long the centre keeps what people uploaded: until a moment, or while a job names it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.console import moment
from secureflow.cli.texts import listed, t

if TYPE_CHECKING:
    from secureflow.domain.bundles import KeptBundle
    from secureflow.domain.models import KeptUpload

_TOLD: Final = 2
"""Most jobs that a table names."""


def kept(row: KeptBundle | KeptUpload) -> dict[str, Any]:
    """Return a row for a table; JSON and YAML have `expires` and `jobs` as they are."""
    return {**vars(row), "expires": moment(row.expires) or _while(row.jobs)}


def _while(jobs: tuple[str, ...]) -> str:
    if not jobs:
        return t("while a job names it")
    names = listed(jobs[:_TOLD])
    if len(jobs) > _TOLD:
        names += t(" and {count} more", count=len(jobs) - _TOLD)
    return t("while {jobs} names it", jobs=names) if len(jobs) == 1 else t(
        "while {jobs} name it", jobs=names
    )  # fmt: skip

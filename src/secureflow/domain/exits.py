"""Exit codes of the platform's processes: one table, by error category.

`docs/cli.md` is generated from this table; the command line and the server, enclave and agent
processes return its codes, and a test covers every one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from secureflow.domain.errors import Category, category

DONE: Final = 0
USAGE: Final = 2
UNAVAILABLE: Final = 6
FAILED: Final = 8
INTERNAL: Final = 70
INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Exit:
    """One exit code: its meaning, the error categories that map to it, and examples."""

    code: int
    meaning: str
    categories: tuple[Category, ...]
    examples: tuple[str, ...]


_C = Category
EXITS: Final[tuple[Exit, ...]] = (
    Exit(DONE, "done", (), ()),
    Exit(
        USAGE,
        "wrong usage or invalid input",
        (_C.INVALID, _C.TOO_LARGE),
        ("unknown option", "`invalid_spec`", "`invalid_file`", "`not_confirmed`"),
    ),
    Exit(
        3,
        "not logged in, or not allowed",
        (_C.UNAUTHENTICATED, _C.FORBIDDEN),
        ("`unauthenticated`", "`forbidden`", "`not_a_member`"),
    ),
    Exit(
        4,
        "not found (also what is outside your projects)",
        (_C.NOT_FOUND,),
        ("`not_found`", "`dataset_unknown`"),
    ),
    Exit(
        5,
        "conflict with the present state",
        (_C.CONFLICT,),
        ("`already_exists`", "`illegal_transition`", "`job wait` on a paused job"),
    ),
    Exit(
        UNAVAILABLE,
        "unavailable now",
        (_C.UNAVAILABLE, _C.RATE_LIMITED),
        ("no connection", "`rate_limited`", "`clock_skew`", "`job wait --timeout` has passed"),
    ),
    Exit(
        7,
        "verification failed, not to be trusted",
        (_C.UNTRUSTED,),
        ("`audit_failed`", "`server_untrusted`", "`model_digest_mismatch`"),
    ),
    Exit(
        FAILED,
        "the job, or what was asked for, failed",
        (_C.FAILED,),
        (
            "a job that was watched or waited for failed or was cancelled, whatever its reason",
            "`worker_died`",
        ),
    ),
    Exit(INTERNAL, "an internal error", (_C.INTERNAL,), ("`internal`",)),
    Exit(INTERRUPTED, "interrupted", (), ("Ctrl-C, or a question that nobody answered",)),
)

_BY_CATEGORY: Final = {kind: one.code for one in EXITS for kind in one.categories}


def exit_code(code: str) -> int:
    """Return the exit code of an error code; an unknown one counts as `failed`."""
    return _BY_CATEGORY[category(code)]

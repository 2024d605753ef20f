"""The end of a job whose own script cannot run: it has another version, or no longer fits.

Ending a job needs nothing of the script: the parties and the job's leaves in the log are known
without it. So parties are notified and forget, budgets are settled, and the ends are
signed, exactly as `abandon` does for a job that fails under its own script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.domain.specs.protections import stored_traits
from secureflow.engines.ledger.ends import SERVER, End
from secureflow.engines.run.ending import abandon
from secureflow.engines.run.run import Course, JobContext
from secureflow.engines.script import Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


@dataclass(frozen=True)
class _Limits:
    patience_seconds: float


@dataclass(frozen=True)
class _Roster:
    """The parts of a spec that an end needs, read without its schema, which may have changed."""

    keys: Mapping[str, str]
    script: str
    protection: str
    limits: _Limits

    @property
    def parties(self) -> tuple[str, ...]:
        return tuple(self.keys)


def wind_up(
    job: str,
    script: str,
    spec: Mapping[str, JSON],
    digest: str,
    leaves: Iterable[tuple[str, str]],
    error: SecureFlowError,
    patience: float,
) -> Script[dict[str, JSON]]:
    """End a job with an error, without its script.

    Args:
        job: job id.
        script: the script's version, which determines whether the job's ends are signed.
        spec: the job's stored spec.
        digest: its hex SHA-256.
        leaves: author and hex hash of each of the job's leaves in the log, in order.
        error: the reason.
        patience: seconds without progress after which a party counts as silent.

    Raises:
        SecureFlowError: the error, at the end.
    """
    keys = {line["party"]: line["key"] for line in spec["roster"]}
    roster = _Roster(keys, script, stored_traits(spec).name, _Limits(patience))
    course: Course[Any] = Course(JobContext[Any](job, roster, digest, {}, 0, ""))
    course.ledger.steps = None  # what was asked for is in a script that cannot be run
    for author, leaf in leaves:
        if author != SERVER:
            course.ledger.ends[author] = course.ledger.ends.get(author, End()).after(leaf)
            course.ledger.recorded.add(leaf)
    yield from abandon(course, error, patience)
    raise error

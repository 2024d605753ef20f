"""The end of a job whose own script is not run: it is another version's, or no longer fits.

Nothing of the script is needed to end a job: who takes part and what the job's leaves in the log
are is known without it. So parties are told and forget, budgets are settled, and the ends are
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
    """What an end needs of a spec, read without its schema: that may be another version's."""

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
    """End a job by an error, without its script.

    Args:
        job: job id.
        script: the script's version: it says whether the job's ends are signed.
        spec: the job's spec as it is stored.
        digest: its hex SHA-256.
        leaves: author and hex hash of every leaf that the log holds of the job, in order.
        error: why it ends.
        patience: seconds without progress after which a party counts as silent.

    Raises:
        SecureFlowError: the error, at the end.
    """
    keys = {line["party"]: line["key"] for line in spec["roster"]}
    roster = _Roster(keys, script, stored_traits(spec).name, _Limits(patience))
    course: Course[Any] = Course(JobContext[Any](job, roster, digest, {}, 0, ""))
    for author, leaf in leaves:
        if author != SERVER:
            course.ledger.ends[author] = course.ledger.ends.get(author, End()).after(leaf)
            course.ledger.recorded.add(leaf)
    yield from abandon(course, error, patience)
    raise error

"""Kinds of job whose rounds do not take everybody: what a party checks before it votes.

The centre cannot ask whom it likes, since a party that was not drawn refuses the round; nor can it
count one that contributes all the same, since none of the others signs for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from secureflow.agent.record.records import JobRecord, RoundRecord


@runtime_checkable
class Drawing(Protocol):
    """One party's part in jobs whose rounds may draw their parties; besides `Contributing`."""

    def check_survivors(
        self, job: JobRecord, spec: Any, record: RoundRecord, survivors: Sequence[str]
    ) -> None:
        """Refuse to sign for contributors that a round does not take.

        Args:
            job: approved.
            spec: its spec, of this kind, checked.
            record: this party's own record of the round.
            survivors: whose sum is to be opened.

        Raises:
            SecureFlowError: `survivors_undrawn`.
        """


def check_survivors(
    contributing: object,
    job: JobRecord,
    spec: Any,
    record: RoundRecord,
    survivors: Sequence[str],
) -> None:
    """Have a kind check the contributors of a round, if it draws any."""
    if isinstance(contributing, Drawing):
        contributing.check_survivors(job, spec, record, survivors)

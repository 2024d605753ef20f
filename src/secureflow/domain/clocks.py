"""Reports of clocks that differ, so that someone can correct the wrong one.

No decision depends on another machine's clock; but if a job would fail because of it, that is
reported in advance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from secureflow.kit.clock import CLOCK_CODES, MAX_SKEW, differ
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

HINT: Final = (
    "Set the clock that is wrong (NTP): certificates, approvals and verdicts depend on it. It is "
    "noticed within a minute; no restart is needed."
)
_SUSPECTS: Final = CLOCK_CODES | {"link_broken"}


def wrong_clocks(ahead: Mapping[str, int | None]) -> SecureFlowError | None:
    """Return what is wrong with some parties' clocks; None if it does not matter.

    Args:
        ahead: party → seconds by which its clock is ahead of the centre's; None: unknown.
    """
    known = {party: seconds for party, seconds in ahead.items() if seconds is not None}
    wrong = {party: seconds for party, seconds in known.items() if differ(seconds)}
    if not wrong:
        return None
    listed = _listed(wrong)
    message = Text("These clocks differ from the centre's: {listed}.", listed=listed)
    if len(wrong) > 1 and wrong == known and _close(wrong.values()):
        message = Text(
            "These clocks differ from the centre's: {listed}. They agree with each "
            "other: the centre's own clock is probably wrong.",
            listed=listed,
        )
    return SecureFlowError("clock_skew", message, HINT, {"clock_ahead": wrong})


def naming(error: SecureFlowError, ahead: Mapping[str, int | None]) -> SecureFlowError:
    """Return a party's error, with the clock differences that may have caused it.

    Args:
        error: unchanged if a clock cannot cause it, or if it names one already.
        ahead: clock offsets of the party, and of the enclave that it may have spoken to.
    """
    wrong = wrong_clocks(ahead)
    if wrong is None or error.code not in _SUSPECTS or "clock_ahead" in error.details:
        return error
    details = {**error.details, **wrong.details}
    return SecureFlowError(
        error.code,
        Text("{message} {reason}", message=error.message, reason=wrong.message),
        wrong.hint,
        details,
    )


def _listed(wrong: Mapping[str, int]) -> str:
    return ", ".join(
        f"{party} {abs(seconds)} s {'ahead' if seconds > 0 else 'behind'}"
        for party, seconds in sorted(wrong.items())
    )


def _close(seconds: Iterable[int]) -> bool:
    values = list(seconds)
    return max(values) - min(values) <= MAX_SKEW

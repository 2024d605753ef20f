"""Which limits of a job among peers are below what it is estimated to take.

Told before anybody is asked: an attempt that reaches a limit is ended, and the next one is, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from secureflow.kit.text import Text

MIB = 1 << 20


def low_limits(
    *, seconds: float, peer_megabytes: int | None, expected: float, carried: int
) -> Iterator[str]:
    """Yield what an attempt does not fit into, with as many rows as there may be.

    Args:
        seconds: limit of an attempt.
        peer_megabytes: limit of what a party sends and receives, in MiB; None for what the
            estimate lets expect.
        expected: the estimate, in seconds.
        carried: the estimate of what a party sends and receives, in bytes.
    """
    if expected > seconds:
        yield Text(
            "limits.seconds is {limit:g}, and an attempt is estimated at {expected} s with as many "
            "rows as there may be: it would be ended before it is done. Raise it, or bring fewer "
            "rows.",
            limit=seconds,
            expected=math.ceil(expected),
        )
    if peer_megabytes is not None and carried > peer_megabytes * MIB:
        yield Text(
            "limits.peer_megabytes is {limit}, and a party is estimated to send and receive "
            "{expected} MiB in an attempt with as many rows as there may be: it would be ended "
            "before it is done. Raise it, or bring fewer rows.",
            limit=peer_megabytes,
            expected=math.ceil(carried / MIB),
        )

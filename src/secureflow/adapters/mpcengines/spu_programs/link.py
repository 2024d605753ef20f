"""The link among the parties: brpc over local ports, in this party's own network namespace.

Each party's description names its own port and, for the others, the forwarder's ports on this
machine; so the descriptions differ, which SPU does not mind. The identity of who is at the other
end is the forwarder's business, not this link's.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

from .errors import RefusedError
from .party import Part

_RETRY_MS: Final = 50
_WINDOW: Final = 64
"""Messages under way on one channel; SPU's own 10 stalls large exchanges (secretflow#449)."""
MAX_HELLO: Final = 1 << 16
"""Characters of what a party says of itself."""


def connect(part: Part) -> Any:
    """Return a link over which every party was heard of."""
    from spu import libspu

    desc = libspu.link.Desc()
    desc.id = part.link
    for place, address in enumerate(part.addresses):
        desc.add_party(f"p{place}", address)
    desc.connect_retry_interval_ms = _RETRY_MS
    desc.connect_retry_times = max(1, math.ceil(part.connect * 1000 / _RETRY_MS))
    desc.recv_timeout_ms = max(1000, round(part.wait * 1000))
    desc.http_timeout_ms = max(1000, round(part.wait * 1000))
    desc.throttle_window_size = _WINDOW
    return libspu.link.create_brpc(desc, part.number)


def greet(link: Any, part: Part) -> None:
    """See that all run the same program for the same receivers, each at its own place."""
    mine = {
        "program": part.program,
        "protocol": part.protocol,
        "parameters": dict(part.parameters),
        "receivers": list(part.receivers),
    }
    for place, theirs in enumerate(exchange(link, {**mine, "number": part.number})):
        if theirs != {**mine, "number": place}:
            raise RefusedError("program_mismatch", peer=place)


def exchange(link: Any, mine: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each party says of itself, by place; all hear of all."""
    found = []
    for place, told in enumerate(link.all_gather(json.dumps(mine, sort_keys=True))):
        try:
            read = json.loads(told) if len(told) <= MAX_HELLO else None
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise RefusedError("peer_malformed", peer=place)
        found.append(read)
    return found

"""Why attempts of a job among peers end. Nothing is loaded with it: the idle centre has it too."""

from __future__ import annotations

from typing import Final

LOST: Final = "attempt_lost"
EXHAUSTED: Final = "attempts_exhausted"
AGAIN: Final = frozenset(
    {
        *(LOST, "peer_absent", "peer_broken", "peer_offer_stale"),
        *("engine_failed", "engine_silent", "engine_out_of_memory"),
        *("party_silent", "party_busy", "link_broken", "link_silent", "link_replaced"),
        *("worker_died", "server_stopping", "unavailable"),
    }
)
"""Why an attempt may end so that another one can succeed; any other reason would stay."""

"""Why a program of SPU's or openmined-psi's cannot go on: its word → the reason, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OVERFLOW: Final = "a number is too large for the ring that is computed in"

WORDS: Final[Mapping[str, str]] = {
    "peer_absent": "another party's engine did not connect",
    "peer_silent": "another party's engine sent nothing any more",
    "peer_gone": "another party's engine is gone",
    "peer_malformed": "another party's engine said something that none says",
    "peer_count": (
        "another party's engine brings another number of identifiers than its party committed to"
    ),
    "peer_repeats": "another party's engine asks after an identifier twice",
    "peer_refused": "another party's engine refused its own inputs",
    "program_mismatch": "another party's engine runs another program, or for other receivers",
    "spu_failed": "SPU ended with an error",
    "keys_malformed": "the file of identifiers is damaged",
    "keys_many": "there are more identifiers than this engine takes",
    "keys_repeated": "an identifier stands twice in the list",
    "bucket_full": "the identifiers are not spread as digests are",
    "result_malformed": "what SPU found is no list of rows",
    "result_public": "SPU would have shown a result to everybody",
    "parties_wrong": "the protocol takes another number of parties",
    "parameter_wrong": "a parameter of the program is wrong",
    "input_malformed": "an input is no table of numbers as the program takes it",
    "input_size": "an input is empty, or larger than the program takes",
    "not_finite": "a number is not finite",
    "ring_overflow": _OVERFLOW,
    "lengths_differ": "the parties' inputs have different numbers of rows",
    "too_few_inputs": "fewer parties than the program needs bring an input",
    "column_constant": "a column has the same value everywhere, so it correlates with nothing",
    "weights_large": _OVERFLOW,
    "weights_wrong": (
        "not one party alone brings weights, or they are not one per column and one more"
    ),
}
UNSURE: Final = frozenset(
    {
        *("peer_absent", "peer_silent", "peer_gone", "peer_malformed", "peer_refused"),
        *("spu_failed", "raised", "files", "died"),
    }
)
"""Where another party may have been the cause."""
BLAMED: Final = frozenset({"peer_count", "peer_repeats"})
"""Where the other one of two parties has broken its word."""

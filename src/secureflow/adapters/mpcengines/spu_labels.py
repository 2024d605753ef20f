"""What SPU's protocols protect, and why some of its protocols are refused.

Sources: ABY3 (Mohassel, Rindal, CCS 2018), Cheetah (Huang, Lu, Hong, Ding, USENIX Security 2022),
RR22 (Raghuraman, Rindal, CCS 2022), KKRT (Kolesnikov, Kumaresan, Rosulek, Trieu, CCS 2016), and
SPU's and SecretFlow PSI's source of the version that is locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.application.ports.mpcengine import SecurityLabel
from secureflow.domain.specs.mpc_programs import SPU

_LISTS: Final = "each party learns how many identifiers the other has"
_IDS: Final = (
    "whoever receives learns which of its own identifiers the other has too, not only how many"
)
_AGAIN: Final = (
    "a further attempt on the same lists tells nothing new; on a changed list it tests other "
    "identifiers"
)
_CHOSEN: Final = (
    "a party can put in identifiers that it only guesses: the protocol does not see where they "
    "come from"
)
_NOTHING_ROUNDED: Final = "identifiers are compared by 128 bits of their digest"
_TWO: Final = "neither of the two learns more than it should alone"
_ALL: Final = "two parties are all there are: nobody is left to protect"


def _intersection(bits: int | None) -> SecurityLabel:
    return SecurityLabel(
        adversary="semi-honest",
        threshold=_TWO,
        collusion=_ALL,
        leakage=(_LISTS, _IDS, _CHOSEN),
        repeats=_AGAIN,
        numeric=_NOTHING_ROUNDED,
        statistical_bits=bits,
    )


LABELS: Final[Mapping[str, SecurityLabel]] = {
    **{name.upper(): one.label for name, one in SPU.items()},
    "RR22": _intersection(40),
    "KKRT": _intersection(40),
    "ECDH": _intersection(None),
}
REFUSED: Final[Mapping[str, str]] = {
    "SEMI2K": (
        "its multiplication triples come from one of the parties, which could read every input "
        "with them (BeaverTfpUnsafe)"
    ),
    "REF2K": "it computes on the inputs in plain and is for tests",
    "SECURENN": "nobody has tested it here",
}
"""What SPU has and we do not run, and why."""

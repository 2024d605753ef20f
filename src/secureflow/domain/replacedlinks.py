"""A party whose open link is replaced by a newer one again and again, so that someone looks.

Once is a party that dialled again before its broken link was noticed. More often is a second
process with the same credentials, a copy of its machine say, or a network that breaks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

COUNTED_SECONDS: Final = 600.0
"""For how long a replacement is counted."""
OFTEN: Final = 3
"""From how many counted replacements on someone must look."""


def often_replaced(replaced: Mapping[str, int]) -> SecureFlowError | None:
    """Return which parties' links are replaced too often; None if none is.

    Args:
        replaced: party → its counted replacements.
    """
    many = {party: times for party, times in replaced.items() if times >= OFTEN}
    if not many:
        return None
    return SecureFlowError(
        "link_replaced",
        Text(
            "These parties replaced their own open link within ten minutes: {parties}. Either two "
            "processes run with the credentials of one, or its connection breaks.",
            parties=", ".join(f"{party} ({times} ×)" for party, times in sorted(many.items())),
        ),
        "Ask its owner for a second process, a copy of its folder or machine, and to stop it; both "
        "would vote and spend budgets. If there is none, check the network between it and the "
        "centre.",
        {"replaced": many},
    )

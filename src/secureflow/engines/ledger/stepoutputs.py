"""What parties signed of the steps of a pipeline: of each step they signed the same, all of them.

Each party is asked alone, and signs digests and figures that only the centre has in one place. So
a centre could tell one party that a condition holds, and another that it does not; each would go by
what it signed. Their leaves beside each other show it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.kit.canonical import digest
from secureflow.kit.text import Text

STEP: Final = "step"
"""The kind of leaf with which a party signs the outputs of a step."""


def differing_outputs(bundle: Bundle) -> Iterator[str]:
    """Yield where a party of the roster signed other outputs of a step than one before it."""
    first: dict[int, BundleEntry] = {}
    for entry in bundle.entries:
        leaf, document = entry.signed.leaf, entry.document
        ours = leaf.job == bundle.job and leaf.author in bundle.roster
        if not ours or leaf.kind != STEP or not isinstance(document, dict):
            continue
        number = document.get("number")
        if type(number) is not int:
            continue
        other = first.setdefault(number, entry)
        if digest(document.get("outputs")) != digest(other.document.get("outputs")):
            yield Text(
                "{title}: {name} signed other outputs of part {number} than {other}",
                title=entry.title,
                name=leaf.author,
                number=number,
                other=other.signed.leaf.author,
            )

"""Who accused whom in a job: the accusations in a bundle, as their authors signed them.

An accusation in a verified bundle shows who signed it, not that it is right: its evidence is kept
by the accuser, under the digest that the document names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.kit.text import Text

ACCUSATION: Final = "accusation"
_MOST: Final = 16  # parties accused in one accusation; honest ones name one or two
_LONGEST: Final = 200


@dataclass(frozen=True)
class Accusation:
    """One signed accusation: its author, the accused, the reason, the round.

    `round` is −1 and `stage` empty if it names none; `evidence` is the SHA-256 of the
    refused request, which the author keeps.
    """

    author: str
    against: tuple[str, ...]
    code: str
    round: int
    stage: str
    evidence: str


def accusations_of(bundle: Bundle) -> Iterator[Accusation]:
    """Yield the accusations of the bundle's job. Total: what is not text reads as empty."""
    for entry in _entries(bundle):
        if entry.salt is None:
            continue
        found = entry.document if isinstance(entry.document, dict) else {}
        named = found.get("against")
        number = found.get("round")
        yield Accusation(
            author=entry.signed.leaf.author,
            against=tuple(map(_text, named[:_MOST])) if isinstance(named, list) else (),
            code=_text(found.get("code")),
            round=number if type(number) is int else -1,
            stage=_text(found.get("stage")),
            evidence=_text(found.get("evidence")),
        )


def without_document(bundle: Bundle) -> Iterator[str]:
    """Yield accusations without their document: the accused may have exported this bundle."""
    for entry in _entries(bundle):
        if entry.salt is None:
            yield Text("{title}: the accusation comes without its document", title=entry.title)


def _entries(bundle: Bundle) -> Iterator[BundleEntry]:
    for entry in bundle.entries:
        if entry.signed.leaf.job == bundle.job and entry.signed.leaf.kind == ACCUSATION:
            yield entry


def _text(value: Any) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""

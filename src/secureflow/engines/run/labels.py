"""The security label of a protocol, as lines for people: in explanations and reports."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.securitylabel import SecurityLabel
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text, with_texts

LABEL: Final = "What the protocol gives, and what it lets out"
_AGAINST: Final = {
    "semi-honest": "parties that follow the protocol, and try to learn from what they see",
    "malicious": "parties that may do anything: the worst of it ends the run",
}
_TRANSPORT: Final = {
    "charter": "channels pinned to keys that the organisations sign under the charter",
    "engine": "the engine's own TLS: it proves membership, and not who of the members it is",
    "none": "nobody",
}


def label_lines(label: SecurityLabel) -> Iterator[tuple[str, str]]:
    """Yield what a line is about, and what it says."""
    yield "Protects against", _AGAINST[label.adversary]
    yield "Threshold", label.threshold
    yield "Colluding", label.collusion
    for one in label.trusted:
        yield "Trusted", one
    for one in label.leakage:
        yield "Lets out", one
    if label.repeats:
        yield "A further attempt shows", label.repeats
    if label.numeric:
        yield "Exact", label.numeric
    if label.statistical_bits is not None:
        yield "Statistical security", Text("{bits} bits", bits=label.statistical_bits)
    yield "Vouches for the other end", _TRANSPORT[label.transport]


def label_rows(label: SecurityLabel) -> list[dict[str, JSON]]:
    """Return the label for an explanation: rows of `what` and `why`."""
    return [with_texts({"what": what, "why": said}) for what, said in label_lines(label)]


def label_section(label: SecurityLabel) -> dict[str, JSON]:
    """Return the label as a section of a report."""
    rows = [with_texts({"label": what, "value": said}) for what, said in label_lines(label)]
    return {"title": LABEL, "rows": rows}

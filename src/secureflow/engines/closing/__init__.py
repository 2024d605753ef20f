"""Closing certificates: one contributor set per round, or nothing opens."""

from secureflow.engines.closing.certificate import (
    Certificate,
    certify,
    check_votes,
    parse_certificate,
    verify_certificate,
)
from secureflow.engines.closing.vote import (
    Question,
    Vote,
    cast_vote,
    check_set,
    may_vote,
    round_context,
)

__all__ = [
    "Certificate",
    "Question",
    "Vote",
    "cast_vote",
    "certify",
    "check_set",
    "check_votes",
    "may_vote",
    "parse_certificate",
    "round_context",
    "verify_certificate",
]

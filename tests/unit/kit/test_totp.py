"""One-time passwords as RFC 6238 has them, each good once."""

from __future__ import annotations

import pytest

from secureflow.kit import totp

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("at", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_codes_are_those_of_the_rfc(at: int, code: str) -> None:
    """RFC 6238, appendix B, cut to six digits."""
    assert totp.code_at(RFC_SECRET, at) == code
    assert totp.accepted_step(RFC_SECRET, code, at, 0) == at // 30


def test_one_step_to_either_side_is_accepted_and_none_that_was_used() -> None:
    code, at = totp.code_at(RFC_SECRET, 90_000), 90_000
    for away, accepted in (
        (-60, False),
        (-30, True),
        (0, True),
        (30, True),
        (59, True),
        (60, False),
    ):
        step = totp.accepted_step(RFC_SECRET, code, at + away, 0)
        assert (step == at // 30) is accepted, away
    assert totp.accepted_step(RFC_SECRET, code, at, at // 30) is None
    assert totp.accepted_step(RFC_SECRET, code, at, at // 30 - 1) == at // 30
    for typed in ("", "12345", "1234567", "١٢٣٤٥٦", "abcdef"):
        assert totp.accepted_step(RFC_SECRET, typed, at, 0) is None


def test_recovery_codes_differ_and_are_read_however_they_are_typed() -> None:
    codes = totp.new_recovery_codes()
    stored = [totp.digest(one) for one in codes]
    assert len(set(stored)) == totp.RECOVERY_CODES
    for one in codes:
        for typed in (one, one.lower(), one.replace("-", " ")):
            assert totp.is_recovery(totp.plain(typed))
            assert totp.matching(stored, typed) == totp.digest(one)
    assert totp.matching(stored, "A" * 16) is None
    assert not totp.is_recovery(totp.plain("x" * 10_000))

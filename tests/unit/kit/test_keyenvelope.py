"""The text of a wrapped key: it reads back as what was written, and foreign bytes never crash."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyenvelope import BEGIN, END, Envelope, KeyLabel, is_wrapped, parse_envelope

LABEL = KeyLabel("log", "demo.test/log")
MADE = Envelope(
    LABEL, "scrypt", "ab" * 16, "cd" * 32, 1_700_000_000, b"n" * 12,
    {"log2": 16, "salt": "c2FsdA=="}, b"sealed" * 20,
)  # fmt: skip


def text(value: Any) -> bytes:
    return b"\n".join([BEGIN, base64.b64encode(canonical_bytes(value)), END])


def fields() -> dict[str, Any]:
    body = b"".join(MADE.text().split(b"\n")[1:-2])
    value: dict[str, Any] = json.loads(base64.b64decode(body))
    return value


def test_it_reads_back() -> None:
    assert parse_envelope(MADE.text(), "FILE") == MADE
    assert is_wrapped(MADE.text())
    assert all(len(line) <= 64 for line in MADE.text().splitlines())
    assert MADE.holding(b"other").additional == MADE.additional


@pytest.mark.parametrize("name", sorted(fields()))
def test_each_field_counts_and_each_has_its_form(name: str) -> None:
    known = fields()
    for bad in (None, "", -1, 1.5, True, "x" * 4096, "\x1b[2J", "Ä", (), {"a": ()}):
        if name == "public" and bad == "":
            continue  # a secret without a public key
        if name == "sealed" and bad in ("", "x" * 4096):
            continue  # it opens with no key
        with pytest.raises(SecureFlowError, match="FILE"):
            parse_envelope(text({**known, name: bad}), "FILE")
    with pytest.raises(SecureFlowError, match="FILE"):
        parse_envelope(text({key: one for key, one in known.items() if key != name}), "FILE")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        BEGIN,
        BEGIN + END,
        BEGIN + b"\n" + END,
        MADE.text()[:-10],
        MADE.text() + b"more",
        MADE.text().replace(BEGIN, b"-----BEGIN PRIVATE KEY-----"),
        BEGIN + b"A" * 20_000 + END,
        text({**fields(), "more": 1}),
        text([fields()]),
        BEGIN + base64.b64encode(json.dumps(fields(), indent=1).encode()) + END,  # not canonical
        text({**fields(), "parameters": {f"a{n}": n for n in range(9)}}),
        text({**fields(), "parameters": {"UPPER": 1}}),
    ],
)
def test_what_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(SecureFlowError) as refused:
        parse_envelope(data, "FILE")
    assert refused.value.code == "wrapped_key_malformed"
    assert refused.value.hint


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 800), st.integers(0, 40))
@example(b"\xff", 60, 1)
def test_foreign_bytes_never_crash(noise: bytes, at: int, cut: int) -> None:
    whole = MADE.text()
    for data in (noise, BEGIN + noise + END, whole[:at] + noise + whole[at + cut :]):
        with contextlib.suppress(SecureFlowError):
            found = parse_envelope(data, "FILE")
            assert parse_envelope(found.text(), "FILE") == found

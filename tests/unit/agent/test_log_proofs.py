from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.agent.witness.log_proofs import LogProofs, parse_log_proofs
from secureflow.kit.errors import SecureFlowError

HASH = "ab" * 32
GOOD: dict[str, Any] = {
    "consistency": {"from": 7, "to": 3, "proof": [HASH]},
    "inclusion": [{"hash": HASH, "index": 1, "size": 7, "proof": [HASH, HASH]}],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70)
    | st.sampled_from([HASH, "proof", 3]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(
            ["consistency", "inclusion", "from", "to", "proof", "hash", "index", "size", "x"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=12,
)  # fmt: skip
CASES = 400


def refused(value: Any) -> bool:
    code = ""
    try:
        parse_log_proofs(value)
    except SecureFlowError as error:
        code = error.code
    assert code in {"", "malformed_rider"}
    return bool(code)


def test_good_log_proofs() -> None:
    log_proofs = parse_log_proofs(GOOD)
    assert log_proofs.sizes == (3, 7)
    assert log_proofs.consistency == (bytes.fromhex(HASH),)
    assert log_proofs.inclusion[0].index == 1
    assert parse_log_proofs(None) == parse_log_proofs({}) == LogProofs()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"more": 1},
        {"consistency": {"from": 1, "to": 2}},
        {"consistency": {"from": -1, "to": 2, "proof": []}},
        {"consistency": {"from": True, "to": 2, "proof": []}},
        {"consistency": {"from": 1, "to": 1 << 62, "proof": []}},
        {"consistency": {"from": 1, "to": 2, "proof": [HASH] * 65}},
        {"consistency": {"from": 1, "to": 2, "proof": [HASH.upper()]}},
        {"inclusion": [{"hash": HASH, "index": 0, "size": 1, "proof": [], "x": 0}]},
        {"inclusion": [GOOD["inclusion"][0]] * 1025},
    ],
)
def test_bad_log_proofs(value: Any) -> None:
    assert refused(value)


@pytest.mark.slow
@given(JSON)
@settings(max_examples=CASES, deadline=None)
def test_whatever_comes_is_read_or_refused(value: Any) -> None:
    refused(value)


@pytest.mark.soak
@pytest.mark.timeout(0)
@given(JSON)
@settings(max_examples=int(os.environ.get("SECUREFLOW_SOAK_CASES", "1000000")), deadline=None)
def test_a_million_log_proofs(value: Any) -> None:
    refused(value)

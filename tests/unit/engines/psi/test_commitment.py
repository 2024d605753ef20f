"""A commitment is to one list of keys: to no other, in no other order, under no other salt."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from secureflow.engines.psi.commitment import SALT_BYTES, commit_keys, opens
from secureflow.engines.psi.normalise import KEY_BYTES, key_digest

SALT = bytes(range(SALT_BYTES))
KEYS = sorted(key_digest([str(n)]) for n in range(9))


def test_it_opens_with_what_it_was_made_from_however_it_is_cut() -> None:
    made = commit_keys(SALT, 9, [b"".join(KEYS)])
    assert opens(made, SALT, 9, KEYS)
    assert opens(made, SALT, 9, [b"".join(KEYS[:4]), b"", b"".join(KEYS[4:])])


def test_it_opens_with_nothing_else() -> None:
    made = commit_keys(SALT, 9, KEYS)
    other = sorted([*KEYS[:8], key_digest(["another"])])
    assert not opens(made, SALT, 9, other)
    assert not opens(made, SALT, 8, KEYS[:8])
    assert not opens(made, SALT, 8, KEYS)
    assert not opens(made, b"x" * SALT_BYTES, 9, KEYS)
    assert not opens(made, SALT[:31], 9, KEYS)
    assert not opens(made, SALT, 9, [KEYS[1], KEYS[0], *KEYS[2:]])
    assert not opens("é", SALT, 9, KEYS)


def test_nobody_commits_to_another_number_than_the_keys_of_the_list() -> None:
    for count in (8, 10):
        with pytest.raises(ValueError, match="9 keys"):
            commit_keys(SALT, count, KEYS)


@pytest.mark.parametrize(
    "keys",
    [[KEYS[0], KEYS[0]], [KEYS[1], KEYS[0]], [KEYS[0] + KEYS[1][:1]], [KEYS[0], b"", KEYS[0]]],
)
def test_a_list_is_ascending_and_has_each_key_once(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"key|block"):
        commit_keys(SALT, 2, keys)


@given(st.lists(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), unique=True, max_size=5))
def test_the_number_of_keys_is_committed_to(keys: list[bytes]) -> None:
    made = commit_keys(SALT, len(keys), sorted(keys))
    assert opens(made, SALT, len(keys), sorted(keys))
    assert not opens(made, SALT, len(keys) + 1, sorted(keys))


@given(st.lists(st.tuples(*[st.sampled_from([bytes(8), bytes(7) + b"\x01", b"\xff" * 8])] * 3)))
def test_the_order_within_a_block_is_that_of_bytes(words: list[tuple[bytes, ...]]) -> None:
    keys = [b"".join(one) for one in words]
    for listed in (keys, sorted(keys), sorted({*keys})):
        ascends = all(a < b for a, b in pairwise(listed))
        if ascends:
            commit_keys(SALT, len(listed), [b"".join(listed)])
        else:
            with pytest.raises(ValueError, match="do not follow"):
                commit_keys(SALT, len(listed), [b"".join(listed)])


def test_an_empty_list_has_one_too() -> None:
    assert opens(commit_keys(SALT, 0, []), SALT, 0, [])

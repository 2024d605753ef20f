"""A foreign message of 1 MiB costs little memory, whatever is wrong with it, and however often."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest

from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.engines.run.messages import REPLIES, Recipient
from secureflow.engines.run.messages.parts import ReleasedMoments
from secureflow.kit.errors import SecureFlowError
from tests.full import thinned
from tests.unit.engines.run.test_messages import REQUESTS

MIB = 1 << 20
ONES: list[Any] = [1] * (MIB // 2)
WORDS: list[Any] = ["x"] * (MIB // 4)
EMPTY: list[Any] = [{}] * (MIB // 3)
NAMED = dict.fromkeys((f"X{number}\x1b" for number in range(MIB // 11)), 1)
CLASSES = {
    **{f"{verb} reply": of for verb, of in REPLIES.items()},
    **{f"{verb} request": of for verb, of in REQUESTS.items()},
    **{f"{name} spec": kind.spec for name, kind in SPEC_KINDS.items()},
    "recipient": Recipient,
    "moments": ReleasedMoments,
}


def peak(of: type[Any], body: Any) -> int:
    """Return the most memory that reading a body takes beside the body."""
    parse_once(of, {})  # the validator itself is built once
    tracemalloc.start()
    try:
        parse_once(of, body)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def parse_once(of: type[Any], body: Any) -> None:
    with suppress(SecureFlowError):
        parse(of, body)


@pytest.mark.parametrize("name", thinned(CLASSES, 3, pytest.mark.full))
def test_what_is_wrong_is_not_collected_without_end(name: str) -> None:
    of = CLASSES[name]
    wholes: list[Any] = [ONES, WORDS, EMPTY, NAMED]
    for whole in wholes:
        assert peak(of, whole) < 24 * MIB
        for one in fields(of):
            assert peak(of, {one.name: whole}) < 24 * MIB, one.name

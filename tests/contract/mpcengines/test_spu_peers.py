"""What SPU's programs take from their peers: bounded, of the kind that it should be, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from secureflow.adapters.mpcengines.spu_programs import compute, link, psi
from secureflow.adapters.mpcengines.spu_programs.errors import RefusedError
from secureflow.adapters.mpcengines.spu_programs.party import Part
from secureflow.adapters.mpcengines.spu_programs.whole import on_grid


class Link:
    """A link to one peer, which says the same again and again."""

    def __init__(self, theirs: str) -> None:
        self.theirs = theirs
        self.sent: list[tuple[int, bytes]] = []

    def all_gather(self, mine: str) -> list[str]:
        return [mine, self.theirs]

    def send(self, place: int, data: bytes) -> None:
        self.sent.append((place, data))


def _part(**given: Any) -> Part:
    own: dict[str, Any] = {
        "program": "psi",
        "protocol": "RR22",
        "parameters": {"bucket": 1000},
        "number": 0,
        "parties": 2,
        "receivers": (0,),
        "job": "job_1",
        "link": "job_1-1",
        "addresses": ("127.0.0.1:1", "127.0.0.1:2"),
        "inputs": {},
        "folder": Path(),
        "kept": {},
        "keep": lambda name, path: None,
        "connect": 1.0,
        "wait": 1.0,
    }
    return Part(**{**own, **given})


def _hello(**other: Any) -> str:
    told = {
        "program": "psi",
        "protocol": "RR22",
        "parameters": {"bucket": 1000},
        "receivers": [0],
        "number": 1,
    }
    return json.dumps({**told, **other})


def test_parties_that_agree_go_on() -> None:
    link.greet(Link(_hello()), _part())


@pytest.mark.parametrize(
    "other",
    [
        {"program": "ranking"},
        {"protocol": "KKRT"},
        {"parameters": {}},
        {"receivers": [0, 1]},
        {"receivers": [1]},
        {"number": 0},
        {"further": 1},
    ],
)
def test_another_program_or_receiver_is_noticed(other: dict[str, Any]) -> None:
    """A peer that would receive, though nobody agreed to that, ends the run."""
    with pytest.raises(RefusedError, match="program_mismatch") as refused:
        link.greet(Link(_hello(**other)), _part())
    assert refused.value.facts == {"peer": 1}


@pytest.mark.parametrize("said", ["", "[]", "1", "{", '{"a": "' + "x" * (1 << 16) + '"}'])
def test_what_is_no_message_is_refused(said: str) -> None:
    with pytest.raises(RefusedError, match="peer_malformed"):
        link.exchange(Link(said), {})


@pytest.mark.parametrize("size", ["7", -1, True, None, 1 << 40, 1.0])
def test_a_size_is_a_number_of_keys(size: object) -> None:
    with pytest.raises(RefusedError, match="peer_malformed"):
        psi._sizes(Link(json.dumps({"size": size})), 3)
    assert psi._sizes(Link('{"size": 5}'), 3) == [3, 5]


@pytest.mark.parametrize(
    ("counts", "word"),
    [
        ([3, 4], "peer_count"),
        ([4, 5], "parameter_wrong"),
        ("35", "parameter_wrong"),
        ([], "parameter_wrong"),
    ],
)
def test_a_list_is_as_long_as_its_party_committed_to(counts: Any, word: str) -> None:
    with pytest.raises(RefusedError, match=word):
        psi._check_counts(_part(parameters={"counts": counts}), [3, 5])
    psi._check_counts(_part(parameters={"counts": [3, 5]}), [3, 5])


@pytest.mark.parametrize("buckets", [None, 3, ["0"], [None], [True]])
def test_finished_buckets_are_numbers(buckets: object) -> None:
    kept: Any = SimpleNamespace(numbers={0, 1})
    with pytest.raises(RefusedError, match="peer_malformed"):
        psi._finished(Link(json.dumps({"buckets": buckets})), kept, 3)


def test_what_one_party_has_not_runs_again() -> None:
    kept: Any = SimpleNamespace(numbers={0, 1})
    assert psi._finished(Link('{"buckets": [1, 2, 77]}'), kept, 3) == {1}


@pytest.mark.parametrize("most", [999, 1_000_001, "1000", 2000.0, True])
def test_a_bucket_has_bounds(most: object) -> None:
    with pytest.raises(RefusedError, match="parameter_wrong"):
        psi._most({"bucket": most})


@pytest.mark.parametrize(
    "shapes",
    [
        [],
        {"values": 3},
        {"values": []},
        {"values": [0]},
        {"values": [-1]},
        {"values": [True]},
        {"values": [1, 1, 1]},
        {"values": [1 << 20, 1 << 20]},
        {str(number): [1] for number in range(9)},
    ],
)
def test_shapes_are_few_and_of_this_world(shapes: object) -> None:
    """They decide what is compiled and allocated here."""
    with pytest.raises(RefusedError, match="peer_malformed"):
        compute._agree(Link(json.dumps({"shapes": shapes, "refused": False})), {}, None)


def test_numbers_are_rounded_before_spu_would_cut_them_off() -> None:
    drawn = np.random.default_rng(7).normal(size=(50, 2))
    shared = compute.CATALOGUE["correlation"].prepare({"columns": drawn}, {})
    exact = (drawn - drawn.mean(axis=0)) / drawn.std(axis=0)
    for array in shared.values():
        assert (np.trunc(array * 2**18) == array * 2**18).all()
    assert np.abs(shared["columns"] - exact).max() <= 2**-19
    assert on_grid(-0.7) == -183501 / 2**18


@pytest.mark.parametrize("visible", ["public", "private"])
def test_a_result_that_is_no_secret_is_not_sent(visible: str) -> None:
    machine = compute.Machine.__new__(compute.Machine)
    spu = SimpleNamespace(Visibility=SimpleNamespace(VIS_SECRET="secret"))
    runtime = SimpleNamespace(get_var_meta=lambda name: SimpleNamespace(visibility=visible))
    away = Link("")
    vars(machine).update(_spu=spu, runtime=runtime, _part=_part(), _link=away)
    with pytest.raises(RefusedError, match="result_public"):
        machine.reveal("out0")
    assert away.sent == []

"""SPU's programs as plain processes, joined by forwarders, against NumPy's answers.

`make test` runs set intersection here, and ranks through agents (test_spu_engine.py); each program
on shares compiles for seconds in every party.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from peers import mpc_references as references
from peers.engine_environments import demand_engine
from peers.mpc_references import key_file, matches

from benchmarks.engineparties import Ended, Measured, Parties, Run, run
from secureflow.adapters.mpcengines import spu_catalogue
from secureflow.adapters.mpcengines.spu_programs import correlation

ENTRY = spu_catalogue.FOLDER / "entry.py"
OURS = [f"id{number}" for number in range(400)]
THEIRS = [f"id{number}" for number in range(700, 200, -1)]


def _what(program: str, protocol: str, **given: Any) -> Run:
    return Run(demand_engine("spu"), ENTRY, program, protocol, **{"stays": True, **given})


def _lists(tmp_path: Path, ours: Sequence[str], theirs: Sequence[str]) -> list[dict[str, Path]]:
    return [
        {"keys": key_file(tmp_path / "ours", ours)},
        {"keys": key_file(tmp_path / "theirs", theirs)},
    ]


def _saved(tmp_path: Path, inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, Path]]:
    saved = []
    for number, own in enumerate(inputs):
        saved.append({name: tmp_path / f"{number}.{name}.npy" for name in own})
        for name, array in own.items():
            np.save(saved[-1][name], np.asarray(array))
    return saved


def _outputs(ended: Ended) -> dict[str, Any]:
    assert "done" in ended.said, (ended.said, ended.printed[-2000:])
    return {name: np.load(path) for name, path in ended.outputs.items()}


@pytest.mark.parametrize(
    ("protocol", "receivers"),
    [("RR22", (0, 1)), ("KKRT", (1,)), ("ECDH", (0, 1))],
)
def test_receivers_learn_their_rows_in_one_order(
    tmp_path: Path, protocol: str, receivers: tuple[int, ...]
) -> None:
    what = _what("psi", protocol, receivers=receivers)
    found = run(what, _lists(tmp_path, OURS, THEIRS), tmp_path)
    left = {one.name for one in (tmp_path / "party1" / "work").iterdir()}
    assert left == {"0.npy", "matches.npy"}
    words, lists = [], (OURS, THEIRS)
    for number, one in enumerate(found.ended):
        outputs = _outputs(one)
        assert set(outputs) == ({"matches"} if number in receivers else set())
        if number in receivers:
            assert set(outputs["matches"]) == matches(lists[number], lists[1 - number])
            words.append([lists[number][row] for row in outputs["matches"]])
    assert all(one == words[0] for one in words)


def test_an_empty_intersection_is_a_result(tmp_path: Path) -> None:
    found = run(_what("psi", "RR22"), _lists(tmp_path, [], ["x"]), tmp_path)
    assert len(_outputs(found.ended[0])["matches"]) == 0


def test_equal_lists_are_intersected_as_others_are(tmp_path: Path) -> None:
    """SPU compares digests of whole lists in plain; ours never are equal."""
    found = run(_what("psi", "RR22"), _lists(tmp_path, OURS, OURS[::-1]), tmp_path)
    assert len(_outputs(found.ended[0])["matches"]) == len(OURS)


def test_a_list_with_a_key_twice_is_refused_by_word(tmp_path: Path) -> None:
    lists = _lists(tmp_path, [*OURS, OURS[0]], THEIRS)
    found = run(_what("psi", "RR22", linger=0.5), lists, tmp_path)
    assert found.ended[0].said == {"failed": "keys_repeated"}
    assert "done" not in found.ended[1].said


def test_a_peer_that_sends_nothing_any_more_is_noticed(tmp_path: Path) -> None:
    """It has no list: the program waits as long as it was told, and says why."""
    lists = _lists(tmp_path, OURS, THEIRS)
    (tmp_path / "theirs").unlink()
    found = run(_what("psi", "RR22", wait=4.0), lists, tmp_path)
    assert found.ended[0].said["failed"] in {"peer_absent", "peer_gone", "peer_silent"}
    assert "failed" in found.ended[1].said


async def test_a_peer_that_is_killed_ends_the_run_at_once_or_by_its_deadline(
    tmp_path: Path,
) -> None:
    names = [f"id{number}" for number in range(40_000)]
    parties = Parties(_what("psi", "ECDH", wait=4.0), _lists(tmp_path, names, names), tmp_path)
    running = asyncio.ensure_future(parties.run())
    while "compute" not in parties.phases[1] and not running.done():
        telling = asyncio.ensure_future(parties.told.wait())
        await asyncio.wait({telling, running}, return_when=asyncio.FIRST_COMPLETED)
        telling.cancel()
        parties.told.clear()
    with contextlib.suppress(ProcessLookupError):  # a busy machine was too slow for its deadline
        parties.processes[1].kill()
    found = await running
    assert "done" not in found.ended[0].said


def _shared(
    tmp_path: Path, program: str, protocol: str, inputs: Sequence[Mapping[str, Any]], **given: Any
) -> Measured:
    return run(_what(program, protocol, **given), _saved(tmp_path, inputs), tmp_path)


@pytest.mark.full
def test_ranks_are_exact(tmp_path: Path) -> None:
    drawn = np.random.default_rng(3)
    values = [drawn.integers(-(2**53), 2**53, 300) for _ in range(3)]
    for one in values:
        one[:40] = drawn.integers(-2, 3, 40)
    inputs = [{"values": one} for one in values]
    found = _shared(tmp_path, "ranking", "ABY3", inputs, receivers=(1,))
    assert not _outputs(found.ended[0])
    assert (_outputs(found.ended[1])["ranks"] == references.ranks(values)).all()


@pytest.mark.full
def test_an_auction_is_exact(tmp_path: Path) -> None:
    """Two bid, the third party only computes along."""
    drawn = np.random.default_rng(4)
    bids = [np.round(drawn.uniform(0, 100, 200), 2) for _ in range(2)]
    inputs: list[dict[str, Any]] = [{"bids": bids[0]}, {}, {"bids": bids[1]}]
    parameters = {"price": "second", "decimals": 2}
    found = _shared(
        tmp_path, "sealed-bid", "ABY3", inputs, receivers=(0, 1, 2), parameters=parameters
    )
    winner, paid = references.auction(bids, second=True)
    for one in found.ended:
        outputs = _outputs(one)
        assert (outputs["winner"] == np.array([0, 2])[winner]).all()
        assert np.allclose(outputs["price"], paid, atol=1e-9)


@pytest.mark.full
def test_a_correlation_is_within_its_bound(tmp_path: Path) -> None:
    drawn = np.random.default_rng(5)
    rows = 2000
    base = drawn.normal(size=(rows, 1))
    columns = [base + drawn.normal(size=(rows, width)) * 0.3 for width in (2, 3)]
    inputs: list[dict[str, Any]] = [*({"columns": one} for one in columns), {}]
    found = _shared(tmp_path, "correlation", "ABY3", inputs)
    error = np.abs(_outputs(found.ended[0])["correlation"] - references.correlation(columns)).max()
    assert error <= 2.0**-18 + 1e-5 / rows + 1e-9
    assert correlation.MAX_ROWS * 2**36 <= 2**62


@pytest.mark.full
@pytest.mark.parametrize(("protocol", "output"), [("ABY3", "probability"), ("CHEETAH", "class")])
def test_a_regression_is_within_its_bound(tmp_path: Path, protocol: str, output: str) -> None:
    drawn = np.random.default_rng(6)
    columns = [drawn.normal(size=(500, width)) * 2 for width in (3, 2)]
    weights = drawn.normal(size=6)
    inputs: list[dict[str, Any]] = [
        {"columns": columns[0]},
        {"columns": columns[1], "weights": weights},
    ]
    inputs += [{}] if protocol == "ABY3" else []
    found = _shared(tmp_path, "logistic", protocol, inputs, parameters={"output": output})
    exact = references.probabilities(columns, weights)
    rows = np.abs(np.concatenate(columns, axis=1)).sum(axis=1)
    bound = 2.0**-19 * (rows + np.abs(weights).sum()) + 5 * 2.0**-38 + 1e-5
    told = _outputs(found.ended[0])[output]
    if output == "probability":
        assert (np.abs(told - exact) <= bound / 4 + 1e-12).all()
    else:
        clear = np.abs(np.log(exact / (1 - exact))) > bound
        assert (told[clear] == (exact[clear] > 0.5)).all()
        assert clear.mean() > 0.99


@pytest.mark.full
def test_a_party_that_refuses_its_input_ends_the_others(tmp_path: Path) -> None:
    inputs = [{"values": [1.0]}, {"values": [float("nan")]}, {"values": [3.0]}]
    found = _shared(tmp_path, "ranking", "ABY3", inputs)
    assert [one.said["failed"] for one in found.ended] == [
        *("peer_refused", "not_finite", "peer_refused")
    ]

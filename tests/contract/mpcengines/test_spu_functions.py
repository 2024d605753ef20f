"""What SPU's programs compute, run in NumPy: the functions that SPU gets, without SPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from peers import mpc_references as references

from secureflow.adapters.mpcengines.spu_programs import compute
from secureflow.adapters.mpcengines.spu_programs.errors import RefusedError

Inputs = Sequence[Mapping[str, Any]]
_NUMBERS = st.lists(st.integers(-50, 50), min_size=3, max_size=3)


def _run(program: str, inputs: Inputs, **parameters: Any) -> dict[str, Any]:
    """Run a program as `compute.run` does, with arrays in the place of shares."""
    module = compute.CATALOGUE[program]
    shared = [
        module.prepare({name: np.asarray(one) for name, one in own.items()}, parameters)
        for own in inputs
    ]
    shapes = [{name: one.shape for name, one in own.items()} for own in shared]
    slots = module.slots(shapes, parameters)
    function = module.function(np, shapes, parameters)
    results = function(*(shared[place][name] for place, name in slots))
    found: dict[str, Any] = module.finish([np.asarray(one) for one in results], shapes, parameters)
    return found


@given(st.lists(_NUMBERS, min_size=2, max_size=4))
def test_ranks_are_those_of_sorting(values: list[list[int]]) -> None:
    found = _run("ranking", [{"values": one} for one in values])["ranks"]
    assert (found == references.ranks([np.array(one) for one in values])).all()


@given(st.lists(_NUMBERS, min_size=2, max_size=4), st.booleans())
def test_an_auction_is_that_of_sorting(bids: list[list[int]], second: bool) -> None:
    price = "second" if second else "first"
    found = _run("sealed-bid", [{"bids": one} for one in bids], price=price)
    winner, paid = references.auction([np.array(one) for one in bids], second=second)
    assert (found["winner"] == winner).all()
    assert (found["price"] == paid).all()


def test_decimals_count_as_many_as_the_job_says() -> None:
    inputs: Inputs = [{"values": [0.123]}, {}, {"values": [0.1234]}]
    assert _run("ranking", inputs, decimals=3)["ranks"].tolist() == [[1], [1]]
    assert _run("ranking", inputs, decimals=4)["ranks"].tolist() == [[2], [1]]
    found = _run("sealed-bid", [{"bids": [10.25]}, {}, {"bids": [10.5]}], decimals=2)
    assert (found["winner"].tolist(), found["price"].tolist()) == ([2], [10.5])


def test_a_correlation_is_that_of_all_columns_at_one_place() -> None:
    drawn = np.random.default_rng(1)
    base = drawn.normal(size=(400, 1))
    columns = [base * 3 + drawn.normal(size=(400, width)) + 100 for width in (2, 1, 3)]
    found = _run("correlation", [{"columns": one} for one in columns])["correlation"]
    assert np.allclose(found, references.correlation(columns), atol=2**-18 + 2**-30)


def test_a_correlation_of_two_columns_is_a_matrix() -> None:
    columns = [np.array([[1.0], [2.0], [4.0]]), np.array([[3.0], [1.0], [0.0]])]
    found = _run("correlation", [{}, *({"columns": one} for one in columns)])["correlation"]
    assert np.allclose(found, references.correlation(columns), atol=2**-17)


@pytest.mark.parametrize("output", ["probability", "class"])
def test_a_regression_is_that_of_all_columns_at_one_place(output: str) -> None:
    drawn = np.random.default_rng(2)
    columns = [drawn.normal(size=(50, width)) for width in (2, 3)]
    weights = drawn.normal(size=6)
    inputs: Inputs = [{"columns": columns[0]}, {"columns": columns[1], "weights": weights}]
    found = _run("logistic", inputs, output=output, threshold=0.3)[output]
    exact = references.probabilities(columns, weights)
    assert np.allclose(found, exact if output == "probability" else exact > 0.3, atol=1e-4)


@pytest.mark.parametrize(
    ("program", "inputs", "parameters", "reason", "facts"),
    [
        ("ranking", [{"values": [1]}, {}], {}, "too_few_inputs", {}),
        ("ranking", [{"values": [1, 2]}, {"values": [1]}], {}, "lengths_differ", {"peer": 1}),
        ("ranking", [{"values": [1.0, 2.0**60]}], {}, "ring_overflow", {"row": 2}),
        ("ranking", [{"values": [2.0**40]}], {"decimals": 9}, "ring_overflow", {"row": 1}),
        ("ranking", [{"values": [float("nan")]}], {}, "not_finite", {"row": 1}),
        ("ranking", [{"values": [1]}], {"decimals": "2"}, "parameter_wrong", {}),
        ("sealed-bid", [{"bids": [1]}] * 2, {"price": "third"}, "parameter_wrong", {}),
        (
            "correlation",
            [{"columns": [[1.0, 5.0], [2.0, 5.0]]}],
            {},
            "column_constant",
            {"column": 2},
        ),
        ("correlation", [{"columns": [[1.0], [float("inf")]]}], {}, "not_finite", {"row": 2}),
        ("correlation", [{"columns": [[1e308], [-1e308]]}], {}, "ring_overflow", {"column": 1}),
        ("logistic", [{"columns": [[5000.0]]}], {}, "ring_overflow", {"column": 1}),
        ("logistic", [{"weights": [5000.0, 1.0]}], {}, "weights_large", {}),
        (
            "logistic",
            [{"columns": [[1.0]]}, {"weights": [1.0]}],
            {},
            "weights_wrong",
            {"columns": 1},
        ),
        ("logistic", [{"columns": [[1.0]]}] * 2, {}, "weights_wrong", {"models": 0}),
        ("logistic", [{"weights": [1.0]}], {}, "too_few_inputs", {}),
        ("logistic", [{}], {"output": "all"}, "parameter_wrong", {}),
        ("logistic", [{}], {"threshold": 1.0}, "parameter_wrong", {}),
    ],
)
def test_what_cannot_be_computed_is_refused(
    program: str, inputs: Inputs, parameters: dict[str, Any], reason: str, facts: dict[str, int]
) -> None:
    with pytest.raises(RefusedError, match=reason) as refused:
        _run(program, inputs, **parameters)
    assert facts.items() <= refused.value.facts.items()


def test_a_file_that_is_no_table_of_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "values.npy"
    ranking = compute.CATALOGUE["ranking"]
    for array in (np.array([["a"]]), np.array([[1.0]]), np.array([1], np.float32)):
        np.save(path, array)
        with pytest.raises(RefusedError, match="input_malformed"):
            compute.prepared(ranking, {"values": path}, {})
    np.save(path, np.zeros(0))
    with pytest.raises(RefusedError, match="input_size"):
        compute.prepared(ranking, {"values": path}, {})
    path.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '|O'")
    with pytest.raises(RefusedError, match="input_malformed"):
        compute.prepared(ranking, {"values": path}, {})
    with pytest.raises(RefusedError, match="input_malformed"):
        compute.prepared(ranking, {"others": path}, {})

"""What the enclave holds of single parties' trees, and what leaves it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from unit.engines.trees.test_own_trees import ROSTER, own, rows_of

from secureflow.enclave.models import GlobalModel
from secureflow.enclave.trainingfolds import OwnTreesFold, training_fold
from secureflow.engines.training.models import initial_state, update_layout
from secureflow.engines.training.treelayout import layout_of
from secureflow.engines.trees.layout import parts_of
from secureflow.engines.trees.owngrowing import own_tree
from secureflow.kit.errors import SecureFlowError

JOB = own(model={"min_leaf_rows": 5})
SUMS = update_layout(JOB).sums


def update(party: str, values: np.ndarray, rows: float = 10.0) -> Any:
    sums = np.zeros(SUMS)
    sums[0] = rows
    binding = SimpleNamespace(party=party)
    return SimpleNamespace(binding=binding, tensors={"parameters": values}, sums=sums)


def opened() -> tuple[OwnTreesFold, GlobalModel]:
    """A fold after its first round."""
    fold, model = training_fold(JOB, "train", None), GlobalModel.of(initial_state(JOB))
    assert isinstance(fold, OwnTreesFold)
    fold.starts_from(model)
    for place, party in enumerate(ROSTER):
        rows = rows_of(JOB, place)
        fold.fold(update(party, rows.sums(model.parameters), len(rows.labels)))
    assert fold.advance(model, lambda: b"") is None
    fold.reset()
    return fold, model


def trees(model: GlobalModel) -> dict[str, np.ndarray]:
    made = (own_tree(rows_of(JOB, place), model.parameters, b"") for place in range(3))
    return dict(zip(ROSTER, made, strict=True))


def test_edges_come_from_all_rows_and_the_order_of_arrival_changes_nothing() -> None:
    digests = set()
    for order in (ROSTER, ROSTER[::-1]):
        fold, model = opened()
        parts = parts_of(layout_of(JOB), model.parameters)
        assert (parts.known, parts.done) == (True, 0)
        made = trees(model)
        for party in order:
            fold.fold(update(party, made[party]))
        assert fold.advance(model, lambda: b"") is None
        assert fold.sums(lambda: b"")[0] == 30.0
        assert parts_of(layout_of(JOB), model.parameters).done == 3
        digests.add(model.digest)
    assert len(digests) == 1


def test_whose_a_tree_is_does_not_leave() -> None:
    digests = set()
    for names in (ROSTER, ROSTER[::-1]):
        fold, model = opened()
        for party, tree in zip(names, trees(model).values(), strict=True):
            fold.fold(update(party, tree))
        fold.advance(model, lambda: b"")
        digests.add(model.digest)
    assert len(digests) == 1


def test_a_hostile_party_is_left_out() -> None:
    fold, model = opened()
    made = trees(model)
    hostile = made["bank-1"].copy()
    hostile[3] = 1 << 62
    fold.fold(update("bank-0", made["bank-0"]))
    for values, rows, code in (
        (hostile, 10.0, "tree_malformed"),
        (made["bank-1"], 1e18, "weight_out_of_bounds"),  # a tree without its figures stays out
    ):
        with pytest.raises(SecureFlowError) as caught:
            fold.fold(update("bank-1", values, rows))
        assert caught.value.code == code
    assert fold.count == 1
    fold.advance(model, lambda: b"")
    clean, other = opened()
    clean.fold(update("bank-0", made["bank-0"]))
    clean.advance(other, lambda: b"")
    assert model.digest == other.digest


def test_what_is_held_ends_with_its_round() -> None:
    fold, model = opened()
    fold.fold(update("bank-0", trees(model)["bank-0"]))
    fold.reset()
    with pytest.raises(SecureFlowError) as caught:
        fold.advance(model, lambda: b"")
    assert caught.value.code == "nothing_folded"


def test_what_is_held_is_a_copy() -> None:
    """The buffer that an update is read from is used again for the next one."""
    digests = set()
    for spoiled in (False, True):
        fold, model = opened()
        tree = trees(model)["bank-0"]
        fold.fold(update("bank-0", tree))
        if spoiled:
            tree[:] = 0
        fold.advance(model, lambda: b"")
        digests.add(model.digest)
    assert len(digests) == 1

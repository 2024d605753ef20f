"""What trees that parties grow alone let people see (`engines.trees.owntrees`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.run.explaining import Row
from secureflow.kit.text import Text

_TWO: Final = 2
_TURNS: Final = "each round releases the tree of the party whose turn it is, in the roster's order"
_SORTED: Final = (
    "each round releases a tree of every contributor; their order does not tell whose each is, but "
    "each party knows its own, a round without a party lacks its tree, and columns or values that "
    "only one party has tell it as well"
)
_OF_TWO: Final = "each round releases a tree of both parties, and each of the two knows its own"


def own_tree_sights(spec: TrainingSpec) -> Iterator[Row]:
    """Yield what a model of single parties' trees shows, to whom, and why."""
    model = spec.model
    if not isinstance(model, XgboostModel) or not model.own:
        return
    shown = Text(
        "single parties' trees: the splits that fit one party's rows best, and in each leaf what "
        "the labels of {least} or more rows of that party are on average",
        least=model.min_leaf_rows,
    )
    yield "whoever has the model", shown, _whose(spec, model)
    yield "enclave", "each party's tree, and whose it is, until the round is released", _FORM
    if model.mode == "cyclic":
        yield "enclave", "trees of parties whose turn it is not, which go unused", _NEXT


_FORM: Final = "it checks each tree's form, and cannot check how many rows a leaf has"
_NEXT: Final = "the next party's is taken where one is missing"


def _whose(spec: TrainingSpec, model: XgboostModel) -> str:
    if model.mode == "cyclic":
        return _TURNS
    return _OF_TWO if len(spec.roster) == _TWO else _SORTED

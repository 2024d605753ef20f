"""Contradictions in jobs whose trees parties grow alone (`bagging`, `cyclic`)."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.leavingrows import part_problem
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import LEAF_ROWS, MAX_LEVELS, XgboostModel
from secureflow.kit.text import Text

_WHERE = "model.mode"


def own_trees_problem(spec: TrainingSpec, model: XgboostModel) -> Problem | None:
    """Return why the mode of a job's trees cannot be, or None."""
    if not model.own:
        return _histogram_only(model)
    if traits_of(spec).masks:
        reason: str = "under masks only sums are opened, and a tree is no function of a sum"
        return _WHERE, reason, 'Use protection "sealed", or write `mode: histogram`.'
    if spec.privacy is not None:
        reason = "a party's tree is released as it is, and nothing noises it"
        return "privacy", reason, "Remove it, or write `mode: histogram`."
    if spec.plan.order is not None:
        # Leaves over rows that are known are equations: with enough trees every label follows.
        reason = "which rows a party's tree is grown on must stay secret"
        return "plan.order", reason, "Remove it."
    if spec.part_of is not None:
        return part_problem(spec)
    return _sizes(spec, model)


def _sizes(spec: TrainingSpec, model: XgboostModel) -> Problem | None:
    """Check how many rows a leaf has, and how many trees there are."""
    if model.min_node_rows != 1:
        reason = "parties count the rows of their own leaves"
        return "model.min_node_rows", reason, "Write min_leaf_rows."
    trees = spec.plan.rounds * model.each(len(spec.roster))
    if trees > MAX_LEVELS:
        reason = Text("{trees} trees are more than {most}", trees=trees, most=MAX_LEVELS)
        return "plan.rounds", reason, "Write fewer rounds: each adds a tree of every party."
    return None


def _histogram_only(model: XgboostModel) -> Problem | None:
    """Check that nothing is asked which only trees of one party have."""
    if model.subsample != 1.0:
        reason = "all rows are in the histograms of a tree"
        return "model.subsample", reason, "Remove it, or write `mode: bagging`."
    if model.min_leaf_rows != LEAF_ROWS:
        reason = "nobody knows the rows of a leaf that is grown from sums"
        return "model.min_leaf_rows", reason, "Write min_node_rows."
    return None

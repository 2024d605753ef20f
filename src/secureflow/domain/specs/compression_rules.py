"""Contradictions between a training job's compression and everything else in its spec."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.compression import Compression, TopK
from secureflow.domain.specs.families import BY_SUMS
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.strategies import name_of, sent_beside
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.kit.text import Text

_WHERE = "compression"
_REMOVE = "Remove it."


def compression_problem(spec: TrainingSpec) -> Problem | None:
    """Return why changes of the model cannot be compressed as the spec says, or None."""
    asked = spec.compression
    if asked is None:
        return None
    if spec.wire not in {None, "float32"}:
        reason: str = Text("{method} has a form of its own", method=asked.method)
        return "wire", reason, "Remove it, or the compression."
    return _family_rules(spec) or _beside_rules(spec) or _protection_rules(spec, asked)


def _family_rules(spec: TrainingSpec) -> Problem | None:
    family = spec.model.family
    if family == "rehearsal":
        return _WHERE, "a rehearsal's updates are the same number everywhere", _REMOVE
    if isinstance(spec.model, XgboostModel):
        return _WHERE, "histograms of trees are whole numbers", _REMOVE
    if family in BY_SUMS:
        return _WHERE, Text("the sums of {family} need float32", family=family), _REMOVE
    if isinstance(spec.model, BundleModel):
        reason = "what is left out is kept beside the trainer's state, and a bundle's is its own"
        return _WHERE, reason, "Remove it; `wire: float16` halves what a bundle sends."
    return None


def _beside_rules(spec: TrainingSpec) -> Problem | None:
    """Check what else a party sends, or is added to what it sends."""
    if spec.privacy is not None:
        reason: str = (
            "noise is measured for every value of a clipped change, and compression would leave "
            "values out, or add what was left out of an earlier one"
        )
        return _WHERE, reason, _REMOVE
    if sent_beside(spec.plan.strategy, 1):
        strategy = name_of(spec.plan.strategy)
        reason = Text("what {strategy} sends beside the change needs float32", strategy=strategy)
        return _WHERE, reason, _REMOVE
    return None


def _protection_rules(spec: TrainingSpec, asked: Compression) -> Problem | None:
    if not isinstance(asked, TopK):
        return None
    if traits_of(spec).masks:
        reason: str = (
            "masks hide values and not their places: each party's largest are others, and a set of "
            "places tells something of its rows"
        )
        return _WHERE, reason, 'Use int8, or protection "sealed".'
    if spec.plan.aggregation is not None:
        reason = Text(
            "{rule} compares single updates, and most values of one are left out",
            rule=spec.plan.aggregation.rule,
        )
        return _WHERE, reason, "Use int8, or leave the rule out."
    return None

"""Contradictions in the plan of a training job: what is held out, and what chooses by it."""

from __future__ import annotations

from secureflow.domain.specs.base import Problem
from secureflow.domain.specs.bundle_family import BundleModel
from secureflow.domain.specs.measured import MAX_CELLS, METRICS, Metric
from secureflow.domain.specs.split import HUNDREDTHS, KeySplit, is_share
from secureflow.domain.specs.targets import ClassesLabel, NumberLabel
from secureflow.domain.specs.training import TrainingSpec
from secureflow.kit.text import Text


def plan_problem(spec: TrainingSpec) -> Problem | None:
    """Return the first contradiction, or None."""
    return _split_rules(spec) or _choice_rules(spec) or _metric_rules(spec) or _order_rules(spec)


def _split_rules(spec: TrainingSpec) -> Problem | None:
    """Check a split by key."""
    split, share = spec.plan.split, spec.plan.validation
    if split is None:
        return None
    if split.folds is None and split.fold is not None:
        return "plan.split.folds", "it does not say how many folds there are", _FOLDS
    return _share_rules(share) if split.folds is None else _fold_rules(split, share)


def _fold_rules(split: KeySplit, share: float) -> Problem | None:
    folds, fold = split.folds or 0, split.fold
    if fold is None:
        return "plan.split.fold", "none of the folds is held out", _FOLDS
    if fold >= folds:
        reason = Text(
            "there is no fold {fold}: {folds} folds are counted from 0 to {last}",
            fold=fold,
            folds=folds,
            last=folds - 1,
        )
        return "plan.split.fold", reason, _FOLDS
    if not share:
        said = "it says that no row is held out, and plan.split that a fold is"
        return "plan.validation", said, "Leave it out: with folds it has no other use."
    return None


_FOLDS = "Write `split: {by: key, folds: 5, fold: 0}`: a job for each fold, counted from 0."


def _share_rules(share: float) -> Problem | None:
    if not share:
        reason = "no share of the keys is held out"
        return "plan.split", reason, "Write `plan: {validation: 0.1}`, or leave it out."
    if not is_share(share):
        near = max(1, round(share * HUNDREDTHS)) / HUNDREDTHS
        reason = "keys are held out in whole hundredths, so that no job can tell single ones apart"
        hint = Text("Write `plan: {{validation: {near:g}}}`.", near=near)
        return "plan.validation", reason, hint
    return None


def _choice_rules(spec: TrainingSpec) -> Problem | None:
    """Check what chooses a round by its figures: early stop, and the best model."""
    if spec.privacy is not None:
        return _unchosen(spec)
    if spec.plan.early_stop and not spec.plan.validation:
        return "plan.early_stop", "there is no validation share", "Set plan.validation above 0."
    if spec.plan.keep is None:
        return None
    if not spec.plan.validation:
        return "plan.keep", "there is no validation share", "Set plan.validation above 0."
    if spec.release.intermediate == "agents":
        reason = "only the last model is opened to the operator, and the best may be another"
        return "plan.keep", reason, 'Set release.intermediate to "operator", or remove it.'
    return None


def _unchosen(spec: TrainingSpec) -> Problem | None:
    """Refuse what would choose by figures that have no noise."""
    if spec.plan.early_stop is not None:
        reason = "when to stop would depend on each round's validation figures, without noise"
        return "plan.early_stop", reason, "Remove it: the number of rounds is fixed beforehand."
    if spec.plan.keep is not None:
        reason = "which model is best would depend on validation figures without noise"
        return "plan.keep", reason, "Remove it: the last model is released."
    return None


def _metric_rules(spec: TrainingSpec) -> Problem | None:
    """Check that the figure to choose by exists."""
    plan = spec.plan
    chooses = "early_stop" if plan.early_stop else "keep" if plan.keep else ""
    if plan.metric is None:
        if not chooses or not isinstance(spec.model, BundleModel) or "loss" in metrics_of(spec):
            return None
        hint = 'Add "loss" to model.sums, name another of them as plan.metric, or remove this.'
        return f"plan.{chooses}", "the code reports no sum `loss`", hint
    if not chooses:
        hint = "Write `plan: {keep: best}` or `plan: {early_stop: {patience: 3}}`, or remove it."
        return "plan.metric", "nothing chooses by it", hint
    known = metrics_of(spec)
    if plan.metric in known:
        return None
    reason = Text("the job's rounds are not measured by {metric}", metric=plan.metric)
    if not known:
        return "plan.metric", reason, "Remove it: this job has no figures to choose by."
    return "plan.metric", reason, Text("Choose by: {known}.", known=", ".join(known))


def _order_rules(spec: TrainingSpec) -> Problem | None:
    if spec.plan.order is not None and spec.privacy is not None:
        reason = "who is sampled under differential privacy must stay secret"
        return "plan.order", reason, "Remove it."
    return None


def metrics_of(spec: TrainingSpec) -> tuple[Metric, ...]:
    """Return the figures that a job's rounds are measured by, without differential privacy."""
    if isinstance(spec.model, BundleModel):
        return tuple(one for one in METRICS if one in spec.model.sums)
    label = None if spec.features is None else spec.features.label
    if label is None or spec.model.family == "rehearsal":
        return ("loss",) if spec.model.family == "kmeans" else ()
    if isinstance(label, ClassesLabel):
        found: tuple[Metric, ...] = ("loss", "accuracy", "balanced_accuracy")
        return (*found, "macro_f1") if len(label.classes) <= MAX_CELLS else found
    if isinstance(label, NumberLabel):
        return ("loss", "mse", "rmse", "mae", "r2")
    return ("loss", "accuracy", "auc")

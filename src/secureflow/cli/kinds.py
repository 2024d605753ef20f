"""Descriptions of the kinds of job for people who decide about data."""

from __future__ import annotations

from typing import Any, Final, Protocol

import typer

from secureflow.cli.bysteps import (
    model_in_words,
    prediction_in_words,
    recipe_in_words,
    start_in_words,
    told_by_steps,
)
from secureflow.cli.componentwords import output_in_words, step_in_words
from secureflow.cli.escaping import plain
from secureflow.cli.peerkinds import Cost, MpcText, PsiText
from secureflow.cli.texts import listed, said, t
from secureflow.domain.securitylabel import SecurityLabel
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.parts import settings_of
from secureflow.domain.specs.passes import searched
from secureflow.domain.specs.pipeline import PipelineSpec, PipelineStep
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.domain.specs.preparation import PreparationSpec
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.sweep import SweepSpec
from secureflow.domain.specs.timetable import TimetableSpec
from secureflow.domain.specs.training import ClassesLabel, NumberLabel, TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.evaluation.kind import EVALUATION_ENGINE
from secureflow.engines.kinds import PIPELINE_ENGINE, TIMETABLE_ENGINE
from secureflow.engines.prediction.kind import PREDICTION_ENGINE
from secureflow.engines.recipes.kind import PREPARATION_ENGINE
from secureflow.engines.run.kind import EngineKind, EngineKinds
from secureflow.engines.statistics.kind import STATISTICS_ENGINE
from secureflow.engines.sweep.kind import SWEEP_ENGINE
from secureflow.engines.sweep.settings import sets_of
from secureflow.engines.training.kind import TRAINING_ENGINE


class CliKind(Protocol):
    """One kind of job. `spec` arguments are always of this kind."""

    @property
    def engine(self) -> EngineKind:
        """The engines' part of the kind."""

    def task(self, spec: Any) -> str:
        """Return a short description of the computation."""

    def leaves(self, spec: Any) -> str:
        """Return what leaves the organisation, and in what form."""

    def label(self, spec: Any) -> SecurityLabel | None:
        """Return what the protocol among the parties gives; None if there is none."""

    def takes(self, spec: Any, rows: str) -> Cost:
        """Return the estimate of a job among parties, and which of its limits are below that.

        Both are empty of a job of which nothing is estimated.

        Args:
            spec: the job's.
            rows: how many rows this owner's dataset has, as it is described; empty of no such.
        """


class WithoutPeers:
    """What a kind has whose parties do not speak with one another."""

    def label(self, spec: Any) -> SecurityLabel | None:
        """See `CliKind.label`."""
        del spec
        return None

    def takes(self, spec: Any, rows: str) -> Cost:
        """See `CliKind.takes`."""
        del spec, rows
        return {}, ()


class TrainingText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = TRAINING_ENGINE

    def task(self, spec: TrainingSpec) -> str:
        """Return family, rounds, what is learnt unless the family alone says it, and the start."""
        told = self._learns(spec) + _sees(spec)
        if spec.resume is not None:
            start = start_in_words(spec.resume)
        elif spec.initial is not None:
            start = t("starts from uploaded weights {digest}", digest=spec.initial.model)
        else:
            return told
        return t("{told}; {start}", told=told, start=start)

    def _learns(self, spec: TrainingSpec) -> str:
        family, rounds = t(spec.model.family), spec.plan.rounds
        label = spec.features.label if spec.features else None
        if isinstance(label, ClassesLabel):
            return t(
                "training of {family}, {rounds} {rounds:round|rounds}: which of {count} classes "
                "{column} is",
                family=family, rounds=rounds, count=len(label.classes), column=plain(label.column),
            )  # fmt: skip
        if isinstance(label, NumberLabel):
            return t(
                "training of {family}, {rounds} {rounds:round|rounds}: the number {column}",
                family=family, rounds=rounds, column=plain(label.column),
            )  # fmt: skip
        return t(
            "training of {family}, {rounds} {rounds:round|rounds}", family=family, rounds=rounds
        )

    def leaves(self, spec: TrainingSpec) -> str:
        """Return the size of an update, how it is protected, and what leaves beside it."""
        told, plan = _update(spec), spec.plan
        if plan.contribution is not None:
            return t(
                "{told}; and once {rows} HELD-OUT ROWS WITH THEIR LABELS, sealed to the enclave",
                told=told, rows=plan.contribution.rows,
            )  # fmt: skip
        if plan.self_report is not None:
            return t(
                "{told}; and, past the masks, this party's number of rows and its losses", told=told
            )
        return told


def _update(spec: TrainingSpec) -> str:
    """Return the size of an update, and what of it becomes visible."""
    if isinstance(spec.model, XgboostModel):
        return _histograms(spec)
    size = {"count": f"{spec.parameters:,}"}
    if spec.plan.aggregation is not None:
        return t(
            "a round, an update of {count} numbers, sealed; only what {rule} makes of all updates "
            "leaves the enclave",
            **size, rule=spec.plan.aggregation.rule,
        )  # fmt: skip
    if not traits_of(spec).masks:
        return t(
            "a round, an update of {count} numbers, sealed; only the sum leaves the enclave",
            **size,
        )
    if not traits_of(spec).enclave:
        return t(
            "a round, an update of {count} numbers, masked; only the sum can be opened", **size
        )
    return t(
        "a round, an update of {count} numbers, masked and sealed; only the sum can be opened",
        **size,
    )


def _histograms(spec: TrainingSpec) -> str:
    """Return what leaves for trees, and who sees the sum of it."""
    if spec.own_trees:
        return _own_trees(spec)
    size = {"count": f"{spec.update_parameters:,}", "levels": f"{spec.planned_rounds:,}"}
    if traits_of(spec).masks:
        return t(
            "{levels} times histograms of {count} whole numbers, masked, each with this party's "
            "share of the noise; their noised total is opened to every member",
            **size,
        )
    if spec.privacy is None:
        return t(
            "{levels} times histograms of {count} whole numbers, sealed; only edges of bins, "
            "splits and leaves leave the enclave",
            **size,
        )
    return t(
        "{levels} times histograms of {count} whole numbers, sealed; edges of bins, splits and "
        "leaves leave the enclave, grown from sums to which it added noise",
        **size,
    )


def _own_trees(spec: TrainingSpec) -> str:
    """Return that trees of this party's rows alone are released, and whether it is told whose."""
    count = {"trees": f"{spec.own_trees:,}"}
    if isinstance(spec.model, XgboostModel) and spec.model.mode == "cyclic":
        return t(
            "up to {trees} times a tree grown on this party's rows alone, sealed; THE MODEL SHOWS "
            "THE TREES OF ITS TURNS AS THEY ARE, and their rounds tell that they are its own",
            **count,
        )
    return t(
        "up to {trees} times a tree grown on this party's rows alone, sealed; THE MODEL SHOWS IT "
        "AS IT IS among those of the others, without its name",
        **count,
    )


def _sees(spec: TrainingSpec) -> str:
    """Return which images, arrays and texts a model sees; a table's columns are listed anyway."""
    features, told = spec.features, ""
    if features is not None and features.recipe is not None:
        told = t("; ") + recipe_in_words(len(features.numeric), features.recipe.job)
    for kind, found in (
        ("images", features.images if features else None),
        ("arrays", features.arrays if features else None),
        ("texts", features.texts if features else None),
    ):
        if found:
            columns = listed(plain(one.column) for one in found)
            told += t("; ") + t("sees {kind} of {columns}", kind=t(kind), columns=columns)
    return told


class StatisticsText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = STATISTICS_ENGINE

    def task(self, spec: StatisticsSpec) -> str:
        """Return the queries."""
        asked_for = listed(
            f"{query.measure} {plain(query.column or '')}".rstrip()
            + (f" / {plain(query.by)}" if query.by else "")
            for query in spec.queries
        )
        return t("statistics: {queries}", queries=asked_for)

    def leaves(self, spec: StatisticsSpec) -> str:
        """Return that sums leave masked."""
        del spec
        return t("noised sums of each query, masked; only their total can be opened")


class PreparationText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = PREPARATION_ENGINE

    def task(self, spec: PreparationSpec) -> str:
        """Return the steps with their columns, in order."""
        steps = t("; ").join(
            t("{step} of {columns}", step=_named(step), columns=listed(map(plain, step.columns)))
            for step in spec.steps
        )
        rounds = spec.planned_rounds
        return t("preparation, {rounds} {rounds:round|rounds}: {steps}", rounds=rounds, steps=steps)

    def leaves(self, spec: PreparationSpec) -> str:
        """Return that sums leave masked, whether they hold noise, and what they close in on."""
        if spec.privacy is None:
            told = t("exact sums and counts of rows, masked; only their total can be opened")
            if not (columns := searched(spec)):
                return told
            single = t("they close in on single values of {columns}", columns=listed(
                map(plain, columns)))  # fmt: skip
            return told + t("; ") + single
        return t("noised sums and counts of rows, masked; only their total can be opened")


def _named(step: Any) -> str:
    """Return a step's name, and by what it is fitted where that decides what is released."""
    how = getattr(step, "by", None) or getattr(step, "of", None)
    return step_in_words(str(step.step), str(how or ""))


class EvaluationText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = EVALUATION_ENGINE

    def task(self, spec: EvaluationSpec) -> str:
        """Return which models are measured, on which rows, and whether parties are told apart."""
        models = listed(map(model_in_words, spec.models))
        told = t("evaluation of {models}", models=models)
        if (held := spec.held_out) is not None:
            rows = (
                t("on the rows of fold {fold} of {folds} by key", fold=held.fold, folds=held.folds)
                if held.folds
                else t("on {share:.0%} of the keys", share=held.share)
            )
            told = t("{told}; {start}", told=told, start=rows)
        if seen := sorted({p for one in spec.models for p in one.seen(spec.parties, held)}):
            learned = t(
                "the models may have learned from rows of {parties} that are measured",
                parties=listed(map(plain, seen)),
            )
            told = t("{told}; {start}", told=told, start=learned)
        if spec.per_party:
            own = t("figures of each party are released, of this one as well")
            told = t("{told}; {start}", told=told, start=own)
        return told

    def leaves(self, spec: EvaluationSpec) -> str:
        """Return that sums leave masked, and whether they hold noise."""
        if spec.per_party and spec.privacy is None:
            return t("exact counts of rows by score and label, masked; the total and this party's "
                     "own are opened")  # fmt: skip
        if spec.per_party:
            return t("noised counts of rows by score and label, masked; the total and this "
                     "party's own are opened")  # fmt: skip
        if spec.privacy is None:
            return t("exact counts of rows by score and label, masked; only their total can be "
                     "opened")  # fmt: skip
        return t("noised counts of rows by score and label, masked; only their total can be opened")


class PredictionText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = PREDICTION_ENGINE

    def task(self, spec: PredictionSpec) -> str:
        """Return which model is applied to every row, and which columns stand beside it."""
        told = prediction_in_words(spec.model)
        if spec.columns:
            columns = listed(map(plain, spec.columns))
            beside = t("beside it, in this agent's own file: {columns}", columns=columns)
            told = t("{told}; {start}", told=told, start=beside)
        return told

    def leaves(self, spec: PredictionSpec) -> str:
        """Return that nothing leaves but the word that this party is done, or to whom it goes."""
        if spec.deliver is not None:
            names = listed([t("the answers of every row"), *map(plain, spec.columns)])
            return t("{names}: A COPY GOES TO {to}, sealed to its key; nobody else can read it",
                     names=names, to=spec.deliver.to)  # fmt: skip
        return t("NOTHING OF THE ROWS: what is predicted stays in a file of this agent; others "
                 "learn that it is done, and the log gets a salted commitment")  # fmt: skip


class SweepText(WithoutPeers):
    """`CliKind`."""

    engine: Final[EngineKind] = SWEEP_ENGINE
    training: Final = TrainingText()

    def task(self, spec: SweepSpec) -> str:
        """Return the training, and on a line of its own what each point sets, none left out."""
        head = t(
            "sweep: {count} {count:job|jobs} one after the other, {rounds} {rounds:round|rounds} "
            "in all, of this training: {training}",
            count=len(spec.points), rounds=spec.planned_rounds,
            training=self.training.task(spec.training),
        )  # fmt: skip
        lines = (
            f"{number}. {settings_of(sets_of(spec, number)) or t('as it is')}"
            for number in range(1, len(spec.points) + 1)
        )
        return "\n".join((head, *lines))

    def leaves(self, spec: SweepSpec) -> str:
        """Return what leaves in each of the jobs."""
        return self.training.leaves(spec.training)


class TimetableText:
    """`CliKind`: a timetable is described by what it runs; when is said beside it.

    Args:
        kinds: of the jobs that a timetable may run.
    """

    engine: Final[EngineKind] = TIMETABLE_ENGINE

    def __init__(self, *kinds: CliKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def task(self, spec: TimetableSpec) -> str:
        """Return what a run computes."""
        return t("again and again: {task}", task=self._kinds[spec.job.kind].task(spec.job))

    def leaves(self, spec: TimetableSpec) -> str:
        """Return what leaves in each run."""
        leaves = self._kinds[spec.job.kind].leaves(spec.job)
        return t("in each run: {leaves}", leaves=leaves)

    def label(self, spec: TimetableSpec) -> SecurityLabel | None:
        """See `CliKind.label`."""
        return self._kinds[spec.job.kind].label(spec.job)

    def takes(self, spec: TimetableSpec, rows: str) -> Cost:
        """Return the estimate of one run."""
        return self._kinds[spec.job.kind].takes(spec.job, rows)


class PipelineText:
    """`CliKind`: a pipeline is described by every step, whole.

    Args:
        kinds: of the jobs that steps may be.
    """

    engine: Final[EngineKind] = PIPELINE_ENGINE

    def __init__(self, *kinds: CliKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}

    def task(self, spec: PipelineSpec) -> str:
        """Return each step on a line of its own, and what it takes of others."""
        head = t(
            "pipeline: {count} {count:job|jobs} one after the other, each tried at most {attempts} "
            "{attempts:time|times}", count=len(spec.steps), attempts=spec.attempts,
        )  # fmt: skip
        return "\n".join((head, *(self._step(at, one) for at, one in enumerate(spec.steps, 1))))

    def _step(self, at: int, step: PipelineStep) -> str:
        task = self._kinds[step.job.kind].task(told_by_steps(step))
        told = f"{at}. {step.id}: {task}"
        if step.when is not None:
            told = t("{told}; it runs only if {condition}, and is skipped otherwise",
                     told=told, condition=said(step.when.sentence))  # fmt: skip
        if not step.takes:
            return told
        taken = listed(
            t("{output} of {step}", output=output_in_words(edge.output), step=edge.step)
            for edge in step.takes
        )
        return t("{told}; it takes {taken}", told=told, taken=taken)

    def leaves(self, spec: PipelineSpec) -> str:
        """Return what leaves in each step."""
        lines = (f"{one.id}: {self._kinds[one.job.kind].leaves(one.job)}" for one in spec.steps)
        return "\n".join(lines)

    def label(self, spec: PipelineSpec) -> SecurityLabel | None:
        """Return the label of the first step whose parties compute with each other."""
        found = (self._kinds[one.job.kind].label(one.job) for one in spec.steps)
        return next((one for one in found if one is not None), None)

    def takes(self, spec: PipelineSpec, rows: str) -> Cost:
        """Return the estimate of the first step of which anything is estimated."""
        found = (self._kinds[one.job.kind].takes(one.job, rows) for one in spec.steps)
        return next((one for one in found if one[0]), ({}, ()))


class CliKinds:
    """A table of kinds by their names."""

    def __init__(self, *kinds: CliKind) -> None:
        self._kinds = {kind.engine.spec.name: kind for kind in kinds}
        self.specs = EngineKinds(*(kind.engine for kind in kinds)).specs

    def read(self, spec: Any) -> tuple[CliKind, JobSpec]:
        """Return a stored spec, and its kind.

        Raises:
            SecureFlowError: `invalid_spec`.
        """
        parsed = self.specs.parse(spec, stored=True)
        return self._kinds[parsed.kind], parsed


_ALONE: Final[tuple[CliKind, ...]] = (
    TrainingText(),
    StatisticsText(),
    PreparationText(),
    EvaluationText(),
    PredictionText(),
    MpcText(),
    PsiText(),
)
CLI_KINDS: Final = CliKinds(*_ALONE, SweepText(), TimetableText(*_ALONE), PipelineText(*_ALONE))


def given(context: typer.Context) -> CliKinds:
    """Return the kinds that the command line was started with (`cli.main.run`)."""
    return context.find_object(CliKinds) or CLI_KINDS

"""Federated training, top to bottom (docs/architecture.md, "A job is a script of effects").

consent → admission → [federated moments] → rounds of (train, close, release, record) until the
plan ends or the federated validation loss stops falling → final evaluation → model → report.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.roundparties import drawn_parties
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.messages import Released, ReleasedModel, ReleasedMoments
from secureflow.engines.run.protections import protection_of
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import Step
from secureflow.engines.run.run import Course, JobContext, Start, seconds_now
from secureflow.engines.script import Publish, Script, Tell
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.training.contributions import (
    collect_rows,
    contribution_sections,
    scores_in,
)
from secureflow.engines.training.disclosure import attacks, disclosure
from secureflow.engines.training.encodings import masked_plan, masked_round, masked_stages
from secureflow.engines.training.measures import figures
from secureflow.engines.training.models import initial_model_digest
from secureflow.engines.training.noising import metric_errors
from secureflow.engines.training.ownmodels import counted, own_section, own_sums, shared_sums
from secureflow.engines.training.private import noised_once, noises_metrics
from secureflow.engines.training.schedule import Kept, Stopping, turns
from secureflow.engines.training.sections import sections
from secureflow.engines.training.spending import epsilon_after, spending
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError


def federated_training(context: JobContext[TrainingSpec]) -> Script[dict[str, JSON]]:
    """Train one model with every party of the roster; return the report.

    Raises:
        SecureFlowError: why the job ended without a model; the parties were notified and the end is
            in the ledger.
    """
    course = Course(context, start=Start(_start_model(context.spec)))
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        raise


def _run(course: Course[TrainingSpec]) -> Script[dict[str, JSON]]:
    yield from begin(course, partial(_plans, course))
    initial = initial_model_digest(course.spec)
    kept = Kept[ReleasedModel](course.spec.plan.metric or "loss")
    history, last = yield from _train(course, initial, kept)
    return (yield from _finish(course, initial, history, last, kept))


def _plans(course: Course[TrainingSpec]) -> dict[str, MaskingPlan]:
    context = course.context
    return {
        stage: masked_plan(context.spec, context.job, context.digest, stage)
        for stage in masked_stages(context.spec)
    }


def _start_model(spec: TrainingSpec) -> ReleasedModel | None:
    """Return the model that the spec names as the start; an open model's address is its digest."""
    digest = spec.starts_from
    if not digest:
        return None
    return ReleasedModel(digest, digest, 4 * spec.start_parameters)


def _parents(spec: TrainingSpec) -> list[str]:
    """Return the model's ancestors: `JOB@ROUND` of a resumed job."""
    return [f"{spec.resume.job}@{spec.resume.round}"] if spec.resume else []


def _train(
    course: Course[TrainingSpec], initial: str, kept: Kept[ReleasedModel]
) -> Script[tuple[list[dict[str, JSON]], int]]:
    """Run moments and rounds; return the report of each of the plan's, and the last's number."""
    history: list[dict[str, JSON]] = []
    run_round = protection_of(course).run_round
    if course.spec.needs_moments:
        release = yield from run_round(course, Step(0, "moments"), initial)
        course.start.moments = ReleasedMoments(release.body["sums"], _public(release))
    if course.spec.plan.contribution is not None:
        yield from collect_rows(course, initial)
    stopping, began, last = Stopping(course.spec.plan), 0.0, 0
    metrics: dict[str, float] = {}
    for turn in turns(course.spec):
        last = turn.number
        if turn.begins:
            began = yield from seconds_now()
        before = course.start.model
        release = yield from run_round(course, _step(course, last), initial)
        _take_model(course, release)
        if turn.begins:
            metrics = summarise(course.spec, release.body["sums"])
            kept.offer(turn.round - 1, before, metrics, release.body["sums"])
        if turn.ends:
            took = round((yield from seconds_now()) - began, 3)
            history.append((yield from _report_round(course, turn.round, release, metrics, took)))
        if turn.begins and stopping.after(metrics):
            break
    return history, last


def _step(course: Course[TrainingSpec], number: int) -> Step:
    spec = course.spec
    asked = drawn_parties(spec, course.context.digest, number)
    return Step(number, "train", masked_round("train", number), noised_once(spec), asked)


def _take_model(course: Course[TrainingSpec], release: Released) -> None:
    body = release.body
    course.start.model = ReleasedModel(
        body["model"], body["artifact"], body["size"], _public(release), body.get("keys")
    )


def _public(release: Released) -> dict[str, JSON]:
    return release.pick(
        "round", "stage", "survivors", "model", "sums", "sums_digest", "signature", "spec"
    )


def summarise(spec: TrainingSpec, sums: list[float]) -> dict[str, float]:
    """Return the metrics of a release's sums (the weight comes first), rounded for reports."""
    return figures(spec, np.asarray(shared_sums(spec, sums)[1:], dtype=np.float64))


def own_figures(spec: TrainingSpec, sums: list[float], parties: int) -> dict[str, JSON] | None:
    """Return what an evaluation tells of the parties' own models; None where there are none.

    Args:
        spec: the job's.
        sums: that were released.
        parties: that were measured.
    """
    if not spec.own_models:
        return None
    gained, lost = counted(sums, parties)
    metrics = figures(spec, own_sums(spec, sums))
    return {"metrics": metrics, "gained": gained, "lost": lost, "parties": parties}


def own_sections(shared: dict[str, float], own: dict[str, JSON] | None) -> list[dict[str, JSON]]:
    """Return the report's section of them, if there are any."""
    if own is None:
        return []
    return [own_section(shared, own["metrics"], own["gained"], own["lost"])]


def _report_round(
    course: Course[TrainingSpec],
    number: int,
    release: Released,
    metrics: dict[str, float],
    took: float,
) -> Script[dict[str, JSON]]:
    row = {"round": number, **metrics}
    row |= {"round": number, "survivors": len(release.survivors), "seconds": took}
    accounting = course.context.accounting
    if accounting is not None:
        row["epsilon"] = epsilon_after(course.spec, accounting, number)
    data = {
        **row,
        "rounds": course.spec.plan.rounds,
        "stage": "train",
        "rows": dict(course.contributed.rows),
    }
    progress = {**metrics, "round": number, "rounds": course.spec.plan.rounds}
    yield Tell("round", {**data, "parties": release.survivors}, progress)
    return row


def _finish(
    course: Course[TrainingSpec],
    initial: str,
    history: list[dict[str, JSON]],
    number: int,
    kept: Kept[ReleasedModel],
) -> Script[dict[str, JSON]]:
    """Evaluate, record the end, have it cosigned, publish the model, and report."""
    run_round, last = protection_of(course).run_round, len(history)
    noised = noised_once(course.spec) and noises_metrics(course.spec)
    step = Step(number + 1, "evaluate", noised=noised)
    evaluation = yield from run_round(course, step, initial)
    metrics = summarise(course.spec, evaluation.body["sums"])
    sums = evaluation.body["sums"]
    kept.offer(last, course.start.model, metrics, sums)
    earlier = course.spec.plan.keep == "best" and 0 < kept.round < last
    others = {"last_metrics": metrics} if earlier else {}
    if earlier:
        course.start.model, metrics, sums = kept.model, kept.metrics, kept.sums
    model = course.start.model
    artifact = "" if earlier else evaluation.body.get("artifact")
    artifact = artifact or (model.artifact if model else "")
    digest = model and model.digest
    finished = int((yield from seconds_now()))
    scores = scores_in(course, evaluation)
    # Signed with the end: whose round's release the model must be.
    chosen = {"kept_round": kept.round or last} if course.spec.plan.keep == "best" else {}
    cosigners = yield from succeed(
        course, model=digest, metrics=metrics, rounds=last, **chosen, **scores
    )
    published = yield Publish(
        {
            "digest": digest or initial,
            "artifact": artifact,
            "family": course.spec.model.family,
            "metrics": metrics,
            "parents": _parents(course.spec),
            "card": {"moments": course.start.moments and course.start.moments.sums},
        }
    )
    errors = metric_errors(course.spec, evaluation.body["sums"], len(evaluation.survivors))
    report = _report(course, history, metrics, cosigners) | {"metrics_errors": errors}
    report |= {"finished": finished, "evaluation": _public(evaluation)}
    own = own_figures(course.spec, evaluation.body["sums"], len(evaluation.survivors))
    if own is not None:
        report["own_models"] = own
    told = sections(course.spec, shared_sums(course.spec, sums))
    told += own_sections(metrics, own) + contribution_sections(course, scores)
    if told:
        report["sections"] = told
    if course.spec.bundle is not None:
        report["code"] = dump(course.spec.bundle)
    report |= chosen | others | scores
    if course.spec.plan.metric is not None:
        report["chosen_by"] = course.spec.plan.metric
    report["model"] = {"digest": digest, "artifact": artifact} | {
        "id": published["model"],
        "version": published["version"],
    }
    return report


def _report(
    course: Course[TrainingSpec],
    history: list[dict[str, JSON]],
    metrics: dict[str, float],
    cosigners: list[str],
) -> dict[str, JSON]:
    context, spec, last = course.context, course.spec, len(history)
    return report_of(
        course,
        cosigners,
        rounds=last,
        stopped_early=last < spec.plan.rounds,
        metrics=metrics,
        history=history,
        privacy=spending(spec, context.accounting, last),
        disclosure=disclosure(spec, course.admission.tee),
        attacks=attacks(spec, course.admission.tee),
    )

"""Jobs: submit, watch, wait, report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.evaluation import Costs
from secureflow.domain.specs.evaluation_request import EvaluationRequest
from secureflow.domain.specs.families import BY_SUMS, FamilyModel
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.prediction import Delivery, Output
from secureflow.domain.specs.prediction_request import PredictionRequest
from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.specs.recipe import Recipe
from secureflow.domain.specs.request import JobRequest
from secureflow.domain.specs.statistics import StatisticsQuery
from secureflow.domain.specs.statistics_request import NoiseRequest, StatisticsRequest
from secureflow.domain.specs.summed import SummedNoise
from secureflow.domain.specs.sweep_request import SweepPart
from secureflow.domain.specs.training import Resume, TrainingPlan
from secureflow.domain.specs.training_request import TrainingRequest
from secureflow.domain.specs.tree_families import TREES
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Drain, Page, listing, operation, stream
from secureflow.sdk.events import Subscription
from secureflow.sdk.features import common_features, usual_model
from secureflow.sdk.objects import Job, JobSummary
from secureflow.sdk.outcomes import raise_if_stuck, raise_if_unsuccessful
from secureflow.sdk.queries import queries as parsed
from secureflow.sdk.questions import JobQuestion, JobQuestions
from secureflow.sdk.reportfiles import ReportFiles
from secureflow.sdk.reports import Report
from secureflow.sdk.scoring import code_predicts
from secureflow.sdk.tracking import LogTo, observer
from secureflow.sdk.views import DraftCheck, DryRun

AnyRequest = JobRequest | Mapping[str, Any]
"""A request of any kind, or its JSON, as in a job file: `kind` says which."""


class Jobs(ReportFiles[D_co]):
    """Computations of the caller's projects."""

    @operation
    def get(self, job: str) -> Call[Job]:
        """Return a job by id."""
        return verbs.get(f"/jobs/{job}", Job)

    @operation
    def submit(self, request: AnyRequest) -> Generator[Any, Any, Job]:
        """Submit a job; the owners' agents are asked for approval at once.

        Raises:
            SecureFlowError: `bundle_unusable` for a model that is to be applied to rows, and whose
                code has no `predict`; the server's error.
        """
        return (yield from _submitted(request))

    @operation
    def dry_run(self, request: AnyRequest, *, bundle: str = "", weights: str = "") -> Call[DryRun]:
        """Check a job and see its spec and digest without submitting it; nothing is created.

        Args:
            request: what would be submitted.
            bundle: digest of the code that it names, if that is to be uploaded only later.
            weights: the same of the weights that it starts from.
        """
        later = {name: one for name, one in (("bundle", bundle), ("weights", weights)) if one}
        made = verbs.post("/jobs/dry-run", _body(request), answers.value(DryRun))
        return replace(made, params=later)

    @operation
    def check_draft(self, draft: Mapping[str, Any]) -> Call[DraftCheck]:
        """Return everything that is wrong with a draft of a job, which may be half filled."""
        return verbs.post("/jobs/check-draft", dict(draft), answers.value(DraftCheck))

    @operation
    def train(
        self,
        project: str,
        datasets: Sequence[Dataset],
        label: str | None,
        positive: str | None = None,
        *,
        name: str = "training",
        purpose: str,
        leave_out: Collection[str] = (),
        model: FamilyModel | None = None,
        weight: str | None = None,
        plan: TrainingPlan | None = None,
        protection: ProtectionName = "sealed",
        privacy: Privacy | Mapping[str, Any] | None = None,
    ) -> Call[Job]:
        """Submit a training on the columns declared alike, without sensitive ones.

        Args:
            project: id of the project.
            datasets: one granted dataset per contributor.
            label: the target column: two classes with `positive`, else all its declared categories,
                or a number within its declared bounds; None for `KMeansModel`.
            positive: the label's value that counts as class 1.
            name: name of the job and of its model.
            purpose: what the model is for, as granted.
            leave_out: columns not to use.
            model: the family, e.g. `MlpModel("mlp", hidden=(32,))`; by default the linear one of
                the target: logistic regression, softmax, or linear regression.
            weight: the number column that says how much each row counts in training.
            plan: the schedule; under differential privacy the default measures nothing unless
                `privacy.metrics_noise` says with which noise.
            protection: what hides single updates: `secagg` by masks; `sealed` to the enclave, which
                protects only on TEE hardware; or both. Name it: see the README.
            privacy: differential privacy, e.g. `Privacy(delta=1e-6, epsilon=3, rows=30_000)`, with
                `noise="shared"` under masks, or the same as a mapping, as in a job file; numbers
                are then scaled to their declared bounds.

        Raises:
            SecureFlowError: as `common_features`, `invalid_request`, or the server's error.
        """
        chosen = privacy if isinstance(privacy, Privacy | None) else _privacy(privacy)
        family = "" if model is None else model.family
        bounded = chosen is not None or family in {*BY_SUMS, TREES}
        features = common_features(
            datasets, label, positive, leave_out, bounded=bounded, weight=weight
        )
        ids = tuple(dataset.id for dataset in datasets)
        unmeasured = chosen is not None and chosen.metrics_noise is None
        once = family in BY_SUMS and family != "kmeans"
        usual = TrainingPlan(rounds=1) if once else TrainingPlan()
        plan = plan or (replace(usual, validation=0.0) if unmeasured else usual)
        request = TrainingRequest(
            project, name, purpose, ids, features, model or usual_model(features),
            plan=plan, protection=protection, privacy=chosen,
        )  # fmt: skip
        return _submission(request)

    @operation
    def statistics(
        self,
        project: str,
        datasets: Sequence[Dataset],
        queries: Sequence[str | StatisticsQuery],
        *,
        epsilon: float,
        delta: float = 1e-6,
        name: str = "statistics",
        purpose: str,
    ) -> Call[Job]:
        """Query several owners' data, e.g. `mean:age:by=sex`, at a cost of ε for all queries.

        The answers, with intervals, are in the report. For other noise, and for dry runs, make a
        `StatisticsRequest`.
        """
        ids = tuple(dataset.id for dataset in datasets)
        noise = NoiseRequest(delta, epsilon=epsilon)
        asked = parsed(queries)
        return _submission(StatisticsRequest(project, name, purpose, ids, asked, noise))

    @operation
    def evaluate(
        self,
        project: str,
        models: Sequence[str],
        datasets: Sequence[Dataset],
        *,
        name: str = "evaluation",
        purpose: str,
        held_out: HeldOut | None = None,
        per_party: bool = False,
        baseline: str | None = None,
        costs: Costs | None = None,
        privacy: SummedNoise | None = None,
    ) -> Generator[Any, Any, Job]:
        """Submit an evaluation of released models on several owners' rows.

        A model of a bundle is evaluated alone, by the code that trained it.

        The figures are in the report: `report["evaluation"]["models"]`.

        Args:
            project: id of the project.
            models: ids of its models, all of one label.
            datasets: one granted dataset per contributor.
            name: name of the job.
            purpose: what the figures are for, as granted.
            held_out: only rows that the owners' keys hold out, e.g. `HeldOut(share=0.2)`; give the
                trainings the same `plan.split`, or figures are of rows that the models have seen.
            per_party: whether each party's own figures are released; every owner is asked.
            baseline: an earlier evaluation of these models, for the population's stability.
            costs: of wrong decisions, e.g. `Costs(false_positive=1, false_negative=5)`.
            privacy: noise, e.g. `SummedNoise(delta=1e-6, epsilon=1)`.

        Raises:
            SecureFlowError: the server's error.
        """
        ids = tuple(dataset.id for dataset in datasets)
        request = EvaluationRequest(
            project, name, purpose, ids, tuple(models), held_out, per_party, baseline, costs,
            privacy,
        )  # fmt: skip
        return (yield from _submitted(request))

    @operation
    def predict(
        self,
        project: str,
        model: str,
        datasets: Sequence[Dataset],
        *,
        name: str = "prediction",
        purpose: str,
        outputs: Sequence[Output] | None = None,
        columns: Sequence[str] = (),
        deliver_to: str | None = None,
        min_contributors: int | None = None,
    ) -> Generator[Any, Any, Job]:
        """Submit a prediction of several owners' rows: what is predicted stays with each owner.

        Each owner's agent writes one file, which its owner reads: `secureflow agent prediction`.
        The report tells which parties are done, and has each one's commitment to its file.

        Args:
            project: id of the project.
            model: id of one of its models.
            datasets: one granted dataset per contributor; the label's column need not be granted.
            name: name of the job.
            purpose: what the predictions are for, as granted.
            outputs: `predicted`, `probability`, `score`; by default the first two, if the model has
                probabilities.
            columns: columns of the owners that stand beside them, such as an id.
            deliver_to: an organisation whose dataset takes part and that gets a copy of every file,
                sealed to a key of its own; every owner is asked about that.
            min_contributors: how many parties must be done; by default all.

        Raises:
            SecureFlowError: the server's error.
        """
        ids = tuple(dataset.id for dataset in datasets)
        request = PredictionRequest(
            project, name, purpose, ids, model,
            outputs=None if outputs is None else tuple(outputs),
            columns=tuple(columns) or None,
            deliver=None if deliver_to is None else Delivery(deliver_to),
            min_contributors=min_contributors,
        )  # fmt: skip
        return (yield from _submitted(request))

    @operation
    def sweep(
        self,
        training: TrainingRequest | Mapping[str, Any],
        *,
        grid: Mapping[str, Sequence[Any]] | None = None,
        points: Sequence[Mapping[str, Any]] | None = None,
        random: Mapping[str, Any] | None = None,
        folds: int | None = None,
        metric: str | None = None,
        better: Literal["higher", "lower"] | None = None,
        stop_on_failure: bool = False,
        epsilon: float | None = None,
    ) -> Call[Job]:
        """Submit a training at many points: one approval, one job after the other, one table.

        The report has a row for each (`points`) and the best of them (`best`). For a dry run make a
        `SweepRequest`.

        Args:
            training: what `submit` would take; the points set some of its fields.
            grid: field → values; every combination is a point, e.g. `{"plan.learning_rate": [0.03,
                0.1], "model.hidden": [[16], [32, 16]]}`.
            points: the points themselves, each field → value.
            random: points that are drawn: `{"count": 12, "over": {"plan.learning_rate": {"log":
                [1e-3, 1]}}, "seed": 7}`; also `between`, `whole` and `among`.
            folds: each point once for each fold of `plan.split`.
            metric: the figure of the final evaluation by which one is the best; default: the loss.
            better: whether higher values of it are, if SecureFlow does not know it.
            stop_on_failure: whether the first job that fails ends the sweep.
            epsilon: upper bound on the cost of all points together.
        """
        asked = training if isinstance(training, Mapping) else _body(training)
        chosen = {
            "grid": grid and {name: list(values) for name, values in grid.items()},
            "list": points and [dict(one) for one in points],
            "random": random,
            "folds": folds,
            "metric": metric,
            "better": better,
            "stop_on_failure": stop_on_failure,
            "epsilon": epsilon,
        }
        part = dump(parse(SweepPart, chosen, "request"))
        return _submission({**asked, "kind": "sweep", "sweep": part})

    @stream
    def watch(
        self, job: str, after: int = 0, *, log_to: LogTo | None = None, log_model: bool = False
    ) -> Subscription:
        """Iterate over a job's events until it has ended; broken streams are resumed.

        Args:
            job: job id.
            after: the last event that is known already.
            log_to: where its figures are logged as they come: see `wait`.
            log_model: whether the released model is logged at the end.

        Raises:
            SecureFlowError: `missing_extra`, `not_logged`.
        """
        return Subscription(job, after, observer=observer(job, log_to, log_model=log_model))

    @operation
    def wait(
        self,
        job: str,
        timeout: float | None = None,
        *,
        on_pause: Callable[[Job], None] = lambda _: None,
        log_to: LogTo | None = None,
        log_model: bool = False,
    ) -> Generator[Any, Any, Job]:
        """Wait until the job has ended, at most `timeout` seconds, and return it.

        A job paused by a fault of the server's database or disk resumes by itself and is waited
        for; one that someone has to `resume` is not.

        Args:
            job: job id.
            timeout: seconds; None for as long as it takes.
            on_pause: called with the job when it is paused, whether or not it resumes by itself.
            log_to: where its figures are logged as they come: `"mlflow"`, `"tensorboard"`, a URI,
                a function of step and figures, or a `RunLog`: see `tracking`.
            log_model: whether the released model is logged at the end, with its card.

        Raises:
            SecureFlowError: `missing_extra`, `not_logged`; `timed_out`; the job continues.
                `job_paused` (details: cause), until someone resumes or cancels it.
            UnsuccessfulJobError: the job's own error if it failed, `cancelled` if it was cancelled.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        observed = observer(job, log_to, log_model=log_model)
        subscription = Subscription(job, deadline=deadline, stops=True, observer=observed)
        try:
            while True:
                yield Drain(subscription)
                found = yield from verbs.get(f"/jobs/{job}", Job)
                if not subscription.paused:
                    break
                if found.state == "paused":
                    on_pause(found)
                    raise_if_stuck(found)
                subscription.resume()
        finally:
            if observed is not None:
                observed.close()
        raise_if_unsuccessful(found)
        return found

    @operation
    def questions(self, job: str) -> Call[JobQuestions]:
        """Return what data owners ask about a job, and the answers."""
        return verbs.get(f"/jobs/{job}/questions", JobQuestions)

    @operation
    def answer(self, job: str, text: str, organisation: str = "") -> Call[JobQuestion]:
        """Answer the open question about a job; name who asked, if several did.

        Raises:
            SecureFlowError: `no_question`, `already_finished`, `forbidden`, `not_found`.
        """
        body = {"text": text, "organisation": organisation}
        return verbs.post(f"/jobs/{job}/answers", body, answers.value(JobQuestion))

    @operation
    def cancel(self, job: str) -> Call[Job]:
        """Cancel a job that has not ended."""
        return verbs.post(f"/jobs/{job}/cancel", {}, answers.value(Job))

    @operation
    def resume(self, job: str) -> Call[Job]:
        """Resume a paused job; refused if the server's script has changed in the meantime."""
        return verbs.post(f"/jobs/{job}/resume", {}, answers.value(Job))

    @operation
    def report(self, job: str) -> Call[Report]:
        """Return the report of an ended job: its JSON, with tables of rounds and answers."""
        return verbs.read_large(f"/jobs/{job}/report", answers.report, format="json")

    @operation
    def explain(self, job: str) -> Call[dict[str, Any]]:
        """Return who could see what of a job, ε so far, and which attacks its settings prevent."""
        return verbs.read(f"/jobs/{job}/explain", answers.document)

    @operation
    def recipe(self, job: str) -> Call[Recipe]:
        """Return what a preparation fitted, for `recipe_features` or `apply_recipe`.

        Raises:
            SecureFlowError: `no_recipe` for a job of another kind, `invalid_recipe`.
        """
        return verbs.read_large(f"/jobs/{job}/recipe", answers.recipe)

    @operation
    def bundle(self, job: str, *, anchors: bool = True) -> Call[dict[str, Any]]:
        """Return the job's audit bundle for `secureflow audit verify`.

        Args:
            job: job id.
            anchors: with what members say they anchored; older verifiers refuse such a bundle.
        """
        part = {} if anchors else {"anchors": "false"}
        return verbs.read_large(f"/jobs/{job}/bundle", answers.document, **part)

    @operation
    def released(self, job: str, number: int | None = None) -> Generator[Any, Any, Resume]:
        """Return the member `resume` of a job that goes on from a model of this one.

        Args:
            job: job id.
            number: the round; by default the one whose model the job ended with.

        Raises:
            SecureFlowError: `not_found` if that round released no model.
        """
        from secureflow.sdk.releases import release_of

        bundle = yield from verbs.read_large(f"/jobs/{job}/bundle", answers.document)
        return release_of(bundle, job, number)

    @listing
    def list(
        self, project: str = "", state: str = "", kind: str = "", submitter: str = "",
        text: str = "", since: int = 0, newest: bool = False,
    ) -> Call[Page[JobSummary]]:  # fmt: skip
        """Iterate over summaries of the jobs that the caller sees; `get` returns a full one.

        `text`: words in id, name or submitter; `since`: unix seconds; `newest` first, or oldest.
        """
        where = {"project": project, "state": state, "kind": kind, "submitter": submitter}
        order = {"since": since, "newest": int(newest)}
        more = {name: value for name, value in order.items() if value}
        return verbs.pages("/jobs", JobSummary, text=text, **where, **more)


def _submission(request: AnyRequest) -> Call[Job]:
    return verbs.post("/jobs", _body(request), answers.value(Job))


def _submitted(request: AnyRequest) -> Generator[Any, Any, Job]:
    """Submit a request, unless its code can be seen to lack what it is asked for."""
    body = _body(request)
    yield from code_predicts(body)
    return (yield from _submission(body))


def _body(request: AnyRequest) -> Mapping[str, Any]:
    if isinstance(request, Mapping):
        return request
    return {name: value for name, value in dump(request).items() if value is not None}


def _privacy(parts: Mapping[str, Any]) -> Privacy:
    return parse(Privacy, dict(parts), "request")

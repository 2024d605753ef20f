"""A prediction, top to bottom: consent → every party applies the model by itself → report.

There are no keys and no sum: a party answers once its file is on its disk and its leaf, which
commits to the file, is signed. So there is nothing to close, and what one party keeps does not
depend on who else is done. Where the spec names somebody who gets the files, they are handed over
sealed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from secureflow.domain.errors import name_of
from secureflow.domain.specs.prediction import PredictionSpec
from secureflow.engines.ledger.leaves import leaf_from_json
from secureflow.engines.prediction.disclosure import attacks, disclosure
from secureflow.engines.prediction.sections import sections
from secureflow.engines.prediction.stage import STAGE
from secureflow.engines.run.beginning import begin
from secureflow.engines.run.ending import abandon, report_of, succeed
from secureflow.engines.run.handing import forget_ciphertexts, hand_over
from secureflow.engines.run.kept import ask_to_keep
from secureflow.engines.run.messages import KeepReply, StoredModel
from secureflow.engines.run.renewing import renewing
from secureflow.engines.run.rounds import code_hint
from secureflow.engines.run.run import Course, JobContext, seconds_now
from secureflow.engines.script import Script, Tell
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.errors import SecureFlowError, reasons_of
from secureflow.kit.text import Text


def federated_prediction(context: JobContext[PredictionSpec]) -> Script[dict[str, JSON]]:
    """Have every party apply the job's model to its rows, and keep the result; return the report.

    Raises:
        SecureFlowError: why the job ended without one; the parties were notified and the end is in
            the ledger. What a party has kept by then, it keeps.
    """
    course = Course(context)
    try:
        return (yield from renewing(course, _run(course)))
    except SecureFlowError as error:
        yield from abandon(course, error)
        if context.spec.deliver is not None:
            yield from forget_ciphertexts(course)
        raise


def _run(course: Course[PredictionSpec]) -> Script[dict[str, JSON]]:
    spec = course.spec
    yield from begin(course, dict)
    began = yield from seconds_now()
    model = StoredModel(spec.model.digest, spec.model.digest, spec.model.bytes)
    answers = yield from ask_to_keep(course, STAGE, model)
    finished = yield from seconds_now()
    if len(answers.replies) < spec.min_contributors:
        raise _incomplete(course, answers.replies, answers.failures)
    parties = sorted(answers.replies)
    delivered = yield from _delivered(course, parties)
    row: dict[str, Any] = {"round": 1, "survivors": len(parties)}
    row["seconds"] = round(finished - began, 3)
    told = {**row, "rounds": 1, "stage": STAGE, "model": spec.model.digest, "parties": parties}
    yield Tell("round", told, {"round": 1, "rounds": 1})
    prediction = {**_prediction(spec, answers.replies), **delivered}
    outcome = digest(prediction)
    ended = yield from seconds_now()
    cosigners = yield from succeed(course, prediction=outcome, rounds=1)
    return report_of(
        course,
        cosigners,
        rounds=1,
        history=[row],
        prediction={"digest": outcome, **prediction},
        sections=sections(prediction),
        survivors=parties,
        privacy=None,
        disclosure=disclosure(spec),
        attacks=attacks(spec),
        finished=int(ended),
    )


def _prediction(spec: PredictionSpec, replies: Mapping[str, KeepReply]) -> dict[str, JSON]:
    """Return what was applied, and each party's leaf with its commitment to the file."""
    model = spec.model
    leaves = {party: leaf_from_json(reply.leaf) for party, reply in sorted(replies.items())}
    return {
        **model.told,
        **{"outputs": list(spec.outputs), "columns": list(spec.columns)},
        "kept": {
            party: {"leaf": one.hash(), "commitment": one.leaf.commitment}
            for party, one in leaves.items()
        },
    }


def _delivered(course: Course[PredictionSpec], parties: list[str]) -> Script[dict[str, JSON]]:
    """Hand the parties' files over to whom the spec says; return whose have arrived.

    Raises:
        SecureFlowError: too few have.
    """
    deliver = course.spec.deliver
    if deliver is None:
        return {}
    senders = [party for party in parties if party != deliver.to]
    found = yield from hand_over(course, STAGE, deliver.to, senders)
    arrived = [*found.parties, *(party for party in parties if party == deliver.to)]
    if len(arrived) < course.spec.min_contributors:
        raise _incomplete(course, arrived, found.failures)
    return {"delivered": {"to": deliver.to, "parties": list(found.parties)}}


def _incomplete(
    course: Course[PredictionSpec], done: Collection[str], failures: Mapping[str, JSON]
) -> SecureFlowError:
    """Return the error of a prediction that too few parties have finished."""
    return SecureFlowError(
        name_of(failures.values(), "too_few_contributors"),
        Text(
            "{count} of {parties} parties have predicted their rows, and {least} must. {reasons}",
            count=len(done),
            parties=len(course.parties),
            least=course.spec.min_contributors,
            reasons=reasons_of(failures),
        ),
        code_hint(course, failures)
        or "Those that have, keep their files. Correct what is named, and submit the job again.",
        {"parties": sorted(failures), "failures": dict(failures)},
    )

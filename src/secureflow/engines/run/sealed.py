"""One sealed round: upload, close, release. Nothing opens without a closing certificate.

1. every party of the roster uploads its sealed update directly to the enclave; if the enclave draws
   noise, it returns what binds the contributors' seeds, and the votes fix it;
2. the contributor set is put to the vote: t signatures of the spec's roster make the certificate;
3. the enclave releases on the certificate; the round and its certificate go into the ledger.
A restarted enclave honours an existing certificate: the certified parties seal the same updates to
its new key; if one cannot, it is named in `round_lost`. A round is never repeated with another set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.closing import (
    Certificate,
    Question,
    Vote,
    certify,
    round_context,
    verify_certificate,
)
from secureflow.engines.run.admission import admit
from secureflow.engines.run.asking import Answers, ask, ask_one
from secureflow.engines.run.messages import (
    CloseRequest,
    Released,
    ReleaseRequest,
    RollRequest,
    TrainReply,
    TrainRequest,
    UplinkAddress,
)
from secureflow.engines.run.protection import Plans
from secureflow.engines.run.rounds import Step, record_round, too_few_contributors
from secureflow.engines.run.run import (
    READMISSION_CODES,
    Course,
    enclave_lost,
    take_cosignatures,
    witness_first_votes,
)
from secureflow.engines.script import ENCLAVE, Script
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


@dataclass(frozen=True)
class _Folded:
    """The parties whose updates the enclave holds, and the binding of their seeds."""

    survivors: tuple[str, ...]
    noise: str = ""


def run_sealed_round(course: Course[Any], step: Step, initial: str) -> Script[Released]:
    """Run one round to its release.

    Args:
        course: the running job.
        step: the round.
        initial: hex BLAKE3 of the spec's initial model, for rounds before any release.

    Returns:
        The enclave's release: `{round, stage, survivors, model, sums, signature, artifact, …}`.
    """
    while True:
        replies, failures = yield from _collect(course, step)
        folded = yield from _survivors(course, step, replies, failures)
        if folded is not None:
            break
        yield from readmit(course)
    certificate = yield from _close(course, step, folded, initial)
    release = yield from _release(course, step, certificate)
    yield from _record_round(course, step, release, certificate, replies)
    return release


def _train_request(course: Course[Any], step: Step) -> TrainRequest:
    return TrainRequest(
        **course.named,
        **step.named,
        generation=course.admission.generation,
        model=course.start.model,
        moments=course.start.moments,
        head=course.ledger.note,
        uplink=UplinkAddress(course.admission.uplink),
    )


def _collect(
    course: Course[Any], step: Step
) -> Script[tuple[dict[str, TrainReply], dict[str, JSON]]]:
    """Ask for updates until all that can come have reached one and the same enclave."""
    while True:
        request = _train_request(course, step)
        answers = yield from ask(step.asks(course), request, need=0, patience=course.patience)
        replies, failures = answers.replies, answers.failures
        if not enclave_lost(course, answers):
            break
        yield from readmit(course)
    course.contributed.replies = replies
    if len(replies) < course.threshold:
        course.drop(step.number, step.stage, failures)
        raise too_few_contributors(course, step, failures)
    take_cosignatures(course, replies)
    return replies, failures


def _survivors(
    course: Course[Any],
    step: Step,
    replies: Mapping[str, TrainReply],
    failures: Mapping[str, JSON],
) -> Script[_Folded | None]:
    """Return what the enclave holds; freeze the round if a party is missing, or for noise.

    None if it was restarted and its noise is unknown: nobody has voted, so all parties seal to the
    new one.
    """
    if not failures and not step.noised:
        return _Folded(tuple(sorted(replies)))
    course.drop(step.number, step.stage, failures)
    request = RollRequest(job=course.context.job, **step.named)
    try:
        rolled = yield from ask_one(ENCLAVE, request, patience=course.patience)
    except SecureFlowError as error:
        if error.code not in READMISSION_CODES:
            raise
        # It was restarted: the release below notices and asks the certified set to seal again.
        return None if step.noised else _Folded(tuple(sorted(replies)))
    folded = tuple(sorted(rolled.folded))
    if len(folded) < course.threshold:
        raise too_few_contributors(course, step, failures)
    return _Folded(folded, rolled.noise if step.noised else "")


def _close(course: Course[Any], step: Step, folded: _Folded, initial: str) -> Script[Certificate]:
    survivors = folded.survivors
    model = course.start.model.digest if course.start.model else initial
    context = round_context(
        course.context.job, step.number, step.stage,
        spec=course.context.digest, model=model, roster=course.parties, noise=folded.noise,
    )  # fmt: skip
    dead = tuple(sorted(set(course.parties) - set(survivors)))
    question = Question(course.context.job, step.number, step.stage, context, survivors, dead)
    yield from witness_first_votes(course, survivors)
    request = CloseRequest(
        digest=course.context.digest,
        **question.as_json(),
        cosigned=course.ledger.cosigned,
        noise=folded.noise,
    )
    answers = yield from ask(survivors, request, need=course.threshold, patience=course.patience)
    course.drop(step.number, step.stage, answers.failures)
    votes = []
    for party, reply in answers.replies.items():
        try:
            vote = Vote.from_json(reply.vote)
        except SecureFlowError:
            continue  # a malformed vote does not count
        holds = vote.voter == party and vote.holds_under(course.spec.keys[party])
        if vote.question == question and holds:
            votes.append(vote)
    certificate = certify(votes)
    verify_certificate(certificate, course.spec.keys, course.threshold)
    return certificate


def _release(course: Course[Any], step: Step, certificate: Certificate) -> Script[Released]:
    request = ReleaseRequest(
        job=course.context.job,
        **step.named,
        certificate=certificate.as_json(),
    )
    survivors = certificate.survivors

    def train() -> Script[Answers[TrainReply]]:
        again = _train_request(course, step)
        return ask(survivors, again, need=0, patience=course.patience)

    def seal_again() -> Script[None]:
        failures = yield from bring_again(course, survivors, train)
        if failures:
            raise _round_lost(course, step, failures)

    return (yield from released(course, request, seal_again))


def _record_round(
    course: Course[Any],
    step: Step,
    release: Released,
    certificate: Certificate,
    replies: Mapping[str, TrainReply],
) -> Script[None]:
    for party in certificate.survivors:
        rows = (replies[party].rows if party in replies else 0) or 0
        course.contributed.rows[party] = max(course.contributed.rows.get(party, 0), rows)
    shown = release.pick("survivors", "model", "sums_digest", "signature")
    yield from record_round(course, step, shown, certificate, replies)


def readmit(course: Course[Any]) -> Script[None]:
    """Have all parties admit a new enclave in the middle of a round."""
    yield from admit(course, course.parties, need=course.threshold)


def released(
    course: Course[Any], request: ReleaseRequest, bring_back: Callable[[], Script[None]]
) -> Script[Released]:
    """Request the release of a certified round from the enclave, again each time it is lost.

    Args:
        course: the running job.
        request: the release request.
        bring_back: brings the certified contributions to a new enclave, or raises.
    """
    while True:
        try:
            return (yield from ask_one(ENCLAVE, request, patience=course.patience))
        except SecureFlowError as error:
            if error.code not in READMISSION_CODES:
                raise
            yield from bring_back()


def bring_again(
    course: Course[Any], survivors: Sequence[str], again: Callable[[], Script[Answers[Any]]]
) -> Script[dict[str, JSON]]:
    """Bring exactly the certified contributions to a new enclave.

    Args:
        course: the running job.
        survivors: the certified parties.
        again: sends the request; it names the enclave's generation, so it is made after admission.

    Returns:
        Party → error of those that cannot; the round is lost unless this is empty.
    """
    while True:
        yield from admit(course, survivors, need=len(survivors), only=True)
        answers = yield from again()
        if not answers.failures or not enclave_lost(course, answers):
            return answers.failures


def _round_lost(course: Course[Any], step: Step, failures: Mapping[str, Any]) -> SecureFlowError:
    names = ", ".join(sorted(failures))
    return SecureFlowError(
        "round_lost",
        Text(
            "Round {number} ({stage}) was certified and its enclave lost; {names} cannot "
            "seal the update again.",
            number=step.number,
            stage=step.stage,
            names=names,
        ),
        Text(
            "Submit a new job from the last released round: --from {job}@{most}; it needs"
            " new approvals.",
            job=course.context.job,
            most=max(0, step.number - 1),
        ),
        {"parties": sorted(failures), "failures": dict(failures)},
    )


class Sealed:
    """`protection.Protection`."""

    name: Final = "sealed"
    adder: Final = ENCLAVE
    hides: Final = "updates are sealed to the enclave, past the server"
    wire: Final = "TLS 1.3 and HPKE seals"
    verbs: Final = frozenset({"challenge", "admit", "train", "close"})

    def enclave_sees(self, *, noised: bool) -> tuple[str, str]:
        """Return that the enclave sees single updates."""
        if noised:
            return "single updates, noised by their party", "each party noises its own"
        return "single updates, in memory, while it folds them", "it must add them up"

    def begin(self, course: Course[Any], plans: Plans) -> Script[None]:
        """Have the enclave admitted; nothing is masked."""
        del plans
        yield from admit(course, course.parties, need=course.threshold)

    def run_round(self, course: Course[Any], step: Step, initial: str) -> Script[Released]:
        """Run one sealed round to its release."""
        return run_sealed_round(course, step, initial)

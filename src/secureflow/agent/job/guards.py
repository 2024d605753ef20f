"""The refusals of an agent before it computes: pure rules over its own record and foreign claims.

Each rule stops one possible attack of a malicious centre (docs/threat-model.md, "Attacks and their
tests"); the tests in tests/security name them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import AdmittedEnclave, JobRecord, RoundRecord
from secureflow.agent.record.restored import forgotten
from secureflow.domain.charter import Charter
from secureflow.domain.quorum import quorum_of
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import traits_of
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.run.messages import MaskRequest, TrainRequest
from secureflow.engines.run.protections import PROTECTIONS
from secureflow.engines.sealing import RoundRelease, verify_release
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_verb(spec: JobSpec, job: str, verb: str) -> None:
    """Refuse a verb that does not belong to the approved protection.

    So no update leaves unmasked if it was to be masked, and nobody uses an enclave in a job
    without one.
    without one.

    Raises:
        SecureFlowError: `protection_unsupported`.
    """
    if verb not in PROTECTIONS[spec.protection].verbs:
        raise _other_protection(spec, job, Text("{verb!r} is not part of it", verb=verb))


def check_sealed_too(spec: JobSpec, request: MaskRequest) -> None:
    """Refuse to send the centre a masked vector that was approved to be sealed as well.

    Raises:
        SecureFlowError: `protection_unsupported`.
    """
    if traits_of(spec).enclave and (request.generation is None or request.uplink is None):
        raise _other_protection(spec, request.job, "no vector may leave unsealed")


def check_step(rounds: range, request: TrainRequest | MaskRequest) -> None:
    """Refuse a step that is not in the approved plan; with masks no enclave counts the steps.

    Args:
        rounds: the rounds of the request's stage in the approved plan.
        request: the request.

    Raises:
        SecureFlowError: `stale_round`.
    """
    if request.round not in rounds:
        raise SecureFlowError(
            "stale_round",
            Text(
                "The approved plan of {job} has no round {round} ({stage}).",
                job=request.job,
                round=request.round,
                stage=request.stage,
            ),
            "The agent computes only what was approved; more rounds need another job.",
        )


def check_approved(record: JobRecord | None, job: str, digest: str, now: int) -> JobRecord:
    """Return the approved job, if the request names exactly what was approved.

    Raises:
        SecureFlowError: `not_approved`, `spec_digest_mismatch`, `approval_expired`,
            `job_finished`; `too_early` before the time that was approved, less the difference that
            clocks may have.
    """
    if record is None:
        raise SecureFlowError(
            "not_approved",
            Text("This organisation has not approved job {job}.", job=job),
            "The centre must ask for consent first.",
        )
    if record.digest != digest and not forgotten(record):
        raise SecureFlowError(
            "spec_digest_mismatch",
            Text(
                "Job {job} was approved with spec {approved}, not {digest}.",
                job=job,
                approved=record.digest,
                digest=digest[:64],
            ),
            "An approval covers one spec; a changed spec is another job.",
            {"approved": record.digest, "named": digest},
        )
    check_going(record)
    if record.outcome:
        raise job_finished(record)
    if now >= record.expires:
        raise SecureFlowError(
            "approval_expired",
            Text("The approval of job {job} has expired.", job=job),
            "Submit the job again; consent is asked for again.",
        )
    check_not_early(job, record.spec.get("not_before"), now)
    return record


def check_not_early(job: str, not_before: object, now: int) -> None:
    """Refuse a job before its time, less the difference that clocks may have (`too_early`)."""
    if isinstance(not_before, int) and now + MAX_SKEW < not_before:
        raise SecureFlowError(
            "too_early",
            Text("Job {job} was approved to start later than this.", job=job),
            "The centre must wait for the time that the approved spec names.",
            {"not_before": not_before},
        )


def check_not_late(job: str, not_after: object, now: int) -> None:
    """Refuse to begin a run after its window, and the difference of clocks (`too_late`)."""
    if isinstance(not_after, int) and now - MAX_SKEW > not_after:
        raise SecureFlowError(
            "too_late",
            Text("Job {job} was approved to begin earlier than this.", job=job),
            "The run is left out; the next one of its timetable begins at its own time.",
            {"not_after": not_after},
        )


def job_finished(record: JobRecord) -> SecureFlowError:
    """Return the error of a job that has ended here."""
    reason = Text(
        "Job {job} has ended at this agent: {outcome}.", job=record.job, outcome=record.outcome
    )
    return SecureFlowError("job_finished", reason, "Submit a new job.")


def check_admission(
    admissions: Sequence[AdmittedEnclave], generation: int, now: int
) -> AdmittedEnclave:
    """Return the verdict on the newest enclave, if the request means it and it is still valid.

    Raises:
        SecureFlowError: `not_admitted`, `attestation_expired`.
    """
    newest = max(admissions, key=lambda one: one.generation, default=None)
    if newest is None or newest.generation != generation:
        raise SecureFlowError(
            "not_admitted",
            Text(
                "This agent has not verified the enclave of generation {generation}.",
                generation=generation,
            ),
            "The centre must provide fresh evidence first.",
            {"verified": newest.generation if newest else None},
        )
    if now >= newest.expires:
        raise SecureFlowError(
            "attestation_expired",
            Text(
                "The verdict on the enclave of generation {generation} has expired.",
                generation=generation,
            ),
            "The centre must provide fresh evidence.",
        )
    return newest


def check_position(
    known: RoundRecord | None,
    newest: RoundRecord | None,
    request: TrainRequest | MaskRequest,
    model: str,
    place: Callable[[str], int],
    follows: Callable[[RoundRecord, TrainRequest | MaskRequest], None],
) -> RoundRecord | None:
    """Return the record if this very update was made before; rounds only advance, and end.

    Args:
        known: the record of this round and stage, if there is one.
        newest: the record of the last computed round.
        request: the request.
        model: hex digest of the verified model to start from.
        place: the position of a stage among those of its kind.
        follows: further checks of the kind, given the newest round and the request.

    Raises:
        SecureFlowError: `update_already_sealed` for the same round on another model,
            `stale_round`.
    """
    if known is not None and known.model != model:
        raise SecureFlowError(
            "update_already_sealed",
            Text(
                "Round {round} ({stage}) of {job} was computed from another model.",
                round=request.round,
                stage=request.stage,
                job=request.job,
            ),
            "A round has one model and one update of each party: the centre shows two models.",
            {"trained": known.model, "shown": model},
        )
    if known is not None and known == newest:
        return known
    if newest is not None:
        follows(newest, request)
        _check_later(newest, request, place)
    return None


def _check_later(
    newest: RoundRecord, request: TrainRequest | MaskRequest, place: Callable[[str], int]
) -> None:
    """Refuse a round that does not come after the last computed one."""
    asked = request.round, place(request.stage)
    if asked <= (newest.round, place(newest.stage)):
        raise SecureFlowError(
            "stale_round",
            Text(
                "Round {round} ({stage}) of {job} comes before round {newest_round} "
                "({newest_stage}), which this agent has computed.",
                round=request.round,
                stage=request.stage,
                job=request.job,
                newest_round=newest.round,
                newest_stage=newest.stage,
            ),
            "An old round is never computed or sent again.",
            {"asked": request.round, "newest": newest.round},
        )


def check_same_contributors(
    model: str, survivors: Sequence[str], earlier: Mapping[int, Sequence[str]], *, may_repeat: bool
) -> None:
    """Refuse a vote that would open one model's updates over two sets of contributors.

    From one model a party makes one update, noise included, in whatever round. Two sums of the same
    updates over sets that differ in one party differ by that party's update and its own share of
    the noise alone. t parties voted for the earlier set, so t others for this one do not exist.

    Args:
        model: hex digest of the model that the round starts from.
        survivors: the parties whose sum is to be opened now.
        earlier: the sets that this party voted for in other rounds from the same model.
        may_repeat: whether an honest run can lead here, as when training has converged.

    Raises:
        SecureFlowError: `model_repeated`.
    """
    for number, voted in earlier.items():
        if set(voted) != set(survivors):
            raise SecureFlowError(
                "model_repeated",
                Text(
                    "Round {number} also started from model {model}…, and was opened for "
                    "other contributors.",
                    number=number,
                    model=model[:16],
                ),
                "Nothing was revealed: the difference of the two sums would show single updates.",
                {"round": number, **({"innocent": True} if may_repeat else {})},
            )


def check_cosigned(
    note: str, record: RoundRecord, spec: JobSpec, charter: Charter, *, first: bool
) -> None:
    """Refuse to vote under a head that a quorum of witnesses has not cosigned.

    This party's first vote in the job, in whatever round and stage, needs ⌊2M/3⌋+1 of the charter's
    M members: a centre cannot get by with less by skipping a stage. Later votes need ⌊2N/3⌋+1 of
    the roster's N. So two groups cannot be shown two histories.

    Raises:
        SecureFlowError: `head_not_cosigned`, `ledger_rollback` for a head older than the round's.
    """
    parsed = parse_note(note)
    if parsed.checkpoint.size < record.head_size:
        raise SecureFlowError(
            "ledger_rollback",
            Text(
                "Round {round} began under a head of size {head_size}; it is asked to "
                "close under one of size {size}.",
                round=record.round,
                head_size=record.head_size,
                size=parsed.checkpoint.size,
            ),
            "The centre reuses old cosignatures: stop the job.",
        )
    pinned = charter.keys
    keys = pinned if first else {party: pinned[party] for party in spec.parties if party in pinned}
    found, needed = parsed.cosigners(keys), quorum_of(len(keys if first else spec.parties))
    if len(found) < needed:
        raise SecureFlowError(
            "head_not_cosigned",
            Text(
                "The head of round {round} is cosigned by {count} of the {parties}; "
                "{needed} are needed.",
                round=record.round,
                count=len(found),
                parties="charter" if first else "roster",
                needed=needed,
            ),
            "Bring the other agents online; if one refuses, compare heads with it.",
            {"found": sorted(found), "needed": needed},
        )


def released(
    value: object, job: str, spec: str, admissions: Sequence[AdmittedEnclave]
) -> RoundRelease:
    """Verify a release under the release key of any enclave that this agent verified for the job.

    A party that was absent when a generation was admitted cannot decide this: it accuses nobody.

    Raises:
        SecureFlowError: `release_malformed`, `unreleased_model`.
    """
    known = {one.generation for one in admissions}
    refusal = SecureFlowError(
        "unreleased_model",
        Text("No enclave that this agent verified released this result of {job}.", job=job),
        "Refuse it: the centre shows a model or sums that no attested enclave signed.",
        {"innocent": True} if len(known) < max(known, default=0) else {},
    )
    for admission in admissions:
        try:
            return verify_release(value, job=job, spec=spec, release_key=admission.release)
        except SecureFlowError as error:
            if error.code != "unreleased_model":
                raise
    raise refusal


def _other_protection(spec: JobSpec, job: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "protection_unsupported",
        Text(
            "Job {job} was approved with the protection {protection}: {reason}.",
            job=job,
            protection=spec.protection,
            reason=reason,
        ),
        "The centre must follow the spec that was approved.",
    )

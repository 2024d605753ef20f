"""What an agent refuses before it computes: pure rules over its own record and foreign claims.

Each rule stops one thing that a malicious centre could try (docs/threat-model.md, "Attacks and
their tests"); the tests in tests/security name them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secureflow.agent.record.records import AdmittedEnclave, JobRecord, RoundRecord
from secureflow.agent.record.restored import forgotten
from secureflow.domain.charter import Charter
from secureflow.domain.quorum import quorum_of
from secureflow.domain.specs.base import JobSpec
from secureflow.domain.specs.protections import traits_of
from secureflow.engines.ledger.notes import parse_note
from secureflow.engines.run.messages import (
    MaskRequest,
    TrainingStage,
    TrainRequest,
)
from secureflow.engines.run.protections import PROTECTIONS
from secureflow.engines.sealing import RoundRelease, verify_release
from secureflow.kit.errors import SecureFlowError


def check_verb(spec: JobSpec, job: str, verb: str) -> None:
    """Refuse what is no part of the protection that was approved.

    So no update leaves plain where it was to be masked, and nobody speaks with an enclave of a job
    without one.

    Raises:
        SecureFlowError: `protection_unsupported`.
    """
    if verb not in PROTECTIONS[spec.protection].verbs:
        raise _other_protection(spec, job, f"{verb!r} is not part of it")


def check_sealed_too(spec: JobSpec, request: MaskRequest) -> None:
    """Refuse to send a masked vector to the centre that was approved to be sealed as well.

    Raises:
        SecureFlowError: `protection_unsupported`.
    """
    if traits_of(spec).enclave and (request.generation is None or request.uplink is None):
        raise _other_protection(spec, request.job, "no vector may leave unsealed")


def check_step(rounds: range, request: TrainRequest | MaskRequest) -> None:
    """Refuse a step that the approved plan does not hold; under masks no enclave counts them.

    Args:
        rounds: those that the approved plan has of the request's stage.
        request: what is asked.

    Raises:
        SecureFlowError: `stale_round`.
    """
    if request.round not in rounds:
        raise SecureFlowError(
            "stale_round",
            f"The approved plan of {request.job} has no round {request.round} ({request.stage}).",
            "The agent computes only what was approved; more rounds need another job.",
        )


def check_no_model(request: TrainRequest | MaskRequest) -> None:
    """Refuse a model, means or moments shown with a statistics job: nothing depends on any.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if request.model is not None or request.moments is not None or _steps(request):
        raise SecureFlowError(
            "invalid_request",
            f"The statistics job {request.job} comes with a model, means or moments.",
            "It has none: the centre must follow the spec that was approved.",
        )


def _steps(request: TrainRequest | MaskRequest) -> Sequence[object]:
    return request.steps if isinstance(request, MaskRequest) else ()


def training_stage(request: TrainRequest | MaskRequest) -> TrainingStage:
    """Return the stage of a training job's request; `check_step` let no other pass."""
    if request.stage == "statistics":
        raise AssertionError
    return request.stage


def check_approved(record: JobRecord | None, job: str, digest: str, now: int) -> JobRecord:
    """Return the approved job, if the request names exactly what was approved.

    Raises:
        SecureFlowError: `not_approved`, `spec_digest_mismatch`, `approval_expired`,
            `job_finished`.
    """
    if record is None:
        raise SecureFlowError(
            "not_approved",
            f"This organisation has not approved job {job}.",
            "The centre must ask for consent first.",
        )
    if record.digest != digest and not forgotten(record):
        raise SecureFlowError(
            "spec_digest_mismatch",
            f"Job {job} was approved with spec {record.digest}, not {digest[:64]}.",
            "An approval covers one spec; a changed spec is another job.",
            {"approved": record.digest, "named": digest},
        )
    if record.outcome:
        raise job_finished(record)
    if now >= record.expires:
        raise SecureFlowError(
            "approval_expired",
            f"The approval of job {job} has expired.",
            "Submit the job again; consent is asked for again.",
        )
    return record


def job_finished(record: JobRecord) -> SecureFlowError:
    """Return the refusal of a job that has ended here."""
    reason = f"Job {record.job} has ended at this agent: {record.outcome}."
    return SecureFlowError("job_finished", reason, "Submit a new job.")


def check_admission(
    admissions: Sequence[AdmittedEnclave], generation: int, now: int
) -> AdmittedEnclave:
    """Return the verdict on the newest enclave, if the request means that one and it still holds.

    Raises:
        SecureFlowError: `not_admitted`, `attestation_expired`.
    """
    newest = max(admissions, key=lambda one: one.generation, default=None)
    if newest is None or newest.generation != generation:
        raise SecureFlowError(
            "not_admitted",
            f"This agent has not verified the enclave of generation {generation}.",
            "The centre must provide fresh evidence first.",
            {"verified": newest.generation if newest else None},
        )
    if now >= newest.expires:
        raise SecureFlowError(
            "attestation_expired",
            f"The verdict on the enclave of generation {generation} has expired.",
            "The centre must provide fresh evidence.",
        )
    return newest


def check_position(
    known: RoundRecord | None,
    newest: RoundRecord | None,
    request: TrainRequest | MaskRequest,
    model: str,
    place: Callable[[str], int],
) -> RoundRecord | None:
    """Return the record if this very update was made before; rounds only go forward, and end.

    Args:
        known: the record of this round and stage, if there is one.
        newest: the record of the round that was trained last.
        request: what is asked now.
        model: hex digest of the verified model to start from.
        place: where a stage stands among those of its kind.

    Raises:
        SecureFlowError: `update_already_sealed` for the same round on another model,
            `stale_round`.
    """
    if known is not None and known.model != model:
        raise SecureFlowError(
            "update_already_sealed",
            f"Round {request.round} ({request.stage}) of {request.job} was trained from another "
            "model.",
            "A round has one model and one update of each party: the centre shows two models.",
            {"trained": known.model, "shown": model},
        )
    if known is not None and known == newest:
        return known
    if newest is not None and newest.stage == "evaluate":
        raise SecureFlowError(
            "stale_round",
            f"{request.job} ended with the evaluation of round {newest.round}; there is no round "
            f"{request.round} ({request.stage}) after it.",
            "The evaluated model is the output. If rounds could follow, a centre could have any "
            "intermediate model opened by evaluating it.",
            {"asked": request.round, "newest": newest.round},
        )
    asked = request.round, place(request.stage)
    if newest is not None and asked <= (newest.round, place(newest.stage)):
        raise SecureFlowError(
            "stale_round",
            f"Round {request.round} ({request.stage}) of {request.job} comes before round "
            f"{newest.round} ({newest.stage}), which this agent has trained.",
            "An old round is never trained or sent again.",
            {"asked": request.round, "newest": newest.round},
        )
    return None


def check_one_set(
    model: str, survivors: Sequence[str], earlier: Mapping[int, Sequence[str]], *, innocent: bool
) -> None:
    """Refuse a vote by which one model's updates would open over two sets of contributors.

    From one model a party makes one update, noise and all, in whatever round. Two sums of the same
    updates over sets that differ in one party differ by that party's update and its own share of
    the noise alone. t parties voted for the earlier set, so t others for this one do not exist.

    Args:
        model: hex digest of the model that the round starts from.
        survivors: whose sum is to be opened now.
        earlier: the sets that this party voted for in other rounds from the same model.
        innocent: whether an honest course can come here, as where training has come to rest.

    Raises:
        SecureFlowError: `model_repeated`.
    """
    for number, voted in earlier.items():
        if set(voted) != set(survivors):
            raise SecureFlowError(
                "model_repeated",
                f"Round {number} also started from model {model[:16]}…, and was opened for other "
                "contributors.",
                "Nothing was revealed: the difference of the two sums would show single updates.",
                {"round": number, **({"innocent": True} if innocent else {})},
            )


def check_model(request: TrainRequest, initial: str, admissions: Sequence[AdmittedEnclave]) -> str:
    """Return the digest of the model to start from, if an attested enclave released it.

    The model of round n is the one that round n-1 released; only the first round starts from the
    spec's initial model.

    Raises:
        SecureFlowError: `unreleased_model`, `stale_round`.
    """
    model = request.model
    if model is None or model.release is None:
        first = request.round == 0 or (request.stage == "train" and request.round == 1)
        if not first or (model is not None and model.digest != initial):
            raise SecureFlowError(
                "unreleased_model",
                f"Round {request.round} ({request.stage}) comes with a model that no enclave "
                "released.",
                "Only the first round starts from the spec's initial model.",
            )
        return initial
    release = released(model.release, request.job, request.digest, admissions)
    if release.model != model.digest:
        raise SecureFlowError(
            "unreleased_model",
            f"The release is for model {release.model[:16]}…, not {model.digest[:16]}….",
            "Refuse it: the centre shows another model than the enclave signed.",
        )
    if (release.stage, release.round) != ("train", request.round - 1):
        raise SecureFlowError(
            "stale_round",
            f"Round {request.round} comes with the model of round {release.round} "
            f"({release.stage}).",
            f"It must start from what round {request.round - 1} released.",
        )
    return model.digest


def check_cosigned(
    note: str, record: RoundRecord, spec: JobSpec, charter: Charter, *, first: bool
) -> None:
    """Refuse to vote under a head that a quorum of witnesses has not cosigned.

    This party's first vote in the job, in whatever round and stage, needs ⌊2M/3⌋+1 of the charter's
    M members: a centre that leaves a stage out does not come by with less. Later votes need
    ⌊2N/3⌋+1 of the roster's N. So two groups cannot be shown two histories.

    Raises:
        SecureFlowError: `head_not_cosigned`, `ledger_rollback` for a head older than the round's.
    """
    parsed = parse_note(note)
    if parsed.checkpoint.size < record.head_size:
        raise SecureFlowError(
            "ledger_rollback",
            f"Round {record.round} began under a head of size {record.head_size}; it is asked to "
            f"close under one of size {parsed.checkpoint.size}.",
            "The centre reuses old cosignatures: stop the job.",
        )
    pinned = charter.keys
    keys = pinned if first else {party: pinned[party] for party in spec.parties if party in pinned}
    found, needed = parsed.cosigners(keys), quorum_of(len(keys if first else spec.parties))
    if len(found) < needed:
        raise SecureFlowError(
            "head_not_cosigned",
            f"The head of round {record.round} is cosigned by {len(found)} of the "
            f"{'charter' if first else 'roster'}; {needed} are needed.",
            "Bring the other agents online; if one refuses, compare heads with it.",
            {"found": sorted(found), "needed": needed},
        )


def released(
    value: object, job: str, spec: str, admissions: Sequence[AdmittedEnclave]
) -> RoundRelease:
    """Verify a release under the release key of any enclave that this agent verified for the job.

    A party that was away when a generation was admitted cannot tell: that accuses nobody.

    Raises:
        SecureFlowError: `release_malformed`, `unreleased_model`.
    """
    known = {one.generation for one in admissions}
    refusal = SecureFlowError(
        "unreleased_model",
        f"No enclave that this agent verified released this result of {job}.",
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
        f"Job {job} was approved with the protection {spec.protection}: {reason}.",
        "The centre must follow the spec that was approved.",
    )

"""A party signs the refusals that prove cheating: a ledger leaf of kind `accusation`.

The leaf names the refusal, the accused and the SHA-256 of the refused request; the request itself
is stored next to the record, as evidence. The leaf is sent with the refusal and, like every own
leaf, with later answers until the log is proven to hold it; a centre that omits it is detected. One
kind of refusal in a round makes one leaf, however often it is provoked. Once the party has ended
the job (`engines.ledger.ends`) it signs nothing more in it: then the evidence stays next to the
record.

The accused (`culprits`) are: the centre, which sent the request; the party whose *signature* is on
what is refused; both, if either can have caused it (a sealed share that does not open); this
organisation itself, if its own record was rolled back. A refusal that an honest run can cause
accuses nobody. What this organisation's worker says accuses nobody either, whatever it says; nor
does what the centre or an enclave answers while blobs and updates go their way. A success of a
pipeline without a step that is due here is refused without an accusation, because a record that was
restored lacks what was signed since; the job's bundle shows it to everybody.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from secureflow.agent.compute.worker_errors import WorkerError
from secureflow.agent.job.context import AgentContext
from secureflow.agent.record.records import JobRecord
from secureflow.engines.ledger.accused import ACCUSATION
from secureflow.kit.canonical import JSON, canonical_bytes, sha256
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger

ACCUSING: Final = frozenset(
    {
        "active_and_dead",
        "budget_rolled_back",
        "certificate_forged",
        "certificate_short",
        "dead_inconsistent",
        "fewer_than_three",
        "forged_key",
        "model_inconsistent",
        "model_repeated",
        "not_masked",
        "other_job",
        "other_roster",
        "own_key_replaced",
        "peer_statements_contradict",
        "protection_unsupported",
        "roster_below_threshold",
        "scores_forged",
        "second_context",
        "setup_changed",
        "share_unopenable",
        "signed_otherwise",
        "spec_digest_mismatch",
        "stale_key",
        "stale_round",
        "survivors_too_few",
        "survivors_undrawn",
        "survivors_unknown",
        "unknown_party",
        "unknown_setup",
        "unreleased_model",
        "update_already_sealed",
        "vote_already_cast",
        "vote_other_context",
        "voted_dead",
        "weak_key",
    }
)
"""Refusals that an honest run never causes."""
MAX_ACCUSATIONS: Final = 64
"""Per job. The centre chooses the rounds that it names and the size of a request: each would leave
a leaf and a file of evidence, and nobody needs the sixty-fifth."""
_SIGNED_BY_A_PARTY: Final = frozenset({"peer_statements_contradict", "setup_changed", "weak_key"})
_OWN_RECORD: Final = frozenset({"budget_rolled_back"})
_CENTRE: Final = "server"

_log = get_logger(__name__)


def culprits(error: SecureFlowError, own: str) -> tuple[str, ...]:
    """Return whom a refusal of the organisation `own` accuses; mostly nobody.

    An update of this party's own that differs from the earlier one, and a release of an enclave
    generation that this party missed, have the codes of attacks but are none (`innocent`).
    """
    if isinstance(error, WorkerError) or error.of_others:
        return ()
    if error.code not in ACCUSING or error.details.get("innocent"):
        return ()
    if error.code in _OWN_RECORD:
        return (own,)
    signer = str(error.details.get("signer", ""))
    if error.code in _SIGNED_BY_A_PARTY and signer:
        return (signer,)
    return (_CENTRE, signer) if signer else (_CENTRE,)


def accuse(
    context: AgentContext, job: JobRecord, verb: str, body: JSON, error: SecureFlowError
) -> None:
    """Sign an accusation if the refusal is one; attach it to the error, `details.accusation`."""
    against = culprits(error, context.party)
    if not against:
        return
    facts = {name: body.get(name) for name in ("round", "stage") if name in body}
    key = f"accusation/{job.job}/{error.code}/{facts.get('round')}/{facts.get('stage')}"
    store = context.store
    known = store.answer(key)
    if known is None:
        if store.count_answers(f"accusation/{job.job}/") >= MAX_ACCUSATIONS:
            return
        # Of two statements that contradict each other the request has only the second.
        evidence = canonical_bytes(error.details.get("statements", body))
        document = {
            "refused": verb,
            "code": error.code,
            "reason": error.message[:1000],
            "against": list(against),
            "evidence": sha256(evidence).hex(),
            **facts,
        }
        # Before the leaf that names it: on a full disk the accusation waits for a later attempt.
        keep_evidence(context.settings.evidence, document["evidence"], evidence)
        with store.transaction():
            known = {"leaf": ""}
            now = store.job(job.job)  # its current state: it may have ended meanwhile
            if now is not None and not now.outcome:
                leaf = context.witness.leaf(ACCUSATION, job.job, job.digest, document)
                known["leaf"] = leaf.hash
            store.keep_answer(key, job.job, known)
            store.note(context.clock(), "accused", job.job, code=error.code, **facts)
        _log.error("accusation", job=job.job, code=error.code, message=error.message)
    if known["leaf"]:
        error.details["accusation"] = context.leaf_reply(store.leaf(known["leaf"]))


def keep_evidence(directory: Path, name: str, evidence: bytes) -> None:
    """Store the evidence of an accusation beside the record, under its SHA-256."""
    with writing(Place(directory, "own files"), len(evidence)):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (directory / f"accusation-{name}.json").write_bytes(evidence)

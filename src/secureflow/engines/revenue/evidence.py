"""What a verified record of a job says that its revenue is shared by.

Nothing of it is the centre's word. The record was verified under the reader's own charter first
(`engines.ledger.bundle`): scores are the document that an attested enclave signed, which is in the
job's outcome; rows and steps are in leaves that each party signed, up to the centre's end of the
job, so that everybody reads the same whenever they read it. A party compares what is said of itself
with what it signed (`contradiction`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.domain.scoredocument import KIND, figures_of, scores_digest, signed_parts
from secureflow.engines.ledger.bundle import BundleVerdict
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry, parse_bundle
from secureflow.engines.ledger.ends import CLOSED, FINISHED, SERVER
from secureflow.engines.ledger.stepoutputs import succeeded
from secureflow.engines.revenue.agreement import Agreement
from secureflow.engines.revenue.shares import Measured
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

UPDATE: Final = "update"
"""The kind of leaf in which a party commits to what it contributes."""
UNAUTHENTICATED: Final = "consistent, unauthenticated"
_THE_END: Final = (SERVER, CLOSED)
_MAX_ROWS: Final = 10**13
"""More than any table has; times a quality in per cent it is still exact in JSON."""


@dataclass(frozen=True)
class JobEvidence:
    """One job, as its verified record has it.

    Args:
        job, spec: its id, and the digest of its signed spec.
        project, kind: of the spec.
        outcome: how it ended by the centre's end; "" while it has none.
        scores: digest of the signed document of scores; "" without one.
        end: index of the centre's end in the log; None while it has none.
        measured: party → what counts.
    """

    job: str
    spec: str
    project: str
    kind: str
    outcome: str
    scores: str
    end: int | None
    measured: Mapping[str, Measured]

    @property
    def scored(self) -> bool:
        """Whether every party has a score."""
        return bool(self.measured) and all(one.score is not None for one in self.measured.values())


def evidence_of(
    bundle_json: Any, verdict: BundleVerdict, *, authenticated: bool = True
) -> JobEvidence:
    """Return what a verified bundle says.

    Args:
        bundle_json: the bundle that was verified.
        verdict: of just this bundle, under the reader's charter.
        authenticated: False for the centre, which shows what follows and decides nothing: it may
            judge without a charter.

    Raises:
        SecureFlowError: `evidence_not_verified`, naming the first reason.
    """
    if not verdict.ok and (authenticated or verdict.status != UNAUTHENTICATED):
        reasons = [*verdict.failures, *verdict.missing, verdict.status]
        raise SecureFlowError(
            "evidence_not_verified",
            Text(
                "The record of job {job} does not verify, so nothing is paid by it: {reason}.",
                job=verdict.job or "?",
                reason=reasons[0],
            ),
            "secureflow audit export JOB, then secureflow audit verify, says all reasons.",
            {"job": verdict.job},
        )
    bundle = parse_bundle(bundle_json)
    _check_opened(bundle)
    figures, scores = _scores(bundle)
    leaves = {party: list(_until_closed(bundle, party)) for party in bundle.roster}
    measured = {party: _measured(figures.get(party), leaves[party]) for party in bundle.roster}
    spec = bundle.spec
    return JobEvidence(
        job=bundle.job,
        spec=digest(spec),
        project=str(spec.get("project", "")),
        kind=str(spec.get("kind", "")),
        outcome=verdict.outcome,
        scores=scores,
        end=_end(bundle),
        measured=measured,
    )


def left_out(agreement: Agreement, evidence: JobEvidence) -> str:
    """Return by which rule of the agreement a job does not count; "" if it does."""
    if evidence.project != agreement.project:
        return "other_project"
    if evidence.outcome != "succeeded":
        return "not_succeeded"
    if agreement.kinds and evidence.kind not in agreement.kinds:
        return "kind"
    if not evidence.measured or not evidence.measured.keys() <= agreement.keys.keys():
        return "others_took_part"
    unscored = agreement.weights.scores > 0 and not evidence.scored
    return "unscored" if unscored and agreement.unscored == "left_out" else ""


def contradiction(evidence: JobEvidence, party: str, own: Iterable[Mapping[str, Any]]) -> str:
    """Return what a party's own leaves of a job contradict; "" for nothing.

    An update that came too late, or never reached the log, is in no record, and nobody's fault.

    Args:
        evidence: what a record says.
        party: whose leaves they are.
        own: `{kind, document, place}` of each of its leaves of the job, from its own record; the
            place is the proven index in the log, None without proof.
    """
    updates: dict[str, Any] = {}
    named = ""
    for leaf in own:
        document = leaf.get("document")
        if not isinstance(document, dict):
            continue
        if leaf.get("kind") == UPDATE and _in_time(leaf.get("place"), evidence.end):
            updates[_step(document)] = document
        elif leaf.get("kind") == FINISHED:
            named = str(document.get("scores", ""))
    said = evidence.measured.get(party)
    if said is None:
        return "its parties" if updates else ""
    if named and named != evidence.scores:
        return "scores"
    if not updates:
        return ""
    if said.steps != len(updates):
        return "participation"
    return "rows" if said.rows != max(map(_rows, updates.values())) else ""


def _check_opened(bundle: Bundle) -> None:
    """Refuse a record in which what a party signed of its part comes without its document.

    It verifies all the same; whoever left it out could choose whose rows and steps count.
    """
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        mine = leaf.job == bundle.job and leaf.author in bundle.roster
        if mine and leaf.kind in (UPDATE, FINISHED) and entry.salt is None:
            raise SecureFlowError(
                "evidence_not_verified",
                Text(
                    "The record of job {job} lacks what {party} signed of its part: entry {index}.",
                    job=bundle.job,
                    party=leaf.author,
                    index=entry.index,
                ),
                "Ask the centre for the whole record; nothing is paid by half of it.",
                {"job": bundle.job, "party": leaf.author},
            )


def _scores(bundle: Bundle) -> tuple[dict[str, tuple[int, int, int, int]], str]:
    """Return each party's figures, and the digest of the document; the bundle was verified."""
    for outcome in succeeded(bundle):
        signed = outcome.get(KIND)
        parts = signed_parts(signed)
        if signed is None or parts is None or parts[0].get("scored") is not True:
            continue
        scores = parts[0]["scores"]
        found = {
            party: line
            for party in bundle.roster
            if (line := figures_of(scores.get(party))) is not None
        }
        return found, scores_digest(signed)
    return {}, ""


def _in_time(place: Any, end: int | None) -> bool:
    return isinstance(place, int) and (end is None or place < end)


def _end(bundle: Bundle) -> int | None:
    mine = (one for one in bundle.entries if one.signed.leaf.job == bundle.job)
    ends = (one.index for one in mine if (one.signed.leaf.author, one.signed.leaf.kind) == _THE_END)
    return next(ends, None)


def _until_closed(bundle: Bundle, party: str) -> Iterator[BundleEntry]:
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        if leaf.job != bundle.job:
            continue
        if (leaf.author, leaf.kind) == _THE_END:
            return
        if leaf.author == party:
            yield entry


def _measured(figures: tuple[int, int, int, int] | None, leaves: Iterable[BundleEntry]) -> Measured:
    rows, steps = _signed(leaves)
    if figures is None:
        return Measured(None, None, None, None, rows, steps)
    return Measured(*figures, rows, steps)


def _signed(leaves: Iterable[BundleEntry]) -> tuple[int, int]:
    """Return rows and steps of a party's own leaves."""
    updates: dict[str, Mapping[str, Any]] = {}
    ended = False
    for entry in leaves:
        if entry.signed.leaf.kind == UPDATE and isinstance(entry.document, dict):
            updates[_step(entry.document)] = entry.document
        ended = ended or entry.signed.leaf.kind == FINISHED
    return max(map(_rows, updates.values()), default=0), len(updates) or int(ended)


def _step(document: Mapping[str, Any]) -> str:
    return digest([document.get("stage"), document.get("round")])


def _rows(document: Mapping[str, Any]) -> int:
    rows = document.get("rows")
    return rows if type(rows) is int and 0 <= rows <= _MAX_ROWS else 0

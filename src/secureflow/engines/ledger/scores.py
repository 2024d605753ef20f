"""Scores of contributions in the record of a job: who signed them, and of what.

The centre writes them into the job's outcome (`job.finished`), where nobody but it vouches for
them. So they are held to what others signed: an enclave, with a key that the attested leaves of
enough parties carry (those of all enclaves' leaves, `bundle`); each party's leaf that commits to
the rows that were scored; each party's own end, which names the scores that it verified. What
follows from the document itself is computed again (`domain.scoredocument`). A report must tell the
recorded ones, in its member and in its lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

from secureflow.domain.scoredocument import (
    KIND,
    Asked,
    document_problem,
    figures_of,
    scores_digest,
    shown_line,
    signed_parts,
)
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.engines.ledger.ends import FINISHED, scores_named
from secureflow.engines.ledger.stepoutputs import succeeded
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_UPDATE: Final = "update"
"""The kind of leaf in which a party commits to what it seals, and the member that does."""
_LINE: Final = 3


class RecordedScores:
    """What is wrong with, or missing of, the scores in a record.

    Args:
        bundle: of any job; it has scores only if its spec asks for them.
        vouchers: release key → the members of the roster whose attested leaves carry it.
        needed: how many of them vouch for a key.
        report: a foreign report of the job; None for none.
    """

    def __init__(
        self,
        bundle: Bundle,
        vouchers: Mapping[str, AbstractSet[str]],
        needed: int,
        report: Any,
    ) -> None:
        self.failures: list[str] = []
        self.missing: list[str] = []
        self._bundle = bundle
        self._keys = sorted(key for key, whose in vouchers.items() if len(whose) >= needed)
        plan = _plan(bundle.spec)
        told = [one.get(KIND) for one in succeeded(bundle)]
        for signed in told:
            self._judge(signed, plan)
        if report is not None and isinstance(report, dict):
            self.failures += _misreported(bundle, told, report)

    def _judge(self, signed: Any, plan: Mapping[str, Any] | None) -> None:
        if plan is None:
            if signed is not None:
                self.failures.append("the centre's outcome holds scores that the spec asks not for")
            return
        parts = signed_parts(signed)
        if parts is None:
            self.failures.append("the job succeeded without the scores that its spec asks for")
            return
        document, signature = parts
        bundle = self._bundle
        asked = Asked(bundle.job, digest(bundle.spec), plan, bundle.roster)
        problem = document_problem(document, asked)
        if problem:
            told = Text("the scores in the centre's outcome are wrong: {reason}", reason=problem)
            self.failures.append(told)
            return
        if not any(verify(key, KIND, document, signature) for key in self._keys):
            self.failures.append(
                "no enclave that enough members of the roster vouch for signed the scores"
            )
        if document["scored"] is True:
            self._committed(document["commitments"])
        self.failures += self._ended_otherwise(scores_digest(signed))

    def _committed(self, commitments: Mapping[str, Any]) -> None:
        """Compare the rows that were scored with those that parties committed to."""
        for party in self._bundle.roster:
            own = list(self._own(party, _UPDATE))
            rows = [entry for entry in own if _commits(entry, commitments[party])]
            if len([one for one in own if rows and _place(one) == _place(rows[0])]) > 1:
                # To another enclave others: whoever read both scores chose one.
                self.failures.append(
                    Text("{party} committed to validation rows more than once", party=party)
                )
            elif any(one.salt is None for one in own):
                self.missing.append(
                    Text(
                        "a leaf in which {party} commits to its rows comes without its document",
                        party=party,
                    )
                )
            elif not rows:
                self.failures.append(
                    Text("{party} committed to no such validation rows as were scored", party=party)
                )

    def _ended_otherwise(self, told: str) -> Iterator[str]:
        for party in self._bundle.roster:
            for entry in self._own(party, FINISHED):
                if scores_named(entry.document) not in ("", told):
                    yield Text(
                        "{title}: {name} ended the job with other scores than the centre's "
                        "outcome holds",
                        title=entry.title,
                        name=party,
                    )

    def _own(self, party: str, kind: str) -> Iterator[BundleEntry]:
        for entry in self._bundle.entries:
            leaf = entry.signed.leaf
            if (leaf.job, leaf.author, leaf.kind) == (self._bundle.job, party, kind):
                yield entry


def _plan(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return how a foreign spec has contributions scored; None if it does not."""
    plan = spec.get("plan")
    asked = plan.get(KIND) if isinstance(plan, dict) else None
    return asked if isinstance(asked, dict) else None


def _commits(entry: BundleEntry, commitment: Any) -> bool:
    return isinstance(entry.document, dict) and entry.document.get(_UPDATE) == commitment


def _place(entry: BundleEntry) -> str:
    """Return what names round and stage of an opened leaf; "" of another."""
    document = entry.document
    if not isinstance(document, dict):
        return ""
    return digest([document.get("round"), document.get("stage")])


def _misreported(bundle: Bundle, told: Sequence[Any], report: Mapping[str, Any]) -> Iterator[str]:
    """Yield where a report tells other scores than the record."""
    for recorded in told:
        if not _same(report.get(KIND), recorded):
            yield "the report tells other scores than the record"
    parts = signed_parts(told[0]) if told else None
    scores = {} if parts is None else parts[0].get("scores")
    figures = {
        party: found
        for party in bundle.roster
        if isinstance(scores, dict) and (found := figures_of(scores.get(party))) is not None
    }
    lines = list(_lines(bundle, report))
    for party in bundle.roster:
        right = [shown_line(figures[party])] if party in figures else []
        shown = [line for one, line in lines if one == party]
        # A line of another form is none, and readers take it for one: the right one must be there.
        if any(line not in right for line in shown) or (right and not shown):
            yield Text("the report shows other scores of {party} than the record", party=party)


def _same(one: Any, other: Any) -> bool:
    try:
        return digest(one) == digest(other)
    except SecureFlowError:  # it has no canonical form, and what is recorded has one
        return False


def _lines(bundle: Bundle, report: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lines of a foreign report that show a party with three values, as scores are."""
    sections = report.get("sections")
    for section in sections if isinstance(sections, list) else []:
        rows = section.get("rows") if isinstance(section, dict) else None
        for row in rows if isinstance(rows, list) else []:
            if not isinstance(row, dict) or row.get("label") not in bundle.roster:
                continue
            if _is_score(row.get("value")):
                yield str(row["label"]), row["value"]


def _is_score(value: Any) -> bool:
    """Tell whether three values are shown, of which the second is an interval."""
    if not isinstance(value, list) or len(value) != _LINE:
        return False
    return isinstance(value[1], str) and value[1].startswith("[")

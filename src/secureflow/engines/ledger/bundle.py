"""Offline audit: the record of one job, verified again from a bundle and a pinned charter.

A bundle is JSON: `{v: 1, origin, note, job, spec, roster, charter, entries}`; `note` is the head
with its cosignatures, `spec` the signed job spec, `roster` its parties, `charter` the charter's
digest, and an entry `{index, leaf, proof: [hex], document?, salt?}`; `history` and `anchors` may
come beside them (`bundle_format`, `anchors.bundled`). Entries of other jobs may appear between an
author's own ones to complete that author's chain; they come without documents.

The verifier trusts nothing that the bundle says about itself:
- each leaf is signed by the key that the *charter* gives its author. `server` is the log key; an
  `enclave` key counts only when more roster members than may collude vouch for it in their own
  opened `attested` leaves, so that at least one of them is honest;
- the leaves of an author form an unbroken chain: dropping, inserting or reordering one is detected,
  and an organisation's first leaf of the job is its approval, so that the start is known;
- scores of contributions are signed by such an enclave, of the rows that parties committed to
  (`scores`);
- the ends are present and their counts match (`ends`), so that nothing was cut off after the last
  leaf; authors for which only the centre's word vouches are listed;
- each leaf is in the tree under the head, the log signed the head, and a quorum of the roster
  that the *signed spec* names cosigned it.
Without a charter, all this can only be consistent with itself, which a forger can achieve too.
The spec is the bundle's own: members who collude with the centre can make a record of a spec and a
roster that nobody else saw. A reader who knows the job passes the digest of its approved spec.

The verdict is `broken` if anything contradicts, otherwise `unfinished` if anything is missing (an
end, a cosignature, the document of an accusation), otherwise `consistent, unauthenticated` without
a charter, otherwise `verified`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from secureflow.domain.charter import Charter, SignedCharter
from secureflow.domain.quorum import colluders_of, quorum_of
from secureflow.engines.ledger import leaves
from secureflow.engines.ledger.accused import Accusation, accusations_of, without_document
from secureflow.engines.ledger.anchored import Anchored, AnchorJudge, anchor_failures
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry, parse_bundle
from secureflow.engines.ledger.ends import ENCLAVE, SERVER, AuthorEnd, ends_unapproved, judge_ends
from secureflow.engines.ledger.gaps import Gap, beyond_its_key, leaf_beyond_its_key, lineage_of
from secureflow.engines.ledger.held import HeldLeaf, judge_held
from secureflow.engines.ledger.merkle import leaf_hash, verify_inclusion
from secureflow.engines.ledger.reported import Reported
from secureflow.engines.ledger.scores import RecordedScores
from secureflow.engines.ledger.stepoutputs import SignedSteps
from secureflow.kit.canonical import digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Status = Literal["verified", "unfinished", "broken", "consistent, unauthenticated"]


@dataclass(frozen=True)
class BundleVerdict:
    """The result of the audit. `ok` only if the status is `verified`.

    `job`, `spec` (its digest) and `roster` identify the job; `failures` name the entry and
    what is wrong with it, `missing` what a complete record would hold; `accusations` who accused
    whom; `outcome` is how the job ended by the centre's end, `authors` how each one's leaves end,
    `held` the standing of leaves that authors kept; `cosigners` are the roster members with valid
    cosignatures of the head, `quorum` the number required; `gaps` are the rollbacks of the log
    after which its members continued it; `anchors` what members anchored, if that was judged.
    """

    ok: bool
    status: Status
    failures: tuple[str, ...]
    missing: tuple[str, ...] = ()
    job: str = ""
    spec: str = ""
    roster: tuple[str, ...] = ()
    outcome: str = ""
    accusations: tuple[Accusation, ...] = ()
    authors: tuple[AuthorEnd, ...] = ()
    held: tuple[HeldLeaf, ...] = ()
    entries: int = 0
    size: int = 0
    cosigners: tuple[str, ...] = ()
    quorum: int = 0
    gaps: tuple[Gap, ...] = ()
    anchors: tuple[Anchored, ...] = ()


def verify_bundle(
    bundle_json: Any,
    charter: Charter | None,
    held: Any = None,
    spec: str = "",
    known: Sequence[SignedCharter] = (),
    report: Any = None,
    judge: AnchorJudge | None = None,
) -> BundleVerdict:
    """Judge a foreign bundle. Total: for any input, the answer is a verdict.

    `held` is a foreign list of leaves that their authors kept, to be compared with it, `report` a
    foreign report of the job; `spec` the expected digest of the spec; `known` are versions before
    `charter` that the reader kept; `judge` is for its anchors (`anchors.bundled`).

    Raises:
        SecureFlowError: only for a malformed `held`: `malformed_bundle`, `malformed_leaf`.
    """
    try:
        bundle = parse_bundle(bundle_json)
    except SecureFlowError as error:
        return BundleVerdict(False, "broken", (error.message,))
    ends, steps = judge_ends(bundle), SignedSteps(bundle)
    reported = Reported(bundle, steps, report)
    lineage = lineage_of(bundle, charter, known)
    failures = [*_story_failures(bundle, spec), *lineage.failures]
    failures += [*_entry_failures(bundle, lineage.origins), *_chain_failures(bundle)]
    failures += [*_consent_failures(bundle), *ends.broken, *steps.failures(), *reported.failures]
    pinned, charter = charter, charter and (lineage.charter or charter)
    keys = dict(bundle.contributors) if charter is None else _roster_keys(bundle, charter)
    scores = RecordedScores(bundle, _vouchers(bundle, keys), _vouching(bundle), report)
    missing = [*ends.missing, *steps.missing(), *reported.missing, *scores.missing]
    missing += without_document(bundle)
    kept = judge_held(bundle, ends.authors, keys, held, lineage.origins)
    failures += [*scores.failures, *_contradictions(kept), *_ended_key_failures(bundle, pinned)]
    anchors = () if judge is None else tuple(judge(bundle, charter, pinned))
    failures += [*_signed_failures(bundle, charter), *anchor_failures(anchors)]
    quorum = quorum_of(len(bundle.roster))
    cosigners = frozenset[str]() if charter is None else bundle.note.cosigners(keys)
    missing += _few_cosigners(len(cosigners), quorum if charter else 0)
    status = _status(failures, missing, charter)
    return BundleVerdict(
        ok=status == "verified",
        status=status,
        failures=tuple(failures),
        missing=tuple(missing),
        job=bundle.job,
        spec=digest(bundle.spec),
        roster=bundle.roster,
        outcome=ends.outcome,
        accusations=tuple(accusations_of(bundle)),
        authors=tuple(ends.authors),
        held=tuple(kept),
        entries=len(bundle.entries),
        size=bundle.note.checkpoint.size,
        cosigners=tuple(sorted(cosigners)),
        quorum=quorum,
        gaps=lineage.gaps,
        anchors=anchors,
    )


def _contradictions(kept: Iterable[HeldLeaf]) -> Iterator[str]:
    return (f"{one.title}: {one.reason}" for one in kept if one.standing == "contradicts")


def _signed_failures(bundle: Bundle, charter: Charter | None) -> list[str]:
    if charter is None:
        return list(_self_signed_failures(bundle))
    return [*_author_failures(bundle, charter), *_head_failures(bundle, charter)]


def _few_cosigners(count: int, quorum: int) -> Iterator[str]:
    if count < quorum:
        yield Text(
            "the head has {count} valid cosignatures of the roster, not {quorum}",
            count=count,
            quorum=quorum,
        )


def _status(failures: list[str], missing: list[str], charter: Charter | None) -> Status:
    if failures:
        return "broken"
    if missing:
        return "unfinished"
    return "consistent, unauthenticated" if charter is None else "verified"


def _story_failures(bundle: Bundle, expected: str) -> Iterator[str]:
    """Check that job, spec and roster match: the leaves bind the spec, the spec the roster."""
    if bundle.note.checkpoint.origin != bundle.origin:
        yield Text(
            "the head is of the log {origin}, not {bundle_origin}",
            origin=bundle.note.checkpoint.origin,
            bundle_origin=bundle.origin,
        )
    if not any(entry.signed.leaf.job == bundle.job for entry in bundle.entries):
        yield Text("no entry belongs to job {job}", job=bundle.job)
    if [party for party, _ in bundle.contributors] != list(bundle.roster):
        yield "the roster is not the one in the spec"
    if quorum_of(len(bundle.roster)) <= colluders_of(len(bundle.roster)):
        # A forger can write the spec too: one member that helps the centre could be a roster of its
        # own, and the only witness of a log that nobody else has seen.
        yield "a roster of one: whoever colludes with the centre would be its only witness"
    spec = digest(bundle.spec)
    if expected and spec != expected:
        yield Text(
            "it is about the spec {spec}, not about {expected}", spec=spec, expected=expected
        )
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        optional = leaf.author == SERVER and not leaf.spec
        if leaf.job == bundle.job and leaf.spec != spec and not optional:
            yield Text("{title}: it binds another spec than the bundle's", title=entry.title)


def _entry_failures(bundle: Bundle, origins: frozenset[str]) -> Iterator[str]:
    """Check that each leaf is of this log, in its place under the head, and opened correctly."""
    head = bundle.note.checkpoint
    last = -1
    for entry in bundle.entries:
        if entry.index <= last:
            yield Text("{title}: entries are not in ascending order", title=entry.title)
        last = entry.index
        if entry.signed.leaf.origin not in origins:
            yield Text(
                "{title}: it was signed for the log {origin}",
                title=entry.title,
                origin=entry.signed.leaf.origin,
            )
        node = leaf_hash(entry.signed.data())
        if not verify_inclusion(node, entry.index, head.size, entry.proof, head.root):
            yield Text(
                "{title}: its inclusion proof does not lead to the head's root", title=entry.title
            )
        if not _opens(entry):
            yield Text("{title}: document and salt do not open its commitment", title=entry.title)


def _opens(entry: BundleEntry) -> bool:
    if entry.salt is None:
        return True
    return leaves.commitment(entry.salt, entry.document) == entry.signed.leaf.commitment


def _chain_failures(bundle: Bundle) -> Iterator[str]:
    """Check that each author's leaves form one unbroken path of `prev` links.

    Concurrent jobs reach the log in any order, so links are followed, not indices; only the
    leaves of *this* job must be in the log in the order in which their author made them. An
    enclave's chain lives as long as its key, which is generated for each start and job. The
    server numbers the log itself and need not chain, but any link that it makes must be valid.
    """
    chains: defaultdict[tuple[str, str], list[BundleEntry]] = defaultdict(list)
    known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        known[leaf.author, entry.signed.key].add(entry.signed.hash())
        if leaf.prev or leaf.author != SERVER:
            chains[leaf.author, entry.signed.key].append(entry)
    for author, chain in chains.items():
        yield from _path_failures(chain, known[author], bundle.job)


def _path_failures(chain: list[BundleEntry], known: set[str], job: str) -> Iterator[str]:
    following: dict[str, BundleEntry] = {}
    for entry in chain:
        if entry.signed.leaf.prev in following:
            yield (
                Text(
                    "{title}: another leaf of its author has the same prev, or it appears twice",
                    title=entry.title,
                )
            )
        following[entry.signed.leaf.prev] = entry
    unknown = [entry for entry in chain if entry.signed.leaf.prev not in known]
    first, gaps = (unknown or chain)[0], unknown[1:]  # the server's may hang on one without a link
    if first.signed.leaf.author == ENCLAVE and first.signed.leaf.prev:
        yield Text("{title}: this enclave key's first leaf is missing", title=first.title)
    for entry in gaps:
        yield Text(
            "{title}: the leaf that its prev names is missing: one was dropped or inserted",
            title=entry.title,
        )
    last = -1
    step: BundleEntry | None = first
    while step is not None:
        if step.signed.leaf.job == job:
            if step.index < last:
                yield Text(
                    "{title}: it comes before an earlier leaf of its author", title=step.title
                )
            last = step.index
        step = following.get(step.signed.hash())


def _consent_failures(bundle: Bundle) -> Iterator[str]:
    """Check that each organisation approved the job before its first leaf in it.

    One that did not approve it signs nothing but that, at the end of a job that failed.
    """
    approved: set[str] = set()
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        if leaf.job != bundle.job or leaf.author in (SERVER, ENCLAVE, *approved):
            continue
        approved.add(leaf.author)
        if leaf.kind != "approval" and not ends_unapproved(entry):
            yield Text(
                "{title}: its author's approval of the job does not come before it",
                title=entry.title,
            )


def _self_signed_failures(bundle: Bundle) -> Iterator[str]:
    """Without a charter, check at least that each leaf is valid under the key that it claims."""
    claimed: dict[str, str] = {}
    for entry in bundle.entries:
        signed = entry.signed
        if not leaves.verify(signed, signed.key):
            yield Text(
                "{title}: its signature is not valid under the key that it carries",
                title=entry.title,
            )
        if signed.leaf.author == ENCLAVE:
            continue
        if claimed.setdefault(signed.leaf.author, signed.key) != signed.key:
            yield Text("{title}: its author signs with two keys", title=entry.title)


def _ended_key_failures(bundle: Bundle, pinned: Charter | None) -> Iterator[str]:
    """Check against the reader's own charter that no log key signs after its end.

    A bundle that somebody made with a stolen key names a charter from before the key ended.
    """
    if pinned is None:
        return
    if one := beyond_its_key(pinned, bundle.note):
        yield Text(
            "the head of size {size} is signed by a log key that ended at size {end}",
            size=bundle.note.checkpoint.size,
            end=one.size,
        )
    for entry in bundle.entries:
        if leaf_beyond_its_key(pinned, entry):
            yield Text("{title}: the centre's key of its log had ended before", title=entry.title)


def _author_failures(bundle: Bundle, charter: Charter) -> Iterator[str]:
    """With a charter, check that each leaf is signed by the author that it names."""
    keys, log_keys = charter.keys, charter.log_keys
    vouchers = _vouchers(bundle, _roster_keys(bundle, charter))
    needed = _vouching(bundle)
    for entry in bundle.entries:
        signed = entry.signed
        author = signed.leaf.author
        key = log_keys.get(signed.leaf.origin) if author == SERVER else keys.get(author)
        if author == ENCLAVE:
            if len(vouchers[signed.key]) < needed:
                yield (
                    Text(
                        "{title}: its key is vouched for by {count} roster members' "
                        "attested leaves, not by {needed}",
                        title=entry.title,
                        count=len(vouchers[signed.key]),
                        needed=needed,
                    )
                )
            elif not leaves.verify(signed, signed.key):
                yield Text("{title}: the attested enclave key did not sign it", title=entry.title)
        elif author != SERVER and key is None:
            yield Text("{title}: its author is not a member of the charter", title=entry.title)
        elif key is None or not leaves.verify(signed, key):
            yield Text(
                "{title}: the charter's key of {author} did not sign it",
                title=entry.title,
                author=author,
            )
        elif author != SERVER and signed.leaf.job == bundle.job and author not in bundle.roster:
            yield Text("{title}: its author is not on the job's roster", title=entry.title)


def _vouching(bundle: Bundle) -> int:
    """Return how many members of the roster vouch for an enclave's key: one of them is honest."""
    return colluders_of(len(bundle.roster)) + 1


def _vouchers(bundle: Bundle, keys: Mapping[str, str]) -> Mapping[str, set[str]]:
    """Return, per enclave release key, the roster members whose attested leaves carry it."""
    vouchers: defaultdict[str, set[str]] = defaultdict(set)
    for entry in _attested(bundle):
        author = entry.signed.leaf.author
        if author in keys and _opens(entry) and leaves.verify(entry.signed, keys[author]):
            vouchers[str(entry.document["release"])].add(author)
    return vouchers


def _attested(bundle: Bundle) -> Iterable[BundleEntry]:
    for entry in bundle.entries:
        leaf = entry.signed.leaf
        if leaf.kind == "attested" and leaf.job == bundle.job and entry.salt is not None:
            document = entry.document
            if isinstance(document, dict) and isinstance(document.get("release"), str):
                yield entry


def _head_failures(bundle: Bundle, charter: Charter) -> Iterator[str]:
    """Check that the head is the pinned log's, and that the roster is the charter's."""
    if bundle.origin != charter.origin:
        yield Text(
            "the bundle is of the log {origin}; the charter names {charter_origin}",
            origin=bundle.origin,
            charter_origin=charter.origin,
        )
    if not bundle.note.verify_log(charter.log_key):
        yield "the head is not signed by the charter's log key"
    for party, key in bundle.contributors:
        if charter.keys.get(party) != key:
            yield Text(
                "roster member {party} is not in the charter with the spec's key", party=party
            )


def _roster_keys(bundle: Bundle, charter: Charter) -> dict[str, str]:
    return {party: charter.keys[party] for party in bundle.roster if party in charter.keys}

"""How the record of a job ends: what each author signs last, and what its absence means.

A chain of leaves shows what is missing between two of them; only an *end* shows that nothing is
missing after the last. There are two kinds, both of them leaves with a document:

- a party that is notified of the job's end signs `finished`: `{outcome, count, last}`, the number
  of its leaves in this job and the hash of the last one. It signs nothing in the job afterwards.
  One that never approved the job (it refused, or was not asked) signs that it has signed nothing:
  `count` is 0, and the leaf follows one of another job. Such an end is of no success;
  Of a success with a model it adds `model`, the digest of the output that it compared with its own
  rounds, and of one with scores of contributions `scores`, the digest of those that it verified;
  ends of parties that could not compare them, and older ones, have none;
- the centre then signs `job.closed`: `{outcome, ends: [{author, key, count, last}]}`, a line for
  every party of the roster, whether it could be reached or not, for itself, and for each enclave
  key that signed. No leaf of the centre follows it. A head over it is cosigned last.

So a record without `job.closed` is *unfinished*, and one that holds fewer leaves than an end counts
was cut. For a party that signed `finished` both ends must agree. For one that did not (it was
dropped, or away) there is only the centre's word, fixed under the cosigned head: what that party
signed later, or what the centre left out of the log at its end, is *not provable* by this bundle.
A party that comes back then signs its `finished`: it comes after the centre's end, counts
everything before it, including leaves that reached the log only then, and is worth as much as one
in time. A model that a party's end names is the one of the centre's outcome (`job.finished`),
unless the job did not succeed after all. A quorum of the roster must have signed its own end: a
centre that closes a job a second time, to cut someone off, cannot cut more parties than those
outside a quorum, and each of them is named.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from secureflow.domain.quorum import quorum_of
from secureflow.engines.ledger.bundle_format import Bundle, BundleEntry
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

SERVER: Final = "server"
ENCLAVE: Final = "enclave"
FINISHED: Final = "finished"
OUTCOME: Final = "job.finished"
CLOSED: Final = "job.closed"
MAX_ENDS: Final = 1024
"""Lines of a close: a roster has at most 256 parties, a job at most 64 enclaves."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_OUTCOMES: Final = frozenset({"succeeded", "failed", "cancelled"})
_LINE: Final = {"author", "key", "count", "last"}
_FINISHED: Final = {"outcome", "count", "last"}
_NAMED: Final = {"model", "scores"}

Chain = tuple[str, str]
"""An author and, for an enclave, the key with which it signs; otherwise an empty text."""


@dataclass(frozen=True)
class End:
    """The number of leaves that an author signed in a job, and the last one's hex hash or ""."""

    count: int = 0
    last: str = ""

    def after(self, leaf: str) -> End:
        """Return the end after one more leaf."""
        return End(self.count + 1, leaf)


@dataclass(frozen=True)
class AuthorEnd:
    """The state of one author's leaves in a bundle.

    `count` and `last` describe the author's leaves of the job in the bundle, `signed` tells whether
    the author's own end is the last of them, `provable` whether any later leaf of the author would
    have been detected: not for a party whose end is only the centre's word. `late` is an end that
    the author signed after the centre's.
    """

    author: str
    key: str
    count: int
    last: str
    signed: bool
    provable: bool
    late: bool = False


@dataclass
class Judgement:
    """The result of checking the ends: contradictions, missing parts, and each author's end."""

    broken: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    authors: list[AuthorEnd] = field(default_factory=list)
    outcome: str = ""


def finished_document(outcome: str, end: End, model: str = "", scores: str = "") -> dict[str, Any]:
    """Return the document of a party's `finished` leaf.

    Args:
        outcome: how the job ended.
        end: of the party's leaves before this one.
        model: digest of the output, if the party compared it with its own rounds.
        scores: digest of the scores, if it verified them (`domain.scoredocument`).
    """
    named = {name: one for name, one in (("model", model), ("scores", scores)) if one}
    return {"outcome": outcome, "count": end.count, "last": end.last, **named}


def closed_document(outcome: str, ends: Mapping[str, End]) -> dict[str, Any]:
    """Return the document of the centre's `job.closed` leaf, without the centre's own line."""
    return {"outcome": outcome, "ends": [line(author, end) for author, end in ends.items()]}


def line(author: str, end: End) -> dict[str, Any]:
    """Return one author's line of a close."""
    return {"author": author, "key": "", "count": end.count, "last": end.last}


def follows(prev: str, end: End) -> bool:
    """Tell whether a `finished` leaf hangs on the last leaf that it counts; if on none, on any."""
    return end == End() or prev == end.last


def ends_unapproved(entry: BundleEntry) -> bool:
    """Tell whether a leaf is the end of a party that signed nothing else in a job that failed."""
    read = read_finished(entry.document) if entry.signed.leaf.kind == FINISHED else None
    return read is not None and read[1] == End() and read[0] != "succeeded"


def read_finished(document: Any) -> tuple[str, End, str] | None:
    """Read a party's end: its outcome, the leaves before it, the model or ""; None if malformed."""
    if not isinstance(document, dict) or set(document) - _NAMED != _FINISHED:
        return None
    end, outcome = _end(document), document["outcome"]
    if end is None or not _is_outcome(outcome):
        return None
    named = [document[name] for name in _NAMED if name in document]
    if named and outcome != "succeeded":
        return None
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in named):
        return None
    return outcome, end, document.get("model", "")


def scores_named(document: Any) -> str:
    """Return the digest of the scores that a party's end names; "" if it names none."""
    return "" if read_finished(document) is None else str(document.get("scores", ""))


def read_closed(document: Any) -> tuple[str, list[tuple[Chain, End]]] | None:
    """Read the centre's end: the outcome, and each author's end; None if malformed."""
    if not isinstance(document, dict) or set(document) != {"outcome", "ends"}:
        return None
    listed = document["ends"]
    if not isinstance(listed, list) or len(listed) > MAX_ENDS:
        return None
    if not _is_outcome(document["outcome"]):
        return None
    ends: list[tuple[Chain, End]] = []
    for one in listed:
        end = _end(one) if isinstance(one, dict) and set(one) == _LINE else None
        if end is None or not isinstance(one["author"], str) or not isinstance(one["key"], str):
            return None
        ends.append(((one["author"], one["key"]), end))
    return document["outcome"], ends


def judge_ends(bundle: Bundle) -> Judgement:
    """Judge whether a bundle is complete: every end is present and its count matches."""
    found = Judgement()
    own = [entry for entry in bundle.entries if entry.signed.leaf.job == bundle.job]
    closes = _of_centre(own, CLOSED)
    if not closes:
        _judge_models(found, own)
        found.missing.append(
            "the centre's end (job.closed) is missing: the job is running, it ran before ends were "
            "recorded, or the end was cut off"
        )
        _judge_authors(found, bundle, _chains(own), {})
        return found
    found.broken += [
        Text("{title}: the job is closed twice", title=again.title) for again in closes[1:]
    ]
    close = closes[0]
    chains = _chains(entry for entry in own if entry.index < close.index)
    lines = _lines_of(found, close)
    if lines is not None:
        _compare(found, bundle, close, chains, lines)
    ended = _judge_authors(found, bundle, chains, _late(found, own, close))
    if found.outcome in ("", "succeeded"):
        _judge_models(found, own)
    need = quorum_of(len(bundle.roster))
    if len(ended) < need:
        away = ", ".join(party for party in bundle.roster if party not in ended)
        found.missing.append(
            Text(
                "{count} parties of the roster signed their end, not {need}: for {away} "
                "there is only the centre's word",
                count=len(ended),
                need=need,
                away=away,
            )
        )
    return found


def _of_centre(own: list[BundleEntry], kind: str) -> list[BundleEntry]:
    return [e for e in own if (e.signed.leaf.author, e.signed.leaf.kind) == (SERVER, kind)]


def _judge_models(found: Judgement, own: list[BundleEntry]) -> None:
    """Compare the model that each party's end names with that of the centre's outcome.

    A success that failed at the last step is recorded beside the failure; only it has a model.
    """
    outcomes = _of_centre(own, OUTCOME)
    documents = [e.document for e in outcomes if isinstance(e.document, dict)]
    models = [one.get("model") for one in documents if one.get("outcome") == "succeeded"]
    for entry in own:
        author = entry.signed.leaf.author
        if entry.signed.leaf.kind != FINISHED or author in (SERVER, ENCLAVE):
            continue
        read = read_finished(entry.document)
        if read is None or not read[2]:
            continue
        if not models or any(e.salt is None for e in outcomes):
            found.missing.append(
                Text(
                    "{title}: it names a model, and the centre's outcome (job.finished) that it "
                    "is compared with is missing, or comes without its document",
                    title=entry.title,
                )
            )
        found.broken += [
            Text(
                "{title}: {name} ended the job with the model {model}, the centre's outcome "
                "names {other}",
                title=entry.title,
                name=author,
                model=read[2],
                other=shown(str(other)[:64]) if other else "none",
            )
            for other in models
            if other != read[2]
        ]


def _lines_of(found: Judgement, close: BundleEntry) -> dict[Chain, End] | None:
    if close.salt is None:
        found.missing.append(Text("{title}: the end comes without its document", title=close.title))
        return None
    read = read_closed(close.document)
    if read is None:
        found.broken.append(
            Text("{title}: its document is not the end of a job", title=close.title)
        )
        return None
    found.outcome, ends = read
    lines = dict(ends)
    if len(lines) != len(ends):
        found.broken.append(Text("{title}: it counts an author twice", title=close.title))
    return lines


def _compare(
    found: Judgement,
    bundle: Bundle,
    close: BundleEntry,
    chains: Mapping[Chain, list[BundleEntry]],
    lines: Mapping[Chain, End],
) -> None:
    """Compare the leaves in the bundle with the centre's end."""
    wanted: dict[Chain, None] = dict.fromkeys([(SERVER, ""), *((p, "") for p in bundle.roster)])
    for chain in wanted | dict.fromkeys(chains):
        if chain not in lines:
            found.broken.append(
                Text("{title}: it has no line for {name}", title=close.title, name=_name(chain))
            )
    for chain, end in lines.items():
        have = _end_of(chains.get(chain, []))
        if have.count < end.count:
            found.broken.append(
                Text(
                    "{name}: {count} leaves are there, the centre's end counts "
                    "{end_count}: leaves were cut off",
                    name=_name(chain),
                    count=have.count,
                    end_count=end.count,
                )
            )
        elif have != end:
            found.broken.append(
                Text(
                    "{name}: {count} leaves up to {last} are there, the centre's end "
                    "counts {end_count} up to {end_last}",
                    name=_name(chain),
                    count=have.count,
                    last=have.last or "none",
                    end_count=end.count,
                    end_last=end.last or "none",
                )
            )
    centre = lines.get((SERVER, ""))
    if centre is not None and close.signed.leaf.prev != centre.last:
        found.broken.append(
            Text("{title}: it does not follow the leaf that it counts last", title=close.title)
        )


def _late(
    found: Judgement, own: list[BundleEntry], close: BundleEntry
) -> dict[Chain, list[BundleEntry]]:
    """Return each party's leaves after the close; those of other authors are contradictions."""
    late: defaultdict[Chain, list[BundleEntry]] = defaultdict(list)
    for entry in own:
        if entry.index <= close.index:
            continue
        if entry.signed.leaf.author in (SERVER, ENCLAVE):
            found.broken.append(Text("{title}: it comes after the job's end", title=entry.title))
        else:
            late[_chain(entry)].append(entry)
    return dict(late)


def _judge_authors(
    found: Judgement,
    bundle: Bundle,
    chains: Mapping[Chain, list[BundleEntry]],
    late: Mapping[Chain, list[BundleEntry]],
) -> set[str]:
    """Add each author's end; return which parties signed one that fits the outcome.

    A party may have been notified of a success that failed at the last step; never the reverse.
    """
    named: dict[Chain, None] = dict.fromkeys((p, "") for p in bundle.roster)
    ended: set[str] = set()
    for chain in named | dict.fromkeys(chains) | dict.fromkeys(late):
        entries, after = chains.get(chain, []), late.get(chain, [])
        party = chain[0] not in (SERVER, ENCLAVE)
        outcome = _own_end(found, chain, entries) if party else None
        if outcome is not None and after:
            found.broken.append(
                Text("{title}: its author had signed its own end before", title=after[0].title)
            )
        came_late = False
        if outcome is None and after and party:
            outcome = _own_end(found, chain, [*entries, *after])
            came_late = outcome is not None
        end = _end_of([*entries, *after] if came_late else entries)
        signed = outcome is not None if party else bool(found.outcome)
        author, key = chain
        if party and outcome in (found.outcome or None, "succeeded"):
            ended.add(author)
        found.authors.append(AuthorEnd(author, key, end.count, end.last, signed, signed, came_late))
    return ended


def _own_end(found: Judgement, chain: Chain, entries: list[BundleEntry]) -> str | None:
    """Return the outcome in a party's own end, None if it has no valid one."""
    for entry in entries[:-1]:
        if entry.signed.leaf.kind == FINISHED:
            found.broken.append(
                Text("{title}: its author signed more after its own end", title=entry.title)
            )
            return None
    last = entries[-1] if entries else None
    if last is None or last.signed.leaf.kind != FINISHED:
        return None
    if last.salt is None:
        found.missing.append(Text("{title}: the end comes without its document", title=last.title))
        return None
    read = read_finished(last.document)
    if read is None:
        found.broken.append(Text("{title}: its document is not an end", title=last.title))
        return None
    outcome, end, _ = read
    if end != _end_of(entries[:-1]) or not follows(last.signed.leaf.prev, end):
        found.broken.append(
            Text(
                "{title}: {name} counts {count} leaves of its own up to {last}, {found} are there",
                title=last.title,
                name=_name(chain),
                count=end.count,
                last=end.last or "none",
                found=len(entries) - 1,
            )
        )
        return None
    return outcome


def _chains(entries: Iterator[BundleEntry] | list[BundleEntry]) -> dict[Chain, list[BundleEntry]]:
    chains: defaultdict[Chain, list[BundleEntry]] = defaultdict(list)
    for entry in entries:
        chains[_chain(entry)].append(entry)
    return dict(chains)


def _chain(entry: BundleEntry) -> Chain:
    author = entry.signed.leaf.author
    return author, entry.signed.key if author == ENCLAVE else ""


def _name(chain: Chain) -> str:
    return f"{chain[0]} ({chain[1]})" if chain[1] else chain[0]


def _end_of(entries: list[BundleEntry]) -> End:
    return End(len(entries), entries[-1].signed.hash() if entries else "")


def _is_outcome(value: Any) -> bool:
    return isinstance(value, str) and value in _OUTCOMES


def _end(value: Mapping[str, Any]) -> End | None:
    count, last = value["count"], value["last"]
    if type(count) is not int or not 0 <= count < 1 << 53 or not isinstance(last, str):
        return None
    if bool(count) != bool(last) or (last and not _DIGEST.fullmatch(last)):
        return None
    return End(count, last)

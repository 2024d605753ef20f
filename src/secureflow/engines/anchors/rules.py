"""The rules of a place: what each entry does, the same in a contract, a chaincode and a file.

A place has members and a dispute window, and no administrator. Of n members, k = ⌊2n/3⌋ + 1 equal
votes decide; votes of those who are members at that moment count. The sender is the member whose
account signed; whoever else sends is refused. Results:

- `kept`;
- `known`: the same from the same sender is kept already (a head with its signature, or a job: from
  anybody; a vote that was carried: from anybody, so that late votes are harmless), and nothing
  happens. This is looked at before anything else, so that an entry is repeated safely whatever
  happened since;
- `fork`: kept, though it contradicts what is kept. It is never silently refused;
- `refused`, with a reason; of a batch, the others go on.

A head whose root is kept under another signature is kept too, and is no fork: most places cannot
check the log's signature, and whoever comes first with a false one must not keep the true one away.
One sender may do so once for each size of a log; a further one is refused (`other_signature`).
Nor do false roots keep a true one away: where a size has all its roots, the first word of a sender
on that size is kept all the same, so that there are at most so many more as there are senders.

Members who come or go change n and k, and nothing is counted at that moment: no entry's cost may
grow with the votes that are pending. A vote that is repeated is counted anew: if by now k members
voted so, and it may be carried as a first vote may, it is kept a second time and carried; else it
is known. So votes that are enough for the members of today never wait for somebody else's.

Votes on an admission are forgotten once the member is taken out again, those on a removal once it
is admitted again.
A dispute of a removed member stays open; a higher version of the contributions is the way on.
What concerns money is in `money`.

One bound is of files alone: `State.most` entries of one member. What a keeper takes costs its
sender nothing and fills the keeper's disk. On chains the block bounds what is written, for every
contract alike, and a count for each sender would cost each entry a further word in a contract, and
in a chaincode make any two transactions of one sender that meet in a block a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors import money
from secureflow.engines.anchors.judged import (
    FORK,
    KEPT,
    KNOWN,
    REFUSED,
    Event,
    Judged,
    Result,
    against,
    counted,
    kept,
    refused,
)
from secureflow.engines.anchors.state import Dataset, Log, Member, State, bound
from secureflow.engines.ledger.merkle import verify_inclusion

MOST_ROOTS: Final = 64
"""Roots kept of one size of a log (see above for one more of each sender), and specs of one job."""
MOST_ROUND_WORDS: Final = 8
"""Different things kept that one member said of one round."""
NANOSECONDS_FROM: Final = 10**13
"""No second is that late: some chains (Raft) count nanoseconds."""

Rule = Callable[[State, Any, str, int], Judged]


@dataclass(frozen=True)
class Applied:
    """What an entry did.

    Args:
        result: see the module.
        reason: why it was refused, one of the codes of `judged`; else empty.
        events: what others see of it: the entry itself, and what it brought about.
    """

    result: Result
    reason: str
    events: tuple[Event, ...]


def seconds(moment: int) -> int:
    """Return a block's time in unix seconds; some chains count nanoseconds."""
    return moment // 10**9 if moment > NANOSECONDS_FROM else moment


def apply(state: State, entry: e.Entry, account: bytes, now: int) -> Applied:
    """Judge one entry, and do what it does.

    Args:
        state: changed in place, unless the result is `known` or `refused`.
        entry: whatever an account sent.
        account: which one.
        now: the place's clock.
    """
    now, sender = seconds(now), sender_of(state, account)
    if sender is None:
        judged, sender = refused("stranger"), ""
    elif state.successor and entry.kind not in money.ALWAYS:
        same = isinstance(entry, e.Upgrade) and entry.successor.hex() == state.successor
        judged = Judged(KNOWN) if same else refused("closed")
    elif state.kept.get(sender, 0) >= state.most and entry.kind not in money.ALWAYS:
        judged = refused("full")
    else:
        judged = _judged(state, entry, sender, now)
    if judged.result in (KEPT, FORK):
        state.kept[sender] = state.kept.get(sender, 0) + 1
    if judged.result == KNOWN:
        return Applied(judged.result, "", ())
    own = Event(judged.result, entry, sender, now, judged.reason)
    more = tuple(Event(name, entry, sender, now) for name in judged.brought)
    return Applied(judged.result, judged.reason, (own, *more))


def _judged(state: State, entry: e.Entry, sender: str, now: int) -> Judged:
    job: bytes | None = getattr(entry, "job", None)
    fresh = job is not None and job.hex() not in state.jobs
    judged = RULES[type(entry)](state, entry, sender, now)
    if fresh and job is not None and judged.result == REFUSED:
        state.jobs.pop(job.hex(), None)  # what is refused leaves nothing, however often it comes
    return judged


def apply_batch(
    state: State, batch: Sequence[e.Entry], account: bytes, now: int
) -> tuple[Applied, ...]:
    """Judge many entries of one transaction in their order, each by itself."""
    return tuple(apply(state, entry, account, now) for entry in batch)


def sender_of(state: State, account: bytes) -> str | None:
    """Return whose account it is; None if nobody's who is a member now."""
    wanted = account.hex()
    return next((key for key, one in state.members.items() if one == wanted), None)


# What is kept of logs, jobs and datasets.


def _anchor(state: State, entry: e.AnchorHead, sender: str, _: int) -> Judged:
    log = state.logs.get(entry.log.hex()) or Log()
    size, root = str(entry.size), entry.root.hex()
    roots, latest = log.roots.get(size, []), log.latest.get(sender, 0)
    other = root in roots
    if (digest := entry.digest.hex()) in log.signed.get(size, []):
        return Judged(KNOWN)
    if entry.size < latest:
        return refused("smaller")
    if other and sender in log.others.get(size, []):
        return refused("other_signature")
    if not other and len(roots) >= MOST_ROOTS and entry.size == latest:
        return refused("full")
    state.logs[entry.log.hex()] = log
    log.signed.setdefault(size, []).append(digest)
    log.latest[sender] = entry.size
    if other:
        log.others.setdefault(size, []).append(sender)
        return kept()
    log.roots[size] = [*roots, root]
    log.top = max(log.top, entry.size)
    return kept(fork=bool(roots))


def _register(state: State, entry: e.RegisterJob, _: str, __: int) -> Judged:
    specs = state.job(entry.job).specs
    if (spec := entry.spec.hex()) in specs:
        return Judged(KNOWN)
    if len(specs) >= MOST_ROOTS:
        return refused("full")
    specs.append(spec)
    return kept(fork=len(specs) > 1)


def _approve(state: State, entry: e.ApproveJob, sender: str, _: int) -> Judged:
    approvals = state.job(entry.job).approvals.setdefault(entry.spec.hex(), [])
    if sender in approvals:
        return Judged(KNOWN)
    approvals.append(sender)
    return kept()


def _commit_dataset(state: State, entry: e.CommitDataset, sender: str, _: int) -> Judged:
    place = f"{sender}/{entry.dataset.hex()}"
    if (before := state.datasets.get(place)) is not None:
        same = (before.commitment, before.cap) == (entry.commitment.hex(), entry.cap)
        return Judged(KNOWN) if same else refused("different")
    state.datasets[place] = Dataset(entry.commitment.hex(), entry.cap)
    return kept()


def _commit_round(state: State, entry: e.CommitRound, sender: str, _: int) -> Judged:
    said = state.job(entry.job).rounds.setdefault(str(entry.round), {}).setdefault(sender, [])
    if (digest := entry.digest.hex()) in said:
        return Judged(KNOWN)
    if len(said) >= MOST_ROUND_WORDS:
        return refused("full")
    said.append(digest)
    return kept(fork=len(said) > 1)


def _spend(state: State, entry: e.Spend, sender: str, _: int) -> Judged:
    dataset = state.datasets.get(f"{sender}/{entry.dataset.hex()}")
    if dataset is None:
        return refused("not_committed")
    if (before := dataset.spent.get(entry.job.hex())) is not None:
        return Judged(KNOWN) if before == entry.micro else refused("different")
    if sum(dataset.spent.values()) + entry.micro > dataset.cap:
        return refused("over_cap")
    dataset.spent[entry.job.hex()] = entry.micro
    return kept()


# Who is a member, and where the place is continued.


def _admit(state: State, entry: e.Admit, sender: str, _: int) -> Judged:
    member, account, digest = entry.member.hex(), entry.account.hex(), entry.digest.hex()
    if state.admitted.get(member) == digest:
        return Judged(KNOWN)
    voters = state.admissions.get(member, {}).get(digest, [])
    again = sender in voters
    if reason := _why_not_admitted(state, entry):
        return against(reason, again=again)
    if not again:
        state.admissions.setdefault(member, {})[digest] = [*voters, sender]
    if not state.decided([*voters, sender]):
        return counted(again=again)
    state.members[member] = account
    state.admitted[member] = digest
    state.removals.pop(member, None)
    return kept("admitted")


def _why_not_admitted(state: State, entry: e.Admit) -> str:
    if entry.member.hex() in state.members or entry.account.hex() in state.members.values():
        return "in_use"
    if len(state.members) >= e.MAX_MEMBERS:
        return "full"
    own = Member(entry.member, entry.account, entry.signature)
    return "not_bound" if state.checks and not bound(state.name, own) else ""


def _remove(state: State, entry: e.Remove, sender: str, _: int) -> Judged:
    member = entry.member.hex()
    voters = state.removals.get(member, [])
    if member not in state.members:  # votes are kept on members only: then it was carried
        return Judged(KNOWN) if voters else refused("no_member")
    again = sender in voters
    if len(state.members) == 1:
        return against("last_member", again=again)
    if not again:
        voters.append(sender)
    state.removals[member] = voters
    if not state.decided(voters):
        return counted(again=again)
    del state.members[member]
    state.admissions.pop(member, None)
    state.admitted.pop(member, None)
    return kept("removed")


def _upgrade(state: State, entry: e.Upgrade, sender: str, _: int) -> Judged:
    voters = state.successors.setdefault(entry.successor.hex(), [])
    again = sender in voters
    if not again:
        voters.append(sender)
    if not state.decided(voters):
        return counted(again=again)
    state.successor = entry.successor.hex()
    return kept("closed")


RULES: Final[Mapping[type[e.Entry], Rule]] = {
    e.AnchorHead: _anchor,
    e.RegisterJob: _register,
    e.ApproveJob: _approve,
    e.CommitDataset: _commit_dataset,
    e.CommitRound: _commit_round,
    e.Spend: _spend,
    e.Admit: _admit,
    e.Remove: _remove,
    e.Upgrade: _upgrade,
    **money.RULES,
}


# Views.


def head(state: State, log: bytes) -> tuple[int, str] | None:
    """Return the greatest size of a log, and the root that was kept for it first."""
    found = state.logs.get(log.hex())
    return None if found is None else (found.top, found.roots[str(found.top)][0])


def roots(state: State, log: bytes, size: int) -> tuple[str, ...]:
    """Return every root kept for a size of a log: more than one are a fork."""
    found = state.logs.get(log.hex())
    return () if found is None else tuple(found.roots.get(str(size), ()))


def approvals(state: State, job: bytes, spec: bytes) -> tuple[str, ...]:
    """Return who approved a job under a spec, of those who are members now."""
    found = state.jobs.get(job.hex())
    said = () if found is None else found.approvals.get(spec.hex(), ())
    return tuple(one for one in said if one in state.members)


def agreed(state: State, entry: e.CommitRound) -> int:
    """Return how many of those who are members now said the same of a round."""
    job = state.jobs.get(entry.job.hex())
    said = {} if job is None else job.rounds.get(str(entry.round), {})
    wanted = entry.digest.hex()
    return sum(wanted in digests for member, digests in said.items() if member in state.members)


def verify(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether a leaf's hash is in the tree under a root (RFC 9162, §2.1.3.2)."""
    if len(path) > e.MAX_PATH:
        return False
    return verify_inclusion(leaf, index, size, path, root)

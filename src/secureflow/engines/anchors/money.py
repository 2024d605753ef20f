"""The rules of a place about contributions and money (`rules` has the others).

Contributions stand with k equal votes, may be disputed for the window, and are split once. What is
split is owed by the payer; it is owed no more when the *payee* confirms a payment. Amounts are
whole minor units and nothing is lost: each named member gets ⌊amount · share / 10000⌋, the member
that takes the rounding what is left, and what the payer would owe itself is nobody's debt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from secureflow.engines.anchors import entries as e
from secureflow.engines.anchors.judged import KNOWN, Judged, against, counted, kept, refused
from secureflow.engines.anchors.state import Job, Payment, Shares, State

ALWAYS: Final = frozenset({e.Settle.kind, e.Confirm.kind})
"""What a closed place still takes: debts are paid where they were made."""


def _set_contributions(state: State, entry: e.SetContributions, sender: str, now: int) -> Judged:
    job, version = state.job(entry.job), str(entry.version)
    votes, digest = job.votes.get(version, {}), entry.digest.hex()
    if digest in job.stood:
        return Judged(KNOWN)
    if votes.get(sender, digest) != digest:
        return refused("different")
    again = sender in votes
    if reason := _why_not_stand(state, job, entry):
        return against(reason, again=again)
    votes[sender] = digest
    job.votes[version] = votes
    if not _decided(state, votes, digest):
        return counted(again=again)
    members = [one.hex() for one in entry.members]
    job.standing = Shares(
        entry.version, entry.root.hex(), members, list(entry.shares), entry.rounding.hex(), now
    )
    job.stood.append(digest)
    return kept("stands")


def _why_not_stand(state: State, job: Job, entry: e.SetContributions) -> str:
    if job.split:
        return "already_split"
    if entry.version <= (job.standing.version if job.standing else 0):
        return "old_version"
    return "" if all(one.hex() in state.members for one in entry.members) else "no_member"


def _decided(state: State, votes: Mapping[str, str], digest: str) -> bool:
    return state.decided([one for one, said in votes.items() if said == digest])


def _dispute(state: State, entry: e.Dispute, sender: str, now: int) -> Judged:
    job, version = state.job(entry.job), str(entry.version)
    evidence = job.disputes.get(version, {}).get(sender)
    if evidence is not None:
        return Judged(KNOWN) if evidence == entry.evidence.hex() else refused("different")
    if job.standing is None or job.standing.version != entry.version:
        return refused("not_standing")
    if now >= job.standing.since + state.window:
        return refused("window_over")
    job.disputes.setdefault(version, {})[sender] = entry.evidence.hex()
    return kept()


def _withdraw(state: State, entry: e.Withdraw, sender: str, _: int) -> Judged:
    job, version = state.job(entry.job), str(entry.version)
    if sender not in job.disputes.get(version, {}):
        return refused("no_dispute")
    withdrawn = job.withdrawn.setdefault(version, [])
    if sender in withdrawn:
        return Judged(KNOWN)
    withdrawn.append(sender)
    return kept()


def _split(state: State, entry: e.Split, sender: str, now: int) -> Judged:
    job, version = state.job(entry.job), str(entry.version)
    votes, digest = job.payers.get(version, {}), entry.digest.hex()
    if digest == job.split:
        return Judged(KNOWN)
    if votes.get(sender, digest) != digest:
        return refused("different")
    again = sender in votes
    if reason := _why_not_yet(state, job, entry, now):
        return against(reason, again=again)
    votes[sender] = digest
    job.payers[version] = votes
    if not _decided(state, votes, digest) or job.standing is None:
        return counted(again=again)
    job.split = digest
    for member, part in parts(job.standing, entry.amount).items():
        _owe(state, (entry.payer.hex(), member, entry.currency.hex()), part)
    return kept("split")


def _why_not_yet(state: State, job: Job, entry: e.Split, now: int) -> str:
    """Return why a job cannot be split: its contributions must have stood for the window."""
    version = str(entry.version)
    if job.split:
        return "already_split"
    if job.standing is None or job.standing.version != entry.version:
        return "not_standing"
    if now < job.standing.since + state.window:
        return "window_open"
    if set(job.disputes.get(version, ())) - set(job.withdrawn.get(version, ())):
        return "disputed"
    if entry.payer.hex() not in state.members:
        return "no_member"
    return "" if entry.amount else "no_amount"


def parts(shares: Shares, amount: int) -> dict[str, int]:
    """Return what each member gets of an amount in minor units: exactly the amount in sum."""
    each = {
        member: amount * share // e.WHOLE
        for member, share in zip(shares.members, shares.shares, strict=True)
    }
    each[shares.rounding] += amount - sum(each.values())
    return each


def _owe(state: State, who: tuple[str, str, str], more: int) -> None:
    payer, payee, _ = who
    if payer != payee and more:
        place = "/".join(who)
        state.owed[place] = str(int(state.owed.get(place, "0")) + more)


def _settle(state: State, entry: e.Settle, sender: str, _: int) -> Judged:
    said = Payment(entry.payee.hex(), entry.amount, entry.currency.hex())
    place = f"{sender}/{entry.reference.hex()}"
    if (before := state.payments.get(place)) is not None:
        same = (before.payee, before.amount, before.currency) == (
            said.payee, said.amount, said.currency,
        )  # fmt: skip
        return Judged(KNOWN) if same else refused("different")
    if entry.amount == 0:
        return refused("no_amount")
    if entry.amount > owed(state, bytes.fromhex(sender), entry.payee, entry.currency) - sum(
        one.amount
        for where, one in state.payments.items()
        if where.startswith(f"{sender}/")
        and not one.confirmed
        and (one.payee, one.currency) == (said.payee, said.currency)
    ):
        return refused("not_owed")
    state.payments[place] = said
    return kept()


def _confirm(state: State, entry: e.Confirm, sender: str, _: int) -> Judged:
    payment = state.payments.get(f"{entry.payer.hex()}/{entry.reference.hex()}")
    if payment is None or payment.payee != sender:
        return refused("no_payment")
    if payment.confirmed:
        return Judged(KNOWN)
    payment.confirmed = True
    _owe(state, (entry.payer.hex(), sender, payment.currency), -payment.amount)
    return kept()


def owed(state: State, payer: bytes, payee: bytes, currency: bytes) -> int:
    """Return the minor units that the payer owes the payee; what it only states counts as owed."""
    return int(state.owed.get(f"{payer.hex()}/{payee.hex()}/{currency.hex()}", "0"))


def standing(state: State, job: bytes) -> Shares | None:
    """Return the contributions of a job that stand."""
    found = state.jobs.get(job.hex())
    return None if found is None else found.standing


RULES: Final[Mapping[type[e.Entry], Callable[[State, Any, str, int], Judged]]] = {
    e.SetContributions: _set_contributions,
    e.Dispute: _dispute,
    e.Withdraw: _withdraw,
    e.Split: _split,
    e.Settle: _settle,
    e.Confirm: _confirm,
}

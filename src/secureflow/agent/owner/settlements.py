"""Settlements at their member's own agent: computed again here, decided and signed here.

What the centre shows is a proposal and the deeds of others. A settlement is approved only with the
amounts that this agent computed from records that it verified; a deed that was signed here is kept
before it leaves and never signed differently again. Refused by name, and accused: a deed of this
organisation that the centre has received and does not show, one that nobody signed, and a
settlement that is closed while a dispute could still be heard.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from secureflow.agent.owner.agreements import OwnAgreements
from secureflow.agent.owner.keptsettlements import Kept, SettlementShelf
from secureflow.agent.record.store import RecordStore
from secureflow.engines.anchors.entries import Entry, job_digest
from secureflow.engines.revenue.agreement import Agreement
from secureflow.engines.revenue.deeds import MAX_REFERENCE, SALT_BYTES, Act, Deed, commitment
from secureflow.engines.revenue.outgoing import entries_of
from secureflow.engines.revenue.settlement import Computed, Settlement, impossible, malformed
from secureflow.engines.revenue.standing import (
    Standing,
    ancestors,
    check_signed,
    in_order,
    refusal,
    standings,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import MAX_SKEW, Clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Hand = Callable[[Sequence[tuple[Entry, Mapping[str, JSON]]]], int]
"""Puts entries, each with what it stands for, into the outbox; returns how many are new there."""
_UNBINDING: Final = frozenset({"superseded", "void"})
_DISPUTES: Final = ("dispute", "withdraw")
_NEW: Final = Standing()
_OFTEN: Final = 60
"""Seconds between two notes of what waits for a quorum."""


@dataclass(frozen=True)
class ShownSettlement:
    """What the centre shows of a settlement: foreign, parsed, not judged yet."""

    settlement: Settlement
    deeds: tuple[Deed, ...]
    computed: str = ""


@dataclass(frozen=True)
class Judged:
    """A settlement as this agent judges it.

    Args:
        shown: what the centre shows.
        agreement: the pinned version that it names.
        standing: by the deeds that were checked here.
        kept: what this agent has of it.
    """

    shown: ShownSettlement
    agreement: Agreement
    standing: Standing
    kept: Kept


class OwnSettlements:
    """The settlements of this organisation's projects.

    Args:
        store: the record.
        party: organisation slug.
        key: its charter key.
        agreements: pinned here.
        log_keys: returns the keys of the pinned charter's log, the present one first.
        clock: unix seconds.
        hand: hands entries to the places that keep deeds (`witness.owndeeds.OwnDeeds.settled`).
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: SigningKey,
        agreements: OwnAgreements,
        log_keys: Callable[[], Sequence[str]],
        clock: Clock,
        hand: Hand,
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._agreements = agreements
        self._log_keys = log_keys
        self._clock = clock
        self._hand = hand
        self.shelf = SettlementShelf(store)

    def judge(self, project: str, shown: Sequence[ShownSettlement]) -> dict[str, Judged]:
        """Return a project's settlements as they stand by what was checked here.

        Raises:
            SecureFlowError: `settlement_deed_forged`, `settlement_deed_dropped`,
                `settlement_closed_early`, `agreement_missing` if one names no pinned version.
        """
        known = self._agreements.by_digest(project)
        kept = self._kept(project, shown)
        deeds: dict[str, list[Deed]] = {}
        for one in shown:
            agreement = self._agreement(known, one.settlement)
            check_signed(agreement, self._log_keys(), one.deeds, known.values())
            self._check_own(kept[one.settlement.id], one.deeds)
            received = kept[one.settlement.id].told
            deeds[one.settlement.id] = [*one.deeds, *received]
        settlements = {one.settlement.id: one.settlement for one in shown}
        settlements |= {key: one.settlement for key, one in kept.items()}
        for key in kept.keys() - deeds.keys():
            self._check_own(kept[key], ())  # the centre shows the settlement no more
        results = {key: one.computed for key, one in kept.items() if one.computed is not None}
        # What is signed for a later time counts from then on: nobody shortens a window by a date.
        now = self._clock()
        listed = [deed for several in deeds.values() for deed in several]
        every = [deed for deed in listed if deed.at <= now + MAX_SKEW]
        found = standings(known, settlements.values(), every, results)
        ahead = [deed for deed in listed if deed.act == "close" and deed.at > now + MAX_SKEW]
        closing = found
        if ahead:  # one that could not be by its own date convicts at once
            closing = standings(known, settlements.values(), [*every, *ahead], results)
        waited = self.shelf.waited(project)
        for one in shown:
            key, window = one.settlement.id, known[one.settlement.agreement].window
            seen = waited.get(key, 0) + window if window else 0
            _check_closed(closing[key], one, seen)
        self._note_waiting(project, waited, found, now)
        return {
            one.settlement.id: Judged(
                one,
                known[one.settlement.agreement],
                found[one.settlement.id],
                kept[one.settlement.id],
            )
            for one in shown
        }

    def note_computed(self, judged: Judged, computed: Computed) -> None:
        """Keep what this agent computed, if nothing is kept yet."""
        kept = self.shelf.get(computed.settlement) or judged.kept
        if kept.computed is None:
            with self._store.transaction():
                self.shelf.keep(replace(kept, computed=computed))

    def check_computed(self, judged: Judged, computed: Computed) -> None:
        """Refuse what the centre shows if it is not what this agent computed.

        Raises:
            SecureFlowError: `settlement_altered`.
        """
        if judged.shown.computed != computed.digest:
            raise SecureFlowError(
                "settlement_altered",
                Text(
                    "The centre shows other amounts of settlement {settlement} than follow from "
                    "the records that this agent verified.",
                    settlement=computed.settlement,
                ),
                "Nothing was signed. Compare with the other members, and ask whoever runs the "
                "centre.",
                {"shown": judged.shown.computed, "computed": computed.digest},
            )

    def approve(
        self, judged: Mapping[str, Judged], key: str, computed: Computed, confirm: str
    ) -> Deed:
        """Sign that the amounts are right; a repeated approval is the first one.

        Args:
            judged: the project's settlements.
            key: id of the one to approve.
            computed: what this agent computed.
            confirm: the digest of that, as a person enters it.

        Raises:
            SecureFlowError: `settlement_altered`, `settlement_not_possible`.
        """
        one = judged[key]
        self.check_computed(one, computed)
        if confirm.strip().lower() != computed.digest:
            raise SecureFlowError(
                "agreement_not_confirmed",
                "What was entered is not the digest of the amounts.",
                "Read them and enter their digest, all 64 characters: secureflow agent "
                "settlement show.",
            )
        self._check_free(judged, one)
        return self._sign(one, "approve", {"computed": computed.digest}, computed=computed)

    def dispute(self, judged: Judged, reason: str) -> Deed:
        """Sign a dispute; of the reason others see a salted commitment only."""
        salt, text = secrets.token_bytes(SALT_BYTES), _line(reason)
        facts = {"evidence": commitment(salt, text)}
        return self._sign(judged, "dispute", facts, text={"salt": salt.hex(), "text": text})

    def withdraw(self, judged: Judged) -> Deed:
        """Sign that the dispute is taken back."""
        return self._sign(judged, "withdraw", {})

    def pay(self, judged: Judged, payee: str, amount: int, reference: str) -> Deed:
        """Sign that a payment was made; of its reference others see a salted commitment only.

        One reference is one payment: repeated with the same payee and amount it is the first.
        """
        text = _line(reference)
        known = next((one for one in judged.kept.deeds if self._text(judged, one) == text), None)
        salt = bytes.fromhex(judged.kept.texts[known.digest]["salt"]) if known else _salt()
        facts = {"payee": payee, "amount": amount, "reference": commitment(salt, text)}
        return self._sign(judged, "pay", facts, text={"salt": salt.hex(), "text": text})

    def confirm(self, judged: Judged, payer: str, reference: str) -> Deed:
        """Sign that a payment arrived.

        Args:
            judged: the settlement.
            payer: who stated it.
            reference: the commitment that the payer signed, all 64 digits.
        """
        payment = judged.standing.payments.get((payer, reference))
        if payment is None:
            raise impossible("no such payment was stated")
        amount = payment.pay.facts["amount"]
        facts = {"payer": payer, "amount": amount, "reference": reference}
        return self._sign(judged, "confirm", facts)

    def accuse(self, settlement: Settlement, code: str, evidence: str) -> Deed:
        """Sign that the centre was refused by this name; one deed of a name."""
        kept = self.shelf.get(settlement.id) or Kept(settlement)
        for one in kept.deeds:
            if one.act == "accuse" and one.facts["code"] == code:
                return one
        deed = self._made(settlement, "accuse", {"code": code, "evidence": evidence}, 0)
        return self._keep(kept, deed)

    def note_told(self, key: str, deed: Deed, receipt: Any) -> None:
        """Keep that the centre has received an own deed."""
        with self._store.transaction():
            if (kept := self.shelf.get(key)) is not None:
                self.shelf.keep(replace(kept, receipts={**kept.receipts, deed.digest: receipt}))

    def note_refused(self, key: str, deed: Deed, reason: str) -> None:
        """Keep that the centre did not take an own deed; it does not count, and is not sent."""
        with self._store.transaction():
            if (kept := self.shelf.get(key)) is not None:
                self.shelf.keep(replace(kept, refused={**kept.refused, deed.digest: reason[:500]}))

    def hand_over(self, judged: Judged) -> int:
        """Hand what is due to the places that keep deeds; return how many entries are new there.

        What was handed over before is on its way already. A vote on shares is due at once, a
        dispute once the settlement is approved, the vote to split once it is closed: enough
        members' votes make it so at a place. Who approved nothing has no vote to hand over, but
        its dispute, and its confirmation of what it was paid. A dispute goes there whatever the
        centre answered, since a centre that refuses it is what the place is for; who disputes
        does not vote to split.
        """
        computed = judged.kept.computed
        if computed is None:
            return 0
        due = [one for one in judged.kept.told if _is_due(one, judged.standing)]
        if judged.standing.since is not None:
            due += [one for one in judged.kept.unheard if one.act in _DISPUTES]
        if judged.standing.closed is not None and judged.kept.approved and not _disputes(judged):
            due += [one for one in judged.shown.deeds if _closes(one, computed)]
        # The vote first: a place takes a dispute only of shares that stand, perhaps by this vote.
        ordered = sorted(in_order(due), key=lambda one: one.act != "approve")
        entries = [
            (entry, _opening(deed, entry, computed))
            for deed in ordered
            for entry in entries_of(deed, judged.agreement, judged.shown.settlement, computed)
        ]
        if not entries:
            return 0
        with self._store.transaction():
            return self._hand(entries)

    def _sign(
        self,
        judged: Judged,
        act: Act,
        facts: Mapping[str, Any],
        *,
        computed: Computed | None = None,
        text: Mapping[str, str] | None = None,
    ) -> Deed:
        """Sign a deed that its settlement allows, and keep it; the same one again is the first."""
        settlement = judged.shown.settlement
        deed = self._made(settlement, act, facts, judged.standing.last)
        kept = self.shelf.get(settlement.id) or judged.kept
        if act == "dispute" and self._party in judged.standing.withdrawn:
            # The first one again would look like a new one that was signed.
            raise impossible("its author took its dispute back")
        for one in kept.deeds:
            if one.key == deed.key and one.digest not in kept.refused:
                if act == "dispute" or one.facts == deed.facts:
                    return one
                raise _signed_otherwise(act)
        known = computed or kept.computed
        if reason := refusal(judged.agreement, known, judged.standing, deed):
            raise impossible(reason)
        return self._keep(replace(kept, computed=known), deed, **dict(text or {}))

    def _made(self, settlement: Settlement, act: Act, facts: Mapping[str, Any], last: int) -> Deed:
        # Not before what it answers, however slow this clock is: deeds are judged in their order.
        now = max(self._clock(), last)
        made = Deed(act, settlement.project, settlement.id, self._party, now, dict(facts))
        return made.sign(self._key)

    def _keep(self, kept: Kept, deed: Deed, **text: str) -> Deed:
        with self._store.transaction():
            self.shelf.keep(kept.with_deed(deed, **text))
            facts = {"settlement": deed.settlement, "project": deed.project, "act": deed.act}
            self._store.note(self._clock(), "settlement.signed", "", **facts)
        return deed

    def _kept(self, project: str, shown: Sequence[ShownSettlement]) -> dict[str, Kept]:
        """Return what is kept, with own deeds that only the centre still has: a restored record."""
        found = self.shelf.of_project(project)
        for one in shown:
            key = one.settlement.id
            kept = found.get(key, Kept(one.settlement))
            known = {deed.digest for deed in kept.deeds}
            lost = [
                deed
                for deed in one.deeds
                if deed.organisation == self._party and deed.digest not in known
            ]
            for deed in lost:
                deed.check(self._key.public)
                kept = replace(kept.with_deed(deed), receipts={**kept.receipts, deed.digest: None})
            if lost:
                with self._store.transaction():
                    self.shelf.keep(kept)
            found[key] = kept
        return found

    def _agreement(self, known: Mapping[str, Agreement], settlement: Settlement) -> Agreement:
        agreement = known.get(settlement.agreement)
        if agreement is None:
            raise SecureFlowError(
                "agreement_missing",
                "The settlement is of a revenue agreement that this agent has not pinned.",
                "Read and sign it first: secureflow agent revenue show PROJECT.",
            )
        return agreement

    def _check_own(self, kept: Kept, deeds: Sequence[Deed]) -> None:
        there = {one.digest for one in deeds}
        for one in kept.told:
            if one.digest not in there:
                raise SecureFlowError(
                    "settlement_deed_dropped",
                    Text(
                        "The centre received this organisation's {act} in settlement {settlement} "
                        "and does not show it any more.",
                        act=one.act,
                        settlement=one.settlement,
                    ),
                    "Its signed receipt is kept here: show it to the other members.",
                    {"receipt": kept.receipts[one.digest], "deed": one.json()},
                )

    def _check_free(self, judged: Mapping[str, Judged], one: Judged) -> None:
        """Refuse a job that another settlement binds, also one that the centre shows no more."""
        settlement = one.shown.settlement
        others = {key: other.shown.settlement for key, other in judged.items()}
        kept = self.shelf.of_project(settlement.project)
        others |= {key: other.settlement for key, other in kept.items() if key not in others}
        before = ancestors({**others, settlement.id: settlement}, settlement.id)
        for key, other in others.items():
            if key in before or key == settlement.id or not set(other.jobs) & set(settlement.jobs):
                continue
            if key not in judged or judged[key].standing.state not in _UNBINDING:
                raise impossible("one of its jobs is in another settlement")
            if other.version >= settlement.version:  # a place would not take it
                raise impossible("a settlement of its jobs has its version, or a later one")
        if any(judged[key].standing.closed is not None for key in before if key in judged):
            raise impossible("the settlement that it replaces is closed")

    def _note_waiting(
        self, project: str, before: Mapping[str, int], found: Mapping[str, Standing], now: int
    ) -> None:
        """Keep when a settlement was seen without its quorum last, so that no date denies it."""
        waiting = {key: now for key, one in found.items() if one.since is None}
        if all(now - before.get(key, 0) < _OFTEN for key in waiting):
            return
        kept = {key: at for key, at in before.items() if found.get(key, _NEW).closed is None}
        with self._store.transaction():
            self.shelf.note_waited(project, {**kept, **waiting})

    def _text(self, judged: Judged, deed: Deed) -> str:
        return str((judged.kept.texts.get(deed.digest) or {}).get("text", ""))


def _is_due(deed: Deed, standing: Standing) -> bool:
    if deed.digest in standing.ignored:
        return False
    if deed.act in _DISPUTES:
        return standing.since is not None
    return deed.act in ("approve", "pay", "confirm")


def _disputes(judged: Judged) -> bool:
    """Tell whether the last that this organisation said of a dispute is that there is one."""
    said = [one.act for one in in_order(judged.kept.deeds) if one.act in _DISPUTES]
    return bool(said) and said[-1] == "dispute"


def _closes(deed: Deed, computed: Computed) -> bool:
    """Tell whether a deed closes the amounts that were computed here."""
    return deed.act == "close" and deed.facts["computed"] == computed.digest


def _opening(deed: Deed, entry: Entry, computed: Computed) -> dict[str, JSON]:
    """Return what an entry stands for, for this owner only.

    The text behind a commitment is not repeated here: it is kept, and erased, in one place.
    """
    told: dict[str, JSON] = {
        "project": deed.project,
        "settlement": deed.settlement,
        "act": deed.act,
    }
    names = {job_digest(one.job): one.job for one in computed.bookings}
    if job := names.get(getattr(entry, "job", b"")):
        told["job"] = job
    return told


def _check_closed(standing: Standing, shown: ShownSettlement, seen: int) -> None:
    """Refuse a close that could not be; `seen` is when the window ends by what was shown here.

    An honest centre takes no approval of long ago, and closes an hour after the window: more than
    clocks differ.
    """
    for deed in shown.deeds:
        if deed.act != "close":
            continue
        reason = standing.ignored.get(deed.digest, "")
        if not reason and standing.closed is not None and deed.at < seen:
            reason = "it was not shown here as approved for the whole dispute window"
        if reason:
            raise SecureFlowError(
                "settlement_closed_early",
                Text(
                    "The centre closed settlement {settlement} though it could not: {reason}.",
                    settlement=deed.settlement,
                    reason=reason,
                ),
                "Nothing is paid by it. Its signed statement is kept here: show it to the others.",
                {"deed": deed.json()},
            )


def _signed_otherwise(act: str) -> SecureFlowError:
    return SecureFlowError(
        "settlement_differs",
        "This organisation has signed another statement of the same kind in this settlement.",
        "The first one stands. secureflow agent settlement show shows it.",
        {"act": act},
    )


def _line(text: str) -> str:
    if not isinstance(text, str) or not text.isprintable() or not 0 < len(text) <= MAX_REFERENCE:
        raise malformed("text")
    return text


def _salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)

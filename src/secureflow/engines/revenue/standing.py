"""Where a settlement stands: a table of states, folded over signed deeds.

The deeds are taken in the order of their signed times, whatever order they came in, and each of one
key once: a repeated, replayed or reordered deed changes nothing. One that its state does not allow
is ignored, with the reason.

| state | deed or event | next |
|---|---|---|
| open | `approve`; enough equal ones, the payer's among them | approved |
| open | `dispute`, `withdraw`: nobody waits for others' approvals | open, later disputed |
| approved | `dispute` within the window | disputed |
| disputed | `withdraw` of the last one | approved |
| approved | `close` after window and grace | closed |
| closed | `pay`, `confirm`; everything that is owed confirmed | paid |
| open, approved, disputed | a settlement that replaces it is approved | superseded |
| open | the one that it replaces was closed | void |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from secureflow.engines.revenue.agreement import Agreement, keys_since
from secureflow.engines.revenue.deeds import CENTRE, Deed
from secureflow.engines.revenue.settlement import Computed, Settlement
from secureflow.kit.text import Text

State = Literal["open", "approved", "disputed", "closed", "paid", "superseded", "void"]
Event = Literal["enough", "contested", "resolved", "settled", "superseded", "voided"]
TRANSITIONS: Final[Mapping[tuple[State, str], State]] = {
    ("open", "approve"): "open",
    ("open", "dispute"): "open",
    ("open", "withdraw"): "open",
    ("open", "enough"): "approved",
    ("open", "superseded"): "superseded",
    ("open", "voided"): "void",
    ("approved", "approve"): "approved",
    ("approved", "contested"): "disputed",
    ("approved", "dispute"): "disputed",
    ("approved", "close"): "closed",
    ("approved", "superseded"): "superseded",
    ("approved", "voided"): "void",
    ("disputed", "approve"): "disputed",
    ("disputed", "dispute"): "disputed",
    ("disputed", "withdraw"): "disputed",
    ("disputed", "resolved"): "approved",
    ("disputed", "superseded"): "superseded",
    ("disputed", "voided"): "void",
    ("closed", "pay"): "closed",
    ("closed", "confirm"): "closed",
    ("closed", "settled"): "paid",
}
"""(state, deed or event) → next state; what is not here is not allowed."""
GRACE: Final = 3600
"""Seconds after the window for disputes that were signed within it and are still on their way."""
_RANK: Final = ("approve", "dispute", "withdraw", "close", "pay", "confirm", "accuse")
"""Of deeds of one moment."""


@dataclass(frozen=True)
class Payment:
    """A payment that the payer stated; `confirm` is the payee's, if there is one."""

    pay: Deed
    confirm: Deed | None = None


@dataclass(frozen=True)
class Standing:
    """A settlement's state, and what led to it.

    Args:
        state: by the table.
        approvals: organisation → its deed.
        approved: digest of what enough members approved; "" before.
        since: unix seconds from which the window runs; None before.
        closes: the first moment at which it may be closed; None before it is approved.
        closed: unix seconds; None before.
        disputes: organisation → its open dispute.
        withdrawn: organisation → the dispute that it took back.
        payments: (payer, reference) → payment.
        accusations: deeds of members who accuse.
        ignored: digest of a deed → why it does not count.
        last: the latest signed time of any deed that counts.
    """

    state: State = "open"
    approvals: Mapping[str, Deed] = field(default_factory=dict)
    approved: str = ""
    since: int | None = None
    closes: int | None = None
    closed: int | None = None
    disputes: Mapping[str, Deed] = field(default_factory=dict)
    withdrawn: Mapping[str, Deed] = field(default_factory=dict)
    payments: Mapping[tuple[str, str], Payment] = field(default_factory=dict)
    accusations: tuple[Deed, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)
    last: int = 0

    def confirmed(self, payee: str) -> int:
        """Return the minor units whose payment the payee confirmed."""
        return _paid(self, payee, confirmed=True)

    def stated(self, payee: str) -> int:
        """Return the minor units whose payment was stated, confirmed or not."""
        return _paid(self, payee, confirmed=False)


def _paid(standing: Standing, payee: str, *, confirmed: bool) -> int:
    return sum(
        int(one.pay.facts["amount"])
        for one in standing.payments.values()
        if one.pay.facts["payee"] == payee and (one.confirm is not None or not confirmed)
    )


@dataclass(frozen=True)
class _Case:
    """What a settlement is judged by."""

    agreement: Agreement
    computed: Computed | None

    def knows(self, standing: Standing) -> bool:
        """Tell whether the amounts that were approved are known here."""
        return self.computed is not None and self.computed.digest == standing.approved

    def owed(self, standing: Standing) -> Mapping[str, int]:
        """Return what is owed by the amounts that were approved, if they are known here."""
        if self.computed is None or not self.knows(standing):
            return {}
        return self.computed.owed(self.agreement.payer)


def check_signed(
    agreement: Agreement,
    log_keys: Iterable[str],
    deeds: Iterable[Deed],
    versions: Iterable[Agreement] = (),
) -> None:
    """Refuse deeds that nobody of the agreement signed (`settlement_deed_forged`).

    Args:
        agreement: whose members' keys count.
        log_keys: of the centre's log, the present one first: it signs `close`.
        deeds: foreign ones.
        versions: all that stand or stood; keys of later ones count, too (`keys_since`).
    """
    centre, known = tuple(log_keys), tuple(versions)
    for one in deeds:
        keys = keys_since(known, agreement, one.organisation)
        one.check(*(centre if one.organisation == CENTRE else keys))


def refusal(agreement: Agreement, computed: Computed | None, standing: Standing, deed: Deed) -> str:
    """Return why a further deed does not count in this standing; "" if it does."""
    if (standing.state, deed.act) not in TRANSITIONS and deed.act != "accuse":
        return Text("it is {state}", state=standing.state)
    return _GUARDS[deed.act](_Case(agreement, computed), standing, deed)


def standing_of(
    agreement: Agreement,
    computed: Computed | None,
    deeds: Iterable[Deed],
    *,
    replaced_at: int | None = None,
    void: bool = False,
) -> Standing:
    """Return where a settlement stands by its deeds, whose signatures were checked.

    Args:
        agreement: the version that it names.
        computed: what follows from it; None where that is not known, then nothing is owed.
        deeds: in any order, each as often as it came.
        replaced_at: when a settlement that replaces it was approved; None if none was.
        void: whether the one that it replaces was closed instead.
    """
    case = _Case(agreement, computed)
    standing = Standing()
    known: dict[tuple[str, ...], str] = {}
    for deed in in_order(deeds):
        if replaced_at is not None and deed.at >= replaced_at:
            standing = _moved(standing, "superseded")
        if known.setdefault(deed.key, deed.digest) != deed.digest:
            standing = _ignoring(standing, deed, "its author signed another one before")
            continue
        if deed.digest in standing.ignored:
            continue
        standing = _with(case, standing, deed)
    if void:
        standing = _moved(standing, "voided")
    return standing if replaced_at is None else _moved(standing, "superseded")


def standings(
    agreements: Mapping[str, Agreement],
    settlements: Iterable[Settlement],
    deeds: Iterable[Deed],
    results: Mapping[str, Computed],
) -> dict[str, Standing]:
    """Return where each settlement of a project stands, replaced ones included.

    Args:
        agreements: by digest.
        settlements: those whose agreement is among them.
        deeds: of all of them, with checked signatures.
        results: id → what follows from it, where that is known.
    """
    listed = {one.id: one for one in settlements if one.agreement in agreements}
    own: dict[str, list[Deed]] = {key: [] for key in listed}
    for deed in deeds:
        if deed.settlement in own:
            own[deed.settlement].append(deed)

    def judged(key: str, replaced_at: int | None = None, *, void: bool = False) -> Standing:
        agreement = agreements[listed[key].agreement]
        return standing_of(
            agreement, results.get(key), own[key], replaced_at=replaced_at, void=void
        )

    found = {key: judged(key) for key in listed}
    for key in sorted(listed, key=lambda one: (found[one].since or 0, one)):
        before = [one for one in ancestors(listed, key) if one in found]
        since = found[key].since
        if any(_closed_by(found[one], since) for one in before):
            found[key] = judged(key, void=True)
        elif since is not None:
            for one in before:
                found[one] = judged(one, since)
    return found


def ancestors(settlements: Mapping[str, Settlement], key: str) -> list[str]:
    """Return the ids that a settlement replaces, nearest first; a circle ends the list."""
    found: list[str] = []
    step = settlements[key].replaces
    while step and step not in found and step != key:
        found.append(step)
        step = settlements[step].replaces if step in settlements else ""
    return found


def in_order(deeds: Iterable[Deed]) -> Sequence[Deed]:
    """Return deeds by signed time, those of one moment by what they do; each once."""
    once = {one.digest: one for one in deeds}
    return sorted(once.values(), key=lambda one: (one.at, _RANK.index(one.act), one.digest))


def _closed_by(standing: Standing, moment: int | None) -> bool:
    return standing.closed is not None and (moment is None or standing.closed < moment)


def _with(case: _Case, standing: Standing, deed: Deed) -> Standing:
    reason = refusal(case.agreement, case.computed, standing, deed)
    if reason:
        return _ignoring(standing, deed, reason)
    moved = TRANSITIONS.get((standing.state, deed.act), standing.state)
    standing = replace(standing, state=moved, last=max(standing.last, deed.at))
    return _EFFECTS[deed.act](case, standing, deed)


def _moved(standing: Standing, event: Event) -> Standing:
    return replace(standing, state=TRANSITIONS.get((standing.state, event), standing.state))


def _ignoring(standing: Standing, deed: Deed, reason: str) -> Standing:
    return replace(standing, ignored={**standing.ignored, deed.digest: reason})


def _member(case: _Case, deed: Deed) -> str:
    return "" if deed.organisation in case.agreement.keys else "its author is no member"


def _may_approve(case: _Case, standing: Standing, deed: Deed) -> str:
    del standing
    return _member(case, deed)


def _may_dispute(case: _Case, standing: Standing, deed: Deed) -> str:
    if standing.since is not None and deed.at >= standing.since + case.agreement.window:
        return "the dispute window is over"
    if deed.organisation in standing.withdrawn:
        return "its author took its dispute back"
    return _member(case, deed)


def _may_withdraw(case: _Case, standing: Standing, deed: Deed) -> str:
    del case
    return "" if deed.organisation in standing.disputes else "its author has no open dispute"


def _may_close(case: _Case, standing: Standing, deed: Deed) -> str:
    del case
    if standing.closes is None or deed.at < standing.closes:
        return "the dispute window is open"
    return "" if deed.facts["computed"] == standing.approved else "it closes other amounts"


def _may_pay(case: _Case, standing: Standing, deed: Deed) -> str:
    if deed.organisation != case.agreement.payer:
        return "its author is not the payer"
    payee = deed.facts["payee"]
    left = case.owed(standing).get(payee, 0) - standing.stated(payee)
    return "" if deed.facts["amount"] <= left else "more than is owed"


def _may_confirm(case: _Case, standing: Standing, deed: Deed) -> str:
    del case
    payment = standing.payments.get((deed.facts["payer"], deed.facts["reference"]))
    if payment is None:
        return "no such payment was stated"
    stated = (payment.pay.facts["payee"], payment.pay.facts["amount"])
    if stated != (deed.organisation, deed.facts["amount"]):
        return "the payment is another one"
    return ""


_Guard = Callable[[_Case, Standing, Deed], str]
_GUARDS: Final[Mapping[str, _Guard]] = {
    "approve": _may_approve,
    "dispute": _may_dispute,
    "withdraw": _may_withdraw,
    "close": _may_close,
    "pay": _may_pay,
    "confirm": _may_confirm,
    "accuse": _may_approve,
}


def _approve(case: _Case, standing: Standing, deed: Deed) -> Standing:
    """Count the approval; enough equal ones with the payer's set the window going."""
    approvals = {**standing.approvals, deed.organisation: deed}
    standing = replace(standing, approvals=approvals)
    if standing.state != "open":
        return standing
    wanted = approvals.get(case.agreement.payer)
    if wanted is None:
        return standing
    computed = wanted.facts["computed"]
    equal = [one for one in approvals.values() if one.facts["computed"] == computed]
    if len(equal) < case.agreement.quorum:
        return standing
    window = case.agreement.window
    closes = deed.at + window + (GRACE if window else 0)
    enough = _moved(standing, "enough")
    enough = replace(enough, approved=computed, since=deed.at, closes=closes)
    return _moved(enough, "contested") if enough.disputes else enough


def _dispute(case: _Case, standing: Standing, deed: Deed) -> Standing:
    del case
    return replace(standing, disputes={**standing.disputes, deed.organisation: deed})


def _withdraw(case: _Case, standing: Standing, deed: Deed) -> Standing:
    del case
    name = deed.organisation
    left = {one: other for one, other in standing.disputes.items() if one != name}
    withdrawn = {**standing.withdrawn, name: standing.disputes[name]}
    standing = replace(standing, disputes=left, withdrawn=withdrawn)
    return standing if left else _moved(standing, "resolved")


def _close(case: _Case, standing: Standing, deed: Deed) -> Standing:
    closed = replace(standing, closed=deed.at)
    # Who knows other amounts than were approved cannot say that nothing is owed.
    nothing = case.knows(closed) and not case.owed(closed)
    return _moved(closed, "settled") if nothing else closed


def _pay(case: _Case, standing: Standing, deed: Deed) -> Standing:
    del case
    place = (deed.organisation, deed.facts["reference"])
    return replace(standing, payments={**standing.payments, place: Payment(deed)})


def _confirm(case: _Case, standing: Standing, deed: Deed) -> Standing:
    place = (deed.facts["payer"], deed.facts["reference"])
    payment = replace(standing.payments[place], confirm=deed)
    standing = replace(standing, payments={**standing.payments, place: payment})
    owed = case.owed(standing)
    settled = all(standing.confirmed(name) == amount for name, amount in owed.items())
    return _moved(standing, "settled") if settled else standing


def _accuse(case: _Case, standing: Standing, deed: Deed) -> Standing:
    del case
    return replace(standing, accusations=(*standing.accusations, deed))


_Effect = Callable[[_Case, Standing, Deed], Standing]
_EFFECTS: Final[Mapping[str, _Effect]] = {
    "approve": _approve,
    "dispute": _dispute,
    "withdraw": _withdraw,
    "close": _close,
    "pay": _pay,
    "confirm": _confirm,
    "accuse": _accuse,
}

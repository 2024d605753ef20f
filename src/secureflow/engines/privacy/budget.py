"""The privacy budget of one domain: `reserve → commit | void`, over an append-only list of events.

A *domain* is a dataset's lineage (versions, subsets and joins inherit it) with one unit and one
limit (ε, δ), both fixed by the owner. The guarantees (docs/privacy.md, "The budget at the agent"):

- a reservation that would exceed the limit is refused before anything runs; the filter composes
  the Rényi curves of everything reserved, committed or unknown (`rdp-filter` in `accounting`, sound
  even if an owner's later jobs depend on earlier answers);
- an event counts from the moment that its storage is *attempted* (`chain`);
- a void gives back only what this process itself reserved and has not run: after a restart every
  open reservation is spent;
- a commit may lower the charge to what was really released, never raise it; only the owner's
  decision does (`enter`);
- a reservation for several jobs is drawn on by each: what a draw moves, the whole has no longer;
- events form a hash chain (`chain`): a state that lacks what the owner's own ledger leaves name (a
  restored backup) is refused.

Storage is injected: `append` writes one event durably or raises. One ledger object per domain and
process; the caller serialises the calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from secureflow.domain.budgets import PrivacyUnit
from secureflow.engines.privacy.accounting import (
    Charge,
    convert,
    epsilon,
    parse_charge,
    renyi,
)
from secureflow.engines.privacy.chain import Append, Event, EventChain
from secureflow.engines.privacy.covering import covers, without
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

FILTER: Final = "rdp-filter"
State = Literal["reserved", "committed", "voided", "unknown"]

_ROUNDING: Final = 1e-6
"""Another version of the accountant may differ in the last digits."""
_HINT = "Ask for a lower epsilon, more noise or fewer rounds, or the owner for a larger budget."


@dataclass(frozen=True)
class Limit:
    """The total that the owner allows a domain to reveal."""

    domain: str
    unit: PrivacyUnit
    epsilon: float
    delta: float

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, the first event of the domain."""
        return {"kind": "limit", **vars(self)}


@dataclass
class _Reservation:
    job: str
    charge: Charge
    state: State
    whole: str = ""


class BudgetLedger:
    """One domain's budget.

    Args:
        limit: the owner's limit. A stored domain keeps its own unit.
        events: the stored events, oldest first; empty for a new domain.
        append: stores one event durably, or raises.

    Raises:
        SecureFlowError: `budget_corrupt`, `budget_unit_fixed`.
    """

    def __init__(self, limit: Limit, events: Sequence[Event], append: Append) -> None:
        self._chain = EventChain(limit.domain, append)
        self._reservations: dict[str, _Reservation] = {}
        self.limit = limit
        for event in events:
            self._replay(event)
        for reservation in self._reservations.values():
            if reservation.state == "reserved":
                reservation.state = "unknown"
        if not events:
            self._chain.store(limit.as_json())
        self.change_limit(limit)

    def change_limit(self, limit: Limit) -> None:
        """Change to another limit of the owner; this is one more event of the chain.

        Raises:
            SecureFlowError: `budget_unit_fixed`.
        """
        if self.limit == limit:
            return
        if self.limit.unit != limit.unit:
            raise unit_fixed(limit.domain, self.limit.unit, limit.unit)
        self._chain.check_settled()
        self._chain.store(limit.as_json())
        self.limit = limit

    # --- the three steps -----------------------------------------------------------------------

    def reserve(self, reservation: str, job: str, charge: Charge) -> float:
        """Set a charge aside before a job runs; return the domain's ε with it (`rdp-filter`).

        The same reservation again while it is open (a repeated request) is answered, not charged
        twice. One that was committed or is unknown is refused: it pays for one run. A job that
        comes back after a restart continues under it (`state_of`) if each of its releases is drawn
        from a stored seed, so that repeating one reveals nothing new.

        Raises:
            SecureFlowError: `budget_exceeded`, `budget_conflict` for another charge under this
                name, `budget_unsettled`, and anything that `append` raises: then do not run.
        """
        self._chain.check_settled()
        known = self._reservations.get(reservation)
        if known is not None:
            same = (known.job, known.charge, known.state) == (job, charge, "reserved")
            if not same:
                raise _conflict(reservation, Text("it is {state}", state=known.state))
            return self.spent
        after = self.check(job, charge)
        # Spent first, stored second: a write that fails half way is not free.
        self._reservations[reservation] = _Reservation(job, charge, "reserved")
        self._chain.store(
            {
                "kind": "reserve",
                "id": reservation,
                "job": job,
                "charge": [m.as_json() for m in charge],
            }
        )
        return after

    def check(self, job: str, charge: Charge) -> float:
        """Return the domain's ε with this charge, if the owner allows it; nothing is reserved.

        Raises:
            SecureFlowError: `budget_exceeded`.
        """
        after = self.epsilon_with(charge)
        if after > self.limit.epsilon:
            raise self._exceeded(job, after)
        return after

    def _exceeded(self, job: str, after: float) -> SecureFlowError:
        return SecureFlowError(
            "budget_exceeded",
            Text(
                "{job} would bring {domain} to ε = {after:.3f} at δ = {delta:g}; the "
                "owner allows {epsilon:g}.",
                job=job,
                domain=self.limit.domain,
                after=after,
                delta=self.limit.delta,
                epsilon=self.limit.epsilon,
            ),
            _HINT,
            {"domain": self.limit.domain, "spent": self.spent, "after": after},
        )

    def commit(self, reservation: str, released: Charge | None = None) -> None:
        """Record that the job ran; `released` may be less than reserved (it stopped early).

        A committed charge may be lowered once more, by a caller that knows that it is final.

        Raises:
            SecureFlowError: `budget_conflict` if it was voided or `released` is more.
        """
        self._chain.check_settled()
        known = self._get(reservation)
        charge = known.charge if released is None else released
        if known.state == "committed" and known.charge == charge:
            return
        if known.state == "voided" or not covers(known.charge, charge):
            raise _conflict(
                reservation, Text("it is {state} for another charge", state=known.state)
            )
        mechanisms = [m.as_json() for m in charge]
        self._chain.store({"kind": "commit", "id": reservation, "charge": mechanisms})
        known.charge, known.state = charge, "committed"

    def void(self, reservation: str) -> None:
        """Cancel a reservation: nothing ran, and this process knows it.

        Raises:
            SecureFlowError: `budget_conflict` after a commit or a restart.
        """
        self._chain.check_settled()
        known = self._get(reservation)
        if known.state == "voided":
            return
        if known.state != "reserved":
            raise _conflict(
                reservation, Text("it is {state}, and unknown counts as spent", state=known.state)
            )
        self._chain.store({"kind": "void", "id": reservation})
        known.state = "voided"

    def draw(self, part: str, whole: str, charge: Charge) -> None:
        """Move a part of a reservation to a job that it was reserved for; the total stays the same.

        What is left of the whole counts as spent until `commit` lowers it: from now on it is no
        longer known that nothing ran. The same part again, while it is open, is answered.

        Raises:
            SecureFlowError: `budget_conflict` if the whole does not hold exactly this charge, was
                voided, or the part has run.
        """
        self._chain.check_settled()
        known, source = self._reservations.get(part), self._get(whole)
        if known is not None:
            if (known.charge, known.state) != (charge, "reserved"):
                raise _conflict(part, Text("it is {state}", state=known.state))
            return
        left = None if source.state == "voided" else without(source.charge, charge)
        if left is None:
            raise _conflict(whole, Text("it holds no charge for {part}", part=part))
        mechanisms = [m.as_json() for m in charge]
        self._chain.store({"kind": "draw", "id": part, "of": whole, "charge": mechanisms})
        self._drawn(part, whole, charge)

    def enter(self, job: str, charge: Charge) -> None:
        """Count a job's charge as spent by its owner's decision, whatever its reservation's state.

        The record may have lost the job's charge, or hold a smaller one.

        Raises:
            SecureFlowError: `budget_exceeded`, `budget_unsettled`.
        """
        self._chain.check_settled()
        known = self._reservations.get(job)
        if known is not None and known.state == "committed" and covers(known.charge, charge):
            return
        others = (one for name, one in self._reservations.items() if name != job)
        after = self._epsilon((*_counted(others), *charge))
        if after > self.limit.epsilon:
            raise self._exceeded(job, after)
        self._reservations[job] = _Reservation(job, charge, "reserved")
        mechanisms = [m.as_json() for m in charge]
        self._chain.store({"kind": "reserve", "id": job, "job": job, "charge": mechanisms})
        self.commit(job)

    def covers(self, reservation: str, released: Charge) -> bool:
        """Tell whether a reservation that was not voided pays for what was released."""
        known = self._reservations.get(reservation)
        return known is not None and known.state != "voided" and covers(known.charge, released)

    # --- what it costs -------------------------------------------------------------------------

    def state_of(self, reservation: str) -> State | None:
        """Return a reservation's state, None if there is none with this name."""
        known = self._reservations.get(reservation)
        return known.state if known else None

    @property
    def charges(self) -> Charge:
        """All charges that count: reserved, committed and unknown."""
        return _counted(self._reservations.values())

    @property
    def committed(self) -> Charge:
        """The charges of what has run, or may have: without those that are only reserved."""
        ran = (one for one in self._reservations.values() if one.state != "reserved")
        return _counted(ran)

    @property
    def spent(self) -> float:
        """ε so far at the limit's δ, by `rdp-filter`."""
        return self.epsilon_with(())

    def epsilon_with(self, charge: Charge) -> float:
        """Return ε if the charge were added, by `rdp-filter`; 0 while nothing is charged."""
        return self._epsilon((*self.charges, *charge))

    def _epsilon(self, together: Charge) -> float:
        return convert(renyi(together), self.limit.delta, FILTER) if together else 0.0

    def report(self) -> dict[str, Any]:
        """Return the figures for people: limit, ε by each conversion, every reservation."""
        charges = self.charges
        exact = not any(m.kind == "tree" for m in charges)
        return {
            **self.limit.as_json(),
            "epsilon_spent": {
                FILTER: self.spent,
                "rdp-cks20": epsilon(charges, self.limit.delta),
                "pld": epsilon(charges, self.limit.delta, "pld") if exact else None,
            },
            "reservations": self.reservations(),
            "head": self.head,
        }

    def reservations(self) -> list[dict[str, Any]]:
        """Return every reservation in JSON form, oldest first; a part's with its whole (`of`)."""
        return [
            {
                "id": name,
                "job": r.job,
                "state": r.state,
                "charge": [m.as_json() for m in r.charge],
                **({"of": r.whole} if r.whole else {}),
            }
            for name, r in self._reservations.items()
        ]

    # --- the chain -----------------------------------------------------------------------------

    @property
    def head(self) -> dict[str, Any]:
        """The content of a ledger leaf; see `EventChain.head`."""
        return self._chain.head

    def reconcile(self, leaves: Iterable[Mapping[str, Any]]) -> None:
        """Refuse to work on a state that is older than the owner's own ledger leaves.

        Args:
            leaves: heads that this agent itself recorded in the ledger.

        Raises:
            SecureFlowError: `budget_rolled_back`.
        """
        self._chain.reconcile(leaves)

    # --- parts ---------------------------------------------------------------------------------

    def _get(self, reservation: str) -> _Reservation:
        known = self._reservations.get(reservation)
        if known is None:
            raise _conflict(reservation, "there is none with this name")
        return known

    def _drawn(self, part: str, whole: str, charge: Charge) -> None:
        source = self._reservations[whole]
        left = without(source.charge, charge)
        if left is None:
            raise KeyError(whole)  # an event that no version writes
        source.charge, source.state = left, "committed"
        self._reservations[part] = _Reservation(part, charge, "reserved", whole)

    def _replay(self, event: Event) -> None:
        try:
            self._apply(event)
        except (KeyError, TypeError, SecureFlowError) as error:
            raise self._chain.unreadable() from error
        self._chain.add(event)

    def _apply(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "limit":
            self.limit = Limit(event["domain"], event["unit"], event["epsilon"], event["delta"])
            return
        if kind == "reserve":
            charge = parse_charge(event["charge"])
            self._reservations[event["id"]] = _Reservation(event["job"], charge, "reserved")
            return
        if kind == "draw":
            self._drawn(event["id"], event["of"], parse_charge(event["charge"]))
            return
        known = self._reservations[event["id"]]
        if kind == "commit":
            known.charge, known.state = parse_charge(event["charge"]), "committed"
        elif kind == "void":
            known.state = "voided"
        else:
            raise KeyError(kind)


def check_sums(events: Sequence[Event]) -> None:
    """Verify the charges of a stored budget again, reservation by reservation.

    Raises:
        SecureFlowError: `budget_exceeded` if one brought the domain above the limit of that
            time, `budget_corrupt`.
        KeyError: the first event is not a limit.
    """
    first = events[0]
    limit = Limit(first["domain"], first["unit"], first["epsilon"], first["delta"])
    ledger = BudgetLedger(limit, events[:1], lambda _: None)
    for number, event in enumerate(events[1:], start=2):
        ledger._replay(event)
        if event["kind"] == "reserve" and ledger.spent > ledger.limit.epsilon * (1 + _ROUNDING):
            raise SecureFlowError(
                "budget_exceeded",
                Text(
                    "Event {number} brings {domain} to ε = {spent:.3f}; the limit of that"
                    " time is {epsilon:g}.",
                    number=number,
                    domain=limit.domain,
                    spent=ledger.spent,
                    epsilon=ledger.limit.epsilon,
                ),
                "No agent would reserve that: the record was changed.",
            )


@dataclass(frozen=True)
class Standing:
    """How a budget stood after an event.

    Args:
        job: whose event it is; empty: the limit changed.
        state: of the job's charge then; empty for a limit.
        charges: everything that counted.
        committed: what of it had run.
        limit: of that time.
    """

    job: str
    state: str
    charges: Charge
    committed: Charge
    limit: Limit


def standings(events: Sequence[Event]) -> list[Standing]:
    """Return how a stored budget stood after each event, the oldest first.

    Raises:
        SecureFlowError: `budget_corrupt`.
        KeyError: the first event is not a limit.
    """
    if not events:
        return []
    first = events[0]
    limit = Limit(first["domain"], first["unit"], first["epsilon"], first["delta"])
    ledger = BudgetLedger(limit, events[:1], lambda _: None)
    found = [Standing("", "", (), (), limit)]
    for event in events[1:]:
        ledger._replay(event)
        known = ledger._reservations.get(str(event.get("id", "")))
        found.append(
            Standing(
                "" if known is None else known.job,
                "" if known is None else known.state,
                *(ledger.charges, ledger.committed, ledger.limit),
            )
        )
    return found


def _counted(reservations: Iterable[_Reservation]) -> Charge:
    return tuple(m for one in reservations if one.state != "voided" for m in one.charge)


def unit_fixed(domain: str, unit: PrivacyUnit, wanted: PrivacyUnit) -> SecureFlowError:
    """Return the error for a domain that is to be accounted in another unit."""
    return SecureFlowError(
        "budget_unit_fixed",
        Text(
            "{domain} is accounted per {unit}, not per {wanted}.",
            domain=domain,
            unit=unit,
            wanted=wanted,
        ),
        "The unit of a domain is fixed once: ε of different units cannot be added.",
    )


def _conflict(reservation: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "budget_conflict",
        Text(
            "The reservation {reservation} cannot be used: {reason}.",
            reservation=reservation,
            reason=reason,
        ),
    )

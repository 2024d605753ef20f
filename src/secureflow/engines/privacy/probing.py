"""The probing limit of one privacy domain: how many ids others may test against it.

Whoever learns the intersection with an owner's list learns, of each id of its own list, whether it
is in the owner's: it has *tested* that id. A partner could test every phone number there is, list
by list and project by project; so ids are counted over all partners, projects and jobs together.
The guarantees (docs/psi-keys.md, "The probing limit"):

- a reservation that would bring the domain above the owner's limit is refused before anything runs;
- a list counts once in a job: the same committed list in a further attempt costs nothing, a list
  with another commitment counts in full, whatever the two have in common. A list that was tested to
  the end counts again in a further attempt: nothing but its party's word says that it is the same;
- a reservation is committed before an engine starts; a void gives back only what this process
  itself reserved and has not committed. After a restart what is open counts as tested;
- ids that a job's parts will test are set aside for the job (`PLANNED`) before the first of them. A
  part draws its lists from that, and only what goes beyond it is compared with what is left; what
  no part drew was tested by nobody, and is given back, after a restart too;
- a list that turns out to be longer than its party said counts with its length, even above the
  limit: what was tested stays tested;
- with a window, ids that were tested longer ago no longer count;
- events form a hash chain like those of a privacy budget (`engines.privacy.chain`), and a state
  older than the owner's own ledger leaves is refused.

Storage is injected: `append` writes one event durably or raises. One ledger object per domain and
process; the caller serialises the calls.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from secureflow.engines.privacy.chain import Append, Event, EventChain
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

State = Literal["reserved", "committed", "voided", "unknown"]

DAY: Final = 86_400
PREFIX: Final = "probing:"
"""Begins the chain's name: no privacy domain has a colon, so the two chains of one are two."""
PLANNED: Final = "planned"
"""In the place of a commitment: of ids that are set aside for the parts of a job, whichever."""
STATED: Final = ""
"""The party of ids that the owner stated after a restore."""
_HINT: Final = (
    "Ask with a shorter list, or the owner for a higher `probing.limit` in its agent.yaml."
)


@dataclass(frozen=True)
class ProbingRule:
    """What an owner allows.

    Args:
        domain: the privacy domain.
        limit: ids that others may test, all together.
        window: days after which a tested id no longer counts; None: it always does.
    """

    domain: str
    limit: int
    window: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form, the first event of the domain."""
        return {"kind": "limit", **vars(self)}

    @classmethod
    def from_json(cls, event: Event) -> Self:
        """Read the JSON form; raises KeyError."""
        return cls(str(event["domain"]), int(event["limit"]), event["window"])


@dataclass(frozen=True)
class Probe:
    """The list of ids that one party tests in a job.

    Args:
        party: whose list it is, an organisation's slug.
        ids: how many ids are in it.
        inputs: hex commitment to it (`engines.psi.commitment`).
    """

    party: str
    ids: int
    inputs: str

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return dict(vars(self))


@dataclass
class _Tested:
    """A list in a job, and since when it counts (unix seconds)."""

    ids: int
    at: int
    state: State


Name = tuple[str, str, str]
"""Job, party, inputs."""


class ProbingLedger:
    """One domain's tested ids.

    Args:
        rule: the owner's limit.
        events: the stored events, oldest first; empty for a new domain.
        append: stores one event durably, or raises.
        mine: the lists that this very process reserved, and could give back; see `reserved`.

    Raises:
        SecureFlowError: `budget_corrupt`.
    """

    def __init__(
        self,
        rule: ProbingRule,
        events: Sequence[Event],
        append: Append,
        mine: Collection[Name] = (),
    ) -> None:
        self._chain = EventChain(chain_name(rule.domain), append)
        self._lists: dict[Name, _Tested] = {}
        self._ended: list[tuple[Name, _Tested]] = []
        self.rule = rule
        for event in events:
            self._replay(event)
        for name, one in self._lists.items():
            if one.state == "reserved" and name not in mine and name[2] != PLANNED:
                one.state = "unknown"
        if not events:
            self._chain.store(rule.as_json())
        self.change_rule(rule)

    def change_rule(self, rule: ProbingRule) -> None:
        """Change to another limit of the owner; this is one more event of the chain."""
        if self.rule == rule:
            return
        self._chain.check_settled()
        self._chain.store(rule.as_json())
        self.rule = rule

    # --- the steps -----------------------------------------------------------------------------

    def check(self, job: str, probes: Sequence[Probe], now: int) -> int:
        """Return how many ids would be left; nothing is reserved.

        Raises:
            SecureFlowError: `probing_exceeded`, `probing_conflict` for a list that was named with
                another length before.
        """
        fresh = sum(one.ids for one in self._fresh(job, probes))
        left = self.left(now)
        if fresh > left:
            raise self._exceeded(job, fresh, left)
        return left - fresh

    def reserve(self, job: str, probes: Sequence[Probe], now: int) -> bool:
        """Set ids aside before a job runs; return whether there was anything new to reserve.

        Lists that this job named before, and that were not given back, count already.

        Raises:
            SecureFlowError: those of `check`, `budget_unsettled`, and anything that `append`
                raises: then do not run.
        """
        self._chain.check_settled()
        self.check(job, probes, now)
        fresh = list(self._fresh(job, probes))
        if not fresh:
            return False
        for one in fresh:  # counted first, stored second: a write that fails half way is not free
            self._lists[_name(job, one)] = _Tested(one.ids, now, "reserved")
        listed = [one.as_json() for one in fresh]
        self._chain.store({"kind": "reserve", "job": job, "at": now, "probes": listed})
        return True

    def draw(self, job: str, whole: str, probes: Sequence[Probe], now: int) -> bool:
        """Set the ids of a part's lists aside, out of what is for its whole; see `reserve`.

        Raises:
            SecureFlowError: `probing_exceeded` for more than is set aside and left together; those
                of `reserve`.
        """
        self._chain.check_settled()
        fresh = list(self._fresh(job, probes))
        beyond, left = self._beyond(whole, fresh), self.left(now)
        if beyond > left:
            raise self._exceeded(job, beyond, left)
        if not fresh:
            return False
        listed = [one.as_json() for one in fresh]
        self._chain.store({"kind": "draw", "job": job, "whole": whole, "at": now, "probes": listed})
        self._draw(job, whole, fresh, now)
        return True

    def commit(self, job: str, probes: Sequence[Probe], now: int) -> None:
        """Record that an engine is about to test these lists; repeating it changes nothing.

        Raises:
            SecureFlowError: `probing_conflict` for a list that is not reserved.
        """
        self._chain.check_settled()
        names = [_name(job, one) for one in probes]
        for name, one in zip(names, probes, strict=True):
            known = self._lists.get(name)
            if known is None or known.state == "voided" or known.ids < one.ids:
                raise _conflict(job, one.party, "no reservation covers it")
        fresh = [name for name in names if self._lists[name].state != "committed"]
        if fresh:
            self._chain.store(
                {"kind": "commit", "at": now, "probes": [list(name) for name in fresh]}
            )
        for name in fresh:
            self._lists[name].state, self._lists[name].at = "committed", now

    def exceed(self, job: str, probe: Probe, now: int) -> bool:
        """Count a list with the length that it really had; return whether it was said to be less.

        Raises:
            SecureFlowError: `probing_conflict` for a list that was not committed.
        """
        self._chain.check_settled()
        known = self._lists.get(_name(job, probe))
        if known is None or known.state != "committed":
            raise _conflict(job, probe.party, "no reservation covers it")
        if probe.ids <= known.ids:
            return False
        self._chain.store({"kind": "exceed", "job": job, "at": now, **probe.as_json()})
        known.ids = probe.ids
        return True

    def end(self, job: str, probe: Probe) -> None:
        """Record that a list was tested to the end.

        It counts on, and again in full if it is named once more.

        Raises:
            SecureFlowError: `probing_conflict` for a list that was not committed.
        """
        self._chain.check_settled()
        name = _name(job, probe)
        known = self._lists.get(name)
        if known is None or known.state != "committed":
            raise _conflict(job, probe.party, "no reservation covers it")
        self._chain.store({"kind": "end", "probes": [list(name)]})
        self._end(name)

    def void(self, job: str) -> bool:
        """Give back what this process reserved for a job and has not committed; True if anything.

        Nothing ran under it, and this process knows it.
        """
        self._chain.check_settled()
        mine = [name for name, one in self._lists.items()
                if name[0] == job and one.state == "reserved"]  # fmt: skip
        if mine:
            self._chain.store({"kind": "void", "probes": [list(name) for name in mine]})
        for name in mine:
            self._lists[name].state = "voided"
        return bool(mine)

    def enter(self, ids: int, now: int) -> None:
        """Count ids that were tested by the owner's word, even above the limit."""
        self._chain.check_settled()
        number = len(self._chain)
        self._chain.store({"kind": "enter", "at": now, "ids": ids})
        self._enter(number, ids, now)

    # --- what it comes to ----------------------------------------------------------------------

    def tested(self, now: int) -> int:
        """Return the ids that count: reserved, committed or unknown, within the window."""
        window = self.rule.window
        since = None if window is None else now - window * DAY
        return sum(
            one.ids
            for _, one in self._all()
            if one.state != "voided" and (since is None or one.at > since)
        )

    def left(self, now: int) -> int:
        """Return the ids that may still be tested; never less than 0."""
        return max(0, self.rule.limit - self.tested(now))

    def reserved(self) -> frozenset[Name]:
        """Return the lists that this process reserved and has not committed."""
        return frozenset(name for name, one in self._lists.items() if one.state == "reserved")

    def lists(self) -> list[dict[str, Any]]:
        """Return every list that was named: job, party, ids, inputs, at (unix seconds), state."""
        return [
            {"job": job, "party": party, "inputs": inputs, **vars(one)}
            for (job, party, inputs), one in self._all()
        ]

    # --- the chain -----------------------------------------------------------------------------

    @property
    def head(self) -> dict[str, Any]:
        """The content of a ledger leaf; see `EventChain.head`."""
        return self._chain.head

    def reconcile(self, leaves: Iterable[Mapping[str, Any]]) -> None:
        """Refuse to work on a state that is older than the owner's own leaves; see `EventChain`."""
        self._chain.reconcile(leaves)

    # --- parts ---------------------------------------------------------------------------------

    def _fresh(self, job: str, probes: Sequence[Probe]) -> Iterator[Probe]:
        """Yield the lists that do not count yet.

        Raises:
            SecureFlowError: `probing_conflict`.
        """
        seen: set[Name] = set()
        for one in probes:
            known, name = self._lists.get(_name(job, one)), _name(job, one)
            if known is not None and known.state != "voided":
                if one.ids > known.ids:
                    raise _conflict(job, one.party, "it was named with fewer ids before")
            elif name not in seen:
                yield one
            seen.add(name)

    def check_draw(self, event: Event) -> None:
        """Refuse a stored draw beyond what was set aside and left (`probing_exceeded`)."""
        beyond = self._beyond(str(event["whole"]), list(_probes(event)))
        if beyond > (left := self.left(int(event["at"]))):
            raise self._exceeded(str(event["job"]), beyond, left)

    def _planned(self, whole: str, party: str) -> _Tested | None:
        found = self._lists.get((whole, party, PLANNED))
        return found if found is not None and found.state == "reserved" else None

    def _beyond(self, whole: str, probes: Sequence[Probe]) -> int:
        """Return how many ids of a part's lists nothing was set aside for."""
        wanted: dict[str, int] = {}
        for one in probes:
            wanted[one.party] = wanted.get(one.party, 0) + one.ids
        return sum(max(0, ids - self._planned_ids(whole, party)) for party, ids in wanted.items())

    def _planned_ids(self, whole: str, party: str) -> int:
        planned = self._planned(whole, party)
        return 0 if planned is None else planned.ids

    def _draw(self, job: str, whole: str, probes: Iterable[Probe], now: int) -> None:
        for one in probes:
            planned = self._planned(whole, one.party)
            if planned is not None:
                planned.ids -= min(planned.ids, one.ids)
            self._lists[_name(job, one)] = _Tested(one.ids, now, "reserved")

    def _all(self) -> Iterator[tuple[Name, _Tested]]:
        """Yield every list that was named; one that was tested to the end as often as it was."""
        yield from self._ended
        yield from self._lists.items()

    def _end(self, name: Name) -> None:
        self._ended.append((name, self._lists.pop(name)))

    def _exceeded(self, job: str, wanted: int, left: int) -> SecureFlowError:
        rule = self.rule
        said = Text(
            "{job} would test {wanted} ids against {domain}; {left} of {limit} are left.",
            job=job,
            wanted=wanted,
            domain=rule.domain,
            left=left,
            limit=rule.limit,
        )
        if rule.window is not None:
            said = Text(
                "{job} would test {wanted} ids against {domain}; {left} of {limit} in {window} "
                "days are left.",
                job=job,
                wanted=wanted,
                domain=rule.domain,
                left=left,
                limit=rule.limit,
                window=rule.window,
            )
        facts = {"domain": rule.domain, "wanted": wanted, "left": left}
        return SecureFlowError("probing_exceeded", said, _HINT, facts)

    def _enter(self, number: int, ids: int, now: int) -> None:
        self._lists["", STATED, str(number)] = _Tested(ids, now, "committed")

    def _replay(self, event: Event) -> None:
        try:
            self._apply(event)
        except (KeyError, TypeError, ValueError) as error:
            raise self._chain.unreadable() from error
        self._chain.add(event)

    def _apply(self, event: Event) -> None:
        kind = event["kind"]
        if kind == "limit":
            self.rule = ProbingRule.from_json(event)
        elif kind == "reserve":
            for one in _probes(event):
                name = _name(event["job"], one)
                self._lists[name] = _Tested(one.ids, int(event["at"]), "reserved")
        elif kind == "draw":
            self._draw(event["job"], str(event["whole"]), _probes(event), int(event["at"]))
        elif kind == "exceed":
            self._lists[event["job"], event["party"], event["inputs"]].ids = int(event["ids"])
        elif kind == "enter":
            self._enter(len(self._chain), int(event["ids"]), int(event["at"]))
        elif kind == "end":
            for job, party, inputs in event["probes"]:
                self._end((job, party, inputs))
        else:
            self._follow(kind, event)

    def _follow(self, kind: str, event: Event) -> None:
        states: Mapping[str, State] = {"commit": "committed", "void": "voided"}
        for job, party, inputs in event["probes"]:
            known = self._lists[job, party, inputs]
            known.state, known.at = states[kind], int(event.get("at", known.at))


def chain_name(domain: str) -> str:
    """Return the name of a privacy domain's chain of tested ids."""
    return f"{PREFIX}{domain}"


def check_tested(chain: str, events: Sequence[Event]) -> ProbingLedger:
    """Read a stored chain again, and verify each of its reservations.

    Args:
        chain: the name that it is stored under.
        events: oldest first.

    Raises:
        SecureFlowError: `budget_corrupt`; `probing_exceeded` if one brought the domain above the
            limit of that time.
        KeyError: the first event is not a limit of this domain.
    """
    first = ProbingRule.from_json(events[0])
    if chain_name(first.domain) != chain:
        raise KeyError(chain)
    ledger = ProbingLedger(first, events[:1], _nothing)
    for event in events[1:]:
        if event["kind"] == "reserve":
            ledger.check(event["job"], list(_probes(event)), int(event["at"]))
        if event["kind"] == "draw":
            ledger.check_draw(event)
        ledger._replay(event)
    return ledger


def _probes(event: Event) -> Iterator[Probe]:
    for one in event["probes"]:
        yield Probe(str(one["party"]), int(one["ids"]), str(one["inputs"]))


def _nothing(event: Event) -> None:
    raise TypeError(event)


def _name(job: str, probe: Probe) -> Name:
    return job, probe.party, probe.inputs


def _conflict(job: str, party: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "probing_conflict",
        Text(
            "The list of {party} in {job} cannot be tested: {reason}.",
            party=party,
            job=job,
            reason=reason,
        ),
        "An attempt names the list again that it committed to, or another one with another "
        "commitment.",
    )

"""The inbox: requests for data that wait for a person of this organisation.

Nothing that a person decides on can change between the moment it is shown and the decision:

- an item's id is the whole SHA-256 over everything that is shown of it: job, spec digest, the
  request, why it waits, and until when an approval is valid. It is recomputed from what is stored,
  the spec included, when the item is shown, when it is decided, and when the decision is used;
- a decision names that id in full. A prefix is never accepted, even if only one item has it:
  whoever chooses the job ids (the operator) can find many with the same prefix;
- a decision is read for a job and a spec digest, and is valid for that pair alone.

Where two people must decide (`agent.owner.twopeople`), the first approval is kept and the request
goes on waiting; one rejection ends it. Nobody is both: not by two sessions, and not in the place of
somebody who decided already (`agent.owner.people.distinct`).

An approval is not yet a signature: the agent checks everything once more before it signs. Who
approves is told what came of that.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Final, Literal
from weakref import WeakValueDictionary

from secureflow.agent.owner.acting import Actor, acting
from secureflow.agent.owner.personrules import (
    apart,
    distinct,
    session_ended,
)
from secureflow.agent.owner.twopeople import TWO
from secureflow.agent.record.peoplerows import ItemApproval
from secureflow.agent.record.records import InboxItem
from secureflow.agent.record.store import RecordStore
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.clock import Clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_ANEW: Final = "the data was declared or published anew: it is asked again"
_LATE: Final = "nobody decided in time"
RENEWAL: Final = "its approval has expired: the same job asks again"
"""Why a request waits that a person may have approved before."""
MAX_WAITING: Final = 256
"""Requests that wait at once. Expired or withdrawn ones keep their summary, not their spec: the
centre chooses how many it sends, and how long they are."""
LOOK_SECONDS: Final = 60.0
"""Seconds between checks of the clock while waiting for a decision: it may be set meanwhile."""


def item_id(
    job: str,
    spec_digest: str,
    request: Mapping[str, JSON],
    reasons: Sequence[str],
    expires: int,
) -> str:
    """Return the id of a request: 64 hex digits over everything that a person is shown of it."""
    return digest(
        {
            "job": job,
            "spec": spec_digest,
            "request": dict(request),
            "reasons": list(reasons),
            "expires": expires,
        }
    )


async def _came(
    questions: Sequence[asyncio.Future[SecureFlowError | None]], seconds: float
) -> tuple[bool, SecureFlowError | None]:
    """Return whether one is answered with a signature; an error only if all ended without one.

    The centre may ask the same several times: one that is refused says nothing of the others.
    """
    refusal, pending = None, set(questions)
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                came = [one.result() for one in done if not one.cancelled()]
                if None in came:
                    return True, None
                refusal = next(filter(None, came), refusal)
    return False, None if pending else refusal


def checked(item: InboxItem) -> InboxItem:
    """Return the item if it matches its id, including the spec.

    Raises:
        SecureFlowError: `inbox_item_changed`.
    """
    spec = digest(item.spec)
    found = item_id(item.job, spec, item.request, item.reasons, item.expires)
    if spec != item.digest or not hmac.compare_digest(found, item.id):
        raise _changed(item.id, Text("what is stored under it has the id {found}", found=found))
    return item


class Inbox:
    """Stores requests and wakes the tasks that wait for a decision.

    Args:
        store: the agent's record.
        clock: unix seconds.
        two_people: returns why two people must decide a request; empty: one person does.
        within: returns the seconds for a decision; None: as long as an approval could be valid.
    """

    def __init__(
        self,
        store: RecordStore,
        clock: Clock,
        two_people: Callable[[Mapping[str, JSON]], Sequence[str]] = lambda _: (),
        within: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._two_people = two_people
        self._within = within
        # An event exists while a task waits for it: the centre chooses how many items come.
        self._decided: WeakValueDictionary[str, asyncio.Event] = WeakValueDictionary()
        self._answering: dict[tuple[str, str], list[asyncio.Future[SecureFlowError | None]]] = {}

    def list(self, *, waiting: bool = True) -> list[InboxItem]:
        """Return items, newest first; decided ones only among the newest 500."""
        return self._store.inbox(waiting=waiting)

    def get(self, item: JSON) -> InboxItem:
        """Return one item by its full id; what is no id at all names none.

        Raises:
            SecureFlowError: `not_found`.
        """
        found = self._store.inbox_item(item) if _is_id(item) else None
        if found is None:
            raise SecureFlowError(
                "not_found",
                Text("The inbox has no request with the id {item!r}.", item=str(item)[:80]),
                "Give the whole id, all 64 characters; `secureflow agent inbox list` shows those "
                "that wait, `--all` all of them.",
            )
        return found

    def shown(self, item: str) -> InboxItem:
        """Return one item for a person to read; with its spec, if that is still kept.

        Raises:
            SecureFlowError: `not_found`, `inbox_item_changed`.
        """
        found = self.get(item)
        return checked(found) if found.state == "waiting" else found

    def put(
        self,
        job: str,
        spec_digest: str,
        spec: Mapping[str, JSON],
        request: Mapping[str, JSON],
        reasons: Sequence[str],
        expires: int,
        *,
        renewing: bool = False,
    ) -> str:
        """Insert a request unless the same one is there; return its id.

        It is the same if job, spec and request are equal, whatever expiry the centre names. If the
        owner declared the data again meanwhile, it is a new one, because nobody has seen it yet.
        `renewing`: the approval has expired, and earlier decisions no longer count.

        Raises:
            SecureFlowError: `inbox_full`, `inbox_item_changed`.
        """
        plain = _plain(request)
        reasons = (RENEWAL, *reasons) if renewing else reasons
        since = self._clock() if renewing else 0
        with self._store.transaction():
            known = self._store.inbox_request(job, spec_digest)
            if known is not None and known.request == plain and known.expires > since:
                return known.id
            if known is not None and known.state == "waiting":
                late = known.request == plain
                withdrawn = _closed(known, "withdrawn", _ANEW)
                gone = _closed(known, "expired", _LATE) if late else withdrawn
                self._store.decide_inbox_item(gone)
            now = self._clock()
            item = item_id(job, spec_digest, plain, reasons, expires)
            new = InboxItem(
                item, job, spec_digest, plain, dict(spec), tuple(reasons), "waiting", now, expires
            )
            self._insert(checked(new))
        return item

    def _insert(self, new: InboxItem) -> None:
        """Let an item wait; one that was decided earlier with the same id stays decided."""
        same = self._store.inbox_item(new.id)
        if same is not None and (same.job, same.digest) != (new.job, new.digest):
            raise _changed(
                new.id, Text("another request than that of {job} is stored under it", job=new.job)
            )
        if same is not None and same.state != "withdrawn":
            return
        self._check_room(new.job)
        if same is None:
            self._store.add_inbox_item(new)
        else:  # the declaration was changed back
            self._store.forget_item_approvals(new.id)
            self._store.decide_inbox_item(new)
        self._store.note(new.at, "inbox.waiting", new.job, item=new.id)

    def still_waiting(self, item: str) -> InboxItem:
        """Return a request about which whoever acts may still decide, as it is shown.

        Raises:
            SecureFlowError: `not_found`, `already_decided`, `expired`, `inbox_item_changed`,
                `session_ended`.
        """
        self._check_present(acting())
        found = self.get(item)
        if found.state != "waiting":
            raise SecureFlowError(
                "already_decided",
                Text("Request {item} is already {state}.", item=item, state=found.state),
                "A decision is final; a changed job comes as a new request.",
            )
        if self._clock() >= self.deadline(found):
            raise SecureFlowError(
                "expired",
                Text("Request {item} has expired: nobody waits for it any more.", item=item),
                "Have the job submitted again.",
            )
        return checked(found)

    def decide(
        self, item: str, state: Literal["approved", "rejected"], reason: str = ""
    ) -> InboxItem:
        """Store a person's decision on exactly the content behind this id; it is final.

        An item that is approved by the first of two people is returned as it is: it waits.

        Raises:
            SecureFlowError: `not_found`, `already_decided`, `expired`, `inbox_item_changed`;
                `two_people_needed` where no person acts, `same_person`, `session_ended`.
        """
        actor = acting()
        with self._store.transaction():
            found, now = self.still_waiting(item), self._clock()
            decided = replace(found, state=state, decided_at=now, reason=reason)
            facts = {"item": item, "spec": found.digest, "reason": reason, **actor.facts()}
            if read := [(one.question, one.answer) for one in self._store.questions(found.job)]:
                facts["questions"] = digest([list(one) for one in read])  # as they were then
            if state == "approved":
                one, enough = self._approved(found, actor, reason, now)
                if one is not None and one.authority != one.person:
                    facts["in_place_of"] = one.authority
                if not enough:  # the note must not sway the second person: it is told later
                    told = {name: fact for name, fact in facts.items() if name != "reason"}
                    self._store.note(now, "inbox.approved_by_one", found.job, **told)
                    return found
            self._store.decide_inbox_item(decided)
            self._store.note(now, f"inbox.{state}", found.job, **facts)
        return decided

    def _approved(
        self, item: InboxItem, actor: Actor, reason: str, now: int
    ) -> tuple[ItemApproval | None, bool]:
        """Keep a person's approval; return it, and whether no other one is needed."""
        two = self.two_people(item)
        if not actor.person:
            if two:
                raise SecureFlowError(
                    "two_people_needed",
                    Text("Request {item} needs the decisions of two people.", item=item.id),
                    "Make accounts for them: secureflow agent people add NAME --role decider.",
                )
            return None, True
        earlier = self._store.item_approvals(item.id)
        for authority in actor.authorities or (actor.person,):
            one = ItemApproval(item.id, actor.person, authority, actor.user, now, reason)
            if distinct((*earlier, one)) and all(self._apart(one, each) for each in earlier):
                self._store.add_item_approval(one)
                return one, not two or len(earlier) > 0
        raise SecureFlowError(
            "same_person",
            Text("Request {item} needs the decision of another person.", item=item.id),
            "You approved it already, or would decide in the place of who did; or an account that "
            "a login made could be of who approved first: an owner-admin binds both accounts to "
            "one provider.",
        )

    def _apart(self, one: ItemApproval, other: ItemApproval) -> bool:
        """Return whether nobody of the one can be somebody of the other under another account."""
        known = self._store.identities_of
        return all(
            mine == theirs or apart(known(mine), known(theirs))
            for mine in {one.person, one.authority}
            for theirs in {other.person, other.authority}
        )

    def _check_present(self, actor: Actor) -> None:
        """Refuse a person whose account was disabled since its session was looked at."""
        person = self._store.person(actor.person) if actor.person else None
        if actor.person and (person is None or person.disabled):
            raise session_ended()

    def two_people(self, item: InboxItem) -> tuple[str, ...]:
        """Return why two people must decide an item: as it was asked, or by the rules of now."""
        now = tuple(self._two_people(item.request))
        asked = item.reasons[item.reasons.index(TWO) + 1 :] if TWO in item.reasons else ()
        return tuple(dict.fromkeys((*asked, *now))) or ((TWO,) if TWO in item.reasons else ())

    def approvals(self, item: str) -> Sequence[ItemApproval]:
        """Return the approvals of an item by people, the first one first."""
        return self._store.item_approvals(item)

    def deadline(self, item: InboxItem) -> int:
        """Return the unix second from which nobody can decide an item any more."""
        within = self._within()
        return item.expires if within is None else min(item.expires, item.at + within)

    async def approve(
        self, item: str, reason: str, seconds: float
    ) -> tuple[InboxItem, dict[str, JSON]]:
        """Store an approval, and return what came of it.

        Args:
            item: as `decide` takes it.
            reason: a note.
            seconds: to wait for the signature.

        Returns:
            The item; `second` if it waits on for another person. Else `signed`, and if the agent
            refuses what was approved the error as `refused`; neither if nobody asks for the
            signature now: it is checked and made when the centre asks again.

        Raises:
            SecureFlowError: those of `decide`.
        """
        found = self.get(item)
        waiting = list(self._answering.get((found.job, found.digest), ()))
        decided = await asyncio.to_thread(self.decide, item, "approved", reason)
        if decided.state == "waiting":
            return decided, {"signed": False, "second": True}
        self.wake(item)
        if not waiting:
            return decided, {"signed": False}
        signed, refusal = await _came(waiting, seconds)
        refused = {} if refusal is None else {"refused": refusal.as_json()}
        return decided, {"signed": signed, **refused}

    @contextmanager
    def answering(self, job: str, spec_digest: str) -> Iterator[None]:
        """Let who approves a request meanwhile know what comes of it (on the event loop)."""
        came: asyncio.Future[SecureFlowError | None] = asyncio.get_running_loop().create_future()
        questions = self._answering.setdefault((job, spec_digest), [])
        questions.append(came)
        try:
            yield
            came.set_result(None)
        except SecureFlowError as error:
            came.set_result(error)
            raise
        finally:
            came.cancel()  # unless it is set: the question ended without an answer
            questions.remove(came)
            if not questions:
                self._answering.pop((job, spec_digest), None)

    def withdraw(self, job: str) -> None:
        """Close a job's waiting items, because the job is over."""
        waiting = [item for item in self._store.inbox(waiting=True) if item.job == job]
        for item in waiting:
            self._close(item.id, "withdrawn", "the job is over")
        for item in waiting:
            self.wake(item.id)

    def wake(self, item: str) -> None:
        """Wake the tasks that wait for this item's decision (on the event loop)."""
        event = self._decided.get(item)
        if event is not None:
            event.set()

    def wake_all(self) -> None:
        """Wake all waiting tasks, to check whether their item still waits (on the event loop)."""
        for event in list(self._decided.values()):
            event.set()

    async def decision(self, item: str, job: str, spec_digest: str) -> InboxItem:
        """Wait until the item of this job and spec is decided or expires.

        Raises:
            SecureFlowError: `not_found`, `inbox_item_changed` for an item of another job or spec.
        """
        event = self._decided.setdefault(item, asyncio.Event())
        while True:
            event.clear()
            found = self.get(item)
            if (found.job, found.digest) != (job, spec_digest):
                raise _changed(
                    item,
                    Text(
                        "it is not the request of {job} with spec {spec_digest}",
                        job=job,
                        spec_digest=spec_digest,
                    ),
                )
            left = self.deadline(found) - self._clock()
            if found.state == "approved":
                return checked(found)
            if found.state != "waiting":
                return found
            if left <= 0:
                return await asyncio.to_thread(self._close, item, "expired", _LATE)
            try:
                async with asyncio.timeout(min(left, LOOK_SECONDS)):
                    await event.wait()
            except TimeoutError:
                continue

    def _close(self, item: str, state: Literal["expired", "withdrawn"], reason: str) -> InboxItem:
        """Close an item that still waits; an earlier decision is kept."""
        with self._store.transaction():
            found = self.get(item)
            if found.state != "waiting":
                return found
            closed = _closed(found, state, reason)
            self._store.decide_inbox_item(closed)
        return closed

    def _check_room(self, job: str) -> None:
        if len(self._store.inbox(waiting=True)) >= MAX_WAITING:
            raise SecureFlowError(
                "inbox_full",
                Text(
                    "{max_waiting} requests already wait for a person here; there is no "
                    "room for {job}.",
                    max_waiting=MAX_WAITING,
                    job=job,
                ),
                "Approve or reject some: `secureflow agent inbox review`.",
            )


def _is_id(item: JSON) -> bool:
    return isinstance(item, str) and item.isascii()


def _closed(item: InboxItem, state: Literal["expired", "withdrawn"], reason: str) -> InboxItem:
    return replace(item, state=state, reason=reason, spec={})


def _plain(request: Mapping[str, JSON]) -> dict[str, JSON]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in request.items()}


def _changed(item: str, how: str) -> SecureFlowError:
    return SecureFlowError(
        "inbox_item_changed",
        Text("Request {item} does not match its id: {reason}.", item=item, reason=how),
        "Approve nothing until it is explained: the agent's record was changed, or ids were made "
        "to collide.",
    )

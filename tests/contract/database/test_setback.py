"""A log that was set back signs nothing, over every database; who holds it, and who lets it go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.application import continuing as module
from secureflow.application.access import Principal
from secureflow.application.charters import Charters
from secureflow.application.continuing import UNNUMBERED, Continuing
from secureflow.application.ports.storage import PendingLeaf
from secureflow.application.running.windups import SET_BACK
from secureflow.application.setback import LogGuard
from secureflow.application.transactions import Transactions
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.organisations import Enrolment
from secureflow.domain.origins import following
from secureflow.domain.users import Role
from secureflow.engines.ledger.leaves import Leaf, sign_leaf
from secureflow.engines.ledger.merkle import verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import Checkpoint, attach, cosign, parse_note, sign_checkpoint
from secureflow.engines.ledger.setback import CONTINUE, Hold, head_only
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.contract.database.conftest import LOG_KEY, ORIGIN
from tests.contract.database.test_log import BANKS, notes, prove_all
from tests.doubles import NotingDriver
from tests.peers.setback import set_back
from tests.unit.application.test_runner import JOB

NOW = 1_700_000_000
OPERATOR = Principal("admin", "admin", "", frozenset({Role.PLATFORM_ADMIN}), "")
SQLITE_FIRST = pytest.mark.parametrize(
    "url",
    ["sqlite", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.full])],
    indirect=True,
)
"""What other tests here show over both databases: over PostgreSQL with `make full`."""


@pytest.fixture
async def reopened(
    database: Database, another: Callable[[], Database]
) -> AsyncIterator[Callable[[], SqlLedger]]:
    """Logs as processes that start later find them."""
    opened: list[SqlLedger] = []

    def again() -> SqlLedger:
        opened.append(SqlLedger(another(), LOG_KEY, ORIGIN, lambda: float(NOW)))
        return opened[-1]

    yield again
    for one in opened:
        await one.stop()


async def with_charter(database: Database) -> None:
    members = tuple(Member(name, name.title(), key.public) for name, key in BANKS.items())
    charter = SignedCharter(Charter(1, "example.org", ORIGIN, LOG_KEY.public, members))
    async with database.begin() as unit:
        await unit.set_setting("charter", charter.json())
        await unit.commit()


async def restored(database: Database, **more: object) -> None:
    async with database.begin() as unit:
        await unit.set_setting("restored", {"restored_at": NOW, "taken_at": NOW - 9, **more})
        await unit.commit()


def guard(database: Database, ledger: SqlLedger) -> LogGuard:
    ending = Continuing(database.begin, ledger, LOG_KEY, NotingDriver(), lambda: NOW)
    return LogGuard(database.begin, ledger, ending, lambda: NOW)


async def refused(ledger: SqlLedger) -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        await ledger.append(notes(1, 900))
    assert caught.value.code == "log_set_back"
    return caught.value


async def test_a_newer_head_of_its_own_stops_the_signer_at_once(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await ledger.append(notes(33))
    newest = await ledger.append(notes(33, 33))
    await set_back(database, 33)
    again = reopened()
    await again.start()
    before = await again.head()
    hold = await guard(database, again).shown("bank-a", [newest.note])
    assert hold is not None
    assert (hold.old_size, hold.own, hold.lost, hold.by) == (66, 33, 33, "bank-a")
    error = await refused(again)
    assert "bank-a holds its head of size 66" in error.message
    assert "33 entries are lost" in error.message
    assert CONTINUE in error.hint
    assert (error.details["old"], error.details["own"], error.details["lost"]) == (66, 33, 33)
    assert await again.head() == before
    # Neither a restart nor another replica forgets it.
    third = reopened()
    await third.start()
    assert third.hold == hold
    await refused(third)
    # A transaction is refused before anything is changed.
    transactions = Transactions(database.begin, third, LOG_KEY, lambda: NOW)
    with pytest.raises(InfrastructureError, match="log_set_back"):
        async with transactions() as transaction:
            await transaction.work.set_setting("changed", True)
    async with database.begin() as unit:
        assert await unit.setting("changed") is None


async def test_a_replica_that_did_not_hear_of_it_signs_nothing_either(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await ledger.append(notes(4))
    newest = await ledger.append(notes(4, 4))
    await set_back(database, 4)
    one, other = reopened(), reopened()
    await one.start()
    await other.start()
    await guard(database, one).shown("bank-a", [newest.note])
    assert other.hold is None
    await refused(other)
    assert other.hold == one.hold


async def test_a_log_that_outgrew_the_gap_is_found_out_by_its_root(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    heads = [(await ledger.append(notes(1, n))).note for n in range(8)]
    await set_back(database, 5)
    again = reopened()
    await again.start()
    await again.append(notes(6, 100))
    hold = await guard(database, again).shown("bank-a", [heads[7], *heads[2:5]])
    assert hold is not None
    assert (hold.old_size, hold.own, hold.forked, hold.kept, hold.start) == (8, 11, 8, 5, 5)
    assert "differs from it after 5" in (await refused(again)).message


@pytest.mark.parametrize("forge", ["another key", "another log", "no note", "unsigned", "cosigned"])
async def test_nobody_holds_a_log_by_a_head_that_was_invented(
    database: Database, ledger: SqlLedger, forge: str
) -> None:
    await ledger.append(notes(3))
    root, thief = b"\x05" * 32, SigningKey.from_seed(b"\x21" * 32)
    invented = sign_checkpoint(Checkpoint(ORIGIN, 9, root), thief)
    match forge:
        case "another log":
            invented = sign_checkpoint(Checkpoint("log.other", 9, root), LOG_KEY)
        case "no note":
            invented = "nonsense"
        case "unsigned":
            genuine = (await ledger.head()).split("\n")
            invented = "\n".join([genuine[0], "9", *genuine[2:]])
        case "cosigned":
            invented = attach(invented, [cosign(invented, "bank-a", BANKS["bank-a"], NOW)])
    assert await guard(database, ledger).shown("bank-a", [invented]) is None
    await ledger.append(notes(1, 3))
    await prove_all(ledger)


async def test_heads_of_its_own_hold_nothing(database: Database, ledger: SqlLedger) -> None:
    heads = [(await ledger.append(notes(1, n))).note for n in range(8)]
    assert await guard(database, ledger).shown("bank-a", [*heads, heads[3]]) is None


async def test_a_database_that_shrinks_under_the_running_server(
    database: Database, ledger: SqlLedger
) -> None:
    await ledger.append(notes(3))
    newest = await ledger.append(notes(4, 3))
    await set_back(database, 3)
    error = await refused(ledger)
    assert (error.details["old"], error.details["lost"]) == (7, 4)
    assert ledger.hold is not None
    assert (ledger.hold.cause, ledger.hold.head) == ("shrunk", newest.note)
    # What it remembers of the lost entries does not make them there.
    hold = await guard(database, ledger).shown("bank-a", [newest.note])
    assert hold is not None
    assert hold.old_size == 7


async def test_a_restored_log_waits_for_every_member(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await with_charter(database)
    early = (await ledger.append(notes(3))).note
    newest = (await ledger.append(notes(2, 3))).note
    await restored(database)
    again = reopened()
    await again.start()
    watching = guard(database, again)
    error = await refused(again)
    assert "restored from a backup" in error.message
    await watching.shown("bank-a", [newest])
    await watching.shown("bank-b", [early, "nonsense"])
    await watching.shown("stranger", [newest])
    why = await watching.hold_error()
    assert why is not None
    assert why.details["waiting"] == ["bank-c"]
    await refused(again)
    assert await watching.shown("bank-c", []) is None  # it has seen no head at all
    await again.append(notes(1, 5))
    await prove_all(again)
    async with database.begin() as unit:
        row = await unit.setting("restored")
    assert row["settled"] == {"at": NOW, "how": "unchanged"}
    third = reopened()
    await third.start()  # the row stays; it is settled
    assert third.hold is None


async def test_a_restored_log_that_somebody_saw_more_of_stays_held(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await with_charter(database)
    await ledger.append(notes(3))
    newest = (await ledger.append(notes(2, 3))).note
    await set_back(database, 3)
    await restored(database)
    again = reopened()
    await again.start()
    watching = guard(database, again)
    for member in ("bank-a", "bank-b"):
        await watching.shown(member, [await again.head()])
    hold = await watching.shown("bank-c", [newest])
    assert hold is not None
    assert (hold.cause, hold.lost) == ("shown", 2)
    for member in BANKS:
        await watching.shown(member, [await again.head()])
    await refused(again)


async def test_leaves_that_wait_in_a_held_log_go_on_waiting(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await with_charter(database)
    await ledger.append(notes(2))
    await restored(database)
    async with database.begin() as unit:
        await unit.leaves.submit(notes(1, 50))
        await unit.commit()
    again = reopened()
    await again.start()
    with pytest.raises(SecureFlowError, match="log_set_back"):
        await again.caught_up()
    for member in BANKS:
        await guard(database, again).shown(member, [])
    assert await again.caught_up() == 3


async def test_a_lie_about_own_leaves_holds_nothing_and_keeps_what_is_proven(
    database: Database, ledger: SqlLedger
) -> None:
    heads = [(await ledger.append(notes(1, n))).note for n in range(6)]
    watching = guard(database, ledger)
    lie = [("ab" * 32, 1)]
    assert await watching.shown("bank-a", [heads[5]], lie) is None
    await set_back(database, 4)
    await refused(ledger)
    hold = await watching.shown("bank-a", [heads[5], heads[3]], lie)
    assert hold is not None
    assert (hold.forked, hold.start) == (2, 4)  # heads that the log signed outweigh a word


def test_what_an_agent_shows_is_the_logs_own_signature() -> None:
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, b"\x05" * 32), LOG_KEY)
    cosigned = attach(note, [cosign(note, name, key, NOW) for name, key in BANKS.items()])
    assert head_only(cosigned) == note
    assert parse_note(head_only(cosigned)).verify_log(LOG_KEY.public)


def test_a_hold_is_stored_and_read() -> None:
    hold = Hold("shown", NOW, 3, head="x", by="bank-a", seen=("bank-a",), kept=2, forked=3)
    assert Hold.from_json(hold.json()) == hold


async def continued(ledger: SqlLedger, start: int) -> tuple[str, PendingLeaf]:
    """Let the log go on from a start; return the new name and the leaf of the continuation."""
    name = following(ledger.origin)
    leaf = sign_leaf(Leaf("log.continued", name, "server", NOW, "ab" * 32), LOG_KEY)
    pending = PendingLeaf("", 0, 0, "log.continued", "server", leaf.data())
    await ledger.continue_as(name, start, await ledger.root(start), pending)
    return name, pending


async def test_a_continued_log_keeps_its_beginning_and_signs_under_a_new_name(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    await ledger.append(notes(5))
    old = await ledger.note(5)
    newest = await ledger.append(notes(4, 5))
    await set_back(database, 5)
    again = reopened()
    await again.start()
    watching = guard(database, again)
    await watching.shown("bank-a", [newest.note])
    name, leaf = await continued(again, 5)
    assert (again.origin, again.hold, name) == (f"{ORIGIN}~2", None, f"{ORIGIN}~2")
    assert await again.note(5) == old  # what was signed stays signed
    head = parse_note(await again.head()).checkpoint
    assert (head.origin, head.size) == (name, 6)
    entries = await again.entries()
    assert [entry.data for entry in entries[5:]] == [leaf.data]
    before = parse_note(old).checkpoint
    proof = await again.consistency(5, 6)
    assert verify_consistency(5, 6, before.root, head.root, proof)
    await again.append(notes(3, 50))
    await prove_all(again)
    # Done twice it changes nothing; a later start finds the new name under the configured one.
    await again.continue_as(name, 5, before.root, leaf)
    third = reopened()
    await third.start()
    await third.append(notes(1, 60))
    assert (third.origin, len(await third.entries())) == (name, 10)
    # An old head, that of the gap too, holds the log no more.
    assert await watching.shown("bank-b", [newest.note, old]) is None


async def test_a_head_that_is_compared_while_the_log_goes_on_holds_nothing(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    """The old log's head was taken for one of the new name, which has no way to go on again."""
    await ledger.append(notes(5))
    newest = await ledger.append(notes(4, 5))
    await set_back(database, 5)
    again = reopened()
    await again.start()
    judge = guard(database, again)
    assert await judge.shown("bank-a", [newest.note]) is not None
    compared, slow = judge._root, asyncio.Event()

    async def slowly(size: int) -> bytes | None:
        root = await compared(size)
        slow.set()
        await held.wait()
        return root

    held, judge._root = asyncio.Event(), slowly  # type: ignore[method-assign]
    showing = asyncio.create_task(judge.shown("bank-b", [newest.note]))
    await slow.wait()
    await continued(again, 5)
    decide, holds = again.judge, list[Hold | None]()

    async def judged(decision: Callable[[Hold | None, int], Hold | None]) -> Hold | None:
        holds.append(await decide(decision))
        return holds[-1]

    again.judge = judged  # type: ignore[method-assign]
    held.set()
    assert await showing is None
    assert holds == [None]  # not for a moment either: it would refuse what comes meanwhile
    assert again.hold is None
    await again.append(notes(1, 950))


async def test_a_stored_hold_of_an_earlier_name_is_over(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    newest = await ledger.append(notes(9))
    hold = Hold("shown", NOW, 5, head=newest.note, by="bank-a")
    told = sa.text("UPDATE log_head SET hold = :hold, origin = :origin")
    for origin, held in ((ORIGIN, True), (f"{ORIGIN}~2", False)):
        async with database.engine.begin() as connection:
            await connection.execute(told, {"hold": json.dumps(hold.json()), "origin": origin})
        again = reopened()
        await again.start()
        assert (again.hold is not None) is held


async def test_what_was_done_after_the_set_back_follows_the_continuation(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    heads = [(await ledger.append(notes(1, n))).note for n in range(8)]
    await set_back(database, 5)
    again = reopened()
    await again.start()
    await again.append(notes(6, 100))  # the log convicts itself: nobody had shown it anything yet
    hold = await guard(database, again).shown("bank-a", [heads[7], *heads[2:5]])
    assert hold is not None
    done = [entry.data for entry in (await again.entries())[5:]]
    _, leaf = await continued(again, hold.start)
    entries = await again.entries()
    assert [entry.data for entry in entries[5:]] == [leaf.data, *done]
    assert [await again.find(entry.hash) for entry in entries] == list(range(12))
    await prove_all(again)
    root = parse_note(await again.head()).checkpoint.root
    for entry in entries:
        proof = await again.inclusion(entry.index, 12)
        assert verify_inclusion(entry.hash, entry.index, 12, proof, root)
    await again.append(notes(3, 200))
    await prove_all(again)


async def test_a_job_that_goes_on_while_it_is_ended_ends_all_the_same(
    database: Database, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server drives it, and does not know yet."""
    async with database.begin() as unit:
        await unit.jobs.add(JOB)
        await unit.commit()
    listed = module.list_readable

    async def going_on(store: Any, **where: Any) -> Any:
        found = await listed(store, **where)
        if found:
            monkeypatch.setattr(module, "list_readable", listed)
            async with database.begin() as unit:
                job = await unit.jobs.get(JOB.id)
                await unit.jobs.save(replace(job, progress={"round": 2}))
                await unit.commit()
        return found

    monkeypatch.setattr(module, "list_readable", going_on)
    ending = Continuing(database.begin, ledger, LOG_KEY, NotingDriver(), lambda: NOW)
    assert await ending.end_jobs() == [JOB.id]
    async with database.begin() as unit:
        assert (await unit.jobs.get(JOB.id)).progress == {"round": 2, SET_BACK: True}


async def test_a_log_that_is_intact_or_begins_otherwise_is_not_continued(
    database: Database, ledger: SqlLedger
) -> None:
    await ledger.append(notes(5))
    with pytest.raises(SecureFlowError, match="log_not_set_back"):
        await continued(ledger, 5)
    await ledger.append(notes(2, 5))
    await set_back(database, 5)
    await refused(ledger)
    leaf = PendingLeaf("", 0, 0, "log.continued", "server", notes(1)[0].data)
    for start, root in ((5, b"\x05" * 32), (6, b"\x05" * 32)):
        with pytest.raises(SecureFlowError, match="continuation_refused"):
            await ledger.continue_as(f"{ORIGIN}~2", start, root, leaf)
    with pytest.raises(SecureFlowError, match="log_not_set_back"):
        await ledger.continue_as(f"{ORIGIN}~3", 5, await ledger.root(5), leaf)
    assert (ledger.origin, ledger.hold is not None) == (ORIGIN, True)
    await refused(ledger)


async def test_a_centre_older_than_a_continuation_signs_nothing(
    database: Database, ledger: SqlLedger
) -> None:
    await ledger.append(notes(5))
    later = sign_checkpoint(Checkpoint(f"{ORIGIN}~2", 4, b"\x05" * 32), LOG_KEY)
    hold = await guard(database, ledger).shown("bank-a", [later])
    assert hold is not None
    await refused(ledger)


@SQLITE_FIRST
async def test_a_newer_charter_is_taken_over_while_the_log_is_held_and_continued_under(
    database: Database, ledger: SqlLedger, reopened: Callable[[], SqlLedger]
) -> None:
    """A restored centre that is older than a change of the charter."""
    await with_charter(database)
    first = await ledger.append(notes(3))
    newest = await ledger.append(notes(2, 3))
    await set_back(database, first.size)
    await restored(database)
    again = reopened()
    await again.start()
    async with database.begin() as unit:
        before = SignedCharter.from_json(await unit.setting("charter")).charter
    newcomer = Member("bank-d", "Bank D", SigningKey.from_seed(b"\x31" * 32).public)
    charter = replace(
        before, version=2, previous=before.digest, members=(*before.members, newcomer)
    )
    newer = SignedCharter(charter)
    for name, key in BANKS.items():
        newer = newer.sign(name, key)
    continuing = Continuing(database.begin, again, LOG_KEY, NotingDriver(), lambda: NOW)
    transactions = Transactions(database.begin, again, LOG_KEY, lambda: NOW)
    charters = Charters(database.begin, transactions, charter.trust_domain, again, continuing)
    await charters.adopt_forgotten("bank-a", newer)
    assert await charters.current() == newer
    await refused(again)
    # Invitations of before may have been used since; those of now are good.
    invitations = [
        Enrolment(f"enr_{n}", "agent", "bank-d", f"{n:02}" * 32, at, NOW * 2)
        for n, at in enumerate((NOW - 5, NOW + 5))
    ]
    async with database.begin() as unit:
        for one in invitations:
            await unit.enrolments.add(one)
        await unit.commit()
    watching = LogGuard(database.begin, again, continuing, lambda: NOW)
    for member in BANKS:
        await watching.shown(member, [await again.head()])
    why = await watching.hold_error()
    assert why is not None
    assert why.details["waiting"] == ["bank-d"]
    await watching.shown("bank-a", [newest.note])
    shown = await charters.draft_continuation(OPERATOR)
    assert [one["organisation"] for one in shown["charter"]["members"]] == [*BANKS, "bank-d"]
    draft = Charter.from_json(shown["charter"])
    assert draft.previous == newer.charter.digest
    for name, key in BANKS.items():
        signature = key.sign("charter", draft.json())
        await charters.add_signature(name, draft.digest, signature)
    assert (again.origin, again.hold) == (f"{ORIGIN}~2", None)
    await again.caught_up()
    kinds = [entry.kind for entry in (await again.entries())[first.size :]]
    assert kinds == ["log.continued", "charter.adopted"]
    async with database.begin() as unit:
        found = [await unit.enrolments.get(one.id) for one in invitations]
    assert [one.used for one in found] == [NOW, None]
    await prove_all(again)
    await check_cap(again, continuing)


async def check_cap(ledger: SqlLedger, continuing: Continuing) -> None:
    """Two entries were lost; an organisation can sign any number of them for the earlier name."""

    def leaf(at: int, name: str = "bank-a") -> dict[str, object]:
        return {"leaf": sign_leaf(Leaf("noted", ORIGIN, name, at, "ab" * 32), BANKS[name]).json()}

    most = 2 + UNNUMBERED
    leaves = [leaf(at) for at in range(most)]
    for start in range(0, most - 1, 100):  # some come twice, after a broken link
        page = leaves[max(0, start - 10) : min(start + 100, most - 1)]
        assert await continuing.take_resubmitted("bank-a", page) == len(page)
        continuing._turns.forget("bank-a")
    size = await ledger.caught_up()
    with pytest.raises(SecureFlowError, match="quota_exceeded"):
        await continuing.take_resubmitted("bank-a", [leaves[-1], leaf(most)])
    assert await ledger.caught_up() == size
    assert await continuing.take_resubmitted("bank-a", leaves[-1:]) == 1
    with pytest.raises(SecureFlowError, match="quota_exceeded"):
        await continuing.take_resubmitted("bank-a", [leaf(most)])
    assert await continuing.take_resubmitted("bank-a", leaves[:1]) == 1  # held already
    assert await continuing.take_resubmitted("bank-b", [leaf(0, "bank-b")]) == 1

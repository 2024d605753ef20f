"""What the embedded ledger promises, over every database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from secureflow.adapters.database.engine import Database
from secureflow.adapters.database.log import SqlLedger
from secureflow.adapters.database.log_batch import landed_of
from secureflow.adapters.database.log_store import MAX_BATCH, LogStore, place
from secureflow.adapters.database.tables import LOG_HEAD, LOG_LEAVES
from secureflow.application.ports.ledger import Ledger, LogEntry, Recorded
from secureflow.application.ports.storage import PendingLeaf
from secureflow.domain.charter import Charter, Member
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.engines.ledger.bundle_format import BundleEntry, bundle_json
from secureflow.engines.ledger.ends import End
from secureflow.engines.ledger.leaves import Leaf, SignedLeaf, commitment, parse_leaf, sign_leaf
from secureflow.engines.ledger.merkle import MemoryTree, verify_consistency, verify_inclusion
from secureflow.engines.ledger.notes import attach, cosign, parse_note
from secureflow.engines.ledger.witness import WitnessView, observe
from secureflow.kit.canonical import digest
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from tests.contract.database.conftest import LOG_KEY, ORIGIN

SALT = bytes(range(32))
BANKS = {f"bank-{c}": SigningKey.from_seed(c.encode() * 32) for c in "abc"}


def signed(n: int, *, author: str = "server", job: str = "", **fields: Any) -> SignedLeaf:
    key = BANKS.get(author, LOG_KEY)
    kept = {"kind": "noted", "origin": ORIGIN, "commitment": commitment(SALT, {"n": n})} | fields
    return sign_leaf(Leaf(author=author, at=1000 + n, job=job, **kept), key)


def pending(leaf: SignedLeaf, seq: int = 0, position: int = 0, n: int | None = None) -> PendingLeaf:
    body = leaf.leaf
    opened = ({"n": n}, SALT) if n is not None else (None, None)
    return PendingLeaf(body.job, seq, position, body.kind, body.author, leaf.data(), *opened)


def notes(count: int, first: int = 0) -> list[PendingLeaf]:
    return [pending(signed(n), n=n) for n in range(first, first + count)]


async def submit(database: Database, leaves: Sequence[PendingLeaf]) -> None:
    async with database.begin() as unit:
        await unit.leaves.submit(leaves)
        await unit.commit()


async def everything(ledger: SqlLedger) -> list[LogEntry]:
    return await ledger.entries(limit=1000)


async def prove_all(ledger: SqlLedger) -> None:
    """The whole log against a tree built from its own leaves."""
    entries = await everything(ledger)
    assert [entry.index for entry in entries] == list(range(len(entries)))
    tree = MemoryTree()
    tree.append(*(entry.data for entry in entries))
    head = parse_note(await ledger.head())
    assert head.verify_log(ledger.public)
    assert (head.checkpoint.size, head.checkpoint.root) == (tree.size, tree.root())


def test_it_is_the_port(ledger: SqlLedger) -> None:
    port: Ledger = ledger
    assert (port.origin, port.public) == (ORIGIN, LOG_KEY.public)


async def test_a_turn_that_did_not_come_fails_only_who_waited_for_it(
    database: Database, ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire, faults = database.turn.acquire, [database.turn.busy()]

    async def busy_once() -> None:
        if faults:
            raise faults.pop()
        await acquire()

    monkeypatch.setattr(database.turn, "acquire", busy_once)
    with pytest.raises(SecureFlowError, match="database_busy"):
        await ledger.append(notes(1))
    await ledger.append(notes(1))
    await prove_all(ledger)


async def test_an_empty_log_has_a_head(ledger: SqlLedger) -> None:
    await prove_all(ledger)
    assert await ledger.head() == await ledger.note(0)


async def test_appended_leaves_have_numbers_under_a_signed_head(ledger: SqlLedger) -> None:
    first = await ledger.append(notes(3))
    second = await ledger.append(notes(2, 3))
    assert (first.indices, first.size) == ((0, 1, 2), 3)
    assert (second.indices, second.size) == ((3, 4), 5)
    assert parse_note(second.note).verify_log(LOG_KEY.public)
    assert await ledger.note(3) == first.note
    assert await ledger.head() == second.note
    await prove_all(ledger)
    entry = (await ledger.entries(start=3, limit=1))[0]
    leaf = signed(3)
    assert (entry.index, entry.hash.hex(), entry.data) == (3, leaf.hash(), leaf.data())
    assert (entry.kind, entry.author, entry.at) == ("noted", "server", 1003)
    assert (entry.document, entry.salt) == ({"n": 3}, SALT)
    assert await ledger.find(bytes.fromhex(leaf.hash())) == 3
    assert await ledger.find(bytes(32)) is None


async def test_every_proof_of_every_size_holds(
    ledger: SqlLedger, another: Callable[[], Database]
) -> None:
    heads = {0: await ledger.head()}
    sizes = (1, 2, 3, 5, 8, 9, 16, 21)
    for size in sizes:
        recorded = await ledger.append(notes(size - max(heads), max(heads)))
        heads[size] = recorded.note
    hashes = [entry.hash for entry in await everything(ledger)]
    roots = {size: parse_note(note).checkpoint.root for size, note in heads.items()}
    for size in sizes:
        for index in range(size):
            proof = await ledger.inclusion(index, size)
            assert verify_inclusion(hashes[index], index, size, proof, roots[size])
        for old in (s for s in sizes if s <= size):
            proof = await ledger.consistency(old, size)
            assert verify_consistency(old, size, roots[old], roots[size], proof)
    assert await ledger.consistency(0, 21) == []
    replica = SqlLedger(another(), LOG_KEY, ORIGIN)  # it has written nothing: all from the database
    await replica.start()
    for index in range(21):
        assert await replica.inclusion(index, 21) == await ledger.inclusion(index, 21)
        assert await replica.consistency(index, 21) == await ledger.consistency(index, 21)
        assert await replica.find(hashes[index]) == index
    await replica.stop()


async def test_what_the_log_never_had_is_not_found(ledger: SqlLedger) -> None:
    await ledger.append(notes(5))
    for question in (
        ledger.inclusion(5, 5),
        ledger.inclusion(-1, 5),
        ledger.inclusion(0, 6),
        ledger.inclusion(0, 0),
        ledger.consistency(3, 6),
        ledger.consistency(4, 3),
        ledger.consistency(-1, 3),
        ledger.note(4),
        ledger.note(-1),
        ledger.cosign(4, []),
        ledger.sequenced("job_x", 1),
    ):
        with pytest.raises(SecureFlowError) as caught:
            await question
        assert caught.value.code == "not_found"


async def test_submitted_leaves_are_numbered_after_their_transaction(
    database: Database, ledger: SqlLedger
) -> None:
    leaves = [pending(signed(n, job="job_1"), 4, n, n=n) for n in (0, 1, 2)]
    async with database.begin() as unit:
        await unit.leaves.submit(leaves)
    with pytest.raises(SecureFlowError):
        await ledger.sequenced("job_1", 4)  # rolled back: nothing was submitted
    await submit(database, leaves)
    recorded = await ledger.sequenced("job_1", 4)
    assert recorded.indices == (0, 1, 2)
    assert await ledger.sequenced("job_1", 4) == recorded
    await submit(database, leaves)  # the same effect after a crash
    assert await ledger.sequenced("job_1", 4) == recorded
    assert [entry.document for entry in await ledger.entries(job="job_1")] == [
        {"n": 0},
        {"n": 1},
        {"n": 2},
    ]
    assert await ledger.entries(job="job_2") == []
    await prove_all(ledger)


async def test_one_leaf_stands_once_however_it_arrives(
    database: Database, ledger: SqlLedger
) -> None:
    """An agent answers a repeated request with the same leaf; twice, it would break its chain."""
    leaf = signed(1, author="bank-a", job="job_1")
    await submit(database, [pending(leaf, 1), pending(signed(2, job="job_1"), 1, 1)])
    assert (await ledger.sequenced("job_1", 1)).indices == (0, 1)
    await submit(database, [pending(signed(3, job="job_1"), 2, 0), pending(leaf, 2, 1)])
    assert (await ledger.sequenced("job_1", 2)).indices == (2, 0)
    assert (await ledger.append([pending(leaf), pending(leaf)])).indices == (0, 0)
    twins = pending(signed(4))
    assert (await ledger.append([twins, twins])).indices == (3, 3)
    await prove_all(ledger)


async def test_leaves_keep_the_order_of_arrival_across_jobs(
    database: Database, ledger: SqlLedger
) -> None:
    for n, job in enumerate(("job_z", "job_a", "job_m")):
        await submit(database, [pending(signed(n, job=job), 0)])
    await ledger.sequenced("job_m", 0)
    assert [entry.job for entry in await everything(ledger)] == ["job_z", "job_a", "job_m"]


@pytest.mark.parametrize("data", [b"", b"junk", signed(1).data() + b" "])
async def test_what_no_auditor_could_parse_never_gets_in(
    database: Database, ledger: SqlLedger, data: bytes
) -> None:
    junk = PendingLeaf("job_1", 0, 0, "noted", "server", data)
    with pytest.raises(SecureFlowError, match="malformed_leaf"):
        await ledger.append([junk])
    async with database.begin() as unit:
        with pytest.raises(SecureFlowError, match="malformed_leaf"):
            await unit.leaves.submit([junk])
    foreign = pending(signed(1, origin="log.other"))
    with pytest.raises(SecureFlowError, match=r"for the log log\.other"):
        await ledger.append([foreign])
    assert await everything(ledger) == []


async def test_cosignatures_ride_on_their_head(ledger: SqlLedger) -> None:
    recorded = await ledger.append(notes(2))
    lines = [cosign(recorded.note, name, key, 5) for name, key in BANKS.items()]
    await ledger.cosign(2, lines[:1])
    await ledger.cosign(2, lines)
    again = cosign(recorded.note, "bank-a", BANKS["bank-a"], 6)
    await ledger.cosign(2, [again])
    await ledger.cosign(2, [])
    keys = {name: key.public for name, key in BANKS.items()}
    note = await ledger.head()
    assert parse_note(note).cosigners(keys) == set(BANKS)
    assert note == await ledger.note(2) == attach(recorded.note, sorted(lines))
    await ledger.append(notes(1, 2))
    assert parse_note(await ledger.head()).cosigners(keys) == set()
    with pytest.raises(SecureFlowError, match="malformed_note"):
        await ledger.cosign(2, ["junk\n"])


async def test_the_head_that_most_witnessed_and_how_far_an_author_goes(
    database: Database, ledger: SqlLedger
) -> None:
    heads = [await ledger.append(notes(1, n)) for n in range(4)]
    lines = [[cosign(head.note, name, key, 5) for name, key in BANKS.items()] for head in heads]
    assert await ledger.witnessed(0, BANKS) is None
    await ledger.cosign(2, lines[1])
    await ledger.cosign(3, lines[2][:1])
    assert await ledger.witnessed(0, BANKS) == await ledger.note(2)
    assert await ledger.witnessed(1, BANKS) == await ledger.note(2)
    assert await ledger.witnessed(2, BANKS) == await ledger.note(3)
    assert await ledger.witnessed(2, ["bank-z"]) is None
    await ledger.cosign(4, lines[3])
    assert await ledger.witnessed(0, BANKS) == await ledger.note(2), "the first of several"
    assert await ledger.witnessed(2, BANKS) == await ledger.note(4)
    leaves = [signed(n, job="job_1", author=author) for n, author in
              enumerate(("server", "bank-a", "server"), start=9)]  # fmt: skip
    await ledger.append([pending(leaf) for leaf in leaves])
    async with database.begin() as unit:
        end = unit.leaves.end
        assert await end("job_1", "server") == End(2, leaves[2].hash())
        assert await end("job_1", "bank-a") == End(1, leaves[1].hash())
        assert await end("job_1", "bank-b") == await end("job_2", "server") == End()


async def test_many_callers_share_few_commits(ledger: SqlLedger) -> None:
    async def one(n: int) -> Recorded:
        return await ledger.append(notes(1, n))

    recorded = await asyncio.gather(*(one(n) for n in range(200)))
    assert sorted(r.indices[0] for r in recorded) == list(range(200))
    assert len({r.size for r in recorded}) <= 20
    for n, r in enumerate(recorded):
        assert await ledger.find(bytes.fromhex(signed(n).hash())) == r.indices[0]
    await prove_all(ledger)


async def test_a_group_larger_than_a_batch_is_split(database: Database, ledger: SqlLedger) -> None:
    count = MAX_BATCH + 10
    await submit(database, [pending(signed(n, job="job_1"), n) for n in range(count)])
    assert len((await ledger.sequenced("job_1", count - 1)).indices) == 1
    assert len((await ledger.sequenced("job_1", 0)).indices) == 1
    assert parse_note(await ledger.head()).checkpoint.size == count


async def test_one_caller_that_gives_up_takes_nobody_with_it(ledger: SqlLedger) -> None:
    tasks = [asyncio.create_task(ledger.append(notes(1, n))) for n in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], Recorded)
    assert isinstance(results[2], Recorded)
    await prove_all(ledger)


async def test_a_batch_that_fails_leaves_nothing_and_the_next_one_works(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.append(notes(3))
    genuine = LogStore._write_checkpoint

    def break_once(self: LogStore, cursor: Any, size: int) -> str:
        monkeypatch.setattr(LogStore, "_write_checkpoint", genuine)
        raise OSError("the disk is full")

    monkeypatch.setattr(LogStore, "_write_checkpoint", break_once)
    with pytest.raises(OSError, match="disk is full"):
        await ledger.append(notes(2, 3))
    assert len(await everything(ledger)) == 3
    assert (await ledger.append(notes(2, 3))).indices == (3, 4)
    await prove_all(ledger)


async def test_a_batch_that_failed_is_forgotten_even_if_the_size_fits_again(
    ledger: SqlLedger, another: Callable[[], Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica grows the log to the size that the failed batch would have reached."""

    def fail(self: LogStore, cursor: Any, size: int) -> str:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(LogStore, "_write_checkpoint", fail)
        with pytest.raises(OSError, match="disk is full"):
            await ledger.append(notes(3))
    replica = SqlLedger(another(), LOG_KEY, ORIGIN)
    await replica.start()
    await replica.append(notes(3, 10))
    await replica.stop()
    assert await ledger.find(bytes.fromhex(signed(0).hash())) is None
    assert (await ledger.append(notes(2))).indices == (3, 4)
    await prove_all(ledger)
    entries = await everything(ledger)
    root = parse_note(await ledger.head()).checkpoint.root
    for entry in entries:
        proof = await ledger.inclusion(entry.index, 5)
        assert verify_inclusion(entry.hash, entry.index, 5, proof, root)


async def test_a_restart_goes_on_where_it_was(
    database: Database, another: Callable[[], Database]
) -> None:
    first = SqlLedger(database, LOG_KEY, ORIGIN)
    await first.start()
    await first.append(notes(5))
    await submit(database, [pending(signed(9, job="job_1"), 0)])
    await first.stop()
    second = SqlLedger(another(), LOG_KEY, ORIGIN)
    await second.start()  # numbers what was left waiting
    assert len(await everything(second)) == 6
    assert (await second.append(notes(1, 5))).indices == (6,)
    await prove_all(second)
    await second.stop()


async def test_replicas_take_turns(
    database: Database, ledger: SqlLedger, another: Callable[[], Database]
) -> None:
    replica = SqlLedger(another(), LOG_KEY, ORIGIN)
    await replica.start()
    for n in range(0, 40, 2):
        await asyncio.gather(ledger.append(notes(1, n)), replica.append(notes(1, n + 1)))
    await submit(database, [pending(signed(99, job="job_1"), 0)])
    both = await asyncio.gather(ledger.sequenced("job_1", 0), replica.sequenced("job_1", 0))
    assert both[0].indices == both[1].indices == (40,)
    await prove_all(ledger)
    await prove_all(replica)
    await replica.stop()


@pytest.mark.parametrize(
    ("key", "origin"), [(SigningKey.from_seed(bytes(32)), ORIGIN), (LOG_KEY, "log.other")]
)
async def test_another_log_in_the_same_database_is_fenced(
    ledger: SqlLedger, another: Callable[[], Database], key: SigningKey, origin: str
) -> None:
    stranger = SqlLedger(another(), key, origin)
    with pytest.raises(SecureFlowError) as caught:
        await stranger.start()
    assert caught.value.code == "fenced"
    await stranger.stop()


async def test_an_edited_leaf_shows_to_every_witness(database: Database, ledger: SqlLedger) -> None:
    """The operator edits history in its database and signs on: the witness sees it."""
    recorded = await ledger.append(notes(6))
    view = observe(WitnessView(ORIGIN, LOG_KEY.public), recorded.note, [])
    forged = [pending(signed(n if n != 2 else 77)) for n in range(6)]
    async with database.begin() as unit:
        for table in ("log_leaves", "log_nodes", "log_checkpoints"):
            await unit.write(sa.text(f"DELETE FROM {table}"))
        await unit.write(sa.delete(LOG_HEAD))
        await unit.commit()
    liar = SqlLedger(database, LOG_KEY, ORIGIN)
    await liar.start()
    await liar.append([*forged, *notes(3, 6)])
    with pytest.raises(SecureFlowError) as caught:
        observe(view, await liar.head(), await liar.consistency(6, 9))
    assert caught.value.code == "ledger_inconsistent"
    await liar.stop()


def test_every_node_has_a_place_of_its_own() -> None:
    places = {place(level, index) for level in range(12) for index in range(1 << (12 - level))}
    assert len(places) == sum(1 << (12 - level) for level in range(12))


SPEC = {"roster": [{"party": name, "key": key.public} for name, key in BANKS.items()]}


async def test_a_story_from_the_database_verifies_offline(ledger: SqlLedger) -> None:
    """Two jobs at once: each one's bundle shows whole chains, and nobody else's documents."""
    newest: dict[str, str] = {}

    def acted(n: int, author: str, kind: str, job: str) -> PendingLeaf:
        spec = digest(SPEC)
        leaf = signed(n, author=author, job=job, kind=kind, spec=spec, prev=newest.get(author, ""))
        newest[author] = leaf.hash()
        return pending(leaf, n=n)

    leaves = [acted(n, bank, "approval", "job_1") for n, bank in enumerate(BANKS)]
    leaves += [acted(10 + n, bank, "approval", "job_2") for n, bank in enumerate(BANKS)]
    leaves += [acted(20 + n, bank, "update", "job_1") for n, bank in enumerate(BANKS)]
    leaves += [acted(30, "bank-a", "update", "job_2")]
    order = [3, 0, 1, 2, 6, 5, 7, 4, 8, 9]  # as two scripts happened to record them
    recorded = await ledger.append([leaves[at] for at in order])
    lines = [cosign(recorded.note, name, key, 5) for name, key in BANKS.items()]
    await ledger.cosign(recorded.size, lines)
    members = tuple(Member(name, name, key.public) for name, key in BANKS.items())
    charter = Charter(1, "example", ORIGIN, LOG_KEY.public, members)
    for job, own, bridges in (("job_1", 6, 3), ("job_2", 4, 1)):
        story = await ledger.job_leaves(job)
        assert [entry.job == job for entry in story].count(True) == own
        assert len(story) == own + bridges
        closed = [entry.salt is None and entry.document is None for entry in story]
        assert closed == [entry.job != job for entry in story]
        entries = [
            BundleEntry(
                entry.index,
                parse_leaf(entry.data),
                tuple(await ledger.inclusion(entry.index, recorded.size)),
                entry.document,
                entry.salt,
            )
            for entry in story
        ]
        note = await ledger.head()
        bundle = bundle_json(note=note, job=job, spec=SPEC, charter=charter.digest, entries=entries)
        verdict = verify_bundle(bundle, charter)
        assert (verdict.status, verdict.failures) == ("unfinished", ())
        assert "the centre's end (job.closed) is missing" in verdict.missing[0]
        assert verdict.cosigners == tuple(BANKS)


async def test_a_forged_prev_pulls_nobody_elses_leaf_into_a_story(ledger: SqlLedger) -> None:
    theirs = signed(1, author="bank-b", job="job_2")
    first = signed(2, author="bank-a", job="job_1")
    second = signed(3, author="bank-a", job="job_1", prev=theirs.hash())
    await ledger.append([pending(leaf, n=1) for leaf in (theirs, first, second)])
    assert {entry.author for entry in await ledger.job_leaves("job_1")} == {"bank-a"}


async def test_the_database_keeps_one_copy_of_a_leaf(database: Database, ledger: SqlLedger) -> None:
    await submit(database, [pending(signed(1, job="job_1"), 0, n=1)])
    await ledger.sequenced("job_1", 0)
    async with database.engine.connect() as connection:
        query = sa.text("SELECT data, document, salt FROM log_submissions")
        assert (await connection.execute(query)).all() == [(None, None, None)]
        assert len((await connection.execute(sa.select(LOG_LEAVES))).all()) == 1


def test_an_effect_that_two_batches_share_has_notlanded_of() -> None:
    """Its numbers stand in the database; one batch knows only some of them."""

    def leaf(seq: int, position: int) -> Any:
        return SimpleNamespace(effect=("job_1", seq), position=position)

    rest = [leaf(1, 2), leaf(1, 3), leaf(2, 0), leaf(2, 1)]
    assert landed_of(rest, [10, 11, 12, 13], cut=False) == {("job_1", 2): (12, 13)}
    assert landed_of([leaf(2, 0), leaf(3, 0)], [12, 13], cut=True) == {("job_1", 2): (12,)}

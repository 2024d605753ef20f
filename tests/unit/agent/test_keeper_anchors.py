"""The keeper of a file of anchors, as its members and as attackers see it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers.filekeeper import NOW, ORIGIN, URL, FileKeeper

from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import (
    Admit,
    AnchorHead,
    ApproveJob,
    Entry,
    RegisterJob,
    Remove,
    binding,
    job_digest,
    log_digest,
)
from secureflow.engines.anchors.state import Member
from secureflow.engines.ledger.merkle import MemoryTree
from secureflow.engines.ledger.notes import Checkpoint, parse_note, sign_checkpoint
from secureflow.kit.canonical import b64decode, canonical_bytes
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import InfrastructureError, SecureFlowError

SPEC = b"\x05" * 32


def job(number: int) -> RegisterJob:
    return RegisterJob(job_digest(f"job_{number}"), SPEC)


def head(key: SigningKey, size: int, salt: str = "") -> AnchorHead:
    tree = MemoryTree()
    tree.append(*(f"{salt}{at}".encode() for at in range(size)))
    point = Checkpoint(ORIGIN, size, tree.root())
    signature = key.private.sign(point.text.encode())
    return AnchorHead(log_digest(ORIGIN), size, point.root, (signature[:32], signature[32:]))


@pytest.fixture
async def keeper(tmp_path: Path) -> FileKeeper:
    made = FileKeeper(tmp_path)
    await made.founded()
    return made


async def sent(keeper: FileKeeper, name: str, *entries: Entry) -> Any:
    anchor = keeper.anchor(name)
    ticket = await anchor.prepare(entries, ())
    await anchor.send(ticket)
    return await anchor.outcome(ticket)


async def test_entries_of_members_are_kept_and_the_receipt_proves_it_offline(
    keeper: FileKeeper,
) -> None:
    outcome = await sent(keeper, "bank-b", job(1), job(2))
    assert (outcome.state, outcome.results, outcome.depth) == ("final", ("kept", "kept"), 1)
    receipt = filed.parse_receipt(outcome.receipt, keeper.public)
    assert receipt.entries == (job(1).digest.hex(), job(2).digest.hex())
    assert (receipt.line, receipt.at) == (5, NOW)  # after three bindings and the founding
    again = await sent(keeper, "bank-c", job(1), RegisterJob(job(2).job, b"\x06" * 32))
    assert again.results == ("known", "fork")
    anchor = keeper.anchor("bank-a")
    assert await anchor.checked(outcome.receipt, job(2))
    assert not await anchor.checked(outcome.receipt, job(3))
    page = await anchor.happened(None)
    assert [one.result for one in page.events] == ["kept", "kept", "fork"]
    assert page.events[0].entry == job(1)
    assert page.events[0].sender == b64decode(keeper.keys["bank-b"].public, 64).hex()
    later = await anchor.happened(page.cursor)
    assert (later.events, later.cursor, later.reorganised) == ((), page.cursor, False)


async def test_pages_join_without_a_gap_wherever_they_are_cut(keeper: FileKeeper) -> None:
    for number in range(4):
        await sent(keeper, "bank-b", *(job(3 * number + one) for one in range(3)))
        await sent(keeper, "bank-c", job(0))  # known: a line without events
    anchor = keeper.anchor("bank-a")
    whole = (await anchor.happened(None)).events
    for limit in (1, 2, 5):
        cursor, found = None, []
        while (page := await anchor.happened(cursor, limit)).events:
            found += page.events
            cursor = page.cursor
        assert tuple(found) == whole
    assert len(whole) == 12


async def test_a_place_is_founded_by_all_its_founders_and_nobody_else(tmp_path: Path) -> None:
    keeper = FileKeeper(tmp_path)
    await keeper.anchors.start()
    anchor = keeper.anchor("bank-b")
    ticket = await anchor.prepare([job(1)], ())
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).state == "waiting"
    stranger = keeper.anchor("", SigningKey.generate())
    assert "refuses this account" in (await stranger.probe()).problem
    await keeper.anchor("bank-c").probe()
    await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).state == "final"
    members = await anchor.members()
    assert sorted(one.member for one in members) == sorted(
        b64decode(key.public, 64) for key in keeper.keys.values()
    )


async def test_who_is_no_member_writes_and_reads_nothing(keeper: FileKeeper) -> None:
    before = keeper.file.read_bytes()
    stranger = keeper.anchor("", SigningKey.generate())
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await stranger.send(await stranger.prepare([job(1)], ()))
    for ask in (stranger.happened(None), stranger.heads(log_digest(ORIGIN)), stranger.members()):
        with pytest.raises(SecureFlowError, match="anchor_refused"):
            await ask
    assert keeper.file.read_bytes() == before


async def test_members_admit_and_remove_each_other(keeper: FileKeeper) -> None:
    key = SigningKey.generate()
    raw = b64decode(key.public, 64)
    place = filed.place_of(keeper.public)
    signature = key.private.sign(binding(place, raw, raw))
    vote = Admit(raw, raw, (signature[:32], signature[32:]))
    forged = Admit(raw, raw, (b"\x01" * 32, b"\x02" * 32))
    for name in keeper.keys:
        outcome = await sent(keeper, name, vote, forged)
        assert outcome.results[0] == "kept"
        assert outcome.results[1] == "refused"
    newcomer = keeper.anchor("", key)
    await newcomer.send(await newcomer.prepare([job(9)], ()))
    assert vote in await newcomer.members()
    for name in ("bank-a", "bank-b", "bank-c"):
        await sent(keeper, name, Remove(raw))
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        await newcomer.send(await newcomer.prepare([job(10)], ()))
    assert (await newcomer.happened(None)).events  # debts are paid where they were made


async def test_a_lost_answer_is_asked_for_again_and_nothing_is_doubled(keeper: FileKeeper) -> None:
    anchor = keeper.anchor("bank-b")
    ticket = await anchor.prepare([job(1)], ())
    keeper.lost = True
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(ticket)
    keeper.lost = False
    lines = keeper.file.read_bytes().count(b"\n")
    await anchor.send(ticket)
    await anchor.send(ticket)
    assert keeper.file.read_bytes().count(b"\n") == lines
    assert (await anchor.outcome(ticket)).results == ("kept",)


async def test_a_restart_answers_the_same_and_mends_a_torn_line(keeper: FileKeeper) -> None:
    first = await sent(keeper, "bank-b", job(1), head(keeper.log_key, 5))
    with keeper.file.open("ab") as file:
        file.write(b'{"at":18000')  # killed while it wrote
    keeper.reopen()
    anchor = keeper.anchor("bank-b")
    assert await anchor.checked(first.receipt, job(1))
    second = await sent(keeper, "bank-b", job(2))
    assert second.position.block == first.position.block + 1
    assert [one.size for one in await anchor.heads(log_digest(ORIGIN))] == [5]
    lines = keeper.file.read_bytes().splitlines(keepends=True)
    assert [json.loads(one)["prev"] for one in lines[1:]] == [
        filed.line_hash(one) for one in lines[:-1]
    ]


async def test_a_line_that_nobody_was_answered_counts(keeper: FileKeeper) -> None:
    """It was killed between the file and its own record: the sender asks again."""
    anchor = keeper.anchor("bank-b")
    reached = keeper.store.fact("anchors")
    ticket = await anchor.prepare([job(1)], ())
    await anchor.send(ticket)
    with keeper.store.transaction():
        keeper.store.set_fact("anchors", reached)
    keeper.reopen()
    size = keeper.file.stat().st_size
    await anchor.send(ticket)
    assert keeper.file.stat().st_size == size
    assert (await anchor.outcome(ticket)).results == ("kept",)


@pytest.mark.parametrize("harm", ["emptied", "older", "gone", "other", "flipped"])
async def test_a_file_that_is_not_what_it_was_is_noticed(keeper: FileKeeper, harm: str) -> None:
    older = keeper.file.read_bytes()
    await sent(keeper, "bank-b", job(1))
    await sent(keeper, "bank-b", job(2))
    data = keeper.file.read_bytes()
    if harm == "gone":
        keeper.file.unlink()
    else:
        flipped = data.replace(b'"kept"', b'"fork"', 1)
        other = data[:-2] + b" }\n" if harm == "other" else b""
        keeper.file.write_bytes(
            {"emptied": b"", "older": older, "other": other, "flipped": flipped}[harm]
        )
    keeper.reopen()
    anchor = keeper.anchor("bank-b")
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(await anchor.prepare([job(3)], ()))
    assert keeper.anchors.fault is not None
    assert keeper.anchors.fault.code in {"anchor_file_set_back", "anchor_file_damaged"}
    keeper.file.write_bytes(data)
    keeper.reopen()
    assert (await sent(keeper, "bank-b", job(3))).results == ("kept",)


@pytest.mark.parametrize("line", ["an early one", "the last one"])
async def test_a_line_that_was_changed_is_noticed(keeper: FileKeeper, line: str) -> None:
    """Also where the record does not say how far the file went."""
    await sent(keeper, "bank-b", job(1))
    data = keeper.file.read_bytes()
    changed = data.replace(str(NOW).encode(), str(NOW - 1).encode(), 1)  # breaks the chain
    if line == "the last one":
        changed = data.replace(b'"kept"', b'"fork"')  # does not come out as it was answered
    keeper.file.write_bytes(changed)
    with keeper.store.transaction():
        keeper.store.set_fact("anchors", None)
    keeper.reopen()
    await keeper.anchors.start()
    assert keeper.anchors.fault is not None
    assert keeper.anchors.fault.code == "anchor_file_damaged"


async def test_a_file_that_is_replaced_while_it_runs_is_not_written(keeper: FileKeeper) -> None:
    await sent(keeper, "bank-b", job(1))
    keeper.file.write_bytes(b"")
    anchor = keeper.anchor("bank-b")
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(await anchor.prepare([job(2)], ()))
    assert keeper.file.read_bytes() == b""


async def test_a_full_disk_keeps_nothing_and_promises_nothing(
    keeper: FileKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchor = keeper.anchor("bank-b")
    ticket = await anchor.prepare([job(1)], ())

    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        with pytest.raises(InfrastructureError, match="anchor_unavailable"):
            await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).state == "waiting"
    await anchor.send(ticket)
    assert (await anchor.outcome(ticket)).results == ("kept",)  # not `known`


async def test_heads_that_shrink_or_that_the_log_did_not_sign_are_refused(
    keeper: FileKeeper,
) -> None:
    key = keeper.log_key
    outcome = await sent(keeper, "bank-b", head(key, 7), head(key, 5))
    assert (outcome.results, outcome.reasons) == (("kept", "refused"), ("", "smaller"))
    forged = await sent(keeper, "bank-b", head(SigningKey.generate(), 9))
    assert (forged.results, forged.reasons) == (("refused",), ("not_signed",))
    assert [parse_note(note).checkpoint.size for note in keeper.heard] == [7]
    keeper.reopen()
    assert (await sent(keeper, "bank-c", head(key, 7))).results == ("known",)


async def test_a_head_that_the_keeper_saw_otherwise_is_a_fork(keeper: FileKeeper) -> None:
    own = head(keeper.log_key, 7)
    note = sign_checkpoint(Checkpoint(ORIGIN, 7, own.root), keeper.log_key)
    with keeper.store.transaction():
        keeper.store.add_head(ORIGIN, 7, note)
    outcome = await sent(keeper, "bank-b", head(keeper.log_key, 7, "x"))
    assert outcome.results == ("fork",)
    (heard,) = keeper.heard
    assert parse_note(heard).verify_log(keeper.log_key.public)
    keeper.reopen()  # it comes out as it was answered
    assert [one.result for one in (await keeper.anchor("bank-c").happened(None)).events] == ["fork"]
    both = await sent(keeper, "bank-c", own)
    assert both.results == ("fork",)
    assert len(await keeper.anchor("bank-c").heads(log_digest(ORIGIN))) == 2


# Attackers.


async def posted(keeper: FileKeeper, path: str, body: bytes) -> int:
    answer = await keeper.http().ask("POST", f"/anchor/v1{path}", 1 << 20, body, "application/json")
    return answer.status


async def test_what_is_malformed_or_too_large_is_refused(keeper: FileKeeper) -> None:
    before = keeper.file.read_bytes()
    for path, most in (("/entries", filed.MAX_TRANSACTION), ("/ask", filed.MAX_QUESTION)):
        assert await posted(keeper, path, b"x" * (most + 1)) == 413
        for body in (
            b"",
            b"{",
            b"[]",
            b'{"body":1,"signature":2}',
            b"\xff",
            b"{}" * 9,
            b"[" * 3000,
        ):
            assert await posted(keeper, path, body) == 400
    assert keeper.file.read_bytes() == before


def changes(body: dict[str, Any]) -> list[dict[str, Any]]:
    other = SigningKey.generate()
    return [
        body | {"v": 2},
        body | {"place": f"file:{'0' * 64}"},
        body | {"sender": b64decode(other.public, 64).hex()},
        body | {"sender": "x"},
        body | {"nonce": "0" * 32},
        body | {"nonce": ""},
        body | {"entries": []},
        body | {"entries": [job(2).json()]},
        body | {"entries": [{"kind": "nothing"}]},
        body | {"entries": [job(2).json()] * (filed.LIMIT + 1)},
        body | {"more": 1},
    ]


async def test_a_transaction_that_was_changed_is_refused(keeper: FileKeeper) -> None:
    before = keeper.file.read_bytes()
    made = filed.sign_transaction(filed.place_of(keeper.public), keeper.keys["bank-b"], [job(1)])
    signed: Any = made.signed
    for body in changes(signed["body"]):
        bad = canonical_bytes({"body": body, "signature": signed["signature"]})
        assert await posted(keeper, "/entries", bad) in {400, 403}
    elsewhere = filed.sign_transaction(f"file:{'1' * 64}", keeper.keys["bank-b"], [job(1)])
    assert await posted(keeper, "/entries", canonical_bytes(elsewhere.signed)) == 403
    assert keeper.file.read_bytes() == before


async def test_a_question_is_answered_once_and_in_its_time(keeper: FileKeeper) -> None:
    place, key = filed.place_of(keeper.public), keeper.keys["bank-b"]
    for late in (-filed.MAX_AGE - 1, filed.MAX_AGE + 1):
        asked = filed.sign_question(place, key, "place", {}, NOW + late)
        assert await posted(keeper, "/ask", canonical_bytes(asked)) == 403
    for ask, about in (
        ("nothing", {}),
        ("owed", {}),
        ("heads", {"log": 7}),
        ("events", {"line": 1}),
    ):
        asked = filed.sign_question(place, key, ask, about, NOW)  # type: ignore[arg-type]
        assert await posted(keeper, "/ask", canonical_bytes(asked)) == 400
    entry = filed.sign_transaction(place, key, [job(1)])
    assert await posted(keeper, "/ask", canonical_bytes(entry.signed)) == 400


async def test_answers_of_somebody_else_or_of_another_question_are_not_believed(
    keeper: FileKeeper,
) -> None:
    place, key = filed.place_of(keeper.public), keeper.keys["bank-b"]
    mine = filed.sign_question(place, key, "place", {}, NOW)
    other = filed.sign_question(place, key, "place", {}, NOW)
    right = filed.sign_answer(keeper.keys["bank-a"], mine["body"]["nonce"], {"lines": 1})  # type: ignore[index, call-overload, arg-type]
    assert filed.parse_answer(right, keeper.public, mine) == {"lines": 1}
    forged = filed.sign_answer(key, mine["body"]["nonce"], {"lines": 1})  # type: ignore[index, call-overload, arg-type]
    for bad, asked in ((right, other), (forged, mine), ({}, mine), (None, mine)):
        with pytest.raises(SecureFlowError, match="anchor_refused"):
            filed.parse_answer(bad, keeper.public, asked)


async def test_a_receipt_that_was_changed_anywhere_is_not_believed(keeper: FileKeeper) -> None:
    outcome = await sent(keeper, "bank-b", job(1))
    right: Any = outcome.receipt
    for name, value in right["body"].items():
        for other in (None, 7, "0" * 64, [], ["known"]):
            if other != value:
                bad = {**right, "body": right["body"] | {name: other}}
                with pytest.raises(SecureFlowError, match="anchor_refused"):
                    filed.parse_receipt(bad, keeper.public)
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        filed.parse_receipt(right, b64decode(keeper.keys["bank-b"].public, 64))
    # The same words under another kind of signature are no receipt.
    body = right["body"]
    bad = {"body": body, "signature": keeper.keys["bank-a"].sign("anchor-answer", body)}
    with pytest.raises(SecureFlowError, match="anchor_refused"):
        filed.parse_receipt(bad, keeper.public)


async def test_a_flood_of_one_member_is_stopped_and_others_go_on(
    keeper: FileKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secureflow.agent.keeper.anchors.BURST", 3)
    keeper.reopen()
    for number in range(3):
        anchor = keeper.anchor("bank-b")
        await anchor.send(await anchor.prepare([job(number)], ()))
    ticket = await anchor.prepare([job(3)], ())
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(ticket)
    assert (await sent(keeper, "bank-c", job(1))).state == "final"


async def test_a_keeper_that_lost_lines_is_read_from_the_beginning(
    keeper: FileKeeper, tmp_path_factory: pytest.TempPathFactory
) -> None:
    await sent(keeper, "bank-b", job(1))
    anchor = keeper.anchor("bank-b")
    cursor = (await anchor.happened(None)).cursor
    other = FileKeeper(tmp_path_factory.mktemp("other"))
    await other.founded()
    await sent(other, "bank-b", ApproveJob(job(1).job, SPEC))
    page = await other.anchor("bank-b").happened(cursor)
    assert page.reorganised
    assert len(page.events) == 1
    assert URL in dict((await anchor.probe()).facts)["address"]


async def test_a_place_is_founded_once_although_the_record_fails_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line is in the file, and the record could not say so: a second one would damage it."""
    keeper = FileKeeper(tmp_path)
    await keeper.anchors.start()
    await keeper.anchor("bank-b").probe()
    whole = type(keeper.store).set_fact

    def fails_at_founding(store: Any, name: str, value: Any) -> None:
        if name == "anchors" and value["lines"] == 4:
            raise InfrastructureError("disk_full", "The disk is full.")
        whole(store, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(type(keeper.store), "set_fact", fails_at_founding)
        with pytest.raises(InfrastructureError):
            await keeper.anchors.bind(_own_binding(keeper, "bank-c"))
    assert await keeper.anchors.bind(_own_binding(keeper, "bank-c"))
    kinds = [json.loads(one)["kind"] for one in keeper.file.read_bytes().splitlines()]
    assert kinds == ["bound", "bound", "bound", "founded"]
    keeper.reopen()
    assert (await sent(keeper, "bank-b", job(1))).results == ("kept",)


def _own_binding(keeper: FileKeeper, name: str) -> Member:
    key = keeper.keys[name]
    raw = b64decode(key.public, 64)
    signature = key.private.sign(binding(filed.place_of(keeper.public), raw, raw))
    return Member(raw, raw, (signature[:32], signature[32:]))


async def test_a_damaged_line_in_the_middle_is_never_cut_off_with_what_follows(
    keeper: FileKeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await sent(keeper, "bank-b", job(number))
    data = keeper.file.read_bytes()
    lines = data.splitlines(keepends=True)
    longest = max(lines, key=len)
    joined = data.replace(longest, longest[:-1] + b" ")  # the disk lost a line's end
    monkeypatch.setattr("secureflow.agent.keeper.anchorfile.MAX_LINE", len(longest))
    keeper.file.write_bytes(joined)
    keeper.reopen()
    await keeper.anchors.start()
    assert keeper.anchors.fault is not None
    assert keeper.anchors.fault.code == "anchor_file_damaged"
    assert keeper.file.read_bytes() == joined

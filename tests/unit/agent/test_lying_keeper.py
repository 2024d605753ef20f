"""A keeper that signs whatever it likes: what members' drivers make of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from peers.filekeeper import URL, FileKeeper, _Lossy

from secureflow.adapters.anchors.file import FileAnchor
from secureflow.application.ports.anchor import Outcome
from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import RegisterJob, job_digest, log_digest
from secureflow.engines.anchors.statements import Statement, check_statement, sign_statement
from secureflow.kit.boundedhttp import BoundedHttp
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.errors import SecureFlowError

Change = Callable[[Any], Any]


def job(number: int) -> RegisterJob:
    return RegisterJob(job_digest(f"job_{number}"), b"\x05" * 32)


class Liar(_Lossy):
    """Changes answers to questions, and signs them as the keeper."""

    def __init__(self, keeper: FileKeeper) -> None:
        super().__init__(keeper)
        self.key = keeper.keys["bank-a"]
        self.change: Change = lambda answer: answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        said = json.loads(await answer.aread())
        body = said.get("body", {})
        if answer.status_code == 200 and set(body) == {"v", "nonce", "answer"}:
            said = filed.sign_answer(self.key, body["nonce"], self.change(body["answer"]))
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(canonical_bytes(said)))

    def receipt(self, said: Any, **changes: Any) -> Any:
        """Return an answer whose receipt says something else, under the keeper's signature."""
        body = said["receipt"]["body"] | changes
        return {
            **said,
            "receipt": {"body": body, "signature": self.key.sign("anchor-receipt", body)},
        }


@pytest.fixture
async def keeper(tmp_path: Path) -> FileKeeper:
    made = FileKeeper(tmp_path)
    await made.founded()
    return made


@pytest.fixture
def liar(keeper: FileKeeper) -> Liar:
    return Liar(keeper)


@pytest.fixture
def anchor(keeper: FileKeeper, liar: Liar) -> FileAnchor:
    http = BoundedHttp(URL, transport=liar)
    return FileAnchor(keeper.keys["bank-b"], keeper.public, URL, lambda: keeper.now, http=http)


ODD: tuple[Any, ...] = (
    None, True, 7, -1, 1e300, "", "\ud7ff", "0" * 64, "x" * 5000, [], [[]], [{}], {}, {"kind": []},
)  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of everything in an answer, itself included."""
    inner = value.items() if isinstance(value, dict) else ()
    inner = enumerate(value) if isinstance(value, list) else inner
    return [at, *(one for name, part in inner for one in places(part, (*at, name)))]


def put(value: Any, at: tuple[Any, ...], odd: Any) -> Any:
    """Return an answer with something else at a path."""
    if not at:
        return odd
    copy = json.loads(json.dumps(value))
    inner = copy
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = odd
    return copy


async def test_whatever_it_signs_is_a_named_error(
    keeper: FileKeeper, liar: Liar, anchor: FileAnchor
) -> None:
    """Any other exception would end the task that sends to this place."""
    ticket = await anchor.prepare([job(1)], ())
    await anchor.send(ticket)
    asking = (
        lambda: anchor.happened(None),
        anchor.members,
        lambda: anchor.heads(log_digest("log.example")),
        lambda: anchor.owed(bytes(32), bytes(32), bytes(32)),
        lambda: anchor.outcome(ticket),
    )
    for ask in asking:
        seen: list[Any] = []

        def keep(answer: Any, seen: list[Any] = seen) -> Any:
            seen.append(answer)
            return answer

        liar.change = keep
        await ask()
        for at in places(seen[0]):
            for odd in ODD:
                liar.change = lambda answer, at=at, odd=odd: put(answer, at, odd)
                try:
                    await ask()
                except SecureFlowError as error:
                    assert error.code in {"anchor_refused", "anchor_unavailable"}  # noqa: PT017


async def test_a_receipt_of_other_entries_convicts_nobody(
    keeper: FileKeeper, liar: Liar, anchor: FileAnchor
) -> None:
    """The member would state it as its proof, under its own key, and be convicted by it."""
    ticket = await anchor.prepare([job(1)], ())
    await anchor.send(ticket)
    honest: Outcome = await anchor.outcome(ticket)
    assert honest.position is not None
    liar.change = lambda said: liar.receipt(said, entries=[job(2).digest.hex()])
    with pytest.raises(SecureFlowError, match="other entries"):
        await anchor.outcome(ticket)
    receipt = liar.receipt({"receipt": honest.receipt}, entries=[job(2).digest.hex()])["receipt"]
    said = Statement(
        filed.place_of(keeper.public), job(1), "kept", ticket.id, honest.position.block, receipt, 1
    )
    keys = {name: key.public for name, key in keeper.keys.items()}
    with pytest.raises(SecureFlowError, match="anchor_receipt_false"):
        check_statement(sign_statement(said, keeper.keys["bank-b"]), keys, {})


async def test_a_receipt_of_another_transaction_is_none_of_this_one(
    liar: Liar, anchor: FileAnchor
) -> None:
    """The same entries in another one, or a line that is not there yet."""
    ticket, other = await anchor.prepare([job(1)], ()), await anchor.prepare([job(1)], ())
    await anchor.send(ticket)
    for changes in ({"transaction": other.id}, {"line": 10**6}):
        liar.change = lambda said, changes=changes: liar.receipt(said, **changes)
        with pytest.raises(SecureFlowError, match="malformed"):
            await anchor.outcome(ticket)


async def test_a_cursor_that_it_signs_is_one(liar: Liar, anchor: FileAnchor) -> None:
    """It is stored and sent back: one that has no canonical form would end reading for good."""
    for name, value in (("hash", "\ud7ff" * 64), ("hash", "00"), ("line", 1.5), ("index", -1)):
        liar.change = lambda said, name=name, value=value: {**said, "line": 1, name: value}
        with pytest.raises(SecureFlowError, match="anchor_refused"):
            await anchor.happened(None)

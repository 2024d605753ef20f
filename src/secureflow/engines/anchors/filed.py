"""A place in a file: what its members sign, what its keeper writes, and what it answers.

A transaction is the canonical JSON of place, sender, nonce and entries under the sender's charter
key, so that nobody else can make one and none counts at another place. The keeper appends it as a
line that holds the hash of the line before, and answers with a receipt under *its* charter key:
number and hash of the line, the results, the time, and the digest of each entry. A receipt holds
offline; so does every answer to a question, which repeats the asker's nonce. That is why nothing
here rests on the keeper's certificate: TLS hides what is asked, the signatures say what is true.
Two receipts of one line with two hashes convict the keeper.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.anchors.entries import Entry, parse_entry
from secureflow.engines.anchors.judged import REASONS, Result
from secureflow.engines.anchors.state import Member
from secureflow.kit import canonical
from secureflow.kit.canonical import JSON
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

VERSION: Final = 1
LIMIT: Final = 24
"""Entries of one transaction."""
MAX_TRANSACTION: Final = 2 << 20
"""Bytes of one: entries with as many members as there may be fit."""
MAX_QUESTION: Final = 4 << 10
MAX_ANSWER: Final = 4 << 20
MAX_LINES: Final = 1 << 24
MAX_AGE: Final = MAX_SKEW
"""Seconds by which the clocks of asker and keeper may differ."""
NOT_SIGNED: Final = "not_signed"
"""Why a head is refused that its log did not sign; beside `judged.REASONS`."""

_TRANSACTION: Final = "anchor-transaction"
_RECEIPT: Final = "anchor-receipt"
_QUESTION: Final = "anchor-question"
_ANSWER: Final = "anchor-answer"
_WORD: Final = re.compile(r"[0-9a-f]{64}")
_NONCE: Final = re.compile(r"[0-9a-f]{32}")
_RESULTS: Final = frozenset({"kept", "known", "fork", "refused"})
_REASONS: Final = frozenset({"", NOT_SIGNED, *REASONS})


def place_of(keeper: bytes) -> str:
    """Return the name of the place that an organisation with this charter key keeps."""
    return f"file:{keeper.hex()}"


@dataclass(frozen=True)
class Transaction:
    """Entries under a sender's signature; `signed` is the JSON that carries both."""

    id: str
    place: str
    sender: bytes
    entries: tuple[Entry, ...]
    signed: JSON


@dataclass(frozen=True)
class Receipt:
    """What a keeper signed about a transaction.

    Args:
        place: of the keeper.
        transaction: its id.
        line: its number in the file, from 1.
        hash: of that line, in hex.
        at: unix seconds by the keeper's clock.
        entries: digests in hex.
        results: of each entry.
        reasons: why one was refused, else empty.
    """

    place: str
    transaction: str
    line: int
    hash: str
    at: int
    entries: tuple[str, ...]
    results: tuple[Result, ...]
    reasons: tuple[str, ...]


def sign_transaction(place: str, key: SigningKey, entries: Sequence[Entry]) -> Transaction:
    """Return a transaction of its own, however often the same entries are sent."""
    sender = canonical.b64decode(key.public, 64)
    body: dict[str, JSON] = {
        "v": VERSION,
        "place": place,
        "sender": sender.hex(),
        "nonce": secrets.token_hex(16),
        "entries": [one.json() for one in entries],
    }
    signed: JSON = {"body": body, "signature": key.sign(_TRANSACTION, body)}
    return Transaction(canonical.digest(body), place, sender, tuple(entries), signed)


def parse_transaction(value: Any) -> Transaction:
    """Read a foreign transaction; its signature holds when this returns.

    Raises:
        SecureFlowError: `malformed_request`, `malformed_entry`, `forbidden`.
    """
    body, signature = _parts(value)
    if set(body) != {"v", "place", "sender", "nonce", "entries"} or body["v"] != VERSION:
        raise _malformed("a transaction has other parts")
    entries = body["entries"]
    if not isinstance(entries, list) or not 0 < len(entries) <= LIMIT:
        raise _malformed(Text("a transaction has 1 to {most} entries", most=LIMIT))
    sender = _signer(body, signature, _TRANSACTION)
    parsed = tuple(parse_entry(one) for one in entries)
    return Transaction(canonical.digest(body), str(body["place"]), sender, parsed, value)


def sign_receipt(key: SigningKey, receipt: Receipt) -> JSON:
    """Return what the keeper answers."""
    body = {name: _listed(one) for name, one in vars(receipt).items()} | {"v": VERSION}
    return {"body": body, "signature": key.sign(_RECEIPT, body)}


def parse_receipt(value: Any, keeper: bytes) -> Receipt:
    """Read a receipt; it is the keeper's when this returns.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    body, signature = _answered(value)
    names = {"v", *Receipt.__dataclass_fields__}
    if set(body) != names or not _is_version(body["v"]) or body["place"] != place_of(keeper):
        raise untrue("a receipt has other parts, or is of another place")
    if not verify(canonical.b64encode(keeper), _RECEIPT, body, signature):
        raise untrue("a receipt is not signed by the keeper")
    entries = _texts(body["entries"])
    results, reasons = _texts(body["results"]), _texts(body["reasons"])
    # A keeper may sign anything: what is no text is None here, and in none of these sets.
    sound = all(
        one is not None and _WORD.fullmatch(one)
        for one in (*_texts([body["transaction"], body["hash"]]), *entries)
    )
    sound = sound and all(one in _RESULTS for one in results)
    sound = sound and all(one in _REASONS for one in reasons)
    sound = sound and len(entries) == len(results) == len(reasons)
    if not sound or not _number(body["line"]) or not _number(body["at"]):
        raise untrue("a receipt is malformed")
    body = {name: body[name] for name in names - {"v"}}
    lists = {name: tuple(body[name]) for name in ("entries", "results", "reasons")}
    return Receipt(**body | lists)


def sign_question(
    place: str, key: SigningKey, ask: str, about: Mapping[str, JSON], now: int
) -> dict[str, JSON]:
    """Return a question of a member, with a fresh nonce."""
    body: dict[str, JSON] = {
        "v": VERSION,
        "place": place,
        "sender": canonical.b64decode(key.public, 64).hex(),
        "nonce": secrets.token_hex(16),
        "at": now,
        "ask": ask,
        "about": dict(about),
    }
    return {"body": body, "signature": key.sign(_QUESTION, body)}


def parse_question(value: Any, place: str, now: int) -> tuple[bytes, str, dict[str, Any], str]:
    """Read a foreign question; return sender, what is asked, about what, and the nonce.

    Raises:
        SecureFlowError: `malformed_request`, `forbidden`.
    """
    body, signature = _parts(value)
    names = {"v", "place", "sender", "nonce", "at", "ask", "about"}
    if set(body) != names or body["v"] != VERSION or not isinstance(body["about"], dict):
        raise _malformed("a question has other parts")
    if body["place"] != place or not isinstance(body["ask"], str):
        raise _malformed("a question is for another place")
    if not _number(body["at"]) or abs(body["at"] - now) > MAX_AGE:
        raise SecureFlowError(
            "forbidden",
            "The question is of another time.",
            "Set the clocks of both machines right, by NTP.",
        )
    return _signer(body, signature, _QUESTION), body["ask"], body["about"], body["nonce"]


def sign_answer(key: SigningKey, nonce: str, answer: JSON) -> JSON:
    """Return an answer for who asked with this nonce, and for nobody else."""
    body: dict[str, JSON] = {"v": VERSION, "nonce": nonce, "answer": answer}
    return {"body": body, "signature": key.sign(_ANSWER, body)}


def parse_answer(value: Any, keeper: bytes, question: Mapping[str, Any]) -> Any:
    """Return what a keeper answered to this question.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    body, signature = _answered(value)
    if set(body) != {"v", "nonce", "answer"} or body["nonce"] != question["body"]["nonce"]:
        raise untrue("an answer is of another question")
    if not verify(canonical.b64encode(keeper), _ANSWER, body, signature):
        raise untrue("an answer is not signed by the keeper")
    return body["answer"]


def member_json(member: Member) -> dict[str, JSON]:
    """Return a member with the signature that binds its account."""
    return {
        "member": member.key.hex(),
        "account": member.account.hex(),
        "signature": [half.hex() for half in member.signature],
    }


def parse_member(value: Any) -> Member:
    """Read a member of foreign JSON; nothing is verified here.

    Raises:
        SecureFlowError: `malformed_request`.
    """
    if not isinstance(value, dict) or set(value) != {"member", "account", "signature"}:
        raise _malformed("a member has other parts")
    halves = value["signature"]
    words = [value["member"], value["account"], *(halves if isinstance(halves, list) else [])]
    if len(words) != 4 or not all(isinstance(one, str) and _WORD.fullmatch(one) for one in words):
        raise _malformed("a member's values are no hex of 32 bytes")
    key, account, *signature = (bytes.fromhex(one) for one in words)
    return Member(key, account, tuple(signature))


def line_bytes(line: Mapping[str, JSON]) -> bytes:
    """Return how a line stands in the file, with its end."""
    return canonical.canonical_bytes(dict(line)) + b"\n"


def line_hash(data: bytes) -> str:
    """Return what the next line holds of one, in hex."""
    return canonical.sha256(data).hex()


def untrue(reason: str) -> SecureFlowError:
    """Return the refusal of a keeper that does not answer as one."""
    return SecureFlowError(
        "anchor_refused",
        Text("The keeper of anchors is not believed: {reason}.", reason=reason),
        "Compare its charter key in the settings with the pinned charter, and ask its owner.",
    )


def _parts(value: Any) -> tuple[dict[str, Any], str]:
    if not isinstance(value, dict) or set(value) != {"body", "signature"}:
        raise _malformed("it needs body and signature")
    body, signature = value["body"], value["signature"]
    if not isinstance(body, dict) or not isinstance(signature, str):
        raise _malformed("it needs body and signature")
    return body, signature


def _answered(value: Any) -> tuple[dict[str, Any], str]:
    try:
        return _parts(value)
    except SecureFlowError as error:
        raise untrue("an answer is malformed") from error


def _signer(body: Mapping[str, Any], signature: str, kind: str) -> bytes:
    sender, nonce = body["sender"], body["nonce"]
    if not isinstance(sender, str) or not _WORD.fullmatch(sender):
        raise _malformed("its sender is no key")
    if not isinstance(nonce, str) or not _NONCE.fullmatch(nonce):
        raise _malformed("its nonce is not 16 bytes of hex")
    key = bytes.fromhex(sender)
    if not verify(canonical.b64encode(key), kind, body, signature):
        raise SecureFlowError(
            "forbidden",
            "The request is not signed by its sender.",
            "Send it with the charter key that it names.",
        )
    return key


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _is_version(value: Any) -> bool:
    return type(value) is int and value == VERSION  # nor 1.0 or true, which Python takes for equal


def _texts(value: Any) -> list[str | None]:
    if not isinstance(value, list) or len(value) > LIMIT:
        return [None]
    return [one if isinstance(one, str) else None for one in value]


def _listed(value: Any) -> JSON:
    return [*value] if isinstance(value, tuple) else value


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_request",
        Text("The request to the keeper of anchors is malformed: {reason}.", reason=reason),
        "Send it with the same version of SecureFlow.",
    )

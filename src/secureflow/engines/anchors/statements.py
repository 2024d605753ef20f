"""What a member says it anchored, under its charter key: for the centre to show, and for audits.

The centre carries these statements and cannot make one: each is signed by the member, over the
place, the deed, the transaction and the receipt. It can leave one out, or show an old one again,
which says nothing false: a deed that was final stays at the place. A member can lie in one, and
then the place, asked through anybody's node, convicts it by its own signature.

- a head is worth what the log's own signature in it is worth (`reading.note_of`);
- a receipt of a file is signed by its keeper's charter key, and checked without asking anybody;
- a receipt of a chain is checked only through a node (`Anchor.checked`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import AnchorHead, Entry, parse_entry
from secureflow.engines.anchors.judged import REFUSED, Result
from secureflow.engines.anchors.reading import note_of
from secureflow.kit.canonical import JSON, b64encode, canonical_bytes
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "anchor-statement"
MAX_STATEMENT: Final = 32 << 10
"""Bytes of one: a receipt of a chain has the events of its whole transaction."""
_PLACE: Final = re.compile(
    r"evm:(0|[1-9][0-9]{0,15}):0x[0-9a-f]{40}"
    r"|fabric:[A-Za-z0-9._-]{1,200}:[A-Za-z0-9._-]{1,200}"
    r"|file:[0-9a-f]{64}"
)
_TRANSACTION: Final = re.compile(r"[0-9a-f]{1,128}")
_BODY: Final = frozenset({"v", "place", "entry", "result", "transaction", "block", "receipt", "at"})
_MOST: Final = 2**53 - 1

Check = Literal["receipt holds", "not checked"]
"""The keeper of a file signed it; nobody was asked (no node given)."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    Args:
        place: `Anchor.place`.
        entry: the deed.
        result: what the place made of it.
        transaction: the place's own name of it.
        block: where it stands.
        receipt: the place's, as the driver gave it.
        at: unix seconds when it was final.
        key: charter key of who says so, base64.
        signature: by it, base64.
    """

    place: str
    entry: Entry
    result: Result
    transaction: str
    block: int
    receipt: JSON
    at: int
    key: str = ""
    signature: str = ""

    @property
    def make(self) -> str:
        """What kind of place it is."""
        return self.place.partition(":")[0]

    @property
    def fits(self) -> bool:
        """Tell whether it is short enough for whoever reads it: a deed may name a thousand."""
        return len(canonical_bytes(self.body())) <= MAX_STATEMENT

    def body(self) -> dict[str, JSON]:
        """Return what is signed."""
        return {
            "v": 1,
            "place": self.place,
            "entry": self.entry.json(),
            "result": self.result,
            "transaction": self.transaction,
            "block": self.block,
            "receipt": self.receipt,
            "at": self.at,
        }

    def json(self) -> dict[str, JSON]:
        """Return it with its signature."""
        return {"body": self.body(), "key": self.key, "signature": self.signature}


def sign_statement(statement: Statement, key: SigningKey) -> Statement:
    """Return the statement with a member's signature."""
    signature = key.sign(KIND, statement.body())
    return Statement(**{**vars(statement), "key": key.public, "signature": signature})


def parse_statement(value: Any) -> Statement:
    """Read a foreign statement, and check that its own key signed it.

    Raises:
        SecureFlowError: `malformed_anchor`.
    """
    if not isinstance(value, Mapping) or value.keys() != {"body", "key", "signature"}:
        raise _malformed("it needs body, key and signature")
    body, key, signature = value["body"], value["key"], value["signature"]
    if not isinstance(body, dict) or body.keys() != _BODY or not _is_one(body["v"]):
        raise _malformed("its body has other parts")
    texts = (key, signature, body["place"], body["transaction"], body["result"])
    if not all(isinstance(one, str) for one in texts):
        raise _malformed("key, signature, place, transaction and result are texts")
    if not _PLACE.fullmatch(body["place"]) or not _TRANSACTION.fullmatch(body["transaction"]):
        raise _malformed("it names no place or no transaction")
    if body["result"] not in get_args(Result) or body["result"] == REFUSED:
        raise _malformed("only what a place keeps is stated")
    if not all(type(body[name]) is int and 0 <= body[name] <= _MOST for name in ("block", "at")):
        raise _malformed("block and time are whole numbers")
    if len(canonical_bytes(body)) > MAX_STATEMENT:
        raise _malformed("it is too long")
    if not verify(key, KIND, body, signature):
        raise _malformed("its key did not sign it")
    parts = {name: body[name] for name in _BODY - {"v", "entry"}}
    return Statement(entry=parse_entry(body["entry"]), key=key, signature=signature, **parts)


def check_statement(
    statement: Statement, keys: Mapping[str, str], origins: Mapping[str, str]
) -> Check:
    """Check what can be checked of a statement without asking anybody.

    Args:
        statement: as parsed.
        keys: organisation to base64 charter key, of the pinned charter.
        origins: the log's names, each with the base64 key that signs under it.

    Raises:
        SecureFlowError: `anchor_untrusted` for who is no member; `anchor_head_forged`;
            `anchor_receipt_false` for a receipt that its keeper did not give.
    """
    signers = [name for name, key in keys.items() if key == statement.key]
    if not signers:
        raise SecureFlowError(
            "anchor_untrusted",
            "A statement about an anchor is signed by nobody in the charter.",
            "Ask whoever gave it to you where it is from.",
        )
    if isinstance(statement.entry, AnchorHead):
        note_of(statement.entry, origins)
    if statement.make != "file":
        return "not checked"
    if b64encode(keeper_of(statement)) not in keys.values():
        raise _false(signers[0], "its keeper is not in the charter")
    if reason := why_receipt_false(statement):
        raise _false(signers[0], reason)
    return "receipt holds"


def keeper_of(statement: Statement) -> bytes:
    """Return the charter key of who keeps the file that a statement is about."""
    return bytes.fromhex(statement.place.removeprefix("file:"))


def why_receipt_false(statement: Statement) -> str:
    """Return why the receipt of a file is false; empty if its keeper gave it of that deed."""
    try:
        receipt = filed.parse_receipt(statement.receipt, keeper_of(statement))
    except SecureFlowError:
        return "its keeper did not sign it"
    held = dict(zip(receipt.entries, receipt.results, strict=True))
    same = (receipt.transaction, receipt.line) == (statement.transaction, statement.block)
    if not same or held.get(statement.entry.digest.hex()) != statement.result:
        return "it is of another deed"
    return ""


def heads_apart(statements: Sequence[Statement]) -> list[tuple[Statement, Statement]]:
    """Return pairs of heads of one log and size with different roots: the log has two histories."""
    first: dict[tuple[bytes, int], Statement] = {}
    apart = []
    for one in statements:
        if isinstance(one.entry, AnchorHead):
            known = first.setdefault((one.entry.log, one.entry.size), one)
            if isinstance(known.entry, AnchorHead) and known.entry.root != one.entry.root:
                apart.append((known, one))
    return apart


def _is_one(value: Any) -> bool:
    return type(value) is int and value == 1  # nor 1.0 or true, which Python takes for equal


def _false(signer: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "anchor_receipt_false",
        Text(
            "{signer} signed that it anchored a deed, and the receipt is false: {reason}.",
            signer=signer,
            reason=reason,
        ),
        "The statement convicts who signed it: show it to the other members.",
    )


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_anchor",
        Text("The statement about an anchor is malformed: {reason}.", reason=reason),
        "Nothing in it counts: have its member make it again.",
    )

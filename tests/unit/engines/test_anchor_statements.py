"""Statements about anchors: only the member makes one, and a false one convicts its signer."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import AnchorHead, RegisterJob, job_digest, log_digest
from secureflow.engines.anchors.reading import anchored_head
from secureflow.engines.anchors.statements import (
    Statement,
    check_statement,
    heads_apart,
    parse_statement,
    sign_statement,
)
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.kit.canonical import b64decode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError

LOG = SigningKey.from_seed(b"l" * 32)
KEYS = {name: SigningKey.from_seed(name.ljust(32).encode()) for name in ("bank-a", "keeper")}
CHARTER = {name: key.public for name, key in KEYS.items()}
ORIGINS = {"log.example": LOG.public}
KEEPER = KEYS["keeper"]
PLACE = filed.place_of(b64decode(KEEPER.public))


def head(root: bytes = b"\x01" * 32, key: SigningKey = LOG) -> AnchorHead:
    note = sign_checkpoint(Checkpoint("log.example", 5, root), LOG)
    if key is LOG:
        return anchored_head(note, LOG.public)
    return AnchorHead(log_digest("log.example"), 5, root, (b"\x01" * 32, b"\x02" * 32))


def filed_statement(entry: Any, keeper: SigningKey = KEEPER, **changes: Any) -> Statement:
    receipt = filed.Receipt(
        PLACE, "ab" * 32, 7, "cd" * 32, 1_800_000_000, (entry.digest.hex(),), ("kept",), ("",)
    )
    parts: dict[str, Any] = {
        "place": PLACE,
        "entry": entry,
        "result": "kept",
        "transaction": "ab" * 32,
        "block": 7,
        "receipt": filed.sign_receipt(keeper, receipt),
        "at": 1_800_000_000,
    }
    return sign_statement(Statement(**{**parts, **changes}), KEYS["bank-a"])


def test_a_statement_comes_back_as_it_was_signed_and_its_receipt_holds() -> None:
    made = filed_statement(head())
    assert parse_statement(made.json()) == made
    assert check_statement(made, CHARTER, ORIGINS) == "receipt holds"


@pytest.mark.parametrize("name", ["place", "result", "transaction", "block", "receipt", "at"])
def test_who_changes_anything_in_it_makes_it_nobodys(name: str) -> None:
    value = copy.deepcopy(filed_statement(head()).json())
    changed = {
        "place": "file:" + "00" * 32, "result": "known", "transaction": "ee" * 32, "block": 8,
        "receipt": {}, "at": 1,
    }  # fmt: skip
    value["body"][name] = changed[name]
    with pytest.raises(SecureFlowError, match="its key did not sign it"):
        parse_statement(value)


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"body": {}, "key": "", "signature": ""},
        {"body": [], "key": 1, "signature": []},
    ],
)
def test_what_is_no_statement_is_refused(value: Any) -> None:
    with pytest.raises(SecureFlowError) as caught:
        parse_statement(value)
    assert caught.value.code == "malformed_anchor"


def test_a_long_one_is_refused() -> None:
    made = filed_statement(head(), receipt={"long": "x" * 40_000})
    with pytest.raises(SecureFlowError, match="too long"):
        parse_statement(made.json())


def test_a_stranger_says_nothing() -> None:
    made = sign_statement(filed_statement(head()), SigningKey.generate())
    with pytest.raises(SecureFlowError) as caught:
        check_statement(parse_statement(made.json()), CHARTER, ORIGINS)
    assert caught.value.code == "anchor_untrusted"


def test_a_head_that_the_log_never_signed_is_named() -> None:
    made = filed_statement(head(key=KEEPER))
    with pytest.raises(SecureFlowError) as caught:
        check_statement(made, CHARTER, ORIGINS)
    assert caught.value.code == "anchor_head_forged"


@pytest.mark.parametrize(
    "changes",
    [
        {"keeper": SigningKey.from_seed(b"x" * 32)},
        {"block": 8},
        {"transaction": "ee" * 32},
        {"result": "fork"},
        {"receipt": {"body": {}, "signature": ""}},
        {"receipt": None},
    ],
)
def test_a_false_receipt_convicts_who_signed_it(changes: dict[str, Any]) -> None:
    made = filed_statement(head(), **changes)
    with pytest.raises(SecureFlowError, match="bank-a") as caught:
        check_statement(made, CHARTER, ORIGINS)
    assert caught.value.code == "anchor_receipt_false"


def test_a_receipt_of_another_deed_is_false() -> None:
    other = filed_statement(RegisterJob(job_digest("job_x"), b"\x03" * 32))
    made = filed_statement(head(), receipt=other.receipt)
    with pytest.raises(SecureFlowError, match="another deed"):
        check_statement(made, CHARTER, ORIGINS)


def test_a_keeper_outside_of_the_charter_is_none() -> None:
    with pytest.raises(SecureFlowError, match="its keeper is not in the charter"):
        check_statement(filed_statement(head()), {"bank-a": CHARTER["bank-a"]}, ORIGINS)


def test_a_chains_receipt_is_not_checked_without_a_node() -> None:
    made = filed_statement(head(), place="evm:1337:0x" + "ab" * 20, receipt={"status": 1})
    assert check_statement(made, CHARTER, ORIGINS) == "not checked"


def test_two_heads_of_one_size_are_told() -> None:
    one, other = filed_statement(head()), filed_statement(head(b"\x09" * 32))
    assert heads_apart([one, one]) == []
    assert heads_apart([one, other]) == [(one, other)]

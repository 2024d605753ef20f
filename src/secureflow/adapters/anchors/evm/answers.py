"""What a node answers, checked field by field: its shape, its length, its numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from secureflow.adapters.anchors.evm.faults import too_much, unavailable
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.text import Text

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
MOST_LOGS: Final = 20_000
"""Events of one answer."""
MOST_TOPICS: Final = 4
MOST_IN_BLOCK: Final = 50_000
"""Transactions: the hashes of more are longer than an answer may be."""
MOST_NUMBER: Final = 2**53 - 1
"""Of blocks, places in them and seconds: what a record and canonical JSON hold."""


@dataclass(frozen=True)
class Block:
    """Number and hash of a block, the gas of its transactions, and a unit's fee if it has one."""

    number: int
    hash: str
    gas: int
    base: int | None


@dataclass(frozen=True)
class Log:
    """An event of a contract."""

    address: str
    topics: tuple[bytes, ...]
    data: bytes
    block: int
    block_hash: str
    transaction: str
    index: int


@dataclass(frozen=True)
class Receipt:
    """What became of a transaction that is in a block."""

    transaction: str
    block: int
    block_hash: str
    index: int
    to: str
    ok: bool
    gas: int
    contract: str
    logs: tuple[Log, ...]


def quantity(value: Any) -> int:
    """Return a number.

    Raises:
        InfrastructureError: `anchor_unavailable`; also the others' here.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise _odd()
    return int(value, 16)


def number(value: Any) -> int:
    """Return the number of a block, of something in it, or of a transaction."""
    found = quantity(value)
    if found > MOST_NUMBER:
        raise _odd()
    return found


def data(value: Any, length: int | None = None) -> bytes:
    """Return bytes, of just this length if it is given."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise _odd()
    found = bytes.fromhex(value[2:])
    if length is not None and len(found) != length:
        raise _odd()
    return found


def word(value: Any) -> str:
    """Return a 32-byte value as lowercase hex."""
    return data(value, 32).hex()


def address(value: Any) -> str:
    """Return an address as lowercase hex with 0x."""
    return f"0x{data(value, 20).hex()}"


def block(value: Any) -> Block | None:
    """Return a block's head; extra data and further fields are as the chain likes."""
    if value is None:
        return None
    fields = _object(value)
    base = fields.get("baseFeePerGas")
    return Block(
        number(fields.get("number")),
        word(fields.get("hash")),
        quantity(fields.get("gasLimit")),
        None if base is None else quantity(base),
    )


def transactions(value: Any) -> tuple[str, ...]:
    """Return the hashes of a block's transactions, where their content was not asked for."""
    return tuple(word(one) for one in _list(_object(value).get("transactions"), MOST_IN_BLOCK))


def receipt(value: Any) -> Receipt | None:
    """Return a receipt; None if the transaction is in no block."""
    if value is None:
        return None
    fields = _object(value)
    if fields.get("blockHash") is None:
        return None  # pending, as some nodes spell it
    to, contract = fields.get("to"), fields.get("contractAddress")
    return Receipt(
        word(fields.get("transactionHash")),
        number(fields.get("blockNumber")),
        word(fields.get("blockHash")),
        number(fields.get("transactionIndex")),
        "" if to is None else address(to),
        quantity(fields.get("status")) == 1,
        quantity(fields.get("gasUsed")),
        "" if contract is None else address(contract),
        logs(fields.get("logs")),
    )


def logs(value: Any) -> tuple[Log, ...]:
    """Return events; those that a reorganisation removed are none."""
    if isinstance(value, list) and len(value) > MOST_LOGS:
        raise too_much(Text("it has more than {most} events", most=MOST_LOGS))
    return tuple(_log(one) for one in _list(value, MOST_LOGS) if not _removed(one))


def _log(value: Any) -> Log:
    fields = _object(value)
    return Log(
        address(fields.get("address")),
        tuple(data(one, 32) for one in _list(fields.get("topics"), MOST_TOPICS)),
        data(fields.get("data")),
        number(fields.get("blockNumber")),
        word(fields.get("blockHash")),
        word(fields.get("transactionHash")),
        number(fields.get("logIndex")),
    )


def _removed(value: Any) -> bool:
    return _object(value).get("removed") is True


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _odd()
    return value


def _list(value: Any, most: int) -> Sequence[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise _odd()
    return value


def _odd() -> InfrastructureError:
    return unavailable("one of its values is malformed")

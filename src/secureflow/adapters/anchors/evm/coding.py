"""Entries as calls of the contract, and its events and answers as values (Solidity ABI).

Each entry is the call of the function of its name, its fields the arguments in their order. The
contract keeps a call only if it has just the bytes that this makes, so that what is read back is
one entry and nothing beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.resources import files
from typing import Any, Final

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

from secureflow.adapters.anchors.evm.answers import MOST_NUMBER, Log
from secureflow.adapters.anchors.evm.faults import NodeFault, refused, unavailable
from secureflow.application.ports.anchor import Result
from secureflow.engines.anchors.entries import KINDS, Entry
from secureflow.kit.errors import SecureFlowError

TARGETS: Final = ("istanbul", "paris")
RESULTS: Final[tuple[Result, ...]] = ("known", "kept", "fork", "refused")
"""By the contract's numbers."""
_SELECTOR: Final = 4
_WORD: Final = 32
MOST_CALLS: Final = 256
"""Entries of one transaction, as the contract takes."""
_MOST_REASON: Final = 32


@dataclass(frozen=True)
class Function:
    """A function of the contract."""

    name: str
    selector: bytes
    takes: tuple[str, ...]
    gives: tuple[str, ...]

    def call(self, *values: Any) -> bytes:
        """Return the bytes that call it."""
        return self.selector + encode(self.takes, values)


@dataclass(frozen=True)
class Built:
    """The contract as it was compiled.

    Args:
        bytecode: that makes it, before the constructor's arguments.
        runtime: what stands at its address then.
        written: where the constructor wrote values into it, and how many bytes.
    """

    bytecode: bytes
    runtime: bytes
    written: tuple[tuple[int, int], ...]

    def is_at(self, code: bytes) -> bool:
        """Tell whether this stands at an address, whatever the constructor's values were."""
        return len(code) == len(self.runtime) and self._blank(code) == self._blank(self.runtime)

    def _blank(self, code: bytes) -> bytes:
        made = bytearray(code)
        for start, length in self.written:
            made[start : start + length] = bytes(length)
        return bytes(made)


@dataclass(frozen=True)
class Kept:
    """The event of an entry that is kept."""

    member: bytes
    time: int
    fork: bool
    entry: Entry


@cache
def built(target: str) -> Built:
    """Return the contract as it was compiled for `istanbul` or `paris`."""
    found = json.loads(_file(f"{target}.json"))
    code, runtime = bytes.fromhex(found["bytecode"]), bytes.fromhex(found["runtime"])
    return Built(code, runtime, tuple((one[0], one[1]) for one in found["written"]))


@cache
def function(name: str) -> Function:
    """Return a function of the contract."""
    found = next(one for one in _abi() if one["type"] == "function" and one["name"] == name)
    takes, gives = _types(found["inputs"]), _types(found["outputs"])
    return Function(name, keccak(f"{name}({','.join(takes)})".encode())[:_SELECTOR], takes, gives)


@cache
def topic(name: str) -> bytes:
    """Return the first topic of an event."""
    found = next(one for one in _abi() if one["type"] == "event" and one["name"] == name)
    return keccak(f"{name}({','.join(_types(found['inputs']))})".encode())


@cache
def constructor() -> tuple[str, ...]:
    """Return the types that the constructor takes."""
    return _types(next(one for one in _abi() if one["type"] == "constructor")["inputs"])


def call_of(entry: Entry) -> bytes:
    """Return the call that carries an entry."""
    values = [getattr(entry, one.name) for one in fields(entry)]
    return function(entry.kind).call(*values)


def batch_of(entries: Sequence[Entry]) -> bytes:
    """Return the call that carries many entries."""
    return function("batch").call([call_of(one) for one in entries])


def entry_of(call: bytes) -> Entry:
    """Return the entry that a call carries.

    Raises:
        SecureFlowError: `anchor_refused`: no call of ours.
    """
    known = _by_selector().get(call[:_SELECTOR])
    try:
        if known is not None:
            entry = KINDS[known.name](*decoded(known.takes, call[_SELECTOR:]))
            if call_of(entry) == call:
                return entry
    except (SecureFlowError, EncodingError) as error:
        raise _no_entry() from error
    raise _no_entry()


def entries_of(call: bytes) -> tuple[Entry, ...]:
    """Return the entries of a batch's call.

    Raises:
        SecureFlowError: `anchor_refused`.
    """
    batch = function("batch")
    if call[:_SELECTOR] != batch.selector or not _is_list(call[_SELECTOR:]):
        raise _no_entry()
    return tuple(entry_of(one) for one in decoded(batch.takes, call[_SELECTOR:])[0])


def _is_list(data: bytes) -> bool:
    """Tell whether a list of bytes is no longer than the data it is in.

    Its parts may be the same bytes again and again: read as they are, four megabytes would become
    thousands of them.
    """
    begin = _WORD if int.from_bytes(data[:_WORD], "big") == _WORD else len(data)
    count = int.from_bytes(data[begin : begin + _WORD], "big")
    base, whole = begin + _WORD, 0
    if count > MOST_CALLS or base + count * _WORD > len(data):
        return False
    for at in range(base, base + count * _WORD, _WORD):
        start = base + int.from_bytes(data[at : at + _WORD], "big")
        whole += _WORD + int.from_bytes(data[start : start + _WORD], "big")
    return base + whole <= len(data)


def kept_of(log: Log) -> Kept:
    """Return what an event `Kept` says.

    Raises:
        SecureFlowError: `anchor_unavailable`, `anchor_refused`.
    """
    if len(log.topics) != 4 or log.topics[0] != topic("Kept"):
        raise unavailable("an event is malformed")
    time, fork, call = decoded(("uint64", "bool", "bytes"), log.data)
    if time > MOST_NUMBER:
        raise unavailable("an event is malformed")
    return Kept(log.topics[1], time, fork, entry_of(call))


def judged_of(logs: Sequence[Log], contract: str) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Return what a batch's receipt says: a result of each entry, and why it was refused.

    Raises:
        SecureFlowError: `anchor_unavailable`: it does not say so.
    """
    ours = [one for one in logs if one.address == contract and one.topics]
    judged = [one for one in ours if one.topics[0] == topic("Judged")]
    if len(judged) != 1:
        raise unavailable("a receipt does not say what became of the entries")
    (numbers,) = decoded(("bytes",), judged[0].data)
    if any(one >= len(RESULTS) for one in numbers):
        raise unavailable("a receipt does not say what became of the entries")
    reasons = dict.fromkeys(range(len(numbers)), "")
    for one in ours:
        if one.topics[0] == topic("Refused"):
            index, reason = decoded(("uint256", "bytes32"), one.data)
            reasons[index] = reason_of(reason)
    return tuple(RESULTS[one] for one in numbers), tuple(reasons[i] for i in range(len(numbers)))


def refusal_of(fault: NodeFault) -> str:
    """Return why the contract refused a call; empty if it did not say."""
    selector = keccak(b"Refusal(bytes32)")[:_SELECTOR]
    if fault.data[:_SELECTOR] != selector or len(fault.data) != _SELECTOR + _MOST_REASON:
        return ""
    return reason_of(fault.data[_SELECTOR:])


def reason_of(word: bytes) -> str:
    """Return a reason that the contract gives: lowercase letters and underscores."""
    text = word.rstrip(b"\0").decode("ascii", "replace")
    return text if text.replace("_", "").isalpha() and text.islower() else ""


def decoded(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """Return values of the ABI.

    Raises:
        SecureFlowError: `anchor_unavailable`: they are none.
    """
    try:
        found: tuple[Any, ...] = decode(types, data)
    except (DecodingError, OverflowError, ValueError) as error:
        raise unavailable("values of the contract are malformed") from error
    return found


@cache
def _by_selector() -> dict[bytes, Function]:
    return {function(kind).selector: function(kind) for kind in KINDS}


@cache
def _abi() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(_file("abi.json"))
    return found


def _file(name: str) -> str:
    return files(__package__).joinpath("contract", name).read_text("utf-8")


def _types(values: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(_type(one) for one in values)


def _type(value: dict[str, Any]) -> str:
    kind: str = value["type"]
    if kind.startswith("tuple"):
        return f"({','.join(_types(value['components']))}){kind.removeprefix('tuple')}"
    return kind


def _no_entry() -> SecureFlowError:
    return refused("what it keeps is no entry that is known here")

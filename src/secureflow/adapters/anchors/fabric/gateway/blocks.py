"""Blocks as a peer has them: hash, validation codes, and what one chaincode's transactions did."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, Final

from fabric_protos.common import common_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from .failures import Failure
from .proposals import action_of

MOST_EVENT: Final = 8 << 20
"""Bytes of one transaction's event."""
_UNKNOWN: Final = 255


def block_of(data: bytes) -> common_pb2.Block:
    """Return a block whose content is that of its header.

    Raises:
        Failure: `malformed`.
    """
    try:
        block = common_pb2.Block.FromString(data)
    except DecodeError as error:
        raise Failure("malformed", "the block cannot be read") from error
    if hashlib.sha256(b"".join(block.data.data)).digest() != block.header.data_hash:
        raise Failure("malformed", "the block's content is not that of its header")
    return block


def hash_of(header: common_pb2.BlockHeader) -> str:
    """Return a block's hash: SHA-256 of its header as ASN.1 (protoutil.BlockHeaderHash)."""
    number = header.number.to_bytes(header.number.bit_length() // 8 + 1, "big")
    parts = _der(0x02, number) + _der(0x04, header.previous_hash) + _der(0x04, header.data_hash)
    return hashlib.sha256(_der(0x30, parts)).hexdigest()


def transactions(block: common_pb2.Block, chaincode: str) -> Iterator[dict[str, Any]]:
    """Yield a chaincode's transactions of a block: id, index, validation code and event."""
    parts = block.metadata.metadata
    filtered = common_pb2.TRANSACTIONS_FILTER
    codes = parts[filtered] if len(parts) > filtered else b""
    place = {"block": block.header.number, "hash": hash_of(block.header)}
    for index, data in enumerate(block.data.data):
        code = codes[index] if index < len(codes) else _UNKNOWN
        name = ""
        try:
            envelope = common_pb2.Envelope.FromString(data)
            payload = common_pb2.Payload.FromString(envelope.payload)
            top = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
            name = top.tx_id
            if top.type != common_pb2.ENDORSER_TRANSACTION:
                continue
            event = _event(payload.data, chaincode)
        except DecodeError:
            continue  # somebody's, which the peers found invalid
        if event is not None:
            yield {**place, "id": name, "index": index, "code": code_name(code), "event": event}


def code_name(code: int) -> str:
    """Return the name of a validation code."""
    try:
        return str(transaction_pb2.TxValidationCode.Name(code))
    except ValueError:
        return "INVALID_OTHER_REASON"


def _event(data: bytes, chaincode: str) -> str | None:
    """Return the text of the event of an invocation of the chaincode; None of another one's."""
    response = proposal_response_pb2.ProposalResponsePayload.FromString(
        action_of(data).action.proposal_response_payload
    )
    action = proposal_pb2.ChaincodeAction.FromString(response.extension)
    if action.chaincode_id.name != chaincode:
        return None
    event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
    if len(event.payload) > MOST_EVENT:
        raise Failure("malformed", "an event is too long")
    return bytes(event.payload).decode("utf-8", "replace")


def _der(tag: int, content: bytes) -> bytes:
    return bytes([tag, len(content)]) + content  # a header has fewer than 128 bytes

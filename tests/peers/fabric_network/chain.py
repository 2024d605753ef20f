"""Orderer and committer: blocks, validation codes, versions.

The order of checks is the committing peer's: signature, transaction id, duplicate, endorsement
policy, then read set against the versions that earlier transactions of the same block left.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError
from msp import Denied, Members, transaction_id
from simulation import State, within

Code = transaction_pb2.TxValidationCode


def header_hash(header: Any) -> bytes:
    """Return a block's hash: SHA-256 over its header in DER."""
    number = header.number.to_bytes((header.number.bit_length() + 8) // 8, "big")
    body = b"".join(
        bytes([tag, len(one)]) + one
        for tag, one in ((2, number), (4, header.previous_hash), (4, header.data_hash))
    )
    return hashlib.sha256(bytes([0x30, len(body)]) + body).digest()


class Chain:
    """One channel's blocks, kept in a file so that a killed network goes on where it was.

    Args:
        file: of blocks, each after its length.
        members: who may sign.
        chaincode: whose state is kept.
    """

    def __init__(self, file: Path, members: Members, chaincode: str) -> None:
        self._file = file
        self._members = members
        self._chaincode = chaincode
        self.blocks: list[Any] = []
        self.where: dict[str, tuple[int, int]] = {}
        self.state: State = {}
        self.grown = asyncio.Condition()
        if file.exists():
            data = file.read_bytes()
            while len(data) >= 8:
                size = int.from_bytes(data[:8], "big")
                self._keep(common_pb2.Block.FromString(data[8 : 8 + size]))
                data = data[8 + size :]
        else:
            config = common_pb2.ChannelHeader(type=common_pb2.CONFIG).SerializeToString()
            payload = common_pb2.Payload(header=common_pb2.Header(channel_header=config))
            first = common_pb2.Envelope(payload=payload.SerializeToString())
            self._append([first.SerializeToString()], bytes([Code.VALID]))

    async def add(self, envelopes: list[bytes]) -> None:
        """Make a block of what was ordered."""
        state, where = dict(self.state), dict(self.where)
        codes = bytearray()
        for index, one in enumerate(envelopes):
            codes.append(self._judge(one, state, where, (len(self.blocks), index)))
        self._append(envelopes, bytes(codes))
        async with self.grown:
            self.grown.notify_all()

    def events(self, number: int) -> list[tuple[str, Any]]:
        """Return transaction id and event of a block's valid transactions."""
        block, found = self.blocks[number], []
        for index, data in enumerate(block.data.data):
            if self.code(number, index) == Code.VALID and number:
                action = _action(common_pb2.Envelope.FromString(data))
                if action.events:
                    event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
                    found.append((event.tx_id, event))
        return found

    def code(self, number: int, index: int) -> int:
        """Return a transaction's validation code."""
        return int(self.blocks[number].metadata.metadata[common_pb2.TRANSACTIONS_FILTER][index])

    def _append(self, envelopes: list[bytes], codes: bytes) -> None:
        previous = header_hash(self.blocks[-1].header) if self.blocks else b""
        block = common_pb2.Block(
            header=common_pb2.BlockHeader(
                number=len(self.blocks),
                previous_hash=previous,
                data_hash=hashlib.sha256(b"".join(envelopes)).digest(),
            ),
            data=common_pb2.BlockData(data=envelopes),
            metadata=common_pb2.BlockMetadata(metadata=[b"", b"", codes, b"", b""]),
        )
        data = block.SerializeToString()
        with self._file.open("ab") as file:
            file.write(len(data).to_bytes(8, "big") + data)
        self._keep(block)

    def _keep(self, block: Any) -> None:
        number = len(self.blocks)
        self.blocks.append(block)
        for index, data in enumerate(block.data.data):
            if not number:
                continue
            envelope = common_pb2.Envelope.FromString(data)
            self.where.setdefault(_channel_header(envelope).tx_id, (number, index))
            if self.code(number, index) == Code.VALID:
                _write(self.state, _action(envelope).results, self._chaincode, (number, index))

    def _judge(
        self, data: bytes, state: State, where: dict[str, tuple[int, int]], at: tuple[int, int]
    ) -> int:
        try:
            envelope = common_pb2.Envelope.FromString(data)
            header = common_pb2.Payload.FromString(envelope.payload).header
            signed = common_pb2.SignatureHeader.FromString(header.signature_header)
            top = _channel_header(envelope)
            action, endorsed = _action(envelope), _endorsed(envelope)
        except DecodeError:
            return int(Code.BAD_PAYLOAD)
        try:
            self._members.check(signed.creator, envelope.payload, envelope.signature)
        except Denied:
            return int(Code.BAD_CREATOR_SIGNATURE)
        if top.tx_id != transaction_id(signed.nonce, signed.creator):
            return int(Code.BAD_PROPOSAL_TXID)
        if top.tx_id in where:
            return int(Code.DUPLICATE_TXID)
        where[top.tx_id] = at
        if not self._majority(endorsed):
            return int(Code.ENDORSEMENT_POLICY_FAILURE)
        code = _conflict(state, action.results, self._chaincode)
        if code == Code.VALID:
            _write(state, action.results, self._chaincode, at)
        return code

    def _majority(self, endorsed: Any) -> bool:
        found = set()
        for one in endorsed.endorsements:
            try:
                data = endorsed.proposal_response_payload + one.endorser
                found.add(self._members.check(one.endorser, data, one.signature))
            except Denied:
                continue
        return len(found) > len(self._members.peers) // 2


def _channel_header(envelope: Any) -> Any:
    header = common_pb2.Payload.FromString(envelope.payload).header
    return common_pb2.ChannelHeader.FromString(header.channel_header)


def _endorsed(envelope: Any) -> Any:
    data = common_pb2.Payload.FromString(envelope.payload).data
    action = transaction_pb2.Transaction.FromString(data).actions[0]
    return transaction_pb2.ChaincodeActionPayload.FromString(action.payload).action


def _action(envelope: Any) -> Any:
    payload = _endorsed(envelope).proposal_response_payload
    response = proposal_response_pb2.ProposalResponsePayload.FromString(payload)
    return proposal_pb2.ChaincodeAction.FromString(response.extension)


def _sets(results: bytes, chaincode: str) -> list[Any]:
    whole = rwset_pb2.TxReadWriteSet.FromString(results)
    return [
        kv_rwset_pb2.KVRWSet.FromString(one.rwset)
        for one in whole.ns_rwset
        if one.namespace == chaincode
    ]


def _version(read: Any) -> tuple[int, int] | None:
    return (read.version.block_num, read.version.tx_num) if read.HasField("version") else None


def _conflict(state: State, results: bytes, chaincode: str) -> int:
    for one in _sets(results, chaincode):
        for read in one.reads:
            if _version(read) != state.get(read.key, (b"", None))[1]:
                return int(Code.MVCC_READ_CONFLICT)
        for asked in one.range_queries_info:
            now = [(key, state[key][1]) for key in within(state, asked.start_key, asked.end_key)]
            if now != [(read.key, _version(read)) for read in asked.raw_reads.kv_reads]:
                return int(Code.PHANTOM_READ_CONFLICT)
    return int(Code.VALID)


def _write(state: State, results: bytes, chaincode: str, at: tuple[int, int]) -> None:
    for one in _sets(results, chaincode):
        for write in one.writes:
            if write.is_delete:
                state.pop(write.key, None)
            else:
                state[write.key] = (write.value, at)

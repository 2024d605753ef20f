"""Damaged blocks and transactions, read by the gateway process's parsers in its environment."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import random
import sys
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from fabric_protos.common import common_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

START = Path(sys.argv[0]).resolve().parents[3] / (
    "src/secureflow/adapters/anchors/fabric/gateway/start.py"
)


def load() -> str:
    found = importlib.util.spec_from_file_location("start", START)
    assert found is not None
    assert found.loader is not None
    start = importlib.util.module_from_spec(found)
    found.loader.exec_module(start)
    start.package()
    return str(start.PACKAGE)


def main() -> None:
    package = load()
    blocks = importlib.import_module(f"{package}.blocks")
    failures = importlib.import_module(f"{package}.failures")
    proposals = importlib.import_module(f"{package}.proposals")
    identities = importlib.import_module(f"{package}.identity")
    identity = object.__new__(identities.Identity)
    identity._key = ec.generate_private_key(ec.SECP256R1())
    identity.creator = b"creator"
    assert serialization  # the environment has what it signs with
    made = proposals.propose(identity, "audit", "anchor", [b"batch", b"[]"])
    event = chaincode_event_pb2.ChaincodeEvent(event_name="secureflow", payload=b"{}")
    action = proposal_pb2.ChaincodeAction(
        events=event.SerializeToString(),
        response=proposal_response_pb2.Response(status=200, payload=b"[]"),
        chaincode_id=chaincode_pb2.ChaincodeID(name="anchor"),
    )
    hasher = hashlib.sha256(made.header.channel_header + made.header.signature_header)
    hasher.update(made.payload)
    response = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=hasher.digest(), extension=action.SerializeToString()
    )
    inner = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=made.payload,
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response.SerializeToString()
        ),
    )
    one = transaction_pb2.TransactionAction(payload=inner.SerializeToString())
    data = transaction_pb2.Transaction(actions=[one]).SerializeToString()
    payload = common_pb2.Payload(header=made.header, data=data).SerializeToString()
    envelope = common_pb2.Envelope(payload=payload)
    assert proposals.checked(made, envelope) == b"[]"
    whole = block(envelope.SerializeToString())
    found = list(blocks.transactions(blocks.block_of(whole), "anchor"))
    assert [one["id"] for one in found] == [made.id]
    draw, count = random.Random(1), 0
    for _ in range(1000):
        bad = damaged(envelope.SerializeToString(), draw)
        for read in (
            lambda bad=bad: proposals.checked(made, common_pb2.Envelope.FromString(bad)),
            lambda bad=bad: list(blocks.transactions(blocks.block_of(block(bad)), "anchor")),
            lambda: list(blocks.transactions(blocks.block_of(damaged(whole, draw)), "anchor")),
        ):
            count += 1
            try:
                read()
            except (failures.Failure, DecodeError):
                continue
    print(json.dumps({"damaged": count}))


def block(data: bytes) -> bytes:
    """Return a block with one transaction, whose header fits it."""
    header = common_pb2.BlockHeader(number=1, data_hash=hashlib.sha256(data).digest())
    metadata = common_pb2.BlockMetadata(metadata=[b"", b"", b"\0"])
    made = common_pb2.Block(
        header=header, data=common_pb2.BlockData(data=[data]), metadata=metadata
    )
    return bytes(made.SerializeToString())


def damaged(data: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.randbytes(draw.randrange(3)) + data[at + draw.randrange(1, 4) :]


main()

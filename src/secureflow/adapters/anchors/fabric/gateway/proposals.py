"""Proposals, and what came back of one: nothing is signed that is not what was proposed.

A gateway assembles the transaction that its client then signs. One that is not honest could put
another transaction there; so the header, the invocation and the chaincode must be those of the
proposal, byte for byte (`protos.ProposalResponsePayload.proposal_hash`, as a peer computes it).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2
from fabric_protos.peer import chaincode_pb2, proposal_pb2, proposal_response_pb2, transaction_pb2
from google.protobuf.message import DecodeError

from .failures import Failure
from .identity import Identity


@dataclass(frozen=True)
class Proposal:
    """An invocation that its client signed.

    Args:
        id: of the transaction.
        channel, chaincode: where it goes.
        header: of proposal and transaction.
        payload: the invocation, without what is transient.
        signed: what is sent.
    """

    id: str
    channel: str
    chaincode: str
    header: common_pb2.Header
    payload: bytes
    signed: proposal_pb2.SignedProposal


def propose(
    identity: Identity, channel: str, chaincode: str, args: Sequence[bytes], *, init: bool = False
) -> Proposal:
    """Return a signed proposal of a transaction that has not been there."""
    name, nonce = identity.named()
    target = chaincode_pb2.ChaincodeID(name=chaincode)
    top = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        tx_id=name,
        channel_id=channel,
        extension=proposal_pb2.ChaincodeHeaderExtension(chaincode_id=target).SerializeToString(),
    )
    top.timestamp.GetCurrentTime()
    header = common_pb2.Header(
        channel_header=top.SerializeToString(),
        signature_header=common_pb2.SignatureHeader(
            creator=identity.creator, nonce=nonce
        ).SerializeToString(),
    )
    spec = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            type=chaincode_pb2.ChaincodeSpec.NODE,
            chaincode_id=target,
            input=chaincode_pb2.ChaincodeInput(args=args, is_init=init),
        )
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=spec.SerializeToString()
    ).SerializeToString()
    whole = proposal_pb2.Proposal(
        header=header.SerializeToString(), payload=payload
    ).SerializeToString()
    signed = proposal_pb2.SignedProposal(proposal_bytes=whole, signature=identity.sign(whole))
    return Proposal(name, channel, chaincode, header, payload, signed)


def checked(proposal: Proposal, envelope: common_pb2.Envelope) -> bytes:
    """Return what the chaincode answered in a transaction that is the proposed one.

    Raises:
        Failure: `swapped`.
    """
    try:
        return _checked(proposal, envelope)
    except DecodeError as error:
        raise Failure("swapped", "the transaction cannot be read") from error


def _checked(proposal: Proposal, envelope: common_pb2.Envelope) -> bytes:
    payload = common_pb2.Payload.FromString(envelope.payload)
    if payload.header != proposal.header:
        raise Failure("swapped", "the transaction has another header than the proposal")
    inner = action_of(payload.data)
    if inner.chaincode_proposal_payload != proposal.payload:
        raise Failure("swapped", "the transaction invokes something else than the proposal")
    response = proposal_response_pb2.ProposalResponsePayload.FromString(
        inner.action.proposal_response_payload
    )
    hasher = hashlib.sha256(proposal.header.channel_header)
    hasher.update(proposal.header.signature_header)
    hasher.update(proposal.payload)
    if response.proposal_hash != hasher.digest():
        raise Failure("swapped", "what was endorsed is another proposal")
    action = proposal_pb2.ChaincodeAction.FromString(response.extension)
    if action.chaincode_id.name != proposal.chaincode:
        raise Failure("swapped", "another chaincode answered")
    return bytes(action.response.payload)


def action_of(data: bytes) -> Any:
    """Return the one action of a transaction (`protos.ChaincodeActionPayload`).

    Raises:
        DecodeError: there is another number of them, or they cannot be read.
    """
    actions = transaction_pb2.Transaction.FromString(data).actions
    if len(actions) != 1:
        raise DecodeError(len(actions))
    return transaction_pb2.ChaincodeActionPayload.FromString(actions[0].payload)

"""The gateway service of the first organisation's peer, and the faults that tests ask for.

Codes and words of errors are those of Fabric 2.5 (internal/pkg/gateway), as measured on a real
network and as its source has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from typing import Any

import grpc
from chain import Chain, header_hash
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf import any_pb2
from msp import Denied, Members, Peer, transaction_id
from simulation import Chaincode, Failed, Simulation

DETAILS = "see attached details for more info"


class Invocation:
    """A signed proposal, taken apart."""

    def __init__(self, signed: Any) -> None:
        self.signed = signed
        proposal = proposal_pb2.Proposal.FromString(signed.proposal_bytes)
        self.header = common_pb2.Header.FromString(proposal.header)
        self.top = common_pb2.ChannelHeader.FromString(self.header.channel_header)
        self.signer = common_pb2.SignatureHeader.FromString(self.header.signature_header)
        self.payload = proposal_pb2.ChaincodeProposalPayload.FromString(proposal.payload)
        spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(self.payload.input)
        self.name = spec.chaincode_spec.chaincode_id.name
        self.input = spec.chaincode_spec.input


class Gateway(gateway_pb2_grpc.GatewayServicer):  # type: ignore[misc]
    """One peer's gateway; both organisations' peers endorse behind it.

    Args:
        chain, members: the channel's.
        channel, chaincode: names.
        address: of the chaincode's server.
        timeout: seconds after which a block is cut.
    """

    def __init__(
        self,
        chain: Chain,
        members: Members,
        channel: str,
        chaincode: str,
        address: str,
        timeout: float,
    ) -> None:
        self._chain, self._members = chain, members
        self._channel, self._name = channel, chaincode
        self._chaincodes = [Chaincode(address) for _ in members.peers]
        self._timeout = timeout
        self._ordered: list[bytes] = []
        self._news = asyncio.Event()
        self._cut = asyncio.Event()
        self.held = False
        self.fault = ""
        self.lost = 0

    async def order(self) -> None:
        """Cut blocks, for as long as it is not cancelled."""
        while True:
            await self._news.wait()
            await asyncio.sleep(self._timeout)
            self._news.clear()
            if not self.held and self._ordered:
                batch, self._ordered = self._ordered, []
                await self._chain.add(batch)

    def release(self) -> None:
        """Cut blocks again."""
        self.held = False
        self._news.set()

    def cut(self) -> None:
        """End every stream of events."""
        self._cut.set()
        self._cut = asyncio.Event()

    async def close(self) -> None:
        """Close the connections to the chaincode."""
        for one in self._chaincodes:
            await one.close()

    async def Evaluate(self, request: Any, context: Any) -> Any:
        await self._there(context)
        made = Invocation(request.proposed_transaction)
        await self._checked(made, context, grpc.StatusCode.FAILED_PRECONDITION)
        if self.fault == "oversized":
            return _evaluated(b'"' + b"x" * (17 << 20) + b'"')
        if self.fault == "malformed":
            return _evaluated(b"{")
        if made.name == "qscc":
            return await self._queried([one.decode() for one in made.input.args], context)
        try:
            response, _, _ = await self._simulated(made, 0)
        except Failed as error:
            await _abort(context, grpc.StatusCode.ABORTED, str(error), [str(error)])
        if response.status != 200:
            words = f"chaincode response {response.status}, {response.message}"
            told = f"evaluate call to endorser returned error: {words}"
            await _abort(context, grpc.StatusCode.UNKNOWN, told, [words])
        return _evaluated(response.payload)

    async def Endorse(self, request: Any, context: Any) -> Any:
        await self._there(context)
        made = Invocation(request.proposed_transaction)
        await self._checked(made, context, grpc.StatusCode.ABORTED)
        if made.top.tx_id in self._chain.where:
            words = f"duplicate transaction found [{made.top.tx_id}]"
            await _abort(
                context,
                grpc.StatusCode.ABORTED,
                f"failed to endorse transaction, {DETAILS}",
                [words],
            )
        if self.fault == "swap":
            made = self._swapped(made)
        payloads, endorsements = [], []
        for number, peer in enumerate(self._members.peers):
            try:
                response, event, results = await self._simulated(made, number)
            except Failed as error:
                await _abort(
                    context,
                    grpc.StatusCode.ABORTED,
                    f"failed to endorse transaction, {DETAILS}",
                    [str(error)],
                )
            if response.status != 200:
                words = f"chaincode response {response.status}, {response.message}"
                await _abort(
                    context,
                    grpc.StatusCode.ABORTED,
                    f"failed to endorse transaction, {DETAILS}",
                    [words],
                )
            payloads.append(self._proposed(made, response, event, results))
            if self.fault != "one endorsement" or not number:
                endorsements.append(_endorsed(peer, payloads[-1]))
        if len(set(payloads)) > 1:
            words = "ProposalResponsePayloads do not match"
            await _abort(
                context,
                grpc.StatusCode.ABORTED,
                f"failed to collect enough transaction endorsements, {DETAILS}",
                [words],
            )
        action = transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=payloads[0], endorsements=endorsements
        )
        return gateway_pb2.EndorseResponse(prepared_transaction=_envelope(made, action))

    async def Submit(self, request: Any, context: Any) -> Any:
        await self._there(context)
        if self.fault == "orderer":
            words = "no orderers could successfully process transaction"
            await _abort(context, grpc.StatusCode.UNAVAILABLE, words, ["connection refused"])
        if self.fault == "lose":
            self.lost += 1
            return gateway_pb2.SubmitResponse()
        self._ordered.append(request.prepared_transaction.SerializeToString())
        self._news.set()
        if self.fault == "no answer":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        return gateway_pb2.SubmitResponse()

    async def CommitStatus(self, request: Any, context: Any) -> Any:
        await self._there(context)
        asked = gateway_pb2.CommitStatusRequest.FromString(request.request)
        await self._allowed(asked.identity, request, context)
        async with self._chain.grown:
            await self._chain.grown.wait_for(lambda: asked.transaction_id in self._chain.where)
        number, index = self._chain.where[asked.transaction_id]
        code = self._chain.code(number, index)
        return gateway_pb2.CommitStatusResponse(result=code, block_number=number)

    async def ChaincodeEvents(self, request: Any, context: Any) -> Any:
        await self._there(context)
        asked = gateway_pb2.ChaincodeEventsRequest.FromString(request.request)
        await self._allowed(asked.identity, request, context)
        after = asked.after_transaction_id
        number = asked.start_position.specified.number
        if after in self._chain.where:
            number = self._chain.where[after][0]
        async for nothing in self._dripping():
            yield nothing
        cut, told = self._cut, 0
        while not cut.is_set():
            await self._reached(number, cut)
            if cut.is_set():
                break
            events = []
            for name, event in self._chain.events(number):
                if after:
                    after = "" if name == after else after
                elif event.chaincode_id == asked.chaincode_id:
                    events.append(event)
            if events:
                yield gateway_pb2.ChaincodeEventsResponse(events=events, block_number=number)
                told += 1
            if self.fault == "cut events" and told:
                break
            number += 1
        await context.abort(grpc.StatusCode.ABORTED, "the stream was cut")

    async def _reached(self, number: int, cut: asyncio.Event) -> None:
        async with self._chain.grown:
            while number >= len(self._chain.blocks) and not cut.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await self._chain.grown.wait()

    async def _dripping(self) -> Any:
        while self.fault == "dripping":
            yield gateway_pb2.ChaincodeEventsResponse(events=[], block_number=0)
            await asyncio.sleep(0)

    async def _there(self, context: Any) -> None:
        if self.fault == "unavailable":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no peers available")

    async def _checked(self, made: Invocation, context: Any, code: Any) -> None:
        try:
            self._members.check(
                made.signer.creator, made.signed.proposal_bytes, made.signed.signature
            )
            if made.top.tx_id != transaction_id(made.signer.nonce, made.signer.creator):
                raise Denied("incorrectly computed txid")
            if made.top.channel_id != self._channel:
                raise Denied(f"access denied: channel [{made.top.channel_id}] not found")
        except Denied as error:
            words = f"error validating proposal: {error}"
            evaluating = code == grpc.StatusCode.FAILED_PRECONDITION
            told = "evaluate call to endorser returned error: " + words
            failed = f"failed to endorse transaction, {DETAILS}"
            await _abort(context, code, told if evaluating else failed, [words])

    async def _allowed(self, identity: bytes, signed: Any, context: Any) -> None:
        try:
            self._members.check(identity, signed.request, signed.signature)
        except Denied as error:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))

    async def _simulated(self, made: Invocation, number: int) -> tuple[Any, Any, bytes]:
        if self.fault == "chaincode crashed":
            raise Failed("error in simulation: chaincode stream terminated")
        begun, words = bool(self._chain.state), "error in simulation: failed to execute transaction"
        if not begun and not made.input.is_init:
            raise Failed(f"{words}: chaincode not initialized, must call as init first")
        if begun and made.input.is_init:
            raise Failed(f"{words}: chaincode is already initialized but called as init")
        simulation = Simulation(self._channel, made.top.tx_id, dict(self._chain.state))
        response, event = await self._chaincodes[number].simulate(
            simulation,
            made.input.SerializeToString(),
            made.signed,
            init=made.input.is_init,
        )
        return response, event, simulation.results(self._name)

    def _proposed(self, made: Invocation, response: Any, event: Any, results: bytes) -> bytes:
        told = b""
        if event is not None:
            told = chaincode_event_pb2.ChaincodeEvent(
                chaincode_id=self._name,
                tx_id=made.top.tx_id,
                event_name=event.event_name,
                payload=event.payload,
            ).SerializeToString()
        action = proposal_pb2.ChaincodeAction(
            results=results,
            events=told,
            response=response,
            chaincode_id=chaincode_pb2.ChaincodeID(name=self._name, version="1"),
        )
        hasher = hashlib.sha256(made.header.channel_header + made.header.signature_header)
        hasher.update(_plain(made))
        return proposal_response_pb2.ProposalResponsePayload(
            proposal_hash=hasher.digest(), extension=action.SerializeToString()
        ).SerializeToString()

    def _swapped(self, made: Invocation) -> Invocation:
        """Invoke something else under the client's own header."""
        spec = chaincode_pb2.ChaincodeInvocationSpec.FromString(made.payload.input)
        member = b'{"kind":"remove","member":"' + b"00" * 32 + b'"}'
        spec.chaincode_spec.input.args[1] = b"[" + member + b"]"
        proposal = proposal_pb2.Proposal.FromString(made.signed.proposal_bytes)
        payload = proposal_pb2.ChaincodeProposalPayload(input=spec.SerializeToString())
        proposal.payload = payload.SerializeToString()
        other = proposal_pb2.SignedProposal(
            proposal_bytes=proposal.SerializeToString(), signature=made.signed.signature
        )
        return Invocation(other)

    def _forged(self, block: Any) -> Any:
        """Return a block, where it is asked for with another content than its header's."""
        if self.fault == "forged":
            block = common_pb2.Block.FromString(block.SerializeToString())
            block.data.data[0] += b"\x12\x00"  # an empty signature: it can still be read
        return block

    async def _queried(self, args: list[str], context: Any) -> Any:
        name, _, *more = args
        blocks = self._chain.blocks
        if name == "GetChainInfo":
            info = ledger_pb2.BlockchainInfo(
                height=len(blocks), currentBlockHash=header_hash(blocks[-1].header)
            )
            return _evaluated(info.SerializeToString())
        if name == "GetBlockByTxID" and more[0] in self._chain.where:
            return _evaluated(blocks[self._chain.where[more[0]][0]].SerializeToString())
        if name == "GetBlockByNumber" and int(more[0]) < len(blocks):
            return _evaluated(self._forged(blocks[int(more[0])]).SerializeToString())
        reason = f"Failed to get block for txID {more[0]}, "
        reason += f"error no such transaction ID [{more[0]}] in index"
        words = f"chaincode response 500, {reason}"
        told = f"evaluate call to endorser returned error: {words}"
        return await _abort(context, grpc.StatusCode.UNKNOWN, told, [words])


def _plain(made: Invocation) -> bytes:
    return bytes(
        proposal_pb2.ChaincodeProposalPayload(input=made.payload.input).SerializeToString()
    )


def _endorsed(peer: Peer, payload: bytes) -> Any:
    signature = peer.sign(payload + peer.creator)
    return proposal_response_pb2.Endorsement(endorser=peer.creator, signature=signature)


def _envelope(made: Invocation, action: Any) -> Any:
    inner = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=_plain(made), action=action
    ).SerializeToString()
    one = transaction_pb2.TransactionAction(header=made.header.signature_header, payload=inner)
    data = transaction_pb2.Transaction(actions=[one]).SerializeToString()
    payload = common_pb2.Payload(header=made.header, data=data)
    return common_pb2.Envelope(payload=payload.SerializeToString())


def _evaluated(payload: bytes) -> Any:
    response = proposal_response_pb2.Response(status=200, payload=payload)
    return gateway_pb2.EvaluateResponse(result=response)


async def _abort(context: Any, code: Any, words: str, details: list[str]) -> Any:
    packed = b""
    for one in details:
        detail = any_pb2.Any()
        detail.Pack(
            gateway_pb2.ErrorDetail(address="peer0.org1:7051", msp_id="Org1MSP", message=one)
        )
        packed += _field(3, detail.SerializeToString())
    status = b"\x08" + bytes([code.value[0]]) + _field(2, words.encode()) + packed
    await context.abort(code, words, (("grpc-status-details-bin", status),))


def _field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while True:
        length += bytes([size & 0x7F | (0x80 if size > 0x7F else 0)])
        size >>= 7
        if not size:
            return bytes([number << 3 | 2]) + length + data

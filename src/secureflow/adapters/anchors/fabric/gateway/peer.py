"""Calls of a peer's gateway service (Fabric 2.4 and later), as one identity.

What reads only is evaluated: our chaincode's views, and the peer's own `qscc` for blocks. Events
come from the stream of the chaincode's, resumed behind a transaction; their blocks are read as
well, because the stream names no place within a block.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Any, Final

import grpc
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2, gateway_pb2_grpc

from . import blocks
from .failures import Failure, failure_of
from .identity import Identity
from .proposals import checked, propose

MESSAGE_BYTES: Final = 100 << 20
"""As many as a peer sends and takes; a block is as long as its channel's settings let it be."""
PAGE_BYTES: Final = 8 << 20
_QUERY: Final = "qscc"
_ABSENT: Final = ("no such transaction ID", "entry not found in index")
"""What qscc says of a transaction that is in no block: of 2.5, and of earlier ones."""


class Peer:
    """A gateway.

    Args:
        target: host and port.
        ca: PEM of the CA that signed its TLS certificate; no other is trusted.
        host: the name in that certificate, if it is another one than the target's.
        client: PEM of certificate and key for TLS, where the peer asks for them.
        identity: who asks.
        channel, chaincode: what is asked.
        patience: seconds for a call.
    """

    def __init__(
        self,
        target: str,
        ca: bytes,
        host: str,
        client: tuple[bytes, bytes] | None,
        identity: Identity,
        channel: str,
        chaincode: str,
        patience: float,
    ) -> None:
        options: list[tuple[str, Any]] = [
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 120_000),
            ("grpc.use_local_subchannel_pool", 1),  # else a new channel waits as the old one did
            ("grpc.enable_http_proxy", 0),
        ]
        if host:
            options.append(("grpc.ssl_target_name_override", host))
        certificate, key = client or (None, None)
        credentials = grpc.ssl_channel_credentials(ca, key, certificate)
        self._dialling = (target, credentials, options)
        self._identity = identity
        self._channel, self._chaincode = channel, chaincode
        self._patience = patience
        self._dial()

    async def close(self) -> None:
        """Close the connection."""
        await self._link.close()

    async def prepare(self, args: Sequence[str], *, init: bool = False) -> dict[str, Any]:
        """Have an invocation endorsed, and sign the transaction."""
        coded = [one.encode() for one in args]
        made = propose(self._identity, self._channel, self._chaincode, coded, init=init)
        asked = gateway_pb2.EndorseRequest(
            transaction_id=made.id, channel_id=self._channel, proposed_transaction=made.signed
        )
        answer = await self._call("Endorse", asked)
        envelope = answer.prepared_transaction
        payload = checked(made, envelope)
        envelope.signature = self._identity.sign(envelope.payload)
        sealed = base64.b64encode(envelope.SerializeToString()).decode()
        return {"transaction": made.id, "envelope": sealed, "payload": _text(payload)}

    async def submit(self, transaction: str, envelope: str) -> dict[str, Any]:
        """Give a signed transaction to the orderers."""
        asked = gateway_pb2.SubmitRequest(
            transaction_id=transaction,
            channel_id=self._channel,
            prepared_transaction=common_pb2.Envelope.FromString(base64.b64decode(envelope)),
        )
        await self._call("Submit", asked)
        return {}

    async def status(self, transaction: str, wait: float) -> dict[str, Any]:
        """Wait until a transaction is in a block; say in which, or nothing."""
        request = gateway_pb2.CommitStatusRequest(
            transaction_id=transaction,
            channel_id=self._channel,
            identity=self._identity.creator,
        ).SerializeToString()
        signature = self._identity.sign(request)
        asked = gateway_pb2.SignedCommitStatusRequest(request=request, signature=signature)
        try:
            answer = await self._call("CommitStatus", asked, wait)
        except Failure as failure:
            if failure.status == "DEADLINE_EXCEEDED":  # it is not there yet
                return {"block": None, "code": ""}
            raise
        return {"block": answer.block_number, "code": blocks.code_name(answer.result)}

    async def evaluate(self, args: Sequence[str]) -> dict[str, Any]:
        """Ask the chaincode a view."""
        return {"payload": _text(await self._evaluated(self._chaincode, args))}

    async def info(self) -> dict[str, Any]:
        """Return how many blocks the peer has, and the newest one's hash."""
        data = await self._evaluated(_QUERY, ["GetChainInfo", self._channel])
        found = ledger_pb2.BlockchainInfo.FromString(data)
        return {"height": found.height, "hash": found.currentBlockHash.hex()}

    async def transaction(self, transaction: str) -> dict[str, Any]:
        """Return a transaction of the chaincode's where it is in a block; else nothing."""
        try:
            data = await self._evaluated(_QUERY, ["GetBlockByTxID", self._channel, transaction])
        except Failure as failure:
            if any(one in failure.words for one in _ABSENT):
                return {"transaction": None}
            raise
        every = blocks.transactions(blocks.block_of(data), self._chaincode)
        found = (one for one in every if one["id"] == transaction)
        return {"transaction": next(found, None)}  # a repetition in the same block comes after it

    async def block(self, number: int) -> dict[str, Any]:
        """Return a block's hash and what the chaincode did in it."""
        data = await self._evaluated(_QUERY, ["GetBlockByNumber", self._channel, str(number)])
        found = blocks.block_of(data)
        every = list(blocks.transactions(found, self._chaincode))
        return {"hash": blocks.hash_of(found.header), "transactions": every}

    async def page(
        self, start: int, after: str, height: int, limit: int, quiet: float, near: int
    ) -> dict[str, Any]:
        """Return valid transactions of the chaincode, oldest first.

        Args:
            start: number of the block to begin with.
            after: id of a transaction of that block, behind which they begin; or nothing.
            height: the peer's.
            limit: of transactions.
            quiet: seconds without an event after which the page ends: the stream says nothing of
                blocks without one.
            near: how many blocks are read one by one instead of streaming events.

        Returns:
            `transactions`; `through`, number and hash of the block up to which that is everything,
            where that is known.
        """
        if height - start <= near:
            return await self._scanned(start, after, height, limit)
        wanted = await self._announced(start, after, height, limit, quiet)
        found: list[dict[str, Any]] = []
        size = 0
        for number in sorted({block for block, _ in wanted}):
            names = {name for block, name in wanted if block == number}
            every = (await self.block(number))["transactions"]
            found += [one for one in every if one["id"] in names and one["code"] == "VALID"]
            size += sum(len(one["event"]) for one in every)
            if size > PAGE_BYTES:
                break
        return {"transactions": found, "through": None}

    async def _scanned(self, start: int, after: str, height: int, limit: int) -> dict[str, Any]:
        found: list[dict[str, Any]] = []
        through: dict[str, Any] | None = None
        size = 0
        for number in range(start, height):
            block = await self.block(number)
            valid = [one for one in block["transactions"] if one["code"] == "VALID"]
            names = [one["id"] for one in valid]
            if after in names:
                valid = valid[names.index(after) + 1 :]
            found += valid
            size += sum(len(one["event"]) for one in valid)
            through = {"block": number, "hash": block["hash"]}
            if len(found) > limit or size > PAGE_BYTES:
                break
        return {"transactions": found, "through": through}

    async def _announced(
        self, start: int, after: str, height: int, limit: int, quiet: float
    ) -> list[tuple[int, str]]:
        """Return which transactions the stream of events names."""
        asked = gateway_pb2.ChaincodeEventsRequest(
            channel_id=self._channel,
            chaincode_id=self._chaincode,
            identity=self._identity.creator,
            after_transaction_id=after,
        )
        asked.start_position.specified.number = start
        request = asked.SerializeToString()
        signed = gateway_pb2.SignedChaincodeEventsRequest(
            request=request, signature=self._identity.sign(request)
        )
        await self._ready()
        call = self._stub.ChaincodeEvents(signed)
        found: list[tuple[int, str]] = []
        try:
            async with asyncio.timeout(self._patience):  # a peer may send nothing without end
                while len(found) < limit:
                    async with asyncio.timeout(quiet):
                        answer = await call.read()
                    if answer is grpc.aio.EOF:
                        break
                    found += [(answer.block_number, one.tx_id) for one in answer.events]
                    if answer.block_number >= height - 1:
                        break
        except TimeoutError:
            pass
        except grpc.aio.AioRpcError as error:
            if not found:  # else what came is a page, and the next one shows whether it is down
                raise failure_of(error) from error
        finally:
            call.cancel()
        return found

    def _dial(self) -> None:
        target, credentials, options = self._dialling
        self._link = grpc.aio.secure_channel(target, credentials, options)
        self._stub = gateway_pb2_grpc.GatewayStub(self._link)

    async def _ready(self) -> None:
        """Dial anew where dialling failed: when to try again is the caller's to say, not gRPC's.

        Nothing is under way on such a connection.
        """
        if self._link.get_state() is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
            await self._link.close()
            self._dial()

    async def _evaluated(self, chaincode: str, args: Sequence[str]) -> bytes:
        coded = [one.encode() for one in args]
        made = propose(self._identity, self._channel, chaincode, coded)
        asked = gateway_pb2.EvaluateRequest(
            transaction_id=made.id, channel_id=self._channel, proposed_transaction=made.signed
        )
        answer = await self._call("Evaluate", asked)
        return bytes(answer.result.payload)

    async def _call(self, name: str, asked: Any, patience: float | None = None) -> Any:
        await self._ready()
        try:
            return await getattr(self._stub, name)(asked, timeout=patience or self._patience)
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error


def _text(payload: bytes) -> str:
    return payload.decode("utf-8", "replace")

"""What a peer does with chaincode as a service: it dials it and speaks the shim's own protocol.

getState answers with what is committed, never with what the transaction wrote. What is read and
written becomes a genuine read-write set.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import grpc
from fabric_protos.ledger.queryresult import kv_query_result_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.peer import chaincode_shim_pb2, chaincode_shim_pb2_grpc, proposal_response_pb2

Message = chaincode_shim_pb2.ChaincodeMessage
PAGE = 3  # results of a range at once, few so that there are several pages
State = dict[str, tuple[bytes, tuple[int, int]]]


class Failed(Exception):
    """The chaincode did not answer."""


@dataclass
class Simulation:
    """One transaction of one peer."""

    channel: str
    transaction: str
    state: State
    reads: dict[str, tuple[int, int] | None] = field(default_factory=dict)
    writes: dict[str, bytes | None] = field(default_factory=dict)
    ranges: list[tuple[str, str, list[tuple[str, tuple[int, int]]]]] = field(default_factory=list)
    open: dict[str, list[tuple[str, bytes]]] = field(default_factory=dict)
    done: asyncio.Future[tuple[Any, Any]] = field(default_factory=asyncio.Future)

    def answer(self, message: Any) -> Any:
        """Return the answer to a question of the chaincode's; None once it is done."""
        kinds = Message.Type
        if message.type == kinds.Value("COMPLETED"):
            response = proposal_response_pb2.Response.FromString(message.payload)
            event = message.chaincode_event if message.HasField("chaincode_event") else None
            self._finish((response, event))
            return None
        if message.type == kinds.Value("ERROR"):
            self.fail(message.payload.decode("utf-8", "replace"))
            return None
        doing = {
            kinds.Value("GET_STATE"): self._get,
            kinds.Value("PUT_STATE"): self._put,
            kinds.Value("DEL_STATE"): self._delete,
            kinds.Value("GET_STATE_BY_RANGE"): self._range,
            kinds.Value("QUERY_STATE_NEXT"): self._next,
            kinds.Value("QUERY_STATE_CLOSE"): self._close,
        }
        payload = doing[message.type](message.payload)
        return Message(
            type=kinds.Value("RESPONSE"),
            payload=payload,
            txid=self.transaction,
            channel_id=self.channel,
        )

    def fail(self, reason: str) -> None:
        """End it."""
        if not self.done.done():
            self.done.set_exception(Failed(reason))

    def results(self, namespace: str) -> bytes:
        """Return the read-write set."""
        made = kv_rwset_pb2.KVRWSet()
        for key, version in sorted(self.reads.items()):
            read = made.reads.add(key=key)
            if version is not None:
                read.version.block_num, read.version.tx_num = version
        for start, end, found in self.ranges:
            info = made.range_queries_info.add(start_key=start, end_key=end, itr_exhausted=True)
            for key, version in found:
                read = info.raw_reads.kv_reads.add(key=key)
                read.version.block_num, read.version.tx_num = version
        for key, value in sorted(self.writes.items()):
            made.writes.add(key=key, is_delete=value is None, value=value or b"")
        whole = rwset_pb2.TxReadWriteSet(data_model=rwset_pb2.TxReadWriteSet.KV)
        whole.ns_rwset.add(namespace=namespace, rwset=made.SerializeToString(deterministic=True))
        return whole.SerializeToString(deterministic=True)

    def _finish(self, value: tuple[Any, Any]) -> None:
        if not self.done.done():
            self.done.set_result(value)

    def _get(self, payload: bytes) -> bytes:
        key = chaincode_shim_pb2.GetState.FromString(payload).key
        value, version = self.state.get(key, (b"", None))
        self.reads[key] = version
        return value

    def _put(self, payload: bytes) -> bytes:
        asked = chaincode_shim_pb2.PutState.FromString(payload)
        self.writes[asked.key] = asked.value
        return b""

    def _delete(self, payload: bytes) -> bytes:
        self.writes[chaincode_shim_pb2.DelState.FromString(payload).key] = None
        return b""

    def _range(self, payload: bytes) -> bytes:
        asked = chaincode_shim_pb2.GetStateByRange.FromString(payload)
        found = within(self.state, asked.startKey, asked.endKey)
        self.ranges.append(
            (asked.startKey, asked.endKey, [(key, self.state[key][1]) for key in found])
        )
        name = str(len(self.ranges))
        self.open[name] = [(key, self.state[key][0]) for key in found]
        return self._page(name)

    def _next(self, payload: bytes) -> bytes:
        return self._page(chaincode_shim_pb2.QueryStateNext.FromString(payload).id)

    def _close(self, payload: bytes) -> bytes:
        name = chaincode_shim_pb2.QueryStateClose.FromString(payload).id
        self.open.pop(name, None)
        return chaincode_shim_pb2.QueryResponse(id=name).SerializeToString()

    def _page(self, name: str) -> bytes:
        rest = self.open[name]
        page, self.open[name] = rest[:PAGE], rest[PAGE:]
        made = chaincode_shim_pb2.QueryResponse(id=name, has_more=bool(self.open[name]))
        for key, value in page:
            one = kv_query_result_pb2.KV(namespace="", key=key, value=value)
            made.results.add(resultBytes=one.SerializeToString())
        return made.SerializeToString()


def within(state: State, start: str, end: str) -> list[str]:
    """Return the keys of a range in the order of their bytes."""
    low, high = start.encode(), end.encode()
    return sorted((key for key in state if low <= key.encode() < high), key=str.encode)


class Chaincode:
    """A connection of one peer to a chaincode's server."""

    def __init__(self, address: str) -> None:
        self._link = grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
        self._call: Any = None
        self._reading: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._running: dict[str, Simulation] = {}

    async def simulate(
        self, simulation: Simulation, payload: bytes, proposal: Any, *, init: bool
    ) -> tuple[Any, Any]:
        """Return the response and the event of a transaction.

        Raises:
            Failed: the chaincode is not there.
        """
        async with self._lock:
            if self._call is None:
                await self._register()
            self._running[simulation.transaction] = simulation
            kind = "INIT" if init else "TRANSACTION"
            await self._call.write(
                Message(
                    type=Message.Type.Value(kind),
                    payload=payload,
                    txid=simulation.transaction,
                    channel_id=simulation.channel,
                    proposal=proposal,
                )
            )
        try:
            return await simulation.done
        finally:
            self._running.pop(simulation.transaction, None)

    async def close(self) -> None:
        """Close the connection."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._link.close()

    async def _register(self) -> None:
        self._call = chaincode_shim_pb2_grpc.ChaincodeStub(self._link).Connect()
        try:
            first = await self._call.read()
            if first is grpc.aio.EOF or first.type != Message.Type.Value("REGISTER"):
                raise Failed("no registration")
            for kind in ("REGISTERED", "READY"):
                await self._call.write(Message(type=Message.Type.Value(kind)))
        except grpc.aio.AioRpcError as error:
            self._call = None
            raise Failed(str(error.details())) from error
        self._reading = asyncio.create_task(self._read(self._call))

    async def _read(self, call: Any) -> None:
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                simulation = self._running.get(message.txid)
                if simulation is None:
                    continue
                if (answer := simulation.answer(message)) is not None:
                    async with self._lock:
                        await call.write(answer)
        except grpc.aio.AioRpcError:
            pass
        finally:
            self._call = None
            for one in self._running.values():
                one.fail("chaincode stream terminated")

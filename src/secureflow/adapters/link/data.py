"""`Data`: blobs over raw byte streams, digests verified while they pass.

`Get` answers from any offset, so an interrupted transfer resumes; `Put` begins with a manifest and
stores nothing unless the bytes have its digest.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc

from secureflow.adapters.link.identity import Context, Gate, PeerIdentity
from secureflow.adapters.link.messages import TAKEN, read_place
from secureflow.adapters.link.refusals import refuse
from secureflow.adapters.link.tls import CHUNK, identity
from secureflow.application.ports.artifacts import Artifact, Artifacts
from secureflow.domain.blobs import BlobPlace
from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.text import Text

MayRead = Callable[[PeerIdentity, str], Awaitable[bool | Artifacts]]
"""May the peer read the blob of this digest? True: in the service's store; or another that has it.
"""
MayWrite = Callable[[PeerIdentity, str, int, BlobPlace | None], Awaitable[Artifacts | None]]
"""Where may the peer store the blob of this digest and size? None: nowhere."""

MAX_MANIFEST: Final = 4096
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class DataService:
    """Serves `Get` and `Put` over a blob store."""

    def __init__(
        self, gate: Gate, artifacts: Artifacts, may_read: MayRead, may_write: MayWrite
    ) -> None:
        self._gate = gate
        self._artifacts = artifacts
        self._may_read = may_read
        self._may_write = may_write

    def rpc(self) -> grpc.GenericRpcHandler:
        """Return the generic handler of the service."""
        return grpc.method_handlers_generic_handler(
            "secureflow.wire.v1.Data",
            {
                "Get": grpc.unary_stream_rpc_method_handler(self._get, identity, identity),
                "Put": grpc.stream_unary_rpc_method_handler(self._put, identity, identity),
            },
        )

    async def _get(self, request: bytes, context: Context) -> None:
        peer = await self._gate.admit(context)
        try:
            digest, offset, _ = parse_manifest(request, "offset")
            found = await self._may_read(peer, digest)
            if found is False:
                raise SecureFlowError(
                    "not_found",
                    Text("{party} has no blob {digest} to read.", digest=digest, party=peer.party),
                )
            store = self._artifacts if isinstance(found, bool) else found
            async for chunk in await store.open(digest, offset):
                for start in range(0, len(chunk), CHUNK):
                    await context.write(chunk[start : start + CHUNK])
        except SecureFlowError as error:
            await refuse(context, error)
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)

    async def _put(self, messages: AsyncIterator[bytes], context: Context) -> bytes:
        peer = await self._gate.admit(context)
        try:
            digest, size, named = parse_manifest(await anext(messages, b""), "size")
            place = await self._may_write(peer, digest, size, named)
            if place is None:
                raise SecureFlowError(
                    "forbidden",
                    Text(
                        "{party} may not store a blob of {size} bytes.", party=peer.party, size=size
                    ),
                )
            place.demand(size)
            await context.send_initial_metadata((TAKEN,))
            stored = await _stored(place, messages, digest, size)
            if stored.size != size:
                raise SecureFlowError(
                    "size_mismatch",
                    Text(
                        "The blob has {size} bytes, its manifest says {expected}.",
                        size=stored.size,
                        expected=size,
                    ),
                )
            return canonical_bytes({"digest": stored.digest, "size": stored.size})
        except SecureFlowError as error:
            await refuse(context, error)
        except Exception as error:  # noqa: BLE001  the edge of a call: its peer must not read it
            await self._gate.refuse_fault(context, error)


async def _stored(
    place: Artifacts, messages: AsyncIterator[bytes], digest: str, size: int
) -> Artifact:
    """Store a blob.

    A refusal for lack of room is delayed until everything was received. A client that is still
    writing when an RPC ends does not get the reason: gRPC reports a broken link.
    """
    try:
        return await place.put(messages, limit=size, expect=digest)
    except InfrastructureError:
        left = size
        async for chunk in messages:
            left -= len(chunk)
            if left < 0:
                break
        raise


def parse_manifest(data: bytes, number: str) -> tuple[str, int, BlobPlace | None]:
    """Parse {"digest", <number>} of at most 4 KiB; with a size there may be a "place".

    Raises:
        SecureFlowError: `malformed_json`, `malformed_manifest`.
    """
    value: Any = parse_json(data, MAX_MANIFEST)
    more = {"place"} if number == "size" else set[str]()
    if isinstance(value, dict) and value.keys() - more == {"digest", number}:
        digest, count = value["digest"], value[number]
        known = isinstance(digest, str) and _DIGEST.fullmatch(digest)
        if known and type(count) is int and 0 <= count < 1 << 53:
            return digest, count, _placed(value.get("place"))
    raise SecureFlowError(
        "malformed_manifest", Text("Expected a digest and {number} in the manifest.", number=number)
    )


def _placed(value: JSON) -> BlobPlace | None:
    place = None if value is None else read_place(value)
    if place is None and value is not None:
        raise SecureFlowError(
            "malformed_manifest", "The manifest's place is no job, stage and round."
        )
    return place

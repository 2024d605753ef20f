"""What a gateway's errors say, bounded and without control characters.

The gateway puts what each peer and orderer answered into `grpc-status-details-bin`: a
google.rpc.Status whose details are `gateway.ErrorDetail`.
"""

from __future__ import annotations

import re
from typing import Any, Final

import grpc
from fabric_protos.gateway import gateway_pb2
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

MOST_DETAILS: Final = 8
MOST_BYTES: Final = 1 << 16
_WORDS: Final = 400
_REFUSED: Final = re.compile(r"refused: ([a-z_]{1,32})")


class Failure(Exception):  # noqa: N818 - what the driver is told, not what it raises
    """Why a request came to nothing.

    Args:
        status: a name of gRPC's, or a word of this program.
        words: for people.
        reason: why our chaincode refused, one of its words.
    """

    def __init__(self, status: str, words: str = "", reason: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.words = plain(words)
        self.reason = reason

    def json(self) -> dict[str, Any]:
        """Return what goes over the pipe."""
        return {"status": self.status, "words": self.words, "reason": self.reason}


def plain(words: str) -> str:
    """Return the beginning of somebody's words, what cannot be printed as a blank."""
    return "".join(one if one.isprintable() else " " for one in words[:_WORDS])


def failure_of(error: grpc.aio.AioRpcError) -> Failure:
    """Return what a call failed with, and what the peers behind the gateway said."""
    details = _details(error)
    said = "; ".join([error.details() or "", *details])
    found = _REFUSED.search(said)
    return Failure(error.code().name, said, found[1] if found else "")


def _details(error: grpc.aio.AioRpcError) -> list[str]:
    for name, value in error.trailing_metadata() or ():
        if not isinstance(value, bytes) or len(value) > MOST_BYTES:
            continue
        if name == "grpc-status-details-bin":
            try:
                status = _status().FromString(value)
                return [_detail(one) for one in status.details[:MOST_DETAILS]]
            except DecodeError:
                return []
    return []


def _detail(packed: any_pb2.Any) -> str:
    detail = gateway_pb2.ErrorDetail()
    packed.Unpack(detail)
    return f"{detail.msp_id[:64]}: {detail.message[:_WORDS]}"


def _status() -> Any:
    """Return google.rpc.Status; no package that this environment has carries it."""
    pool = descriptor_pool.Default()
    try:
        found = pool.FindMessageTypeByName("google.rpc.Status")
    except KeyError:
        field = descriptor_pb2.FieldDescriptorProto
        file = descriptor_pb2.FileDescriptorProto(
            name="secureflow/status.proto",
            package="google.rpc",
            syntax="proto3",
            dependency=[any_pb2.DESCRIPTOR.name],
        )
        made = file.message_type.add(name="Status")
        made.field.add(name="code", number=1, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
        made.field.add(name="message", number=2, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
        made.field.add(
            name="details",
            number=3,
            type=field.TYPE_MESSAGE,
            label=field.LABEL_REPEATED,
            type_name=".google.protobuf.Any",
        )
        pool.Add(file)
        found = pool.FindMessageTypeByName("google.rpc.Status")
    return message_factory.GetMessageClass(found)

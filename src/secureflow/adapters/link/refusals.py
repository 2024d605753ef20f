"""Typed errors over gRPC: a status for machines, the error's JSON in the status details."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Final, NoReturn, TypeVar

import grpc
import grpc.aio

from secureflow.adapters.link.messages import parse_error
from secureflow.domain.errors import Category, category
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.disk import exhausted
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

MAX_DETAILS: Final = 4096
"""A status travels in HTTP/2 headers, which are small."""

REPLACED: Final = "Internal error from Core"
"""What gRPC says of a call of which a write failed, in place of the status that ended it."""
_UNTIL_EXPLAINED: Final = 5.0
"""Seconds within which that status comes: the call has ended already."""

_Known = TypeVar("_Known")
_log = get_logger(__name__)

_STATUS: Final = {
    Category.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Category.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    Category.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    Category.UNTRUSTED: grpc.StatusCode.PERMISSION_DENIED,
    Category.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Category.CONFLICT: grpc.StatusCode.ABORTED,
    Category.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Category.RATE_LIMITED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Category.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    Category.INTERNAL: grpc.StatusCode.INTERNAL,
}
_NEXT: Final = (
    "It reconnects by itself. What is wrong: `secureflow agent doctor` at an agent, "
    "`secureflow party links` at the centre."
)
"""Of an agent's link and of an enclave's, which has no doctor."""


async def refuse(context: grpc.aio.ServicerContext[Any, Any], error: SecureFlowError) -> NoReturn:
    """End the RPC with the error."""
    status = _STATUS.get(category(error.code), grpc.StatusCode.FAILED_PRECONDITION)
    text = canonical_bytes(error.as_json())
    if len(text) > MAX_DETAILS:  # first without its translation data, then without details
        plain = SecureFlowError(error.code, str(error.message), str(error.hint), error.details)
        text = canonical_bytes({**plain.as_json(), "texts": {}})
    if len(text) > MAX_DETAILS:
        short = SecureFlowError(error.code, error.message[:1000], error.hint[:500])
        text = canonical_bytes(short.as_json())
    await context.abort(status, text.decode("utf-8"))
    raise AssertionError  # abort never returns


async def refuse_fault(
    context: grpc.aio.ServicerContext[Any, Any], error: Exception, whose: str
) -> NoReturn:
    """End the RPC for an exception that is no refusal; its trace is in this process's log alone.

    gRPC itself would tell the peer the exception's words, which may name paths of this machine.

    Args:
        context: of the RPC.
        error: what its work raised.
        whose: how people know this process.
    """
    if isinstance(error, grpc.aio.BaseError):  # the RPC has ended, or its peer is gone
        raise error
    _log.error("rpc_failed", exc_info=error)
    defect = Text("{whose} had an internal error; its log has the trace.", whose=whose)
    await refuse(context, exhausted(error, whose) or SecureFlowError("internal", defect))


@contextlib.contextmanager
def rpc_errors(whom: str) -> Iterator[None]:
    """Turn exceptions of an RPC into the error of the other end, or of the transport.

    Raises:
        SecureFlowError: see `refusal`; `link_broken` if the channel was closed during the RPC,
            which gRPC reports as if the *caller* had been cancelled.
    """
    try:
        yield
    except grpc.aio.AioRpcError as failure:
        raise refusal(failure, whom) from failure
    except grpc.aio.UsageError as failure:
        raise _hung_up(whom) from failure
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise _hung_up(whom) from None


class CallEnd:
    """Remembers how a call ended, even if a write failed at that moment.

    A refusal is a call's status. If a write fails because the call has ended, gRPC replaces the
    status (`grpc.aio._call._StreamRequestMixin._write`), whether it came before or comes after;
    then the refusal would look like a broken link.

    Args:
        call: of this end, whose requests are a stream.
    """

    def __init__(
        self, call: grpc.aio.StreamStreamCall[Any, Any] | grpc.aio.StreamUnaryCall[Any, Any]
    ) -> None:
        self._call = call
        self._first: tuple[grpc.StatusCode, str] | None = None
        call.add_done_callback(self._note)

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Raise the failure that ended the call where gRPC raises the one that replaced it."""
        try:
            yield
        except grpc.aio.AioRpcError as failure:
            if not _replaced(failure.code(), failure.details()):
                raise
            code, details = await self._explained()
            raise grpc.aio.AioRpcError(
                code, failure.initial_metadata(), failure.trailing_metadata(), details
            ) from failure

    async def _explained(self) -> tuple[grpc.StatusCode, str]:
        """Return the first status, or the next one if the first is not the call's own."""
        found = self._first or (grpc.StatusCode.INTERNAL, REPLACED)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UNTIL_EXPLAINED):
                while _replaced(*found):
                    await asyncio.sleep(0.001)
                    found = (await self._call.code(), await self._call.details())
        return found

    def _note(self, _: object) -> None:
        """Take down the status before anything can replace it: gRPC calls this at once."""
        self._first = (_immediate(self._call.code()), _immediate(self._call.details()))


def _immediate(known: Coroutine[Any, Any, _Known]) -> _Known:
    """Return the result of a coroutine that need not wait."""
    try:
        known.send(None)
    except StopIteration as result:
        value: _Known = result.value
        return value
    known.close()
    raise AssertionError  # a call that has ended knows its status


def _replaced(code: grpc.StatusCode, details: str | None) -> bool:
    return code is grpc.StatusCode.INTERNAL and details == REPLACED


def refusal(failure: grpc.aio.AioRpcError, whom: str) -> SecureFlowError:
    """Return the error of the other end (or of the transport).

    The other end's own errors are returned unchanged; everything else is `link_broken` with the
    transport's status in the details.
    """
    details = failure.details() or ""
    try:
        value = parse_json(details, 4 * MAX_DETAILS)
    except SecureFlowError:
        value = None
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        return parse_error(value)
    status = failure.code()
    return SecureFlowError(
        "link_broken",
        Text(
            "The link to {whom} broke: {name}: {details}.",
            whom=whom,
            name=status.name.lower(),
            details=details[:500],
        ),
        _NEXT,
        {"status": status.name},
    )


def _hung_up(whom: str) -> SecureFlowError:
    return SecureFlowError(
        "link_broken",
        Text("The link to {whom} was closed while it was in use.", whom=whom),
        _NEXT,
        {"status": "CANCELLED"},
    )

"""Typed errors over gRPC: a status for machines, the error's JSON in the status details."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from secureflow.adapters.link.messages import parse_error
from secureflow.domain.errors import Category, category
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_DETAILS: Final = 4096
"""A status travels in HTTP/2 headers, which are small."""

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
        "The agent reconnects by itself; `secureflow agent doctor` shows which check fails.",
        {"status": status.name},
    )


def _hung_up(whom: str) -> SecureFlowError:
    return SecureFlowError(
        "link_broken",
        Text("The link to {whom} was closed while it was in use.", whom=whom),
        "The agent reconnects by itself; `secureflow agent doctor` shows which check fails.",
        {"status": "CANCELLED"},
    )

"""The one envelope of the link: bytes to (id, kind, JSON) and back, strictly.

Kinds on the long-lived stream (`Connect`):

| kind       | from   | id      | body                                                           |
|------------|--------|---------|----------------------------------------------------------------|
| `hello`    | party  | empty   | {version, log_size, unproved: [leaf hash], time, …}            |
| `welcome`  | server | empty   | {version, time}                                                |
| `request`  | server | request | {verb, body, rider?}                                           |
| `reply`    | party  | request | {body, log_size, unproved}                                     |
| `failure`  | party  | request | {error, log_size, unproved}                                    |
| `progress` | party  | request | {}                                                             |
| `withdraw` | server | empty   | {job}                                                          |
| `ping`     | both   | empty   | {}                                                             |

A `hello` may have `address`, `key` and `engines` ({name: version}) as well.

A call's kind is its name (`certificate.renew`, …); its answer is a `reply` {body} or a `failure`
{error}. A body that is not canonical JSON (RFC 8785) is refused: a value has one encoding, so
hashes and signatures stay valid in transit, and no reader meets NaN, duplicate keys, lone
surrogates or integers that other languages cannot hold.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from secureflow.kit.canonical import JSON, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.wire.v1 import link_pb2

MAX_BODY: Final = 1 << 20
"""Most bytes of an envelope's body."""
MAX_ENVELOPE: Final = MAX_BODY + 1024
"""Most bytes of an encoded envelope."""

MAX_DEPTH: Final = 64
"""Most levels of objects and arrays in an envelope's body; honest ones have fewer than 20.

Python's own limit depends on where a value is read: what was decoded could not be checked later.
"""
PARTY_DEPTH: Final = MAX_DEPTH - 16
"""Most levels in what a party sends to the centre, which passes parts of it on in other bodies."""

_ID: Final = re.compile(r"[A-Za-z0-9._:/@-]{0,256}")
_NESTS: Final = (dict, list, tuple)
_KIND: Final = re.compile(r"[a-z][a-z._]{0,63}")


@dataclass(frozen=True)
class Envelope:
    """One message of the link.

    Args:
        id: a request's idempotency key `job/seq/party`; empty for messages that have no answer.
        kind: see the module's table.
        body: a JSON object.
    """

    id: str
    kind: str
    body: dict[str, JSON]


def encode(envelope: Envelope) -> bytes:
    """Return the bytes of an envelope.

    Raises:
        SecureFlowError: `envelope_too_large`, `malformed_envelope`, `not_canonical`.
    """
    _check_depth(envelope.body, MAX_DEPTH)
    body = canonical_bytes(envelope.body)
    if len(body) > MAX_BODY:
        raise SecureFlowError(
            "envelope_too_large",
            Text(
                "The body of {kind} {id} has {count} bytes, more than {max_body}.",
                kind=envelope.kind,
                id=envelope.id,
                count=len(body),
                max_body=MAX_BODY,
            ),
            "Send large things as artifacts.",
        )
    _check_names(envelope.id, envelope.kind)
    message = link_pb2.Envelope(id=envelope.id, kind=envelope.kind, body=body)
    return message.SerializeToString()


def decode(data: bytes, depth: int = MAX_DEPTH) -> Envelope:
    """Parse a foreign envelope whose body has at most `depth` levels.

    Raises:
        SecureFlowError: `malformed_envelope` for bytes that are not an envelope, unknown fields,
            malformed names, or a body that is too deep or not a canonical JSON object;
            `envelope_too_large`.
    """
    if len(data) > MAX_ENVELOPE:
        raise SecureFlowError(
            "envelope_too_large",
            Text(
                "An envelope has {count} bytes, more than {max_envelope}.",
                count=len(data),
                max_envelope=MAX_ENVELOPE,
            ),
        )
    try:
        message = link_pb2.Envelope.FromString(data)
    except DecodeError as error:
        raise _malformed("it is not a protobuf envelope") from error
    if len(UnknownFieldSet(message)):
        raise _malformed("it has unknown fields")
    _check_names(message.id, message.kind)
    return Envelope(message.id, message.kind, _parse_body(message.body, depth))


def _parse_body(data: bytes, depth: int) -> dict[str, JSON]:
    try:
        body = parse_json(data, MAX_BODY)
    except SecureFlowError as error:
        raise _malformed(error.message) from error
    _check_depth(body, depth)
    try:
        canonical = canonical_bytes(body) == data
    except SecureFlowError as error:
        raise _malformed(error.message) from error
    if not isinstance(body, dict) or not canonical:
        raise _malformed("its body is not a canonical JSON object")
    return body


def _check_depth(body: JSON, depth: int) -> None:
    """Refuse a body with more levels; they are counted without recursion."""
    level: list[JSON] = [body] if isinstance(body, dict | list) else []
    for _ in range(depth + 1):
        if not level:
            return
        level = [
            one
            for outer in level
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, _NESTS)
        ]
    raise _malformed(Text("its body has more than {depth} levels", depth=depth))


def _check_names(identifier: str, kind: str) -> None:
    if not _ID.fullmatch(identifier) or not _KIND.fullmatch(kind):
        raise _malformed("its id or kind has another shape")


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_envelope",
        Text("The envelope is malformed: {reason}.", reason=reason),
        "Both ends of the link must run the same major version.",
    )

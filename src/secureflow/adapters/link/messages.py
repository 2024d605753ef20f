"""The bodies of the link's own messages: answers, failures, and a party's log progress.

With every answer a party reports how far it has verified the log and which of its own leaves lack
an inclusion proof; the centre attaches the missing proofs to the next request (key `rider`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.domain.blobs import BlobPlace
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.spiffe import SpiffeId
from secureflow.wire import Envelope

MAX_UNPROVED: Final = 256
TAKEN: Final = ("manifest", "taken")
"""Metadata that tell the sender of a blob to begin."""
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class LogProgress:
    """How far a party has verified the log.

    Args:
        log_size: size of the last head that it accepted.
        unproved: hex hashes of its leaves without an inclusion proof.
    """

    log_size: int = 0
    unproved: tuple[str, ...] = ()

    @classmethod
    def parse(cls, body: Mapping[str, JSON]) -> LogProgress:
        """Parse a foreign progress.

        Raises:
            SecureFlowError: `malformed_standing`.
        """
        size: JSON = body.get("log_size")
        unproved: JSON = body.get("unproved")
        good = type(size) is int and size >= 0 and isinstance(unproved, list)
        if not good or len(unproved) > MAX_UNPROVED or not all(map(_is_hash, unproved)):
            raise SecureFlowError(
                "malformed_standing", "log_size or unproved in the message is malformed."
            )
        return cls(size, tuple(unproved))

    def as_json(self) -> dict[str, JSON]:
        """Return the JSON members of a message."""
        return {"log_size": self.log_size, "unproved": list(self.unproved)}


def read_place(value: JSON) -> BlobPlace | None:
    """Return the place that a foreign manifest names; None if it is none."""
    if not isinstance(value, dict) or value.keys() != {"job", "stage", "round"}:
        return None
    job, stage, number = value["job"], value["stage"], value["round"]
    named = isinstance(job, str) and isinstance(stage, str)
    if not named or type(number) is not int or not 0 <= number < 1 << 53:
        return None
    return BlobPlace(job, stage, number)


def answer(identifier: str, body: JSON, standing: LogProgress | None = None) -> Envelope:
    """Return the reply envelope to a request or call."""
    extra = standing.as_json() if standing else {}
    return Envelope(identifier, "reply", {"body": body, **extra})


def failure(
    identifier: str,
    error: SecureFlowError,
    standing: LogProgress | None = None,
    time: int | None = None,
) -> Envelope:
    """Return the failure envelope to a request or call.

    `time` is by our clock, in unix seconds: a clock may be the cause.
    """
    extra: dict[str, JSON] = standing.as_json() if standing else {}
    extra |= {} if time is None else {"time": time}
    return Envelope(identifier, "failure", {"error": error.as_json(), **extra})


def parse_error(value: JSON) -> SecureFlowError:
    """Parse a foreign error; malformed parts are left out."""
    if not isinstance(value, dict):
        return SecureFlowError("malformed_failure", "The peer failed and did not say why.")
    return SecureFlowError.foreign(
        value.get("code", "internal"),
        value.get("message", ""),
        value.get("hint", ""),
        value.get("details"),
        value.get("texts"),
    )


def parse_reply(body: Mapping[str, JSON]) -> tuple[JSON, LogProgress]:
    """Return a reply's body and progress.

    Raises:
        SecureFlowError: `malformed_standing`.
    """
    return body.get("body"), LogProgress.parse(body)


def parse_failure(body: Mapping[str, JSON]) -> tuple[SecureFlowError, LogProgress]:
    """Return a failure's error and progress.

    Raises:
        SecureFlowError: `malformed_standing`.
    """
    return parse_error(body.get("error")), LogProgress.parse(body)


def parse_revoked(value: JSON) -> frozenset[str]:
    """Parse the SPIFFE ids that the centre has revoked.

    Raises:
        SecureFlowError: `malformed_request`, `spiffe_malformed`.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SecureFlowError(
            "malformed_request", "The list of revoked parties must be a list of strings."
        )
    return frozenset(str(SpiffeId.parse(one)) for one in value)


def parse_disabled(value: JSON) -> frozenset[str]:
    """Parse the organisations that are disabled at the centre.

    Raises:
        SecureFlowError: `malformed_request`.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise SecureFlowError(
            "malformed_request", "The list of disabled organisations must be a list of strings."
        )
    return frozenset(value)


def _is_hash(value: JSON) -> bool:
    return isinstance(value, str) and _HASH.fullmatch(value) is not None

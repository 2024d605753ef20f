"""The parser of log proofs, which the server attaches to a request that names a head.

`{"consistency": {"from", "to", "proof": [hex]} | null, "inclusion": [{"hash", "index", "size",
"proof": [hex]}]}`; a missing value means no proofs. Nothing is verified here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.ledger.merkle import MAX_SIZE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MAX_PROOF: Final = 64
"""The longest proof, that of a tree of 2^62 leaves."""
MAX_INCLUSIONS: Final = 1024

_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Inclusion:
    """A claim that a leaf hash (hex) is at an index of the tree of a size."""

    hash: str
    index: int
    size: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True)
class LogProofs:
    """The proofs of one request; `sizes` are the smaller and the larger tree of `consistency`."""

    sizes: tuple[int, int] = (0, 0)
    consistency: tuple[bytes, ...] = ()
    inclusion: tuple[Inclusion, ...] = ()


def parse_log_proofs(value: Any) -> LogProofs:
    """Read foreign log proofs.

    Raises:
        SecureFlowError: `malformed_rider`.
    """
    if value is None or value == {}:
        return LogProofs()
    if not isinstance(value, dict) or not value.keys() <= {"consistency", "inclusion"}:
        raise _malformed("it must have no parts but consistency and inclusion")
    consistency = value.get("consistency")
    listed = value.get("inclusion") or []
    if not isinstance(listed, list) or len(listed) > MAX_INCLUSIONS:
        raise _malformed(
            Text(
                "inclusion must be a list of at most {max_inclusions} entries",
                max_inclusions=MAX_INCLUSIONS,
            )
        )
    inclusion = tuple(_inclusion(one) for one in listed)
    if consistency is None:
        return LogProofs(inclusion=inclusion)
    part = _exact(consistency, {"from", "to", "proof"}, "consistency")
    sizes = sorted((_size(part["from"]), _size(part["to"])))
    return LogProofs((sizes[0], sizes[1]), parse_proof(part["proof"]), inclusion)


def parse_proof(value: Any) -> tuple[bytes, ...]:
    """Read a foreign list of hex hashes.

    Raises:
        SecureFlowError: `malformed_rider`.
    """
    if not isinstance(value, list) or len(value) > MAX_PROOF:
        raise _malformed(
            Text("a proof must be a list of at most {max_proof} hashes", max_proof=MAX_PROOF)
        )
    return tuple(bytes.fromhex(_hash(one)) for one in value)


def _inclusion(value: Any) -> Inclusion:
    part = _exact(value, {"hash", "index", "size", "proof"}, "inclusion")
    return Inclusion(
        _hash(part["hash"]), _size(part["index"]), _size(part["size"]), parse_proof(part["proof"])
    )


def _exact(value: Any, names: set[str], what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise _malformed(
            Text("{what} must have exactly {names}", what=what, names=", ".join(sorted(names)))
        )
    return value


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise _malformed("a hash must be a hex SHA-256")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise _malformed("a size or index is out of range")
    return value


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "malformed_rider", Text("The ledger proofs are malformed: {reason}.", reason=reason)
    )

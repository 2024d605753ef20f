"""The header of a sealed update: what it is bound to, checked before any of its bytes are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from secureflow.engines.sealing.manifest import (
    Manifest,
    manifest_digest,
    manifest_json,
    manifest_length,
    parse_manifest,
)
from secureflow.engines.sealing.stream import CHUNK
from secureflow.kit.canonical import canonical_bytes, parse_json, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

VERSION: Final = 1
MAX_HEADER: Final = 64 * 1024
MAX_ROUND: Final = 2**31 - 1

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{1,4096}={0,2}")
_SHAPES: Final = {
    "job": _NAME,
    "stage": _NAME,
    "party": _NAME,
    "spec": _HEX,
    "model": _HEX,
    "evidence": _HEX,
    "encapsulated": _BASE64,
}


@dataclass(frozen=True)
class Binding:
    """The values to which one update is bound; sender and enclave derive them independently.

    Args:
        job: job id.
        round: round number, from 0.
        stage: stage of the round, e.g. `train`.
        party: the sending organisation.
        spec: hex digest of the signed spec.
        model: hex BLAKE3 of the global model from which the update starts.
        evidence: hex digest of the enclave's evidence that the sender verified.
        manifest: the update's tensors.
    """

    job: str
    round: int
    stage: str
    party: str
    spec: str
    model: str
    evidence: str
    manifest: Manifest

    def __post_init__(self) -> None:
        _check_texts(vars(self))
        if type(self.round) is not int or not 0 <= self.round <= MAX_ROUND:
            raise _malformed("round")

    @property
    def length(self) -> int:
        """Plaintext bytes of the update."""
        return manifest_length(self.manifest)

    @property
    def info(self) -> bytes:
        """The 32-byte HPKE `info`: SHA-256 over the JCS form with the manifest's digest."""
        return sha256(
            canonical_bytes(
                {
                    **self.as_json(),
                    "v": VERSION,
                    "manifest": manifest_digest(self.manifest),
                }
            )
        )

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {**vars(self), "manifest": manifest_json(self.manifest)}


@dataclass(frozen=True)
class UpdateHeader:
    """A binding and the content key sealed for it (`encapsulated`, base64)."""

    binding: Binding
    encapsulated: str

    def encode(self) -> bytes:
        """Return the header's canonical bytes."""
        return canonical_bytes(
            {
                **self.binding.as_json(),
                "v": VERSION,
                "length": self.binding.length,
                "chunk": CHUNK,
                "encapsulated": self.encapsulated,
            }
        )


_FIELDS: Final = {field.name for field in fields(Binding)} | {
    "v",
    "length",
    "chunk",
    "encapsulated",
}


def parse_header(data: bytes) -> UpdateHeader:
    """Parse a foreign header of at most 64 KiB; its claims are not verified here.

    Raises:
        SecureFlowError: `malformed_json`, `header_malformed`, `manifest_malformed`.
    """
    value = parse_json(data, MAX_HEADER)
    if not isinstance(value, dict) or value.keys() != _FIELDS:
        raise _malformed("it does not have the fields that it must have")
    _check_texts(value)
    manifest = parse_manifest(value["manifest"])
    binding = {field.name: value[field.name] for field in fields(Binding)}
    header = UpdateHeader(Binding(**{**binding, "manifest": manifest}), value["encapsulated"])
    wanted = {"v": VERSION, "chunk": CHUNK, "length": header.binding.length}
    for name, number in wanted.items():
        if type(value[name]) is not int or value[name] != number:
            raise _malformed(Text("{name} is not {number}", name=name, number=number))
    return header


def check_binding(found: Binding, expected: Binding) -> None:
    """Refuse an update that is bound to anything other than the plan requires.

    Raises:
        SecureFlowError: `stale_round` for another round or model, `manifest_mismatch`,
            `update_unexpected`; `details.field` names the first difference.
    """
    for field in fields(Binding):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        if one == other:
            continue
        if field.name == "manifest":
            code, one, other = "manifest_mismatch", _summary(one), _summary(other)
        else:
            code = "stale_round" if field.name in {"round", "model"} else "update_unexpected"
        raise SecureFlowError(
            code,
            Text(
                "The update of {party} is for {name} {found}, expected is {expected}.",
                party=expected.party,
                name=field.name,
                found=one,
                expected=other,
            ),
            "Seal the update for the round that is open now.",
            {"field": field.name},
        )


def _summary(manifest: Manifest) -> str:
    return ", ".join(f"{t.name} {t.dtype}{list(t.shape)}" for t in manifest[:8])


def _check_texts(value: Mapping[str, Any]) -> None:
    for name, shape in _SHAPES.items():
        if name in value and (not isinstance(value[name], str) or not shape.fullmatch(value[name])):
            raise _malformed(name)


def _malformed(part: str) -> SecureFlowError:
    return SecureFlowError(
        "header_malformed", Text("The update's header is malformed: {part}.", part=part)
    )

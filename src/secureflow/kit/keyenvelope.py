"""The form of a wrapped private key on disk: PEM-like text around canonical JSON.

    -----BEGIN SECUREFLOW WRAPPED KEY-----
    base64(JCS{v, purpose, owner, scheme, wrapper, parameters, public, since, nonce, sealed})
    -----END SECUREFLOW WRAPPED KEY-----

Everything but `sealed` is the additional data of the AEAD (RFC 5116), so that no part of it can be
changed, and an envelope that lies in the place of another key, or of another owner's, is refused.
`public` and `since` are for people: they can be read without the wrapping key.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from secureflow.kit.canonical import b64decode, b64encode, canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

BEGIN: Final = b"-----BEGIN SECUREFLOW WRAPPED KEY-----"
END: Final = b"-----END SECUREFLOW WRAPPED KEY-----"
LIMIT: Final = 16 * 1024
"""Bytes of a wrapped key's text, at most; a key has some 250."""
_LINE: Final = 64
_FIELDS: Final = frozenset(
    ("v", "purpose", "owner", "scheme", "wrapper", "parameters", "public", "since", "nonce")
)
_FORMS: Final = {
    "purpose": re.compile(r"[a-z][a-z-]{0,31}"),
    "owner": re.compile(r"[\x21-\x7e]{1,512}"),
    "scheme": re.compile(r"[a-z][a-z0-9-]{0,31}"),
    "wrapper": re.compile(r"[0-9a-f]{2,128}"),
    "public": re.compile(r"[0-9a-f]{0,64}"),
}
_PARAMETER: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOST: Final = 2**53 - 1
_NONCE: Final = 12


@dataclass(frozen=True)
class KeyLabel:
    """What a key is for, and whose it is: a wrapped key opens under its own label only.

    Attributes:
        purpose: such as `log` or `link`.
        owner: the process: the log's origin, or an organisation with its agent's name.
    """

    purpose: str
    owner: str


@dataclass(frozen=True)
class Envelope:
    """A wrapped key.

    Attributes:
        label: what it is for, and whose.
        scheme: how the wrapping key comes about.
        wrapper: identifies the wrapping key, lowercase hex.
        parameters: of the scheme; whole numbers and texts.
        public: fingerprint of the public key, lowercase hex; empty where there is none.
        since: when it was wrapped, unix seconds.
        nonce: 12 bytes.
        sealed: ciphertext and tag.
    """

    label: KeyLabel
    scheme: str
    wrapper: str
    public: str
    since: int
    nonce: bytes
    parameters: Mapping[str, int | str] = field(default_factory=dict)
    sealed: bytes = b""

    @property
    def additional(self) -> bytes:
        """The additional authenticated data: everything but what is sealed."""
        return canonical_bytes(self._head())

    def holding(self, sealed: bytes) -> Envelope:
        """Return it with what is sealed."""
        return replace(self, sealed=sealed)

    def text(self) -> bytes:
        """Return its text, with a newline at the end."""
        data = canonical_bytes({**self._head(), "sealed": b64encode(self.sealed)})
        body = base64.b64encode(data)
        lines = [body[at : at + _LINE] for at in range(0, len(body), _LINE)]
        return b"\n".join([BEGIN, *lines, END, b""])

    def _head(self) -> dict[str, Any]:
        return {
            "v": 1,
            "purpose": self.label.purpose,
            "owner": self.label.owner,
            "scheme": self.scheme,
            "wrapper": self.wrapper,
            "parameters": dict(self.parameters),
            "public": self.public,
            "since": self.since,
            "nonce": b64encode(self.nonce),
        }


def is_wrapped(data: bytes) -> bool:
    """Tell whether a file's bytes begin with a wrapped key, damaged or not."""
    return data.startswith(BEGIN)


def parse_envelope(data: bytes, place: str) -> Envelope:
    """Parse the text of a wrapped key; `place` is named in the error.

    Raises:
        SecureFlowError: `wrapped_key_malformed`.
    """
    try:
        return _parsed(data)
    except (ValueError, SecureFlowError) as error:
        raise SecureFlowError(
            "wrapped_key_malformed",
            Text("{place} does not hold a wrapped key that can be read.", place=place),
            "Restore the key from a backup.",
        ) from error


def _parsed(data: bytes) -> Envelope:
    text = data.rstrip()
    if len(data) > LIMIT or not text.startswith(BEGIN) or not text.endswith(END):
        raise ValueError
    body = b"".join(text[len(BEGIN) : -len(END)].split())
    try:
        inner = base64.b64decode(body, validate=True)
    except binascii.Error as error:
        raise ValueError from error
    value = parse_json(inner, LIMIT)
    if not isinstance(value, dict) or value.keys() != _FIELDS | {"sealed"}:
        raise ValueError
    if _whole(value["v"]) != 1:
        raise ValueError
    for name, form in _FORMS.items():
        if not isinstance(value[name], str) or not form.fullmatch(value[name]):
            raise ValueError
    envelope = Envelope(
        KeyLabel(value["purpose"], value["owner"]),
        value["scheme"],
        value["wrapper"],
        value["public"],
        _whole(value["since"]),
        _bytes(value["nonce"]),
        _parameters(value["parameters"]),
        _bytes(value["sealed"]),
    )
    if len(envelope.nonce) != _NONCE or canonical_bytes(value) != inner:
        raise ValueError
    return envelope


def _parameters(value: object) -> dict[str, int | str]:
    if not isinstance(value, dict) or len(value) > 8:
        raise ValueError
    for name, one in value.items():
        known = isinstance(one, str) and len(one) <= 256 and one.isascii() and one.isprintable()
        if not _PARAMETER.fullmatch(name) or not (known or _is_whole(one)):
            raise ValueError
    return value


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise ValueError
    return b64decode(value, LIMIT)


def _whole(value: object) -> int:
    if not _is_whole(value):
        raise ValueError
    return int(value)  # type: ignore[call-overload, no-any-return]  # it is one


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST

"""Enrolment tokens: one-time invitations that carry the CA's fingerprint.

Text form: `sfe_` ‖ base64url(JCS JSON) without padding. The server keeps only the SHA-256 of the
secret. The fingerprint lets the newcomer recognise the right CA on its first connection.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PREFIX: Final = "sfe_"
MAX_TEXT: Final = 1024

Kind = Literal["agent", "enclave"]

_SHAPE: Final = {
    "id": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "secret": re.compile(r"[A-Za-z0-9_-]{43,86}"),
    "kind": re.compile(r"agent|enclave"),
    "organisation": re.compile(r"[A-Za-z0-9._-]{0,63}"),
    "ca_fingerprint": re.compile(r"[0-9a-f]{64}"),
}


@dataclass(frozen=True)
class EnrolmentToken:
    """An invitation for one agent of an organisation, or for one enclave (no organisation)."""

    id: str
    secret: str = field(repr=False)
    kind: Kind
    organisation: str
    ca_fingerprint: str

    @classmethod
    def create(
        cls, identifier: str, kind: Kind, organisation: str, ca_fingerprint: str
    ) -> EnrolmentToken:
        """Make a token with a fresh 256-bit secret."""
        return cls(identifier, secrets.token_urlsafe(32), kind, organisation, ca_fingerprint)

    @property
    def secret_digest(self) -> str:
        """Hex SHA-256 of the secret: what the server stores."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    def matches(self, secret_digest: str) -> bool:
        """Compare with a stored digest in constant time."""
        return hmac.compare_digest(self.secret_digest, secret_digest)

    def encode(self) -> str:
        """Return the text form."""
        return PREFIX + base64.urlsafe_b64encode(canonical_bytes(asdict(self))).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> EnrolmentToken:
        """Parse the text form strictly.

        Raises:
            SecureFlowError: `token_malformed`; the message never repeats the token.
        """
        line = text.strip()
        value = _decode(line)
        if not isinstance(value, dict) or value.keys() != _SHAPE.keys():
            raise _malformed("its fields are not the five expected ones")
        for name, shape in _SHAPE.items():
            if not isinstance(value[name], str) or not shape.fullmatch(value[name]):
                raise _malformed(Text("its field {name} is malformed", name=name))
        if bool(value["organisation"]) != (value["kind"] == "agent"):
            raise _malformed("an agent must have an organisation, an enclave must have none")
        token = cls(**value)
        if token.encode() != line:
            raise _malformed("it is not written as it was given out")
        return token


def proof_body(token_id: str, csr_pem: str, key: str) -> dict[str, str]:
    """Return what the newcomer's signing key signs (kind `enrol`): token, CSR and key together.

    It proves possession of the key and ties it to this CSR, so nobody can enrol with another
    organisation's public key. `csr` is the hex SHA-256 of the PEM text.
    """
    csr = hashlib.sha256(csr_pem.encode()).hexdigest()
    return {"token_id": token_id, "csr": csr, "key": key}


def _decode(text: str) -> Any:
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise _malformed(Text("it does not start with {prefix} or is too long", prefix=PREFIX))
    body = text.removeprefix(PREFIX)
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _malformed("it is not base64url") from error
    try:
        return parse_json(data, MAX_TEXT)
    except SecureFlowError as error:
        raise _malformed("it does not hold JSON") from error


def _malformed(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "token_malformed",
        Text("The enrolment token cannot be read: {reason}.", reason=reason),
        "Copy the whole line that the operator gave you.",
    )

"""ID tokens: signature, then claims (OpenID Connect Core 1.0, section 3.1.3.7).

Only asymmetric algorithms count (RFC 8725): neither `none`, nor a MAC under a public key that
everyone knows. The signature is joserfc's work, the claims are checked by authlib; what surrounds
them is here: sizes before parsing, and which key may verify what.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from secureflow.domain.oidc import PENDING_SECONDS, valid_subject
from secureflow.kit.canonical import parse_json
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"),
    "Ed25519",
)
MAX_TOKEN: Final = 32 * 1024
"""Most characters of an ID token; people in very many groups have long ones."""
MAX_HEADER: Final = 4096
MAX_KEYS: Final = 64
"""Most keys of a provider that are read."""
RSA_BITS: Final = range(2048, 8193)
RSA_EXPONENT_BITS: Final = 33
"""A larger exponent makes every verification slow."""
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_FAMILIES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

_CHECKED: Final = ("iss", "aud", "azp", "exp", "iat", "nbf", "nonce", "sub", "at_hash", "amr",
            "auth_time")  # fmt: skip

Key = RSAKey | ECKey | OKPKey


@dataclass(frozen=True)
class Expected:
    """What the claims of one login's ID token must be.

    Args:
        issuer, client: the provider, and this client there.
        nonce: of the request. Where a grant has none (RFC 8628), `nonce_needed` is False, and only
            another one is refused.
        started, now: unix seconds.
        max_age: the oldest login at the provider that counts, in seconds; 0: any.
    """

    issuer: str
    client: str
    nonce: str = field(repr=False)
    started: int
    now: int
    nonce_needed: bool = True
    max_age: int = 0


@dataclass(frozen=True)
class PublicKey:
    """One signing key of a provider."""

    kid: str
    kind: str
    curve: str
    algorithm: str
    key: Key = field(repr=False)

    def verifies(self, algorithm: str) -> bool:
        """Tell whether signatures of this algorithm are by such a key."""
        fits = _FAMILIES[algorithm[:2]] == self.kind
        curve = _CURVES.get(algorithm, "Ed25519" if self.kind == "OKP" else "")
        return fits and self.algorithm in {"", algorithm} and self.curve == curve


@dataclass(frozen=True)
class Header:
    """The header of an ID token, not verified yet."""

    algorithm: str
    kid: str


def read_header(token: object, allowed: Sequence[str]) -> Header:
    """Return the header of a compact JWS.

    Raises:
        SecureFlowError: `id_token_refused` for anything else, and for an algorithm that is not
            allowed.
    """
    if not isinstance(token, str) or len(token) > MAX_TOKEN or token.count(".") != 2:
        raise refused("it is not a signed token")
    head = token.partition(".")[0]
    if len(head) > MAX_HEADER:
        raise refused("its header cannot be read")
    try:
        data = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))
        found = parse_json(data, MAX_HEADER)
    except (binascii.Error, ValueError, SecureFlowError) as error:
        raise refused("its header cannot be read") from error
    if not isinstance(found, dict):
        raise refused("its header cannot be read")
    algorithm, kid = found.get("alg"), found.get("kid", "")
    if algorithm not in ALGORITHMS or algorithm not in allowed:
        raise refused("it is signed with an algorithm that is not allowed")
    if not isinstance(kid, str) or "crit" in found or "b64" in found:
        raise refused("its header asks for what is not understood")
    return Header(str(algorithm), kid)


def read_keys(found: Mapping[str, Any]) -> list[PublicKey]:
    """Return the signing keys of a key set (RFC 7517); others in it are left out.

    Keys of 2048 to 8192 bits, or on a known curve; never a symmetric one.
    """
    listed = found.get("keys")
    keys = map(_key, listed[:MAX_KEYS] if isinstance(listed, list) else [])
    return [key for key in keys if key is not None]


def _key(found: object) -> PublicKey | None:
    if not isinstance(found, dict) or found.get("use", "sig") != "sig":
        return None
    kind, kid = found.get("kty"), found.get("kid", "")
    curve, algorithm = found.get("crv", ""), found.get("alg", "")
    if not all(isinstance(one, str) for one in (kind, kid, curve, algorithm)):
        return None
    try:
        key = _imported(str(kind), found)
    except (JoseError, ValueError, TypeError, KeyError, binascii.Error):
        return None
    if key is None:
        return None
    return PublicKey(str(kid), str(kind), str(curve), str(algorithm), key)


def _imported(kind: str, found: dict[str, Any]) -> Key | None:
    """Return the public key; private parts, which nobody should publish, are left out."""
    if kind == "RSA":
        bits = [_bits(found.get(name)) for name in ("n", "e")]
        if bits[0] not in RSA_BITS or not 1 < bits[1] <= RSA_EXPONENT_BITS:
            return None
        return RSAKey.import_key({"kty": kind, "n": found["n"], "e": found["e"]})
    if kind == "EC" and found.get("crv") in _CURVES.values():
        return ECKey.import_key({"kty": kind, **{one: found[one] for one in ("crv", "x", "y")}})
    if kind == "OKP" and found.get("crv") == "Ed25519":
        return OKPKey.import_key({"kty": kind, "crv": "Ed25519", "x": found["x"]})
    return None


def _bits(text: object) -> int:
    if not isinstance(text, str) or len(text) > 2048:
        return 0
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return int.from_bytes(data).bit_length()


def verify(token: str, header: Header, key: PublicKey, expected: Expected) -> dict[str, Any]:
    """Return the claims of an ID token.

    Raises:
        SecureFlowError: `id_token_refused` naming the claim.
    """
    registry = jws.JWSRegistry(algorithms=[header.algorithm], strict_check_header=False)
    registry.max_header_length = MAX_HEADER
    try:
        signed = jws.deserialize_compact(token, key.key, registry=registry)
    except (JoseError, ValueError, TypeError) as error:
        raise refused("its signature does not verify") from error
    try:
        claims = parse_json(signed.payload, MAX_TOKEN)
    except SecureFlowError as error:
        raise refused("its claims cannot be read") from error
    if not isinstance(claims, dict):
        raise refused("its claims cannot be read")
    _check(claims, expected, header)
    return claims


def _check(claims: dict[str, Any], expected: Expected, header: Header) -> None:
    asked: dict[str, Any] = {"client_id": expected.client, "max_age": expected.max_age}
    if expected.nonce_needed or "nonce" in claims:
        asked["nonce"] = expected.nonce
    token = CodeIDToken(
        claims,
        {"alg": header.algorithm},
        {
            "iss": {"essential": True, "value": expected.issuer},
            "aud": {"essential": True, "value": expected.client},
        },
        asked,
    )
    try:
        token.validate(expected.now, MAX_SKEW)
    except (JoseError, ValueError, TypeError) as error:
        claim = getattr(error, "claim", "")
        raise _refused_claim(claim if claim in _CHECKED else "") from error
    if not valid_subject(claims["sub"]):
        raise _refused_claim("sub")
    oldest = max(expected.started, expected.now - PENDING_SECONDS) - MAX_SKEW
    if claims["iat"] < oldest or not isinstance(claims.get("nonce", expected.nonce), str):
        raise refused("it was not made for this login")
    _check_age(claims, expected)


def _check_age(claims: dict[str, Any], expected: Expected) -> None:
    """Refuse a login at the provider that is too long ago (Core 1.0, 3.1.3.7, point 11)."""
    at = claims.get("auth_time")
    if not expected.max_age:
        return
    if not isinstance(at, int | float) or isinstance(at, bool) or at > expected.now + MAX_SKEW:
        raise _refused_claim("auth_time")
    if expected.now - at > expected.max_age + MAX_SKEW:
        raise refused("the login at the provider is too long ago")


def _refused_claim(claim: str) -> SecureFlowError:
    if not claim:
        return refused("one of its claims is not as it must be")
    return refused(Text("its claim {claim} is not as it must be", claim=claim))


def refused(reason: str) -> SecureFlowError:
    """Return the error for an ID token that proves nothing."""
    return SecureFlowError(
        "id_token_refused",
        Text("The provider's ID token is refused: {reason}.", reason=reason),
        "Start the login again; if it is refused again, whoever runs this compares client_id, "
        "issuer and clock of the provider with those here.",
    )

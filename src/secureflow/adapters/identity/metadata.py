"""A provider's description (OpenID Connect Discovery 1.0, section 4), checked before it is used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.idtokens import ALGORITHMS
from secureflow.kit.text import Text

WELL_KNOWN: Final = "/.well-known/openid-configuration"
MAX_BYTES: Final = 64 * 1024
_METHODS: Final = ("client_secret_basic", "client_secret_post")


@dataclass(frozen=True)
class Metadata:
    """What is needed of the description.

    Args:
        authorization_endpoint, token_endpoint, jwks_uri: as they are called there.
        userinfo_endpoint: the same, or "".
        algorithms: of ID tokens that both sides know.
        secret_method: how the client's secret is sent.
        names_itself: whether every answer of the browser must name the issuer (RFC 9207).
        device_authorization_endpoint: of RFC 8628, or "": it is checked where it is used.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    algorithms: tuple[str, ...]
    secret_method: str
    names_itself: bool
    device_authorization_endpoint: str = ""


async def fetch_metadata(fetcher: Fetcher, issuer: str) -> Metadata:
    """Fetch and check the description of an issuer.

    Raises:
        SecureFlowError: `provider_unreachable`, `provider_untrusted`.
    """
    url = fetcher.allowed(issuer.removesuffix("/") + WELL_KNOWN, "issuer")
    return checked(fetcher, issuer, await fetcher.get(url, MAX_BYTES))


def checked(fetcher: Fetcher, issuer: str, found: dict[str, Any]) -> Metadata:
    """Return what is needed of a description.

    Raises:
        SecureFlowError: `provider_untrusted` for another issuer's, for endpoints that may not be
            used, and for a provider without the code flow, S256 or a known algorithm.
    """
    if found.get("issuer") != issuer:
        raise fetcher.untrusted("it calls itself by another issuer than the configured one")
    if "code" not in _strings(found, "response_types_supported", ["code"]):
        raise fetcher.untrusted("it does not have the code flow")
    if "S256" not in _strings(found, "code_challenge_methods_supported", ["S256"]):
        raise fetcher.untrusted("it does not have PKCE with S256")
    signed = _strings(found, "id_token_signing_alg_values_supported", ["RS256"])
    algorithms = tuple(one for one in ALGORITHMS if one in signed)
    if not algorithms:
        raise fetcher.untrusted(
            Text("it signs ID tokens with none of {algorithms}", algorithms=", ".join(ALGORITHMS))
        )
    methods = _strings(found, "token_endpoint_auth_methods_supported", [_METHODS[0]])
    return Metadata(
        fetcher.allowed(found.get("authorization_endpoint"), "authorization_endpoint"),
        fetcher.allowed(found.get("token_endpoint"), "token_endpoint"),
        fetcher.allowed(found.get("jwks_uri"), "jwks_uri"),
        fetcher.allowed(found["userinfo_endpoint"], "userinfo_endpoint")
        if "userinfo_endpoint" in found
        else "",
        algorithms,
        next((one for one in _METHODS if one in methods), _METHODS[0]),
        found.get("authorization_response_iss_parameter_supported") is True,
        device if isinstance(device := found.get("device_authorization_endpoint"), str) else "",
    )


def _strings(found: dict[str, Any], name: str, default: list[str]) -> list[str]:
    value = found.get(name, default)
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []

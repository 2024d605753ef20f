"""An identity provider that people log in at (OpenID Connect, code flow with PKCE)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class AuthorizationRequest:
    """What one login asks the provider.

    Args:
        state: identifies the login when the browser comes back.
        nonce: must stand in the ID token.
        verifier: of PKCE (RFC 7636); the request carries its SHA-256 only.
        age: seconds that a login at the provider may be old, and its ID token says how old; None:
            as the provider likes.
    """

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    age: int | None = None


@dataclass(frozen=True)
class AuthorizationAnswer:
    """What the browser brought back.

    Args:
        code: to be exchanged for the ID token, once.
        issuer: who says it has answered (RFC 9207); None if it does not say.
        nonce, verifier: of the request.
        started: when the login began, unix seconds.
    """

    code: str = field(repr=False)
    issuer: str | None
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    started: int


@dataclass(frozen=True)
class DeviceAuthorization:
    """A login that a person confirms in any browser (RFC 8628).

    Args:
        code: the secret with which the outcome is asked for.
        user_code: what the person enters.
        address: where; printable ASCII, on a host that is configured.
        complete: the same with the code in it, or empty.
        seconds: how long it is good.
        interval: least seconds between two questions.
    """

    code: str = field(repr=False)
    user_code: str
    address: str
    complete: str
    seconds: int
    interval: int


@dataclass(frozen=True)
class DeviceQuestion:
    """What is asked: of which device code, with which nonce, of a login that began then."""

    code: str = field(repr=False)
    nonce: str = field(repr=False)
    started: int


@dataclass(frozen=True)
class DeviceAnswer:
    """The verified claims, or None while nobody has decided; then `slower` by so many seconds."""

    claims: Mapping[str, Any] | None
    slower: int = 0


class DeviceProvider(Protocol):
    """A provider with the device authorisation grant (RFC 8628)."""

    async def start_device(self, nonce: str) -> DeviceAuthorization:
        """Begin a login.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`.
        """

    async def ask_device(self, asked: DeviceQuestion) -> DeviceAnswer:
        """Ask once what came of a login.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`, `id_token_refused`,
                `login_denied`, `device_code_expired`.
        """


class IdentityProvider(Protocol):
    """One configured provider. Every call answers within seconds, or fails with a typed error."""

    @property
    def name(self) -> str:
        """Its name in URLs."""

    @property
    def title(self) -> str:
        """Its name on a login page."""

    @property
    def issuer(self) -> str:
        """Its issuer identifier, exactly."""

    async def authorization_url(self, request: AuthorizationRequest) -> str:
        """Return where the browser goes to log in.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`.
        """

    async def authenticate(self, answer: AuthorizationAnswer) -> Mapping[str, Any]:
        """Exchange the code and return the verified claims; `sub` is a valid subject.

        Raises:
            SecureFlowError: `provider_unreachable`, `provider_untrusted`, `id_token_refused`,
                `login_denied` for a code that the provider does not take.
        """

    async def check(self) -> None:
        """Fetch its description and keys, and raise what is wrong with them."""

"""`IdentityProvider` over OpenID Connect: discovery, code exchange, keys.

The provider's description and keys are kept for ten minutes, and fetched again at once only for an
ID token under an unknown key, twice a minute at most: a stranger's tokens must not make us load the
provider. A failure is remembered for some seconds, so that many logins wait for one attempt.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from secureflow.adapters.identity.device import (
    DEVICE_BYTES,
    DEVICE_GRANT,
    device_endpoint,
    read_authorization,
    read_refusal,
)
from secureflow.adapters.identity.fetching import Fetcher
from secureflow.adapters.identity.idtokens import (
    Expected,
    PublicKey,
    read_header,
    read_keys,
    refused,
    verify,
)
from secureflow.adapters.identity.metadata import Metadata, fetch_metadata
from secureflow.application.ports.identityprovider import (
    AuthorizationAnswer,
    AuthorizationRequest,
    DeviceAnswer,
    DeviceAuthorization,
    DeviceQuestion,
)
from secureflow.kit.clock import Clock, Ticks
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KEPT_SECONDS: Final = 600.0
"""How long a description and keys are used."""
FAILED_SECONDS: Final = 5.0
"""How long a failure is remembered."""
REFRESH_SECONDS: Final = 30.0
"""Least time between two looks for an unknown key."""
KEYS_BYTES: Final = 256 * 1024
TOKEN_BYTES: Final = 256 * 1024
USERINFO_BYTES: Final = 64 * 1024
MAX_ACCESS_TOKEN: Final = 16 * 1024
EXCHANGES: Final = 8
"""Logins of one provider that are completed at the same time."""
_BASIC: Final = "client_secret_basic"

T = TypeVar("T")


@dataclass(frozen=True)
class Client:
    """This process as a client of a provider.

    Args:
        id, secret: as registered there; no secret for a public client.
        redirect: the callback's URL; one per provider, so that answers cannot be mixed up.
        scopes: asked for.
        userinfo: whether claims are also fetched from the userinfo endpoint.
        max_age: the oldest login at the provider that counts, in seconds; 0: any.
    """

    id: str
    secret: str = field(repr=False)
    redirect: str
    scopes: tuple[str, ...]
    userinfo: bool = False
    max_age: int = 0

    @property
    def age(self) -> dict[str, str]:
        """The parameter that asks for a login that is recent enough."""
        return {"max_age": str(self.max_age)} if self.max_age else {}


class _Kept(Generic[T]):
    """A value that is fetched when it is asked for, and kept."""

    def __init__(self, fetch: Callable[[], Awaitable[T]], ticks: Ticks) -> None:
        self._fetch = fetch
        self._ticks = ticks
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._failure: SecureFlowError | None = None
        self._since = 0.0

    async def get(self, younger: float = KEPT_SECONDS) -> T:
        """Return the value, if it is younger than this; else fetch it.

        Raises:
            SecureFlowError: why it cannot be fetched.
        """
        async with self._lock:
            age = self._ticks() - self._since
            if self._failure is not None and age < FAILED_SECONDS:
                raise self._failure.retold(self._failure.message)
            if self._value is None or age >= younger:
                await self._load()
            if self._value is None:
                raise AssertionError  # `_load` sets it or raises
            return self._value

    async def _load(self) -> None:
        try:
            self._value, self._failure = await self._fetch(), None
        except SecureFlowError as error:
            self._value, self._failure = None, error
            raise
        finally:
            self._since = self._ticks()


class OidcProvider:
    """One provider.

    Args:
        title, issuer, client: as configured.
        fetcher: reaches it; its name is the provider's.
        clock: dates ID tokens.
        ticks: ages what is kept.
    """

    def __init__(
        self,
        title: str,
        issuer: str,
        client: Client,
        fetcher: Fetcher,
        clock: Clock,
        ticks: Ticks = time.monotonic,
    ) -> None:
        self.name = fetcher.name
        self.title = title
        self.issuer = issuer
        self._client = client
        self._fetcher = fetcher
        self._clock = clock
        self._metadata = _Kept(lambda: fetch_metadata(fetcher, issuer), ticks)
        self._keys = _Kept(self._fetch_keys, ticks)
        self._exchanges = asyncio.Semaphore(EXCHANGES)

    async def authorization_url(self, request: AuthorizationRequest) -> str:
        """Return the authorization endpoint with this login's parameters."""
        metadata = await self._metadata.get()
        return str(
            prepare_grant_uri(
                metadata.authorization_endpoint,
                client_id=self._client.id,
                response_type="code",
                redirect_uri=self._client.redirect,
                scope=list(self._client.scopes),
                state=request.state,
                nonce=request.nonce,
                code_challenge=create_s256_code_challenge(request.verifier),
                code_challenge_method="S256",
                **(self._client.age if request.age is None else {"max_age": str(request.age)}),
            )
        )

    async def authenticate(self, answer: AuthorizationAnswer) -> Mapping[str, Any]:
        """Exchange the code and return the verified claims."""
        metadata = await self._metadata.get()
        self._check_issuer(answer.issuer, metadata)
        async with self._exchanges:
            tokens = await self._exchange(answer, metadata)
            return await self.claims_in(tokens, answer.nonce, answer.started)

    async def claims_in(
        self, tokens: Mapping[str, Any], nonce: str, started: int, *, nonce_needed: bool = True
    ) -> Mapping[str, Any]:
        """Return the verified claims of a token endpoint's answer.

        Raises:
            SecureFlowError: `id_token_refused`, `provider_untrusted`, `provider_unreachable`.
        """
        metadata, client = await self._metadata.get(), self._client
        token = tokens.get("id_token")
        header = read_header(token, metadata.algorithms)
        key = await self._key(header.kid, header.algorithm)
        dates = started, self._clock(), nonce_needed, client.max_age
        claims = verify(str(token), header, key, Expected(self.issuer, client.id, nonce, *dates))
        if not client.userinfo:
            return claims
        return await self._userinfo(claims, tokens.get("access_token"), metadata)

    async def start_device(self, nonce: str) -> DeviceAuthorization:
        """Ask for a code that a person enters at the provider (RFC 8628, section 3.1)."""
        metadata, client = await self._metadata.get(), self._client
        endpoint = device_endpoint(self._fetcher, metadata)
        wanted = {"scope": " ".join(client.scopes), "nonce": nonce, **client.age}
        status, found = await self._ask(endpoint, urlencode(wanted), DEVICE_BYTES, metadata)
        if status != 200:
            raise self._misconfigured()
        return read_authorization(self._fetcher, found)

    async def ask_device(self, asked: DeviceQuestion) -> DeviceAnswer:
        """Ask whether a person has entered the code (section 3.4)."""
        metadata = await self._metadata.get()
        body = urlencode({"grant_type": DEVICE_GRANT, "device_code": asked.code})
        async with self._exchanges:
            endpoint = metadata.token_endpoint
            status, found = await self._ask(endpoint, body, TOKEN_BYTES, metadata)
            if status != 200:
                waiting = read_refusal(self.name, found.get("error"))
                if waiting is None:
                    raise self._misconfigured()
                return waiting
            claims = await self.claims_in(found, asked.nonce, asked.started, nonce_needed=False)
        return DeviceAnswer(claims)

    async def check(self) -> None:
        """Fetch description and keys anew."""
        await self._metadata.get(younger=0.0)
        if not await self._keys.get(younger=0.0):
            raise self._fetcher.untrusted("it has no key that ID tokens can be verified with")

    def _check_issuer(self, issuer: str | None, metadata: Metadata) -> None:
        """Refuse another provider's answer (mix-up, RFC 9207 section 2.4)."""
        if issuer is None and not metadata.names_itself:
            return
        if issuer != self.issuer:
            raise self._fetcher.untrusted("the answer comes from another provider")

    async def _exchange(self, answer: AuthorizationAnswer, metadata: Metadata) -> dict[str, Any]:
        client = self._client
        body = prepare_token_request(
            "authorization_code",
            redirect_uri=client.redirect,
            code=answer.code,
            code_verifier=answer.verifier,
        )
        status, found = await self._ask(metadata.token_endpoint, body, TOKEN_BYTES, metadata)
        if status == 200:
            return found
        if found.get("error") == "invalid_grant":
            raise SecureFlowError(
                "login_denied",
                Text("The identity provider {name} does not take the code.", name=self.name),
                "Start the login again: a code is good for one login and a short time.",
            )
        raise self._misconfigured()

    async def _ask(
        self, endpoint: str, body: str, most: int, metadata: Metadata
    ) -> tuple[int, dict[str, Any]]:
        """Send a form as this client; return status and answer."""
        client = self._client
        method = metadata.secret_method if client.secret else "none"
        auth = ClientAuth(*_credentials(client, method), method)
        _, headers, body = auth.prepare("POST", endpoint, {}, body)
        return await self._fetcher.post(endpoint, body, most, headers)

    def _misconfigured(self) -> SecureFlowError:
        return self._fetcher.untrusted(
            "it does not accept the client_id, secret or redirect that are configured here"
        )

    async def _key(self, kid: str, algorithm: str) -> PublicKey:
        """Return the key of an ID token; an unknown one may be new."""
        for younger in (KEPT_SECONDS, REFRESH_SECONDS):
            keys = [one for one in await self._keys.get(younger) if one.verifies(algorithm)]
            named = [one for one in keys if one.kid == kid] if kid else keys
            if len(named) == 1:
                return named[0]
        raise refused("it is signed with no key that the provider publishes")

    async def _fetch_keys(self) -> list[PublicKey]:
        metadata = await self._metadata.get()
        return read_keys(await self._fetcher.get(metadata.jwks_uri, KEYS_BYTES))

    async def _userinfo(
        self, claims: dict[str, Any], token: object, metadata: Metadata
    ) -> dict[str, Any]:
        """Return the claims with those of the userinfo endpoint; the ID token's count first."""
        if not metadata.userinfo_endpoint:
            raise self._fetcher.untrusted("it has no userinfo endpoint")
        if not isinstance(token, str) or not _sendable(token):
            raise self._fetcher.untrusted("it gives no access token")
        found = await self._fetcher.get(
            metadata.userinfo_endpoint, USERINFO_BYTES, {"Authorization": f"Bearer {token}"}
        )
        if found.get("sub") != claims["sub"]:
            raise self._fetcher.untrusted("its userinfo is about somebody else")
        return {**found, **claims}


def _credentials(client: Client, method: str) -> tuple[str, str]:
    """Return id and secret as a method sends them; basic encodes them (RFC 6749, 2.3.1)."""
    if method != _BASIC:
        return client.id, client.secret
    return quote_plus(client.id), quote_plus(client.secret)


def _sendable(token: str) -> bool:
    return len(token) <= MAX_ACCESS_TOKEN and token.isascii() and token.isprintable()

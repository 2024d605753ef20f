"""An OpenID Connect provider on a loopback port that can be told to misbehave.

It keeps the protocol by itself: codes are good once, for the client, redirect and PKCE challenge
that they were given for. `tokens` may change an ID token before it is signed, `answers` what is
sent for a path.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import html
import json
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

NOW = 1_800_000_000
CLIENT, SECRET = "secureflow", "s3cret value"
REDIRECT = "https://centre.example/api/v1/oidc/sso/callback"


@cache
def signing_key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "one", "alg": "ES256", "use": "sig"})


@cache
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})


@dataclass
class Reply:
    """What is sent for a path; `drips` sends the body byte by byte and never ends."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    wait: asyncio.Event | None = None
    drips: asyncio.Event | None = None


def signed(claims: dict[str, Any], key: Any = None, **header: Any) -> str:
    """Return a JWS; without a key under the provider's own one."""
    key = key or signing_key()
    header = {"alg": "ES256", "kid": "one", **header}
    payload = json.dumps(claims)
    return jws.serialize_compact(header, payload, key, algorithms=[header["alg"]])


def unsigned(claims: dict[str, Any]) -> str:
    """Return a token with the algorithm `none`."""
    head = b64(json.dumps({"alg": "none", "kid": "one"}).encode())
    return f"{head}.{b64(json.dumps(claims).encode())}."


def confused(claims: dict[str, Any]) -> str:
    """Return a token with a MAC under the public key that everyone knows (RFC 8725, 2.1)."""
    public = rsa_key().as_pem(private=False)
    head = b64(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    text = f"{head}.{b64(json.dumps(claims).encode())}"
    return f"{text}.{b64(hmac.digest(public, text.encode(), 'sha256'))}"


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass
class Provider:
    """The provider; `claims` are the person's who logs in next."""

    port: int = 0
    scheme: str = "http"
    host: str = "127.0.0.1"
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "248289761001"})
    described: dict[str, Any] = field(default_factory=dict)
    keys: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, Reply] = field(default_factory=dict)
    token: Callable[[dict[str, Any]], str] = signed
    now: list[int] = field(default_factory=lambda: [NOW])
    asked: list[str] = field(default_factory=list)
    secret: str = SECRET
    reuse: bool = False
    device: dict[str, Any] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)
    decided: dict[str, str] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def description(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "device_authorization_endpoint": f"{self.issuer}/device",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            **self.described,
        }

    def login(self, url: str) -> dict[str, str]:
        """Log the person in at the authorization endpoint; return the callback's parameters."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(12)
        self._codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def _page(self, query: str) -> Reply:
        """Ask the person in a browser: a page with a link to agree, and one to refuse."""
        asked = dict(parse_qsl(query))
        told = self.login(f"?{query}")
        refused = {"error": "access_denied", "state": told["state"], "iss": self.issuer}
        links = "".join(
            f'<p><a href="{html.escape(asked["redirect_uri"] + "?" + urlencode(each))}">{text}</a>'
            for text, each in (("Agree", told), ("Refuse", refused))
        )
        text = f'<!doctype html><html lang="en"><title>Sign-on</title><main>{links}</main></html>'
        return Reply(body=text.encode(), headers={"Content-Type": "text/html"})

    def id_token(self, asked: dict[str, str]) -> dict[str, Any]:
        return {
            "iss": self.issuer,
            "aud": asked["client_id"],
            "iat": self.now[0],
            "exp": self.now[0] + 300,
            "nonce": asked["nonce"],
            **self.claims,
        }

    def _reply(self, path: str, headers: dict[str, str], body: str) -> Reply:
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        if path == "/.well-known/openid-configuration":
            return Reply(body=json.dumps(self.description).encode())
        if path == "/jwks":
            own = [signing_key().as_dict(private=False), rsa_key().as_dict(private=False)]
            return Reply(body=json.dumps({"keys": self.keys or own}).encode())
        form = {k: v[0] for k, v in parse_qs(body).items()}
        if path == "/authorize" and body:
            return self._page(body)
        if path == "/device":
            return self._device(headers, form)
        if path == "/token" and form.get("grant_type", "").endswith(":device_code"):
            return self._polled(headers, form)
        if path == "/token":
            return self._exchange(headers, form)
        if path == "/userinfo" and headers.get("authorization") == "Bearer access":
            return Reply(body=json.dumps({**self.claims, "groups": ["from-userinfo"]}).encode())
        return Reply(404)

    def _is_client(self, headers: dict[str, str]) -> bool:
        basic = f"{CLIENT}:{self.secret.replace(' ', '+')}"
        named = f"Basic {base64.b64encode(basic.encode()).decode()}"
        return not self.secret or headers.get("authorization") == named

    def _device(self, headers: dict[str, str], form: dict[str, str]) -> Reply:
        """Give a code (RFC 8628, section 3.2); `device` changes the answer."""
        if not self._is_client(headers):
            return Reply(401, b'{"error": "invalid_client"}')
        code = secrets.token_urlsafe(12)
        self.devices[code] = {"client_id": CLIENT, **form}
        given = {
            **{"device_code": code, "user_code": "WDJB-MJHT", "interval": 5, "expires_in": 300},
            "verification_uri": f"{self.issuer}/activate",
            **self.device,
        }
        return Reply(body=json.dumps(given).encode())

    def _polled(self, headers: dict[str, str], form: dict[str, str]) -> Reply:
        """Say what a person decided: `agree`, or an error of section 3.5 (the default: nothing)."""
        asked = self.devices.get(form.get("device_code", ""))
        if asked is None or not self._is_client(headers):
            return Reply(400, b'{"error": "invalid_grant"}')
        decided = self.decided.get(form["device_code"], "authorization_pending")
        if decided != "agree":
            return Reply(400, json.dumps({"error": decided}).encode())
        if not self.reuse:
            del self.devices[form["device_code"]]
        body = {"access_token": "access", "id_token": self.token(self.id_token(asked))}
        return Reply(body=json.dumps(body).encode())

    def decide(self, word: str = "agree") -> None:
        """Let a person decide about every code that was given."""
        self.decided = dict.fromkeys(self.devices, word)

    def _exchange(self, headers: dict[str, str], form: dict[str, str]) -> Reply:
        find = self._codes.get if self.reuse else self._codes.pop
        asked = find(form.get("code", ""), None)
        if not self._is_client(headers):
            return Reply(401, b'{"error": "invalid_client"}')
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if (
            asked is None
            or asked["redirect_uri"] != form.get("redirect_uri")
            or asked["code_challenge"] != b64(digest)
        ):
            return Reply(400, b'{"error": "invalid_grant"}')
        token = self.token(self.id_token(asked))
        body = {"access_token": "access", "token_type": "Bearer", "id_token": token}
        return Reply(body=json.dumps(body).encode())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            named = (one.partition(": ") for one in lines if one)
            headers = {name.lower(): value for name, _, value in named}
            size = int(headers.get("content-length", "0"))
            body = (await reader.readexactly(size)).decode()
            target = urlsplit(first.split(" ")[1])
            reply = self._reply(target.path, headers, body or target.query)
            if reply.wait is not None:
                await reply.wait.wait()
            if reply.drips is not None:
                await _drip(writer, reply.drips)
                return
            sent = {"Content-Length": str(len(reply.body)), "Connection": "close", **reply.headers}
            told = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            writer.write(f"HTTP/1.1 {reply.status} X\r\n{told}\r\n".encode() + reply.body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client had enough of it
        finally:
            writer.close()


async def _drip(writer: asyncio.StreamWriter, stop: asyncio.Event) -> None:
    """Send a byte now and then, so that no single wait is long."""
    writer.write(b"HTTP/1.1 200 X\r\n\r\n")
    while not stop.is_set():
        writer.write(b" ")
        await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await stop.wait()


@asynccontextmanager
async def running(
    provider: Provider | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Provider]:
    """Run a provider in this loop."""
    made = provider or Provider()
    server = await asyncio.start_server(made._serve, made.host, 0, ssl=tls)
    made.scheme = "https" if tls else "http"
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        for one in made.answers.values():
            for event in (one.wait, one.drips):
                if event is not None:
                    event.set()
        server.close()
        await server.wait_closed()

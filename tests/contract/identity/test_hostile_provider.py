"""What a hostile or broken provider sends is refused, each by name."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from joserfc.jwk import ECKey
from peers.oidcprovider import (
    CLIENT,
    NOW,
    REDIRECT,
    SECRET,
    Provider,
    Reply,
    confused,
    rsa_key,
    running,
    signed,
    unsigned,
)

from secureflow.adapters.identity import Client, Fetcher, OidcProvider
from secureflow.adapters.identity.fetching import SECONDS
from secureflow.adapters.identity.idtokens import MAX_TOKEN
from secureflow.adapters.identity.oidc import KEYS_BYTES, REFRESH_SECONDS
from secureflow.application.ports.identityprovider import (
    AuthorizationAnswer,
    AuthorizationRequest,
    IdentityProvider,
)
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError

REQUEST = AuthorizationRequest("state-1", "nonce-1", "v" * 43)
TICKS = [0.0]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running() as one:
        yield one


def client_of(provider: Provider, issuer: str = "", **more: Any) -> OidcProvider:
    TICKS[0] = 0.0
    seconds = more.pop("seconds", SECONDS)
    hosts = more.pop("hosts", frozenset({"127.0.0.1"}))
    secret = more.pop("secret", SECRET)
    fetcher = Fetcher("sso", hosts, loopback_http=True, seconds=seconds)
    client = Client(CLIENT, secret, REDIRECT, ("openid", "profile"), **more)
    port: IdentityProvider = OidcProvider(
        "SSO", issuer or provider.issuer, client, fetcher, lambda: NOW, lambda: TICKS[0]
    )
    assert isinstance(port, OidcProvider)
    return port


async def log_in(
    provider: Provider, port: OidcProvider | None = None, **changed: Any
) -> dict[str, Any]:
    """Log in once and return the verified claims."""
    port = port or client_of(provider)
    told = provider.login(await port.authorization_url(REQUEST))
    answer = {
        "code": told["code"],
        "issuer": told["iss"],
        "nonce": REQUEST.nonce,
        "verifier": REQUEST.verifier,
        "started": NOW - 60,
        **changed,
    }
    return dict(await port.authenticate(AuthorizationAnswer(**answer)))


async def refusal(provider: Provider, code: str, *words: str, **more: Any) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        await log_in(provider, **more)
    assert caught.value.code == code, caught.value
    for word in words:
        assert word in caught.value.message
    return caught.value


async def test_an_honest_provider_logs_somebody_in(provider: Provider) -> None:
    provider.claims |= {"groups": ["a"]}
    claims = await log_in(provider)
    assert (claims["sub"], claims["groups"]) == ("248289761001", ["a"])


async def test_keys_of_rsa_and_a_public_client_work_too(provider: Provider) -> None:
    provider.token = lambda claims: signed(claims, rsa_key(), alg="RS256", kid="rsa")
    provider.secret = ""
    assert (await log_in(provider, client_of(provider, secret="")))["sub"]


async def test_an_id_token_without_kid_is_verified_by_the_only_key_of_its_kind(
    provider: Provider,
) -> None:
    provider.token = lambda claims: signed(claims, kid="")
    assert (await log_in(provider))["sub"]


CLAIMS: dict[str, tuple[dict[str, Any], str]] = {
    "wrong nonce": ({"nonce": "other"}, "nonce"),
    "no nonce": ({"nonce": None}, "nonce"),
    "other audience": ({"aud": "another-client"}, "aud"),
    "other audiences": ({"aud": ["a", "b"]}, "aud"),
    "several audiences without azp": ({"aud": [CLIENT, "b"]}, "azp"),
    "other authorized party": ({"azp": "another-client"}, "azp"),
    "other issuer": ({"iss": "https://evil.example"}, "iss"),
    "expired": ({"exp": NOW - MAX_SKEW - 1}, "exp"),
    "no expiry": ({"exp": None}, "exp"),
    "made in the future": ({"iat": NOW + MAX_SKEW + 1}, "iat"),
    "not valid yet": ({"nbf": NOW + MAX_SKEW + 1}, "nbf"),
    "older than the login": ({"iat": NOW - 60 - MAX_SKEW - 1}, "login"),
    "no subject": ({"sub": None}, "sub"),
    "an empty subject": ({"sub": ""}, "sub"),
    "a subject too long": ({"sub": "x" * 256}, "sub"),
    "a subject with control characters": ({"sub": "a\x1b[2J"}, "sub"),
    "a subject that is no text": ({"sub": 17}, "sub"),
    "an audience that is no text": ({"aud": {"a": 1}}, "aud"),
    "an expiry that is no number": ({"exp": "soon"}, "exp"),
}


@pytest.mark.parametrize("name", CLAIMS)
async def test_claims_that_do_not_belong_to_the_login_are_refused(
    provider: Provider, name: str
) -> None:
    changed, word = CLAIMS[name]

    def token(claims: dict[str, Any]) -> str:
        merged = {**claims, **changed}
        return signed({key: value for key, value in merged.items() if value is not None})

    provider.token = token
    await refusal(provider, "id_token_refused", word)


def _other_key(claims: dict[str, Any]) -> str:
    return signed(claims, ECKey.generate_key("P-256", {"kid": "one"}))


def _tampered(claims: dict[str, Any]) -> str:
    head, _, tail = signed(claims).split(".")
    other = signed({**claims, "sub": "admin"}).split(".")[1]
    return f"{head}.{other}.{tail}"


TOKENS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "alg none": unsigned,
    "HS256 under the public key": confused,
    "signed by another key": _other_key,
    "changed after signing": _tampered,
    "without a signature": lambda claims: signed(claims).rsplit(".", 1)[0] + ".",
    "no JWS": lambda claims: "x",
    "five parts": lambda claims: "a.b.c.d.e",
    "no text": lambda claims: 17,
    "too long": lambda claims: signed({**claims, "x": "y" * MAX_TOKEN}),
    "a header that is no JSON": lambda claims: "%%%." + signed(claims).split(".", 1)[1],
    "a critical extension": lambda claims: signed(claims, crit=["b64"], b64=True),
    "an unknown key": lambda claims: signed(claims, kid="two"),
}


@pytest.mark.parametrize("name", TOKENS)
async def test_tokens_that_prove_nothing_are_refused(provider: Provider, name: str) -> None:
    provider.token = TOKENS[name]
    await refusal(provider, "id_token_refused")


async def test_a_mac_under_the_public_key_is_refused_by_a_provider_that_promises_hs256(
    provider: Provider,
) -> None:
    provider.described = {"id_token_signing_alg_values_supported": ["HS256", "RS256", "none"]}
    provider.token = confused
    await refusal(provider, "id_token_refused", "algorithm")


async def test_a_key_of_another_kind_or_use_verifies_nothing(provider: Provider) -> None:
    own = provider_keys()
    for key in (
        {**own, "use": "enc"},
        {**own, "alg": "ES384"},
        {"kty": "oct", "kid": "one", "k": "AAAA"},
        {**own, "x": "!!"},
        {**own, "crv": "secp256k1"},
        {"kty": ["EC"], "kid": "one"},
    ):
        provider.keys = [key]
        await refusal(provider, "id_token_refused", "no key")


def provider_keys() -> dict[str, Any]:
    from peers.oidcprovider import signing_key

    return dict(signing_key().as_dict(private=False))


async def test_weak_and_enormous_rsa_keys_are_left_out(provider: Provider) -> None:
    provider.token = lambda claims: signed(claims, rsa_key(), alg="RS256", kid="rsa")
    own = dict(rsa_key().as_dict(private=False))
    for changed in (
        {"n": "A" * 2000},
        {"n": own["n"] * 6},
        {"e": own["n"]},
        {"n": own["n"][:100]},
        {"e": "AQ"},
    ):
        provider.keys = [{**own, **changed}]
        await refusal(provider, "id_token_refused", "no key")


async def test_a_replayed_code_is_refused(provider: Provider) -> None:
    port = client_of(provider)
    told = provider.login(await port.authorization_url(REQUEST))
    answer = AuthorizationAnswer(told["code"], None, REQUEST.nonce, REQUEST.verifier, NOW)
    await port.authenticate(answer)
    with pytest.raises(SecureFlowError) as caught:
        await port.authenticate(answer)
    assert caught.value.code == "login_denied"


async def test_a_code_that_was_stolen_is_worth_nothing_without_the_verifier(
    provider: Provider,
) -> None:
    await refusal(provider, "login_denied", verifier="w" * 43)


async def test_an_answer_of_another_provider_is_refused_before_its_code_is_sent(
    provider: Provider,
) -> None:
    await refusal(provider, "provider_untrusted", "another provider", issuer="https://evil.example")
    assert "/token" not in provider.asked


async def test_a_provider_that_promises_to_name_itself_must(provider: Provider) -> None:
    provider.described = {"authorization_response_iss_parameter_supported": True}
    await refusal(provider, "provider_untrusted", "another provider", issuer=None)
    assert "/token" not in provider.asked


async def test_an_id_token_of_another_login_is_refused(provider: Provider) -> None:
    await refusal(provider, "id_token_refused", "nonce", nonce="another login's")


DESCRIPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "another issuer": ({"issuer": "https://evil.example"}, "issuer"),
    "a slash more": ({"issuer": "http://127.0.0.1/"}, "issuer"),
    "plain http": ({"token_endpoint": "http://sso.example/token"}, "https"),
    "another host": ({"token_endpoint": "https://evil.example/token"}, "hosts"),
    "a login page elsewhere": ({"authorization_endpoint": "https://evil.example/a"}, "hosts"),
    "keys elsewhere": ({"jwks_uri": "https://169.254.169.254/keys"}, "hosts"),
    "userinfo elsewhere": ({"userinfo_endpoint": "https://evil.example/u"}, "hosts"),
    "a user in the address": ({"jwks_uri": "https://127.0.0.1@evil.example/k"}, "URL"),
    "another scheme": ({"jwks_uri": "file:///etc/passwd"}, "URL"),
    "no URL": ({"token_endpoint": 17}, "URL"),
    "a port that is no number": ({"token_endpoint": "https://127.0.0.1:x/"}, "URL"),
    "control characters": ({"token_endpoint": "https://127.0.0.1/\r\nX: y"}, "URL"),
    "a very long address": ({"token_endpoint": "https://127.0.0.1/" + "x" * 3000}, "URL"),
    "no token endpoint": ({"token_endpoint": None}, "URL"),
    "no code flow": ({"response_types_supported": ["id_token"]}, "code flow"),
    "plain PKCE only": ({"code_challenge_methods_supported": ["plain"]}, "S256"),
    "symmetric algorithms only": ({"id_token_signing_alg_values_supported": ["HS256"]}, "signs"),
    "algorithms that are no list": ({"id_token_signing_alg_values_supported": 5}, "signs"),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
async def test_a_description_that_must_not_be_followed_is_refused(
    provider: Provider, name: str
) -> None:
    provider.described, word = DESCRIPTIONS[name]
    await refusal(provider, "provider_untrusted", word)
    assert provider.asked == ["/.well-known/openid-configuration"]


REPLIES: dict[str, tuple[str, Reply, str, str]] = {
    "a huge description": (
        "/.well-known/openid-configuration",
        Reply(body=b'{"a": "' + b"x" * (1 << 20) + b'"}'),
        "provider_untrusted",
        "bytes",
    ),
    "a huge key set": (
        "/jwks",
        Reply(body=b'{"keys": ["' + b"x" * KEYS_BYTES + b'"]}'),
        "provider_untrusted",
        "bytes",
    ),
    "a huge token answer": ("/token", Reply(body=b" " * (1 << 20)), "provider_untrusted", "bytes"),
    "deeply nested JSON": ("/token", Reply(body=b"[" * 100_000), "provider_untrusted", "JSON"),
    "a name twice": ("/token", Reply(body=b'{"a":1,"a":2}'), "provider_untrusted", "JSON"),
    "no JSON": ("/token", Reply(body=b"<html>"), "provider_untrusted", "JSON"),
    "no object": ("/jwks", Reply(body=b"[]"), "provider_untrusted", "object"),
    "no UTF-8": ("/jwks", Reply(body=b"\xff{}"), "provider_untrusted", "JSON"),
    "a compressed answer": (
        "/jwks",
        Reply(headers={"Content-Encoding": "gzip"}),
        "provider_untrusted",
        "compresses",
    ),
    "a redirect to another host": (
        "/jwks",
        Reply(302, headers={"Location": "http://127.0.0.2/keys"}),
        "provider_untrusted",
        "redirects",
    ),
    "a redirect of the token request": (
        "/token",
        Reply(307, headers={"Location": "http://127.0.0.2/token"}),
        "provider_untrusted",
        "redirects",
    ),
    "an error of the provider": ("/token", Reply(503), "provider_unreachable", ""),
    "too many requests": ("/jwks", Reply(429), "provider_unreachable", ""),
    "no such page": ("/jwks", Reply(404), "provider_untrusted", "404"),
    "another secret": ("/token", Reply(401, b'{"error": "invalid_client"}'), "provider_untrusted",
                       "client_id"),
    "a refused code": ("/token", Reply(400, b'{"error": "invalid_grant"}'), "login_denied", ""),
    "no ID token": ("/token", Reply(body=b'{"access_token": "x"}'), "id_token_refused", ""),
    "keys that are no list": ("/jwks", Reply(body=b'{"keys": 5}'), "id_token_refused", "no key"),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLIES)
async def test_answers_out_of_bounds_are_refused(provider: Provider, name: str) -> None:
    path, reply, code, word = REPLIES[name]
    provider.answers[path] = reply
    await refusal(provider, code, word)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/jwks", "/token"])
async def test_a_slow_provider_is_given_up_in_time(provider: Provider, path: str) -> None:
    provider.answers[path] = Reply(wait=asyncio.Event())
    began = time.monotonic()
    await refusal(provider, "provider_unreachable", port=client_of(provider, seconds=0.2))
    assert time.monotonic() - began < 3


async def test_a_provider_that_never_ends_its_answer_is_given_up_in_time(
    provider: Provider,
) -> None:
    provider.answers["/jwks"] = Reply(drips=asyncio.Event())
    began = time.monotonic()
    await refusal(provider, "provider_unreachable", port=client_of(provider, seconds=0.2))
    assert time.monotonic() - began < 3


async def test_a_provider_that_is_down_is_reported_at_once_and_asked_again_later(
    provider: Provider,
) -> None:
    port = client_of(provider)
    provider.answers["/.well-known/openid-configuration"] = Reply(500)
    for _ in range(3):
        await refusal(provider, "provider_unreachable", port=port)
    assert len(provider.asked) == 1
    provider.answers.clear()
    TICKS[0] += 6
    assert (await log_in(provider, port))["sub"]


async def test_nobody_listens(provider: Provider) -> None:
    port = client_of(provider, "http://127.0.0.1:9")
    with pytest.raises(SecureFlowError) as caught:
        await port.authorization_url(REQUEST)
    assert caught.value.code == "provider_unreachable"


async def test_a_new_key_is_found_but_unknown_ones_do_not_load_the_provider(
    provider: Provider,
) -> None:
    port = client_of(provider)
    await log_in(provider, port)
    fresh = ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})
    provider.token = lambda claims: signed(claims, fresh, kid="two")
    for _ in range(5):
        await refusal(provider, "id_token_refused", "no key", port=port)
    assert provider.asked.count("/jwks") == 1
    TICKS[0] += REFRESH_SECONDS
    provider.keys = [dict(fresh.as_dict(private=False))]
    assert (await log_in(provider, port))["sub"]
    assert provider.asked.count("/jwks") == 2


async def test_claims_of_userinfo_must_be_about_the_same_person(provider: Provider) -> None:
    claims = await log_in(provider, client_of(provider, userinfo=True))
    assert claims["groups"] == ["from-userinfo"]
    other = json.dumps({"sub": "somebody-else", "groups": ["admins"]}).encode()
    provider.answers["/userinfo"] = Reply(body=other)
    port = client_of(provider, userinfo=True)
    await refusal(provider, "provider_untrusted", "somebody else", port=port)


async def test_userinfo_does_not_overrule_the_id_token(provider: Provider) -> None:
    provider.token = lambda claims: signed({**claims, "groups": ["signed"]})
    claims = await log_in(provider, client_of(provider, userinfo=True))
    assert claims["groups"] == ["signed"]


async def test_plain_http_is_for_this_machine_and_tests_only() -> None:
    fetcher = Fetcher("sso", frozenset({"127.0.0.1", "sso.example"}))
    with pytest.raises(SecureFlowError):
        fetcher.allowed("http://127.0.0.1/x", "issuer")
    with pytest.raises(SecureFlowError):
        Fetcher("sso", frozenset({"sso.example"}), loopback_http=True).allowed(
            "http://sso.example/x", "issuer"
        )
    assert fetcher.allowed("https://sso.example/x", "issuer")


async def test_a_check_finds_what_is_wrong(provider: Provider) -> None:
    await client_of(provider).check()
    provider.keys = [{"kty": "oct"}]
    with pytest.raises(SecureFlowError) as caught:
        await client_of(provider).check()
    assert "key" in caught.value.message


async def test_secrets_are_in_no_repr(provider: Provider) -> None:
    client = Client(CLIENT, SECRET, REDIRECT, ("openid",))
    answer = AuthorizationAnswer("the-code", None, "the-nonce", "the-verifier", 1)
    shown = f"{client} {REQUEST} {answer}"
    for secret in (SECRET, "nonce-1", "v" * 43, "the-code", "the-nonce", "the-verifier"):
        assert secret not in shown

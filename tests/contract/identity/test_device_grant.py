"""The device authorisation grant (RFC 8628): an honest provider, and what a hostile one sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from peers.oidcprovider import NOW, Provider, Reply, confused, running, signed, unsigned

from secureflow.adapters.identity.device import DEVICE_BYTES, LONGEST_INTERVAL, SLOWER
from secureflow.adapters.identity.oidc import TOKEN_BYTES, OidcProvider
from secureflow.application.ports.identityprovider import (
    DeviceAuthorization,
    DeviceProvider,
    DeviceQuestion,
)
from secureflow.domain.oidc import PENDING_SECONDS
from secureflow.kit.clock import MAX_SKEW
from secureflow.kit.errors import SecureFlowError
from tests.contract.identity.test_hostile_provider import CLAIMS, client_of

NONCE = "nonce-1"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running() as one:
        yield one


async def begun(provider: Provider, **more: Any) -> tuple[DeviceProvider, DeviceAuthorization]:
    port: OidcProvider = client_of(provider, **more)
    return port, await port.start_device(NONCE)


def question(found: DeviceAuthorization) -> DeviceQuestion:
    return DeviceQuestion(found.code, NONCE, NOW - 60)


async def claims(provider: Provider, **more: Any) -> Any:
    """Begin a login, let the person agree, and return the claims."""
    port, found = await begun(provider, **more)
    provider.decide()
    return (await port.ask_device(question(found))).claims


async def refusal(asking: Any, code: str, word: str = "") -> None:
    with pytest.raises(SecureFlowError) as caught:
        await asking
    assert caught.value.code == code, caught.value
    assert word in caught.value.message


async def test_a_person_is_waited_for_and_then_known(provider: Provider) -> None:
    port, found = await begun(provider)
    assert (found.user_code, found.interval) == ("WDJB-MJHT", 5)
    assert found.address == f"{provider.issuer}/activate"
    assert (await port.ask_device(question(found))).claims is None
    provider.decide("slow_down")
    waiting = await port.ask_device(question(found))
    assert (waiting.claims, waiting.slower) == (None, SLOWER)
    provider.decide()
    answer = await port.ask_device(question(found))
    assert answer.claims is not None
    assert answer.claims["sub"] == "248289761001"


async def test_a_person_or_a_provider_may_refuse(provider: Provider) -> None:
    port, found = await begun(provider)
    for word, code in (
        ("access_denied", "login_denied"),
        ("expired_token", "device_code_expired"),
        ("invalid_grant", "login_denied"),
        ("\x1b[2J", "provider_untrusted"),
    ):
        provider.decide(word)
        await refusal(port.ask_device(question(found)), code)


async def test_a_token_need_not_have_a_nonce_and_has_no_other(provider: Provider) -> None:
    def without(given: dict[str, Any]) -> str:
        return signed({key: value for key, value in given.items() if key != "nonce"})

    provider.token = without
    assert (await claims(provider))["sub"]
    for other in ("other", "", 17):
        provider.claims["nonce"] = other
        provider.token = signed
        await refusal(claims(provider), "id_token_refused")


FORGED = {name: CLAIMS[name] for name in CLAIMS if name not in ("wrong nonce", "no nonce")}


@pytest.mark.parametrize("name", FORGED)
async def test_claims_that_do_not_belong_to_the_login_are_refused(
    provider: Provider, name: str
) -> None:
    changed, word = FORGED[name]

    def token(given: dict[str, Any]) -> str:
        merged = {**given, **changed}
        return signed({key: value for key, value in merged.items() if value is not None})

    provider.token = token
    await refusal(claims(provider), "id_token_refused", word)


@pytest.mark.parametrize("token", [unsigned, confused, lambda given: signed(given, kid="two")])
async def test_tokens_that_prove_nothing_are_refused(
    provider: Provider, token: Callable[[dict[str, Any]], str]
) -> None:
    provider.token = token
    await refusal(claims(provider), "id_token_refused")


async def test_a_login_at_the_provider_may_be_too_long_ago(provider: Provider) -> None:
    await refusal(claims(provider, max_age=600), "id_token_refused", "auth_time")
    for at, code in (
        (NOW - 600 - MAX_SKEW - 1, "id_token_refused"),
        (NOW + MAX_SKEW + 1, "id_token_refused"),
        (True, "id_token_refused"),
        (NOW - 600, ""),
    ):
        provider.claims["auth_time"] = at
        if code:
            await refusal(claims(provider, max_age=600), code)
        else:
            assert (await claims(provider, max_age=600))["sub"]
    assert provider.devices == {} or all(
        one["max_age"] == "600" for one in provider.devices.values()
    )


ANSWERS: dict[str, dict[str, Any]] = {
    "an address on another host": {"verification_uri": "https://evil.example/activate"},
    "an address without TLS": {"verification_uri": "http://10.0.0.1/activate"},
    "an address that is no text": {"verification_uri": ["https://127.0.0.1"]},
    "control characters in an address": {"verification_uri": "https://127.0.0.1/\x1b[2J"},
    "a complete address elsewhere": {"verification_uri_complete": "https://evil.example/"},
    "control characters in a code": {"user_code": "A\x1b[2J"},
    "a code from right to left": {"user_code": "A\u202eB"},
    "a code too long": {"user_code": "A" * 65},
    "no code": {"user_code": None},
    "no device code": {"device_code": ""},
    "a device code too long": {"device_code": "A" * 4097},
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_what_a_person_would_be_shown_is_checked(provider: Provider, name: str) -> None:
    provider.device = ANSWERS[name]
    await refusal(begun(provider), "provider_untrusted")


async def test_times_are_bounded(provider: Provider) -> None:
    for given, interval, seconds in (
        ({"interval": 10**9, "expires_in": 10**9}, LONGEST_INTERVAL, PENDING_SECONDS),
        ({"interval": -1, "expires_in": 0}, 5, PENDING_SECONDS),
        ({"interval": "5", "expires_in": True}, 5, PENDING_SECONDS),
        ({"interval": 7, "expires_in": 30}, 7, 30),
    ):
        provider.device = given
        _, found = await begun(provider)
        assert (found.interval, found.seconds) == (interval, seconds)


@pytest.mark.parametrize(("path", "most"), [("/device", DEVICE_BYTES), ("/token", TOKEN_BYTES)])
async def test_huge_answers_redirects_and_no_json_are_refused(
    provider: Provider, path: str, most: int
) -> None:
    port, found = await begun(provider)
    for reply in (
        Reply(body=b'{"x": "' + b"y" * most + b'"}'),
        Reply(302, headers={"Location": "https://evil.example/"}),
        Reply(body=b"<html>"),
        Reply(body=b"[]"),
    ):
        provider.answers[path] = reply
        asking = port.start_device(NONCE) if path == "/device" else port.ask_device(question(found))
        await refusal(asking, "provider_untrusted")


async def test_an_endpoint_elsewhere_is_never_dialled(provider: Provider) -> None:
    for endpoint in ("https://evil.example/device", "http://10.0.0.1/device", None, 17):
        provider.described = {"device_authorization_endpoint": endpoint}
        await refusal(begun(provider), "provider_untrusted")
    assert "/device" not in provider.asked


async def test_a_proxy_is_used_that_is_configured(provider: Provider) -> None:
    """It gets the whole address; a variable of the environment names none."""
    from secureflow.adapters.identity import Client, Fetcher

    proxy = f"http://127.0.0.1:{provider.port}"
    fetcher = Fetcher("sso", frozenset({"localhost"}), loopback_http=True, proxy=proxy)
    client = Client("secureflow", "", "", ("openid",))
    port = OidcProvider("SSO", "http://localhost:1", client, fetcher, lambda: NOW)
    await refusal(port.start_device(NONCE), "provider_untrusted", "another issuer")
    assert provider.asked == ["/.well-known/openid-configuration"]

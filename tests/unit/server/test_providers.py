"""Identity providers as `server.yaml` has them, and what `server check --providers` says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.oidcprovider import NOW, Provider, Reply, running

from secureflow.domain.users import Role
from secureflow.kit.errors import SecureFlowError
from secureflow.server.providers import check_providers, login_providers
from secureflow.server.settings import ServerSettings

SSO: dict[str, Any] = {
    "name": "sso",
    "issuer": "https://sso.example/realms/a",
    "client_id": "secureflow",
    "redirect": "https://centre.example/",
    "organisation": {"fixed": "bank-a"},
    "roles": {"claim": ["realm_access", "roles"], "map": {"sf-scientist": "data-scientist"}},
}


def written(tmp_path: Path, *providers: dict[str, Any]) -> Path:
    path = tmp_path / "server.yaml"
    path.write_text(yaml.safe_dump({"identity": {"oidc": list(providers)}}))
    return path


def problem(tmp_path: Path, *providers: dict[str, Any]) -> str:
    with pytest.raises(SecureFlowError) as caught:
        ServerSettings.load(written(tmp_path, *providers))
    assert caught.value.code == "invalid_settings"
    return caught.value.message


def test_a_provider_is_read(tmp_path: Path) -> None:
    (one,) = ServerSettings.load(written(tmp_path, SSO)).identity.oidc
    assert one.callback == "https://centre.example/api/v1/oidc/sso/callback"
    assert one.mapping.roles_claim == ("realm_access", "roles")
    assert one.mapping.reach == {"bank-a"}
    assert not one.provision
    by_name = {**SSO, "roles": {"claim": "groups", "map": {"a": "auditor"}}}
    (one,) = ServerSettings.load(written(tmp_path, by_name)).identity.oidc
    assert one.mapping.roles_claim == ("groups",)
    claims = {"groups": ["a"]}
    assert one.mapping.standing(claims).roles == (Role.AUDITOR,)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"issuer": "http://sso.example"}, "https"),
        ({"redirect": "http://centre.example"}, "https"),
        ({"issuer": "https://sso.example?x=1"}, "query"),
        ({"issuer": "https://a@sso.example"}, "query"),
        ({"scopes": ["profile"]}, "openid"),
        ({"scopes": ["openid", "a b"]}, "scopes"),
        ({"name": "a/b"}, "name"),
        ({"organisation": {}}, "fixed"),
        ({"organisation": {"fixed": "a", "claim": "org", "map": {"a": "a"}}}, "fixed"),
        ({"organisation": {"claim": "org"}}, "map"),
        ({"roles": {}}, "fixed"),
        ({"roles": {"map": {"a": "auditor"}}}, "claim"),
        ({"roles": {"fixed": ["platform-admin"]}}, "platform-admin"),
        ({"roles": {"claim": "g", "map": {"a": "root"}}}, "root"),
        ({"client_secret": "x"}, "client_secret"),
    ],
)
def test_settings_that_would_let_in_others_are_refused(
    tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    assert says in problem(tmp_path, {**SSO, **changed})


def test_two_providers_differ_in_name_and_issuer(tmp_path: Path) -> None:
    assert "name" in problem(tmp_path, SSO, {**SSO, "issuer": "https://b.example"})
    assert "issuer" in problem(tmp_path, SSO, {**SSO, "name": "other"})


def test_the_clients_secret_is_private_and_on_one_line(tmp_path: Path) -> None:
    secret = tmp_path / "sso.secret"
    settings = ServerSettings.load(written(tmp_path, {**SSO, "client_secret_file": "sso.secret"}))
    with pytest.raises(SecureFlowError) as caught:
        login_providers(settings.identity, lambda: NOW)
    assert caught.value.code == "invalid_settings"
    for content, code in ((b"", "invalid_settings"), (b"\xff", "invalid_settings")):
        secret.write_bytes(content)
        secret.chmod(0o600)
        with pytest.raises(SecureFlowError) as caught:
            login_providers(settings.identity, lambda: NOW)
        assert caught.value.code == code
    secret.write_text("s3cret\n")
    secret.chmod(0o644)
    with pytest.raises(SecureFlowError) as caught:
        login_providers(settings.identity, lambda: NOW)
    assert caught.value.code == "key_exposed"
    secret.chmod(0o600)
    found = login_providers(settings.identity, lambda: NOW)
    assert found["sso"].port.title == "sso"
    assert "s3cret" not in repr(vars(found["sso"].port))


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider in a loop of its own: the check has another."""
    made, ready, stop = Provider(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with running(made):
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield made
    finally:
        stop.set()
        thread.join()


def test_a_check_says_whether_a_provider_answers_as_configured(
    tmp_path: Path, provider: Provider
) -> None:
    config = written(tmp_path, {**SSO, "issuer": provider.issuer, "loopback_http": True})
    (found,) = check_providers(config)
    assert (found["check"], found["ok"]) == ("provider", True)
    provider.described = {"issuer": "https://evil.example"}
    (found,) = check_providers(config)
    assert (found["ok"], found["code"]) == (False, "provider_untrusted")
    provider.answers["/.well-known/openid-configuration"] = Reply(500)
    (found,) = check_providers(config)
    assert (found["ok"], found["code"]) == (False, "provider_unreachable")


def test_without_providers_there_is_nothing_to_load(tmp_path: Path) -> None:
    config = written(tmp_path)
    assert list(check_providers(config)) == []
    assert login_providers(ServerSettings.load(config).identity, lambda: NOW) == {}

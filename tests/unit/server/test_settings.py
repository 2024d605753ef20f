from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.server.settings import ServerSettings

EXAMPLE = Path(__file__).parents[3] / "configs" / "server.example.yaml"


def test_the_example_is_valid_and_shows_the_defaults() -> None:
    example = ServerSettings.load(EXAMPLE)
    told = example.model_dump(exclude={"host", "origin"})
    bare = ServerSettings().model_dump(exclude={"host", "origin"})
    for section in ("rest", "link"):
        told[section].pop("bind")
        bare[section].pop("bind")
    for name in ("directory", "ca", "log_key", "tls", "artifacts"):
        bare[name] = EXAMPLE.parent / bare[name]
    assert told == bare


def test_the_database_password_comes_from_the_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("database: {url: 'postgresql://secureflow@db/secureflow'}")
    monkeypatch.setenv("SECUREFLOW_SERVER__DATABASE__PASSWORD", "p@ss:w/rd")
    settings = ServerSettings.load(config)
    from sqlalchemy.engine import make_url

    url = make_url(settings.database_url)
    assert (url.username, url.password, url.host) == ("secureflow", "p@ss:w/rd", "db")
    assert "p@ss" not in str(settings.masked())
    config.write_text("database: {password: x}")
    with pytest.raises(SecureFlowError, match="SECUREFLOW_SERVER__DATABASE__PASSWORD"):
        ServerSettings.load(config)


def test_without_a_url_sqlite_lies_in_the_directory(tmp_path: Path) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("directory: .")
    assert ServerSettings.load(config).database_url.endswith(f"{tmp_path}/secureflow.db")


@pytest.mark.parametrize(
    "wrong",
    [
        *("prefix: /", "prefix: flow", "prefix: /flow/", "prefix: '/a; Domain=evil.example'"),
        *("origins: ['http://a.example']", "origins: ['https://a.example/x']"),
        *("origins: ['*']", "origins: ['null']", "origins: ['https://']"),
    ],
)
def test_what_cookies_depend_on_is_checked(tmp_path: Path, wrong: str) -> None:
    config = tmp_path / "server.yaml"
    config.write_text("rest: {prefix: /flow/v1, origins: ['https://a.example:8443']}")
    assert ServerSettings.load(config).rest.prefix == "/flow/v1"
    config.write_text(f"rest: {{{wrong}}}")
    with pytest.raises(SecureFlowError):
        ServerSettings.load(config)

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import HostPort
from secureflow.kit.settings import ProcessSettings, Section
from secureflow.texts import error_in


class Database(Section):
    url: str = "sqlite://"
    password: SecretStr | None = None


class Settings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="SECUREFLOW_TESTING__")

    port: int = 1
    key: Path = Path("log.key")
    database: Database = Database()


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    return path


def test_the_environment_wins_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_TESTING__PORT", "3")
    monkeypatch.setenv("SECUREFLOW_TESTING__DATABASE__PASSWORD", "hunter2")
    settings = Settings.load(write(tmp_path, "port: 2\ndatabase: {url: 'postgresql://u:pw@h/d'}\n"))
    assert settings.port == 3
    assert settings.database.url == "postgresql://u:pw@h/d"
    assert settings.database.password == SecretStr("hunter2")
    masked = str(settings.masked())
    assert "hunter2" not in masked
    assert ":pw@" not in masked


def test_relative_paths_are_anchored_at_the_file(tmp_path: Path) -> None:
    assert Settings.load(write(tmp_path, "")).key == tmp_path / "log.key"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot: 2", "prot"),
        ("port: many", "port"),
        ("database: {password: x}", "DATABASE__PASSWORD"),
        ("- 1", "mapping"),
        ("a: [", "YAML"),
        ("port: 1\nname: a\nport: 2\n", "'port' stands twice in line 3"),
        ("database: {url: 1, more: 2}", "database"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SecureFlowError) as caught:
        Settings.load(write(tmp_path, text))
    assert caught.value.code == "invalid_settings"
    assert named in str(caught.value)


def test_unknown_variables_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_TESTING__PROT", "3")
    with pytest.raises(SecureFlowError, match="SECUREFLOW_TESTING__PROT"):
        Settings.load(write(tmp_path, ""))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecureFlowError, match=r"absent\.yaml"):
        Settings.load(tmp_path / "absent.yaml")


WRONG: list[tuple[str, object]] = [
    ("port", "many"), ("port", 1.5), ("port", [1]), ("key", 5), ("database", 5), ("prot", 2),
    ("database", {"url": 1}), ("database", {"more": 2}), ("names", 7), ("form", "loud"),
    ("length", 9), ("on", "perhaps"), ("address", "here"),
]  # fmt: skip


class Wide(Settings):
    address: HostPort = "c.example:1"
    names: list[str] = Field(default_factory=list)
    form: Literal["json", "console"] = "json"
    length: Annotated[int, Field(le=8)] = 1
    on: bool = False


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_field_is_told_in_chinese(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(SecureFlowError) as caught:
        Wide.load(write(tmp_path, yaml.safe_dump({name: value})))
    told = error_in(caught.value.as_json(), "zh")
    place, field, problem = str(told["message"]).split("：", 2)
    assert place.endswith("settings.yaml")
    assert field.startswith(name)
    assert not re.search("[A-Za-z]{2,} [a-z]{2,}", problem), problem
    assert "Value error" not in str(caught.value)

"""The server's settings: `server.yaml`, overridden by `SECUREFLOW_SERVER__…` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from secureflow.kit.logging import Form, Level
from secureflow.kit.settings import ProcessSettings, Section

Port = Annotated[int, Field(ge=0, le=65_535)]


class RestSettings(Section):
    """The REST API. Port 0 picks a free one; rates are per token, five times that per address."""

    bind: str = "127.0.0.1"
    port: Port = 8443
    rate_per_second: Annotated[float, Field(gt=0)] = 50.0
    burst: Annotated[int, Field(ge=1)] = 200
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20


class LinkSettings(Section):
    """The gRPC link that agents and the enclave dial; `public` is what they are told to dial."""

    bind: str = "127.0.0.1"
    port: Port = 8444
    public: str = ""


class DatabaseSettings(Section):
    """Where entities, journal and log live; without a URL, SQLite in the server's directory.

    A password never stands in the file: `SECUREFLOW_SERVER__DATABASE__PASSWORD`.
    """

    url: str = ""
    password: SecretStr | None = None


class LogSettings(Section):
    """How the process logs."""

    form: Form = "json"
    level: Level = "info"


class ServerSettings(ProcessSettings):
    """Everything that `secureflow server start` reads.

    Args:
        directory: where `ready.json`, the database and the artifacts are, unless named apart.
        host: the name or address by which people and agents reach this machine.
        origin: the log's name in every checkpoint; it never changes.
        ca: directory of the link CA (`server init` makes it).
        log_key: the log's signing key; whoever has it can fork the log.
        tls: directory of the server's own certificate, renewed by itself.
        artifacts: directory of content-addressed blobs.
        max_artifact_bytes: the largest blob that a party may store.
    """

    model_config = SettingsConfigDict(env_prefix="SECUREFLOW_SERVER__")

    directory: Path = Path()
    host: str = "127.0.0.1"
    origin: str = "localhost/log"
    ca: Path = Path("ca")
    log_key: Path = Path("log.key")
    tls: Path = Path("tls")
    artifacts: Path = Path("artifacts")
    max_artifact_bytes: Annotated[int, Field(ge=1 << 20)] = 8 << 30
    rest: RestSettings = RestSettings()
    link: LinkSettings = LinkSettings()
    database: DatabaseSettings = DatabaseSettings()
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL, password included: for the engine only, never for a log line."""
        url = self.database.url or f"sqlite+aiosqlite:///{self.directory / 'secureflow.db'}"
        if self.database.password is None:
            return url
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        password = quote(self.database.password.get_secret_value(), safe="")
        return f"{scheme}://{user}:{password}@{place}"

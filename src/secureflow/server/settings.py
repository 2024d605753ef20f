"""The server's settings: `server.yaml`, overridden by `SECUREFLOW_SERVER__…` variables."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, IPvAnyNetwork, SecretStr
from pydantic_settings import SettingsConfigDict

from secureflow.adapters.keyvault import KeySettings, key_files
from secureflow.adapters.notifying.settings import SmtpSettings, WebhookSettings
from secureflow.application.peoplerules import PeopleRules
from secureflow.application.quotas import Quotas
from secureflow.application.sessions import SessionLimits
from secureflow.domain.queue import QueueLimits
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.logging import Form, Level
from secureflow.kit.settings import ProcessSettings, Section
from secureflow.server.bounds import Bounds
from secureflow.server.identitysettings import IdentitySettings

Port = Annotated[int, Field(ge=0, le=65_535)]


class ConnectionSettings(Section):
    """Limits and time-outs of REST connections.

    A connection is *unknown* until a request on it has shown a valid token; from then on it counts
    for its user, and the address no longer matters. At a limit the longest-idle connection is
    evicted: newcomers are not turned away in favour of idle connections.

    Args:
        most: open at the same time, in total.
        unknown: of these, by unknown callers.
        of_address: of the unknown, from one address (IPv6: one /64).
        of_user: of one user.
        handshakes_per_second: TLS handshakes begun; addresses take turns.
        handshake_seconds: for the first byte, and again for the handshake.
        header_seconds: for the complete header of a request.
        body_seconds: for the rest of a request, beyond a second for each 32 KiB that came, and for
            a caller to read the answer.
    """

    most: Annotated[int, Field(ge=16)] = 2048
    unknown: Annotated[int, Field(ge=8)] = 1024
    of_address: Annotated[int, Field(ge=4)] = 512
    of_user: Annotated[int, Field(ge=2)] = 64
    handshakes_per_second: Annotated[float, Field(ge=1)] = 250.0
    handshake_seconds: Annotated[float, Field(gt=0)] = 10.0
    header_seconds: Annotated[float, Field(gt=0)] = 10.0
    body_seconds: Annotated[float, Field(gt=0)] = 30.0


class RestSettings(Section):
    """The REST API. Port 0 picks a free one; rates are per user, five times that per address.

    Args:
        max_body_bytes: of a request's body; login and enrolment take far less.
        max_body_values: names and values in a body, including those inside strings.
        max_streams: event streams that one user may keep open.
        proxies: networks of reverse proxies. Their `X-Forwarded-For` is trusted, and their
            connections are not counted by address; from anyone else the header is ignored.
        prefix: path under which a proxy publishes the service, such as `/secureflow`, which it
            removes from requests; empty where the service has a host to itself.
        origins: addresses of the pages that may use a session cookie, such as
            `https://flow.example`; by default the host that a request names.
        console: whether the web console is served beside the API.
        metrics_token: bearer token for scrapers on other machines. Without one `/metrics` answers
            this machine only.
    """

    bind: str = "127.0.0.1"
    port: Port = 8443
    rate_per_second: Annotated[float, Field(gt=0)] = 50.0
    burst: Annotated[int, Field(ge=1)] = 200
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    max_body_values: Annotated[int, Field(ge=1000)] = 50_000
    max_streams: Annotated[int, Field(ge=1)] = 16
    proxies: tuple[IPvAnyNetwork, ...] = ()
    prefix: Annotated[str, Field(max_length=128, pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    origins: tuple[Annotated[str, Field(pattern=r"^https://[^/?#\s]+$")], ...] = ()
    console: bool = True
    metrics_token: Annotated[SecretStr, Field(min_length=16)] | None = None
    connections: ConnectionSettings = ConnectionSettings()


class LinkSettings(Section):
    """The gRPC link that agents and the enclave dial; `public` is the address for them to dial.

    Args:
        max_connections: open at the same time; further ones are closed at once.
        handshake_seconds: until a connection has shown a certificate of our CA.
        calls_per_second: calls of one organisation's agents, opened links, and started blob
            transfers. A job needs a few per round.
        burst: allowed at once.
    """

    bind: str = "127.0.0.1"
    port: Port = 8444
    public: str = ""
    max_connections: Annotated[int, Field(ge=16)] = 2048
    handshake_seconds: Annotated[float, Field(gt=0)] = 10.0
    calls_per_second: Annotated[float, Field(gt=0)] = 50.0
    burst: Annotated[int, Field(ge=1)] = 500


class DatabaseSettings(Section):
    """Where entities, journal and log are stored; without a URL, SQLite in the server's directory.

    A password is never in the file: `SECUREFLOW_SERVER__DATABASE__PASSWORD`.

    Args:
        wait_seconds: how long a start waits for a database that is unavailable or locked.
    """

    url: str = ""
    wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 60.0
    password: SecretStr | None = None


class StorageSettings(Section):
    """Disk space reserved for the record.

    Args:
        reserve_mb: part of the artifacts' disk that models and vectors must leave free.
        record_mb: size of the file `server.reserve`, which is released for a record in SQLite.
    """

    reserve_mb: Annotated[int, Field(ge=0, le=1 << 20)] = 64
    record_mb: Annotated[int, Field(ge=0, le=4096)] = 8


class NotificationSettings(Section):
    """How people are told beside their inboxes.

    Args:
        smtp: the mail server; without one no mail is sent.
        webhooks: where webhooks may lead.
        link: the address that links in mails start with; without one `https://HOST:PORT`.
        agent_minutes: how long an agent's link is missing before its people are told.
    """

    smtp: SmtpSettings | None = None
    webhooks: WebhookSettings = WebhookSettings()
    link: str = ""
    agent_minutes: Annotated[int, Field(ge=1, le=10_080)] = 15


class LogSettings(Section):
    """How the process logs."""

    form: Form = "json"
    level: Level = "info"


class ServerSettings(ProcessSettings):
    """Everything that `secureflow server start` reads.

    Args:
        directory: where `ready.json`, the database and the artifacts are, unless set separately.
        host: the name or address by which clients and agents reach this machine.
        origin: the log's name in every checkpoint; it never changes.
        ca: directory of the link CA (`server init` makes it).
        log_key: the log's signing key; anyone who has it can fork the log.
        tls: directory of the server's own certificate, renewed automatically.
        artifacts: directory of content-addressed blobs.
        max_artifact_bytes: the largest blob that a party may store.
        storage: disk space that is kept free.
        quotas: limits per organisation.
        queue: how many jobs may run at a time; others wait for their turn.
        sessions: how long browser sessions last.
        people: rules of accounts.
        identity: where people may log in besides.
        keys: what wraps its private keys on disk (docs/keys.md).
        notifications: how people are told.
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
    storage: StorageSettings = StorageSettings()
    quotas: Quotas = Quotas()
    queue: QueueLimits = QueueLimits()
    sessions: SessionLimits = SessionLimits()
    people: PeopleRules = PeopleRules()
    identity: IdentitySettings = IdentitySettings()
    keys: KeySettings = KeySettings()

    @property
    def bounds(self) -> Bounds:
        """What these settings bound."""
        return Bounds(self.quotas, self.queue, self.sessions, self.people)

    @cached_property
    def key_files(self) -> KeyFiles:
        """Its private keys on disk, wrapped as `keys` says."""
        return key_files(self.keys, self.origin, self.key_folders)

    @property
    def key_folders(self) -> tuple[Path, ...]:
        """The folders that hold private keys: the wrapping key is in none of them."""
        return self.directory, self.ca, self.log_key.parent, self.tls

    notifications: NotificationSettings = NotificationSettings()

    @property
    def uploads(self) -> Path:
        """The directory of blobs that people uploaded, apart from what jobs released."""
        return self.artifacts / "uploads"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL, password included: for the engine only, never for a log line."""
        url = self.database.url or f"sqlite+aiosqlite:///{self.directory / 'secureflow.db'}"
        if self.database.password is None or url.startswith("sqlite"):
            return url
        scheme, _, rest = url.partition("://")
        user, _, place = rest.rpartition("@")
        password = quote(self.database.password.get_secret_value(), safe="")
        return f"{scheme}://{user}:{password}@{place}"

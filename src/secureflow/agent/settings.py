"""The agent's settings: `agent.yaml`, written by `agent enroll` and then edited by its owner.

See configs/agent.example.yaml for the meaning of each setting. Paths are relative to the file.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from secureflow.adapters.keyvault import KeySettings, key_files
from secureflow.agent.anchorsettings import MAX_PLACES, AnyPlace, check_places
from secureflow.agent.consolesettings import ConsoleSettings
from secureflow.agent.identitysettings import OwnIdentitySettings
from secureflow.agent.notificationsettings import OwnNotificationSettings
from secureflow.agent.references import (
    AmdProduct,
    SgxReference,
    SnpReference,
    TcbFloor,
    TdxReference,
)
from secureflow.agent.witnesssettings import WitnessSettings
from secureflow.application.ports.mpcengine import EngineLimits
from secureflow.application.ports.sandbox import SandboxMode
from secureflow.domain.grants import GrantsMode
from secureflow.domain.schemas import DatasetConfig, check_dataset
from secureflow.domain.specs.base import Key, Slug
from secureflow.domain.specs.protections import ProtectionName
from secureflow.domain.texts import ONE_LINE
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.hostport import HostPort
from secureflow.kit.keyfiles import KeyFiles
from secureflow.kit.logging import Form, Level
from secureflow.kit.settings import ProcessSettings, Section
from secureflow.kit.text import Text

DAY = 86_400
ENVIRONMENT: Final = "SECUREFLOW_AGENT__"
_MEASUREMENT = r"^(?:[0-9a-f]{64}|[0-9a-f]{96}(?::[0-9a-f]{96}){4}|[0-9a-f]{96})$"


class Partner(Section):
    """Another organisation that may learn this one's contributions from one dataset.

    `key` is its signing key, base64, as in the charter.
    """

    dataset: Annotated[str, Field(min_length=1, max_length=64)]
    key: Key


class TwoPeopleRule(Section):
    """Requests that two people must decide: all conditions that are given must hold.

    `kinds`, `datasets` and `purposes` name some; `columns` of which one is used; `sensitive`:
    whether one is used that is declared so; `epsilon_over`: more than this ε, or no differential
    privacy; `code`: whether the job brings code; `deliver`: whether predictions are handed over;
    `learns`: whether somebody learns which keys match; `any`: every request. `reason` is shown.
    """

    reason: Annotated[str, Field(max_length=200), ONE_LINE] = ""
    any: Literal[True] | None = None
    kinds: Annotated[tuple[Slug, ...], Field(min_length=1, max_length=64)] | None = None
    datasets: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] | None = None
    purposes: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)] | None = None
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=4096)] | None = None
    sensitive: bool | None = None
    epsilon_over: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    code: bool | None = None
    deliver: bool | None = None
    learns: bool | None = None

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of the conditions that are given."""
        names = type(self).model_fields
        return tuple(one for one in names if one != "reason" and getattr(self, one) is not None)

    @model_validator(mode="after")
    def _check_conditions(self) -> Self:
        if not self.conditions:
            message = "a rule for two people needs a condition: `any: true` for every request"
            raise ValueError(message)
        return self


class ConsentSettings(Section):
    """What this organisation consents to.

    `policies` are Cedar files; `protections` the ones that the owner accepts;
    `min_contributors` the fewest parties of a sum (default three; for two parties, both);
    `two_party` the partners with which alone it computes sums, from which each of the two can
    derive the other's contribution; `max_age` the longest lifetime of an approval in seconds, and
    `max_timetable` that of the approval of a timetable, which covers all of its runs.
    `two_people` are the rules by which two people decide; `decide_within` the seconds after which
    a request that waits is over, `remind_after` those after which it is shown as overdue.

    `grants`: `limit` holds a job to this agent's grants where there are any for its data and
    project; `dataset` where there are any for its data, in whatever project, so that a project of
    another id leads round none; `required` refuses every job on data for which a person here
    confirmed none.
    """

    policies: tuple[Path, ...] = ()
    protections: tuple[ProtectionName, ...] = ("sealed", "secagg", "sealed+secagg")
    min_contributors: Annotated[int, Field(ge=2, le=256)] | None = None
    two_party: tuple[Partner, ...] = ()
    max_age: Annotated[int, Field(ge=60, le=365 * DAY)] = 30 * DAY
    max_timetable: Annotated[int, Field(ge=600, le=500 * DAY)] = 92 * DAY
    two_people: Annotated[tuple[TwoPeopleRule, ...], Field(max_length=64)] = ()
    decide_within: Annotated[int, Field(ge=60, le=365 * DAY)] | None = None
    remind_after: Annotated[int, Field(ge=60, le=365 * DAY)] = DAY
    grants: GrantsMode = "limit"


class AttestationSettings(Section):
    """Which enclaves this organisation trusts.

    `measurements` are hex code measurements (SGX: MRENCLAVE; SEV-SNP: the launch measurement; TDX:
    MRTD and RTMR0 to 3 joined by colons), or `installed`: that of this installation, which
    only a SIMULATED enclave has. `sgx`, `tdx` and `snp` are reference values in the vendors' own
    terms; code that matches a measurement or one of them is accepted. SEV-SNP needs the lowest
    firmware versions of the product in `snp_minimum_tcb`, and AMD's revocation list unless
    `snp_without_crl`. Intel's and AMD's roots are built in; a simulated TEE needs its root (a PEM
    file in `roots`) *and* `allow_simulated`. `max_age` is how long a verdict is valid, `nonce_age`
    how old the nonce of fresh evidence may be, both in seconds.
    """

    allow_simulated: bool = False
    measurements: Literal["installed"] | tuple[Annotated[str, Field(pattern=_MEASUREMENT)], ...] = (
        "installed"
    )
    sgx: Annotated[tuple[SgxReference, ...], Field(max_length=64)] = ()
    tdx: Annotated[tuple[TdxReference, ...], Field(max_length=64)] = ()
    snp: Annotated[tuple[SnpReference, ...], Field(max_length=64)] = ()
    snp_minimum_tcb: dict[AmdProduct, TcbFloor] = Field(default_factory=dict)
    snp_without_crl: bool = False
    roots: Annotated[tuple[Path, ...], Field(max_length=1)] = ()
    tcb_statuses: tuple[str, ...] = ("UpToDate", "SWHardeningNeeded")
    denied_advisories: tuple[str, ...] = ()
    allowed_platform: tuple[str, ...] = ()
    max_age: Annotated[int, Field(ge=60, le=30 * DAY)] = DAY
    nonce_age: Annotated[int, Field(ge=10, le=3600)] = 600


OTHERS_SECONDS: Final = 6 * 3600
"""That one request to code of others may take, if no setting says otherwise."""


class WorkerSettings(Section):
    """The processes that compute: where they run, and what each may use (0 is unlimited).

    `sandbox`: `auto` uses bubblewrap where it is installed, `require` starts no agent without it,
    `off` uses none. `memory_mb` of memory and address space; `scratch_mb` of temporary files in the
    sandbox, `state_mb` of the file in which a trainer keeps its own state; `processes` and threads
    together; `cpus` processors; `seconds` of one request; `devices` of this machine that code in
    the sandbox may use, such as /dev/nvidia0. `warm` jobs have a process with code of others at the
    same time, and others wait; one that nothing was asked of for `idle_minutes` is ended.
    `kernels` is the code that NumPy and OpenBLAS run: by default that of any x86-64 processor since
    2013, so that another host makes an update again bit by bit; `native` that of this processor; or
    a name of OpenBLAS that this processor can run, such as SkylakeX.
    """

    sandbox: SandboxMode = "auto"
    memory_mb: Annotated[int, Field(ge=0)] = 8192
    scratch_mb: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    state_mb: Annotated[int, Field(ge=1, le=1 << 20)] = 64
    processes: Annotated[int, Field(ge=0, le=1 << 16)] = 256
    cpus: Annotated[float, Field(ge=0, le=4096)] = 0.0
    seconds: Annotated[int, Field(ge=0)] = 0
    devices: Annotated[tuple[Path, ...], Field(max_length=64)] = ()
    warm: Annotated[int, Field(ge=1, le=1 << 16)] = 8
    idle_minutes: Annotated[int, Field(ge=1, le=1 << 16)] = 360
    kernels: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{0,32}$")] = ""

    @property
    def others_seconds(self) -> int:
        """Return the seconds of one request to code that others wrote; it always has a limit.

        SecureFlow's own code has none unless its owner sets one: an honest training may last days,
        and nothing outside can tell it from one that never ends.
        """
        return self.seconds or OTHERS_SECONDS

    @field_validator("devices")
    @classmethod
    def _check_devices(cls, devices: tuple[Path, ...]) -> tuple[Path, ...]:
        for one in devices:
            if Path("/dev") not in one.parents or ".." in one.parts:
                raise ValueError(Text("{path} is no device: name a file below /dev", path=one))
        return devices


class PeerSettings(Section):
    """Which agents of peers are reached directly, not through the centre's relay.

    `listen` is where they may dial this agent (nowhere if left out), `addresses` where this agent
    dials them. What the centre says is never dialled.
    """

    listen: HostPort | None = None
    addresses: Annotated[dict[Slug, HostPort], Field(max_length=256)] = Field(default_factory=dict)


class EngineSettings(Section):
    """Engines for computation among parties (docs/engines.md).

    `memory_mb` of an engine's process, `scratch_mb` of the files that it works with. `unconfined`
    runs them without a sandbox where this agent has none: they then see this machine's files and
    network as the agent does, and other users of this machine can reach their ports. MPyC, which
    listens on every address, never runs so.
    """

    memory_mb: Annotated[int, Field(ge=64, le=1 << 24)] = 8192
    scratch_mb: Annotated[int, Field(ge=1, le=1 << 24)] = 4096
    unconfined: bool = False

    @property
    def limits(self) -> EngineLimits:
        """What one run may use."""
        return EngineLimits(self.memory_mb << 20, self.scratch_mb << 20)


class ControlSettings(Section):
    """Who reaches this agent's socket, and how long people's sessions last.

    `group` is a Unix group whose members may connect (mode 0660), each with the session of a
    person; without it the agent's own user and root alone (0600). They reach the socket at
    `socket`; left out, it is in the agent's own folder, which others cannot enter. `sessions`:
    `decisions` need a person's session once there are accounts, or `all` commands do.
    `idle_minutes` without a command end a session, and `hours` in all. `second_factor`: whether
    decisions need an account that has one.
    """

    socket: Path | None = None
    group: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,31}$")] | None = None
    sessions: Literal["decisions", "all"] = "decisions"
    idle_minutes: Annotated[int, Field(ge=1, le=24 * 60)] = 30
    hours: Annotated[int, Field(ge=1, le=7 * 24)] = 12
    second_factor: Literal["optional", "required"] = "optional"


class StorageSettings(Section):
    """Disk space: how much is reserved for the record of this agent, 0 for none."""

    reserve_mb: Annotated[int, Field(ge=0, le=4096)] = 8


class AgentSettings(ProcessSettings):
    """Everything that `agent start` needs.

    `base_models` are safetensors files of models on which adapters stand (docs/smaller-updates.md).
    """

    model_config = SettingsConfigDict(env_prefix=ENVIRONMENT)

    directory: Path = Path()
    organisation: Slug
    name: Annotated[str, Field(min_length=1, max_length=63)] = "agent"
    server: Annotated[str, Field(pattern=r"^https?://")]
    link: HostPort
    trust_domain: str
    datasets: tuple[DatasetConfig, ...] = ()
    base_models: Annotated[tuple[Path, ...], Field(max_length=64)] = ()
    consent: ConsentSettings = ConsentSettings()
    attestation: AttestationSettings = AttestationSettings()
    worker: WorkerSettings = WorkerSettings()
    engines: EngineSettings = EngineSettings()
    storage: StorageSettings = StorageSettings()
    peers: PeerSettings = PeerSettings()
    control: ControlSettings = ControlSettings()
    identity: OwnIdentitySettings = OwnIdentitySettings()
    keys: KeySettings = KeySettings()
    notifications: OwnNotificationSettings = OwnNotificationSettings()
    console: ConsoleSettings = ConsoleSettings()
    witness: WitnessSettings = WitnessSettings()
    anchors: Annotated[tuple[AnyPlace, ...], Field(max_length=MAX_PLACES)] = ()
    log_form: Form = "console"
    log_level: Level = "info"

    SOCKET: ClassVar = "agent.sock"

    _check_anchors = field_validator("anchors")(check_places)

    @field_validator("datasets")
    @classmethod
    def _check_datasets(cls, datasets: tuple[DatasetConfig, ...]) -> tuple[DatasetConfig, ...]:
        names = [dataset.name for dataset in datasets]
        if len(set(names)) != len(names):
            message = "two datasets have the same name"
            raise ValueError(message)
        domains = {one.privacy.domain: one.privacy for one in datasets if one.privacy}
        if any(one.privacy and one.privacy != domains[one.privacy.domain] for one in datasets):
            message = "two datasets declare different budgets for one privacy domain"
            raise ValueError(message)
        probed = [(one.domain, one.probing) for one in datasets if one.probing]
        limits = {domain: (one.limit, one.window) for domain, one in probed}
        if any((one.limit, one.window) != limits[domain] for domain, one in probed):
            message = "two datasets declare different probing limits for one privacy domain"
            raise ValueError(message)
        for dataset in datasets:
            try:
                check_dataset(dataset)
            except SecureFlowError as error:
                raise ValueError(error.message) from error
        return datasets

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a YAML file and the environment; see `ProcessSettings.load`."""
        settings = super().load(path)
        base = path.resolve().parent
        datasets = tuple(replace(one, path=str(base / one.path)) for one in settings.datasets)
        return settings.model_copy(update={"datasets": datasets})

    def dataset(self, name: str) -> DatasetConfig:
        """Return a declared dataset.

        Raises:
            SecureFlowError: `dataset_unknown`.
        """
        for dataset in self.datasets:
            if dataset.name == name:
                return dataset
        raise SecureFlowError(
            "dataset_unknown",
            Text(
                "{organisation} has no dataset {name!r}.", organisation=self.organisation, name=name
            ),
            "Declare it in agent.yaml under `datasets`, or name one that is declared.",
            {"dataset": name, "known": [one.name for one in self.datasets]},
        )

    @cached_property
    def key_files(self) -> KeyFiles:
        """Its private keys on disk, wrapped as `keys` says."""
        return key_files(self.keys, self.organisation, self.key_folders)

    @property
    def key_folders(self) -> tuple[Path, ...]:
        """The folders that hold private keys: the wrapping key is in none of them."""
        return (self.directory,)

    # Paths inside the directory.

    @property
    def record(self) -> Path:
        """The agent's durable record."""
        return self.directory / "agent.db"

    @property
    def reserve(self) -> Path:
        """The file that reserves disk space for the record."""
        return self.directory / "agent.reserve"

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.control.socket or self.directory / self.SOCKET

    @property
    def signing_key(self) -> Path:
        """The organisation's Ed25519 signing key."""
        return self.directory / "signing.key"

    @property
    def link_certificate(self) -> Path:
        """The link certificate with its private key."""
        return self.directory / "link.pem"

    @property
    def authority(self) -> Path:
        """The link CA named by the enrolment token."""
        return self.directory / "ca.pem"

    @property
    def models(self) -> Path:
        """Fetched models."""
        return self.directory / "models"

    @property
    def predictions(self) -> Path:
        """What models said of this organisation's rows: a file of each job, for its owner."""
        return self.directory / "predictions"

    @property
    def own_models(self) -> Path:
        """Models of this organisation alone, that trainings ended with: a file of each job."""
        return self.directory / "ownmodels"

    @property
    def results(self) -> Path:
        """What this organisation got by computing with peers: a file of each job, for its owner."""
        return self.directory / "results"

    @property
    def engines_folder(self) -> Path:
        """Environments of engines, and what their runs leave to the owner."""
        return self.directory / "engines"

    @property
    def anchor_keys(self) -> Path:
        """The keys of the accounts that send to places."""
        return self.directory / "anchors"

    @property
    def evidence(self) -> Path:
        """Proofs of misconduct."""
        return self.directory / "evidence"

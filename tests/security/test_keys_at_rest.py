"""The data folder alone, copied elsewhere, yields no key: it signs nothing and starts nothing."""

from __future__ import annotations

import asyncio
import base64
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization

from secureflow.adapters.link import CredentialFiles
from secureflow.agent.edge.ownidentity import check_certificate, read_signing_key
from secureflow.agent.settings import AgentSettings
from secureflow.kit.clock import system_clock
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyvault import KeyVaultError
from secureflow.kit.pki import Authority, make_csr, new_link_key, private_pem
from secureflow.kit.spiffe import SpiffeId
from secureflow.server.backup import back_up
from secureflow.server.centre import open_centre
from secureflow.server.initialise import initialise
from secureflow.server.keyfiles import key_places, read_authority, read_log_key
from secureflow.server.restore import restore
from secureflow.server.settings import ServerSettings

DOMAIN = "test.example"
pytestmark = pytest.mark.usefixtures("quick_passphrases")
PASSPHRASE = "backup passphrase of four words"
Thief = Callable[[Path], None]


def forms(secret: bytes) -> Iterator[bytes]:
    """Yield how a key's bytes may lie in a file: raw, hex, base64 at each alignment."""
    yield secret
    yield from (secret.hex().encode(), secret.hex().upper().encode())
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + secret)
        yield text[4 if shift else 0 : -4]


def secrets_of(pem: bytes) -> list[bytes]:
    """Return what must not be found of a PKCS #8 key: its scalar and its body."""
    key = serialization.load_pem_private_key(pem, None)
    scalar = key.private_numbers().private_value.to_bytes(32, "big")  # type: ignore[union-attr]
    body = re.sub(rb"-----[A-Z ]+-----|\s", b"", pem.split(b"-----BEGIN CERT")[0])
    return [scalar, base64.b64decode(body)]


def found_in(folder: Path, secrets: list[bytes]) -> list[str]:
    wanted = [form for one in secrets for form in forms(one)]
    return [
        str(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for data in (path.read_bytes(),)
        if any(one in data or one in data.replace(b"\n", b"") for one in wanted)
    ]


class Centre:
    def __init__(self, folder: Path, wrapping: Path) -> None:
        self.folder, self.wrapping = folder, wrapping
        initialise(folder, trust_domain=DOMAIN, rest_port=0, link_port=0, wrapping_key=wrapping)
        self.settings = ServerSettings.load(folder / "server.yaml")

    async def run(self) -> None:
        """Start, so that the link's certificate, the log and the write-ahead log are there."""
        async with AsyncExitStack() as stack:
            centre = await open_centre(self.settings, stack, lambda: False)
            centre.certificate.credentials.request()  # a renewal that waits
            config = self.folder / "server.yaml"
            await asyncio.to_thread(back_up, config, self.folder / "sealed.backup", PASSPHRASE)
            await asyncio.to_thread(back_up, config, self.folder / "plain.backup", None)
            shutil.copytree(self.folder, self.folder.with_name("stolen"))

    def secrets(self) -> list[bytes]:
        files = self.settings.key_files
        seed = read_log_key(self.settings).private.private_bytes_raw()
        link = CredentialFiles(self.settings.tls, files)().key
        waiting = files.read(self.settings.tls / "link.next", "link-next")
        authority = files.read(self.settings.ca / "ca.key", "link-ca")
        password = files.read(self.folder / "admin.password", "first-login").strip()
        token = files.read(self.folder / "enclave.token", "enclave-enrolment").strip()
        pems = [one for pem in (authority, link, waiting) for one in secrets_of(pem)]
        return [seed, *pems, password, token]


@pytest.fixture(scope="module")
def robbed(quick_passphrases: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a centre's folder was copied while it ran; its wrapping key stayed `away`."""
    place = tmp_path_factory.mktemp("robbed")
    centre = Centre(place / "centre", place / "elsewhere" / "wrapping.key")
    asyncio.run(centre.run())
    (place / "secrets").write_text("\n".join(one.hex() for one in centre.secrets()))
    (place / "elsewhere").rename(place / "away")
    return place


@pytest.fixture
def stolen(robbed: Path, tmp_path: Path) -> Iterator[Path]:
    """The copy; what a test puts `elsewhere` is taken away again."""
    shutil.copytree(robbed / "stolen", tmp_path / "stolen")
    yield tmp_path / "stolen"
    shutil.rmtree(robbed / "elsewhere", ignore_errors=True)


def start(settings: ServerSettings) -> None:
    """Start the centre, and stop it."""

    async def begin() -> None:
        async with AsyncExitStack() as stack:
            await open_centre(settings, stack, lambda: False)

    asyncio.run(begin())


def unnamed(config: Path) -> None:
    values = yaml.safe_load(config.read_text())
    del values["keys"]
    config.write_text(yaml.safe_dump(values))


def named_anew(config: Path) -> None:
    other = config.parent.with_name("thief.key")
    other.write_text("0123456789abcdef" * 4)
    other.chmod(0o600)
    values = yaml.safe_load(config.read_text())
    config.write_text(yaml.safe_dump({**values, "keys": {"file": str(other)}}))


def as_found(config: Path) -> None:
    assert config.exists()


def test_no_file_of_a_copied_centre_holds_a_key_in_any_form(robbed: Path, stolen: Path) -> None:
    lines = (robbed / "secrets").read_text().splitlines()
    secrets = [bytes.fromhex(line) for line in lines]
    assert len(secrets) == 9
    names = {path.name for path in stolen.rglob("*")}
    assert {"secureflow.db", "secureflow.db-wal", "sealed.backup", "link.next"} <= names
    assert found_in(stolen, secrets) == []
    # The search finds a key where there is one.
    SigningKey.from_seed(secrets[0]).save(stolen / "plain.key")
    assert found_in(stolen, secrets) == [str(stolen / "plain.key")]


@pytest.mark.parametrize("deed", [as_found, unnamed, named_anew])
def test_a_copied_centre_neither_starts_nor_signs(stolen: Path, deed: Thief) -> None:
    deed(stolen / "server.yaml")
    settings = ServerSettings.load(stolen / "server.yaml")
    for use in (read_log_key, read_authority):
        with pytest.raises(KeyVaultError) as refused:
            use(settings)
        assert refused.value.code in {
            "wrapping_key_unavailable", "wrapping_key_missing", "wrapping_key_wrong",
        }  # fmt: skip
    there = [place for place in key_places(settings) if place.path.exists()]
    assert len(there) == 6
    for place in there:
        with pytest.raises(KeyVaultError):
            settings.key_files.read(place.path, place.purpose)
    with pytest.raises(KeyVaultError):
        start(settings)


def test_with_its_wrapping_key_the_copy_starts_and_signs(robbed: Path, stolen: Path) -> None:
    shutil.copytree(robbed / "away", robbed / "elsewhere")
    settings = ServerSettings.load(stolen / "server.yaml")
    start(settings)
    uri = str(SpiffeId.parse(f"spiffe://{DOMAIN}/org/bank-a/agent/main"))
    assert read_authority(settings).issue(make_csr(new_link_key()), uri, system_clock())


def test_a_backup_opens_with_its_passphrase_and_the_wrapping_key_only(
    robbed: Path, stolen: Path, tmp_path: Path
) -> None:
    with pytest.raises(KeyVaultError):
        restore(stolen / "sealed.backup", tmp_path / "new", passphrase=PASSPHRASE)
    assert not (tmp_path / "new" / "server.yaml").exists()
    shutil.copytree(robbed / "away", robbed / "elsewhere")
    made = restore(stolen / "sealed.backup", tmp_path / "new", passphrase=PASSPHRASE)
    assert made.keys
    settings = ServerSettings.load(tmp_path / "new" / "server.yaml")
    envelope = settings.key_files.envelope(settings.log_key)
    assert envelope is not None  # it was never plain on the disk
    assert (
        read_log_key(settings).public
        == read_log_key(ServerSettings.load(stolen / "server.yaml")).public
    )


def test_a_copied_agent_has_no_key(tmp_path: Path) -> None:
    folder, wrapping = tmp_path / "agent", tmp_path / "elsewhere" / "wrapping.key"
    wrapping.parent.mkdir()
    wrapping.write_text("correct horse battery staple\n")
    wrapping.chmod(0o600)
    folder.mkdir()
    keys = {"file": str(wrapping), "scrypt_log2": 15}
    values = {
        "directory": ".", "organisation": "bank-a", "server": "https://c.example",
        "link": "c.example:1", "trust_domain": DOMAIN, "keys": keys,
    }  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(values))
    settings = AgentSettings.load(folder / "agent.yaml")
    key, link = SigningKey.generate(), new_link_key()
    key.save(settings.signing_key, settings.key_files)
    authority = Authority.create(tmp_path / "ca", DOMAIN, system_clock())
    uri = f"spiffe://{DOMAIN}/org/bank-a/agent/main"
    chain = authority.issue(make_csr(link), uri, system_clock())
    CredentialFiles.create(folder, authority.pem, link, chain, settings.key_files)
    again = AgentSettings.load(folder / "agent.yaml")
    assert read_signing_key(again).public == key.public
    check_certificate(again)
    secrets = [key.private.private_bytes_raw(), *secrets_of(private_pem(link))]
    assert found_in(folder, secrets) == []
    wrapping.rename(tmp_path / "away")
    for use in (read_signing_key, check_certificate):
        with pytest.raises(SecureFlowError) as refused:
            use(AgentSettings.load(folder / "agent.yaml"))
        assert refused.value.code == "wrapping_key_unavailable"

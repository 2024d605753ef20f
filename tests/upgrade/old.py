"""Stored data of an older version, unpacked where today's processes can run on it."""

from __future__ import annotations

import json
import lzma
import sqlite3
import tarfile
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from secureflow.demo.platform import HOST, Platform, free_ports
from secureflow.domain.jobs import Job
from secureflow.kit.pki import Authority, make_csr, new_link_key, parse_certificate, private_pem
from secureflow.kit.spiffe import spiffe_id
from tests.nursery import Born

JSON = Any
HERE = Path(__file__).parent
BANKS = {"bank-a": "Bank A", "bank-b": "Bank B", "bank-c": "Bank C"}


@dataclass
class Old:
    """Old data under today's code: the platform, and the manifest of what lies in it."""

    place: Platform
    manifest: dict[str, JSON]
    before: dict[str, JSON] = field(default_factory=dict)

    def id(self, name: str) -> str:
        """Return the id of a job by its name in the manifest."""
        return str(self.manifest["jobs"][name]["id"])

    def start(self, names: Iterable[str] = ("server", "enclave", *BANKS)) -> None:
        """Start processes and wait until they are up."""
        names = list(names)
        for name in names:
            self.place.start(name, wait=name == "server")
        for name in names:
            self.place.processes[name].ready()


def unpack(archive: Path, directory: Path) -> Old:
    """Unpack stored data and make it live here: paths, ports, certificates that have expired."""
    with lzma.open(archive) as plain, tarfile.open(fileobj=plain) as packed:
        packed.extractall(directory, filter="data")
    root = directory.resolve() / "place"
    manifest = json.loads((root / "manifest.json").read_text())
    place = Platform(root / "p", BANKS, child=Born)
    _move(root, manifest)
    for owner in place.parties.values():
        owner.password = manifest["passwords"][owner.party]
        owner.dataset_id = manifest["datasets"][owner.party]
    place.project = manifest["project"]
    authority = Authority.load(place.server / "ca")
    for name in ("enclave", *BANKS):
        _renew(place.directory / name / "link.pem", authority)
    return Old(place, manifest)


def _move(root: Path, manifest: dict[str, JSON]) -> None:
    """Write the new place and ports into the settings, and into what running jobs remember."""
    settings = sorted((root / "p").glob("*/*.yaml"))
    server = (root / "p" / "server" / "server.yaml").read_text()
    ports = [line.split()[1] for line in server.splitlines() if line.startswith("  port:")]
    fresh = free_ports(len(ports))
    for path in settings:
        text = path.read_text().replace(manifest["root"], str(root))
        for old, new in zip(ports, fresh, strict=True):
            text = text.replace(f"{HOST}:{old}", f"{HOST}:{new}")
            text = text.replace(f"port: {old}\n", f"port: {new}\n")
        path.write_text(text)
    for path in sorted((root / "p").glob("*/agent.db")):
        with closing(sqlite3.connect(path)) as record, record:
            names = {row[1] for row in record.execute("PRAGMA table_info(jobs)")}
            if "declared" in names:
                moved = "UPDATE jobs SET declared = replace(declared, ?, ?)"
                record.execute(moved, (manifest["root"], str(root)))
    # A copied folder is another server: it would wait until the claims of the first have lapsed.
    with closing(sqlite3.connect(root / "p" / "server" / "secureflow.db")) as database, database:
        if database.execute("SELECT 1 FROM sqlite_master WHERE name = 'claims'").fetchone():
            database.execute("DELETE FROM claims")


def _renew(path: Path, authority: Authority) -> None:
    """Issue a link certificate like the one that lies there, from today on."""
    identity = spiffe_id(parse_certificate(path.read_text()))
    dns = ["secureflow-enclave"] if "/enclave/" in identity else []
    key = new_link_key()
    chain = authority.issue(make_csr(key), identity, int(time.time()), dns=dns)
    path.write_bytes(private_pem(key) + chain.encode())
    assert serialization.load_pem_private_key(path.read_bytes(), None)


def seen(old: Old, name: str) -> Job:
    """Return a job as bank-a sees it."""
    with old.place.client("bank-a") as client:
        return client.jobs.get(old.id(name))

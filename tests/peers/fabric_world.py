"""A Fabric network for tests: two organisations' CAs, a chaincode that runs, a peer's gateway.

The network is `fabric_network`, in Fabric's own environment and its own process; the chaincode is
`contracts/fabric` in Node. Where one is missing that is said; with SECUREFLOW_DEMAND_FABRIC=1
(`.ci/run`) it is a failure.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

from secureflow.adapters.anchors.fabric.account import account_of
from secureflow.adapters.anchors.fabric.driver import FabricAnchor, FabricKeys, FabricPlace
from secureflow.agent.owner.engines import OwnEngines
from secureflow.application.ports.anchor import Happened
from secureflow.demo.platform import free_ports
from secureflow.engines.anchors.entries import Admit, AnchorHead, binding
from secureflow.kit.errors import SecureFlowError
from tests.engines import place

DEMANDED: Final = "SECUREFLOW_DEMAND_FABRIC"
ROOT: Final = Path(__file__).parents[2]
CONTRACT: Final = ROOT / "contracts" / "fabric"
CHANNEL: Final = "audit"
CHAINCODE: Final = "anchor"
PLACE: Final = f"fabric:{CHANNEL}:{CHAINCODE}"
WINDOW: Final = 3600


def demand(told: str) -> None:
    """Skip loudly, or fail where it is demanded."""
    if os.environ.get(DEMANDED):
        pytest.fail(f"FABRIC NOT TESTED: {told}; {DEMANDED} is set")
    pytest.skip(f"FABRIC NOT TESTED: {told}; {DEMANDED}=1 makes this a failure")


def node() -> str:
    """Return Node with the chaincode's packages, or say that there is none."""
    found = shutil.which("node")
    if found is None:
        demand("no node in PATH")
    if not (CONTRACT / "node_modules" / "fabric-shim").is_dir():
        demand("npm ci --prefix contracts/fabric")
    return str(found)


def python() -> Path:
    """Return the interpreter of Fabric's environment, or say that there is none."""
    try:
        return OwnEngines(place()).interpreter("fabric").find()
    except SecureFlowError:
        demand("python -m tests.engines fabric")
        raise


@dataclass
class Authority:
    """A CA of an organisation."""

    msp: str
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.certificate = self.issue(self.key, "ca")

    def issue(
        self, key: ec.EllipticCurvePrivateKey, name: str, *, days: int = 30
    ) -> x509.Certificate:
        """Return a certificate; one of fewer than no days has expired."""
        now = datetime.now(UTC)
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"ca.{self.msp}")])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name}.{self.msp}")])
        begins, ends = now - timedelta(days=60), now + timedelta(days=days)
        return (
            x509.CertificateBuilder()
            .issuer_name(issuer)
            .subject_name(issuer if name == "ca" else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(ends)
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def pem(one: x509.Certificate | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate or a key as PEM."""
    if isinstance(one, x509.Certificate):
        return one.public_bytes(serialization.Encoding.PEM)
    return one.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@dataclass
class Member:
    """A member: a charter key, and a client identity of an organisation."""

    authority: Authority
    name: str
    days: int = 30
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    charter: ed25519.Ed25519PrivateKey = field(default_factory=ed25519.Ed25519PrivateKey.generate)

    def __post_init__(self) -> None:
        self.certificate = pem(self.authority.issue(self.key, self.name, days=self.days))
        self.account = account_of(self.authority.msp, self.certificate)

    @property
    def public(self) -> bytes:
        """The charter key."""
        return self.charter.public_key().public_bytes_raw()

    def admit(self) -> Admit:
        """Return the entry that admits it."""
        signature = self.charter.sign(binding(PLACE, self.public, self.account))
        return Admit(self.public, self.account, (signature[:32], signature[32:]))


class Process:
    """A process of the network, with lines in and out."""

    def __init__(self, command: Sequence[str], **more: Any) -> None:
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more
        )

    def line(self) -> bytes:
        """Return the next line."""
        assert self._process.stdout is not None
        found = self._process.stdout.readline()
        assert found, "the process died"
        return bytes(found)

    def ask(self, told: Any) -> Any:
        """Send a line, and return the one that comes."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self.line())

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        """End it by the end of its input."""
        try:
            self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Network:
    """Two organisations, their peers, an orderer and the chaincode.

    Args:
        folder: for blocks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.orgs = [Authority("Org1MSP"), Authority("Org2MSP")]
        self.tls = Authority("tls")
        self.members = [Member(self.orgs[number % 2], f"user{number}") for number in range(3)]
        self.port = 0
        self.gateway: Process | None = None
        self._chaincode: Process | None = None
        self._address = f"127.0.0.1:{free_ports(1)[0]}"
        self._peers = [ec.generate_private_key(ec.SECP256R1()) for _ in self.orgs]
        self._tls_key = ec.generate_private_key(ec.SECP256R1())

    def start(self) -> None:
        """Start chaincode and gateway."""
        environment = {
            **os.environ,
            "CHAINCODE_ID": "anchor:1",
            "CHAINCODE_SERVER_ADDRESS": self._address,
            "CORE_CHAINCODE_LOGGING_SHIM": "critical",
        }
        self._chaincode = Process([node(), "index.js"], cwd=CONTRACT, env=environment)
        self.start_gateway()
        line = self._chaincode.line()
        assert b"listens" in line, line

    def start_gateway(self) -> None:
        """Start the peers and the orderer, where they were."""
        program = Path(__file__).with_name("fabric_network")
        self.gateway = Process([str(python()), "-I", "-B", str(program)])
        tls = self.tls.issue(self._tls_key, "peer0")
        told = self.gateway.ask(
            {
                "channel": CHANNEL,
                "chaincode": CHAINCODE,
                "address": self._address,
                "file": str(self._folder / "blocks"),
                "port": self.port,
                "timeout": 0.02,
                "tls": {"certificate": pem(tls).decode(), "key": pem(self._tls_key).decode()},
                "orgs": [
                    {
                        "msp": one.msp,
                        "ca": pem(one.certificate).decode(),
                        "certificate": pem(one.issue(key, "peer0")).decode(),
                        "key": pem(key).decode(),
                    }
                    for one, key in zip(self.orgs, self._peers, strict=True)
                ],
            }
        )
        self.port = told["port"]

    def stop(self) -> None:
        """End everything."""
        if self.gateway is not None:
            self.gateway.end()
        if self._chaincode is not None:
            self._chaincode.kill()

    def kill_gateway(self) -> None:
        """End peers and orderer with SIGKILL; their blocks stay."""
        assert self.gateway is not None
        self.gateway.kill()
        self.gateway = None

    def do(self, what: str, **more: Any) -> Any:
        """Have the network do something."""
        assert self.gateway is not None
        return self.gateway.ask({"do": what, **more})

    @contextlib.contextmanager
    def fault(self, name: str) -> Iterator[None]:
        """Have it fail in some way for a while."""
        self.do("fault", name=name)
        try:
            yield
        finally:
            self.do("fault", name="")

    def codes(self) -> list[str]:
        """Return the validation codes of all transactions, in order."""
        return [one for block in self.do("codes") for one in block]

    def where(self, member: Member, **more: Any) -> FabricPlace:
        """Return the place as a member sees it."""
        given: dict[str, Any] = {
            "target": f"127.0.0.1:{self.port}",
            "ca": pem(self.tls.certificate),
            "channel": CHANNEL,
            "chaincode": CHAINCODE,
            "msp": member.authority.msp,
            "certificate": member.certificate,
            "host": "localhost",
            "patience": 10.0,
            "wait": 2.0,
            "quiet": 0.2,
        }
        return FabricPlace(**{**given, **more})

    @contextlib.asynccontextmanager
    async def anchor(self, member: Member, **more: Any) -> AsyncIterator[FabricAnchor]:
        """Open the driver for a member."""
        keys = FabricKeys(pem(member.key))
        made = FabricAnchor(self.where(member, **more), python, lambda: keys)
        try:
            yield made
        finally:
            await made.close()

    async def begin(self) -> None:
        """Begin the place with all members."""
        async with self.anchor(self.members[0]) as anchor:
            named = [one.admit().json() for one in self.members]
            ticket = await anchor.begin(
                [{key: one[key] for key in ("member", "account", "signature")} for one in named],
                WINDOW,
            )
            await anchor.send(ticket)
            assert (await anchor.gateway.ask("status", 10, transaction=ticket.id, wait=5.0))[
                "code"
            ] == "VALID"


def head(size: int, root: int = 1, log: int = 1) -> AnchorHead:
    """Return a head of a log."""
    return AnchorHead(bytes([log]) * 32, size, bytes([root]) * 32, (b"s" * 32, b"t" * 32))


def sizes(events: Sequence[Happened], log: int) -> list[int]:
    """Return the sizes of a log's heads among what happened."""
    heads = (one.entry for one in events if isinstance(one.entry, AnchorHead))
    return [one.size for one in heads if one.log == bytes([log]) * 32]

"""An agent's keys are its own: another agent's, or none, are named with the way back."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.agent_world import ME, World
from peers.links import DOMAIN, Pki

from secureflow.agent.edge.check import check
from secureflow.agent.edge.doctor import examine
from secureflow.agent.edge.enrol import enrol
from secureflow.agent.edge.main import run
from secureflow.kit.crypto import SigningKey
from secureflow.kit.enrolment import EnrolmentToken
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import write_private

STRANGER = SigningKey.from_seed(b"\x55" * 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An agent's folder with own entries, and beside it link certificates of two members."""
    place = tmp_path_factory.mktemp("identity")
    world = World(place / "a")

    async def play() -> None:
        await world.admitted()
        await world.round(1)

    asyncio.run(play())
    world.store.close()
    for party, key in world.all_keys.items():
        key.save(place / f"{party}.key")
    world.all_keys[ME].save(world.directory / "signing.key")
    pki = Pki(place / "pki")
    for party in (ME, "bank-b"):
        source = pki.agent(party)._directory
        (place / party).mkdir()
        for name in ("link.pem", "ca.pem"):
            write_private(place / party / name, (source / name).read_bytes())
    for name in ("link.pem", "ca.pem"):
        shutil.copy(place / ME / name, world.directory / name)
    world.directory.chmod(0o700)
    policy = world.directory / "allow.cedar"
    policy.write_text("permit(principal, action, resource);")
    values: dict[str, Any] = {
        "directory": ".", "organisation": ME, "server": "https://127.0.0.1:1",
        "link": "127.0.0.1:1", "trust_domain": DOMAIN,
    }  # fmt: skip
    (world.directory / "agent.yaml").write_text(yaml.safe_dump(values))
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "place")


def keys_found(place: Path) -> list[dict[str, Any]]:
    found = [one for one in check(place / "a" / "agent.yaml") if one["check"] == "keys"]
    return [one for one in found if not one["ok"]]


def put_key(place: Path, key: SigningKey) -> None:
    (place / "a" / "signing.key").unlink()
    key.save(place / "a" / "signing.key")


def test_its_own_keys_are_sound(place: Path) -> None:
    assert keys_found(place) == []


def test_another_members_signing_key_is_named_and_starts_no_agent(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put_key(place, SigningKey.load(place / "bank-b.key"))
    (found,) = keys_found(place)
    assert found["code"] == "key_foreign"
    assert "bank-b" in found["message"]
    assert "signing.key" in found["hint"]
    assert run(place / "a" / "agent.yaml") == 7
    assert "key_foreign" in capfd.readouterr().err


def test_a_key_that_nobody_knows_is_named(place: Path) -> None:
    put_key(place, STRANGER)
    (found,) = keys_found(place)
    assert found["code"] == "key_foreign"
    assert "newest own entry" in found["message"]


def test_another_members_link_certificate_is_named_and_starts_no_agent(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(place / "bank-b" / "link.pem", place / "a" / "link.pem")
    (found,) = keys_found(place)
    assert found["code"] == "certificate_foreign"
    assert "link.pem" in found["message"]
    assert "bank-b" in found["message"]
    assert run(place / "a" / "agent.yaml") == 7
    assert "certificate_foreign" in capfd.readouterr().err


def test_another_centres_authority_starts_no_agent(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It dialled, and its log had what a library says of handshakes."""
    other = Pki(place / "other").agent(ME)._directory
    shutil.copy(other / "ca.pem", place / "a" / "ca.pem")
    (found,) = keys_found(place)
    assert found["code"] == "certificate_foreign"
    assert run(place / "a" / "agent.yaml") == 7
    told = capfd.readouterr().err
    assert "certificate_foreign" in told
    assert "ca.pem" in told


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:20]),
        lambda path: path.write_bytes(b"\0" * 45),
    ],
    ids=["removed", "empty", "half", "zeros"],
)
def test_a_lost_signing_key_of_an_agent_with_entries_comes_from_its_backup(
    place: Path, harm: Callable[[Path], Any], capfd: pytest.CaptureFixture[str]
) -> None:
    path = place / "a" / "signing.key"
    harm(path)
    (found,) = keys_found(place)
    assert found["code"] == "key_unreadable"
    assert str(path) in found["message"]
    assert "agent restore BACKUP" in found["hint"]
    assert run(place / "a" / "agent.yaml") == 5
    told = capfd.readouterr().err
    assert "agent restore BACKUP" in told
    assert "agent enroll" not in told
    failed = {one["check"]: one for one in examine(place / "a" / "agent.yaml") if not one["ok"]}
    assert failed["keys"]["code"] == "key_unreadable"
    # Whoever enrols anyway is not told to keep what is gone.
    token = EnrolmentToken.create("enr_1", "agent", ME, "ab" * 32).encode()
    with pytest.raises(SecureFlowError, match="already_enrolled") as refused:
        enrol(place / "a", token, "https://127.0.0.1:1", "a1")
    assert "agent restore BACKUP" in refused.value.hint

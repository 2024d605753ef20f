"""The doctor names the check that fails, over a real link."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.links import DOMAIN, Centre, Pki, now
from peers.pictures import by_class

from secureflow import __version__
from secureflow.adapters.datasources import dataset_commitment, formats
from secureflow.adapters.tee import SimulatedPlatform
from secureflow.agent.edge import control, doctor, ownchecks
from secureflow.agent.edge.doctor import examine
from secureflow.agent.owner.publications import declaration
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witness.charter import PinnedCharter
from secureflow.domain.charter import Charter, Member, SignedCharter
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.setback import Hold, set_back
from secureflow.kit import renewal
from secureflow.kit.crypto import SigningKey
from secureflow.kit.disk import Place
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.measurement import code_measurement
from secureflow.kit.pki import parse_certificate, serial
from secureflow.kit.recordmark import RecordMark, write_mark

LOG = SigningKey.generate()
FOREIGN = {"connected": True, "tee": "tdx", "measurement": "0" * 64}


class Patient:
    """An enrolled agent's directory and the centre that it belongs to."""

    def __init__(
        self, directory: Path, centre: Centre, pki: Pki, health: str, **certificate: Any
    ) -> None:
        self.directory = directory
        self.config = directory / "agent.yaml"
        self.centre = centre
        directory.mkdir(mode=0o700)
        credentials = pki.agent("bank-a", **certificate)
        for name in ("link.pem", "ca.pem", "link.asked"):
            source = credentials._directory / name
            (directory / name).write_bytes(source.read_bytes())
            (directory / name).chmod(0o600)
        self.key = SigningKey.generate()
        self.key.save(directory / "signing.key")
        members = (Member("bank-a", "A", self.key.public),)
        self.charter = Charter(1, DOMAIN, "log.example", LOG.public, members)
        store = RecordStore(directory / "agent.db")
        pinning = PinnedCharter(store, "bank-a", self.key, now)
        signed = SignedCharter(self.charter).sign("bank-a", self.key)
        pinning.pin(signed, self.charter.digest)
        store.close()
        self.settings: dict[str, Any] = {
            "organisation": "bank-a",
            "server": health,
            "link": centre.address,
            "trust_domain": DOMAIN,
        }
        self.status: dict[str, Any] = {
            "time": now(),
            "version": __version__,
            "party": "bank-a",
            "charter": self.charter.digest,
            "log": {"origin": "log.example", "key": LOG.public, "size": 0},
        }
        centre.answer_call = lambda _, __, ___: self.status

    async def checks(self) -> dict[str, dict[str, Any]]:
        self.config.write_text(yaml.safe_dump(self.settings))
        found = await asyncio.to_thread(lambda: list(examine(self.config)))
        return {one["check"]: one for one in found}

    async def failed(self) -> dict[str, str]:
        return {check: one["code"] for check, one in (await self.checks()).items() if not one["ok"]}


@contextlib.asynccontextmanager
async def patient(tmp_path: Path, **certificate: Any) -> AsyncIterator[Patient]:
    pki = Pki(tmp_path / "pki")
    centre = await Centre(pki, tmp_path).start()
    rest = await asyncio.start_server(_healthy, "127.0.0.1", 0)
    health = f"http://127.0.0.1:{rest.sockets[0].getsockname()[1]}"
    try:
        yield Patient(tmp_path / "agent", centre, pki, health, **certificate)
    finally:
        rest.close()
        await centre.server.stop(0)


async def _healthy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    writer.close()


@pytest.fixture(autouse=True)
def running(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent runs by the file that is looked at."""
    told = {"settings": {"state": "same", "changed": [], "restart": [], "problem": None}}
    monkeypatch.setattr(ownchecks, "call", lambda *_: told)


async def test_an_agent_that_does_not_run_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches the doctor's exit code must hear of it."""
    monkeypatch.setattr(ownchecks, "call", control.call)
    async with patient(tmp_path) as sick:
        assert await sick.failed() == {"running": "agent_not_running"}
        assert "secureflow agent start" in (await sick.checks())["running"]["hint"]


async def test_a_healthy_agent(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        checks = await sick.checks()
        assert all(one["ok"] for one in checks.values()), checks
        assert list(checks) == [
            "settings", "keys", "name", "connection", "certificate", "TLS", "server",
            "authorisation", "renewals", "clock", "version", "record", "charter", "log",
            "attestation", "enclave", "running", "data", "budgets", "environments", "engines",
            "disk", "sandbox", "kernels", "alarm", "people", "providers", "anchors", "witness",
        ]  # fmt: skip
        assert "whoever has this uid decides" in checks["people"]["message"]
        assert "hardware only" in checks["attestation"]["message"]


@pytest.mark.parametrize("harm", ["gone", "no bytes"])
async def test_a_record_that_is_gone_is_no_new_agent(tmp_path: Path, harm: str) -> None:
    """Its owner is not sent to pin the charter, as if there had never been one."""
    async with patient(tmp_path) as sick:
        record = sick.directory / "agent.db"
        with contextlib.closing(RecordStore(record)) as store:
            write_mark(sick.directory, RecordMark("a" * 32, store.reached()))
        record.unlink()
        if harm == "no bytes":
            record.touch()
        assert await sick.failed() == {"record": "record_missing"}
        assert "charter" not in await sick.checks()


def _harmed(data: bytes, at: int, harm: bytes) -> bytes:
    return data[:at] + harm + data[at + len(harm) :]


@pytest.mark.parametrize(
    ("at", "harm"), [(0, b"garbage-garbage!"), (100, b"\xff" * 100)], ids=["header", "first page"]
)
async def test_a_damaged_record_hides_no_other_check(tmp_path: Path, at: int, harm: bytes) -> None:
    async with patient(tmp_path) as sick:
        record = sick.directory / "agent.db"
        record.write_bytes(_harmed(record.read_bytes(), at, harm))
        checks = await sick.checks()
        failed = {check: one["code"] for check, one in checks.items() if not one["ok"]}
        read = ("record", "charter", "log", "alarm")
        assert failed == dict.fromkeys(read, "record_damaged")
        assert all(
            str(record) in checks[check]["message"] and checks[check]["hint"] for check in read
        )
        assert {"authorisation", "attestation", "running", "data", "disk"} <= set(checks)


async def test_a_fact_that_is_no_text_fails_its_check(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        with contextlib.closing(sqlite3.connect(sick.directory / "agent.db")) as database:
            database.execute("INSERT INTO facts VALUES ('alarm', CAST(x'22c322' AS TEXT))")
            database.commit()
        failed = await sick.failed()
        assert failed == {"record": "record_damaged", "alarm": "record_damaged"}


async def test_a_check_that_breaks_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with patient(tmp_path) as sick:
        store = RecordStore(sick.directory / "agent.db")
        with store.transaction():
            store.set_fact("head", ["of", "another", "shape"])
        store.close()
        checks = await sick.checks()
        assert [check for check, one in checks.items() if not one["ok"]] == ["log"]
        assert checks["log"]["code"] == "internal"
        assert "secureflow agent check" in checks["log"]["hint"]
        monkeypatch.setenv("SECUREFLOW_DEBUG", "1")
        with pytest.raises(AttributeError):
            await sick.checks()


def _set(**changes: Any) -> Callable[[Patient], None]:
    return lambda sick: sick.settings.update(changes)


def _answer(**changes: Any) -> Callable[[Patient], None]:
    return lambda sick: sick.status.update(changes)


def _simulated(sick: Patient) -> None:
    told = {"connected": True, "tee": "SIMULATED", "measurement": code_measurement()}
    sick.status["enclave"] = told


def _ahead(sick: Patient) -> None:
    sick.status["time"] = now() + 3600


def _renewed_elsewhere(sick: Patient) -> None:
    """The centre renewed it for another key, after this folder had asked for its own."""
    renewed = {"by": "signing key", "serial": "ab", "key": "f" * 64, "at": now() + 60}
    sick.status["renewed"] = [renewed]


def _alarm(sick: Patient) -> None:
    store = RecordStore(sick.directory / "agent.db")
    with store.transaction():
        store.set_fact("alarm", SecureFlowError("leaf_missing", "hidden").as_json())


def _seen(size: int) -> Callable[[Patient], None]:
    """The agent accepted a head that is greater than the log is now."""

    def see(sick: Patient) -> None:
        note = sign_checkpoint(Checkpoint("log.example", size, b"\x05" * 32), LOG)
        store = RecordStore(sick.directory / "agent.db")
        with store.transaction():
            store.set_fact("head", {"origin": "log.example", "note": note})
        sick.status["log"]["size"] = size - 33

    return see


def _held(sick: Patient) -> None:
    sick.status["log"]["held"] = set_back(Hold("restored", now(), 33), "log.example").as_json()


async def test_a_log_that_was_set_back_is_told_in_figures(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        _seen(66)(sick)
        log = (await sick.checks())["log"]
        assert "it has 33 entries" in log["message"]
        assert "signed head of size 66. 33 entries are lost" in log["message"]
        assert "secureflow agent charter show" in log["hint"]


def _another_key(sick: Patient) -> None:
    path = sick.directory / "signing.key"
    path.unlink()
    SigningKey.generate().save(path)


def _unpin(sick: Patient) -> None:
    store = RecordStore(sick.directory / "agent.db")
    with store.transaction():
        store.set_fact("charter", None)


@pytest.mark.parametrize(
    ("break_it", "failed"),
    [
        (_set(organisation="!"), {"settings": "invalid_settings"}),
        (
            lambda s: (s.directory / "signing.key").chmod(0o644),
            {"keys": "key_exposed"},
        ),
        (lambda s: (s.directory / "signing.key").unlink(), {"keys": "not_enrolled"}),
        (
            lambda s: (s.directory / "link.pem").unlink(),
            {"certificate": "not_enrolled", "TLS": "not_enrolled"},
        ),
        (_set(link="no-such-host.invalid:1"), {"name": "unavailable"}),
        (_set(link="127.0.0.1:1"), {"connection": "unavailable"}),
        (_set(server="http://127.0.0.1:1"), {"server": "server_unreachable"}),
        (_set(server="http://centre.example"), {"server": "insecure_url"}),
        (_simulated, {"enclave": "evidence_not_acceptable"}),
        (_answer(enclave=FOREIGN), {"enclave": "evidence_not_acceptable"}),
        (_set(trust_domain="other.example"), {"certificate": "spiffe_foreign"}),
        (_ahead, {"clock": "clock_skew"}),
        (_renewed_elsewhere, {"renewals": "renewal_foreign"}),
        (_answer(version="99.0"), {"version": "version_mismatch"}),
        (_answer(party="bank-z"), {"authorisation": "forbidden"}),
        (_answer(charter="0" * 64), {"charter": "charter_mismatch"}),
        (_answer(log={"origin": "log.example", "key": "other"}), {"charter": "ledger_wrong_log"}),
        (_unpin, {"charter": "charter_not_pinned"}),
        (_another_key, {"charter": "charter_mismatch"}),
        (_set(attestation={"measurements": []}), {"attestation": "invalid_settings"}),
        (
            _set(attestation={"allow_simulated": True, "roots": ["gone.pem"]}),
            {"attestation": "simulated_root_refused"},
        ),
        (_alarm, {"alarm": "leaf_missing"}),
        (_seen(66), {"log": "log_set_back"}),
        (_held, {"log": "log_set_back"}),
    ],
)  # fmt: skip
async def test_the_failing_check_is_named(
    tmp_path: Path, break_it: Callable[[Patient], Any], failed: dict[str, str]
) -> None:
    async with patient(tmp_path) as sick:
        break_it(sick)
        assert await sick.failed() == failed


@pytest.mark.parametrize(
    ("name", "checks"), [("link.pem", {"certificate"}), ("ca.pem", {"certificate", "server"})]
)
@pytest.mark.parametrize("byte", [b"!", b"\xc3"])
async def test_damaged_credentials_are_a_finding(
    tmp_path: Path, name: str, checks: set[str], byte: bytes
) -> None:
    async with patient(tmp_path) as sick:
        path = sick.directory / name
        data = path.read_bytes()
        path.write_bytes(data[:-80] + byte + data[-79:])
        found = {check: one for check, one in (await sick.checks()).items() if not one["ok"]}
        for check in checks:
            assert found[check]["code"] == "certificate_malformed"
            assert str(path) in found[check]["message"]
        assert "TLS" not in found  # it would say that the port is another one's


async def test_a_date_that_is_none_is_no_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is healthy otherwise: its clock is compared over the link."""
    date = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
    monkeypatch.setattr(renewal, "exchange", lambda *_: (200, b"{}", date))
    async with patient(tmp_path) as sick:
        assert await sick.failed() == {}


async def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path / "version.json"))

    only = ("settings", frozenset(), lambda _: denied(tmp_path))
    monkeypatch.setattr(doctor, "_CHECKS", (only,))
    (told,) = examine(tmp_path / "agent.yaml")
    assert told["code"] == "invalid_file"
    assert told["message"] == f"{tmp_path}/version.json: Permission denied."


async def test_a_revoked_agent_is_told(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        certificate = (sick.directory / "link.pem").read_text()
        leaf = certificate[certificate.index("-----BEGIN CERTIFICATE") :]
        sick.centre.revoked.add(serial(parse_certificate(leaf)))
        assert await sick.failed() == {"authorisation": "certificate_revoked"}


async def test_an_expired_certificate_is_told(tmp_path: Path) -> None:
    two_days = 2 * 86_400
    async with patient(tmp_path, at=now() - two_days, life=timedelta(hours=1)) as sick:
        checks = await sick.checks()
        assert checks["certificate"]["code"] == "certificate_not_valid_now"
        assert "expired on" in checks["certificate"]["message"]
        assert "secureflow agent start" in checks["certificate"]["hint"]


@pytest.mark.parametrize("code", ["certificate_revoked", "organisation_disabled", "link_broken"])
async def test_of_an_expired_certificate_that_is_not_renewed_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """It was revoked while the agent was down: no running agent renews it, and only it knows."""
    trouble = SecureFlowError(code, "The centre says so.", "Ask the operator.").as_json()
    told = {"settings": {"state": "same", "changed": [], "restart": [], "problem": None}}
    monkeypatch.setattr(ownchecks, "call", lambda *_: {**told, "trouble": trouble})
    async with patient(tmp_path, at=now() - 2 * 86_400, life=timedelta(hours=1)) as sick:
        found = (await sick.checks())["certificate"]
    barred = code != "link_broken"
    assert found["code"] == (code if barred else "certificate_not_valid_now")
    assert ("renews it by itself" in found["hint"]) is not barred


async def test_a_jumped_clock_is_named_where_the_link_lets_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with patient(tmp_path) as sick:
        monkeypatch.setattr(doctor, "server_time", lambda *_: now())
        sick.config.write_text(yaml.safe_dump(sick.settings))
        ahead = await asyncio.to_thread(
            lambda: list(examine(sick.config, lambda: now() + 25 * 3600))
        )
        checks = {one["check"]: one for one in ahead}
        assert checks["certificate"]["code"] == "certificate_not_valid_now"
        hint = checks["certificate"]["hint"]
        assert "By the centre's clock it is valid, and the two differ by -" in hint
        assert "authorisation" not in checks
        assert checks["clock"]["code"] == "clock_skew"


async def test_a_folder_of_a_newer_version_is_named_first_and_alone(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        (sick.directory / "version.json").write_text('{"version": "99.0.0"}')
        sick.settings["a_setting_of_tomorrow"] = 1
        assert await sick.failed() == {"settings": "data_newer"}
        assert list(await sick.checks()) == ["settings"]


async def test_another_centre_is_not_believed(tmp_path: Path) -> None:
    other = Pki(tmp_path / "other")
    imposter = await Centre(other, tmp_path / "imposter").start()
    try:
        async with patient(tmp_path) as sick:
            sick.settings["link"] = imposter.address
            assert await sick.failed() == {"TLS": "server_untrusted"}
    finally:
        await imposter.server.stop(0)


async def test_simulated_enclaves_are_called_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    platform = tmp_path / "simulated"
    SimulatedPlatform.create(platform, now())
    async with patient(tmp_path) as sick:
        root = str(platform / "root.pem")
        sick.settings["attestation"] = {"allow_simulated": True, "roots": [root]}
        _simulated(sick)
        checks = await sick.checks()
        assert "SIMULATED" in checks["attestation"]["message"]
        assert "SIMULATED" in checks["enclave"]["message"]
        assert checks["enclave"]["ok"]
        told = capfd.readouterr()
        assert "tee_simulated" not in told.out + told.err, "the checks say it; no log line between"


async def test_a_file_or_declaration_other_than_the_published_one_is_told(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        rows = sick.directory / "rows.csv"
        rows.write_text("age\n41\n")
        column = {"name": "age", "type": "number", "bounds": [0, 100]}
        dataset = {"name": "people", "path": "rows.csv", "format": "csv", "columns": [column]}
        sick.settings["datasets"] = [dataset]
        told = (await sick.checks())["data"]["message"]
        assert told == "none is published yet: secureflow agent data publish people"
        commitment = dataset_commitment(rows, b"s" * 32)
        config = parse(DatasetConfig, dataset, "dataset")
        fact = {"salt": (b"s" * 32).hex(), "commitment": commitment, **declaration(config)}
        with (
            contextlib.closing(RecordStore(sick.directory / "agent.db")) as store,
            store.transaction(),
        ):
            store.set_fact("dataset/people", fact)
        assert "1 of 1" in (await sick.checks())["data"]["message"]
        rows.write_text("age\n41\n7\n")
        assert await sick.failed() == {"data": "dataset_changed"}
        column["bounds"] = [0, 50]
        assert await sick.failed() == {"data": "declaration_changed"}


async def test_a_running_agent_that_goes_by_other_settings_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {
        "state": "edited",
        "changed": ["datasets.people"],
        "restart": ["link"],
        "problem": None,
    }
    async with patient(tmp_path) as sick:
        monkeypatch.setattr(ownchecks, "call", lambda *_: {"settings": told})
        checks = await sick.checks()
        assert checks["running"]["code"] == "settings_edited"
        assert "datasets.people, link" in checks["running"]["message"]
        problem = SecureFlowError("privacy_fixed", "The domain stays.").as_json()
        invalid = {**told, "state": "invalid", "problem": problem}
        monkeypatch.setattr(ownchecks, "call", lambda *_: {"settings": invalid})
        assert await sick.failed() == {"running": "privacy_fixed"}
        gone = SecureFlowError("record_replaced", "It was removed.").as_json()
        monkeypatch.setattr(ownchecks, "call", lambda *_: {"settings": told, "record": gone})
        assert await sick.failed() == {"running": "record_replaced"}
        monkeypatch.setattr(ownchecks, "call", lambda *_: {"settings": {**told, "state": "same"}})
        assert await sick.failed() == {}


async def test_a_wrong_policy_and_a_missing_file(tmp_path: Path) -> None:
    async with patient(tmp_path) as sick:
        sick.settings["consent"] = {"policies": ["gone.cedar"]}
        assert (await sick.failed()).get("settings") == "policy_unreadable"


async def test_a_disk_without_room_is_named_with_where_and_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with patient(tmp_path) as sick:
        told = (await sick.checks())["disk"]["message"]
        assert " are free, 8.4 MB are kept for the record" in told
        monkeypatch.setattr(Place, "free", lambda _: 20_000_000)
        check = (await sick.checks())["disk"]
        assert check["code"] == "disk_full"
        assert check["message"].endswith(": its own files need 25.2 MB, 20.0 MB are free.")
        assert str(sick.directory) in check["hint"]
        (sick.directory / "agent.reserve").write_bytes(bytes(8 << 20))
        assert (await sick.checks())["disk"]["ok"]  # what is held needs no room


async def test_a_folder_of_images_is_looked_for_with_the_library_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with patient(tmp_path) as sick:
        declared = dump(by_class(tmp_path / "pets"))
        sick.settings["datasets"] = [declared]
        assert await sick.failed() == {}
        sick.settings["datasets"] = [{**declared, "path": str(tmp_path / "gone")}]
        told = (await sick.checks())["settings"]
        assert (told["code"], "The folder of dataset pets" in told["message"]) == (
            "missing_data", True,
        )  # fmt: skip
        sick.settings["datasets"] = [declared]
        monkeypatch.setattr(formats, "find_spec", lambda name: None)
        told = (await sick.checks())["settings"]
        assert (told["code"], "[images]" in told["hint"]) == ("library_missing", True)

"""An agent that was locked out by time gets in again by itself, over real TLS."""

from __future__ import annotations

import asyncio
import http.server
import json
import re
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from peers.enclaves import commitment, enclave_world
from peers.links import DOMAIN, Centre, Pki, echo, now, until

from secureflow.adapters.link import CredentialFiles, Link, Uplink, backoff, uplink
from secureflow.adapters.link.waits import WAITING, Waiting
from secureflow.agent.edge.recovery import certificate_recovery
from secureflow.agent.settings import AgentSettings
from secureflow.application.issuing import Issuing, certificate_problem
from secureflow.application.renewals import Renewals
from secureflow.cli.agent import app as commands
from secureflow.domain.organisations import Agent, Organisation
from secureflow.enclave.identity import IDENTITY
from secureflow.enclave.identity import certificate_recovery as enclave_certificate_recovery
from secureflow.enclave.settings import EnclaveSettings
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import make_csr, new_link_key, parse_certificate, private_pem, spiffe_id
from secureflow.kit.renewal import server_time
from tests.doubles import MemoryDatabase, MemoryLedger

AGENT = f"spiffe://{DOMAIN}/org/bank-a/agent/a1"
DAY = 86_400


class Rest(http.server.BaseHTTPRequestHandler):
    """The REST paths that an agent without a link needs, over the real use case."""

    world: World

    def do_GET(self) -> None:
        self._send(200, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.world.asked.append(self.path)
        renewals = self.world.renewals
        try:
            if self.path == "/api/v1/renewals/challenge":
                answer = vars(renewals.challenge(body["agent"], "192.0.2.1"))
            else:
                chain = asyncio.run(renewals.renew(**body, address="192.0.2.1"))
                answer = {"certificate": chain}
        except SecureFlowError as error:
            self._send(403, {"code": error.code, "detail": error.message, "hint": error.hint})
        else:
            self._send(201, answer)

    def date_time_string(self, timestamp: float | None = None) -> str:
        del timestamp
        if self.world.date:
            self.world.asked.append("the time")
            return self.world.date
        return formatdate(self.world.clock(), usegmt=True)

    def log_message(self, *args: Any) -> None:
        del args

    def _send(self, status: int, answer: dict[str, Any]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class World:
    """A centre, its REST address, and the directory of an agent that enrolled once."""

    def __init__(self, pki: Pki, centre: Centre, directory: Path) -> None:
        self.pki, self.centre, self.directory = pki, centre, directory
        self.clock: Callable[[], int] = now
        self.date = ""
        """What the server says instead of its clock's time."""
        self.asked: list[str] = []
        self.key = SigningKey.generate()
        self.database, log_key = MemoryDatabase(), SigningKey.generate()

        def clock() -> int:
            return self.clock()  # tests set another one

        ledger = MemoryLedger(self.database, log_key, "log.example")
        issuing = Issuing(pki.authority, ledger, log_key, clock)
        self.coming: list[str] = []
        self.renewals = Renewals(
            *(self.database.begin, issuing, log_key, clock, lambda: 0.0),
            lambda agent: self.coming.append(agent.party),
        )
        self._serve()

    async def enrol(self, **certificate: Any) -> Link:
        """Return the link of an agent with this certificate; it does not run yet."""
        agent = Agent(AGENT, "agent", "bank-a", "bank-a", self.key.public, now())
        async with self.database.begin() as work:
            await work.organisations.add(Organisation("bank-a", "A", now()))
            await work.agents.add(agent)
            await work.commit()
        made = self.pki.agent("bank-a", **certificate)
        self.directory.mkdir(mode=0o700)
        for name in ("link.pem", "ca.pem"):
            (self.directory / name).write_bytes((made._directory / name).read_bytes())
            (self.directory / name).chmod(0o600)
        return self.link()

    def link(self, clock: Callable[[], int] = now, ticks: Callable[[], float] = now) -> Link:
        settings = AgentSettings(
            directory=self.directory,
            organisation="bank-a",
            server=self.url,
            link=self.centre.address,
            trust_domain=DOMAIN,
        )
        credentials = CredentialFiles(self.directory)
        self.recovery = certificate_recovery(settings, credentials, self.key, clock, ticks)
        return Link(
            self.centre.address,
            credentials,
            lambda: {"version": "1", "log_size": 0, "unproved": []},
            echo,
            clock=clock,
            recover=self.recovery,
        )

    async def certificate_problem(self, ahead: int) -> str:
        async with self.database.begin() as work:
            return await certificate_problem(work, "bank-a", now() + ahead)

    def serial(self) -> int:
        chain = CredentialFiles(self.directory)().certificate.decode()
        assert spiffe_id(parse_certificate(chain)) == AGENT
        return parse_certificate(chain).serial_number

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self) -> None:
        key = new_link_key()
        chain = self.pki.authority.issue(
            make_csr(key), f"spiffe://{DOMAIN}/server", now(),
            life=timedelta(hours=1), dns=["localhost"], ips=["127.0.0.1"],
        )  # fmt: skip
        pem = self.pki.directory / "front.pem"
        pem.write_bytes(private_pem(key) + chain.encode())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        handler = type("Bound", (Rest,), {"world": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    pki = Pki(tmp_path / "pki")
    centre = await Centre(pki, tmp_path).start()
    made = World(pki, centre, tmp_path / "agent")
    yield made
    made.stop()
    await centre.server.stop(0)


async def test_an_agent_that_was_off_for_two_days_gets_in_by_itself(world: World) -> None:
    link = await world.enrol(at=now() - 2 * DAY, life=timedelta(hours=1))
    old = world.serial()
    running = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(link.connected.wait(), 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert world.serial() != old
    assert world.asked == ["/api/v1/renewals/challenge", "/api/v1/renewals"]


async def test_a_revoked_agent_stays_out_and_says_why(world: World) -> None:
    link = await world.enrol(at=now() - 2 * DAY, life=timedelta(hours=1))
    async with world.database.begin() as work:
        agent = await work.agents.get(AGENT)
        await work.agents.save(replace(agent, revoked=now()))
        await work.commit()
    running = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(until(lambda: link.trouble is not None), 60)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert link.trouble is not None
    assert link.trouble.code == "certificate_revoked"


BROKEN = SecureFlowError("link_broken", "Socket closed.")


async def test_where_the_servers_clock_jumped_its_time_decides(world: World) -> None:
    """A day ahead there, the certificate is no good there, though this clock finds no fault."""
    await world.enrol()
    ticks = [1000.0]
    world.link(ticks=lambda: ticks[0])
    ticks[0] += 60
    assert await world.recovery(BROKEN) is BROKEN, "it was looked, and nothing found"
    world.clock = lambda: now() + 25 * 3600
    old = world.serial()
    assert await world.recovery(BROKEN) is BROKEN, "a short break is no reason to look again"
    ticks[0] += backoff.LAST / 2  # the shortest of the longest pauses: a job's patience lasts
    assert await world.certificate_problem(0) == ""
    assert "the certificate is not valid" in await world.certificate_problem(-2 * 3600)
    assert "the certificate is not valid" in await world.certificate_problem(25 * 3600)
    assert world.coming == []
    assert await world.recovery(BROKEN) is None
    assert world.serial() != old
    assert world.coming == ["bank-a"]
    assert await world.certificate_problem(25 * 3600) == ""
    assert "the certificate is not valid" in await world.certificate_problem(0)


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2026 00:00:00 +99999999999999999999",
        "Mon, 99 Jan 2026 00:00:00 GMT",
        "soon",
    ],
)
async def test_a_date_that_is_none_ends_no_agent(world: World, date: str) -> None:
    await world.enrol()
    ticks = [1000.0]
    link = world.link(ticks=lambda: ticks[0])
    world.date = date
    ticks[0] += 60
    assert await link._cause(BROKEN) is BROKEN
    assert world.asked == ["the time"]
    assert server_time(world.url, world.pki.authority.pem) is None


async def test_a_key_that_does_not_fit_its_certificate_is_why_a_link_breaks(world: World) -> None:
    await world.enrol()
    ticks = [1000.0]
    link = world.link(ticks=lambda: ticks[0])
    path = world.directory / "link.pem"
    begin = "-----BEGIN CERTIFICATE-----"
    _, _, chain = path.read_text().partition(begin)
    path.write_text(private_pem(new_link_key()).decode() + begin + chain)
    ticks[0] += 60
    told = await link._cause(BROKEN)
    assert told is not None
    assert told.code == "certificate_foreign"
    assert str(path) in told.message


async def test_a_clock_that_is_wrong_here_is_named_and_renews_nothing(world: World) -> None:
    await world.enrol()
    world.link(clock=lambda: now() + 25 * 3600)
    old = world.serial()
    found = await world.recovery(BROKEN)
    assert found is not None
    assert found.code == "certificate_not_valid_now"
    assert re.search(r"The clock of this machine is (89|90)\d{3} s ahead", found.message)
    assert "NTP" in found.hint
    assert (world.serial(), world.asked) == (old, [])


async def test_without_a_server_an_expired_certificate_is_still_named(world: World) -> None:
    await world.enrol(at=now() - 2 * DAY, life=timedelta(hours=1))
    world.stop()
    found = await world.recovery(BROKEN)
    assert found is not None
    assert found.code == "certificate_not_valid_now"
    for command in re.findall(r"secureflow agent (\w+)", found.hint):
        assert command in {one.name for one in commands.registered_commands}


async def test_an_enclave_gets_in_again_by_its_identity_key(world: World) -> None:
    uri = f"spiffe://{DOMAIN}/enclave/main"
    async with world.database.begin() as work:
        await work.agents.add(Agent(uri, "enclave", "enclave", "", world.key.public, now()))
        await work.commit()
    made = world.pki.enrol(uri, at=now() - 2 * DAY, life=timedelta(hours=1))
    settings = EnclaveSettings(directory=made._directory, rest=world.url)
    # Enrolled by an older version: it has no key.
    old = enclave_certificate_recovery(settings, made, now)
    found = await old(BROKEN)
    assert found is not None
    assert found.code == "certificate_not_valid_now"
    assert "secureflow enclave init NEWDIR" in found.hint
    assert world.asked == []
    world.key.save(made._directory / IDENTITY)
    assert await enclave_certificate_recovery(settings, made, now)(BROKEN) is None
    leaf = parse_certificate(made().certificate.decode())
    assert spiffe_id(leaf) == uri
    assert leaf.not_valid_after_utc.timestamp() > now()


async def test_a_server_whose_certificate_is_of_tomorrow_still_tells_the_time(
    world: World,
) -> None:
    """This clock is two hours behind: the link breaks without a word, and that is told why."""
    await world.enrol(at=now() - 4 * 3600, life=timedelta(hours=5))
    ticks = [1000.0]
    world.link(clock=lambda: now() - 7200, ticks=lambda: ticks[0])
    world.clock = now
    ticks[0] += 61
    found = await world.recovery(BROKEN)
    assert found is not None
    assert found.code == "clock_skew"
    assert re.search(r"this machine is 7(19|20)\d s behind", found.message)
    assert "NTP" in found.hint
    assert world.asked == []


async def test_a_centre_that_calls_the_certificate_run_out_is_dialled_anew(world: World) -> None:
    """Its clock was set while the link stood: calls are refused, the link itself still stands."""
    link = await world.enrol()
    world.clock = lambda: now() - 3600
    running = asyncio.create_task(link.run())
    gone = SecureFlowError("certificate_not_valid_now", "It has run out.")
    try:
        await asyncio.wait_for(link.connected.wait(), 60)
        old = world.serial()
        link.redial_if_expired(SecureFlowError("not_found", "Something else."))
        assert link.connected.is_set()
        link.redial_if_expired(gone)
        await asyncio.wait_for(until(lambda: world.serial() != old), 60)
        await asyncio.wait_for(until(link.connected.is_set), 60)
        assert link.trouble is None
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_upload_that_the_enclaves_clock_refuses_goes_on_with_a_new_certificate(
    tmp_path: Path,
) -> None:
    """All clocks were set a day ahead in mid-job: the uplink still stands, its door says no."""
    async with enclave_world(tmp_path) as world:
        one = world.organisations["bank-a"]
        pki, ahead, doubted = world.pki, [0], list[str]()

        def clock() -> int:
            return now() + ahead[0]

        def renew(error: SecureFlowError) -> None:
            doubted.append(error.code)
            ahead[0] = 0  # in a test the connection's own clock cannot be set
            one.credentials.install(
                pki.authority.issue(
                    one.credentials.request(), f"spiffe://{DOMAIN}/org/bank-a/agent/a1", now()
                ),
                now(),
            )

        assert world._server is not None
        world._server._gate._clock = clock
        ahead[0], way = 25 * 3600, Uplink(one.credentials, renew)
        sealed = world.seal("bank-a", world.update(0))
        receipt = await way.send(world.address, sealed, commitment(sealed))
        assert receipt["body"] == sealed.body_digest
        await way.close()
        assert doubted == ["certificate_not_valid_now"]


@pytest.mark.parametrize("ahead", [-2 * 3600, 25 * 3600])
async def test_an_upload_waits_until_the_enclaves_clock_is_set_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    """No new certificate helps: the request says what it waits for, and goes on by itself."""
    monkeypatch.setattr(uplink, "RENEWAL_LOOKS", 1)
    monkeypatch.setattr(uplink, "LONGEST_PAUSE", 0.02)
    async with enclave_world(tmp_path) as world:
        off, asked = [ahead], 0

        def clock() -> int:
            nonlocal asked
            asked += off[0] != 0
            return now() + off[0]

        assert world._server is not None
        world._server._gate._clock = clock
        way = Uplink(world.organisations["bank-a"].credentials)
        waiting = Waiting()
        WAITING.set(waiting)
        sealed = world.seal("bank-a", world.update(0))
        sending = asyncio.create_task(way.send(world.address, sealed, commitment(sealed)))
        await asyncio.wait_for(until(lambda: asked > 8 or sending.done()), 60)
        assert not sending.done()  # more tries than an enclave gets that cannot be reached
        assert waiting.as_json()["waiting"]["code"] == "certificate_not_valid_now"
        off[0] = 0
        assert (await asyncio.wait_for(sending, 60))["body"] == sealed.body_digest
        assert waiting.as_json() == {}
        await way.close()


async def test_other_errors_are_left_as_they_are(world: World) -> None:
    await world.enrol(at=now() - 2 * DAY, life=timedelta(hours=1))
    other = SecureFlowError("key_mismatch", "Another key.")
    assert await world.recovery(other) is other
    assert world.asked == []


async def test_a_look_that_fails_itself_ends_no_agent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = await world.enrol()

    def unreadable(_: Any) -> Any:
        raise SecureFlowError("not_enrolled", "The credentials cannot be read just now.")

    def defective(_: Any) -> Any:
        raise OverflowError("A defect.")

    broken = SecureFlowError("link_broken", "It broke.")
    with monkeypatch.context() as patched:
        patched.setattr(world.recovery, "_holds", unreadable)
        told = await link._cause(broken)
        assert told is not None
        assert told.code == "not_enrolled"
        patched.setattr(world.recovery, "_holds", defective)
        assert await link._cause(broken) is broken
    (world.directory / "ca.pem").unlink()  # it is known since the link was dialled
    assert await link._cause(broken) is not None

"""A party whose disk is full waits for room: named, within its patience, and no longer."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from blake3 import blake3
from peers.links import JSON, Centre, party, until

from secureflow.adapters.artifacts import files
from secureflow.adapters.link import backoff, tasks, waits
from secureflow.adapters.link.data import _stored
from secureflow.adapters.link.messages import LogProgress
from secureflow.adapters.link.requests import OpenRequests
from secureflow.adapters.link.waits import Waiting, claim
from secureflow.application.ports.artifacts import Artifact
from secureflow.application.ports.courier import Request
from secureflow.kit.disk import Place, full
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.wire import Envelope

CONTENT = bytes(3 << 20)
DIGEST = blake3(CONTENT).hexdigest()
REQUEST = Request("job_1/1/bank-a", "bank-a", "train", {}, 0.5)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST", 0.01)
    monkeypatch.setattr(backoff, "LAST", 0.05)
    monkeypatch.setattr(tasks, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(tasks, "PROGRESS", 0.05)


class Disk:
    """A handler on a disk that is full until `room`."""

    def __init__(self, folder: Path) -> None:
        self.place = Place(folder, "model files")
        self.tried = 0
        self.room = asyncio.Event()

    async def handle(self, verb: str, body: JSON, log_proofs: JSON) -> JSON:
        self.tried += 1
        if not self.room.is_set():
            raise full(self.place, 12_345_678)
        return {"tried": self.tried}


async def test_a_request_waits_for_room_and_is_answered(centre: Centre, tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with party(centre, handle=disk.handle):
        asking = asyncio.create_task(centre.ask("bank-a", "train"))
        await until(lambda: disk.tried >= 3)
        assert not asking.done()
        disk.room.set()
        assert (await asking)["tried"] >= 4


async def test_at_the_end_of_its_patience_it_ends_by_name(centre: Centre, tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    async with party(centre, handle=disk.handle):
        with pytest.raises(SecureFlowError) as caught:
            await centre.ask("bank-a", "train", patience=2.0)
        error = caught.value
        assert error.code == "disk_full"
        assert not isinstance(error, InfrastructureError)  # a party's word is no fault of ours
        assert error.message.startswith(
            "The disk of bank-a is full: its model files need 12.3 MB, "
        )
        assert error.details["needed"] == 12_345_678
        assert str(tmp_path) not in str(error.as_json())  # no path of another organisation's
        disk.room.set()  # it is no final answer: asked again, the same request is carried out
        assert (await centre.ask("bank-a", "train"))["tried"] > 1


async def test_who_works_on_it_is_not_cut_off(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The try that there was room for takes longer than the patience: that is work."""
    monkeypatch.setattr(waits, "WORKING", 0.1)
    disk = Disk(tmp_path)

    async def slowly(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        answer = await disk.handle(verb, body, log_proofs)
        await asyncio.sleep(3.0)
        return answer

    async with party(centre, handle=slowly):
        asking = asyncio.create_task(centre.ask("bank-a", "train", patience=2.0))
        await until(lambda: disk.tried >= 2)
        disk.room.set()
        assert (await asking)["tried"] >= 3


async def test_consent_waits_for_room_as_long_as_the_job_is_patient_and_no_longer(
    centre: Centre, tmp_path: Path
) -> None:
    """People may take days; a disk may not, and what it did is told by its name."""
    disk = Disk(tmp_path)
    body = {"spec": {"limits": {"patience_seconds": 2.0}}}
    request = Request("job_1/1/bank-a", "bank-a", "consent", body, None)
    async with party(centre, handle=disk.handle) as peer:
        with pytest.raises(SecureFlowError) as caught:
            await centre.server.ask(request)
        assert caught.value.code == "disk_full"
        assert caught.value.details["whose"] == "bank-a"
        # Nobody waits for it any more: it is not carried out once there is room.
        await until(lambda: peer.withdrawn == ["job_1"])
        tried = disk.tried
        disk.room.set()
        await centre.ask("bank-a", "train", seq=2)
        assert disk.tried == tried + 1


async def test_watchers_are_told_when_a_party_waits_and_when_it_does_no_more() -> None:
    told: list[str | None] = []
    requests = OpenRequests(
        lambda _: None,
        lambda request, error: told.append(error and f"{request.party} {error.code}"),
    )
    asking = asyncio.create_task(requests.ask(REQUEST))
    await asyncio.sleep(0)
    waiting = claim("bank-a", {"waiting": {"code": "disk_full"}})
    for _ in range(100):  # a party that waits and works in turns fills no stream of watchers
        requests.progress(REQUEST.id, "bank-a", waiting)
        requests.progress(REQUEST.id, "bank-a", None)
    requests.progress(REQUEST.id, "bank-a", waiting)
    assert told == ["bank-a disk_full"]
    requests.answer(REQUEST.id, "bank-a", {})
    await asking
    assert told == ["bank-a disk_full", None]


async def test_of_a_word_that_came_too_soon_after_another_the_next_one_tells(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str | None] = []
    requests = OpenRequests(lambda _: None, lambda _, error: told.append(error and error.code))
    asking = asyncio.create_task(requests.ask(REQUEST))
    await asyncio.sleep(0)
    requests.progress(REQUEST.id, "bank-a", claim("bank-a", {"waiting": {"code": "disk_full"}}))
    requests.progress(REQUEST.id, "bank-a", None)
    monkeypatch.setattr("secureflow.adapters.link.requests.REPORT_AGAIN", 0.0)
    requests.progress(REQUEST.id, "bank-a", None)
    assert told == ["disk_full", None]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_party_that_can_open_no_more_files_waits_and_is_named(
    centre: Centre,
) -> None:
    faults = [OSError(errno.EMFILE, "Too many open files")] * 3

    async def limited(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        if faults:
            raise faults.pop()
        return {"done": verb}

    async with party(centre, handle=limited):
        assert await centre.ask("bank-a", "train") == {"done": "train"}

    async def always(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        raise OSError(errno.EMFILE, "Too many open files")

    async with party(centre, handle=always):
        with pytest.raises(SecureFlowError) as caught:
            await centre.ask("bank-a", "train", seq=2, patience=2.0)
    assert caught.value.code == "too_many_files"
    assert caught.value.message == "bank-a has reached its limit of open files."
    assert "LimitNOFILE" in caught.value.hint


async def ended(told: Any) -> SecureFlowError:
    """Return the error of a request whose party says `told()` every 10 ms: it does end."""
    requests = OpenRequests(lambda _: None)
    asking = asyncio.create_task(requests.ask(REQUEST))
    async with asyncio.timeout(60):
        while not asking.done():
            requests.progress(REQUEST.id, "bank-a", claim("bank-a", told()))
            await asyncio.sleep(0.01)
    error = asking.exception()
    assert isinstance(error, SecureFlowError)
    return error


async def test_a_claim_buys_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    # A standstill of this machine does, rightly.
    monkeypatch.setattr("secureflow.adapters.link.requests.stalled", lambda *_: False)
    claims: list[JSON] = []

    def told() -> JSON:
        claims.append({"waiting": {"code": "disk_full", "part": "own record"}})
        return claims[-1]

    assert (await ended(told)).code == "disk_full"
    assert len(claims) < 1.5 * 0.5 / 0.01, "as many as its patience has room for, or fewer"


async def test_nor_does_one_that_comes_and_goes() -> None:
    """Work between the claims counts as work; the waiting adds up."""
    turns = iter(range(10**6))
    waiting = {"waiting": {"code": "disk_full", "part": "own record"}}
    error = await ended(lambda: waiting if next(turns) % 10 else {})
    assert error.code == "disk_full"


@pytest.mark.parametrize("code", ["internal", "party_silent", "", None, 7, ["disk_full"], {}])
async def test_only_what_is_waited_for_counts_as_waiting(code: JSON) -> None:
    assert claim("bank-a", {"waiting": {"code": code}}) is None


def test_of_a_claim_only_codes_and_numbers_are_read() -> None:
    foreign = "\x1b[31m<script>" + "x" * 10_000
    told = {"code": "disk_full", "part": foreign, "needed": 1 << 80, "free": -1, "centre": foreign,
            "message": foreign, "hint": foreign, "whose": foreign}  # fmt: skip
    error = claim("bank-a", {"waiting": told})
    assert error is not None
    assert foreign not in str(error.as_json())
    assert (error.details["needed"], error.details["free"]) == (0, 0)
    assert (
        error.message == "The disk of bank-a is full: its own files cannot grow, 0 bytes are free."
    )


@pytest.mark.parametrize(
    "told", [None, 7, [], "disk_full", ["code"], {"code": "disk_full", "part": ["own files"]},
             {"code": "disk_full", "part": {}, "needed": True, "free": 1.5, "centre": "yes"}],
)  # fmt: skip
def test_a_claim_of_any_shape_is_read_or_is_none(told: JSON) -> None:
    error = claim("bank-a", {"waiting": told})
    if not isinstance(told, dict):
        assert error is None
        return
    assert error is not None
    facts = {"party": "bank-a", "whose": "bank-a", "part": "own files", "needed": 0, "free": 0}
    assert error.details == facts


async def test_a_party_that_tries_again_waits_until_it_has_gone_well_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else each try would count as work, and its patience would never be over."""
    waiting = Waiting()
    assert waiting.as_json() == {}
    waiting.begin(full(Place(tmp_path, "own record"), 5))
    waiting.try_again()
    assert waiting.as_json()["waiting"]["needed"] == 5
    monkeypatch.setattr(waits, "WORKING", -1.0)
    assert waiting.as_json() == {}
    monkeypatch.setattr(waits, "WORKING", 5.0)
    assert waiting.as_json() == {}


async def test_who_is_refused_for_want_of_room_is_not_read_for_ever(tmp_path: Path) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            await asyncio.sleep(0)
            yield bytes(100)

    class Full(files.FileArtifacts):
        async def put(self, *_: Any, **__: Any) -> Artifact:
            raise full(Place(tmp_path, "stored models"), 1000)

    with pytest.raises(InfrastructureError, match="disk_full"):
        await asyncio.wait_for(_stored(Full(tmp_path / "a"), endless(), DIGEST, 1000), 60)
    assert sent == 11


def test_a_claim_against_the_centre_names_who_says_so() -> None:
    error = claim(
        "bank-a", {"waiting": {"code": "disk_full", "part": "masked vectors", "centre": True}}
    )
    assert error is not None
    assert error.message.startswith("bank-a waits for the centre. The disk of the centre is full")


async def test_a_full_artefact_store_is_waited_for(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused in the middle of the stream: the sender reads why, and tries again."""
    real, left = files._write, [5]

    def write(file: JSON, update: JSON, chunk: bytes) -> None:
        if left and file.tell() > 1 << 20:
            left[0] -= 1
            if not left[0]:
                left.clear()
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, update, chunk)

    monkeypatch.setattr(files, "_write", write)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
    assert not left
    assert (await centre.artifacts.stat(DIGEST)).size == len(CONTENT)


async def test_an_artefact_store_that_stays_full_ends_the_request_by_name(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(file: JSON, update: JSON, chunk: bytes) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(files, "_write", write)

    async def storing(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        return {}

    async with party(centre, handle=storing) as peer:
        with pytest.raises(SecureFlowError) as caught:
            await centre.ask("bank-a", "mask", patience=2.0)
    assert caught.value.code == "disk_full"
    assert caught.value.details["whose"] == "the centre"


async def test_a_fetch_onto_a_full_disk_goes_on_from_what_there_was_room_for(
    centre: Centre, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from secureflow.adapters.link import blobs

    real, room = blobs._append, [1 << 20]

    def append(file: JSON, hasher: JSON, chunk: bytes) -> None:
        if file.tell() + len(chunk) > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(file, hasher, chunk)

    monkeypatch.setattr(blobs, "_append", append)
    async with party(centre) as peer:
        await peer.link.store(memoryview(CONTENT), DIGEST)
        with pytest.raises(InfrastructureError) as caught:
            await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
        assert caught.value.code == "disk_full"
        assert (tmp_path / "copy.part").stat().st_size > 1 << 19
        room[0] = 1 << 30
        await peer.link.fetch(DIGEST, tmp_path / "copy", len(CONTENT))
    assert (tmp_path / "copy").read_bytes() == CONTENT


class Sent:
    """A stream that keeps what is sent."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.answered = asyncio.Event()

    def send(self, envelope: Envelope) -> None:
        self.kinds.append(envelope.kind)
        if envelope.kind == "reply":
            self.answered.set()


@pytest.mark.parametrize("fault", [full(Place(Path("/"), "own record"), 0), ValueError("a defect")])
async def test_an_answer_is_given_once_the_record_can_be_read_again(fault: Exception) -> None:
    faults, handled = [fault, fault], []

    async def handle(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        handled.append(verb)
        return {}

    def standing() -> LogProgress:  # reads the agent's record
        if faults:
            raise faults.pop()
        return LogProgress()

    working, stream = tasks.RequestTasks(handle, standing, lambda error: error), Sent()
    working.attach(cast("Any", stream))
    showing = asyncio.create_task(working.show_progress())
    request = Envelope("job_1/1/bank-a", "request", {"verb": "consent", "body": {}})
    try:
        for _ in range(2):  # the second time out of what was answered
            working.take(request)
            await asyncio.wait_for(stream.answered.wait(), 60)
            stream.answered.clear()
            await until(lambda: not working._tasks)
        assert handled == ["consent"]
    finally:
        showing.cancel()
        await working.stop()

"""A centre that stood still itself blames nobody: what is queued is read before it judges."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from peers.enclaves import commitment, enclave_world
from peers.links import JSON, Cutter, Party, Pki
from peers.standstill import Jumping

from secureflow.adapters.link import uplink
from secureflow.adapters.link.requests import OpenRequests
from secureflow.adapters.link.streams import SILENCE, Stream
from secureflow.application.ports.courier import Request
from secureflow.kit.errors import SecureFlowError
from secureflow.wire import Envelope, encode

REQUEST = Request("job_1/1/bank-a", "bank-a", "train", {}, 20.0)


@pytest.fixture
async def time(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Jumping]:
    yield Jumping(asyncio.get_running_loop(), monkeypatch)
    monkeypatch.undo()


async def asked(requests: OpenRequests) -> asyncio.Task[JSON]:
    asking = asyncio.create_task(requests.ask(REQUEST))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return asking


async def test_an_answer_that_waited_out_the_standstill_counts(time: Jumping) -> None:
    requests = OpenRequests(lambda _: None)
    asking = await asked(requests)
    await time.live(19)
    await time.stand(25)
    assert not asking.done()
    requests.answer(REQUEST.id, "bank-a", "trained")
    assert await asking == "trained"


async def test_patience_begins_anew_after_a_standstill_and_still_ends(time: Jumping) -> None:
    requests = OpenRequests(lambda _: None)
    asking = await asked(requests)
    await time.stand(25)
    await time.live(18)
    assert not asking.done()
    await time.live(4)
    with pytest.raises(SecureFlowError, match="made no progress"):
        await asking


class Queue:
    """A pipe that holds what a peer sent."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def read(self) -> bytes | None:
        return await self.sent.get()

    async def write(self, message: bytes) -> None:
        del message


async def test_a_link_is_not_silent_because_this_end_stood_still(time: Jumping) -> None:
    pipe, received = Queue(), list[Envelope]()
    running = asyncio.create_task(Stream(pipe, received.append).run())
    await time.live(SILENCE - 2)
    await time.stand(SILENCE + 5)
    assert not running.done()
    pipe.sent.put_nowait(encode(Envelope("job_1/1/bank-a", "progress", {})))
    await time.live(1)
    assert len(received) == 1
    pipe.sent.put_nowait(None)
    await running


async def test_a_link_that_is_silent_while_this_end_is_awake_is_given_up(time: Jumping) -> None:
    running = asyncio.create_task(Stream(Queue(), lambda _: None).run())
    await time.live(SILENCE + 2)
    with pytest.raises(SecureFlowError, match="was silent"):
        await running


_CENTRE = """
import asyncio, sys
from pathlib import Path
from peers.links import Centre, CredentialFiles, SecureFlowError

class Made:
    class authority:
        trust_domain = "consortium.example"
    @staticmethod
    def server():
        return CredentialFiles(Path(sys.argv[1]))

async def main():
    centre = await Centre(Made(), Path(sys.argv[2])).start()
    print(centre.port, flush=True)
    await centre.connected("bank-a")
    try:
        print(await centre.ask("bank-a", "train", patience=3.0), flush=True)
    except SecureFlowError as error:
        print(error.code, flush=True)
    await centre.server.stop(0)

asyncio.run(main())
"""


async def test_a_centre_that_was_really_stopped_takes_the_answer_of_meanwhile(
    pki: Pki, tmp_path: Path
) -> None:
    pki.server()
    (directory,) = pki.directory.glob("server-*")
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CENTRE, str(directory), str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert child.stdout is not None

    async def work(verb: str, body: JSON, log_proofs: JSON) -> JSON:
        del body, log_proofs
        child.send_signal(signal.SIGSTOP)
        asyncio.get_running_loop().call_later(5.0, child.send_signal, signal.SIGCONT)
        return verb

    port = int(await child.stdout.readline())
    peer = Party(f"127.0.0.1:{port}", pki.agent("bank-a"), work).start()
    try:
        assert (await child.stdout.readline()).decode().strip() == "train"
    finally:
        await peer.stop()
        await child.wait()


async def test_an_upload_into_a_dead_connection_goes_on_over_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No reset comes, and nobody answers: a cable that was pulled, an enclave that is stopped."""
    monkeypatch.setattr(uplink, "KEEPALIVE", 0.5)
    async with enclave_world(
        tmp_path, model={"family": "rehearsal", "parameters": 3 << 19}
    ) as world:
        proxy = await Cutter(int(world.address.rpartition(":")[2])).start()
        proxy.freeze_after = 2 << 20
        sealed = world.seal("bank-a", world.update(0))
        way = world.organisations["bank-a"].uplink
        receipt = await way.send(proxy.address, sealed, commitment(sealed))
        assert receipt["body"] == sealed.body_digest
        assert proxy.freeze_after is None
        await proxy.stop()

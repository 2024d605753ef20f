"""A keeper of anchors that is killed between the entry and the answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from secureflow.application.ports.anchor import Outcome, Ticket
from secureflow.engines.anchors.entries import RegisterJob, job_digest
from secureflow.kit.canonical import canonical_bytes
from tests.peers.filekeeper import FileKeeper

ROOT = Path(__file__).parents[2]
PLACES = {
    "half a line": "half",
    "before it is on disk": "before fsync",
    "before the record knows it": "after fsync",
    "before the answer": "answer",
}
SCRIPT = """
import asyncio, os, signal, sys
from pathlib import Path
from secureflow.agent.keeper import anchorfile, anchors
from secureflow.kit.canonical import parse_json
from secureflow.engines.anchors.filed import parse_transaction
from tests.peers.filekeeper import FileKeeper

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main(folder, place):
    keeper = FileKeeper(folder)
    await keeper.anchors.start()
    write = os.pwrite
    if place == "half":
        os.pwrite = lambda handle, data, at: (write(handle, data[:40], at), die())
    elif place == "before fsync":
        os.fsync = die
    elif place == "after fsync":
        anchorfile.AnchorFile._add = die
    else:
        anchors.sign_receipt = die
    await keeper.anchors.take(parse_transaction(parse_json((folder / "ticket").read_bytes())))

for folder, place in zip(sys.argv[1::2], sys.argv[2::2]):
    if not (child := os.fork()):
        asyncio.run(main(Path(folder), place))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, place
"""


def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    kept = {}
    for place, how in PLACES.items():
        (tmp_path / how).mkdir()
        kept[place] = asyncio.run(begun(tmp_path / how))
        body = canonical_bytes(kept[place][2].body)
        (tmp_path / how / "ticket").write_bytes(body)
    pairs = [part for how in PLACES.values() for part in (str(tmp_path / how), how)]
    command = [sys.executable, "-c", SCRIPT, *pairs]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    for place, how in PLACES.items():
        asyncio.run(check(tmp_path / how, place, *kept[place]))


async def begun(folder: Path) -> tuple[Ticket, Outcome, Ticket]:
    """Return what was kept and answered, and a ticket that is to be."""
    keeper = FileKeeper(folder)
    await keeper.founded()
    anchor = keeper.anchor("bank-b")
    first = await anchor.prepare([RegisterJob(job_digest("job_1"), b"\x05" * 32)], ())
    await anchor.send(first)
    ticket = await anchor.prepare([RegisterJob(job_digest("job_2"), b"\x05" * 32)], ())
    outcome = await anchor.outcome(first)
    keeper.store.close()
    return first, outcome, ticket


async def check(folder: Path, place: str, first: Ticket, before: Outcome, ticket: Ticket) -> None:
    """Start the keeper again, and send the ticket again."""
    again = FileKeeper(folder)
    anchor = again.anchor("bank-b")
    assert (await anchor.outcome(first)).receipt == before.receipt
    known = (await anchor.outcome(ticket)).state
    assert known == ("waiting" if place == "half a line" else "final"), place
    await anchor.send(ticket)
    outcome = await anchor.outcome(ticket)
    assert outcome.results == ("kept",)
    assert before.position is not None
    assert outcome.position is not None
    assert outcome.position.block == before.position.block + 1
    assert len((await anchor.happened(None)).events) == 2
    again.store.close()

"""A backup that was taken while the log was held brings back who had been seen before it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from secureflow.application.continuing import Continuing
from secureflow.application.setback import LogGuard
from secureflow.engines.ledger.notes import Checkpoint, sign_checkpoint
from secureflow.engines.ledger.setback import Hold
from secureflow.server.backup import back_up
from secureflow.server.centre import open_ledger
from secureflow.server.keyfiles import read_log_key
from secureflow.server.restore import restore
from secureflow.server.settings import ServerSettings
from tests.contract.database.test_restore import PHRASE, centre, grow, template  # noqa: F401
from tests.doubles import NotingDriver

pytestmark = pytest.mark.usefixtures("quick_passphrases")


async def _seen(config: Path, *members: str, head: str = "") -> Hold | None:
    """Start the centre, let members show its newest head or this; return why it is held then."""
    settings = ServerSettings.load(config)
    key = read_log_key(settings)
    async with AsyncExitStack() as stack:
        database, ledger = await open_ledger(settings, key, stack)
        ending = Continuing(database.begin, ledger, key, NotingDriver(), lambda: 9)
        guard = LogGuard(database.begin, ledger, ending, lambda: 9)
        for member in members:
            await guard.shown(member, [head or await ledger.head()])
        return ledger.hold


def test_a_second_restore_waits_for_every_member_again(centre: Path, tmp_path: Path) -> None:  # noqa: F811
    back_up(centre, tmp_path / "a.tar", PHRASE)
    one = restore(tmp_path / "a.tar", tmp_path / "one", passphrase=PHRASE).config
    held = asyncio.run(_seen(one, "bank-a", "bank-b"))
    assert held is not None
    assert held.seen == ("bank-a", "bank-b")  # bank-c is away
    back_up(one, tmp_path / "b.tar", PHRASE)  # the nightly one
    assert asyncio.run(_seen(one, "bank-c")) is None
    grow(one, 4)  # bank-a and bank-b see these heads; then the machine is lost
    two = restore(tmp_path / "b.tar", tmp_path / "two", passphrase=PHRASE).config
    held = asyncio.run(_seen(two))
    assert held is not None
    assert held.seen == ()  # today: bank-a and bank-b, of before the backup
    # Today bank-c alone lets it sign, and bank-a's head of four entries more comes a second later.
    assert asyncio.run(_seen(two, "bank-c")) is not None


def test_a_newer_head_that_somebody_showed_holds_it_after_a_restore_too(
    centre: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    key = read_log_key(ServerSettings.load(centre))
    origin = ServerSettings.load(centre).origin
    later = sign_checkpoint(Checkpoint(origin, 99, bytes(32)), key)
    held = asyncio.run(_seen(centre, "bank-a", head=later))
    back_up(centre, tmp_path / "b.tar", PHRASE)
    two = restore(tmp_path / "b.tar", tmp_path / "two", passphrase=PHRASE).config
    after = asyncio.run(_seen(two, "bank-b", "bank-c"))
    assert held is not None
    assert after is not None
    assert (after.cause, after.head, after.by) == ("shown", held.head, "bank-a")

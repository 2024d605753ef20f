"""A keeper of anchors out of a backup, and its file in `agent check`: nothing is signed twice."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from peers.filekeeper import FileKeeper

from secureflow.agent.edge.check import check_record
from secureflow.agent.owner.backup import ANCHORS, back_up, restore
from secureflow.agent.owner.keptanchors import copy_lines
from secureflow.agent.record.anchorplace import FILE, RESTORED
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.agent.witnesssettings import KeeperSettings
from secureflow.engines.anchors import filed
from secureflow.engines.anchors.entries import log_digest
from secureflow.kit.archive import Backup
from secureflow.kit.errors import InfrastructureError
from secureflow.kit.pki import write_private
from tests.unit.agent.test_keeper_anchors import head, job, sent

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_passphrases")]
PHRASE = "four words of luck"


@pytest.fixture
async def keeper(tmp_path: Path) -> FileKeeper:
    """A keeper in the folder of an agent, with a head of five entries."""
    folder = tmp_path / "agent"
    folder.mkdir()
    made = FileKeeper(folder)
    made.keys["bank-a"].save(folder / "signing.key")
    write_private(folder / "link.pem", b"LINK KEY")
    (folder / "ca.pem").write_text("CA")
    values = {
        "directory": ".", "organisation": "bank-a", "server": "https://centre.example",
        "link": "centre.example:8444", "trust_domain": "bank.example",
    }  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(values))
    await made.founded()
    await sent(made, "bank-b", head(made.log_key, 5))
    return made


def moved(keeper: FileKeeper, folder: Path, lines: int | None = None) -> FileKeeper:
    """Return the keeper that goes on from a folder, with what its owner stated."""
    keeper.store.close()
    keeper.folder, keeper.store = folder, RecordStore(folder / "agent.db")
    keeper.open()
    keeper.anchors._settings = KeeperSettings(window=keeper.window, lines=lines)
    return keeper


def backed_up(keeper: FileKeeper, target: Path) -> None:
    back_up(keeper.folder / "agent.yaml", target, PHRASE)


def found(folder: Path) -> dict[str, Any]:
    """Return the finding about the file."""
    settings = AgentSettings.load(folder / "agent.yaml")
    (one,) = [one for one in check_record(settings) if one["check"] == "anchors"]
    return dict(one)


async def test_the_file_is_in_the_backup_up_to_its_last_whole_line(
    keeper: FileKeeper, tmp_path: Path
) -> None:
    whole = keeper.file.read_bytes()
    with keeper.file.open("ab") as file:
        file.write(b'{"half a line')
    backed_up(keeper, tmp_path / "b.tar")
    with Backup(tmp_path / "b.tar") as opened:
        opened.extract(tmp_path / "out")
    assert (tmp_path / "out" / ANCHORS).read_bytes() == whole
    restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE)
    assert (tmp_path / "new" / FILE).read_bytes() == whole


def test_where_a_long_last_line_is_torn_the_copy_ends_before_it(tmp_path: Path) -> None:
    for data, kept in ((b"a\n" + b"x" * (3 << 20), b"a\n"), (b"x" * 10, b""), (b"", b""),
                       (b"a\nb\n", b"a\nb\n")):  # fmt: skip
        (tmp_path / "f").write_bytes(data)
        assert copy_lines(tmp_path / "f", tmp_path / "c")
        assert (tmp_path / "c").read_bytes() == kept
    assert not copy_lines(tmp_path / "none", tmp_path / "c")


async def test_a_restored_keeper_signs_no_smaller_head_and_no_line_twice(
    keeper: FileKeeper, tmp_path: Path
) -> None:
    backed_up(keeper, tmp_path / "b.tar")
    later = await sent(keeper, "bank-b", head(keeper.log_key, 9))
    lost = filed.parse_receipt(later.receipt, keeper.public)
    newest = keeper.file.read_bytes()
    restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE)
    moved(keeper, tmp_path / "new")
    before, anchor = keeper.file.read_bytes(), keeper.anchor("bank-c")
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.send(await anchor.prepare([job(1)], ()))
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.heads(log_digest("log.example"))
    assert keeper.anchors.fault is not None
    assert keeper.anchors.fault.code == "anchor_file_restored"
    assert keeper.file.read_bytes() == before
    # What the members hold receipts of is stated: a file with fewer lines does not do.
    moved(keeper, tmp_path / "new", lost.line)
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.heads(log_digest("log.example"))
    # Neither does a smaller number than the backup has.
    moved(keeper, tmp_path / "new", 1)
    with pytest.raises(InfrastructureError, match="anchor_unavailable"):
        await anchor.heads(log_digest("log.example"))
    (tmp_path / "new" / FILE).write_bytes(newest)
    moved(keeper, tmp_path / "new", lost.line)
    anchor = keeper.anchor("bank-c")
    heads = await anchor.heads(log_digest("log.example"))
    assert max(one.size for one in heads) == 9
    assert keeper.store.fact(RESTORED) is None
    after = await sent(keeper, "bank-c", job(1))
    assert filed.parse_receipt(after.receipt, keeper.public).line == lost.line + 1
    again = await sent(keeper, "bank-b", head(keeper.log_key, 7))
    assert again.results == ("refused",), "a sender's heads do not shrink"


async def test_a_backup_of_the_newest_file_goes_on_once_that_is_stated(
    keeper: FileKeeper, tmp_path: Path
) -> None:
    lines = keeper.file.read_bytes().count(b"\n")
    backed_up(keeper, tmp_path / "b.tar")
    restore(tmp_path / "b.tar", tmp_path / "new", passphrase=PHRASE)
    moved(keeper, tmp_path / "new", lines)
    assert (await sent(keeper, "bank-c", job(1))).state == "final"
    keeper.reopen()  # what was stated is not needed again
    assert (await sent(keeper, "bank-c", job(2))).state == "final"


async def test_a_restore_leaves_the_folders_own_file(keeper: FileKeeper, tmp_path: Path) -> None:
    """With --into-existing the newest one may still be there; its owner says so all the same."""
    backed_up(keeper, tmp_path / "b.tar")
    await sent(keeper, "bank-b", head(keeper.log_key, 9))
    newest = keeper.file.read_bytes()
    keeper.store.close()
    restore(tmp_path / "b.tar", keeper.folder, passphrase=PHRASE, into_existing=True)
    assert keeper.file.read_bytes() == newest
    keeper.store = RecordStore(keeper.folder / "agent.db")
    moved(keeper, keeper.folder, newest.count(b"\n"))
    assert (await sent(keeper, "bank-c", job(1))).state == "final"


async def test_agent_check_reads_the_file_and_changes_nothing(keeper: FileKeeper) -> None:
    lines = keeper.file.read_bytes().count(b"\n")
    one = found(keeper.folder)
    assert one["ok"]
    assert f"{lines} lines of anchors" in one["message"]
    with keeper.file.open("ab") as file:
        file.write(b'{"half a line')  # the keeper may be writing it
    before = keeper.file.read_bytes()
    assert found(keeper.folder)["ok"]
    assert keeper.file.read_bytes() == before


async def test_agent_check_names_a_damaged_file_and_what_to_do(keeper: FileKeeper) -> None:
    whole = keeper.file.read_bytes()
    lines = whole.splitlines(keepends=True)
    changed = json.loads(lines[-1])
    changed["at"] += 1
    forged = json.loads(lines[-1])
    forged["results"] = ["known"]

    def written(value: Any) -> bytes:
        return b"".join(lines[:-1]) + filed.line_bytes(value)

    for data, code, words in (
        (whole.replace(b'"line":2', b'"line":3', 1), "anchor_file_damaged", "at line 2"),
        (b"".join(lines[:-1]), "anchor_file_set_back", FILE),
        (b"", "anchor_file_set_back", FILE),
        (None, "anchor_file_set_back", FILE),
        (written(changed), "anchor_file_set_back", FILE),
        (written(forged), "anchor_file_damaged", "does not come out"),
        (lines[0] + b"x" * (4 << 20), "anchor_file_damaged", "at line 2"),
    ):  # fmt: skip
        keeper.file.unlink(missing_ok=True)
        if data is not None:
            keeper.file.write_bytes(data)
        one = found(keeper.folder)
        assert (one["ok"], one["code"]) == (False, code)
        assert words in one["message"]
        assert one["hint"]
    assert keeper.file.exists()


async def test_an_agent_that_keeps_none_is_not_told_about_it(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    FileKeeper(folder).keys["bank-a"].save(folder / "signing.key")
    values = {"directory": str(folder), "organisation": "bank-a", "server": "https://c.example",
              "link": "c.example:1", "trust_domain": "x.example"}  # fmt: skip
    (folder / "agent.yaml").write_text(yaml.safe_dump(values))
    with closing(RecordStore(folder / "agent.db")):
        pass
    settings = AgentSettings.load(folder / "agent.yaml")
    assert "anchors" not in {one["check"] for one in check_record(settings)}

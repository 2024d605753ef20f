"""The mark beside a record: written atomically, never ahead, kept up while a process runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from secureflow.kit import recordmark
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.recordmark import FILE, RecordKeeper, RecordMark, read_mark, write_mark

MARK = RecordMark("a" * 32, {"size": 3})


def test_it_is_read_as_it_was_written_and_for_its_owner_alone(tmp_path: Path) -> None:
    assert read_mark(tmp_path) is None
    write_mark(tmp_path, MARK)
    write_mark(tmp_path, RecordMark(MARK.identity, {"size": 4}))
    assert read_mark(tmp_path) == RecordMark(MARK.identity, {"size": 4})
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"identity": "a", "reached": {}}', '{"reached": {}}', "\udcff",
     f'{{"identity": "{"a" * 32}", "reached": 3}}', '{"x": "' + "y" * 5000, "[" * 4000],
)  # fmt: skip
def test_one_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    """It is not taken for a folder without one: any database would do then."""
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SecureFlowError) as refused:
        read_mark(tmp_path)
    assert refused.value.code == "record_mark_malformed"


def test_one_that_the_system_does_not_let_be_read_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(SecureFlowError) as refused:
        read_mark(tmp_path)
    assert refused.value.code == "record_mark_malformed"
    assert f"{tmp_path / FILE}" in refused.value.message
    assert "Is a directory" in refused.value.message


def test_a_write_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_mark(tmp_path, MARK)

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_mark(tmp_path, RecordMark(MARK.identity, {"size": 9}))
    assert read_mark(tmp_path) == MARK
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


class Record:
    """What a keeper looks at."""

    def __init__(self) -> None:
        self.size = 3
        self.looks = 0
        self.tidied = 0
        self.away = False
        self.looked = asyncio.Event()

    async def lost(self) -> bool:
        if self.away:
            self.looks += 1
            self.looked.set()
        return self.away

    async def reached(self) -> Mapping[str, Any]:
        self.looks += 1
        self.looked.set()
        return {"size": self.size}

    async def tidy(self) -> None:
        self.tidied += 1

    async def look(self, times: int) -> None:
        until = self.looks + times
        while self.looks < until:
            self.looked.clear()
            await self.looked.wait()


async def test_it_follows_the_record_and_writes_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Any] = []
    monkeypatch.setattr(recordmark, "write_mark", lambda _, mark: written.append(mark.reached))
    monkeypatch.setattr(recordmark, "TIDY_EVERY", 3)
    record = Record()
    keeper = RecordKeeper(tmp_path, MARK, record.reached, record.tidy, record.lost, 0.001)
    keeper.start()
    await record.look(10)
    assert written == []
    record.size = 5
    await record.look(10)
    assert written == [{"size": 5}]
    assert record.tidied in {6, 7}
    record.size = 6
    await keeper.stop()
    assert written == [{"size": 5}, {"size": 6}]


async def test_a_full_disk_puts_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = [True]
    really = recordmark.write_mark

    def write(directory: Path, mark: RecordMark) -> None:
        if full[0]:
            raise OSError(28, "No space left on device")
        really(directory, mark)

    monkeypatch.setattr(recordmark, "write_mark", write)
    record = Record()
    keeper = RecordKeeper(tmp_path, MARK, record.reached, record.tidy, record.lost, 0.001)
    keeper.start()
    record.size = 8
    await record.look(5)
    assert read_mark(tmp_path) is None
    full[0] = False
    await record.look(5)
    assert read_mark(tmp_path) == RecordMark(MARK.identity, {"size": 8})
    await keeper.stop()


async def test_a_record_that_is_gone_from_its_place_moves_no_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordmark, "TIDY_EVERY", 1)
    write_mark(tmp_path, MARK)
    record = Record()
    record.away = True
    keeper = RecordKeeper(tmp_path, MARK, record.reached, record.tidy, record.lost, 0.001)
    keeper.start()
    record.size = 8
    await record.look(5)
    await keeper.stop()
    assert (read_mark(tmp_path), record.tidied) == (MARK, 0)

"""The Artifacts contract: a name always tells the truth, and nothing half-written has one."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from secureflow.adapters.artifacts import FileArtifacts, ReadTogether, ScratchFiles
from secureflow.adapters.artifacts import files as files_module
from secureflow.application.ports.artifacts import Artifacts, DamagedArtifactError
from secureflow.kit.errors import InfrastructureError, SecureFlowError

CONTENT = os.urandom((1 << 20) + 7)
DIGEST = blake3(CONTENT).hexdigest()


@pytest.fixture(params=["files"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Artifacts:
    return {"files": FileArtifacts}[request.param](tmp_path / "blobs")


async def _stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def _content(artifacts: Artifacts, digest: str, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in await artifacts.open(digest, offset)])


def _files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_what_was_put_is_read(artifacts: Artifacts) -> None:
    stored = await artifacts.put(_stream(CONTENT[:100], b"", CONTENT[100:]), limit=len(CONTENT))
    assert (stored.digest, stored.size) == (DIGEST, len(CONTENT))
    assert await artifacts.stat(DIGEST) == stored
    for offset in (0, 1, 1 << 20, len(CONTENT), len(CONTENT) + 5):
        assert await _content(artifacts, DIGEST, offset) == CONTENT[offset:]
    path = artifacts.path(DIGEST)
    assert path is None or path.read_bytes() == CONTENT


async def test_chunks_are_bounded(artifacts: Artifacts) -> None:
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    sizes = [len(chunk) async for chunk in await artifacts.open(DIGEST)]
    assert max(sizes) <= 1 << 20


async def test_identical_content_is_stored_once(artifacts: Artifacts, tmp_path: Path) -> None:
    first, second = await asyncio.gather(
        artifacts.put(_stream(CONTENT), limit=len(CONTENT)),
        artifacts.put(_stream(CONTENT), limit=len(CONTENT), expect=DIGEST),
    )
    assert first == second
    assert len(_files(tmp_path)) <= 1


async def test_an_empty_blob(artifacts: Artifacts) -> None:
    stored = await artifacts.put(_stream(), limit=0)
    assert stored.size == 0
    assert await _content(artifacts, stored.digest) == b""


@pytest.mark.parametrize(
    ("limit", "expect", "code"),
    [(len(CONTENT) - 1, "", "too_large"), (len(CONTENT), "ab" * 32, "digest_mismatch")],
)
async def test_what_is_refused_leaves_nothing(
    artifacts: Artifacts, tmp_path: Path, limit: int, expect: str, code: str
) -> None:
    with pytest.raises(SecureFlowError) as caught:
        await artifacts.put(_stream(CONTENT), limit=limit, expect=expect)
    assert caught.value.code == code
    assert not _files(tmp_path)
    with pytest.raises(SecureFlowError, match="no blob"):
        await artifacts.stat(DIGEST)


async def test_false_bytes_do_not_harm_the_true_ones(artifacts: Artifacts) -> None:
    """Content that is known, promised under another digest, is refused; the known blob stays."""
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    with pytest.raises(SecureFlowError, match="expected"):
        await artifacts.put(_stream(CONTENT), limit=len(CONTENT), expect="ab" * 32)
    assert await _content(artifacts, DIGEST) == CONTENT


async def test_a_stream_that_breaks_off_leaves_nothing(
    artifacts: Artifacts, tmp_path: Path
) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield CONTENT
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await artifacts.put(breaking(), limit=1 << 30)
    begun = asyncio.Event()
    putting = asyncio.create_task(artifacts.put(_endless(begun), limit=1 << 20))
    await begun.wait()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    assert not _files(tmp_path)


async def _endless(begun: asyncio.Event) -> AsyncIterator[bytes]:
    while True:
        yield b"x"
        begun.set()


async def test_deleting(artifacts: Artifacts) -> None:
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    reading = await artifacts.open(DIGEST)
    first = await anext(reading)
    await artifacts.delete(DIGEST)
    await artifacts.delete(DIGEST)
    assert first + b"".join([chunk async for chunk in reading]) == CONTENT
    with pytest.raises(SecureFlowError, match="no blob"):
        await artifacts.open(DIGEST)


@given(st.text(max_size=80) | st.sampled_from(["../incoming", "/etc/passwd", "ab/" + "a" * 61]))
async def test_no_text_becomes_a_path(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("blobs")
    artifacts = FileArtifacts(root)
    assert artifacts.path(name) is None
    for refused in (artifacts.open(name), artifacts.stat(name)):
        with pytest.raises(SecureFlowError) as caught:
            await refused
        assert caught.value.code == "not_found"
    await artifacts.delete(name)
    assert root.is_dir()


async def test_what_was_stored_longer_ago_is_listed(tmp_path: Path) -> None:
    artifacts = FileArtifacts(tmp_path)
    (tmp_path / "uploads" / "ab").mkdir(parents=True)
    (tmp_path / "uploads" / "ab" / ("ab" * 32)).touch()
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "stranger").touch()
    for content in (CONTENT, b"young"):
        await artifacts.put(_stream(content), limit=len(content))
    path = artifacts.path(DIGEST)
    assert path is not None
    os.utime(path, (1, 1))
    os.utime(tmp_path / "ab" / "stranger", (1, 1))
    assert await artifacts.older_than(3600) == [DIGEST]
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))  # stored again: young again
    assert await artifacts.older_than(3600) == []


async def test_two_stores_are_read_as_one(tmp_path: Path) -> None:
    first, other = FileArtifacts(tmp_path / "a"), FileArtifacts(tmp_path / "b")
    both = ReadTogether(first, other)
    await other.put(_stream(CONTENT), limit=len(CONTENT))
    assert await _content(both, DIGEST, 5) == CONTENT[5:]
    assert (await both.stat(DIGEST)).size == len(CONTENT)
    assert both.path(DIGEST) == other.path(DIGEST)
    await both.delete(DIGEST)
    assert await _content(other, DIGEST) == CONTENT  # it is not removed by way of the other one
    stored = await both.put(_stream(b"new"), limit=3)
    assert await _content(first, stored.digest) == b"new"
    assert other.path(stored.digest) is None
    for missing in (both.open("ab" * 32), both.stat("ab" * 32)):
        with pytest.raises(SecureFlowError) as caught:
            await missing
        assert caught.value.code == "not_found"


async def test_a_restart_clears_what_a_crash_left(tmp_path: Path) -> None:
    artifacts = FileArtifacts(tmp_path)
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    (tmp_path / "incoming" / "half").write_bytes(CONTENT[:10])
    again = FileArtifacts(tmp_path)
    assert not (tmp_path / "incoming" / "half").exists()
    assert await _content(again, DIGEST) == CONTENT


async def test_a_second_server_of_the_folder_takes_nothing_from_the_first(tmp_path: Path) -> None:
    first = FileArtifacts(tmp_path)

    async def chunks() -> AsyncIterator[bytes]:
        yield CONTENT[:100]
        second.append(FileArtifacts(tmp_path))  # it starts
        yield CONTENT[100:]

    second: list[FileArtifacts] = []
    await first.put(chunks(), limit=len(CONTENT))
    assert await _content(second[0], DIGEST) == CONTENT


async def test_a_folder_that_cannot_be_flushed_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts = FileArtifacts(tmp_path)

    def broken(_directory: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("secureflow.adapters.artifacts.files.flush_directory", broken)
        with pytest.raises(SecureFlowError) as failed:
            await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    assert failed.value.code == "disk_failed"
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))


async def test_what_comes_for_a_job_that_is_over_is_not_kept(tmp_path: Path) -> None:
    """A party that was away sends its vector when the link stands again."""
    scratch = ScratchFiles(tmp_path / "vectors")
    await scratch.of("job_1").put(_stream(CONTENT), limit=len(CONTENT))
    late = scratch.of("job_2")
    for job in ("job_1", "job_2"):
        await scratch.discard(job)
        with pytest.raises(SecureFlowError) as refused:
            scratch.of(job)
        assert refused.value.code == "not_found"
    with pytest.raises(InfrastructureError):  # its folder went meanwhile: it asks again, and hears
        await late.put(_stream(CONTENT), limit=len(CONTENT))
    assert not _files(tmp_path)
    await scratch.of("job_3").put(_stream(CONTENT), limit=len(CONTENT))


@pytest.mark.parametrize("work", ["put", "open"])
async def test_who_is_cancelled_while_a_file_is_opened_leaves_none_open(
    artifacts: Artifacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str
) -> None:
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    kept, before = _files(tmp_path), _open_files(tmp_path)
    begun, opened_it, go_on = asyncio.Event(), asyncio.Event(), threading.Event()
    loop, mkstemp, opened = asyncio.get_running_loop(), tempfile.mkstemp, Path.open

    def slowly(made: Any) -> Any:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(120)
        try:
            return made()
        finally:
            loop.call_soon_threadsafe(opened_it.set)

    monkeypatch.setattr(tempfile, "mkstemp", lambda **given: slowly(lambda: mkstemp(**given)))
    monkeypatch.setattr(Path, "open", lambda *given: slowly(lambda: opened(*given)))
    doing = asyncio.create_task(
        artifacts.put(_stream(b"new"), limit=3) if work == "put" else _content(artifacts, DIGEST)
    )
    await begun.wait()
    doing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doing
    go_on.set()
    await opened_it.wait()
    for _ in range(3000):
        if _files(tmp_path) == kept and _open_files(tmp_path) == before:
            break
        await asyncio.sleep(0.02)
    assert _files(tmp_path) == kept
    assert _open_files(tmp_path) == before


def _open_files(below: Path) -> list[str]:
    targets = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return sorted(str(one) for one in targets if below in one.parents)


@pytest.mark.parametrize("gone", ["missing", "a file"])
async def test_a_folder_that_is_gone_is_waited_for_and_its_path_is_not_told(
    tmp_path: Path, gone: str
) -> None:
    folder = tmp_path / "unmounted"
    artifacts = FileArtifacts(folder)
    away = folder.rename(tmp_path / "away")
    if gone == "a file":
        folder.write_text("")
    with pytest.raises(InfrastructureError) as failed:
        await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    assert failed.value.code == "disk_failed"
    assert "unmounted" not in failed.value.message
    folder.unlink(missing_ok=True)
    away.rename(folder)
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))


@pytest.mark.parametrize("gone", ["missing", "a file", "not mounted"])
async def test_while_the_folder_is_gone_nothing_is_said_to_be_missing(
    tmp_path: Path, gone: str
) -> None:
    """Who is told that there is no such blob gives up; it is there again with the volume."""
    folder = tmp_path / "unmounted"
    artifacts = FileArtifacts(folder)
    await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    away = folder.rename(tmp_path / "away")
    if gone == "a file":
        folder.write_text("")
    if gone == "not mounted":
        folder.mkdir()
    for asked in (artifacts.stat(DIGEST), artifacts.open(DIGEST), artifacts.delete(DIGEST)):
        if asked.__name__ == "delete" and gone != "a file":
            await asked  # what is not there needs no removal
            continue
        with pytest.raises(InfrastructureError) as failed:
            await asked
        assert failed.value.code == "disk_failed"
        assert "unmounted" not in str(failed.value)
    with pytest.raises(InfrastructureError):  # nor is it ready, or takes a job
        artifacts.demand(0)
    folder.unlink() if gone == "a file" else shutil.rmtree(folder, ignore_errors=True)
    away.rename(folder)
    artifacts.demand(0)
    assert await _content(artifacts, DIGEST) == CONTENT


async def test_a_disk_that_fails_is_told_as_such_by_all_that_touches_it(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume that is mounted read-only, or of another user: waited for, and no words of its."""
    stored = await artifacts.put(_stream(CONTENT), limit=len(CONTENT))

    def refuses(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/srv/blobs")

    for name, work in (
        ("unlink", lambda: artifacts.delete(stored.digest)),
        ("stat", lambda: artifacts.stat(stored.digest)),
        ("open", lambda: _content(artifacts, stored.digest)),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, refuses)
            with pytest.raises(InfrastructureError) as failed:
                await work()
        assert failed.value.code == "disk_failed", name
        assert "/srv" not in str(failed.value)
    assert await _content(artifacts, stored.digest) == CONTENT


@pytest.mark.parametrize("blocks", ["{prefix}", "incoming"])
async def test_a_file_in_the_way_of_a_folder_of_the_store(tmp_path: Path, blocks: str) -> None:
    artifacts = FileArtifacts(tmp_path / "blobs")
    place = tmp_path / "blobs" / blocks.format(prefix=DIGEST[:2])
    if place.exists():
        place.rmdir()
    place.write_text("")
    with pytest.raises(InfrastructureError) as failed:
        await artifacts.put(_stream(CONTENT), limit=len(CONTENT))
    assert failed.value.code == "disk_failed"
    assert [one.name for one in _files(tmp_path)] == [place.name]


FLIPPED = bytes([CONTENT[0] ^ 1]) + CONTENT[1:]


@pytest.mark.parametrize("left", [FLIPPED, CONTENT + b"\0" * 8, CONTENT[:-1], b""])
@pytest.mark.parametrize("again", [False, True])
async def test_what_a_disk_damaged_is_named_and_not_handed_out(
    tmp_path: Path, left: bytes, again: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever asks is told of the centre's file; its place is in the centre's log alone."""
    store = FileArtifacts(tmp_path / "blobs")
    await store.put(_stream(CONTENT), limit=len(CONTENT))
    path = store.path(DIGEST)
    assert path is not None
    if again:
        assert await _content(store, DIGEST) == CONTENT  # it was whole a moment ago
    else:
        store = FileArtifacts(tmp_path / "blobs")  # another process
    path.write_bytes(left)
    for offset in (0, 5):
        with pytest.raises(DamagedArtifactError) as caught:
            await store.open(DIGEST, offset)
    assert (caught.value.code, caught.value.details) == ("record_damaged", {"artifact": DIGEST})
    assert DIGEST in caught.value.message
    assert str(tmp_path) not in str(caught.value.as_json())
    told = capsys.readouterr()
    assert str(path) in told.err + told.out
    path.write_bytes(CONTENT)  # it is put back
    assert await _content(store, DIGEST) == CONTENT


async def test_a_sound_file_is_hashed_once_for_all_who_read_it_within_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []
    digest_of, now = files_module.file_digest, [0.0]

    def hashing(path: Path) -> bytes:
        hashed.append(path)
        return digest_of(path)

    monkeypatch.setattr(files_module, "file_digest", hashing)
    monkeypatch.setattr(files_module, "monotonic", lambda: now[0])
    store = FileArtifacts(tmp_path / "blobs")
    await store.put(_stream(CONTENT), limit=len(CONTENT))
    for _ in range(3):
        await store.open(DIGEST)
    assert not hashed, "it was hashed when it came"
    now[0] = files_module.SEEN + 1.0
    for _ in range(3):
        await store.open(DIGEST)
    assert len(hashed) == 1

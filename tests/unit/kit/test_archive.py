"""A backup's file: intact or refused, whatever somebody made of it, and keys only under seal."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from secureflow.kit import archive, tarformat
from secureflow.kit.archive import MANIFEST, Backup, BackupManifest, write_backup
from secureflow.kit.errors import SecureFlowError

pytestmark = pytest.mark.slow

PHRASE = "four words of luck"
SECRET = b"the signing key of bank-a"
FACTS = {"made_at": 1, "version": "0.1.0"}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    source = tmp_path / "source"
    source.mkdir()
    texts = {"config/agent.yaml": b"a: 1\n", "tables/jobs": b"x" * 3000, "record/empty": b""}
    for name, data in texts.items():
        (source / name.partition("/")[2]).write_bytes(data)
    return {name: source / name.partition("/")[2] for name in texts}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "backup.tar"


def make(target: Path, files: Mapping[str, Path], phrase: str | None = None) -> BackupManifest:
    return write_backup(target, "agent", FACTS, files, {"signing.key": SECRET}, phrase)


def refusal(path: Path, into: Path) -> str:
    with pytest.raises(SecureFlowError) as refused, Backup(path) as backup:
        backup.extract(into)
    return refused.value.code


def test_it_comes_back_as_it_was_and_is_for_its_owner_alone(
    target: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    old = os.umask(0)
    try:
        made = make(target, files)
        with Backup(target) as backup:
            assert backup.manifest == made
            assert backup.keys(PHRASE) == {}
            backup.extract(tmp_path / "in")
    finally:
        os.umask(old)
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    for name, path in files.items():
        written = tmp_path / "in" / name
        assert written.read_bytes() == path.read_bytes()
        assert written.stat().st_mode & 0o777 == 0o600
        for folder in written.parents[: len(Path(name).parts)]:
            assert folder.stat().st_mode & 0o777 == 0o700
    with tarfile.open(target) as plain:  # anybody's tar can look into it
        assert plain.getnames() == [MANIFEST, *files]


def test_keys_open_with_the_passphrase_and_in_their_own_backup_only(
    target: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_WORK", 1 << 4)
    make(target, files, PHRASE)
    assert SECRET not in target.read_bytes()
    assert SECRET.hex().encode() not in target.read_bytes()
    with Backup(target) as backup:
        assert backup.keys(PHRASE) == {"signing.key": SECRET}
        with pytest.raises(SecureFlowError, match="passphrase_refused"):
            backup.keys(PHRASE + "!")
    data = target.read_bytes()
    altered = data.replace(b'"made_at": 1', b'"made_at": 2')
    assert altered != data
    target.write_bytes(altered)
    with Backup(target) as backup, pytest.raises(SecureFlowError, match="passphrase_refused"):
        backup.keys(PHRASE)


def test_who_tries_a_passphrase_pays_for_it() -> None:
    slow = hashlib.scrypt(
        PHRASE.encode(), salt=b"s" * 16, n=1 << 17, r=8, p=1, maxmem=1 << 28, dklen=32
    )
    assert archive._derived(PHRASE, b"s" * 16) == slow


def test_without_a_passphrase_there_is_no_key_in_it(target: Path, files: dict[str, Path]) -> None:
    assert make(target, files).keys is None
    assert SECRET.hex().encode() not in target.read_bytes()


def test_a_short_passphrase_and_an_older_backup_are_left_alone(
    target: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(SecureFlowError, match="weak_password"):
        make(target, files, "short")
    make(target, files)
    before = target.read_bytes()
    with pytest.raises(SecureFlowError, match="backup_exists"):
        make(target, files)
    assert target.read_bytes() == before
    with pytest.raises(SecureFlowError, match="backup_unwritable"):
        make(tmp_path / "absent" / "b", files)
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_full_disk_leaves_no_half_backup(
    target: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SecureFlowError, match="backup_unwritable"):
        make(target, files)
    assert not list(target.parent.iterdir())


def test_what_changes_while_it_is_read_makes_no_backup(
    target: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured, changes = archive._measured, [b"y" * 3000, b"x" * 20, b""]

    def moving(name: str, path: Path) -> archive.ArchivedFile:
        found = measured(name, path)
        if name == "tables/jobs":
            path.write_bytes(changes.pop())
        return found

    monkeypatch.setattr(archive, "_measured", moving)
    while changes:
        files["tables/jobs"].write_bytes(b"x" * 3000)
        with pytest.raises(SecureFlowError, match="backup_unwritable"):
            make(target, files)
        assert not list(target.parent.iterdir())


def test_a_target_that_could_not_be_written_is_refused_early(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    for name, code in (("there", "backup_exists"), ("absent/b", "backup_unwritable")):
        with pytest.raises(SecureFlowError, match=code):
            archive.check_target(tmp_path / name)
    archive.check_target(tmp_path / "new")


# What others made of it.


def member(name: str, data: bytes, **fields: Any) -> bytes:
    told = tarfile.TarInfo(name)
    told.size = len(data)
    for field, value in fields.items():
        setattr(told, field, value)
    return told.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def manifest(*files: list[Any], **more: Any) -> bytes:
    value = {"format": archive.FORMAT, "process": "agent", "facts": {}, "keys": None}
    return json.dumps({**value, "files": files, **more}).encode()


def sized(size: bytes, off: int = 0) -> bytes:
    """Return a manifest whose header spells its size so, with a checksum that fits, or is off."""
    block = bytearray(member(MANIFEST, manifest()))
    block[124:136] = size.ljust(12, b"\0")
    return summed(block, off)


def prefixed() -> bytes:
    """Return a manifest in a folder of another tar's making."""
    block = bytearray(member(MANIFEST, manifest()))
    block[345:350] = b"/etc/"
    return summed(block)


def summed(block: bytearray, off: int = 0) -> bytes:
    total = off + sum(block[:148]) + 8 * 0x20 + sum(block[156:512])
    block[148:156] = f"{total:06o}\0 ".encode()
    return bytes(block)


DIGEST = archive.hashlib.sha256(b"abc").hexdigest()
ABC = ["config/abc", 3, DIGEST]
HOSTILE: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no tar": lambda: b"PK" * 4000,
    "no manifest": lambda: member("config/abc", b"abc"),
    "another format": lambda: member(MANIFEST, manifest(format="secureflow-backup/9")),
    "another process": lambda: member(MANIFEST, manifest(process="../../etc")),
    "no object": lambda: member(MANIFEST, b"[]"),
    "depth": lambda: member(MANIFEST, b"[" * 100_000),
    "a manifest without end": lambda: member(MANIFEST, b"{}", size=1 << 40),
    "a manifest of 8 GiB": lambda: member(MANIFEST, b"{}", size=8 << 30),
    "a size below nothing": lambda: member(MANIFEST, manifest(["config/a", -1, DIGEST])),
    "a size that is none": lambda: member(MANIFEST, manifest(["config/a", 1e300, DIGEST])),
    "more than there is": lambda: member(MANIFEST, manifest(["config/a", 1 << 60, DIGEST])),
    "a way out": lambda: member(MANIFEST, manifest(["../a", 3, DIGEST])) + member("../a", b"abc"),
    "a way around": lambda: member(MANIFEST, manifest(["config/../../a", 3, DIGEST])),
    "the root": lambda: member(MANIFEST, manifest(["/etc/passwd", 3, DIGEST])),
    "a line feed": lambda: member(MANIFEST, manifest(["config/a\n", 3, DIGEST])),
    "a name twice": lambda: member(MANIFEST, manifest(ABC, ABC)) + 2 * member(ABC[0], b"abc"),
    "another name": lambda: member(MANIFEST, manifest(ABC)) + member("config/abd", b"abc"),
    "another size": lambda: member(MANIFEST, manifest(ABC)) + member("config/abc", b"abcd"),
    "other bytes": lambda: member(MANIFEST, manifest(ABC)) + member("config/abc", b"abd"),
    "a link": lambda: (
        member(MANIFEST, manifest(ABC))
        + member("config/abc", b"abc", type=tarfile.SYMTYPE, linkname="/etc/passwd")
    ),
    "a hard link": lambda: (
        member(MANIFEST, manifest(ABC))
        + member("config/abc", b"abc", type=tarfile.LNKTYPE, linkname="../signing.key")
    ),
    "a device": lambda: (
        member(MANIFEST, manifest(ABC)) + member("config/abc", b"abc", type=tarfile.CHRTYPE)
    ),
    "a sparse file": lambda: (
        member(MANIFEST, manifest(ABC)) + member("config/abc", b"abc", type=tarfile.GNUTYPE_SPARSE)
    ),
    "more than it names": lambda: (
        member(MANIFEST, manifest(ABC))
        + member("config/abc", b"abc")
        + member("config/more", b"abc")
    ),
    "no end": lambda: member(MANIFEST, manifest(ABC)) + member("config/abc", b"abc")[:-512],
    "another checksum": lambda: sized(b"0000002\0", 1),
    "a prefix": prefixed,
    "facts that are none": lambda: member(MANIFEST, manifest(facts=[])),
    "keys that are none": lambda: member(MANIFEST, manifest(keys=[])),
    "a size of yes": lambda: member(MANIFEST, manifest(["config/a", True, DIGEST])),
    "a size of a float": lambda: member(MANIFEST, manifest(["config/a", 3.0, DIGEST])),
    "a digest that is none": lambda: member(MANIFEST, manifest(["config/a", 3, 7])),
    "a name that is none": lambda: member(MANIFEST, manifest([7, 3, DIGEST])),
    "a header below nothing": lambda: sized(b"-0000000005\0"),
    "a header in Python's octal": lambda: sized(b"0o2\0"),
    "a header with underscores": lambda: sized(b"0_2\0"),
    "keys that are not there": lambda: member(MANIFEST, manifest(keys={"salt": "", "nonce": ""})),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_one_is_refused_and_writes_nothing_outside(
    what: str, target: Path, tmp_path: Path
) -> None:
    tail = b"" if what in {"nothing", "no end"} else bytes(1024)
    target.write_bytes(HOSTILE[what]() + tail)
    assert refusal(target, tmp_path / "in") == "backup_unreadable"
    outside = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert outside <= {"out", "in"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))
    if what == "more than there is":
        assert not (tmp_path / "in").exists()  # nothing is begun that cannot be ended


@pytest.mark.parametrize("size", [archive.MAX_MANIFEST, archive.MAX_MANIFEST + 1, 1 << 50])
def test_what_it_claims_costs_no_memory(
    target: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """A header that promises terabytes is answered before anything of that size is asked for."""
    target.write_bytes(member(MANIFEST, b"{}", size=size) + bytes(4096))
    asked: list[int] = []
    really = Backup._read

    def read(self: Backup, size: int) -> bytes:
        asked.append(size)
        return really(self, size)

    monkeypatch.setattr(Backup, "_read", read)
    with pytest.raises(SecureFlowError, match="backup_unreadable"), Backup(target):
        pass
    assert max(asked) <= 512


def _found(path: Path, into: Path) -> bool:
    try:
        with Backup(path) as backup:
            backup.extract(into)
    except SecureFlowError as error:
        return error.code == "backup_unreadable"
    return False


def test_a_cut_or_a_flipped_bit_is_always_found(
    target: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    make(target, files)
    intact, chance = target.read_bytes(), random.Random(8)
    for attempt in range(300):
        data = bytearray(intact)
        if attempt % 2:
            del data[chance.randrange(len(data) - 1024) :]
        else:
            at = chance.randrange(len(data) - 1024)
            data[at] ^= 1 << chance.randrange(8)
        target.write_bytes(data)
        into = tmp_path / f"in{attempt}"
        if _found(target, into):
            continue
        # It was in what no reader needs: padding, owner, time of a header.
        assert {name: (into / name).read_bytes() for name in files} == {
            name: path.read_bytes() for name, path in files.items()
        }


def test_sizes_of_8_gib_and_more_are_read_and_written() -> None:
    for size in (0, 511, (8 << 30) - 1, 8 << 30, 1 << 45):
        block = tarformat.header("tables/jobs", size)
        assert tarformat.parse_header(block) == ("tables/jobs", size)


@pytest.mark.parametrize(
    "case", ["own", "held", "another beginning", "empty", "name", "link", "folder", "pipe"]
)
def test_what_a_killed_backup_left_half_written_goes_and_nothing_else(
    target: Path, files: dict[str, Path], case: str
) -> None:
    begun = b"manifest.json\0 of what was killed"
    partial, other = target.parent / ".b.tar.0123abcd.partial", target.parent / "precious"
    other.write_bytes(begun)
    if case == "name":
        partial = target.parent / ".b.tar.partial"
    holder = None
    match case:
        case "link":
            partial.symlink_to(other)
        case "folder":
            partial.mkdir()
        case "pipe":
            os.mkfifo(partial)
        case "another beginning" | "empty":
            partial.write_bytes(b"precious" if case == "another beginning" else b"")
        case _:
            partial.write_bytes(begun)
    if case == "held":
        holder = os.open(partial, os.O_RDONLY)
        fcntl.flock(holder, fcntl.LOCK_EX)
    write_backup(target, "agent", {}, files, {}, None)
    assert os.path.lexists(partial) == (case != "own")
    assert other.read_bytes() == begun
    if holder is not None:
        os.close(holder)


@pytest.mark.parametrize("links", [True, False])
def test_it_has_its_name_at_once_and_takes_no_other_files(
    target: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """A kill in between left an empty file under the name, and no later backup took it."""
    link, tried = os.link, list[bool]()

    def watched(partial: Path, name: Path) -> None:
        tried.append(target.exists())
        if not links:
            raise PermissionError(errno.EPERM, "a disk without links")
        link(partial, name)

    monkeypatch.setattr(os, "link", watched)
    make(target, files)
    assert tried == [False]
    made = target.read_bytes()
    assert (len(made) > 0, target.stat().st_nlink) == (True, 1)
    with pytest.raises(SecureFlowError, match="backup_exists"):
        make(target, files)
    assert target.read_bytes() == made
    assert list(target.parent.iterdir()) == [target]

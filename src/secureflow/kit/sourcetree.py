"""Folders of small text files: read without following links, and written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from secureflow.kit.atomic import flush_directory
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.foldertree import FolderTree, entries_of, open_folder, open_regular
from secureflow.kit.oserrors import failed_at
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

_PASSED_OVER: Final = frozenset({"__pycache__"})
_COMING: Final = ".coming"


def read_tree(
    folder: Path, *, most: int, files: int, depth: int, problem: Callable[[str], str]
) -> dict[str, bytes]:
    r"""Return the files of a folder: relative path → content, with `\n` for `\r\n`.

    Names that begin with a dot, and caches of bytecode, are passed over.

    Args:
        folder: of a person's choice; it may itself be reached over links.
        most: bytes of all files.
        files: how many there may be.
        depth: of folders.
        problem: says why a path is refused, or an empty text.

    Raises:
        SecureFlowError: `invalid_file` for a folder or file that cannot be read, a link, a device,
            a path that `problem` refuses, or too much of anything.
    """
    found: dict[str, bytes] = {}
    room = [most]

    def visit(handle: int, name: str, level: int) -> None:
        for entry in entries_of(handle):
            if entry.name.startswith(".") or entry.name in _PASSED_OVER:
                continue
            path = f"{name}{entry.name}"
            if entry.kind == "folder":
                if level >= depth:
                    raise _refused(path, Text("it is deeper than {depth} folders", depth=depth))
                inner = open_folder(entry.name, handle)
                try:
                    visit(inner, f"{path}/", level + 1)
                finally:
                    os.close(inner)
                continue
            if entry.kind != "file":
                raise _refused(path, "it is a link or no plain file")
            if reason := problem(path):
                raise _refused(path, reason)
            if len(found) >= files:
                raise _refused(path, Text("it would be more than {most} files", most=files))
            content = _content(open_regular(entry.name, handle), path, room[0])
            room[0] -= len(content)
            found[path] = content.replace(b"\r\n", b"\n")

    try:
        with FolderTree(folder) as tree:
            visit(tree.handle, "", 1)
    except OSError as error:
        raise SecureFlowError(
            "invalid_file",
            failed_at(shown(str(error.filename or folder)), error),
            "Give the path of a folder that you may read.",
        ) from error
    return found


def write_tree(folder: Path, files: Mapping[str, bytes], *, mode: int = 0o444) -> None:
    """Write files into a folder that this makes, mode 0700; nothing is ever overwritten.

    The folder is written beside its place and renamed when it is complete and on disk: a crash
    leaves none. What an earlier crash left beside it is removed.

    The paths must be relative, without `..`: whoever calls has checked them.

    Raises:
        OSError: it cannot be made, or exists; nothing is left.
    """
    if os.path.lexists(folder):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder))
    for left_over in folder.parent.glob(f".{glob.escape(folder.name)}.*{_COMING}"):
        _clear(left_over)
    beside = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}{_COMING}")
    try:
        beside.mkdir(mode=0o700)
    except OSError as error:
        error.filename = str(folder)  # not the temporary one
        raise
    handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # as long as this process lives: no left-over
        for made in _written(beside, files, mode):
            flush_directory(made)
        # An empty folder would be replaced, but no link, no file and no other folder.
        beside.rename(folder)
    except BaseException:  # whatever ended it: leave nothing behind
        shutil.rmtree(beside, ignore_errors=True)
        raise
    finally:
        os.close(handle)
    flush_directory(folder.parent)


def _written(folder: Path, files: Mapping[str, bytes], mode: int) -> list[Path]:
    """Write files into an empty folder; return it and the folders in it, inner ones last."""
    made = [folder]
    for path, content in files.items():
        place = folder / path
        for above in reversed([place.parent, *place.parent.parents]):
            if above.is_relative_to(folder) and above not in made:
                above.mkdir(mode=0o700)
                made.append(above)
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)  # whatever the umask
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return made


def _clear(left_over: Path) -> None:
    """Remove what a crash left; a folder that a process is still writing stays."""
    with contextlib.suppress(OSError):
        handle = os.open(left_over, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left_over)
        finally:
            os.close(handle)


def _content(handle: int, path: str, room: int) -> bytes:
    with os.fdopen(handle, "rb") as file:
        content = file.read(room + 1)
    if len(content) > room:
        raise _refused(path, "the folder is too large with it")
    return content


def _refused(path: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_file",
        Text("{file} does not belong in it: {reason}.", file=shown(path), reason=reason),
        "Move it elsewhere; names that begin with a dot are passed over.",
    )

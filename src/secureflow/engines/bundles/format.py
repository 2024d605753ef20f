r"""How a bundle is packed: one byte string for one set of files, and back.

    secureflow-bundle/1\n
    <path> <size>\n      for each file, sorted by path
    \n
    <content>            of each file, in the same order, with nothing in between

Only names, sizes and contents are in it: no times, modes, owners or links. A size is a decimal
number without leading zeros. `unpack` takes exactly what `pack` writes, so that a set of files has
one packing, and a packing one digest (BLAKE3). Sizes are compared with what is there before
anything is copied.

A file is UTF-8 text with `\n` as its line end, and people read it: its lines have a length, and a
bundle has a number of lines. A path has at most `MAX_DEPTH` parts of letters,
digits, `_`, `.` and `-`; none begins with a dot or a hyphen. Two paths must also differ on file
systems that ignore case. No module stands beside a folder of modules of its name: people would read
one of the two, and Python run the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from blake3 import blake3

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Joined, Text

MAGIC: Final = b"secureflow-bundle/1\n"
MAX_BYTES: Final = 10 << 20
"""Most bytes of a packed bundle."""
MAX_FILES: Final = 1000
MAX_LINES: Final = 200_000
"""Most lines of all files."""
MAX_LINE: Final = 2000
"""Most characters of a line."""
_ENCODING: Final = re.compile(rb"coding[:=][ \t]*([-\w.]+)")
_PLAIN: Final = frozenset({b"utf-8", b"utf8", b"ascii", b"us-ascii"})
"""Encodings that read UTF-8 as everybody is shown it."""
MAX_DEPTH: Final = 8
MAX_PART: Final = 64
"""Most characters of one part of a path."""
MAX_PATH: Final = 200
SUFFIXES: Final = (".py", ".json", ".yaml", ".toml", ".txt", ".md")

_PART: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_LINE: Final = re.compile(rb"([!-~]{1,%d}) (0|[1-9][0-9]{0,7})" % MAX_PATH)
_MAX_HEADER: Final = len(MAGIC) + MAX_FILES * (MAX_PATH + 10) + 1


@dataclass(frozen=True)
class Bundle:
    """The files of a bundle: path → content, checked and sorted.

    Raises:
        SecureFlowError: `bundle_refused` naming the first file that breaks a rule.
    """

    files: Mapping[str, bytes]

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", dict(sorted(self.files.items())))
        _check_paths(self.files)
        if (lines := self.lines) > MAX_LINES:
            raise too_many_lines(lines)
        for path, content in self.files.items():
            _check_content(path, content)
        if self.size > MAX_BYTES:
            raise too_long(self.size)

    @property
    def size(self) -> int:
        """Bytes of the packing."""
        return len(_header(self.files)) + sum(map(len, self.files.values()))

    @property
    def lines(self) -> int:
        """Lines of all files."""
        return sum(count_lines(content) for content in self.files.values())

    @cached_property
    def digest(self) -> str:
        """The hex BLAKE3 of the packing."""
        return blake3(pack(self)).hexdigest()

    def text(self, path: str) -> str:
        """Return a file's text."""
        return self.files[path].decode("utf-8")


def pack(bundle: Bundle) -> bytes:
    """Return the one packing of a bundle."""
    return b"".join((_header(bundle.files), *bundle.files.values()))


def unpack(packed: bytes) -> Bundle:
    """Return the bundle of a packing.

    Raises:
        SecureFlowError: `bundle_refused` for everything that `pack` would not have written.
    """
    if len(packed) > MAX_BYTES:
        raise too_long(len(packed))
    if not packed.startswith(MAGIC):
        raise _refused_packing("it does not begin as a bundle does")
    end = packed.find(b"\n\n", len(MAGIC) - 1, _MAX_HEADER)
    if end < 0:
        raise _refused_packing("its list of files has no end")
    lines = packed[len(MAGIC) : end].split(b"\n") if end >= len(MAGIC) else []
    sizes = _sizes(lines)
    if sum(sizes.values()) != len(packed) - end - 2:
        raise _refused_packing("its list of files does not fit its length")
    files, start = {}, end + 2
    for path, size in sizes.items():
        files[path] = packed[start : start + size]
        start += size
    return Bundle(files)


def named_problem(path: str) -> str:
    """Return why a path cannot be in a bundle, or an empty text."""
    parts = path.split("/")
    if len(path) > MAX_PATH or len(parts) > MAX_DEPTH:
        return Text(
            "a path has at most {length} characters and {depth} parts",
            length=MAX_PATH,
            depth=MAX_DEPTH,
        )
    if not all(_PART.fullmatch(part) and len(part) <= MAX_PART for part in parts):
        return Text(
            "a name has letters, digits, _, . and -, begins with none of the last two, and has at "
            "most {length} characters",
            length=MAX_PART,
        )
    if not path.endswith(SUFFIXES):
        return Text("only text belongs in it: {suffixes}", suffixes=Joined(", ", SUFFIXES))
    return ""


def count_lines(content: bytes) -> int:
    """Return how many lines a file has; a last one without a line end counts."""
    return content.count(b"\n") + bool(content and not content.endswith(b"\n"))


def refused(path: str, reason: str) -> SecureFlowError:
    """Return the error for a file that cannot be in a bundle."""
    return SecureFlowError(
        "bundle_refused",
        Text("{file} cannot be in a bundle: {reason}.", file=shown(path[:MAX_PATH]), reason=reason),
        "A bundle is a folder of source text; docs/bundles.md lists what may be in it.",
        {"file": shown(path[:MAX_PATH])},
    )


def too_long(size: int) -> SecureFlowError:
    """Return the error for too many bytes."""
    return SecureFlowError(
        "bundle_refused",
        Text("The bundle has {size} bytes; at most {most} are allowed.", size=size, most=MAX_BYTES),
        "Data and weights do not belong in it: they are data of the owners, or artefacts.",
        {"limit": MAX_BYTES},
    )


def too_many_lines(count: int) -> SecureFlowError:
    """Return the error for more lines than anybody reads."""
    return SecureFlowError(
        "bundle_refused",
        Text(
            "The bundle has {count} lines; at most {most} are allowed.", count=count, most=MAX_LINES
        ),
        "Data and weights do not belong in it: they are data of the owners, or artefacts.",
        {"limit": MAX_LINES},
    )


def _header(files: Mapping[str, bytes]) -> bytes:
    lines = (f"{path} {len(content)}\n" for path, content in files.items())
    return MAGIC + "".join(lines).encode("ascii") + b"\n"


def _sizes(lines: Iterable[bytes]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    last = ""
    for number, line in enumerate(lines):
        found = _LINE.fullmatch(line)
        if found is None or number >= MAX_FILES:
            raise _refused_packing("its list of files is malformed")
        path = found[1].decode("ascii")
        if path <= last:
            raise _refused_packing("its list of files is not sorted")
        sizes[path], last = int(found[2]), path
    return sizes


def _check_paths(files: Iterable[str]) -> None:
    seen: dict[str, str] = {}
    folders: set[str] = set()
    for number, path in enumerate(files):
        if number >= MAX_FILES:
            raise refused(path, Text("it would be more than {most} files", most=MAX_FILES))
        if problem := named_problem(path):
            raise refused(path, problem)
        alike = seen.setdefault(path.lower(), path)
        if alike != path:
            raise refused(path, Text("only case tells it from {other}", other=alike))
        parts = path.lower().split("/")
        folders.update("/".join(parts[:depth]) for depth in range(1, len(parts)))
    if not seen:
        raise _refused_packing("it has no file")
    for taken in folders & seen.keys():
        raise refused(seen[taken], "a folder has the same name")
    for module in _packages(seen) & seen.keys():
        raise refused(seen[module], "a folder of modules has its name: Python runs one of the two")
    _check_folders(seen.values())


def _packages(paths: Iterable[str]) -> set[str]:
    """Return the paths of the modules that would have the name of a folder with modules in it."""
    parts = (path.split("/")[:-1] for path in paths if path.endswith(".py"))
    return {"/".join(one[:depth]) + ".py" for one in parts for depth in range(1, len(one) + 1)}


def _check_folders(paths: Iterable[str]) -> None:
    known: dict[str, str] = {}
    for path in paths:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            folder = "/".join(parts[:depth])
            other = known.setdefault(folder.lower(), folder)
            if other != folder:
                raise refused(path, Text("only case tells it from {other}", other=other))


def _check_content(path: str, content: bytes) -> None:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise refused(path, Text("byte {place} is not UTF-8", place=error.start + 1)) from error
    for unwanted, name in (("\0", "NUL"), ("\r", "CR")):
        if unwanted in text:
            line = text.count("\n", 0, text.index(unwanted)) + 1
            raise refused(path, Text("line {line} holds a {name}", line=line, name=name))
    for number, one in enumerate(text.split("\n"), 1):
        if len(one) > MAX_LINE:
            reason = Text("line {line} has more than {most} characters", line=number, most=MAX_LINE)
            raise refused(path, reason)
    if path.lower().endswith(".py") and (line := _declared(content)):
        raise refused(path, Text("line {line} declares an encoding", line=line))


def _declared(content: bytes) -> int:
    """Return the line that has Python read a file as something other than UTF-8, or 0 (PEP 263).

    People are shown UTF-8. Python takes the declaration of one of the first two lines, where
    `unicode_escape` or `utf-7` make lines of code of what everybody else reads as a comment.
    """
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n", 2)[:2], 1):
        remark = line.lstrip(b" \t\f")
        if remark and not remark.startswith(b"#"):
            break
        found = _ENCODING.search(remark)
        name = found.group(1).lower().replace(b"_", b"-") if found else b"utf-8"
        if name not in _PLAIN and not name.startswith(b"utf-8-"):
            return number
    return 0


def _refused_packing(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "bundle_refused",
        Text("This is not a packed bundle: {reason}.", reason=reason),
        "Pack the folder again: secureflow bundle pack FOLDER.",
    )

"""One set of files has one packing, and a packing that the packer would not write is refused."""

from __future__ import annotations

import io
import tokenize
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.bundles import Bundle, pack, unpack
from secureflow.engines.bundles.format import (
    MAGIC,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_FILES,
    MAX_LINE,
    MAX_LINES,
    SUFFIXES,
)
from secureflow.kit.errors import SecureFlowError

NAMES = st.text("abcXYZ019_-.", min_size=1, max_size=6).map(lambda name: f"n{name}")
PATHS = st.builds(
    lambda parts, suffix: "/".join(parts) + suffix,
    st.lists(NAMES, min_size=1, max_size=MAX_DEPTH),
    st.sampled_from(SUFFIXES),
)
TEXTS = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=40)
FILES = st.dictionaries(PATHS, TEXTS.map(str.encode), min_size=1, max_size=6)
TWO = {"a.py": b"x = 1\n", "b/c.txt": "für\n".encode()}


def accepted(files: dict[str, bytes]) -> Bundle | None:
    try:
        return Bundle(files)
    except SecureFlowError:
        return None  # two names that only case tells apart, or a folder of a file's name


@settings(max_examples=40, deadline=None)
@given(FILES)
def test_what_is_packed_comes_back(files: dict[str, bytes]) -> None:
    bundle = accepted(files)
    if bundle is not None:
        assert dict(unpack(pack(bundle)).files) == files
        assert unpack(pack(bundle)).digest == bundle.digest


@settings(max_examples=40, deadline=None)
@given(FILES, st.randoms())
def test_order_does_not_matter(files: dict[str, bytes], order: object) -> None:
    bundle = accepted(files)
    shuffled = list(files.items())
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    if bundle is not None:
        assert pack(Bundle(dict(shuffled))) == pack(bundle)


@settings(max_examples=40, deadline=None)
@given(FILES, st.data())
def test_a_changed_packing_is_refused_or_is_that_of_other_files(
    files: dict[str, bytes], data: st.DataObject
) -> None:
    bundle = accepted(files)
    if bundle is None:
        return
    packed = bytearray(pack(bundle))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(packed) - 1))
        match data.draw(st.sampled_from(["set", "cut", "add", "drop"])):
            case "set":
                packed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del packed[at:]
            case "add":
                packed[at:at] = data.draw(st.binary(min_size=1, max_size=3))
            case _:
                del packed[at]
        if not packed:
            break
    _refused_or_canonical(bytes(packed))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_canonical(content: bytes) -> None:
    _refused_or_canonical(content)
    _refused_or_canonical(MAGIC + content)


def _refused_or_canonical(packed: bytes) -> None:
    try:
        bundle = unpack(packed)
    except SecureFlowError as error:
        code = error.code
    else:
        code = "bundle_refused" if pack(bundle) == packed else "taken"
    assert code == "bundle_refused"


@pytest.mark.parametrize(
    "other", ["model/__init__.py", "model/deep/part.py", "Model/part.py", "a/b/__init__.py"]
)
def test_no_module_stands_beside_a_folder_of_its_name(other: str) -> None:
    """Python runs one of them, and a reader may look at the other."""
    files = {"model.py": b"", "a/b.py": b"", other: b""}
    packed = b"secureflow-bundle/1\n" + b"".join(b"%s 0\n" % one.encode() for one in sorted(files))
    for made in (lambda: Bundle(files), lambda: unpack(packed + b"\n")):
        with pytest.raises(SecureFlowError) as refusal:
            made()
        assert refusal.value.code == "bundle_refused"
        assert "a folder of modules has its name" in refusal.value.message
    assert Bundle({"model.py": b"", "model/data.json": b"", "a/b.py": b"", "a/c/d.py": b""})


def test_a_packing_is_pinned() -> None:
    packed = b"secureflow-bundle/1\na.py 6\nb/c.txt 5\n\nx = 1\nf\xc3\xbcr\n"
    assert pack(Bundle(TWO)) == packed
    assert Bundle(TWO).digest == (
        "f65ec5f7806a4738bfcdf8a7e94d5a2400e41962e33ba0e6ee1c6fbe505458a7"
    )


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"secureflow-bundle/2\na.py 1\n\nx",
        MAGIC + b"\n",
        MAGIC + b"a.py 1\nx",
        MAGIC + b"a.py 01\n\nx",
        MAGIC + b"a.py +1\n\nx",
        MAGIC + b"a.py 1 \n\nx",
        MAGIC + b"a.py  1\n\nx",
        MAGIC + b"a.py 1\n\nxy",
        MAGIC + b"a.py 2\n\nx",
        MAGIC + b"a.py 99999999\n\nx",
        MAGIC + b"b.py 1\na.py 1\n\nxy",
        MAGIC + b"a.py 1\na.py 1\n\nxy",
        MAGIC + b"A.py 1\na.py 1\n\nxy",
        MAGIC + b"../a.py 1\n\nx",
        MAGIC + b"/a.py 1\n\nx",
        MAGIC + b"a//b.py 1\n\nx",
        MAGIC + b"a/./b.py 1\n\nx",
        MAGIC + b".hidden.py 1\n\nx",
        MAGIC + b"-rf.py 1\n\nx",
        MAGIC + b"a.so 1\n\nx",
        MAGIC + b"a.pyc 1\n\nx",
        MAGIC + b"a\\b.py 1\n\nx",
        MAGIC + b"a.py 1\r\n\nx",
        MAGIC + "ä.py 1\n\nx".encode(),
        MAGIC + b"a.py 2\n\n\xff\xff",
        MAGIC + b"a.py 1\n\n\0",
        MAGIC + b"a.py 1\n\n\r",
        MAGIC + b"a.py 1\na.py/b.py 1\n\nxy",
        MAGIC + b"A/x.py 1\na/y.py 1\n\nxy",
        MAGIC + b"a/" * MAX_DEPTH + b"x.py 1\n\nx",
        MAGIC + b"a" * 65 + b".py 1\n\nx",
    ],
)
def test_what_the_packer_would_not_write(packed: bytes) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        unpack(packed)
    assert refusal.value.code == "bundle_refused"
    assert refusal.value.hint


def test_one_file_more_than_allowed() -> None:
    files = {f"f{number}.py": b"" for number in range(MAX_FILES)}
    assert len(unpack(pack(Bundle(files))).files) == MAX_FILES
    with pytest.raises(SecureFlowError, match="more than"):
        Bundle({**files, "more.py": b""})


def test_one_byte_more_than_allowed() -> None:
    header = len(MAGIC) + len(f"a.txt {MAX_BYTES}\n") + 1
    content = ((b"x" * MAX_LINE + b"\n") * (MAX_BYTES // MAX_LINE))[: MAX_BYTES - header]
    assert len(pack(Bundle({"a.txt": content}))) == MAX_BYTES
    with pytest.raises(SecureFlowError, match="bytes"):
        Bundle({"a.txt": content + b"x"})
    with pytest.raises(SecureFlowError, match="bytes"):
        unpack(b"x" * (MAX_BYTES + 1))


def test_a_list_that_lies_takes_no_memory() -> None:
    lying = MAGIC + b"".join(b"f%03d.py 99999999\n" % number for number in range(MAX_FILES)) + b"\n"
    endless = MAGIC + b"a" * (1 << 20)
    tracemalloc.start()
    try:
        for packed in (lying, endless, MAGIC + b"\n" * (1 << 20)):
            with pytest.raises(SecureFlowError):
                unpack(packed)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_lines_are_bounded() -> None:
    """Who cannot look at code cannot decide about it."""
    most, longest = MAX_LINES, MAX_LINE
    assert Bundle({"a.py": b"\n" * (most - 1), "b.py": b"x" * longest}).lines == most
    assert Bundle({"a.py": ("\u00e9" * longest + "\n" + "x" * longest).encode()})
    for files in (
        {"a.py": b"\n" * most, "b.py": b"x"},
        {"a.py": b"\n" + b"x" * (longest + 1) + b"\n"},
    ):
        with pytest.raises(SecureFlowError) as refusal:
            Bundle(files)
        assert refusal.value.code == "bundle_refused"
        head = "".join(f"{path} {len(content)}\n" for path, content in files.items())
        packing = MAGIC + head.encode() + b"\n" + b"".join(files.values())
        with pytest.raises(SecureFlowError):
            unpack(packing)


HIDDEN = b"seen = 1  # \\x0aseen = 2\n"


@pytest.mark.parametrize(
    ("first", "line"),
    [
        (b"# -*- coding: unicode_escape -*-\n", 1),
        (b"#!/usr/bin/python\n# vim: set fileencoding=unicode-escape :\n", 2),
        (b"\n \t\f#coding=Unicode_Escape\n", 2),
        (b"# coding: = coding:\t unicode_escape\n", 1),
        (b"# coding: latin-1\n", 1),
        (b"# coding: utf-7\n", 1),
    ],
)
def test_code_that_python_would_read_as_something_else_is_refused(first: bytes, line: int) -> None:
    with pytest.raises(SecureFlowError, match=f"line {line} declares an encoding"):
        Bundle({"model.py": first + HIDDEN})
    assert Bundle({"notes.txt": first + HIDDEN}).digest


@pytest.mark.parametrize(
    "first",
    [b"", b"# coding: utf-8\n", b"# vim: fileencoding=UTF_8\n", b"# coding: utf-8-unix\n",
     b"x = 1\n# coding: latin-1\n", b"\n\n# coding: latin-1\n", b"x = 1  # coding: latin-1\n",
     b'"""Its encoding: one-hot."""\n'],
)  # fmt: skip
def test_what_declares_nothing_else_is_read_as_it_is_shown(first: bytes) -> None:
    content = Bundle({"model.py": first + HIDDEN}).files["model.py"]
    names: dict[str, int] = {}
    exec(compile(content, "model.py", "exec"), names)  # as an import does
    assert names["seen"] == 1


@given(
    st.lists(st.sampled_from([" ", "\t", "\f", "#", "coding", ":", "=", "utf-8", "utf_8", "latin-1",
                              "\n", "x", "\\", "\ufeff", "-", "."]), max_size=14)
)  # fmt: skip
def test_python_reads_utf_8_in_every_file_that_is_taken(parts: list[str]) -> None:
    content = "".join(parts).encode()
    try:
        Bundle({"model.py": content})
    except SecureFlowError:
        return
    try:
        name, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    except SyntaxError:
        return  # Python refuses it too
    assert name in {"utf-8", "utf-8-sig"}

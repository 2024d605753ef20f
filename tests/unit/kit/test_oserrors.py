"""The words of the operating system: in both languages, and read in one place."""

from __future__ import annotations

import ast
import errno
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import (
    OTHERS,
    WORDS,
    failed_at,
    reason_below,
    reason_for,
    reason_in,
    reason_of,
)
from secureflow.texts import chinese, told
from tests.texts_in_source import SOURCE

HOME = SOURCE / "kit" / "oserrors.py"


def test_every_word_has_its_chinese() -> None:
    words = {*WORDS.values(), *OTHERS, "it is not text", "timed out"}
    assert not {one for one in words if chinese(one) is None}


def test_linux_says_it_so() -> None:
    assert {code: os.strerror(code) for code in WORDS} == WORDS


def test_a_place_and_its_reason_are_told_in_either_language(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file") as caught:
        (tmp_path / "none").read_text()
    text = failed_at(tmp_path / "none", caught.value)
    assert text == f"{tmp_path}/none: No such file or directory."
    assert told(text, "zh") == f"{tmp_path}/none：没有这个文件或文件夹。"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "No space left on device"),
        (OSError(errno.EACCES, ""), "Permission denied"),
        (OSError(errno.ECONNREFUSED, "Connect call failed ('::1', 9)"), "Connection refused"),
        (FileNotFoundError(2, "there is no such folder"), "there is no such folder"),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (OSError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version"),
         "wrong version"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)"),
         "wrong version number"),
        (ssl.SSLCertVerificationError(
            1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: x (_ssl.c:1006)"),
         "certificate verify failed: x"),
        (ssl.SSLError(1, "[SSL] record layer failure (_ssl.c:2580)"), "record layer failure"),
        (TimeoutError("timed out"), "timed out"),
        (OSError("odd"), "odd"),
        (OSError(), "OSError"),
        (OSError(99999, ""), os.strerror(99999)),
        (UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"), "it is not text"),
    ],
)  # fmt: skip
def test_the_reason_of_an_error(error: OSError | UnicodeError, reason: str) -> None:
    assert reason_of(error) == reason


def test_the_reason_below_a_librarys_error() -> None:
    error = RuntimeError("[Errno 111] Connection refused")
    assert reason_below(error) == "[Errno 111] Connection refused"
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert reason_below(error) == "Connection refused"
    assert reason_below(RuntimeError()) == "RuntimeError"


def test_the_reason_in_any_error() -> None:
    ours = SecureFlowError("malformed_json", "It is not JSON.")
    assert reason_in(ours) == "It is not JSON"
    assert reason_in(OSError(2, os.strerror(2), "x")) == "x: No such file or directory"
    assert reason_in(ValueError("odd")) == "odd"


def _strays(path: Path) -> Iterator[str]:
    """Yield where a file words an error by itself: to raise one of the system's own is its own."""
    if "strerror" not in (text := path.read_text()):
        return
    tree = ast.parse(text)
    raised = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and "strerror" in ast.unparse(inner.func)
        for inner in ast.walk(inner)
    }
    for node in ast.walk(tree):
        named = isinstance(node, ast.Attribute) and node.attr == "strerror"
        quoted = isinstance(node, ast.Constant) and node.value == "strerror"
        if (named or quoted) and id(node) not in raised:
            yield f"{path.relative_to(SOURCE)}:{node.lineno}"


def test_nothing_else_reads_the_systems_words() -> None:
    strays = [one for path in SOURCE.rglob("*.py") if path != HOME for one in _strays(path)]
    assert not strays, "tell people with secureflow.kit.oserrors"
    assert reason_for(errno.ENOENT) == WORDS[errno.ENOENT]

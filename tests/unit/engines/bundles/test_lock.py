"""An environment is named by what its lock pins, not by how the file looks."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.engines.bundles.lock import MAX_BYTES, parse_lock, requirements
from secureflow.kit.errors import SecureFlowError

A, B, C = "a" * 64, "b" * 64, "c" * 64
LOCK = f"""\
# made by a tool
tiny_one==1.0 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
    # via other
other[fast,Small]==2.1+cpu ; python_version < "3.13" and sys_platform == 'linux' \\
    --hash=sha256:{C}
"""


def test_what_is_read() -> None:
    other, tiny = parse_lock(LOCK.encode()).pins
    assert (tiny.name, tiny.version, tiny.hashes) == ("tiny-one", "1.0", (A, B))
    assert (other.version, other.extras) == ("2.1+cpu", ("fast", "small"))
    assert other.marker == "python_version < '3.13' and sys_platform == 'linux'"


def test_the_canonical_form_is_pinned() -> None:
    lock = parse_lock(LOCK.encode())
    assert lock.canonical.decode() == (
        "other[fast,small]==2.1+cpu ; python_version < '3.13' and sys_platform == 'linux' "
        f"sha256:{C}\ntiny-one==1.0 sha256:{A} sha256:{B}\n"
    )
    assert lock.digest == "0aca8b4416e810f13306664a96447c924a6b0d4419f79f7a79cc5785121f5cf9"


@pytest.mark.parametrize(
    "other",
    [
        LOCK.replace("# made by a tool\n", "\n\n# by another\n"),
        LOCK.replace(f"{A} \\\n    --hash=sha256:{B}", f"{B} --hash=sha256:{A}"),
        LOCK.replace("tiny_one", "Tiny.One"),
        LOCK.replace('"3.13"', "'3.13'"),
        LOCK.replace("\n", "\r\n"),
        "\n".join(reversed(LOCK.replace("\\\n", " ").splitlines())) + "\n",
    ],
)
def test_the_look_of_the_file_does_not_matter(other: str) -> None:
    assert other != LOCK
    assert parse_lock(other.encode()).digest == parse_lock(LOCK.encode()).digest


@pytest.mark.parametrize(
    "other",
    [
        LOCK.replace("1.0", "1.1"),
        LOCK.replace(B, C),
        LOCK.replace(f" \\\n    --hash=sha256:{B}", ""),
        LOCK.replace("[fast,Small]", "[fast]"),
        LOCK.replace("3.13", "3.12"),
    ],
)
def test_what_it_pins_does(other: str) -> None:
    assert parse_lock(other.encode()).digest != parse_lock(LOCK.encode()).digest


def test_it_reads_what_it_writes() -> None:
    lock = parse_lock(LOCK.encode())
    assert parse_lock(requirements(lock.pins).encode()) == lock


def test_it_reads_this_projects_own_locks() -> None:
    for path in (Path(__file__).parents[4] / "requirements").glob("*.txt"):
        lock = parse_lock(path.read_bytes())
        assert lock.pins
        assert parse_lock(requirements(lock.pins).encode()) == lock


@pytest.mark.parametrize(
    "line",
    [
        "tiny==1.0",
        f"tiny>=1.0 --hash=sha256:{A}",
        f"tiny==1.* --hash=sha256:{A}",
        f"tiny==1.0,!=2 --hash=sha256:{A}",
        f"tiny --hash=sha256:{A}",
        f"tiny @ file:///tmp/tiny.whl --hash=sha256:{A}",
        f"./tiny.whl --hash=sha256:{A}",
        f"https://x/tiny.whl --hash=sha256:{A}",
        "--index-url https://x.example",
        "--find-links /tmp",
        "-r other.txt",
        "-e .",
        "-c other.txt",
        f"tiny==1.0 --hash=md5:{A[:32]}",
        f"tiny==1.0 --hash=sha256:{A[:63]}",
        f"tiny==1.0 --hash=sha256:{A} --global-option=x",
        f"tiny==1.0 --config-settings=x=y --hash=sha256:{A}",
        f"t\u0456ny==1.0 --hash=sha256:{A}",
        "",
        "# nothing",
    ],
)
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(SecureFlowError) as refusal:
        parse_lock(line.encode())
    assert refusal.value.code == "malformed_lock"
    assert "\n" not in refusal.value.message


def test_bounds() -> None:
    for text in (
        b"#" * (MAX_BYTES + 1),
        b"\xff",
        b"".join(b"p%d==1 --hash=sha256:%s\n" % (n, A.encode()) for n in range(2001)),
    ):
        with pytest.raises(SecureFlowError):
            parse_lock(text)


@pytest.mark.parametrize(
    "line", ["tiny==1.0 ;{}$", "tiny{}==1.0{};{}$", "tiny[{}]==1$", "tiny==1 ;{}("]
)
def test_blanks_without_end_are_read_in_no_time(line: str) -> None:
    began = time.process_time()
    with pytest.raises(SecureFlowError):
        parse_lock(line.replace("{}", " " * 100_000).encode())
    assert time.process_time() - began < 10  # 2,000 of them took twice as long, 100,000 for days


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=60), st.integers(0, len(LOCK)))
def test_any_text_is_refused_or_read(text: str, at: int) -> None:
    for one in (text, LOCK[:at] + text + LOCK[at:]):
        try:
            lock = parse_lock(one.encode())
        except SecureFlowError:
            continue
        assert parse_lock(requirements(lock.pins).encode()) == lock

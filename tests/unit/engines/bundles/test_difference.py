"""A difference is one that `patch` would apply, is bounded, and hides nothing."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secureflow.cli.bundle_view import View
from secureflow.engines.bundles import Bundle, diff, inspect
from secureflow.engines.bundles import difference as under_test
from secureflow.engines.bundles.lines import Work, edit

LINES = st.lists(st.sampled_from("abcd"), max_size=14)


def common(old: list[str], new: list[str]) -> int:
    """The length of the longest common subsequence, by the textbook."""
    row = [0] * (len(new) + 1)
    for one in old:
        above, row = row, [0]
        for at, other in enumerate(new):
            row.append(above[at] + 1 if one == other else max(above[at + 1], row[at]))
    return row[-1]


def played(old: list[str], new: list[str], work: int) -> int:
    steps = edit(old, new, Work(work))
    assert [x for tag, x, _ in steps if tag != "+"] == list(range(len(old)))
    assert [y for tag, _, y in steps if tag != "-"] == list(range(len(new)))
    assert all(old[x] == new[y] for tag, x, y in steps if tag == " ")
    return sum(tag != " " for tag, _, _ in steps)


@settings(max_examples=40, deadline=None)
@given(LINES, LINES)
def test_an_edit_is_the_shortest(old: list[str], new: list[str]) -> None:
    assert played(old, new, 1 << 30) == len(old) + len(new) - 2 * common(old, new)


@settings(max_examples=40, deadline=None)
@given(LINES, LINES, st.integers(0, 30))
def test_an_edit_is_right_also_without_work(old: list[str], new: list[str], work: int) -> None:
    played(old, new, work)


def test_an_edit_stops_when_its_work_is_used_up() -> None:
    work = Work(10_000)
    old, new = [f"a{n}" for n in range(20_000)], [f"b{n}" for n in range(20_000)]
    assert played(old, new, 10_000) == 40_000
    edit(old, new, work)
    assert -10 < work.left < 0


@pytest.mark.parametrize("number", range(12))
def test_git_applies_a_difference(number: int, tmp_path: Path) -> None:
    chosen = random.Random(number)
    texts = ["x = 1", "y = 2", "", "z", "w"]

    def drawn() -> str:
        end = chosen.choice(["", "\n"])
        return "\n".join(chosen.choice(texts) for _ in range(chosen.randrange(1, 30))) + end

    old, new = Bundle({"a.py": drawn().encode()}), Bundle({"a.py": drawn().encode()})
    found = diff(old, new)
    if not found.changes:
        return
    (tmp_path / "a.py").write_bytes(old.files["a.py"])
    patch = "\n".join(found.written()).replace("old/", "a/").replace("new/", "b/") + "\n"
    run = subprocess.run(
        ["git", "apply", "--unidiff-zero", "-"],
        cwd=tmp_path, input=patch.encode(), capture_output=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, (patch, run.stderr)
    assert (tmp_path / "a.py").read_bytes() == new.files["a.py"]
    assert found.added - found.removed == len(_lines(new)) - len(_lines(old))


def _lines(bundle: Bundle) -> list[bytes]:
    return bundle.files["a.py"].splitlines()


def test_files_that_come_go_and_stay() -> None:
    old = Bundle({"gone.py": b"a\nb\n", "same.py": b"s\n", "new.py": b"1\n2\n3\n"})
    new = Bundle({"same.py": b"s\n", "new.py": b"1\ntwo\n3\n", "fresh.txt": b"x"})
    found = {one.path: one for one in diff(old, new).changes}
    assert set(found) == {"gone.py", "new.py", "fresh.txt"}
    assert (found["gone.py"].state, found["gone.py"].added, found["gone.py"].removed) == (
        "removed", 0, 2,
    )  # fmt: skip
    assert (found["fresh.txt"].state, found["fresh.txt"].added) == ("added", 1)
    assert found["new.py"].lines == ("@@ -1,3 +1,3 @@", " 1", "-2", "+two", " 3")
    assert (diff(old, new).added, diff(old, new).removed) == (2, 3)
    assert not diff(new, new).changes


def test_from_nothing_everything_is_new() -> None:
    found = diff(None, Bundle({"a.py": b"x\ny\n"}))
    assert list(found.written()) == ["--- /dev/null", "+++ new/a.py", "@@ -0,0 +1,2 @@", "+x", "+y"]


def test_no_line_of_a_difference_holds_a_hidden_character() -> None:
    nasty = "".join(chr(code) for code in (*range(1, 10), *range(11, 13), *range(14, 32), 0x202E))
    old = Bundle({"a.py": b"x\n"})
    new = Bundle({"a.py": f"x\n\tif y:{nasty}\u200b\u2066\ufeff\n".encode()})
    text = "\n".join(diff(old, new).written())
    assert "\\x1b" in text
    assert "\\u202e" in text
    assert "+    if y:" in text
    assert not [one for one in text if (ord(one) < 32 and one != "\n") or ord(one) > 0x2000]


def test_no_line_of_a_file_looks_like_the_name_of_one() -> None:
    old = Bundle({"a.py": b'"""\n-- old/b.py\n"""\n'})
    new = Bundle({"a.py": b'"""\n++ new/notes.txt\n+++ x\n++\n"""\nevil()\n'})
    shown = list(diff(old, new).written())
    assert [one for one in shown if one.startswith(("--- ", "+++ "))] == shown[:2]
    assert {"-\\x2d- old/b.py", "+\\x2b+ new/notes.txt", "++++ x", "+++"} <= {*shown}


def test_lines_are_written_when_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = diff(None, Bundle({f"f{n}.txt": b"x\n" * 500 for n in range(3)}))
    whole = list(found.written())
    assert found.height == len(whole) == 3 * 503
    asked: list[str] = []
    monkeypatch.setattr(under_test, "written", lambda line: asked.append(line) or line)
    assert list(found.written(700, 710)) == whole[700:710]
    assert len(asked) == 10
    view = View(Bundle({"f.txt": b"x"}), None, found, inspect(Bundle({"f.txt": b"x"})))
    assert (view.page(4)[0], view.page(99)) == (whole[600:800], (whole[1400:], 8))


def test_a_difference_of_hostile_files_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "WORK", 50_000)
    spent: list[int] = []
    taken = Work.take

    def counted(self: Work, amount: int) -> bool:
        spent.append(amount)
        return taken(self, amount)

    monkeypatch.setattr(Work, "take", counted)
    files = {f"f{n}.txt": "\n".join(str(n * k % 97) for k in range(3000)).encode() for n in (3, 7)}
    others = {f"f{n}.txt": "\n".join(str(n * k % 89) for k in range(3000)).encode() for n in (3, 7)}
    found = diff(Bundle(files), Bundle(others))
    assert len(found.changes) == 2
    assert sum(spent) < 60_000

"""What is put aside stays together, however often it is cut off."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.kit.replaced import keep_replaced

FILES = ("a.db", "a.db-wal", "mark")


def filled(folder: Path, text: str = "old", *names: str) -> list[Path]:
    for name in names or FILES:
        (folder / name).write_text(text)
    return [folder / name for name in FILES]


def asides(folder: Path) -> list[dict[str, str]]:
    found = [
        {path.name: path.read_text() for path in aside.iterdir()}
        for aside in folder.glob("before-restore*")
    ]
    return sorted(found, key=str)


def cut_off(folder: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Put aside until so many files have moved."""
    replace, left = Path.replace, [after]

    def step(path: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise OSError("cut off")
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", step)
        with pytest.raises(OSError, match="cut off"):
            keep_replaced(folder, files)


def test_what_is_there_moves_and_what_is_rewritten_is_copied(tmp_path: Path) -> None:
    a, _, mark = filled(tmp_path)
    keep_replaced(tmp_path, [a, tmp_path / "none"], [mark], lambda: mark.write_text("new"))
    assert asides(tmp_path) == [{"a.db": "old", "mark": "old"}]
    assert not a.exists()
    assert mark.read_text() == "new"
    (aside,) = tmp_path.glob("before-restore-*")
    assert aside.stat().st_mode & 0o777 == 0o700


def test_where_there_is_nothing_nothing_is_made(tmp_path: Path) -> None:
    keep_replaced(tmp_path, [tmp_path / "none"], [tmp_path / "none"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("after", range(4))
def test_one_that_was_cut_off_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    files = filled(tmp_path)
    cut_off(tmp_path, files, monkeypatch, after)
    keep_replaced(tmp_path, files)
    assert [one for one in asides(tmp_path) if one] == [dict.fromkeys(FILES, "old")]
    assert not (tmp_path / "before-restore").exists()


def test_what_was_put_there_meanwhile_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = filled(tmp_path)
    cut_off(tmp_path, files, monkeypatch, 2)
    filled(tmp_path, "put back", "a.db")
    keep_replaced(tmp_path, files)
    assert asides(tmp_path) == [
        {"a.db": "old", "a.db-wal": "old"},
        {"a.db": "put back", "mark": "old"},
    ]


def test_a_copy_of_the_first_try_is_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be of what the first try wrote."""
    a, wal, mark = filled(tmp_path)
    replace = Path.replace

    def step(path: Path, target: Path) -> Path:
        if path == wal:
            raise OSError("cut off")
        return replace(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", step)
        with pytest.raises(OSError, match="cut off"):
            keep_replaced(tmp_path, [a, wal], [mark], lambda: mark.write_text("new"))
    keep_replaced(tmp_path, [a, wal], [mark])
    assert asides(tmp_path) == [dict.fromkeys(FILES, "old")]

"""A data folder names the version that wrote it; an older version leaves it alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folder import FILE, check_folder, claim_folder
from secureflow.kit.settings import ProcessSettings
from secureflow.kit.version import __version__


def named(directory: Path) -> str:
    version: str = json.loads((directory / FILE).read_text())["version"]
    return version


def test_a_folder_is_named_by_whoever_uses_it(tmp_path: Path) -> None:
    claim_folder(tmp_path)
    assert named(tmp_path) == __version__
    claim_folder(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(
    ("old", "new"),
    [("0.1.0", "0.1.1"), ("0.1.9", "0.2.0"), ("0.9.0", "0.10.0")],
)
def test_a_newer_version_takes_over_and_the_older_is_refused(
    tmp_path: Path, old: str, new: str
) -> None:
    claim_folder(tmp_path, old)
    claim_folder(tmp_path, new)
    assert named(tmp_path) == new
    with pytest.raises(SecureFlowError) as refused:
        claim_folder(tmp_path, old)
    assert refused.value.code == "data_newer"
    assert new in refused.value.message
    assert named(tmp_path) == new


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", "{}", '{"version": 1}', '{"version": "soon"}', "\udcff", "[" * 4000,
     '{"version": "9.9.9\\u001b[2J"}', '{"version": "9.9.9\\nall is well"}',
     '{"version": "9.9.9 "}', f'{{"version": "9.9.9{"a" * 99}"}}',
     '{"version": "0.0.1"' + " " * 5000 + "}"],
)  # fmt: skip
def test_a_name_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    """It is not taken for a folder without one: that would let an older version in."""
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(SecureFlowError) as refused:
        claim_folder(tmp_path)
    assert refused.value.code == "data_version_malformed"


class Here(ProcessSettings):
    """A process's settings."""

    directory: Path = Path()


def test_whoever_only_reads_is_told_of_a_newer_folder_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"version": "99.0.0"}')
    settings = tmp_path / "here.yaml"
    settings.write_text("a_setting_of_tomorrow: 1")  # it would be called a typing error
    with pytest.raises(SecureFlowError, match=r"SecureFlow 99\.0\.0"):
        Here.load(settings)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "here.yaml").write_text("directory: ..")
    with pytest.raises(SecureFlowError, match=r"SecureFlow 99\.0\.0"):
        Here.load(elsewhere / "here.yaml")
    assert [path.name for path in elsewhere.iterdir()] == ["here.yaml"]
    assert check_folder(elsewhere) == ""

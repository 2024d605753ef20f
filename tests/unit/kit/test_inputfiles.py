"""Files that people write: what a reader would not notice is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_yaml


@pytest.mark.parametrize(
    "text",
    [
        "protection: sealed+secagg\nplan: {rounds: 2}\nprotection: secagg\n",
        "plan: {rounds: 2, rounds: 200}\n",
        '{"name": "a", "name": "b"}',
        "columns: [{age: 1}, {age: 1, 'age': 2}]\n",
    ],
)
def test_a_name_that_stands_twice_is_refused(text: str, tmp_path: Path) -> None:
    """The last one would win: a job would have a weaker protection than its reader saw."""
    path = tmp_path / "job.yaml"
    path.write_text(text)
    with pytest.raises(SecureFlowError) as refused:
        read_yaml(path)
    assert refused.value.code == "invalid_file"
    assert "stands twice" in refused.value.message
    assert "line" in refused.value.message
    assert "string" not in refused.value.message  # the parser's name for what is no file to it


def test_what_stands_once_is_read(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text("a: &x {n: 1e-6, m: 1}\nb: {<<: *x, m: 2}\n? [1, 2]\n: c\n'1': d\n1: e\n")
    with pytest.raises(SecureFlowError) as refused:  # two names that look alike in a job's JSON
        read_yaml(path)
    assert "'1' stands twice" in refused.value.message
    path.write_text("a: &x {n: 1e-6, m: 1}\nb: {<<: *x, m: 2}\n")
    assert read_yaml(path) == {"a": {"n": 1e-6, "m": 1}, "b": {"n": 1e-6, "m": 2}}

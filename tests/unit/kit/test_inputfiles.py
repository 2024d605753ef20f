"""Files that people write: what a reader would not notice is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import NoYamlError, parsed_yaml, read_yaml


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


def repeated(levels: int, first: str, again: str) -> str:
    """Return a text whose values stand for ten times as many on each level."""
    lines = [f"x0: &x0 {first}"]
    lines += [
        f"x{n}: &x{n} {again.format(','.join([f'*x{n - 1}'] * 10))}" for n in range(1, levels)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        repeated(9, "[a,a,a,a,a,a,a,a,a,a]", "[{}]"),
        repeated(9, "{a: 1, b: 2, c: 3}", "{{<<: [{}]}}"),
        "a: &a [*a]",
        "a: &a {b: *a}",
    ],
)
def test_a_short_text_that_stands_for_billions_is_refused(text: str) -> None:
    assert len(text) < 1000
    with pytest.raises(NoYamlError) as refused:
        parsed_yaml(text)
    assert "it repeats itself" in str(refused.value)


def test_a_text_may_repeat_itself() -> None:
    assert len(parsed_yaml(repeated(4, "[a]", "[{}]"))["x3"][9][9][9]) == 1

"""Whoever reads Chinese is told in Chinese, too, how a command line is wrong and what it takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer

from secureflow.cli.main import run
from secureflow.cli.usage import _UsageError, fault_in_chinese, help_in_chinese

ENGLISH = re.compile(r"Usage|Options:|Commands:|Arguments:|Error|Show this|required|default:|Try ")


@pytest.fixture(autouse=True)
def _chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("job", "list", "--nope"), "错误：没有选项 --nope。"),
        (("job", "shw"), "错误：没有命令 shw。是否指 'show'？"),
        (("job", "show"), "错误：缺少参数 job。"),
        (("job", "statistics"), "错误：缺少选项 --project。"),
        (("job", "wait", "x", "--timeout", "y"), "错误：'--timeout' 的值无效：须为数字。"),
        (("demo", "--split", "40"), "的值无效：须不大于 16。"),
        (("demo", "--protection", "none"), "none 不在可选值之中：'sealed'、'secagg'、"),
        (("demo", "--engine", "spu"), "错误：值无效：--engine 不属于场景 training。"),
        (("demo", "--scenario", "psi", "--rounds", "3"), "--rounds 不属于场景 psi。"),
        (("demo", "--positive", "x"), "错误：值无效：--positive 需要 --data 和 --label。"),
        (("job", "list", "a", "b"), "错误：多余的参数：a b。"),
        (("job", "list", "--state"), "错误：选项 --state 需要一个值。"),
        (("job",), "用法：secureflow job"),
    ],
)
def test_a_wrong_command_line_is_told_in_chinese(
    cli: Any, arguments: tuple[str, ...], told: str
) -> None:
    code, out, err = cli(*arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert not ENGLISH.search(err)


def test_a_fault_does_not_name_the_exception_that_found_it(
    cli: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    code, _, err = cli("bundle", "new", "x", "--template", "tensorflow")
    assert code == 2
    assert "Invalid value for '--template': 'tensorflow' is not one of 'numpy'" in err


def test_help_is_chinese_and_on_stdout(cli: Any) -> None:
    code, out, err = cli("job", "show", "--help")
    assert (code, err) == (0, "")
    assert out.startswith("用法：secureflow job show")
    assert "[必填]" in out
    assert not ENGLISH.search(out)


def test_help_is_chinese_where_it_wraps() -> None:
    told = help_in_chinese("  [env var:\n  X; default:\n  agent.yaml]  [env var: Y; default: 7]")
    assert told == "  [环境变量：\n  X; 默认：\n  agent.yaml]  [环境变量：Y; 默认：7]"


def test_what_commands_end_with_is_as_in_english(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("--version")[0] == 0
    for code in (0, 7, 8):
        monkeypatch.setattr("secureflow.agent.edge.main.run", lambda config, code=code, **_: code)
        assert run(["agent", "start"]) == code
    monkeypatch.setattr("secureflow.cli.doctor.report", _aborted)
    monkeypatch.setattr("secureflow.agent.api.doctor", lambda *_: [])
    assert run(["agent", "doctor"]) == 130


def _aborted(*_: object) -> None:
    raise typer.Abort


def test_the_base_of_faults_is_typers_own() -> None:
    assert _UsageError.__name__ == "UsageError"
    assert fault_in_chinese("Nobody knows this.") == "Nobody knows this."

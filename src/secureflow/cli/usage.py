"""Usage and help in Chinese: typer's own texts, which it only has in English."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup

_HELP: Final = (
    (re.compile(r"^Usage: ", re.MULTILINE), "用法："),
    (re.compile(r"^Arguments:$", re.MULTILINE), "参数："),
    (re.compile(r"^Options:$", re.MULTILINE), "选项："),
    (re.compile(r"^Commands:$", re.MULTILINE), "命令："),
    (re.compile(r"Show this message and exit\."), "显示此帮助并退出。"),
    (re.compile(r"Install completion for the current shell\."), "为当前 shell 安装补全。"),
    (
        re.compile(
            r"Show completion for the current shell, to copy it or\s+customize the "
            r"installation\."
        ),
        "显示当前 shell 的补全脚本，供复制或自行安装。",
    ),
    (re.compile(r"\[required\]|(?<=; )required(?=\])"), "[必填]"),
    (re.compile(r"(?<=[\[ ])default:(?: |(?=\n))"), "默认："),
    (re.compile(r"(?<=[\[ ])env var:(?: |(?=\n))"), "环境变量："),
)
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""The exceptions that typer raises for a wrong command line; it does not export them."""
_FAULTS: Final = (
    (r"No such option: (.+?)\.?", "没有选项 {0}。"),
    (r"No such option: (.+?)\.? Did you mean (.+)\?", "没有选项 {0}。是否指 {1}？"),
    (r"No such option: (.+?)\.? \(Possible options: (.+)\)", "没有选项 {0}。是否指 {1}？"),
    (r"No such command '(.+?)'\.", "没有命令 {0}。"),
    (r"No such command '(.+?)'\. Did you mean (.+)\?", "没有命令 {0}。是否指 {1}？"),
    (r"Missing command\.", "缺少命令。"),
    (r"Missing argument '(.+?)'\.", "缺少参数 {0}。"),
    (r"Missing option '(.+?)'\.", "缺少选项 {0}。"),
    (r"Option '(.+?)' requires an argument\.", "选项 {0} 需要一个值。"),
    (r"Option '(.+?)' does not take a value\.", "选项 {0} 不带值。"),
    (r"Got unexpected extra arguments?(?:\(s\))? \((.+)\)", "多余的参数：{0}。"),
    (r"Invalid value for (.+?): (.+)", "{0} 的值无效：{1}"),
    (r"Invalid value: (.+)", "值无效：{0}"),
    (r"'?(.+?)'? is not one of (.+?)\.?", "{0} 不在可选值之中：{1}。"),
    (r"Input should be less than or equal to (\S+)", "须不大于 {0}。"),
    (r"Input should be greater than or equal to (\S+)", "须不小于 {0}。"),
    (r"Input should be a valid (?:number|integer|decimal).*", "须为数字。"),
    (r"Input should be a valid boolean.*", "须为 true 或 false。"),
)


class Commands(TyperGroup):
    """All commands; a fault is told without the name of the exception that found it."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except _UsageError as fault:
            message = str(getattr(fault, "message", ""))
            vars(fault)["message"] = message.removeprefix("Value error, ")
            raise


def run_in_chinese(app: typer.Typer, arguments: list[str], given: object = None) -> int:
    """Run one command with usage, help and usage errors in Chinese.

    `given` is what commands find in their context (`typer.Context.find_object`).

    Returns:
        The exit code; exceptions of the command are passed on.
    """
    helps = "--help" in arguments
    heard = io.StringIO()
    try:
        with contextlib.redirect_stdout(heard) if helps else contextlib.nullcontext():
            code = app(arguments, prog_name="secureflow", standalone_mode=False, obj=given)
    except _UsageError as fault:
        sys.stderr.write(_in_chinese(fault))
        return int(getattr(fault, "exit_code", 2))
    except typer.Abort:
        sys.stderr.write("已中止。\n")
        return 1
    finally:
        sys.stdout.write(help_in_chinese(heard.getvalue()))
    return code if isinstance(code, int) else 0


def help_in_chinese(text: str) -> str:
    """Return a help text with typer's own texts in Chinese."""
    for english, chinese in _HELP:
        text = english.sub(chinese, text)
    return text


def fault_in_chinese(message: str) -> str:
    """Return a usage error in Chinese; an unknown text is returned unchanged."""
    for pattern, chinese in _FAULTS:
        if found := re.fullmatch(pattern, message, re.DOTALL):
            told = [fault_in_chinese(one) for one in found.groups()]
            return chinese.format(*(one.replace("', '", "'、'") for one in told))
    return message


def _in_chinese(fault: BaseException) -> str:
    context = getattr(fault, "ctx", None)
    message = str(getattr(fault, "message", fault))
    if type(fault).__name__ == "NoArgsIsHelpError":
        return help_in_chinese(message) + "\n"
    formed = getattr(fault, "format_message", lambda: message)()
    lines = [f"错误：{fault_in_chinese(formed)}"]
    if context is not None:
        usage = help_in_chinese(context.get_usage())
        lines = [usage, f"帮助：{context.command_path} --help", "", *lines]
    return "\n".join(lines) + "\n"

"""Chinese of the command line: console."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Nobody is there to confirm.": "没有人可以确认。",
    "There is no terminal to ask on.": "没有可供询问的终端。",
    "Nothing was done.": "未做任何操作。",
    "Nothing to show.": "没有可显示的内容。",
    "How to write the result.": "结果的输出格式。",
}

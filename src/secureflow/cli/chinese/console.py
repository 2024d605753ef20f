"""Chinese of the command line: console."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "There is nobody to ask for confirmation.": "没有人可以确认。",
    "Confirm in advance: --yes.": "请事先确认：--yes。",
    "There is no terminal to ask on.": "没有可供询问的终端。",
    "There is no {noun} named {name!r} that you can see.": (
        "您看不到{noun} {name!r}：没有这个名称。"
    ),
    "{count} items are named {name!r}: {listed}.": "有 {count} 个对象名为 {name!r}：{listed}。",
    "Give the id.": "请给出编号。",
    "{name} is {id}.": "{name} 即 {id}。",
    "model": "模型",
    "operator": "运营方",
    "Nothing was done.": "未做任何操作。",
    "Nothing to show.": "没有可显示的内容。",
    "The format of the output.": "结果的输出格式。",
}

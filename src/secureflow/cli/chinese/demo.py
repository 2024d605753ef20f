"""Chinese of the command line: demo."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Train one model with several organisations on this machine.": (
        "在本机上让几家机构共同训练一个模型。"
    ),
    "End a demo that was left running.": "结束仍在运行的演示。",
    "Where the demo keeps its files.": "演示文件的存放目录。",
    "How many organisations.": "机构数量。",
    "At most so many rounds.": "最多训练的轮数。",
    "How single updates are hidden.": "如何隐藏单个更新。",
    "End with one line of JSON.": "最后输出一行 JSON。",
    "Leave the platform running.": "让平台继续运行。",
}

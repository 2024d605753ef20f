"""Chinese of the command line: demo."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Train one model with several organisations on this machine.": (
        "在本机上让几家机构共同训练一个模型。"
    ),
    "End a demo that was left running.": "结束仍在运行的演示。",
    "Where the demo keeps its files.": "演示文件的存放目录。",
    "Your own table instead of UCI Adult: CSV or Parquet.": (
        "用您自己的表代替 UCI Adult：CSV 或 Parquet。"
    ),
    "The column of the table to predict.": "表中要预测的列。",
    "The value of it to predict.": "该列中要预测的值。",
    "Sort by this column and cut, so that the owners' rows differ.": (
        "按此列排序后切分，使各方的数据互不相同。"
    ),
    "--data and --label must be given together.": "--data 与 --label 须同时使用。",
    "--positive needs --data and --label.": "--positive 需要 --data 和 --label。",
    "How many organisations.": "机构数量。",
    "The maximum number of rounds.": "最多训练的轮数。",
    "How single updates are hidden.": "如何隐藏单个更新。",
    "End with one line of JSON.": "最后输出一行 JSON。",
    "Leave the platform running.": "让平台继续运行。",
}

"""Chinese of the command line: data, grants."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Dataset descriptions, and who may use them.": "数据集描述，以及谁可以使用。",
    "List the datasets that you may see.": "列出您可见的数据集。",
    "Show a dataset's declared columns.": "显示数据集声明的列。",
    "Its budget is kept per {unit}; at most {rows} rows of each count.": (
        "其预算以{unit}为单位；每个单位最多计入 {rows} 行。"
    ),
    "record": "记录",
    "person": "个人",
    "Let a project use one of your datasets.": "允许某项目使用您的数据集。",
    "List grants.": "列出授权。",
    "{what} is revoked.": "已撤销 {what}。",
    "Withdraw a grant.": "撤销一项授权。",
    "Id or name of the dataset, or ORGANISATION/NAME.": "数据集编号或名称，或“机构/名称”。",
    "Grant {project} the use of {dataset}?": "允许 {project} 使用 {dataset}？",
    "Only of this project.": "仅限此项目。",
    "Id or name of the project.": "项目编号或名称。",
    "A column; may be repeated. Default: all columns.": "列名，可重复。默认：全部列。",
    "A purpose; may be repeated. Default: any purpose.": "用途，可重复。默认：不限用途。",
    "How long it lasts.": "有效天数。",
    "Id of the grant.": "授权编号。",
}

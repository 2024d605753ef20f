"""The Chinese of a statistics job's report; see `report_texts`."""

from __future__ import annotations

from itertools import product
from typing import Final

_KINDS: Final = {"Gaussian": "高斯", "Laplace": "拉普拉斯"}
_SUMS: Final = {
    "count of rows": "行数",
    "sum": "总和",
    "sum and count of rows": "总和与行数",
    "sum, sum of squares and count of rows": "总和、平方和与行数",
    "count of rows in each cell": "各格行数",
    "counts of rows in each node of a tree over the cells": "格树各节点的行数",
}
_ADDED: Final = {
    "shared out over the parties": "由各方分担",
    "whole at each party": "每一方各加全部噪声",
}

_NOISED: Final[dict[str, str]] = {
    f"discrete {kind} on the {what}, {who}": (
        f"对{_SUMS[what]}加离散{_KINDS[kind]}噪声，{_ADDED[who]}"
    )
    for kind, what, who in product(_KINDS, _SUMS, _ADDED)
}

_SHOWN: Final[dict[str, str]] = {
    "Answers": "答案",
    "Query": "查询",
    "Measure": "统计量",
    "Of": "对象",
    "Answer": "答案",
    "95 % interval": "95% 区间",
    "Standard error": "标准误",
    "Rows of one unit": "每个单位计入的行数",
    "Computed by": "计算库",
    "Each number is noised; the interval holds the answer without noise 95 times in 100. It says "
    "nothing of chance in who is in the data.": (
        "每个数字都加了噪声；区间在 100 次中有 95 次包含不加噪的答案，"
        "但不反映数据中有哪些人这一偶然性。"
    ),
    "count": "计数",
    "sum": "总和",
    "mean": "均值",
    "variance": "方差",
    "histogram": "直方图",
    "quantile": "分位数",
    "statistics": "统计",
    "too_few_rows": "行数过少",
    "its own rows, its own noised sums, the answers": "自己的数据行、自己加噪的总和，以及答案",
    "the answers": "答案",
    "the report is the project's": "报告属于项目",
    "the noised total over the contributors; never a party's sums": (
        "各贡献方加噪后的总和；永远看不到单方的总和"
    ),
    "sums are masked: only the total of a certified set can be opened": (
        "总和已加掩码：只有经认证集合的合计可以打开"
    ),
    "masked bytes, sizes and times": "加掩码的字节、大小与时间",
    "TLS 1.3": "TLS 1.3",
    "whoever has the answers": "持有答案的人",
    "how many rows have a value, exactly, in each column asked": "所问的每一列中有值的行的准确数目",
    "local noise hides which value a cell has, not that there is a row nor that a cell is empty": (
        "本地噪声只隐藏单元格取何值，不隐藏某行的存在，也不隐藏某个单元格为空"
    ),
    "what noised totals can tell about rows": "加噪总和可能透露的行信息",
    "bounded by differential privacy per person": "以个人为单位的差分隐私加以限制",
    "the operator reads a single party's sums": "运营方读取单方的总和",
    "the analyst names bounds under which one row weighs more than the noise hides": (
        "分析者指定范围，使一行的分量超过噪声所能隐藏"
    ),
    "bounds and rows per unit are the owners'; each agent compares them with its own": (
        "范围与每单位行数由数据所有者决定；各代理都与自己的声明核对"
    ),
    "two totals over sets that differ in one party are subtracted": (
        "将仅相差一方的两个集合的总和相减"
    ),
    "the noise hides any record of the difference, not the party's figures as a whole": (
        "噪声隐藏差值中的任何一条记录，但不隐藏该方的整体数字"
    ),
    "the noise hides any person of the difference, not the party's figures as a whole": (
        "噪声隐藏差值中的任何一个人，但不隐藏该方的整体数字"
    ),
    "the operator adds invented parties and keeps one real one": (
        "运营方添加虚构的参与方，只留一个真实方"
    ),
    "somebody tells from the answers whether a record was in the data": (
        "从答案推断某条记录是否在数据中"
    ),
    "somebody tells from the answers whether a person was in the data": (
        "从答案推断某人是否在数据中"
    ),
    "bounded by ε; a person with rows at several owners less": (
        "以 ε 为界；在多个所有者处有数据的人保护较弱"
    ),
    "bounded by ε; a person with many records is protected less": (
        "以 ε 为界；记录较多的人保护较弱"
    ),
    "a question is asked again to average its noise away": "重复提问以平均掉噪声",
    "another job is charged again; in this one each agent sends the sums that it stored": (
        "新的任务会再次扣减预算；在本任务中，各代理只发送已保存的总和"
    ),
    "a contributor sends false sums": "贡献方发送虚假的总和",
    "masked sums cannot be inspected: who contributed is on record": (
        "加掩码的总和无法检查：但谁作了贡献有记录"
    ),
    "k-ary randomised response of each value": "对每个取值作 k 元随机应答",
    "discrete Laplace on each value, before it is summed": "求和之前对每个取值加离散拉普拉斯噪声",
    "not hidden: local noise hides which value a cell has, not that it has one": (
        "未隐藏：本地噪声隐藏单元格取何值，不隐藏它是否有值"
    ),
    "number of rows with a value": "有取值的行数",
    "how many parties contributed": "贡献方的数目",
    "public": "公开",
}

STATISTICS: Final[dict[str, str]] = _NOISED | _SHOWN

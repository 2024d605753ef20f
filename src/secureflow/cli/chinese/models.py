"""Chinese of the command line: models."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "noised": "已加噪",
    "none": "无",
    "± covers the value without noise 95 times in 100; the row count has noise too.": (
        "无噪声的真值有 95% 的可能落在 ± 范围内；行数同样加了噪声。"
    ),
    "{family}: how likely is {column} = {positive}": "{family}：{column} = {positive} 的可能性",
    " and {count} more": " 等，另有 {count} 个",
    "no differential privacy": "未使用差分隐私",
    "ε = {epsilon:g}, δ = {delta:g} for each {unit}; {mechanism}, noise by {noise}": (
        "ε = {epsilon:g}，δ = {delta:g}，以{unit}为单位；{mechanism}，加噪位置：{noise}"
    ),
    "{run} of {planned} rounds": "已运行 {run} 轮，计划 {planned} 轮",
    "Released models.": "已发布的模型。",
    "List models.": "列出模型。",
    "Show one model.": "显示一个模型。",
    "Show a model's card.": "显示模型卡片。",
    "Write a model's parameters and card, checked by digest.": "下载模型参数与卡片，并按摘要校验。",
    "Predict rows of a CSV file with a downloaded model.": "用已下载的模型预测 CSV 文件中的各行。",
    "Id or name of the model, or NAME@VERSION.": "模型编号或名称，或“名称@版本”。",
    "Row {row}, column {name}: {text!r} is not a number.": (
        "第 {row} 行、列 {name}：{text!r} 不是数字。"
    ),
    "File to write (safetensors).": "要写入的文件（safetensors）。",
    "Model file, as `model download` wrote it.": "由 `model download` 写出的模型文件。",
    "CSV file with a header line.": "带表头的 CSV 文件。",
}

"""The report's Chinese: English text → Chinese text. What is missing is shown in English."""

from __future__ import annotations

import re
from typing import Final

from secureflow.application.reports.disclosure_texts import DISCLOSED
from secureflow.application.reports.statistics_texts import STATISTICS

_SHARED: Final[dict[str, str]] = {
    # headings and labels
    "Job report": "任务报告",
    "Outcome": "结果",
    "Model": "模型",
    "Metrics": "指标",
    "noised": "已加噪",
    "Differential privacy put noise on these figures, the row count too. What they are without "
    "noise lies within ± 95 times in 100.": (
        "差分隐私给这些数值（包括行数）加了噪声；无噪声的真值有 95% 的可能落在 ± 范围内。"
    ),
    "Rounds": "各轮",
    "Contributions": "各方贡献",
    "Who could see what": "谁能看到什么",
    "Trusted execution": "可信执行环境",
    "Ledger": "账本",
    "Dropouts": "掉线记录",
    "Every round": "逐轮数据",
    "Nobody dropped out.": "没有任何一方掉线。",
    "Job": "任务",
    "Purpose": "用途",
    "Started": "开始",
    "Finished": "结束",
    "Protection": "保护方式",
    "Rounds run": "完成轮数",
    "stopped early: the validation loss no longer fell": "提前停止：验证损失不再下降",
    "Spec digest": "任务规格摘要",
    "Enclave starts": "飞地启动次数",
    "Model id": "模型编号",
    "Version": "版本",
    "Digest (BLAKE3 of the parameters)": "摘要（参数的 BLAKE3）",
    "Party": "参与方",
    "Rounds contributed": "参与轮数",
    "Rows": "行数",
    "Share of rows": "行数占比",
    "Who": "谁",
    "Sees": "能看到",
    "Why": "原因",
    "Round": "轮次",
    "Stage": "阶段",
    "Reason": "原因说明",
    "Log size": "日志条数",
    "Cosigned by": "联署方",
    "Quorum": "法定联署数",
    "Signed head": "已签名的日志头",
    "How to verify this yourself": "如何自行验证",
    "Export the bundle, then check every signature, chain, proof and cosignature offline against "
    "the charter that you pinned:": (
        "导出审计包，然后用您已钉定的章程离线核对每个签名、链、证明与联署："
    ),
    "Without your own charter the answer is only “consistent, unauthenticated”.": (
        "没有您自己的章程时，结论只能是“自洽但未认证”。"
    ),
    "The TEE is SIMULATED. It protects nothing from whoever runs the machine: use it to rehearse, "
    "never with data that matters.": (
        "该可信执行环境为“模拟”（SIMULATED），对运行机器的人不提供任何保护："
        "只可用于演练，切勿用于重要数据。"
    ),
    "Each agent verified the enclave's evidence itself before it sealed anything to it.": (
        "每个代理在向飞地密封任何内容之前，都已自行验证其证据。"
    ),
    # states, metrics, columns
    "succeeded": "成功",
    "failed": "失败",
    "cancelled": "已取消",
    "loss": "损失",
    "accuracy": "准确率",
    "auc": "AUC",
    "rows": "行数",
    "round": "轮次",
    "survivors": "贡献方数",
    "seconds": "秒",
    "moments": "统计矩",
    "train": "训练",
    "evaluate": "评估",
    "sealed": "密封到飞地",
    "secagg": "安全聚合",
    "sealed+secagg": "密封 + 安全聚合",
    # engines.training.disclosure
    "owner": "数据所有者",
    "other parties": "其他参与方",
    "operator": "运营方",
    "enclave": "飞地",
    "network": "网络",
    "whoever has the model": "持有模型的人",
    "its own rows, its own updates, every released model and sum": (
        "自己的数据行、自己的更新，以及每个已发布的模型与总和"
    ),
    "they are its own": "属于自己",
    "the plan says so": "计划如此规定",
    "row counts, sums of metrics, the final model; no intermediate model": (
        "行数、指标总和与最终模型；看不到中间模型"
    ),
    "row counts, sums of metrics, every round's model; never an update": (
        "行数、指标总和与每一轮的模型；永远看不到单个更新"
    ),
    "updates are sealed to the enclave, past the server": "更新密封到飞地，不经服务器解密",
    "single updates, in memory, while it folds them": "聚合期间内存中的单个更新",
    "it must add them up": "它必须把它们相加",
    "TLS 1.3 and HPKE seals": "TLS 1.3 与 HPKE 密封",
    "everything that the enclave sees, if it cheats": "如果作弊，可看到飞地所见的一切",
    "the TEE is SIMULATED: it protects nothing from whoever runs the machine": (
        "该 TEE 为模拟：对运行机器的人不提供任何保护"
    ),
    "what a model can tell about rows (membership, outliers)": (
        "模型本身可能透露的行信息（成员身份、离群值）"
    ),
    "there is no differential privacy in this job": "本任务未使用差分隐私",
    "the final model, noised; no row count, no metric, no intermediate model": (
        "加噪的最终模型；看不到行数、指标与中间模型"
    ),
    "every round's model, noised; no row count, no metric, never an update": (
        "每一轮加噪后的模型；看不到行数与指标，永远看不到单个更新"
    ),
    "the final model, noised; no row count, final metrics with noise, no intermediate model": (
        "加噪的最终模型与加噪的最终指标；看不到行数与中间模型"
    ),
    "every round's model, noised; no row count, final metrics with noise, never an update": (
        "每一轮加噪后的模型与加噪的最终指标；看不到行数，永远看不到单个更新"
    ),
    "updates are masked: only the sum of a certified set can be opened": (
        "更新已加掩码：只有经认证的集合之和可以打开"
    ),
    "updates are masked, and sealed to the enclave past the server": (
        "更新已加掩码，并密封到飞地，不经服务器解密"
    ),
    "masked updates and their sum": "加掩码的更新及其总和",
    "masks cancel only in the sum": "掩码只在总和中抵消",
    "single updates, noised by their party": "由各方自行加噪的单个更新",
    "each party noises its own": "各方自行加噪",
    "bounded by differential privacy per record": "以记录为单位的差分隐私加以限制",
    "bounded by differential privacy per party": "以参与方为单位的差分隐私加以限制",
    "What is stopped": "挡住了哪些攻击",
    "Attack": "攻击",
    "Stopped": "是否挡住",
    "yes": "是",
    "no": "否",
    "partly": "部分",
    "Differential privacy": "差分隐私",
    "Unit": "保护单位",
    "Mechanism": "机制",
    "Noise added by": "加噪位置",
    "ε spent": "已消耗 ε",
    "ε by privacy loss distribution": "按隐私损失分布计算的 ε",
    "Noise multiplier": "噪声倍数",
    "Clipping norm": "裁剪范数",
    "Sampling rate": "采样率",
    "Released": "发布内容",
}

_NUMBER = re.compile(r"\d+")

CHINESE: Final[dict[str, str]] = _SHARED | DISCLOSED | STATISTICS


def translated(text: str) -> str | None:
    """Return the Chinese of a text; numbers in it stand as `#` in the table, in their order."""
    if text in CHINESE:
        return CHINESE[text]
    numbers = iter(_NUMBER.findall(text))
    chinese = CHINESE.get(_NUMBER.sub("#", text))
    return None if chinese is None else re.sub("#", lambda _: next(numbers), chinese)

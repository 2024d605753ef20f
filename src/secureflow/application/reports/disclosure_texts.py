"""The Chinese of what explanations say: sights, attacks, releases, reasons of a dropout.

A number in a text stands as `#`. `engines.*.disclosure` and `engines.*.charges` write the English.
"""

from __future__ import annotations

from typing import Final

_BUT = "，但挡不住运营方：加噪的 TEE 为模拟"

DISCLOSED: Final[dict[str, str]] = {
    # who sees what
    "released models and sums over the contributors, and who they are": (
        "已发布的模型、对各贡献方的总和，以及贡献方是谁"
    ),
    "who takes part, when, and how fast": "谁参与、何时参与、多快完成",
    "it carries the requests": "请求由它传递",
    "each of the two parties": "两方中的每一方",
    "the other's contribution to every sum": "对方对每个总和的贡献",
    "it is the sum less its own": "总和减去自己的那一份即可得出",
    "the other's contribution with its noise": "对方加噪后的贡献",
    "it is the sum less its own; differential privacy bounds what it tells": (
        "总和减去自己的那一份即可得出；差分隐私限制了它能透露的内容"
    ),
    "encrypted bytes, sizes and times": "加密后的字节、大小与时间",
    "TLS 1.3, and updates are masked": "TLS 1.3，且更新已加掩码",
    "TLS 1.3, HPKE seals, and masks under them": "TLS 1.3 与 HPKE 密封，其内还有掩码",
    "row counts, sums of metrics and of columns (moments), every round's model; never an update": (
        "行数、指标与各列（统计矩）的总和、每一轮的模型；永远看不到单个更新"
    ),
    "row counts, sums of metrics and of columns (moments), the final model; "
    "no intermediate model": "行数、指标与各列（统计矩）的总和、最终模型；看不到中间模型",
    "the total row count, sums of metrics, every round's model; never an update, "
    "no row count of a party": (
        "总行数、指标总和与每一轮的模型；永远看不到单个更新，也看不到单方的行数"
    ),
    "the total row count, sums of metrics and of columns (moments), every round's model; "
    "never an update, no row count of a party": (
        "总行数、指标与各列（统计矩）的总和、每一轮的模型；永远看不到单个更新，也看不到单方的行数"
    ),
    "every round's model and clipping norm, noised; no row count, no metric, never an update": (
        "每一轮加噪后的模型与裁剪范数；看不到行数与指标，永远看不到单个更新"
    ),
    "bounded by differential privacy per record, but not from the operator: the TEE that adds "
    "the noise is SIMULATED": "以记录为单位的差分隐私加以限制" + _BUT,
    "bounded by differential privacy per party, but not from the operator: the TEE that adds "
    "the noise is SIMULATED": "以参与方为单位的差分隐私加以限制" + _BUT,
    # attacks
    "the operator reads a single update": "运营方读取单个更新",
    "it is masked; only a certified sum opens": "它已加掩码；只有经认证的总和可以打开",
    "no enclave is admitted yet: its TEE decides": "尚未接纳任何飞地：取决于其 TEE",
    "the TEE is SIMULATED": "该 TEE 为模拟",
    "the TEE is SIMULATED, but each update carries its party's own noise": (
        "该 TEE 为模拟，但每个更新都带有该方自己的噪声"
    ),
    "it is sealed to an enclave that each agent verified itself": (
        "它被密封到每个代理都自行验证过的飞地"
    ),
    "two sums over sets that differ in one party are subtracted": "将只差一方的两个集合之和相减",
    "one certified set per round, but another job may have another roster": (
        "每轮只有一个经认证的集合，但另一任务可能有另一份名单"
    ),
    "the noise hides a whole party": "噪声隐藏整个参与方",
    "the noise hides a whole party, but not from the operator: the TEE that adds the noise is "
    "SIMULATED": "噪声隐藏整个参与方" + _BUT,
    "the noise hides any record of the difference, not the party's trend": (
        "噪声隐藏差值中的任一记录，不隐藏该方的趋势"
    ),
    "the noise hides any record of the difference, not the party's trend, but not from the "
    "operator: the TEE that adds the noise is SIMULATED": (
        "噪声隐藏差值中的任一记录，不隐藏该方的趋势" + _BUT
    ),
    "the roster is pinned members only, and # of # must contribute": (
        "名单只含已钉定的成员，且须有 # 方（共 # 方）贡献"
    ),
    "somebody tells from the model whether a record was in the data": (
        "有人由模型判断某条记录是否在数据中"
    ),
    "bounded by ε, but not from the operator: the TEE that adds the noise is SIMULATED": (
        "由 ε 限制" + _BUT
    ),
    "bounded by ε for everything of a party": "对一方的全部数据由 ε 限制",
    "a round is repeated to average its noise away": "重复一轮以平均掉噪声",
    "there is no noise in this job": "本任务没有噪声",
    "the noise follows from the parties' seeds: repeated, it is the same": (
        "噪声由各方的种子导出：重复时相同"
    ),
    "parties that collude subtract their own noise from what is released": (
        "合谋的各方从发布结果中减去自己的噪声"
    ),
    "the shares of the # honest parties that every sum holds make up the noise; more than # "
    "colluders get below": (
        "每个总和所含的 # 个诚实方的份额已构成全部噪声；合谋方多于 # 个时噪声不足"
    ),
    "each party's own noise is the whole noise": "每一方自己的噪声就是全部噪声",
    "the enclave draws the noise from a seed of every contributor": (
        "飞地由每个贡献方的种子生成噪声"
    ),
    "a contributor sends a harmful update": "某贡献方发送有害的更新",
    "agents refuse a sum beyond the spec's caps; single updates cannot be inspected": (
        "代理拒绝超出规格上限的总和；单个更新无法检查"
    ),
    "its norm is bounded; a small steady bias is not noticed": (
        "其范数受限；细小而持续的偏差不会被察觉"
    ),
    # what is released
    "model of each round": "每一轮的模型",
    "clipping norm of each round": "每一轮的裁剪范数",
    "weight": "权重",
    "standardisation": "标准化",
    "denominator": "分母",
    "number of rounds": "轮数",
    "metrics of the final model": "最终模型的指标",
    "metrics, row counts": "指标、行数",
    "row counts": "行数",
    "declared bounds": "声明的范围",
    "declared in the spec": "在规格中声明",
    "fixed in the spec": "由规格固定",
    "public constant": "公开常数",
    "not released": "不发布",
    "discrete Gaussian on each local step's clipped gradient sum": (
        "对每个本地步的裁剪梯度之和加离散高斯噪声"
    ),
    "discrete Gaussian on the clipped gradient sum": "对裁剪梯度之和加离散高斯噪声",
    "discrete Gaussian on the clipped sum of the parties' changes": (
        "对各方裁剪后变化之和加离散高斯噪声"
    ),
    "discrete Gaussian on the sum of the parties' bits, charged with the model": (
        "对各方比特之和加离散高斯噪声，与模型一并计费"
    ),
    "discrete Gaussian on rows, losses, hits and score bins of the validation rows": (
        "对验证行的行数、损失、命中数与分数直方图加离散高斯噪声"
    ),
    # labels and values of the privacy section
    "record": "记录",
    "party": "参与方",
    "person": "个人",
    "local": "各方本地",
    "shared": "各方分担",
    "epsilon": "ε",
    "No enclave took part: the masks alone protect the updates.": (
        "没有飞地参与：更新仅由掩码保护。"
    ),
    # why parties drop out
    "setup": "密钥准备",
    "advance": "密钥更新",
    "admit": "接纳飞地",
    "party_silent": "无响应",
    "malformed_frame": "消息格式错误",
    "malformed_reply": "答复格式错误",
    "vector_missing": "向量未送达",
    "share_mismatch": "份额错误",
    "not_admitted": "未接纳飞地",
    "enclave_lost": "飞地丢失",
    "attestation_expired": "证明已过期",
    "head_not_cosigned": "日志头未获足够联署",
}

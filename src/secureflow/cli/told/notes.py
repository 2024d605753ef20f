"""Chinese of the remarks of a dry run (`application.jobs`)."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "{} has no link to this server: it is connected to the server {}. A job that is submitted "
    "here waits for it; submit it at that server.": (
        "{0} 与本服务器没有链路：它连到了服务器 {1}。在此提交的任务会等待它；请在那台服务器上提交。"
    ),
    "{} has no link to this server. A job waits for its consent until it connects; once it runs, "
    "it waits only for the `patience_seconds` of its spec.": (
        "{0} 与本服务器没有链路。任务会等它连入并表示同意；"
        "开始运行后，只等待任务规格中的 `patience_seconds` 秒。"
    ),
    "A round needs all {} contributors: it does not survive a dropout.": (
        "每一轮都需要全部 {0} 个贡献方：任何一方掉线都无法继续。"
    ),
    "There are two parties: each of them can compute the other's contribution, which is the sum "
    "minus its own. Each owner's own settings must accept that for this dataset and this partner "
    "(consent.two_party), or its agent refuses the job.": (
        "只有两方：总和减去自己的那一份，就能算出对方的贡献。"
        "双方数据所有者都须在自己的设置（consent.two_party）中，针对此数据集和此伙伴接受这一点，"
        "否则其代理会拒绝该任务。"
    ),
    "There are two parties: each of them sees the other's contribution with its noise, which is "
    "the sum minus its own. Differential privacy bounds what that reveals.": (
        "只有两方：总和减去自己的那一份，就能看到对方加噪后的贡献。差分隐私限制了它能透露的内容。"
    ),
    "The sum needs all {} contributors: it does not survive a dropout.": (
        "求和需要全部 {0} 个贡献方：任何一方掉线都无法继续。"
    ),
    "Updates are only as safe as the enclave: check its attestation verdict.": (
        "更新的安全取决于飞地：请查看其远程证明结论。"
    ),
    "Without differential privacy, sums over rosters that differ in few parties reveal the "
    "difference.": "未使用差分隐私时，名单只差少数几方的多个总和会泄露其差值。",
    "{} declares values of {} that the job does not list: {}.": (
        "{0} 声明的 {1} 含有任务未列出的取值：{2}。"
    ),
    "Local noise hides which value a cell has: in how many rows a column is filled is revealed "
    "exactly, and so is whether a certain row's cell is empty.": (
        "本地噪声只隐藏单元格取何值：某列有多少行有值会被准确透露，因此某行的单元格是否为空也会被透露。"
    ),
    "The unit is a record: a person with many records is protected less.": (
        "保护单位是记录：拥有多条记录的人得到的保护较弱。"
    ),
    "A person with rows at several owners is protected less: the owners do not link identities.": (
        "在多个数据所有者处都有数据的人得到的保护较弱：各方之间不关联身份。"
    ),
    "{} declares {} within {}; the noise fits the widest bounds of all, {}.": (
        "{0} 声明 {1} 在 {2} 内；噪声按其中最宽的范围 {3} 计算。"
    ),
    "ε by privacy loss distribution was left out: with so little noise, or so many releases, it is "
    "too large to compute. ε by {} is an upper bound.": (
        "未给出按隐私损失分布计算的 ε：噪声太小或发布次数太多，计算量过大。按 {0} 计算的 ε 是上界。"
    ),
    "{} declares {} within {}; the job uses {}.": "{0} 声明 {1} 在 {2} 内；该任务取 {3}。",
    "{} declares no bounds for {}; the job uses {}.": "{0} 没有为 {1} 声明范围；该任务取 {2}。",
}

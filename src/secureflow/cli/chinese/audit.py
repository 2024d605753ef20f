"""Chinese of the command line: audit, ledger."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Read the ledger, and verify a job's record offline.": "查看账本，并离线验证任务全过程。",
    "Show the newest signed head.": "显示最新的已签名日志头。",
    "List entries of the log.": "列出日志条目。",
    "Written to {path}.": "已写入 {path}。",
    "Write a job's audit bundle.": "导出任务的审计包。",
    "Give the charter that you pinned: --charter FILE.": "请给出您钉定的章程：--charter FILE。",
    "The bundle is not verified: {status}.": "审计包未通过验证：{status}。",
    "Verify a bundle offline; exit code 7 unless it is complete and authentic.": (
        "离线验证审计包；不完整或不真实则退出码为 7。"
    ),
    "Verified: every entry is signed, chained, included and cosigned, and no end is cut.": (
        "验证通过：每个条目均已签名、成链、收录并联署，且没有任何一方的结尾被截去。"
    ),
    "Leaves that a party kept (agent leaves JOB -o json): are they in it?": (
        "某参与方自己保存的叶子（agent leaves JOB -o json）：审计包中有没有？"
    ),
    "Digest of the spec that you approved: is the bundle about it?": (
        "您所批准规格的摘要：审计包说的是它吗？"
    ),
    "accuses": "指控",
    "Keep it: show it to the other members, and ask the operator for another.": (
        "请保留此审计包，给其他成员看，并向运营方另要一份。"
    ),
    "If the job has ended, export it again when its members are online.": (
        "若任务已结束，请在成员在线时重新导出。"
    ),
    "verified": "验证通过",
    "unfinished": "未完结",
    "broken": "有矛盾",
    "consistent, unauthenticated": "自洽但未经认证",
    "outcome": "结果",
    "leaves": "叶子数",
    "leaf": "叶子",
    "last": "最后的叶子",
    "ended": "结尾",
    "later": "此后所签",
    "signed its end": "已签署结尾",
    "the centre's word": "仅凭协调中心所言",
    "signed its end later, when it was back": "回来后补签了结尾",
    "would show": "会显现",
    "not provable": "无法证明",
    "held": "自存叶子",
    "in the story": "在审计包中",
    "contradicts": "相矛盾",
    "foreign": "不属于此任务",
    "proved": "已证明收录",
    "First index.": "起始序号。",
    "Id or name of the job.": "任务编号或名称。",
    "File to write.": "要写入的文件。",
    "Audit bundle (JSON).": "审计包（JSON）。",
    "The charter that you pinned (JSON file).": "您钉定的章程（JSON 文件）。",
    "Heads and proofs of the transparency log (RFC 9162, C2SP checkpoints).": (
        "透明日志的日志头与证明（RFC 9162、C2SP 检查点）。"
    ),
    "Write the newest signed checkpoint.": "输出最新的已签名检查点。",
    "The proof is valid.": "证明成立。",
    "Prove that an entry is in the log.": "证明某条目已收录在日志中。",
    "Prove that the log only grew between two sizes.": "证明日志在两次之间只增不改。",
    "The log has no entry {index}.": "日志中没有第 {index} 条。",
    "The inclusion proof is not valid.": "收录证明不成立。",
    "The log was rewritten: its head does not extend the one that you kept.": (
        "日志被改写：其日志头并非您所保存者的延伸。"
    ),
    "Keep both heads: two conflicting signed heads are proof of fraud.": (
        "请保留两个日志头：互相矛盾的已签名日志头就是作弊的证据。"
    ),
    "Without --charter the log's own key is not checked.": (
        "未给出 --charter，不核对日志自身的密钥。"
    ),
    "The head is not signed by the log of your charter.": "该日志头不是由您章程中的日志签名的。",
    "Ask the operator; do not trust this server until it is explained.": (
        "请询问运营方；弄清之前不要信任此服务器。"
    ),
    "The server sent no hash.": "服务器返回的不是哈希值。",
    "Index of the entry.": "条目序号。",
    "File with a checkpoint that you kept earlier.": "存放以前所保存检查点的文件。",
    "Gap: the log {origin} was set back from {size} entries to {start} ({lost} lost) and "
    "continues as {name} since {when}; signed by {signed} of {members} members: {who}.": (
        "缺口：日志 {origin} 由 {size} 条回退到 {start} 条（丢失 {lost} 条），"
        "以 {name} 继续，自 {when} 起；已签名 {signed}/{members} 个成员：{who}。"
    ),
}

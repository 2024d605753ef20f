"""Chinese of what is said where a log or a record was set back."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # engines.ledger.setback
    "The centre was restored from a backup: its log {} of {} entries signs nothing until every "
    "member's agent has shown its newest head. Not yet: {}.": (
        "中心由备份恢复：在每个成员的代理出示其最新检查点之前，"
        "其日志 {0}（{1} 条）不签名。尚未出示：{2}。"
    ),
    "Have them start their agents. Where one holds a newer head: {}.": (
        "请他们启动各自的代理。若有代理持有更新的检查点：{0}。"
    ),
    "The log {} was set back: {} its head of size {}, and the log has {} entries now{}. {} entries "
    "are lost. It signs nothing.": (
        "日志 {0} 被退回：{1} 大小为 {2} 的检查点，而日志现有 {3} 条{4}。丢失 {5} 条。它不签名。"
    ),
    "{} holds": "{0} 持有",
    "it signed": "它签署过",
    "Put the newest database back and start the server again. If that is gone, the members can let "
    "the log go on under a new name: {}.": (
        "请放回最新的数据库并重新启动服务器。若它已丢失，成员可让日志以新名称继续：{0}。"
    ),
    # agent.headwatch
    "The centre's log {} was set back: it has {} entries, and this agent holds its signed head of "
    "size {}. {} entries are lost.": (
        "中心的日志 {0} 被退回：它现有 {1} 条，"
        "而本代理持有它签署的大小为 {2} 的检查点。丢失 {3} 条。"
    ),
    "Nothing of yours is lost. Ask the operator to put the newest database back; if it is gone, "
    "the members let the log go on: secureflow agent charter show.": (
        "您的记录没有丢失。请运营方放回最新的数据库；若它已丢失，"
        "由成员让日志继续：secureflow agent charter show。"
    ),
    # agent.doctor
    "the centre does not tell": "中心未告知",
    "{} of its {} entries were seen": "其 {1} 条中已见 {0} 条",
}

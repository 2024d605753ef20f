"""Chinese of what is said where a log or a record was set back."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # engines.ledger.setback
    "The centre was restored from a backup: its log {} of {} entries signs nothing until every "
    "member's agent has shown its newest head. Not yet: {}.": (
        "协调中心由备份恢复：在每个成员的代理出示其最新日志头之前，"
        "其日志 {0}（{1} 条）不签名。尚未出示：{2}。"
    ),
    "Have them start their agents. Where one holds a newer head: {}.": (
        "请他们启动各自的代理。若有代理持有更新的日志头：{0}。"
    ),
    "The log {} was set back: {} its head of size {}, and the log has {} entries now. {} entries "
    "are lost. It signs nothing.": (
        "日志 {0} 被回退：{1}大小为 {2} 的日志头，而日志现有 {3} 条。丢失 {4} 条。日志已停止签名。"
    ),
    "The log {} was set back: {} its head of size {}, and the log has {} entries now, and differs "
    "from it after {}. {} entries are lost. It signs nothing.": (
        "日志 {0} 被回退：{1}大小为 {2} 的日志头，而日志现有 {3} 条，且自第 {4} 条之后与之不同。"
        "丢失 {5} 条。日志已停止签名。"
    ),
    "{} holds": "{0} 持有",
    "it signed": "它签署过",
    "Put the newest database back and start the server again. If it is lost, the members can "
    "continue the log under a new name: {}.": (
        "请放回最新的数据库并重新启动服务器。若它已丢失，成员可让日志以新名称继续：{0}。"
    ),
    # agent.witness.headwatch
    "The centre's log {} was set back: it has {} entries, and this agent holds its signed head of "
    "size {}. {} entries are lost.": (
        "协调中心的日志 {0} 被回退：它现有 {1} 条，"
        "而本代理持有它签署的大小为 {2} 的日志头。丢失 {3} 条。"
    ),
    "None of your records is lost. Ask the operator to put the newest database back; if it is "
    "lost, the members continue the log: secureflow agent charter show.": (
        "您的记录没有丢失。请运营方放回最新的数据库；若它已丢失，"
        "由成员让日志继续：secureflow agent charter show。"
    ),
    # agent.edge.doctor
    "the centre does not say": "协调中心未告知",
    "{} of its {} entries were seen": "其 {1} 条中已见 {0} 条",
    "{} of its {} entries were seen; the centre was restored on {} from a backup of {}: what was "
    "revoked, disabled or withdrawn in between is valid again until that is repeated": (
        "其 {1} 条中已见 {0} 条；协调中心于 {2} 由 {3} 的备份恢复："
        "其间所吊销、停用或撤回的重新有效，须重做"
    ),
    "none now; {} against the log are kept as evidence": (
        "目前无；对该日志的 {0} 项指控作为证据永久保留"
    ),
    # application.charters: a charter that a restored centre takes over
    "Charter version {} is for the log {}, and the log here is {}: this centre is older than that, "
    "or another one.": (
        "章程版本 {0} 属于日志 {1}，而此处的日志是 {2}：本协调中心比它旧，或是另一个协调中心。"
    ),
    "Put a newer database back.": "请放回更新的数据库。",
    "Charter version {} was submitted to a centre that has none, and it names members that are "
    "not enrolled here with its keys: {}.": (
        "章程版本 {0} 被交给一个没有章程的协调中心，而其中的成员在此并未如此注册：{1}。"
    ),
    "Enrol their agents with the keys that they have, then submit version 1.": (
        "请以其现有密钥注册各代理，然后交来版本 1。"
    ),
    # server.record: a restore beside a running server
    "A restore is running in {}.": "{0} 中正在进行恢复。",
    "Start the server once it has ended.": "请在其结束后再启动服务器。",
    "A server or another restore is running in {}: it would write into what is being replaced.": (
        "{0} 中有服务器在运行，或有另一次恢复：它会写入正被替换的内容。"
    ),
    "Stop it first; on PostgreSQL, every server of this database.": (
        "请先停止它；使用 PostgreSQL 时，请停止该数据库的所有服务器。"
    ),
    # what is submitted again
    "{} submits more entries again than the log has lost: at most {}.": (
        "{0} 重新提交的条目多于日志所丢失的：最多 {1} 条。"
    ),
    "Its owner checks why: secureflow agent doctor. Nothing else that it sends is refused.": (
        "请其所有者查明原因：secureflow agent doctor。其余内容不受影响。"
    ),
    "At most {} bytes of entries may be submitted again at once.": (
        "一次重新提交的条目最多 {0} 字节。"
    ),
    "An agent submits them in smaller parts.": "代理会分成更小的部分提交。",
    # domain.charter: how two charters differ
    "{}: {} → {}": "{0:word}：{1} → {2}",
    "log {}: set back from {} entries to {}, {} are lost": (
        "日志 {0}：由 {1} 条回退到 {2} 条，丢失 {3} 条"
    ),
    "member {}: removed": "成员 {0}：移除",
    "member {}: added, key {}": "成员 {0}：新增，密钥 {1}",
    "member {}: {} {} → {}": "成员 {0}：{1:word} {2} → {3}",
    # continuations
    "The log {} is not held: nothing shows that it was set back.": (
        "日志 {0} 未被冻结：没有迹象表明它被回退。"
    ),
    "There is nothing to continue. `secureflow doctor` shows the state of the server.": (
        "没有需要接续的内容。`secureflow doctor` 会说明服务器的状况。"
    ),
    "The continuation of the log is not signed or pinned here: {}.": (
        "本代理不签署、也不钉定该日志的接续：{0}。"
    ),
    "Tell the other members and the operator, who drafts it again from what you hold; "
    "`secureflow agent doctor` says what that is.": (
        "请告知其他成员与运营方，由其按您所持有的重新起草；"
        "`secureflow agent doctor` 会说明那是什么。"
    ),
    "Job {} began before the centre was set back to an earlier state, and cannot go on.": (
        "任务 {0} 始于协调中心被回退之前，不能继续。"
    ),
    "Submit it again; consent is asked anew.": "请重新提交；将重新征求同意。",
    "The centre's log is named {}; the pinned charter names {}.": (
        "协调中心的日志名为 {0}，而已钉定的章程写的是 {1}。"
    ),
    "See what the members agreed on, and pin it if it is right: secureflow agent charter show, "
    "secureflow agent charter pin.": (
        "请查看成员所议定的内容，属实则钉定：secureflow agent charter show、"
        "secureflow agent charter pin。"
    ),
    "There is no charter whose members could continue the log.": (
        "没有章程，也就没有可让日志继续的成员。"
    ),
    "Put the newest database back.": "请放回最新的数据库。",
    # agent.record.recall and the course
    "The log holds entries that {} signed and that this agent's record lacks{}: the record is an "
    "older copy. The agent takes part in nothing.": (
        "日志中有由 {0} 签署、而本代理的记录所缺的条目{1}：该记录是较早的副本。"
        "本代理不参与任何任务。"
    ),
    "Put the newest record back and start the agent again. If that is lost: secureflow agent "
    "clear-alarm ends every job that runs here, locks the privacy budgets and continues.": (
        "请放回最新的记录并重新启动代理。若它已丢失："
        "secureflow agent clear-alarm 会在此结束所有运行中的任务、锁定隐私预算并继续。"
    ),
    "{} signed another {} entry of job {} in the place of one that the log holds already: its "
    "agent runs on an older copy of its record.": (
        "{0} 为任务 {2} 又签署了一条 {1}，而该位置在日志中已有一条：其代理运行于较早的记录副本。"
    ),
    "{}: put the newest record back (secureflow agent doctor). Submit the job again afterwards.": (
        "{0}：请放回最新的记录（secureflow agent doctor）。之后重新提交任务。"
    ),
}

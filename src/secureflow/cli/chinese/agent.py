"""Chinese of the command line: agent."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "There was no alarm.": "没有报警。",
    "Verify everything that the agent stores; it may run meanwhile.": (
        "核验代理存储的一切；运行期间也可执行。"
    ),
    "Id of the job.": "任务编号。",
    "Show the ledger leaves that this agent signed in a job.": (
        "显示本代理在某任务中签署的账本叶子。"
    ),
    "One organisation's agent: data, keys and consent stay here.": (
        "一个机构的代理：数据、密钥与同意都留在本地。"
    ),
    "The charter that this agent uses.": "本代理所遵循的章程。",
    "Next: secureflow agent start --config {path}": (
        "下一步：secureflow agent start --config {path}"
    ),
    "Make keys here and get a certificate with a one-time token.": (
        "在本地生成密钥，并用一次性令牌换取证书。"
    ),
    "Run the agent until SIGTERM.": "运行代理，直到收到 SIGTERM。",
    "Show the effective settings, secrets masked.": "显示生效的配置，机密内容已遮盖。",
    "Show link, charter, jobs and ledger of the running agent.": (
        "显示运行中代理的链路、章程、任务与账本。"
    ),
    "Check the connection to the centre and show which check fails.": (
        "逐项检查通往协调中心的链路，指出出错的一项。"
    ),
    "Show what this agent did.": "显示本代理做过的事。",
    "{path} has no header line.": "{path} 没有表头行。",
    "Show who could see what of a job, what it cost and which attacks are stopped.": (
        "谁能看到任务的哪些内容、消耗了多少隐私预算、挡住了哪些攻击。"
    ),
    "Show the pinned charter and the candidate.": "显示已钉定的章程与候选章程。",
    "The charter is pinned.": "章程已钉定。",
    "Use this charter from now on.": "从现在起遵循这份章程。",
    "The candidate is signed.": "候选章程已签名。",
    "Sign the candidate charter with the organisation's key.": "用本机构的密钥签署候选章程。",
    "Write the pinned charter to this file.": "把已钉定的章程写入此文件。",
    "No charter is pinned yet.": "尚未钉定任何章程。",
    "Let the agent continue after an alarm that it raised.": "代理自行报警后，允许其继续运行。",
    "Continue although the agent raised an alarm?": "代理已报警，仍要继续吗？",
    "Compare the words with the other members first.": "请先与其他成员核对指纹词。",
    "The agent's YAML file.": "代理的 YAML 配置文件。",
    "A note for the log.": "写入记录的说明。",
    "Do not ask for confirmation.": "不再询问。",
    "New directory.": "新目录。",
    "File with the enrolment token; `-` reads stdin.": "存放注册令牌的文件；`-` 表示读标准输入。",
    "URL of the server.": "服务器的 URL。",
    "Name of this agent.": "本代理的名称。",
    "Show at most this many.": "最多显示的条数。",
    "Only for this job.": "仅限此任务。",
    "Charter file; default: the server's.": "章程文件；默认取服务器上的。",
    "The words or digits that you compared with the other members.": (
        "您与其他成员核对过的指纹词或数字。"
    ),
    "Apply the edited settings without a restart.": "使修改后的配置生效，无需重启。",
    "Budget {domain}: ε {before} at δ {old} → ε {after} at δ {new}": (
        "预算 {domain}：ε {before}（δ {old}）→ ε {after}（δ {new}）"
    ),
    "A privacy budget grows; what it reveals cannot be taken back. Continue?": (
        "隐私预算将增大；已透露的内容无法收回。继续吗？"
    ),
    "Nothing that can be reloaded was edited.": "没有可重新加载的修改。",
    "These need a restart: {names}.": "以下修改需要重启才能生效：{names}。",
    "Publish it again: secureflow agent data publish {name}": (
        "请重新发布：secureflow agent data publish {name}"
    ),
    "the file does not load: {reason}": "配置文件无法加载：{reason}",
    "edited, not applied: {names} (secureflow agent reload)": (
        "已修改但未生效：{names}（secureflow agent reload）"
    ),
    "edited, needs a restart: {names}": "已修改，需要重启：{names}",
    "as in the file": "与文件一致",
    "not compared yet": "尚未比较",
    "differs by {seconds} s: set the clock (NTP)": "相差 {seconds} 秒：请校准时钟（NTP）",
    "clock_skew": "时钟",
    "Write this agent into one file, without its data.": "把本代理写入一个文件，不含其数据。",
    "Restore an agent's folder from a backup.": "由备份建立代理的目录。",
    "This agent does not vote, train or spend in any job that is older than this restore.": (
        "本代理不再为早于此次恢复的任务投票、训练或花费预算。"
    ),
    "Its privacy budgets are locked until you say what was spent since the backup: "
    "secureflow agent data settle DOMAIN.": (
        "其隐私预算已锁定，直到您说明自备份以来的花费：secureflow agent data settle DOMAIN。"
    ),
    "The keys are missing: put signing.key and link.pem of this agent into {path}, or enrol it "
    "again with another key.": (
        "密钥缺失：请把该代理的 signing.key 与 link.pem 放入 {path}，或用另一把密钥重新注册。"
    ),
    "from a backup of {when}; budgets unlocked since: {domains}": (
        "由 {when} 的备份恢复；此后已解锁的预算：{domains}"
    ),
    "restored": "恢复",
}

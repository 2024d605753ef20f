"""Chinese of what `server check`, `agent check` and `enclave check` find."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # what is sound
    "its version and its secrets' modes are right": "版本与机密文件的权限正确",
    "they fit their certificates, nobody else reads": "与证书相符，他人无法读取",
    "{} is intact, of this version's schema": "{0} 完整，结构与此版本一致",
    "it is this folder's, and not older than the folder knows": (
        "属于此目录，且不比目录所知的更旧"
    ),
    "{} rows are what they stand for": "{0} 行均可正确读取",
    "{} jobs are where their journals lead": "{0} 个任务的状态与其日志一致",
    "{} leaves make {} heads, with {} cosignatures": "{0} 个叶子构成 {1} 个日志头，含 {2} 个联署",
    "{} blobs have the digests that name them": "{0} 个数据块与其摘要相符",
    # files and databases
    "{} more of these.": "另有 {0} 处同类问题。",
    "{} is damaged: {}.": "{0} 已损坏：{1}。",
    "The database {} is damaged: {}.": "数据库 {0} 已损坏：{1}。",
    "The database {} is missing.": "数据库 {0} 缺失。",
    "The database {} is of schema {}, this version reads {}.": (
        "数据库 {0} 的结构为 {1}，此版本读取 {2}。"
    ),
    "The server's log is damaged: {}.": "服务器的账本已损坏：{0}。",
    "The server's database is damaged.": "服务器的数据库已损坏。",
    "A stored value of the server is damaged.": "服务器存储的某个值已损坏。",
    "The {} {} is damaged in the server's record.": "服务器记录中的 {0} {1} 已损坏。",
    "{} is damaged in the server's record.": "服务器记录中的 {0} 已损坏。",
    "The journal of job {} is damaged: the script cannot take the outcome of effect {}.": (
        "任务 {0} 的过程记录已损坏：脚本无法接受第 {1} 步的结果。"
    ),
    "{} cannot be read: {}.": "无法读取 {0}：{1}。",
    "{} is no blob of ours.": "{0} 不是本平台的数据块。",
    "{} does not hold what its name says.": "{0} 的内容与其名称不符。",
    "{}: its blob {} is missing.": "{0}：其数据块 {1} 缺失。",
    # rows
    "{} cannot be read.": "{0} 无法读取。",
    "{} cannot be read ({}).": "{0} 无法读取（{1}）。",
    "{}: its column {} says something else than the row.": "{0}：列 {1} 与该行内容不一致。",
    "{} is not what the project says.": "{0} 与项目所述不一致。",
    "{}: the signature of {} does not hold.": "{0}：{1} 的签名验证不通过。",
    "{}: there is no such job.": "{0}：没有这个任务。",
    "{}: the effects before it are missing.": "{0}：其之前的步骤缺失。",
    "outbox: effect {}: there is no job {}.": "outbox：步骤 {0}：没有任务 {1}。",
    "The record of job {} ({}) does not hold: {}": "任务 {0}（{1}）的记录不成立：{2}",
    "its journal leads to {}.": "其日志导向状态 {0}。",
    "its journal ends before the job does.": "其日志在任务结束之前中断。",
    "its journal ends otherwise.": "其日志的结局与任务不同。",
    # the log
    "the log has no head.": "账本没有头。",
    "log_head names the log {} under another key or name.": (
        "log_head 中的账本 {0} 属于另一密钥或名称。"
    ),
    "log_leaves: leaf {} is missing.": "log_leaves：叶子 {0} 缺失。",
    "log_checkpoints: {} is no size of the log.": "log_checkpoints：{0} 不是账本的大小。",
    "log_head says {} leaves, there are {}.": "log_head 记为 {0} 个叶子，实有 {1} 个。",
    "log_checkpoints: the head of size {} is missing.": (
        "log_checkpoints：大小为 {0} 的日志头缺失。"
    ),
    "log_nodes: {} nodes belong to no leaf.": "log_nodes：{0} 个节点不属于任何叶子。",
    "{} does not have the hash that it stands under.": "{0} 与其所登记的哈希不符。",
    "{}: its signature does not hold.": "{0}：其签名验证不通过。",
    "{} is of the log {}.": "{0} 属于账本 {1}。",
    "{}: its columns say something else than its author signed.": "{0}：其列与作者签署的不一致。",
    "{}: document and salt are not what it commits to.": "{0}：文档与盐不是其所承诺的。",
    "log_nodes: the node at place {} {}.": "log_nodes：位置 {0} 的节点{1}。",
    "is missing": "缺失",
    "is not the hash of its leaves": "不是其叶子的哈希",
    "{} is not of the leaves that are there.": "{0} 与现有叶子不符。",
    "{}: there is no such head.": "{0}：没有这个日志头。",
    "{}: the cosignature does not hold.": "{0}：联署验证不通过。",
    "{}: there is no leaf {}.": "{0}：没有叶子 {1}。",
    "{}: what waits there is no leaf.": "{0}：等待收录的不是叶子。",
    # an agent's
    "there is none yet": "尚无记录",
    "whatever is stored can be read": "所存内容均可读取",
    "its policies and folder can be read": "策略与目录可以读取",
    "{} is intact, {} rows can be read": "{0} 完整，{1} 行均可读取",
    "{} own leaves are a chain with own signatures": "{0} 个本方叶子连成一链，签名有效",
    "{} heads are signed by the pinned charter's log": "{0} 个日志头由所钉章程的账本签署",
    "{} budgets are what their leaves say": "{0} 个预算与其叶子所述一致",
    "Event {} brings {} to ε = {}; the limit of that time is {}.": (
        "第 {0} 个事件使 {1} 达到 ε = {2}；当时的上限为 {3}。"
    ),
    "its events are missing": "其事件缺失",
    "{} models have the digests that name them": "{0} 个模型与其摘要相符",
    "The agent's record is damaged: {}.": "代理的记录已损坏：{0}。",
    "{} holds no link credentials.": "{0} 中没有链路凭据。",
    "{} holds no link credentials that can be read.": "{0} 中没有可读取的链路凭据。",
    "Key and certificate in {} and the authority in {} do not belong together.": (
        "{0} 中的密钥与证书和 {1} 中的证书颁发机构不匹配。"
    ),
    "{} is of version {}, this program reads {}.": "{0} 的版本为 {1}，此程序读取 {2}。",
    "The record {} is missing.": "记录 {0} 缺失。",
    # an enclave's
    "its addresses and folder can be read": "地址与目录可以读取",
    "it is an enclave's, and holds now": "属于飞地，且目前有效",
    "its keys fit the root that agents pin": "密钥与各代理所钉的根一致",
    "{}: a certificate that runs out is not renewed by itself.": "{0}：过期的证书不会自行续期。",
    "{} is missing": "{0} 缺失",
    "`rest` is missing in enclave.yaml": "enclave.yaml 中缺少 `rest`",
    "{} is for {}, which is no enclave.": "{0} 属于 {1}，它不是飞地。",
    "{} is not the root of the platform beside it.": "{0} 不是其旁平台的根证书。",
    "The simulated platform's key {} does not fit its certificate.": (
        "模拟平台的密钥 {0} 与其证书不符。"
    ),
    # next steps
    "Find what is damaged with: secureflow agent check. Go on from the newest backup.": (
        "请用 secureflow agent check 查明损坏之处，并从最近的备份继续。"
    ),
    "Stop the agent, and go on from the newest backup that is sound.": (
        "请停止代理，并从最近的完好备份继续。"
    ),
    "Remove it: the agent fetches it again when it needs it.": (
        "请将其移除：代理需要时会重新获取。"
    ),
    "Check it with the version that runs on it; an older one is migrated by the next secureflow "
    "agent start.": "请用其运行的版本检查；旧结构会在下次 secureflow agent start 时迁移。",
    "Stop the server, and go on from the newest backup that is sound.": (
        "请停止服务器，并从最近的完好备份继续。"
    ),
    "secureflow server check names all that is damaged; go on from the newest backup.": (
        "secureflow server check 会列出所有损坏之处；请从最近的备份继续。"
    ),
    "The operator finds what is damaged with: secureflow server check.": (
        "运营方可用 secureflow server check 查明损坏之处。"
    ),
    "See it: secureflow job show {}. Go on from the newest sound backup.": (
        "查看：secureflow job show {0}。请从最近的完好备份继续。"
    ),
    "Put the file back from a backup; without it, whoever needs it is told that it is missing.": (
        "请从备份放回该文件；缺少它时，需要者会被告知其缺失。"
    ),
    "Put it back from a backup, or enrol again with a new token from the operator.": (
        "请从备份放回，或向运营方索取新令牌并重新注册。"
    ),
    "Enrol first, with a token from the operator.": "请先用运营方给的令牌注册。",
    "Move it away.": "请将其移走。",
    "Put it back from a backup.": "请从备份放回。",
    "Check the server with the settings, log key and database that belong together.": (
        "请用相互匹配的配置、日志密钥与数据库进行检查。"
    ),
    "Check it with the version that runs on it; an older one is migrated by the next secureflow "
    "server start.": "请用其运行的版本检查；旧结构会在下次 secureflow server start 时迁移。",
}

"""Chinese of what `server check`, `agent check` and `enclave check` find."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # what is sound
    "its version and the file modes of its secrets are right": "版本与机密文件的权限正确",
    "they match their certificates, and nobody else can read them": "与证书相符，他人无法读取",
    "{} is intact and has this version's schema": "{0} 完整，结构与此版本一致",
    "it belongs to this folder, and is not older than the folder knows": (
        "属于此目录，且不比目录所知的更旧"
    ),
    "{} rows are consistent": "{0} 行均可正确读取",
    "{} jobs match their journals": "{0} 个任务的状态与其过程记录一致",
    "{} leaves make {} heads, with {} cosignatures": "{0} 片叶子构成 {1} 个日志头，含 {2} 个联署",
    "{} blobs match the digests that name them": "{0} 个数据块与其摘要相符",
    # files and databases
    "{} more of these.": "另有 {0} 处同类问题。",
    "{} is damaged: {}.": "{0} 已损坏：{1}。",
    "The database {} is damaged: {}.": "数据库 {0} 已损坏：{1}。",
    "The database {} is missing.": "数据库 {0} 缺失。",
    "The database {} has schema version {}; this program reads {}.": (
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
    "{} is not a blob of this platform.": "{0} 不是本平台的数据块。",
    "The content of {} does not match its name.": "{0} 的内容与其名称不符。",
    "{}: its blob {} is missing.": "{0}：其数据块 {1} 缺失。",
    # rows
    "{} cannot be read.": "{0} 无法读取。",
    "{} cannot be read ({}).": "{0} 无法读取（{1}）。",
    "{}: its column {} does not match the row.": "{0}：列 {1} 与该行内容不一致。",
    "{} does not match the project.": "{0} 与项目所述不一致。",
    "{}: the signature of {} is not valid.": "{0}：{1} 的签名验证不通过。",
    "{}: there is no such job.": "{0}：没有这个任务。",
    "{}: the effects before it are missing.": "{0}：其之前的步骤缺失。",
    "outbox: effect {}: there is no job {}.": "outbox：步骤 {0}：没有任务 {1}。",
    "The record of job {} ({}) is inconsistent: {}": "任务 {0}（{1}）的记录前后不一致：{2}",
    "its journal leads to {}.": "其过程记录指向状态 {0}。",
    "its journal ends before the job does.": "其过程记录在任务结束之前中断。",
    "its journal ends differently.": "其过程记录的结局与任务不同。",
    # the log
    "the log has no head.": "账本没有日志头。",
    "log_head names the log {} under another key or name.": (
        "log_head 中的账本 {0} 属于另一密钥或名称。"
    ),
    "log_leaves: leaf {} is missing.": "log_leaves：叶子 {0} 缺失。",
    "log_checkpoints: the log has no size {}.": "log_checkpoints：账本不曾有大小 {0}。",
    "log_head says {} leaves, there are {}.": "log_head 记为 {0} 片叶子，实有 {1} 片。",
    "log_checkpoints: the head of size {} is missing.": (
        "log_checkpoints：大小为 {0} 的日志头缺失。"
    ),
    "log_nodes: {} nodes belong to no leaf.": "log_nodes：{0} 个节点不属于任何叶子。",
    "{} does not have the hash that it is stored under.": "{0} 与其所登记的哈希不符。",
    "{}: its signature is not valid.": "{0}：其签名验证不通过。",
    "{} belongs to the log {}.": "{0} 属于账本 {1}。",
    "{}: its columns do not match what its author signed.": "{0}：其列与作者签署的不一致。",
    "{}: document and salt do not match its commitment.": "{0}：文档与盐和其承诺不符。",
    "log_nodes: the node at place {} {}.": "log_nodes：位置 {0} 的节点{1}。",
    "is missing": "缺失",
    "is not the hash of its leaves": "不是其叶子的哈希",
    "{} does not match the stored leaves.": "{0} 与现有叶子不符。",
    "{}: there is no such head.": "{0}：没有这个日志头。",
    "{}: the cosignature is not valid.": "{0}：联署验证不通过。",
    "{}: there is no leaf {}.": "{0}：没有叶子 {1}。",
    "{}: what is stored there is not a leaf.": "{0}：等待收录的不是叶子。",
    # an agent's
    "there is none yet": "尚无记录",
    "everything that is stored can be read": "所存内容均可读取",
    "its policies and folder can be read": "策略与目录可以读取",
    "{} is intact, {} rows can be read": "{0} 完整，{1} 行均可读取",
    "{} own leaves form a chain with valid signatures": "{0} 片本方叶子连成一链，签名有效",
    "{} heads are signed by the pinned charter's log": "{0} 个日志头由所钉章程的账本签署",
    "{} budgets match their leaves": "{0} 个预算与其叶子所述一致",
    "Event {} brings {} to ε = {}; the limit of that time is {}.": (
        "第 {0} 个事件使 {1} 达到 ε = {2}；当时的上限为 {3}。"
    ),
    "its events are missing": "其事件缺失",
    "{} models match the digests that name them": "{0} 个模型与其摘要相符",
    "The agent's record is damaged: {}.": "代理的记录已损坏：{0}。",
    "{} holds no link credentials.": "{0} 中没有链路凭据。",
    "The link credentials in {} cannot be read.": "无法读取 {0} 中的链路凭据。",
    "Key and certificate in {} and the authority in {} do not belong together.": (
        "{0} 中的密钥与证书和 {1} 中的证书颁发机构不匹配。"
    ),
    "{} has version {}; this program reads {}.": "{0} 的版本为 {1}，此程序读取 {2}。",
    "The record {} is missing.": "记录 {0} 缺失。",
    # an enclave's
    "its addresses and folder can be read": "地址与目录可以读取",
    "it belongs to an enclave, and is valid now": "属于飞地，且目前有效",
    "its keys match the root that agents pin": "密钥与各代理所钉的根一致",
    "{}: an expired certificate is not renewed automatically.": "{0}：过期的证书不会自行续期。",
    "{} is missing": "{0} 缺失",
    "`rest` is missing in enclave.yaml": "enclave.yaml 中缺少 `rest`",
    "{} is for {}, which is not an enclave.": "{0} 属于 {1}，它不是飞地。",
    "{} is not the root of the platform beside it.": "{0} 不是其旁平台的根证书。",
    "The simulated platform's key {} does not fit its certificate.": (
        "模拟平台的密钥 {0} 与其证书不符。"
    ),
    # next steps
    "Find what is damaged with: secureflow agent check. Restore the newest backup.": (
        "请用 secureflow agent check 查明损坏之处，并从最近的备份继续。"
    ),
    "Stop the agent and restore the newest intact backup.": (
        "请停止代理，并从最近的完好备份继续。"
    ),
    "Remove it: the agent fetches it again when it needs it.": (
        "请将其移除：代理需要时会重新获取。"
    ),
    "Check it with the version that runs on it; an older schema is migrated at the next "
    "secureflow agent start.": (
        "请用其运行的版本检查；旧结构会在下次 secureflow agent start 时迁移。"
    ),
    "Stop the server and restore the newest intact backup.": (
        "请停止服务器，并从最近的完好备份继续。"
    ),
    "secureflow server check lists everything that is damaged; restore the newest backup.": (
        "secureflow server check 会列出所有损坏之处；请从最近的备份继续。"
    ),
    "The operator finds what is damaged with: secureflow server check.": (
        "运营方可用 secureflow server check 查明损坏之处。"
    ),
    "See it: secureflow job show {}. Restore the newest intact backup.": (
        "查看：secureflow job show {0}。请从最近的完好备份继续。"
    ),
    "Restore the file from a backup; until then, whoever needs it is told that it is missing.": (
        "请从备份放回该文件；缺少它时，需要者会被告知其缺失。"
    ),
    "Restore it from a backup, or enrol again with a new token from the operator.": (
        "请从备份放回，或向运营方索取新令牌并重新注册。"
    ),
    "Enrol first, with a token from the operator.": "请先用运营方给的令牌注册。",
    "Move it away.": "请将其移走。",
    "Restore it from a backup.": "请从备份放回。",
    "Check the server with the settings, log key and database that belong together.": (
        "请用相互匹配的配置、日志密钥与数据库进行检查。"
    ),
    "Check it with the version that runs on it; an older schema is migrated at the next "
    "secureflow server start.": (
        "请用其运行的版本检查；旧结构会在下次 secureflow server start 时迁移。"
    ),
}

"""Chinese of the command line: enclave, server."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "The attested worker that opens sealed updates.": "经远程证明的工作进程，负责打开密封的更新。",
    "Agents of other machines reach it only where `uplink` in {path} says how.": (
        "其他机器上的代理能否访问它，取决于 {path} 中的 `uplink`：请先填写。"
    ),
    "Next: secureflow enclave start --config {path}": (
        "下一步：secureflow enclave start --config {path}"
    ),
    "Enrol an enclave with its one-time token.": "用一次性令牌注册飞地。",
    "Verify everything that the enclave stores; it may run meanwhile.": (
        "校验飞地所存的全部内容；飞地可同时运行。"
    ),
    "Run the enclave until SIGTERM.": "运行飞地，直到收到 SIGTERM。",
    "Show what an enclave of this installation runs, and its digest.": (
        "显示本安装的飞地所运行的代码及其度量值。"
    ),
    "The process's YAML file.": "该进程的 YAML 配置文件。",
    "Use the SIMULATED TEE, the only one that this version can attest: it protects "
    "nothing from the operator.": (
        "使用模拟（SIMULATED）TEE（本版本唯一能出具证明的 TEE）：对运营方不提供任何保护。"
    ),
    "Its name in the certificate: a new one if it was revoked.": (
        "证书中的名称；若旧的已被吊销，请换新名称。"
    ),
    "The coordination centre.": "协调中心。",
    "Next: secureflow server start --config {path}": (
        "下一步：secureflow server start --config {path}"
    ),
    "Create a new centre: CA, log key, first admin, enclave token.": (
        "新建协调中心：CA、日志密钥、首位管理员、飞地令牌。"
    ),
    "Verify everything that the centre stores; it may run meanwhile.": (
        "核验协调中心存储的一切；运行期间也可执行。"
    ),
    "Show what the centre's disk holds, what is free and reserved.": (
        "显示协调中心磁盘的占用、可用与预留空间。"
    ),
    "Run the centre until SIGTERM.": "运行协调中心，直到收到 SIGTERM。",
    "SPIFFE trust domain of the consortium.": "联盟的 SPIFFE 信任域。",
    "Name or address by which people and agents reach it.": "供人和代理访问的主机名或地址。",
    "Port of REST.": "REST 端口。",
    "Port of the link.": "链路端口。",
    "URL of an empty PostgreSQL database, without a password; else SQLite.": (
        "空的 PostgreSQL 数据库的 URL（不含密码）；省略则用 SQLite。"
    ),
    # backups
    "Write the whole centre, as it is now, into one file.": "把此刻的整个协调中心写入一个文件。",
    "Leave out models whose files are missing.": "略过缺少文件的模型。",
    "Restore a centre's folder from a backup, once its log is proved.": (
        "由备份建立协调中心的目录；先核对其日志。"
    ),
    "State that the database was restored by other means, once its log is proved.": (
        "声明数据库已用其他方式恢复；先核对其日志。"
    ),
    "URL of an empty PostgreSQL database, or sqlite. Default: as before.": (
        "空的 PostgreSQL 数据库的 URL，或 sqlite；省略则与原来相同。"
    ),
    "there": "已有",
    "missing": "缺失",
    "not in it": "不在其中",
    "Every entry, node and signed head of the log was recomputed and is valid.": (
        "已重新计算日志的每个条目、节点与已签名的日志头，全部相符。"
    ),
    "What was recorded after the backup is gone here; the members' agents may know of it. "
    "Until it is clear what they hold, the log signs nothing, and no job runs.": (
        "备份之后的记录在此已丢失；各成员的代理可能仍知道它们。"
        "在弄清各方所持内容之前，日志不签任何内容，任务也不运行。"
    ),
    "An agent that has seen more than {size} entries says that the log was set back; secureflow "
    "doctor and docs/deploy.md say how the log then continues.": (
        "见过超过 {size} 个条目的代理会报告日志被回退；"
        "日志之后如何继续，见 secureflow doctor 与 docs/deploy.md。"
    ),
    "Sessions, access tokens and unused invitations were not restored: log in again.": (
        "会话、访问令牌与未使用的邀请未被恢复：请重新登录。"
    ),
    "Whoever was shut out after {at} is let in again, and old passwords and grants are valid "
    "again: this centre no longer knows of it, only people do. Repeat it at once; that works "
    "while the log signs nothing: secureflow org disable, party revoke, user disable; each user: "
    "user password; each owner: data revoke.": (
        "{at} 之后被停用或吊销者重新获准进入，旧密码与旧授权重新有效："
        "协调中心已不知道这些，只有人知道。请立即重做，日志不签名时也可以："
        "secureflow org disable、party revoke、user disable；"
        "各用户：user password；各数据所有者：data revoke。"
    ),
    "The keys are missing: put log.key and ca/ca.key of this centre into {path}.": (
        "密钥缺失：请把该协调中心的 log.key 与 ca/ca.key 放入 {path}。"
    ),
    "File with the passphrase that seals the keys; or SECUREFLOW_BACKUP_PASSPHRASE.": (
        "存放封存密钥所用口令的文件；或用 SECUREFLOW_BACKUP_PASSPHRASE。"
    ),
    "New file of the backup.": "备份的新文件。",
    "The backup.": "备份文件。",
    "New or empty folder to restore into.": "用于恢复的新目录或空目录。",
    "Keep the folder's keys and settings; move only its record aside.": (
        "保留目录中的密钥与设置；只把其中的记录移到一旁。"
    ),
    "Without a passphrase the backup has no keys: keep {names} yourself, or make the backup with "
    "--passphrase-file.": (
        "没有口令就不含密钥：请自行保管 {names}，或用 --passphrase-file 制作备份。"
    ),
}

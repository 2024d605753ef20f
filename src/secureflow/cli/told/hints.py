"""Chinese of hints: the next step that an error names."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # sdk
    "Set {} to a number of seconds above 0.": "请将 {0} 设为大于 0 的秒数。",
    "Set the clock that is wrong (NTP): certificates, approvals and verdicts depend on it. It is "
    "noticed within a minute; no restart is needed.": (
        "请校准出错的时钟（NTP）：证书、批准与证明结论都依赖时钟。一分钟内即可察觉，无需重启。"
    ),
    # application
    "Ask the operator why. An administrator lets it in again: secureflow org enable {}. Nothing "
    "needs to be enrolled anew then.": (
        "请询问运营方原因。管理员可重新启用：secureflow org enable {0}。之后无需重新注册。"
    ),
    "List the {}s that you can see; membership and grants decide which.": (
        "请列出您可见的{0:word}；可见与否取决于成员资格与授权。"
    ),
    "This needs one of the roles: {}. Ask an administrator of your organisation.": (
        "需要以下角色之一：{0}。请联系本机构的管理员。"
    ),
    "An organisation admin must accept the invitation first.": "须先由机构管理员接受邀请。",
    "Each member enrols its agent first: secureflow agent enroll.": (
        "各成员须先注册代理：secureflow agent enroll。"
    ),
    "Look at the candidate again and sign it.": "请重新查看候选章程并对其签名。",
    "Grant declared columns only.": "只能授权已声明的列。",
    "Watch it: secureflow job watch {}.": "跟踪：secureflow job watch {0}。",
    "It continues: secureflow job watch {}.": "任务仍在继续：secureflow job watch {0}。",
    "See what happened: secureflow job show {}.": "查看经过：secureflow job show {0}。",
    "Wait for some to end, or cancel them.": "请等待一些任务结束，或取消它们。",
    "Ask {}.": "请联系 {0}。",
    "Enrol again with a new token from the operator.": "请向运营方索取新令牌并重新注册。",
    "Enrol with `secureflow agent enroll` on the machine that holds the key.": (
        "请在持有密钥的机器上用 `secureflow agent enroll` 注册。"
    ),
    "Use lowercase letters, digits and hyphens, not {}.": (
        "请用小写字母、数字与连字符，不要用 {0}。"
    ),
    "Ask the operator for a new one; each works once. If the answer to an earlier try was lost, "
    "use the new one with the same directory: its key stays, and nothing needs to be revoked.": (
        "请向运营方索取新的；每个只能用一次。若之前一次的答复丢失，请在同一目录使用新令牌：密钥保留，"
        "无需吊销任何东西。"
    ),
    "Create a new key at the agent: each organisation has a key of its own.": (
        "请在代理处生成新密钥：每个机构须有自己的密钥。"
    ),
    "Revoke it if it is lost, and enrol under another name (--name).": (
        "若已丢失请吊销，并以另一名称（--name）注册。"
    ),
    "Revoke it first: an organisation has one agent.": "请先吊销它：每个机构只有一个代理。",
    "Choose a longer one; a phrase of four random words is good.": (
        "请用更长的密码；四个随机词组成的短语就很好。"
    ),
    "Leave privacy.noise_multiplier out to have it calibrated, or raise privacy.epsilon.": (
        "请去掉 privacy.noise_multiplier 以自动校准，或提高 privacy.epsilon。"
    ),
    "Its agent is faulty or of another version: ask the organisation.": (
        "其代理有故障或版本不同：请联系该机构。"
    ),
    "The operator proposes one, and every member signs it: secureflow charter draft.": (
        "由运营方提出，各成员签名：secureflow charter draft。"
    ),
    "Use datasets of at least three organisations.": "请选用至少三个机构的数据集。",
    "Name one dataset for each contributor.": "每个贡献方请只指定一个数据集。",
    "The operator proposes a charter with it, and the members sign.": (
        "由运营方提出包含它的章程，并由成员签名。"
    ),
    "Ask a data owner of {} for a grant, or leave it out.": (
        "请向 {0} 的数据所有者申请授权，或去掉它。"
    ),
    "Run the server version that started the job, then secureflow job resume {}; or cancel it: "
    "secureflow job cancel {}.": (
        "请运行启动该任务的服务器版本，然后 secureflow job resume {0}；"
        "或取消任务：secureflow job cancel {1}。"
    ),
    "The operator finds the trace in the server's log. When it is fixed: secureflow job resume "
    "{}.": "运营方可在服务器日志中找到详情。修复后：secureflow job resume {0}。",
    "It continues by itself: secureflow job watch {}.": "它会自行继续：secureflow job watch {0}。",
    "Cancel it: secureflow job cancel {}. A new job can continue from its last released model "
    "(--from).": (
        "请取消：secureflow job cancel {0}。可在新任务中从其最后发布的模型继续（--from）。"
    ),
    "Name a granted dataset of each contributor; `parties` is for rehearsals.": (
        "请为每个贡献方指定已授权的数据集；`parties` 仅用于演练。"
    ),
    "Use the categories that every owner declares.": "请在任务中使用各方都声明的类别。",
    "Invite it, and have it accept.": "请邀请它，并由它接受。",
    "Use columns that every contributor declares.": "请使用每个贡献方都声明的列。",
    "Use the column as its owner declares it.": "请按所有者的声明使用该列。",
    "Submit again: the job is made for what its owners declare now.": (
        "请重新提交：任务按所有者当前的声明生成。"
    ),
    "Bounds, categories, unit and contributions are what the owners declared.": (
        "范围、类别、单位与贡献数均以所有者的声明为准。"
    ),
    "One noise hides one unit: query only datasets of the same unit together.": (
        "一种噪声只保护一种单位：请只把同一单位的数据集放在一起查询。"
    ),
    "Its owner declares `privacy` in agent.yaml and publishes the dataset again.": (
        "请其所有者在 agent.yaml 中声明 `privacy` 并重新发布数据集。"
    ),
    "Wait {} s and try again.": "请等待 {0} 秒后重试。",
    "Check both; a disabled account cannot log in either.": "请检查二者；被停用的账户也无法登录。",
    "Log in: secureflow login URL --ca FILE. Programs: POST /api/v1/login, then "
    "`Authorization: Bearer sft_…`.": "请登录：secureflow login URL --ca FILE。",
    "Bring the named organisations' agents back and submit the job again.": (
        "请让所述机构的代理恢复运行，然后重新提交任务。"
    ),
    "Check that {} runs and is connected (`secureflow doctor` there).": (
        "请查看 {0} 是否在运行且已连接（在那里运行 `secureflow doctor`）。"
    ),
    "Give the operator's people the role platform-admin and no organisation.": (
        "运营方人员应为 platform-admin 角色且不属于任何机构。"
    ),
    "Make another platform admin first.": "请先设立另一位平台管理员。",
    "Use up to 64 lowercase letters, digits and . _ @ -": "请用最多 64 个小写字母、数字与 . _ @ -",
    "Choose another one.": "请另选一个。",
    "Log in again and repeat the change.": "请重新登录后再次修改。",
    # server.rest
    "Send less at once.": "请减少单次发送的内容。",
    "Use a new key for each new request.": "每个新请求请使用新的键。",
    "Correct the named field; `details.fields` lists every one.": (
        "请更正所指字段；`details.fields` 列出了全部字段。"
    ),
    "Tell the operator the X-Request-Id; the log has the trace.": (
        "请把 X-Request-Id 告知运营方；日志中有详情。"
    ),
    "Send valid JSON.": "请发送有效的 JSON。",
    "See the Allow header for those that are.": "可用方法见 Allow 标头。",
    # sdk
    "Check that the URL is a SecureFlow server and that no proxy is in between.": (
        "请确认该 URL 是 SecureFlow 服务器，且中间没有代理。"
    ),
    "Check the URL and that the server runs; `secureflow doctor` shows which check fails.": (
        "请检查 URL 与服务器是否运行；`secureflow doctor` 会指出出错的一项。"
    ),
    "Give the CA file of this server (`--ca`), as its operator published it.": (
        "请用 `--ca` 给出运营方公布的 CA 文件。"
    ),
    "Try again; `secureflow doctor` shows which check fails.": (
        "请重试；`secureflow doctor` 会指出出错的一项。"
    ),
    "Use a client and a server of the same version.": "请使用相同版本的客户端与服务器。",
    "Use https://HOST[:PORT] (plain http only to a loopback address).": (
        "请用 https://HOST[:PORT]（明文 http 仅限回环地址）。"
    ),
    "Give the PEM file that the server's operator published.": "请给出运营方公布的 PEM 文件。",
    "Do not use it; ask the operator which of the two the ledger holds.": (
        "请勿使用；请询问运营方账本中是哪一个。"
    ),
    "Choose a model that a training job released.": "请选用训练任务发布的模型。",
    "Log in again: secureflow login URL --ca FILE.": "请重新登录：secureflow login URL --ca FILE。",
    "Compare the declarations: secureflow data show DATASET.": (
        "请比较各自的声明：secureflow data show DATASET。"
    ),
    "It holds: {}.": "它的取值有：{0}。",
    "A feature is a number with bounds or a category, declared in the same way by every owner.": (
        "特征须是各方声明一致的、有范围的数值或类别。"
    ),
    # joining and the agent's edge
    "Check the URL, and whether the server runs with a certificate of its own authority.": (
        "请检查 URL，以及服务器是否使用其自有 CA 的证书运行。"
    ),
    "The token is a secret: use https (http only on the same machine).": (
        "令牌是机密：请用 https（仅同一台机器可用 http）。"
    ),
    "Copy the whole line that the operator gave you.": "请完整复制运营方给您的那一行。",
    "It may be stopping, or it runs as another user.": "它可能正在停止，或以另一用户运行。",
    "See the agent's log.": "请查看代理日志。",
    "Start it: secureflow agent start --config FILE. It must run as your user.": (
        "请启动：secureflow agent start --config FILE。它必须以您的用户运行。"
    ),
    "The command line and the agent must have the same version.": "命令行与代理的版本必须一致。",
    "Ask the operator for a token for your organisation.": "请向运营方索取本机构的令牌。",
    "Its certificate is renewed automatically. To enrol anew, move link.pem and ca.pem away; "
    "signing.key stays.": (
        "其证书会自动续期。要重新注册，请移走 link.pem 与 ca.pem；signing.key 保留。"
    ),
    # an owner's data and settings
    "At {}: secureflow agent data publish {}; then submit again.": (
        "在 {0}：secureflow agent data publish {1}；然后重新提交。"
    ),
    "Its owner restores the file, or publishes it again (secureflow agent data publish); then "
    "submit the job again.": (
        "由所有者恢复该文件，或重新发布（secureflow agent data publish）并请人重新提交任务。"
    ),
    "Publish it when nothing writes to it any more: write another file and rename it into place.": (
        "请在写入完成后再发布：先写另一个文件，再改名替换。"
    ),
    "What the data has revealed stays revealed: put domain, unit and person back. Give other "
    "data another name.": (
        "数据已透露的内容无法收回：请恢复 domain、unit 与 person。其他数据请另取名称。"
    ),
    "What is revealed cannot be taken back: confirm it with secureflow agent reload.": (
        "已透露的内容无法收回：请用 secureflow agent reload 确认。"
    ),
    "Apply the file first: secureflow agent reload.": ("请先使文件生效：secureflow agent reload。"),
    "Give the new one another name: --name NAME.": "请为新数据集另取名称：--name NAME。",
    "Change the job accordingly, or ask the data owner.": "请相应修改任务，或联系数据所有者。",
    "End some that are not needed, or ask the operator to raise the quota.": (
        "请先结束不再需要的对象，或请运营方提高配额。"
    ),
    # backups and restores
    "Put the newest database back, or restore a backup into a new folder: secureflow server "
    "restore BACKUP --dir FOLDER (docs/deploy.md says what members see then).": (
        "请放回最新的数据库，或把备份恢复到新目录：secureflow server restore BACKUP --dir FOLDER"
        "（成员届时看到什么，见 docs/deploy.md）。"
    ),
    "Put the newest database back. If there is none: secureflow server restored, which continues "
    "from this one (docs/deploy.md says what members see then).": (
        "请放回最新的数据库。若没有：用 secureflow server restored 从此数据库继续"
        "（成员届时看到什么，见 docs/deploy.md）。"
    ),
    "Correct `database` in server.yaml, or start that centre from its own folder.": (
        "请更正 server.yaml 中的 `database`，或从其自己的目录启动该协调中心。"
    ),
    "Put this folder's own record back, or start that agent from its own folder.": (
        "请放回该目录自己的记录，或从其自己的目录启动该代理。"
    ),
    "Check the path, who owns it, and the free space.": "请检查路径、其属主与剩余空间。",
    "Use another backup; nothing was restored.": "请换用另一份备份；没有恢复任何内容。",
    "Do not start a server on it: restore another backup.": "请勿启用：请恢复另一份备份。",
    "Give the passphrase that it was made with.": "请给出制作备份时所用的口令。",
    "Name a new file: a backup never replaces an older one.": (
        "请指定新文件：备份从不覆盖旧的备份。"
    ),
    "Free space or choose another place; a backup needs as much as the database and the models, "
    "twice.": "请腾出空间或换个位置；备份需要数据库与模型之和的两倍空间。",
    "Mount the disk that they are on, or put them back from an older backup. If they are lost: "
    "--without-missing backs up the rest.": (
        "请挂载它们所在的磁盘，或从较早的备份放回。若已丢失：用 --without-missing 备份其余部分。"
    ),
    "Name a new folder, or use --into-existing to move this folder's database aside and put the "
    "backup's in its place; stop the process first.": (
        "请指定新目录；或用 --into-existing 把该目录的数据库移到一旁并换上备份的（请先停止进程）。"
    ),
    "Free space, or choose another folder that this user may write to; nothing that was there "
    "before is lost.": ("请腾出空间或换个目录；原有内容没有丢失。"),
    # kit.disk
    "The operator takes care of it; waiting work then continues by itself.": (
        "由运营方处理；等待中的工作随后会自行继续。"
    ),
    "Free space in {} ({}); waiting work then continues by itself.": (
        "请在 {0} 腾出空间（{1}）；等待中的工作随后会自行继续。"
    ),
    "Look at the disk of {}: is it mounted for writing, and for this user? Waiting work then "
    "continues by itself.": (
        "请检查 {0} 所在磁盘：是否以可写方式挂载，且此用户可写？等待中的工作随后会自行继续。"
    ),
    "Raise its limit of open files (ulimit -n; LimitNOFILE= of its service) and check what holds "
    "so many; waiting work then continues by itself.": (
        "请提高其可打开文件数上限（ulimit -n；服务单元的 LimitNOFILE=），并查明是什么占用了这么多；"
        "等待中的工作随后会自行继续。"
    ),
    "End the process that holds the file in {}; waiting work then continues by itself.": (
        "请结束占用 {0} 中文件的进程；等待中的工作随后会自行继续。"
    ),
    "Its operator frees space (secureflow agent doctor, secureflow doctor); then submit the job "
    "again.": (
        "请由其管理者腾出空间（secureflow agent doctor、secureflow doctor），然后重新提交任务。"
    ),
}

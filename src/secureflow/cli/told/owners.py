"""Chinese of what an owner and an operator meet at their own machine: data, settings, consent."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # a withdrawal that the server was not told of yet
    "It is withdrawn here, and no new job gets it; its grants end once the server knows. Run "
    "again: secureflow agent data remove {}": (
        "它已在本机撤回，新任务不再使用它；服务器得知后，其授权才会终止。"
        "请重复：secureflow agent data remove {0}"
    ),
    # more than the control socket takes
    "The agent's answer has {}, more than {}.": "代理的应答有 {0}，超过 {1}。",
    "Ask for fewer entries at once.": "请一次少取几条。",
    "The request to the agent has {}, more than {}.": "要交给代理的内容有 {0}，超过 {1}。",
    # files of data
    "{} cannot be used: {}.": "{0} 无法使用：{1}。",
    "there is no such file": "没有这个文件",
    "it is not a file": "它不是文件",
    "it has no row": "其中没有数据行",
    "it is not a readable file of its kind": "它不是可读的该类文件",
    "its name ends neither in .csv nor in .parquet": "文件名既不以 .csv 也不以 .parquet 结尾",
    "none of its columns can be used as a number or category": "没有任何列可用作数字或类别",
    "Check the path.": "请检查路径。",
    "Rename it to match its content, or export it as CSV in UTF-8.": (
        "请按内容改名，或导出为 UTF-8 编码的 CSV。"
    ),
    "Use a CSV file in UTF-8 with a header line and commas, or a Parquet file.": (
        "需要 UTF-8 编码、有表头、以逗号分隔的 CSV，或 Parquet 文件。"
    ),
    "{} has no column {}.": "{0} 没有列 {1}。",
    "Its columns are: {}{}.": "其中的列有：{0}{1}。",
    "The file of dataset {} does not exist or is not a file.": (
        "数据集 {0} 的文件不存在或不是文件。"
    ),
    "Check `path` in the agent's configuration.": "请检查代理配置中的 `path`。",
    "Dataset {} does not fit its declared schema: {}: {}.": "数据集 {0} 与其声明不符：{1}：{2}。",
    "Correct the file or the declaration in the agent's configuration.": (
        "请更正文件，或代理配置中的声明。"
    ),
    "The file of dataset {} is not a readable CSV file.": "数据集 {0} 的文件不是可读的 CSV 文件。",
    "It needs a header line, commas, and quotes around cells that hold either.": (
        "需要表头、逗号分隔，含逗号或换行的单元格须加引号。"
    ),
    "The file of dataset {} is not a readable Parquet file.": (
        "数据集 {0} 的文件不是可读的 Parquet 文件。"
    ),
    "Check the file and the declared format.": "请检查文件与所声明的格式。",
    "Dataset {} has more rows or bytes than the agent reads.": (
        "数据集 {0} 的行数或字节数超出读取上限。"
    ),
    "Raise the agent's limits, or split the dataset.": "请提高代理的上限，或拆分数据集。",
    "{} has no dataset {}.": "{0} 没有数据集 {1}。",
    "Declare it in agent.yaml under `datasets`, or name one that is declared.": (
        "请在 agent.yaml 的 `datasets` 下声明，或指定已声明的数据集。"
    ),
    "Dataset {}, column {}: {}.": "数据集 {0}，列 {1}：{2}。",
    "Dataset {}, privacy: {}.": "数据集 {0}，隐私：{1}。",
    "Correct the declaration in the agent's configuration.": "请更正代理配置中的声明。",
    # settings and policies
    "Known: {}.": "已知的有：{0}。",
    "See the examples in {}.": "请参照 {0} 中的示例。",
    "Remove it and set {}, or name a file that holds it.": (
        "请将其移出并设置 {0}，或写出存放它的文件。"
    ),
    "Correct the named field.": "请更正所指的字段。",
    "Correct the named line.": "请更正所指的行。",
    "Give the path of the YAML file with --config.": "请用 --config 给出 YAML 文件的路径。",
    "{} was edited since this agent read it{}": "{0} 在本代理读取之后被修改{1}",
    "The policy file {} cannot be read: {}.": "无法读取策略文件 {0}：{1}。",
    "The policy file {} is not valid: {}": "策略文件 {0} 无效：{1}",
    "Correct `consent.policies` in agent.yaml.": "请更正 agent.yaml 中的 `consent.policies`。",
    "Correct the file; `secureflow agent doctor` checks it again.": (
        "请更正该文件；`secureflow agent doctor` 会再次检查。"
    ),
    "The simulated root {} cannot be read: {}.": "无法读取模拟平台的根证书 {0}：{1}。",
    "Correct `attestation.roots` in agent.yaml.": "请更正 agent.yaml 中的 `attestation.roots`。",
    "An agent already runs in {}.": "{0} 中已有代理在运行。",
    "Stop it first: one organisation has one agent.": "请先停止它：每个机构只有一个代理。",
    "{} already declares a dataset {}.": "{0} 已声明数据集 {1}。",
    "{} cannot be written: {}.": "无法写入 {0}：{1}。",
    "`datasets` is written in brackets, where no entry can be added.": (
        "`datasets` 写在方括号内，无法添加条目。"
    ),
    "Write them as a list with dashes, or paste the entry yourself.": (
        "请改写为短横线列表，或自行粘贴该条目。"
    ),
    "The token file {} cannot be read: {}.": "无法读取令牌文件 {0}：{1}。",
    "Give the path of the file that the operator gave you: --token-file.": (
        "请用 --token-file 给出运营方所交文件的路径。"
    ),
    "The passphrase file {} cannot be read: {}.": "无法读取口令文件 {0}：{1}。",
    "Name a file with one line of text in UTF-8.": "请给出只含一行 UTF-8 文本的文件。",
    "Run this as a user who may read it, or copy it for this one: "
    "install -m 0600 -o USER FILE COPY.": (
        "请以可读取它的用户运行，或为当前用户复制一份：install -m 0600 -o USER FILE COPY。"
    ),
    "The agent's record {} cannot be opened: {}.": "无法打开代理的记录 {0}：{1}。",
    "Check the directory's owner and free space; never delete the record: it holds this "
    "organisation's votes.": (
        "请检查目录的属主与剩余空间；切勿删除该记录：其中保存着本机构的投票。"
    ),
    # backups
    "{} is not a complete backup of SecureFlow: {}.": "{0} 不是完整的 SecureFlow 备份：{1}。",
    "{} already exists.": "{0} 已经存在。",
    "its own leaf {} does not have its signature": "其本方叶子 {0} 没有本方的签名",
    "Restore it, or enrol the agent again. A backup without a passphrase needs no link.pem, and "
    "has no keys.": ("请将其放回，或重新注册代理。不设口令的备份无需 link.pem，其中也没有密钥。"),
    # charter
    "Charter version {} is signed by {} of its {} members; it needs {}. Missing: {}.": (
        "章程第 {0} 版由其 {2} 个成员中的 {1} 个签署；需要：{3}。缺少：{4}。"
    ),
    "every one": "全部",
    "more than two thirds": "三分之二以上",
    "Each of them compares the words and runs `secureflow agent charter sign`; pin it after "
    "that.": "请各方核对指纹词并运行 `secureflow agent charter sign`；之后再钉定。",
    "Charter version {} has valid signatures of {} of the {} pinned members; it needs more than "
    "two thirds.": ("章程第 {0} 版有已钉定的 {2} 个成员中 {1} 个的有效签名；需要三分之二以上。"),
    "Charter version {} does not follow the pinned version {}.": (
        "章程第 {0} 版不是已钉定的第 {1} 版的后续版本。"
    ),
    "Pin the versions in between first.": "请先钉定中间的各版本。",
    "Read the words to every other member by telephone; do not copy them from this screen.": (
        "请通过电话向其他每个成员读出指纹词；不要从本屏幕复制。"
    ),
    "The charter of digest {} names {} {}.": "摘要为 {0} 的章程写的是 {1} {2}。",
    "{} has not pinned a charter yet, so it knows no other member.": (
        "{0} 尚未钉定章程，因此不认识任何其他成员。"
    ),
    "The centre has no charter that waits for this agent.": "协调中心没有等待本代理签署的章程。",
    "The operator drafts one once every organisation is enrolled: secureflow charter draft.": (
        "各机构都注册之后由运营方起草：secureflow charter draft。"
    ),
    # consent
    "The inbox has no item with the id {}.": "收件箱中没有编号为 {0} 的请求。",
    "Give the whole id, all 64 digits; `secureflow agent inbox list` shows those that wait, "
    "`--all` all of them.": (
        "编号须完整给出，共 64 位；`secureflow agent inbox list` 列出等待中的，`--all` 列出全部。"
    ),
    "Inbox item {} has expired: nobody waits for it any more.": "请求 {0} 已过期：已无人等待。",
    "Have the job submitted again.": "请让对方重新提交任务。",
    "Inbox item {} does not match its id: {}.": "请求 {0} 的内容与其编号不符：{1}。",
    "Approve nothing until it is explained: the agent's record was changed, or ids were made to "
    "collide.": "查明之前请勿批准任何请求：代理的记录被改动，或编号被人为制造碰撞。",
    "Inbox item {} is already {}.": "请求 {0} 已处理：{1:word}。",
    "A decision is final; a changed job comes as a new item.": (
        "决定不可更改；修改后的任务会作为新请求到来。"
    ),
    "{} requests already wait for a person here; there is no room for {}.": (
        "此处已有 {0} 条请求等待处理；{1} 没有位置了。"
    ),
    "Approve or reject some: `secureflow agent inbox review`.": (
        "请先批准或拒绝一些：`secureflow agent inbox review`。"
    ),
    "Job {} was refused: {}.": "任务 {0} 被拒绝：{1}。",
    "{} allows {} only in jobs with differential privacy: its budget would mean nothing "
    "otherwise.": "{0} 只允许 {1} 用于差分隐私任务：否则其预算没有意义。",
    "Add a privacy section to the job.": "请在任务中加上 privacy 部分。",
    "{} does not take part in jobs protected by {}.": "{0} 不参加以 {1} 保护的任务。",
    "Submit it with one of: {}.": "请改用以下之一提交：{0}。",
    "{} does not open sums of fewer than {} parties; the job allows {}.": (
        "{0} 不打开少于 {1} 方的总和；该任务允许 {2} 方。"
    ),
    "Raise min_contributors.": "请提高 min_contributors。",
    "{} does not compute sums with one other party alone: each of the two could compute what the "
    "other one contributed.": "{0} 不与单独一方求和：两方中的每一方都能算出对方的贡献。",
    "Use differential privacy for everything that is released, or add a third party. The owner "
    "may accept it for one dataset and one partner's key: consent.two_party in agent.yaml.": (
        "请对所有发布的结果使用差分隐私，或再加入一方。数据所有者也可以在 agent.yaml 的 "
        "consent.two_party 中，针对一个数据集和一个伙伴的密钥接受这一点。"
    ),
    "Declare `privacy: {domain, unit, epsilon, delta}` of the dataset in agent.yaml.": (
        "请在 agent.yaml 中为该数据集声明 `privacy: {domain, unit, epsilon, delta}`。"
    ),
    # queries
    "Write MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME].": (
        "请写成 MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME]。"
    ),
    "{} is not a measure ({})": "{0} 不是统计量（{1}）",
    "{} is not understood": "无法理解 {0}",
    # the demo
    "Another demo is running in {}.": "另一个演示正在使用 {0}。",
    "Wait for its end, or name another directory: --directory.": (
        "请等它结束，或用 --directory 指定另一目录。"
    ),
    "{} holds files that no demo made.": "{0} 中有并非演示生成的文件。",
    "Name another directory: --directory.": "请用 --directory 指定另一目录。",
    "{} is in the directory that the demo empties.": "{0} 位于演示将清空的目录中。",
    "Move the file, or name another directory: --directory.": (
        "请移动该文件，或用 --directory 指定另一目录。"
    ),
    "The agents of {} did not ask for consent to {}.": "{0} 的代理没有为 {1} 请求批准。",
    "Look at {}.": "请查看 {0}。",
    "The whole log is in {}.": "完整日志见 {0}。",
    # contexts and profiles
    "There is no context {}.": "没有名为 {0} 的上下文。",
    "SECUREFLOW_PROFILE names one profile file, so there is no context {}.": (
        "SECUREFLOW_PROFILE 指定了单个配置文件，因此没有上下文 {0}。"
    ),
    "Unset SECUREFLOW_PROFILE to work with contexts.": "要使用上下文，请取消 SECUREFLOW_PROFILE。",
    "{} cannot name a context.": "{0} 不能用作上下文名称。",
    "Use lowercase letters, digits and . _ -": "请使用小写字母、数字和 . _ -",
    "secureflow login URL --context {}, or see: secureflow context list": (
        "secureflow login URL --context {0}，或查看：secureflow context list"
    ),
    # files of the command line
    "{} has more than {} bytes.": "{0} 超过 {1} 字节。",
    "{} must hold an object with named fields.": "{0} 中须为由命名字段组成的对象。",
    "{} is not YAML: {}.": "{0} 不是 YAML：{1}。",
    # the operator's machine
    "{} already holds a centre.": "{0} 中已有协调中心。",
    "Start it, or choose another directory: new keys would cut every party off.": (
        "请启动它，或另选目录：换新密钥会使各方全部断开。"
    ),
    "{} holds the unfinished centre of {}.": "{0} 中有 {1} 尚未建成的协调中心。",
    "Finish it with that trust domain, or choose another directory.": (
        "请用该信任域完成它，或另选目录。"
    ),
    "The database is locked by another writer.": "数据库被另一写入者锁定。",
    "Try again; if it persists, look for another process on the same database.": (
        "请重试；若持续如此，请查看是否有其他进程在用同一数据库。"
    ),
    # kit.heldfile
    "The file of the record was removed or replaced while its process runs: nothing is recorded "
    "any more, and nothing is read from what is there now.": (
        "记录文件在其进程运行时被移走或替换：不再记录任何内容，也不读取现在该处的文件。"
    ),
    "The log of the process names the copy of its record that it has put beside that file. Then "
    "stop it, put the copy in the file's place and start it again (docs/deploy.md).": (
        "进程的日志会指出它放在该文件旁边的记录副本。随后请停止进程，用该副本替换该文件，"
        "再重新启动（见 docs/deploy.md）。"
    ),
    "Stop the process; remove {}-wal and {}-shm if they are there; mv {} {}; then start it "
    "again.": ("请停止进程；若有 {0}-wal 与 {1}-shm 则删除；执行 mv {2} {3}；再重新启动。"),
    "The database cannot be reached at the moment.": "数据库暂时无法访问。",
    "Try again soon; if it persists, the operator checks whether its service runs.": (
        "请稍后重试；若持续如此，请运营方查看数据库服务是否在运行。"
    ),
    "The database cannot grow: the disk of the server is full.": (
        "数据库无法增长：服务器磁盘已满。"
    ),
    "The operator frees space; waiting work then continues by itself.": (
        "请运营方腾出空间；等待中的工作随后会自行继续。"
    ),
    "The centre": "协调中心",
    "The database {} is locked by another process.": "数据库 {0} 被另一进程锁定。",
    "End the other process that writes to it: a second server, a backup, a shell.": (
        "请结束写入它的其他进程：另一个服务器、备份或命令行工具。"
    ),
    "The database {} cannot grow: its disk is full.": "数据库 {0} 无法增长：磁盘已满。",
    "The database {} stores text as {}, not as {}: names in other scripts than the Latin one "
    "would be lost.": ("数据库 {0} 以 {1} 而非 {2} 存储文本：非拉丁文字的名称会丢失。"),
    "Create another one: createdb --encoding UTF8 --template template0 NAME.": (
        "请另建一个：createdb --encoding UTF8 --template template0 NAME。"
    ),
    "The database {} already holds {}.": "数据库 {0} 中已有{1}。",
    "tables that SecureFlow did not make ({})": "并非 SecureFlow 建立的表（{0}）",
    "the centre {}": "协调中心 {0}",
    "the unfinished centre {}, whose `secureflow server init` did not end": (
        "尚未建成的协调中心 {0}（其 `secureflow server init` 未完成）"
    ),
    "Name an empty database of its own: createdb NAME.": (
        "请指定一个专用的空数据库：createdb NAME。"
    ),
    "Name an empty database (createdb NAME), or start that centre from its own directory.": (
        "请指定空数据库（createdb NAME），或从其原目录启动该协调中心。"
    ),
    "Name an empty database (createdb NAME). If an interrupted restore has filled this one: "
    "dropdb NAME, createdb NAME, and restore again.": (
        "请指定空数据库（createdb NAME）。若它是被中断的恢复所填充的：先 dropdb NAME，"
        "再 createdb NAME，然后重新恢复。"
    ),
    "Run it again on the same directory; if that is lost, drop and recreate the database.": (
        "请对同一目录再次运行该命令；若目录已丢失，请删除该数据库并重新建立。"
    ),
    "The database URL holds a password: others on this machine could read it.": (
        "数据库 URL 中含有密码：本机的其他人可能读到它。"
    ),
    "Leave it out, and set SECUREFLOW_SERVER__DATABASE__PASSWORD.": (
        "请去掉密码，并设置 SECUREFLOW_SERVER__DATABASE__PASSWORD。"
    ),
    "--database is for PostgreSQL: postgresql://USER@HOST/NAME.": (
        "--database 仅用于 PostgreSQL：postgresql://USER@HOST/NAME。"
    ),
    "Leave it out: the demo makes a SQLite file in its directory.": (
        "请省略：演示会在其目录中建立 SQLite 文件。"
    ),
    "REST cannot listen on {}:{}: {}.": "REST 无法监听 {0}:{1}：{2}。",
    "Stop the other process on this port, or set rest.port (0 picks a free one).": (
        "请停止占用该端口的进程，或设置 rest.port（0 表示自动选取）。"
    ),
    "This version has no attester for hardware (SGX, TDX, SEV-SNP): an enclave can show evidence "
    "of a SIMULATED platform only.": (
        "本版本没有硬件证明器（SGX、TDX、SEV-SNP）：飞地只能出示模拟（SIMULATED）平台的证据。"
    ),
    "For development and demos: `secureflow enclave init --simulated`. Against an operator use "
    "protection secagg, which needs no enclave.": (
        "用于开发与演示：`secureflow enclave init --simulated`。要防范运营方，请用 protection "
        "secagg，它不需要飞地。"
    ),
    "{}: {} is not the file that was installed.": "{0}：{1} 不是安装时的文件。",
    "Reinstall the release from its locked requirements (requirements/core.txt).": (
        "请按锁定的依赖（requirements/core.txt）重新安装本版本。"
    ),
    "The locked requirements are not installed.": "没有安装锁定的依赖清单。",
    "{} both bring {}.": "{0} 都带有 {1}。",
    "No installed distribution records the module {}.": "没有任何已安装的发行包登记了模块 {0}。",
    "{}: RECORD has a checksum that is not a SHA-256.": "{0}：RECORD 中有校验和不是 SHA-256。",
    "The enclave does not load {}: it is not part of what was measured.": (
        "飞地不加载 {0}：它不在度量范围之内。"
    ),
    "Start the enclave with `secureflow enclave start`. What it needs is imported at the top of "
    "its modules, where it is measured.": (
        "请用 `secureflow enclave start` 启动飞地。它所需的模块都在其模块开头导入，并在那里度量。"
    ),
    "{} is not of the form host:port: {}.": "{0} 不是 host:port 形式：{1}。",
    "Write a DNS name, an IPv4 address or an [IPv6 address], a colon and a port.": (
        "请写 DNS 名、IPv4 地址或 [IPv6 地址]，加冒号和端口。"
    ),
    "Set the clock that is wrong (NTP), on that machine; then try again.": (
        "请在时钟有误的机器上校准时钟（NTP），然后重试。"
    ),
}

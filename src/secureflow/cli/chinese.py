"""The Chinese catalogue of the command line: English text → Chinese text."""

from __future__ import annotations

from typing import Final

CHINESE: Final[dict[str, str]] = {
    # agent
    "One organisation's agent: data, keys and consent stay here.": (
        "一个机构的代理：数据、密钥与同意都留在本地。"
    ),
    "Requests that wait for a person.": "等待人工处理的请求。",
    "Datasets that this agent declares.": "本代理声明的数据集。",
    "The charter that this agent goes by.": "本代理所遵循的章程。",
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
    "Name the leg of the way to the centre that fails.": "逐段检查通往中心的链路，指出出错的一段。",
    "Show what this agent did.": "显示本代理做过的事。",
    "List the requests that wait.": "列出等待处理的请求。",
    "Show one request: who asks for what, and why it waits.": "显示一条请求：谁要什么，为何等待。",
    "Approve {what}?": "批准 {what}？",
    "{what} is approved.": "已批准 {what}。",
    "Approve a request.": "批准一条请求。",
    "{what} is rejected.": "已拒绝 {what}。",
    "Reject a request.": "拒绝一条请求。",
    "{path} has no header line.": "{path} 没有表头行。",
    "List the declared datasets.": "列出已声明的数据集。",
    "Who could see what of a job, what it cost, what is stopped.": (
        "谁能看到任务的哪些内容、消耗了多少隐私预算、挡住了哪些攻击。"
    ),
    "Show what of each privacy budget is spent.": "显示各隐私预算的消耗情况。",
    "Check a dataset against its schema and publish its description.": (
        "按模式校验数据集，并发布其描述。"
    ),
    "{what} is withdrawn.": "已撤回 {what}。",
    "Withdraw a published description.": "撤回已发布的描述。",
    "Show the pinned charter and the candidate.": "显示已钉定的章程与候选章程。",
    "The charter is pinned.": "章程已钉定。",
    "Go by this charter from now on.": "从现在起遵循这份章程。",
    "The candidate is signed.": "候选章程已签名。",
    "Sign the candidate charter with the organisation's key.": "用本机构的密钥签署候选章程。",
    "Write the pinned charter to this file.": "把已钉定的章程写入此文件。",
    "No charter is pinned yet.": "尚未钉定任何章程。",
    "Let the agent go on after an alarm that it raised.": "代理自行报警后，允许其继续运行。",
    "Go on although the agent raised an alarm?": "代理已报警，仍要继续吗？",
    "Compare the words with the other members first.": "请先与其他成员核对指纹词。",
    "The agent's YAML file.": "代理的 YAML 配置文件。",
    "Id of the request.": "请求编号。",
    "Words for the log.": "写入记录的说明。",
    "Do not ask.": "不再询问。",
    "New directory.": "新目录。",
    "File with the enrolment token.": "存放注册令牌的文件。",
    "URL of the server.": "服务器的 URL。",
    "Name of this agent.": "本代理的名称。",
    "At most so many.": "最多显示的条数。",
    "Only of this job.": "仅限此任务。",
    "Also the decided ones.": "也包括已处理的。",
    "Name of the dataset in the configuration.": "配置中的数据集名称。",
    "Its title for people.": "给人看的标题。",
    "Charter file; default: the server's.": "章程文件；默认取服务器上的。",
    "The words or digits that you compared with the other members.": (
        "您与其他成员核对过的指纹词或数字。"
    ),
    # audit, ledger
    "Read the ledger, and verify a job's story offline.": "查看账本，并离线验证任务全过程。",
    "Show the newest signed head.": "显示最新的已签名日志头。",
    "List entries of the log.": "列出日志条目。",
    "Written to {path}.": "已写入 {path}。",
    "Write a job's audit bundle.": "导出任务的审计包。",
    "Give the charter that you pinned: --charter FILE.": "请给出您钉定的章程：--charter FILE。",
    "The bundle is not verified: {status}.": "审计包未通过验证：{status}。",
    "Verify a bundle offline; exit code 7 unless it is authentic.": (
        "离线验证审计包；不真实则退出码为 7。"
    ),
    "Verified: every entry is signed, chained, included and cosigned.": (
        "验证通过：每个条目均已签名、成链、收录并联署。"
    ),
    "First index.": "起始序号。",
    "Id of the job.": "任务编号。",
    "File to write.": "要写入的文件。",
    "Audit bundle (JSON).": "审计包（JSON）。",
    "The charter that you pinned (JSON file).": "您钉定的章程（JSON 文件）。",
    "Heads and proofs of the transparency log (RFC 9162, C2SP checkpoints).": (
        "透明日志的日志头与证明（RFC 9162、C2SP 检查点）。"
    ),
    "Write the newest signed checkpoint.": "输出最新的已签名检查点。",
    "The proof holds.": "证明成立。",
    "Prove that an entry stands in the log.": "证明某条目已收录在日志中。",
    "Prove that the log only grew between two sizes.": "证明日志在两次之间只增不改。",
    "The log has no entry {index}.": "日志中没有第 {index} 条。",
    "The inclusion proof does not hold.": "收录证明不成立。",
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
    "File with a checkpoint kept from before.": "存放以前所保存检查点的文件。",
    # charter
    "The charter: who the organisations are, compared out of band.": (
        "章程：各机构的身份，须在线下核对。"
    ),
    "Show the server's charter and the words to compare.": "显示服务器上的章程与供核对的指纹词。",
    "Each member now compares the words and signs: secureflow agent charter sign.": (
        "请各成员核对指纹词后签名：secureflow agent charter sign。"
    ),
    "Propose the next version of the charter.": "提出下一版章程。",
    "Both are the same charter.": "两份是同一章程。",
    "Say how two charter files differ; exit code 7 if they do.": (
        "比较两份章程文件；若不同则退出码为 7。"
    ),
    "Every member signed it. Compare the words with the other members before pinning it.": (
        "所有成员均已签名。钉定之前请与其他成员核对指纹词。"
    ),
    "Check a charter file's signatures; exit code 7 if some are missing.": (
        "核对章程文件的签名；缺少签名则退出码为 7。"
    ),
    "Compare with the other members, not over this server:": (
        "请与其他成员核对（不要经由本服务器）："
    ),
    "The charters differ.": "两份章程不同。",
    "It follows the pinned charter.": "它承接已钉定的章程。",
    "Not signed by: {names}.": "尚未签名：{names}。",
    "Charter file (JSON).": "章程文件（JSON）。",
    "The version that waits for signatures.": "等待签名的版本。",
    "yes": "是",
    "no": "否",
    "Also write it to this file.": "同时写入此文件。",
    "Slug of a member; repeat it. Default: every enrolled organisation.": (
        "成员机构代号，可重复。默认：所有已注册机构。"
    ),
    "The charter known before; the file must follow it.": "先前已知的章程；该文件必须承接它。",
    # console
    "Nobody is there to confirm.": "没有人可以确认。",
    "Nothing was done.": "未做任何操作。",
    "Nothing to show.": "没有可显示的内容。",
    "How to write the result.": "结果的输出格式。",
    # data, grants
    "Dataset descriptions, and who may use them.": "数据集描述，以及谁可以使用。",
    "List the datasets that you may see.": "列出您可见的数据集。",
    "Show a dataset's declared columns.": "显示数据集声明的列。",
    "Its budget is kept per {unit}; {rows} rows of one count.": (
        "其预算以{unit}为单位；每个单位最多计入 {rows} 行。"
    ),
    "record": "记录",
    "person": "个人",
    "Let a project use a dataset of yours.": "允许某项目使用您的数据集。",
    "List grants.": "列出授权。",
    "{what} is revoked.": "已撤销 {what}。",
    "Withdraw a grant.": "撤销一项授权。",
    "Id of the dataset.": "数据集编号。",
    "Only of this project.": "仅限此项目。",
    "Id of the project.": "项目编号。",
    "A column; repeat it. Default: all columns.": "列名，可重复。默认：全部列。",
    "A purpose; repeat it. Default: any purpose.": "用途，可重复。默认：不限用途。",
    "How long it lasts.": "有效天数。",
    "Id of the grant.": "授权编号。",
    # demo
    "Train one model with several organisations on this machine.": (
        "在本机上让几家机构共同训练一个模型。"
    ),
    "End a demo that was left running.": "结束仍在运行的演示。",
    "Where the demo keeps its files.": "演示文件的存放目录。",
    "How many organisations.": "机构数量。",
    "At most so many rounds.": "最多训练的轮数。",
    "How single updates are hidden.": "如何隐藏单个更新。",
    "End with one line of JSON.": "最后输出一行 JSON。",
    "Leave the platform running.": "让平台继续运行。",
    # doctor
    "Name the leg of the way to the server that fails.": (
        "逐段检查通往服务器的链路，指出出错的一段。"
    ),
    "port {port} answers in {ms} ms": "端口 {port} 在 {ms} 毫秒内应答",
    "healthy": "健康",
    "differs by {seconds} s": "相差 {seconds} 秒",
    "none: plain http on the loopback interface": "无：回环接口上的明文 http",
    "No server is named.": "未指定服务器。",
    "/healthz answers {status}.": "/healthz 返回 {status}。",
    "Is it a SecureFlow server?": "这是 SecureFlow 服务器吗？",
    "the server names no time": "服务器未给出时间",
    "This clock and the server's differ by {seconds} s.": "本机时钟与服务器相差 {seconds} 秒。",
    "Set the clock (NTP); certificates and approvals depend on it.": (
        "请校准时钟（NTP）；证书与批准都依赖时钟。"
    ),
    "The server is {theirs}, this is {ours}.": "服务器版本为 {theirs}，本机为 {ours}。",
    "Install the server's version.": "请安装与服务器相同的版本。",
    "You are not logged in.": "您尚未登录。",
    "{host} has no address: {reason}.": "{host} 无法解析：{reason}。",
    "Check the name, the DNS server and the VPN.": "请检查主机名、DNS 服务器与 VPN。",
    "Port {port} does not answer: {reason}.": "端口 {port} 无应答：{reason}。",
    "Ask whether the server runs and whether a firewall stands in between.": (
        "请确认服务器在运行，且中间没有防火墙阻拦。"
    ),
    "The certificate is refused: {reason}.": "证书未被接受：{reason}。",
    "Give the CA file of this server: secureflow login URL --ca FILE.": (
        "请给出该服务器的 CA 文件：secureflow login URL --ca FILE。"
    ),
    "TLS fails: {reason}.": "TLS 失败：{reason}。",
    "Is it an https port, and does no proxy break TLS open?": (
        "该端口是 https 吗？中间是否有代理拆解 TLS？"
    ),
    "until": "有效至",
    "profile": "配置",
    "settings": "配置",
    "keys": "密钥",
    "certificate": "证书",
    "authorisation": "授权",
    "charter": "章程",
    "attestation": "远程证明",
    "alarm": "报警",
    "name": "名称",
    "connection": "连接",
    "server": "服务器",
    "clock": "时钟",
    "version": "版本",
    "login": "登录",
    # enclave, server
    "The attested worker that opens sealed updates.": "经远程证明的工作进程，负责打开密封的更新。",
    "Next: secureflow enclave start --config {path}": (
        "下一步：secureflow enclave start --config {path}"
    ),
    "Enrol an enclave with its one-time token.": "用一次性令牌注册飞地。",
    "Run the enclave until SIGTERM.": "运行飞地，直到收到 SIGTERM。",
    "The process's YAML file.": "该进程的 YAML 配置文件。",
    "Use the SIMULATED TEE: it protects nothing from the operator.": (
        "使用模拟（SIMULATED）TEE：对运营方不提供任何保护。"
    ),
    "The coordination centre.": "协调中心。",
    "Next: secureflow server start --config {path}": (
        "下一步：secureflow server start --config {path}"
    ),
    "Make a new centre: CA, log key, first admin, enclave token.": (
        "新建中心：CA、日志密钥、首位管理员、飞地令牌。"
    ),
    "Run the centre until SIGTERM.": "运行中心，直到收到 SIGTERM。",
    "SPIFFE trust domain of the consortium.": "联盟的 SPIFFE 信任域。",
    "Name or address by which people and agents reach it.": "供人和代理访问的主机名或地址。",
    "Port of REST.": "REST 端口。",
    "Port of the link.": "链路端口。",
    # jobs
    "Jobs: joint computations.": "任务：联合计算。",
    "List jobs, the newest first.": "列出任务，最新的在前。",
    "Show one job.": "显示一个任务。",
    "Submit a job file.": "提交任务文件。",
    "Check a job file and see the spec that parties would sign.": (
        "检查任务文件，并查看各方将要签署的规格。"
    ),
    "Follow a job until it has ended; exit code 8 if it failed.": (
        "跟踪任务直到结束；失败则退出码为 8。"
    ),
    "Cancel {what}?": "取消 {what}？",
    "{what} is cancelled.": "已取消 {what}。",
    "Cancel a job.": "取消任务。",
    "Ask several owners' data for noised statistics.": "向多方数据询问加噪的统计量。",
    "MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME]; repeat it.": (
        "统计量[:列][:by=分组列][:bins=格数][:q=分位,分位][:name=名称]；可重复。"
    ),
    "A dataset; repeat it. Default: all granted to the project.": (
        "数据集；可重复。默认：授予该项目的全部数据集。"
    ),
    "What all queries together may cost each owner.": "全部查询合计可消耗每个数据所有者的 ε。",
    "The noise itself, in place of an epsilon.": "直接给出噪声倍数，代替 ε。",
    "δ of the whole job; far below one in all rows.": "整个任务的 δ；应远小于总行数分之一。",
    "shared, party or local: who adds how much noise.": "shared、party 或 local：由谁加多少噪声。",
    "gaussian or laplace.": "gaussian 或 laplace。",
    "opendp or pydp.": "opendp 或 pydp。",
    "What the answers are for, as granted.": "结果的用途，须与授权一致。",
    "Name of the job.": "任务名称。",
    "Only say what it would cost.": "只说明代价，不提交。",
    "Wait for the answers.": "等待结果。",
    "Standard errors that noise alone would give, with so many rows in each group:": (
        "每组有这么多行时，仅由噪声带来的标准误："
    ),
    "Show an ended job's report, or write it as a page.": "显示已结束任务的报告，或写成网页。",
    "Job {job} released no model in round {number}.": "任务 {job} 在第 {number} 轮没有发布模型。",
    "--from needs JOB@ROUND, e.g. job_01jf2k…@12.": "--from 需要“任务@轮次”，例如 job_01jf2k…@12。",
    "Job file (YAML or JSON).": "任务文件（YAML 或 JSON）。",
    "Continue from another job's round: JOB@ROUND.": "从另一任务的某一轮继续：任务@轮次。",
    "submitted": "已提交",
    "Only in this state.": "仅限此状态。",
    "Only check it.": "只检查，不提交。",
    "Follow it until it has ended.": "跟踪直到结束。",
    "Write the page to this file.": "把网页写入此文件。",
    "File to write; default: stdout.": "要写入的文件；默认：标准输出。",
    # login, main
    "Logged in as {name} until {until}.": "已以 {name} 登录，有效至 {until}。",
    "The token is kept in {path}.": "令牌保存在 {path}。",
    "Logged out.": "已退出登录。",
    "Password": "密码",
    "User name": "用户名",
    "Your user name.": "您的用户名。",
    "URL of the server (default: the last).": "服务器的 URL（默认：上次使用的）。",
    "PEM file of the only CA to trust.": "唯一信任的 CA 的 PEM 文件。",
    "File with the password; `-` reads stdin.": "存放密码的文件；`-` 表示读标准输入。",
    "Organisations that may not share raw data compute together.": (
        "让不能共享原始数据的机构共同计算。"
    ),
    "Log in to a server and keep the token.": "登录服务器并保存令牌。",
    "End the session and forget the token.": "结束会话并清除令牌。",
    "SECUREFLOW_DEBUG=1 shows where.": "设置 SECUREFLOW_DEBUG=1 可查看出错位置。",
    "Show the version.": "显示版本。",
    # models
    "Released models.": "已发布的模型。",
    "List models.": "列出模型。",
    "Show one model.": "显示一个模型。",
    "Show a model's card.": "显示模型卡片。",
    "Write a model's parameters and card, checked by digest.": "下载模型参数与卡片，并按摘要校验。",
    "Predict rows of a CSV file with a downloaded model.": "用已下载的模型预测 CSV 文件中的各行。",
    "Id of the model.": "模型编号。",
    "Row {row}, column {name}: {text!r} is no number.": (
        "第 {row} 行、列 {name}：{text!r} 不是数字。"
    ),
    "File to write (safetensors).": "要写入的文件（safetensors）。",
    "Model file, as `model download` wrote it.": "由 `model download` 写出的模型文件。",
    "CSV file with a header line.": "带表头的 CSV 文件。",
    # organisations, enrolment, parties
    "Organisations.": "机构。",
    "One-time tokens that let an agent or an enclave in.": "让代理或飞地加入的一次性令牌。",
    "Enrolled processes and their links.": "已注册的进程及其链路。",
    "List the organisations.": "列出机构。",
    "Show one organisation.": "显示一个机构。",
    "Register an organisation.": "登记机构。",
    "List enrolment tokens, without their secrets.": "列出注册令牌（不含机密）。",
    "The token is in {path}.": "令牌已写入 {path}。",
    "Make a one-time enrolment token.": "生成一次性注册令牌。",
    "List enrolled processes.": "列出已注册的进程。",
    "Show which parties are connected.": "显示哪些参与方在线。",
    "Shut out {what}?": "将 {what} 拒之门外？",
    "Refuse a process's certificate from now on.": "从现在起拒绝某进程的证书。",
    "Slug of the organisation.": "机构代号。",
    "Its name for people.": "给人看的名称。",
    "Write the token to this new 0600 file instead.": "改为把令牌写入此新文件（权限 0600）。",
    "SPIFFE id of the process.": "该进程的 SPIFFE 标识。",
    # projects
    "Projects and their members.": "项目及其成员。",
    "List your projects.": "列出您的项目。",
    "Show one project.": "显示一个项目。",
    "Found a project.": "创建项目。",
    "Invite an organisation.": "邀请机构。",
    "Accept an invitation.": "接受邀请。",
    "Leave a project, or decline an invitation.": "退出项目，或谢绝邀请。",
    "Name of the project.": "项目名称。",
    "What data may be used for in it.": "其中数据可用于什么。",
    "More words for people.": "更多说明。",
    # users
    "People and their roles.": "人员及其角色。",
    "Your own bearer tokens, for programs.": "您自己的、供程序使用的令牌。",
    "List the people that you may see.": "列出您可见的人员。",
    "Show who you are.": "显示您的身份。",
    "Show one user.": "显示一个用户。",
    "Create a user.": "创建用户。",
    "{what} is disabled.": "已停用 {what}。",
    "Lock a user out.": "停用用户。",
    "{what} is enabled.": "已启用 {what}。",
    "Let a disabled user in again.": "重新启用用户。",
    "Old password": "旧密码",
    "New password": "新密码",
    "The password is changed.": "密码已更改。",
    "Change your own password.": "更改自己的密码。",
    "List your tokens.": "列出您的令牌。",
    "Make a token; its text is shown only now.": "生成令牌；内容只显示这一次。",
    "End a token.": "作废令牌。",
    "Id of the user.": "用户编号。",
    "Name to log in with.": "登录名。",
    "File with the first password; `-` reads stdin. It is asked for when not given.": (
        "存放初始密码的文件；`-` 表示读标准输入。未给出时会询问。"
    ),
    "What it is for.": "用途说明。",
    "Id of the token.": "令牌编号。",
    # columns and states
    "id": "编号",
    "organisation": "机构",
    "roles": "角色",
    "disabled": "停用",
    "created": "创建时间",
    "expires": "到期",
    "label": "标签",
    "kind": "类型",
    "used": "使用时间",
    "party": "参与方",
    "connected": "在线",
    "log_size": "日志条数",
    "address": "地址",
    "purpose": "用途",
    "purposes": "用途",
    "members": "成员",
    "title": "标题",
    "rows": "行数",
    "type": "类型",
    "categories": "类别",
    "bounds": "范围",
    "sensitive": "敏感",
    "dataset": "数据集",
    "project": "项目",
    "job": "任务",
    "state": "状态",
    "submitter": "提交人",
    "digest": "摘要",
    "progress": "进度",
    "error": "错误",
    "metrics": "指标",
    "query": "查询",
    "measure": "统计量",
    "group": "组",
    "cell": "格",
    "quantile": "分位",
    "value": "值",
    "low": "下限",
    "high": "上限",
    "standard_error": "标准误",
    "reason": "原因",
    "family": "模型族",
    "index": "序号",
    "author": "作者",
    "at": "时间",
    "hash": "哈希",
    "status": "结论",
    "entries": "条目数",
    "size": "大小",
    "cosigners": "联署方",
    "quorum": "法定联署数",
    "key": "密钥",
    "signed": "已签名",
    "round": "轮次",
    "{party} dropped out of round {round} ({stage}): {reason}": (
        "{party} 在第 {round} 轮（{stage}）掉线：{reason}"
    ),
    "loss": "损失",
    "accuracy": "准确率",
    "auc": "AUC",
    "survivors": "贡献方数",
    "seconds": "秒",
    "invited": "已邀请",
    "active": "已加入",
    "left": "已退出",
    "draft": "草稿",
    "proposed": "待批准",
    "approved": "已批准",
    "admitted": "已准入",
    "running": "运行中",
    "paused": "已暂停",
    "succeeded": "成功",
    "failed": "失败",
    "cancelled": "已取消",
}

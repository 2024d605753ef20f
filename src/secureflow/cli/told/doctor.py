"""Chinese of what `agent doctor` finds (`agent.edge.doctor`)."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "{}: {} datasets": "{0}：{1} 个数据集",
    "signing key {}": "签名密钥 {0}",
    "port {} answers in {} ms": "端口 {0} 在 {1} 毫秒内应答",
    "{}, the server's certificate holds until {}": "{0}，服务器证书有效至 {1}",
    "{} until {} UTC": "{0}，有效至 {1} UTC",
    "{} is healthy": "{0} 健康",
    "the centre knows this agent as {}": "协调中心认定本代理为 {0}",
    "differs by {} s": "相差 {0} 秒",
    "not compared: the centre gives no time": "未比较：协调中心未告知时间",
    "The link certificate expired on {} UTC.": "链路证书已于 {0} UTC 过期。",
    "The link certificate is not valid before {} UTC.": "链路证书自 {0} UTC 起才有效。",
    "A running agent (secureflow agent start) renews it by itself with signing.key, over "
    "`server` in agent.yaml; secureflow agent doctor compares the clocks and shows what prevents "
    "it.": (
        "运行中的代理（secureflow agent start）会通过 agent.yaml 中的 `server`，用 signing.key "
        "自行续期；secureflow agent doctor 会比较时钟并指出障碍所在。"
    ),
    "{} renewals on record, all requested here": "有 {0} 次续期记录，均由本机请求",
    "the centre does not report them": "协调中心未告知",
    "The centre renewed this agent's certificate {} times for keys that were not made here: {}.": (
        "协调中心曾 {0} 次为并非在本机生成的密钥续期本代理的证书：{1}。"
    ),
    "Did this folder come from a backup, or does a copy of it run elsewhere? If not, somebody else "
    "holds signing.key or link.pem: have the agent revoked (secureflow party revoke) and enrol a "
    "new one with a fresh key.": (
        "此目录是否来自备份，或其副本正在别处运行？若都不是，则有他人持有 signing.key 或 "
        "link.pem：请吊销该代理（secureflow party revoke），并用新密钥重新注册。"
    ),
    "By this machine's clock the server's certificate is not valid: {}.": (
        "按本机时钟，服务器的证书此刻无效：{0}。"
    ),
    "One of the two clocks is wrong (see the check `clock`): set it (NTP). If they agree, the "
    "operator restarts the server, which renews its certificate.": (
        "两台机器的时钟有一台错了（见“时钟”一项）：请校准（NTP）。若二者一致，请运营方重启服务器以"
        "续期证书。"
    ),
    "By the centre's clock this agent's link certificate is not valid, so its link is refused.": (
        "按协调中心的时钟，本代理的链路证书此刻无效，因此链路无法接通。"
    ),
    "A running agent (secureflow agent start) renews it by itself within a minute; set the clock "
    "that is wrong (see the check `clock`).": (
        "运行中的代理（secureflow agent start）会在一分钟内自行续期；请校准出错的时钟（见“时钟”"
        "一项）。"
    ),
    "version {} with {} members, {}": "版本 {0}，{1} 个成员，{2}",
    "SIMULATED enclaves are accepted: they protect nothing. Code {}": (
        "接受模拟（SIMULATED）飞地：它们不提供任何保护。代码 {0}"
    ),
    "hardware only, code {}": "仅接受硬件，代码 {0}",
    "none is connected: jobs with sealed updates must wait": (
        "没有飞地在线：使用密封更新的任务须等待"
    ),
    "it says that it runs accepted code {}": "它自称运行已接受的代码 {0}",
    "it says that it runs accepted code {} in a SIMULATED TEE: no protection": (
        "它自称在模拟（SIMULATED）TEE 中运行已接受的代码 {0}：不提供任何保护"
    ),
    "{} are free, {} are kept for the record": "可用 {0}，为记录保留 {1}",
    "none": "无",
    "secureflow agent check names what is damaged; SECUREFLOW_DEBUG=1 shows where.": (
        "secureflow agent check 会指出损坏之处；设置 SECUREFLOW_DEBUG=1 可查看出错位置。"
    ),
    "The doctor does not answer {}.": "检查程序不应答 {0}。",
    "{} holds no link certificate.": "{0} 中没有链路证书。",
    "{} holds no readable signing key.": "{0} 中没有可读的签名密钥。",
    "Enrol first: secureflow agent enroll DIR --token-file FILE --server URL.": (
        "请先注册：secureflow agent enroll DIR --token-file FILE --server URL。"
    ),
    "The link certificate is for {}, agent.yaml says {}.": (
        "链路证书属于 {0}，而 agent.yaml 写的是 {1}。"
    ),
    "Correct `organisation`, or enrol with a token for it.": (
        "请更正 `organisation`，或用该机构的令牌注册。"
    ),
    "The centre identifies this agent as {}.": "协调中心把本代理认作 {0}。",
    "Ask the operator which organisation the agent was enrolled for.": (
        "请询问运营方：本代理是为哪个机构注册的。"
    ),
    "This clock and the centre's differ by {} s.": "本机时钟与协调中心相差 {0} 秒。",
    "Set the clock (NTP): certificates, verdicts and approvals depend on it.": (
        "请校准时钟（NTP）：证书、结论与批准都依赖时钟。"
    ),
    "The centre is {}, this agent is {}.": "协调中心版本为 {0}，本代理为 {1}。",
    "Install the centre's major version.": "请安装与协调中心相同的主版本。",
    "No charter is pinned: this agent knows no other member.": (
        "尚未钉定章程：本代理不认识任何其他成员。"
    ),
    "Compare the words with every other member by telephone and sign: secureflow agent charter "
    'sign --confirm "WORDS"; once all have signed: secureflow agent charter pin '
    '--confirm "WORDS"': (
        "请用电话与其他每个成员核对指纹词并签名："
        'secureflow agent charter sign --confirm "指纹词"；全部成员签名后：'
        'secureflow agent charter pin --confirm "指纹词"'
    ),
    'secureflow agent charter sign --confirm "WORDS"': (
        'secureflow agent charter sign --confirm "指纹词"'
    ),
    "The pinned charter does not name this agent's signing key for {}: nobody would accept its "
    "signatures.": "已钉定的章程没有为 {0} 列出本代理的签名密钥：没有人会相信它的签名。",
    "Restore the key from its backup, or agree on a new charter with the current key.": (
        "请从备份恢复密钥，或以当前密钥商定新章程。"
    ),
    "The centre uses charter {}; the pinned one is {}.": "协调中心采用章程 {0}，已钉定的是 {1}。",
    "See the differences: secureflow agent charter show. Pin the newer version if enough members "
    "signed it.": ("查看差异：secureflow agent charter show。若签名的成员足够，请钉定较新的版本。"),
    "The centre keeps a different log from the one that the charter names.": (
        "协调中心所用的日志不是章程所指的那一份。"
    ),
    "Do not continue: compare the charter's log key with the other members.": (
        "请停止：与其他成员核对章程中的日志密钥。"
    ),
    "attestation names neither measurements nor references: every enclave is refused.": (
        "attestation 中既没有度量值也没有参考值：所有飞地都会被拒绝。"
    ),
    "List the reviewed code's measurement, or `installed`, or a reference of its hardware.": (
        "请列出已审阅代码的度量值，或写 `installed`，或写其硬件的参考值。"
    ),
    "The centre's enclave is SIMULATED, and this agent accepts none that is.": (
        "协调中心的飞地是模拟的（SIMULATED），而本代理不接受模拟飞地。"
    ),
    "Ask the operator for real hardware. For a rehearsal only: attestation.allow_simulated and its "
    "root in agent.yaml.": (
        "请要求运营方使用真实硬件。仅演练：在 agent.yaml 设 attestation.allow_simulated 及其根。"
    ),
    "The centre's enclave runs code {}, which attestation.measurements does not list.": (
        "协调中心的飞地运行代码 {0}，不在 attestation.measurements 之列。"
    ),
    "Install the release that the enclave runs, or list its measurement once reviewed.": (
        "请安装飞地所运行的版本，或在审阅后列出其度量值。"
    ),
    "There are no settings.": "没有配置。",
    "The file of dataset {} does not exist: {}.": "数据集 {0} 的文件不存在：{1}。",
    "Correct its path in agent.yaml.": "请更正 agent.yaml 中的路径。",
    "{} can be read by others.": "{0} 可被他人读取。",
    "chmod 600 {}, and think about who may have read it.": (
        "请执行 chmod 600 {0}，并考虑谁可能已读过它。"
    ),
    "{} has no address: {}.": "{0} 无法解析：{1}。",
    "Check `link` in agent.yaml, the DNS server and the VPN.": (
        "请检查 agent.yaml 中的 `link`、DNS 服务器与 VPN。"
    ),
    "Port {} of {} does not answer: {}.": "{1} 的端口 {0} 无应答：{2}。",
    "Ask whether the server runs, and whether a firewall lets this machine dial out.": (
        "请确认服务器在运行，且防火墙允许本机向外连接。"
    ),
    "The server's certificate is refused: {}.": "服务器证书未被接受：{0}。",
    "It was not issued by the authority that the enrolment token names. A proxy that inspects "
    "TLS must let this address through; otherwise tell the operator.": (
        "它不属于注册令牌所指的 CA。拆解 TLS 的代理须放行此地址；否则请告知运营方。"
    ),
    "TLS fails: {}.": "TLS 失败：{0}。",
    "Is it the link's port (gRPC), and is there no proxy in between?": (
        "这是链路端口（gRPC）吗？中间是否有代理？"
    ),
    "The centre does not answer.": "协调中心没有应答。",
    "Look at the server's log.": "请查看服务器日志。",
    "the running agent uses this file": "运行中的代理与此文件一致",
    "The running agent does not use {} as it is now: {}.": (
        "运行中的代理尚未采用 {0} 的当前内容：{1}。"
    ),
    "Apply it: secureflow agent reload. It names what needs a restart.": (
        "使其生效：secureflow agent reload。它会指出哪些需要重启。"
    ),
    "The declaration of {} differs from the published one: jobs are refused.": (
        "{0} 的声明与已发布的不同：任务会被拒绝。"
    ),
    "Publish it again: secureflow agent data publish {}.": (
        "请重新发布：secureflow agent data publish {0}。"
    ),
    "{} of {} datasets are published, and unchanged since": (
        "{1} 个数据集中已发布 {0} 个，之后均无改变"
    ),
}

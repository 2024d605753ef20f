"""Chinese of the command line: the inbox, and the screen on which a person decides."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Requests that wait for a person.": "等待人工处理的请求。",
    "List the requests that wait.": "列出等待处理的请求。",
    "Include the decided ones.": "也包括已处理的。",
    "Full id of the request: 64 digits.": "请求的完整编号：64 位。",
    "Show one request on one screen: who asks for what, and who sees it.": (
        "用一屏显示一条请求：谁要什么，谁能看到什么。"
    ),
    "Show everything, the spec too.": "显示全部内容，包括任务规格。",
    "Approve a request.": "批准一条请求。",
    "Approve exactly this?": "批准以上所示的内容？",
    "{what} is approved.": "已批准 {what}。",
    "Reject a request.": "拒绝一条请求。",
    "{what} is rejected.": "已拒绝 {what}。",
    "Go through what waits, one request at a time, and decide.": "逐条查看等待的请求并作出决定。",
    "\nRequest {number} of {count}": "\n第 {number} 条请求，共 {count} 条",
    "No job can continue now: {why}": "目前没有任务能继续：{why}",
    "Nothing waits.": "没有等待处理的请求。",
    "Nothing more waits.": "没有其他等待处理的请求。",
    "a approve, r reject, s skip, d details, q quit": "a 批准，r 拒绝，s 跳过，d 详情，q 退出",
    "Reason, for the submitter": "理由（提交者会看到）",
    "{job}, {name}: {purpose}, asked by {submitter}": (
        "{job}，{name}：{purpose}，提交者 {submitter}"
    ),
    "until {when}": "截止 {when}",
    "The agent showed request {other} in place of {item}.": (
        "代理显示的是请求 {other}，而不是 {item}。"
    ),
    "Request {item} is {state}.": "请求 {item} 的状态为{state}。",
    "… is shortened: d or --details shows all of it.": "… 处有省略：用 d 或 --details 查看全部。",
    "Id": "编号",
    "Job": "任务",
    "Asked by": "提交者",
    "Purpose": "用途",
    "Data": "数据",
    "Bounds": "范围",
    "not as you declare them: {bounds}": "与您的声明不同：{bounds}",
    "Leaves": "送出内容",
    "Parties": "参与方",
    "Protection": "保护方式",
    "Privacy": "差分隐私",
    "Seen by": "谁能看到",
    "Waits": "等待原因",
    "no policy permits it": "没有策略许可",
    "its approval has expired: the same job asks again": "其批准已过期：同一任务再次请求",
    "{why}; until {when}": "{why}；截止 {when}",
    "training of {family}, {rounds} rounds": "训练 {family}，{rounds} 轮",
    "statistics: {queries}": "统计：{queries}",
    "{submitter}, in project {project} (the centre says so)": (
        "{submitter}，项目 {project}（以协调中心所述为准）"
    ),
    "{dataset}, {count} columns": "{dataset}，{count} 列",
    "SENSITIVE: {names}": "敏感列：{names}",
    ": {names}": "：{names}",
    "others: {names}": "其他列：{names}",
    "noised sums of each query, masked; only their total can be opened": (
        "每个问题的加噪总和，已加掩码；只有总计可以打开"
    ),
    "a round, an update of {count} numbers, sealed; only the sum leaves the enclave": (
        "每轮一个含 {count} 个数的更新，已密封；只有总和离开飞地"
    ),
    "a round, an update of {count} numbers, masked; only the sum can be opened": (
        "每轮一个含 {count} 个数的更新，已加掩码；只有总和可以打开"
    ),
    "a round, an update of {count} numbers, masked and sealed; only the sum can be opened": (
        "每轮一个含 {count} 个数的更新，已加掩码并密封；只有总和可以打开"
    ),
    "every sum is over at least {least} of {count}: {names}": (
        "每个总和至少包含 {least} 方，共 {count} 方：{names}"
    ),
    "THE OTHER PARTY CAN COMPUTE YOUR CONTRIBUTION: the sum minus its own": (
        "对方可以算出您的贡献：总和减去对方自己的那一份"
    ),
    "nothing is contributed": "不贡献任何内容",
    "updates are sealed to an enclave that this agent verifies": "更新密封到由本代理验证的飞地",
    "updates are masked (SecAgg); no enclave": "更新加掩码（安全聚合）；不用飞地",
    "updates are masked (SecAgg), and sealed to a verified enclave": (
        "更新加掩码（安全聚合），并密封到经验证的飞地"
    ),
    "a SIMULATED enclave is accepted here and protects nothing": (
        "本处接受模拟（SIMULATED）飞地，它不提供任何保护"
    ),
    "NONE: what is released may reveal single rows": "无：发布的内容可能透露单行数据",
    "ε {epsilon} per {unit}, {noise} noise": "ε {epsilon}，保护单位：{unit}，噪声：{noise}",
    "of your {limit}, {spent} is spent (δ {delta})": (
        "您的额度 {limit}，已消耗 {spent}（δ {delta}）"
    ),
    "waiting": "等待中",
    "rejected": "已拒绝",
    "withdrawn": "已撤回",
    "expired": "已过期",
    "shared": "各方分担",
    "local": "本地",
    "enclave": "飞地",
}

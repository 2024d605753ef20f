"""Chinese of what the server, the agent's edge and the client refuse: message templates."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    # clocks
    "These clocks differ from the centre's: {}.": "以下时钟与协调中心不一致：{0}。",
    "These clocks differ from the centre's: {}. They agree with each other: the centre's own clock "
    "is probably wrong.": (
        "以下时钟与协调中心不一致：{0}。它们彼此一致：很可能是协调中心自己的时钟错了。"
    ),
    # server.backup
    "The files of {} of {} models are not in {} ({}).": (
        "{1} 个模型中有 {0} 个的文件不在 {2}（{3}）。"
    ),
    # application
    "The operator has disabled the organisation {}.": "运营方已停用机构 {0}。",
    "There is no {} {} that you can see.": "没有您可见的{0:word} {1}。",
    "{} may not do this ({}).": "{0} 无权执行此操作（{1}）。",
    "{} is not an active member of {}.": "{0} 不是 {1} 的有效成员。",
    "The project {} is closed.": "项目 {0} 已关闭。",
    "{} of {} parties can answer '{}', {} are needed. {}": (
        "{1} 个参与方中有 {0} 个能应答“{2}”，需要 {3} 个。{4:sentences}"
    ),
    "Round {} ({}) cannot be summed: {} did not contribute, and {} of {} are needed. {}": (
        "第 {0} 轮（{1:word}）无法求和：{2} 没有贡献，{4} 方中至少需要 {3} 方。{5:sentences}"
    ),
    "{} made no progress for {} seconds.": "{0} 在 {1} 秒内没有进展。",
    "{} has no keys of this round.": "{0} 没有本轮的密钥。",
    "{} refused: {}. Approved: {}; undecided: {}.": ("{0} 拒绝了：{1}。已同意：{2}；未决定：{3}。"),
    "{} refused ({}): {}. Approved: {}; undecided: {}.": (
        "{0} 拒绝了（{1}）：{2}。已同意：{3}；未决定：{4}。"
    ),
    "{} could not answer ({}): {}. Approved: {}; undecided: {}.": (
        "{0} 无法答复（{1}）：{2}。已同意：{3}；未决定：{4}。"
    ),
    "Job {} was cancelled.": "任务 {0} 已被取消。",
    "No enrolled agent of: {}.": "以下机构没有已注册的代理：{0}。",
    "The signature of {} is for charter {}, the candidate is {}.": (
        "{0} 的签名针对章程 {1}，而候选章程是 {2}。"
    ),
    "The signature is not valid under the key of {}.": "该签名用 {0} 的密钥验证不通过。",
    "The dataset {} declares no column {}.": "数据集 {0} 没有声明列 {1}。",
    "A grant must end in the future, at most five years from now.": (
        "授权须在将来到期，且最长五年。"
    ),
    "Job {} is {}; its report comes at the end.": "任务 {0} 的状态为“{1:word}”；结束后才有报告。",
    "{} already has {} unfinished jobs.": "{0} 已有 {1} 个未结束的任务。",
    "{} already has {} {}; the quota is {}.": "{0} 已有 {1} 个 {2}；配额为 {3}。",
    "{} neither submitted {} nor contributes to it.": "{0} 既未提交也未参与 {1}。",
    "Job {} is already {}.": "任务 {0} 已处于“{1:word}”状态。",
    "Job {} is {} and has no report: {}": ("任务 {0} 的状态为“{1:word}”，没有报告：{2:sentences}"),
    "See how it ended: secureflow job show {}.": "查看其结局：secureflow job show {0}。",
    "submitted": "已提交",
    "resumed by {}": "由 {0} 恢复",
    "Job {} is about to end and cannot be resumed.": "任务 {0} 即将结束，不能恢复。",
    "See how it ends: secureflow job watch {}.": "查看其结局：secureflow job watch {0}。",
    "Job {} is {}, not paused.": "任务 {0} 的状态为“{1:word}”，没有暂停。",
    "Job {} is paused until somebody resumes it.": "任务 {0} 已暂停，要有人恢复才会继续。",
    "When the cause is fixed: secureflow job resume {}. Or: secureflow job cancel {}.": (
        "排除原因后运行：secureflow job resume {0}。或者：secureflow job cancel {1}。"
    ),
    "Job {} was resumed {} times and paused again each time.": (
        "任务 {0} 已恢复 {1} 次，每次又都暂停了。"
    ),
    "Job {} met a defect of the server.": "任务 {0} 遇到了服务器的内部错误。",
    "Job {} cannot continue: its effect {} was {}…, and the current script {}.": (
        "任务 {0} 无法继续：其第 {1} 步的记录为 {2}…，而今天的脚本 {3}。"
    ),
    "{} is not enrolled, or has been revoked.": "{0} 未注册，或已被吊销。",
    "The enrolment does not prove possession of the signing key.": "注册请求未能证明持有签名密钥。",
    "{} cannot name an organisation.": "{0} 不能用作机构标识。",
    "An agent must have an organisation, an enclave must have none.": (
        "代理必须属于某个机构，飞地不得属于任何机构。"
    ),
    "The enrolment token is unknown, used or expired.": "注册令牌未知、已使用或已过期。",
    "The signing key of {} belongs to another organisation.": "{0} 的签名密钥属于另一机构。",
    "{} was enrolled before with another key, or has been revoked since.": (
        "{0} 曾以另一密钥注册，或已被吊销。"
    ),
    "{} already has the agent {}.": "{0} 已有代理 {1}。",
    "The password must have {} to {} characters.": "密码长度须为 {0} 至 {1} 个字符。",
    "{} did not found {} and cannot invite.": "{0} 不是 {1} 的创建者，不能邀请。",
    "{} is already a member or invited.": "{0} 已是成员或已被邀请。",
    "The answer of {} to '{}' is malformed: {}": "{0} 对“{1}”的应答格式有误：{2:sentences}",
    "There is no adopted charter, so no contributor's key is known.": (
        "尚无已采用的章程，因此不知道任何贡献方的密钥。"
    ),
    "datasets: {} is listed with two datasets.": "datasets：{0} 出现了两个数据集。",
    "{} is not in the adopted charter.": "{0} 不在已采用的章程中。",
    "{} has not granted {} of {} to this project.": "{0} 未把 {2} 的 {1} 授权给本项目。",
    "parties: {} would contribute without a dataset.": "parties：{0} 没有数据集却要参与。",
    "Category {} of column {} is not in both the job and the dataset {} of {}.": (
        "列 {1} 的类别 {0} 没有同时出现在任务与 {3} 的数据集 {2} 中。"
    ),
    "{} is not an active member of the project {}.": "{0} 不是项目 {1} 的有效成员。",
    "The dataset {} of {} declares no column {}.": "{1} 的数据集 {0} 没有声明列 {2}。",
    "features.{}: {} declares it as {}, the job uses it as {}.": (
        "features.{0}：{1} 声明其为 {2}，任务却用作 {3}。"
    ),
    "A dataset was published again while the job was priced.": "任务定价期间有数据集被重新发布。",
    "The owners keep their budgets in different units: {}.": (
        "各数据所有者的隐私预算单位不同：{0}。"
    ),
    "{} has declared no privacy budget for {}.": "{0} 没有为 {1} 声明隐私预算。",
    "Too many requests from here.": "来自此处的请求过多。",
    "Name and password do not match.": "用户名与密码不匹配。",
    "The request carries no valid token.": "请求没有携带有效令牌。",
    "The token has expired.": "令牌已过期。",
    "A user needs at least one role.": "用户至少需要一个角色。",
    "Platform admins belong to no organisation, everybody else to one.": (
        "平台管理员不属于任何机构，其他人都属于一个机构。"
    ),
    "{} is the platform's last administrator.": "{0} 是平台最后一位管理员。",
    "The old password is wrong.": "旧密码不正确。",
    "{} cannot be a user name.": "{0} 不能用作用户名。",
    "The platform already has users.": "平台已有用户。",
    "The user name {} is taken.": "用户名 {0} 已被占用。",
    "The account was changed by someone else in the meantime.": "账户在此期间被他人修改。",
    # kit.disk
    "The disk of {} is full: its {} need {}, {} are free.": (
        "{0} 的磁盘已满：其{1}需要 {2}，可用 {3}。"
    ),
    "The disk of {} is full: its {} cannot grow, {} are free.": (
        "{0} 的磁盘已满：其{1}无法增长，可用 {2}。"
    ),
    "The disk of {} refuses writes: its {}.": "{0} 的磁盘拒绝写入：其{1}。",
    "{} has reached its limit of open files.": "{0} 打开的文件数已达上限。",
    "Another process is using files of {}: its {}.": "另一进程占用了 {0} 的文件：其{1}。",
    "{} waits for the centre. {}": "{0} 在等待协调中心。{1}",
    "own record": "自身记录",
    "own files": "自身文件",
    "model files": "模型文件",
    "stored models": "所存模型",
    "masked vectors": "掩码向量",
    "temporary files": "临时文件",
    # server.rest
    "The cursor is not one of this list.": "该游标不属于此列表。",
    "The body has more than {} bytes.": "请求体超过 {0} 字节。",
    "This Idempotency-Key was used for another request.": "此 Idempotency-Key 已用于另一请求。",
    "The request is not valid: {}: {}.": "请求无效：{0}：{1}。",
    "The {} is not valid: {}: {}.": "{0} 无效：{1}：{2}。",
    "The server had an internal error.": "服务器发生内部错误。",
    "The agent had an internal error.": "代理发生内部错误。",
    "The body is not JSON.": "请求体不是 JSON。",
    "The body cannot be read.": "无法读取请求体。",
    "There is nothing at {}.": "{0} 处没有内容。",
    "The method {} is not allowed at {}.": "{1} 不支持 {0}。",
    "The body is too large.": "请求体过大。",
    # sdk
    "{} answered {} without a reason.": "{0} 返回 {1}，未说明原因。",
    "{} cannot be reached: {}.": "无法连接 {0}：{1}。",
    "{} answered what this client cannot read: {}.": "无法理解 {0} 的应答：{1}。",
    "The certificate of {} is not trusted by the CA in use: {}.": (
        "{0} 的证书不受当前 CA 认可：{1}。"
    ),
    "{} did not answer in time.": "{0} 未及时应答。",
    "{} did not answer: {} tries in {} s.": "{0} 没有应答：{2} 秒内尝试了 {1} 次。",
    "{} cannot be reached, after {} tries in {} s: {}.": (
        "{2} 秒内尝试 {1} 次仍无法连接 {0}：{3}。"
    ),
    "{} is not a valid time limit for a call.": "{0} 不能作为一次调用的时限。",
    "The server's {} does not fit this client: {}: {}.": "服务器的 {0} 与本客户端不符：{1}：{2}。",
    "{} is not a URL that a token may be sent to.": "{0} 不是可以发送令牌的 URL。",
    "The CA file {} cannot be used: {}.": "CA 文件 {0} 无法使用：{1}。",
    "The request cannot be written as JSON: {}.": "请求无法写成 JSON：{0}。",
    "The server sent a malformed event: {}.": "服务器发来格式有误的事件：{0}。",
    "Job {} has not ended in time.": "任务 {0} 未在限定时间内结束。",
    "Job {} is {}.": "任务 {0} 的状态为“{1:word}”。",
    "The card of {} describes a model of another digest than its entry.": (
        "{0} 的模型卡所述摘要与其条目不符。"
    ),
    "The rows cannot be read: {}.": "无法读取数据行：{0}。",
    "A model of the family {} predicts nothing.": "{0} 类模型不能用于预测。",
    "The profile {} cannot be used: {}.": "登录配置 {0} 无法使用：{1}。",
    "The query {} cannot be read: {}.": "无法理解查询 {0}：{1}。",
    "Not every dataset declares the label {} in the same way.": "各数据集对标签 {0} 的声明不一致。",
    "The label {} never has the value {}.": "标签 {0} 从不取值 {1}。",
    "The datasets share no column that a model can use.": "这些数据集没有模型可用的共同列。",
    # joining and the agent's edge
    "{} is not an https URL.": "{0} 不是 https URL。",
    "The enrolment token cannot be read: {}.": "无法读取注册令牌：{0}。",
    "The agent closed the connection without an answer.": "代理未应答即关闭了连接。",
    "The server does not answer {} within {} s.": "服务器未在 {1} 秒内应答 {0}。",
    "The agent does not answer {} within {} s.": "代理未在 {1} 秒内应答 {0}。",
    "No agent answers at {}: {}.": "{0} 处没有代理应答：{1}。",
    "The agent has no command {}.": "代理没有命令 {0}。",
    "The token is for an enclave, not for an agent.": "该令牌用于飞地，而不是代理。",
    "{} already holds an enrolled agent.": "{0} 中已有注册的代理。",
    # an owner's data and settings
    "{} has not published the dataset {}, or withdrew it.": (
        "{0} 尚未发布数据集 {1}，或已将其撤回。"
    ),
    "{} has changed its declaration of {} since it published the dataset.": (
        "{0} 在发布数据集之后修改了 {1} 的声明。"
    ),
    "The file of dataset {} is not the one that its owner published.": (
        "数据集 {0} 的文件不是其所有者所发布的那一份。"
    ),
    "The file of dataset {} changed while it was read.": "数据集 {0} 的文件在读取时被改动。",
    "The privacy budget of dataset {} is kept in {}; the settings say {}.": (
        "数据集 {0} 的隐私预算记在 {1}；而配置中为：{2}。"
    ),
    "The privacy budget of {} is locked: this agent {}, and what was spent since then is not known "
    "here.": "{0} 的隐私预算已锁定：本代理{1}，此后的花费在此处未知。",
    "continues with a record that was set back": "在记录被回退后继续运行",
    "was restored from a backup of {}": "由 {0} 的备份恢复",
    "The privacy budget of {} would grow.": "{0} 的隐私预算将会增大。",
}

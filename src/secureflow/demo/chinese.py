"""Chinese of what the demo says: its page, its terminal, its refusals."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Final

_NAMES: Final = {f"Bank {letter}": f"银行 {letter}" for letter in ascii_uppercase[:16]} | {
    f"Party {letter}": f"机构 {letter}" for letter in ascii_uppercase[:16]
}
_PAGE: Final[dict[str, str]] = {
    "Such a high AUC is rare: does a column reveal the label?": (
        "如此高的 AUC 很少见：是否有某一列直接透露了标签？"
    ),
    "Demonstration": "演示",
    "Together": "共同训练",
    "together": "共同训练",
    "The best alone": "单独训练的最佳者",
    "The weakest alone": "单独训练的最弱者",
    "alone": "单独训练",
    "All rows in one place": "数据集中在一处",
    "all rows in one place": "数据集中在一处",
    "for reference: what the owners may not do": "仅供参考：数据所有者不得如此",
    "Together: {together}. The best alone: {alone}.": (
        "共同训练：{together}；单独训练最佳：{alone}。"
    ),
    "The joint model is better than that of every owner alone: {gain} ± {margin} AUC over the "
    "best ({best}), {more} over the weakest ({weakest}). No row left its owner.": (
        "共同训练的模型优于每一方单独训练的模型：AUC 比最佳者（{best}）高 {gain} ± {margin}，比"
        "最弱者（{weakest}）高 {more}。没有任何一行数据离开其所有者。"
    ),
    "Here {best} alone is better than the joint model ({gain} ± {margin} AUC); the weakest "
    "({weakest}) gains {more}. No row left its owner.": (
        "此处{best}单独训练的模型优于共同训练的模型（AUC 相差 {gain} ± {margin}）；最弱者（"
        "{weakest}）提高 {more}。没有任何一行数据离开其所有者。"
    ),
    "These test rows cannot tell the joint model from the best owner's own ({best}: {gain} ± "
    "{margin} AUC); the weakest ({weakest}) gains {more}. No row left its owner.": (
        "这些测试行不足以区分共同训练的模型与最佳者单独训练的模型（{best}：AUC 相差 {gain} ± "
        "{margin}）；最弱者（{weakest}）提高 {more}。没有任何一行数据离开其所有者。"
    ),
    "{right} of the decisions right": "{right} 的判断正确",
    "AUC on {rows} test rows that nobody trained on: of one row of each kind, how often the "
    "model ranks the positive one higher. 0.5 is a coin, 1 is never wrong.": (
        "AUC 在无人用于训练的 {rows} 行测试数据上计算：正负样本各取一行，模型把正样本排在前面的"
        "比例。0.5 等于抛硬币，1 表示从不出错。"
    ),
    "What each owner gains": "各方的收益",
    "Model": "模型",
    "at its best round": "最佳轮次",
    "in other orders": "换用其他顺序",
    "accuracy": "准确率",
    "wrong decisions": "判断错误数",
    "±: 95 % interval for chance in who is among the test rows (DeLong). In other orders: the "
    "same training with the rows in other random orders. At its best round: looks at the test "
    "rows, so it flatters.": (
        "±：因测试行抽样而产生的 95% 置信区间（DeLong 方法）。换用其他顺序：以其他随机行序重复"
        "同样的训练。最佳轮次：参考了测试行，因此偏乐观。"
    ),
    "Round by round, on the same test rows": "逐轮变化（同一批测试行）",
    "A round of the joint training and a pass of an owner alone take each training row once. "
    "The joint curve is drawn from the models that the platform released after each round.": (
        "共同训练的一轮与单独训练的一遍，都恰好使用每个训练行一次。共同训练的曲线由平台在每轮之"
        "后发布的模型绘出。"
    ),
    "Who has what": "各方拥有的数据",
    "The rows are sorted by {column} and cut, so that the owners' clients differ. No other "
    "column was looked at, and not what is predicted.": (
        "数据行按 {column} 排序后切分，使各方的客户互不相同。切分时没有查看其他任何列，也没有查"
        "看预测目标。"
    ),
    "The rows are dealt at random: all shares are similar except for their size. --by COLUMN "
    "cuts them by a column, as different as real owners are.": (
        "数据行随机分配：除大小之外，各份数据彼此相似。用 --by 列名 可按某一列切分，使各份像真"
        "实机构那样互不相同。"
    ),
    "Owner": "数据所有者",
    "Rows": "行数",
    "Share of rows": "行数占比",
    "positive": "正样本",
    "mean {column}": "{column} 均值",
    "Positive: rows whose {column} is {value}. Nobody on a real platform sees this table: this "
    "script made the shares.": (
        "正样本：{column} 为 {value} 的行。真实平台上没有人能看到此表：这里的各份数据由本脚本切分。"
    ),
    "{rows} rows without a label were left aside.": "{rows} 行没有标签，已搁置不用。",
    "Columns that no model used": "未被任何模型使用的列",
    "How it was compared": "如何比较",
    "All train the same model (logistic regression, {width} inputs) from the same start, on "
    "the same preparation: {rounds} rounds or passes, batches of {batch}, learning rate {rate}.": (
        "各方训练同样的模型（逻辑回归，{width} 个输入），起点相同，预处理相同：{rounds} 轮（遍"
        "），批大小 {batch}，学习率 {rate}。"
    ),
    "The test rows are the same for all, and were given to nobody. Every owner holds back the "
    "same {share} of its rows for validation in all three ways.": (
        "测试行对各方相同，且没有交给任何一方。在三种方式中，每一方都留出同样的 {share} 行用于"
        "验证。"
    ),
    "Seed {seed} decides shares, validation rows and the order of training alone and in one "
    "place. On the platform every agent draws its own secret order, so the joint figures move "
    "a little from run to run.": (
        "种子 {seed} 决定数据切分、验证行，以及单独训练和集中训练的行序。在平台上，每个代理自行"
        "抽取保密的行序，因此共同训练的数字每次运行略有变动。"
    ),
    "Training alone and in one place is the launcher's own work, beside the platform. No real "
    "job does it, and the report below knows nothing of it.": (
        "单独训练与集中训练由演示脚本在平台之外完成。真实任务不会这样做，下方的任务报告也不包含"
        "这些内容。"
    ),
    "What protected what in this run": "本次运行中，什么保护了什么",
    "Masks: every update left its owner masked, and only the sum of a certified set could be "
    "opened. They need no TEE, and protect really between owners that are separate.": (
        "掩码：每个更新离开其所有者时都已加掩码，只有经认证的集合之和才能打开。掩码不需要 TEE，"
        "在彼此独立的各方之间能真正提供保护。"
    ),
    "Seal: every update was sealed to an enclave that each agent had verified. The enclave's "
    "TEE is SIMULATED here: the seal rehearses real hardware and protects nothing from whoever "
    "runs the machine.": (
        "密封：每个更新都密封给经各代理验证过的飞地。此处飞地的 TEE 是模拟的（SIMULATED）：密封"
        "只是真实硬件的预演，对运行机器的人不提供任何保护。"
    ),
    "Separation: none. In this demonstration one script on one machine plays the operator and "
    "all owners, approvals included; what keeps owners apart in real use is that each runs its "
    "own agent.": (
        "隔离：没有。本演示由一台机器上的一个脚本扮演运营方与所有数据所有者，包括审批；真实使用时，"
        "各方各自运行自己的代理，才使彼此隔离。"
    ),
    "The job's own report": "任务自身的报告",
}
_SCREEN: Final[dict[str, str]] = {
    "{owners} owners train one model together: {title} ({source}).": (
        "{owners} 方共同训练一个模型：{title}（{source}）。"
    ),
    "{rows} rows": "{rows} 行",
    "{share} positive": "正样本 {share}",
    "  cut by {column}, different on purpose": "  按 {column} 切分，有意使各份互不相同",
    "  dealt at random; --by COLUMN makes the shares differ": (
        "  随机分配；--by 列名 可使各份互不相同"
    ),
    "  left out: {columns}": "  未使用的列：{columns}",
    "Starting the coordination centre": "启动协调中心",
    "Enrolling the enclave: SIMULATED TEE, a rehearsal without protection": (
        "注册飞地：TEE 为模拟（SIMULATED），仅供演练，不提供保护"
    ),
    "Enrolling one agent per owner: keys are made there": "为每一方注册代理：密钥在代理处生成",
    "Signing and pinning the charter (this script plays all owners)": (
        "签署并钉定章程（由本脚本扮演所有数据所有者）"
    ),
    "Founding the project, publishing and granting datasets": "创建项目，发布并授权数据集",
    "Training each owner alone and all rows in one place, to compare": (
        "训练各方的单独模型与集中模型，以作比较"
    ),
    "Job {job} waits for every owner's approval": "任务 {job} 等待每一方批准",
    "On {rows} test rows that nobody trained on:": "在无人用于训练的 {rows} 行测试数据上：",
    "Together beats the best alone ({best}) by {gain} ± {margin} AUC.": (
        "共同训练优于单独训练的最佳者（{best}）：AUC 高 {gain} ± {margin}。"
    ),
    "These rows cannot tell the joint model from the best alone ({best}; {gain} ± {margin} AUC).": (
        "这些测试行不足以区分共同训练与单独训练的最佳者（{best}；AUC 相差 {gain} ± {margin}）。"
    ),
    "Here the best alone ({best}) beats the joint model ({gain} ± {margin} AUC).": (
        "此处单独训练的最佳者（{best}）优于共同训练（AUC 相差 {gain} ± {margin}）。"
    ),
    "Masks: only sums could be opened; this protects without any TEE.": (
        "掩码：只有总和可以打开；无需 TEE 也能提供保护。"
    ),
    "Seal: {tee}. It rehearses a TEE and protects nothing here.": (
        "密封：{tee}。只是 TEE 的演练，此处不提供任何保护。"
    ),
    "One script played the operator and all owners: use no data that matters.": (
        "运营方与所有数据所有者均由同一脚本扮演：请勿使用重要数据。"
    ),
    "Ledger verified: {size} entries, cosigned by {parties} parties, checked against "
    "the charter.": "账本已验证：{size} 条记录，{parties} 方联署，已对照章程核对。",
    "The ledger is NOT valid:": "账本验证不通过：",
    "Report: {path}": "报告：{path}",
    "round {round}/{rounds}": "第 {round}/{rounds} 轮",
    "loss": "损失",
    "auc": "AUC",
    "party": "机构",
    "state": "状态",
    "enrolled": "已注册",
    "approved": "已批准",
    "admitted": "已接纳飞地",
    "proposed": "已提出",
    "failed": "失败",
    "cancelled": "已取消",
    "trained": "已训练",
    "running": "运行中",
    "succeeded": "成功",
    "{name} ({reason})": "{name}（{reason}）",
    "; ": "；",
    "No demo is running in {directory}.": "{directory} 中没有正在运行的演示。",
    "The demo has ended.": "演示已结束。",
    "The platform keeps running. Look around:": "平台仍在运行。可以查看：",
}
_REFUSALS: Final[dict[str, str]] = {
    "its values are too long, or hold hidden characters": "其值过长，或含有不可见字符",
    "The table has no usable column {name}.": "表中没有可用的列 {name}。",
    "Name one of its columns: {names}.": "请指定其中一列：{names}。",
    "Did you mean {near}? Its columns: {names}.": "是否指 {near}？其中的列有：{names}。",
    "It is in the table twice: give each column a name of its own.": (
        "它在表中出现了两次：请让每一列的列名各不相同。"
    ),
    "Column {column} cannot cut the table: {reason}.": "列 {column} 不能用来切分：{reason}。",
    "Name another column: --by.": "请用 --by 指定另一列。",
    "its cells are neither words nor numbers": "其单元格既不是文字也不是数字",
    "it has no value in any row": "任何一行都没有值",
    "it has the same value in every row": "每一行的值都相同",
    "it has {count} values": "它有 {count} 个不同的值",
    "Add a column of two values to the table, e.g. above or below a bound.": (
        "请在表中添加一个只有两个值的列，例如高于或低于某个界限。"
    ),
    "no row has the value {value} in it": "没有任何一行的值为 {value}",
    "Name one of its values: --positive VALUE (found: {values}).": (
        "请指定其中一个值：--positive 值（现有：{values}）。"
    ),
    "Say which one is to be predicted: --positive VALUE (found: {values}).": (
        "请指明要预测哪一个值：--positive 值（现有：{values}）。"
    ),
    "Column {label} cannot be predicted: {reason}.": "无法预测列 {label}：{reason}。",
    "Name another column: --label.": "请用 --label 指定另一列。",
    "No column is left to learn from ({reasons}).": "没有可用于学习的列（{reasons}）。",
    "Give the demo a table with numbers or categories in it.": "请提供含有数字或类别的表。",
    "{file} has {rows} rows of {width} model inputs.": (
        "{file} 有 {rows} 行，每行 {width} 个模型输入。"
    ),
    "Give the demo a sample of {rows} rows.": "请提供 {rows} 行的样本。",
    "Too few rows with a label: {rows} to train on, and to test on {positive} of the positive "
    "class and {other} of the rest.": (
        "有标签的行太少：训练 {rows} 行；测试中正样本 {positive} 行，其余 {other} 行。"
    ),
    "Give the demo a larger table: {rows} rows for each of {parties} owners, and {least} of "
    "each class to test on.": (
        "请提供更大的表：{parties} 方每方至少 {rows} 行，测试中每一类至少 {least} 行。"
    ),
    "The smallest of {parties} shares would have {rows} rows; the demo needs {least}.": (
        "{parties} 份中最小的一份只有 {rows} 行；演示至少需要 {least} 行。"
    ),
    "Cut by another column (--by), or into fewer shares (--split).": (
        "请按另一列切分（--by），或减少份数（--split）。"
    ),
}
_LEFT_OUT: Final[dict[str, str]] = {
    "it identifies rows or persons": "它用于区分行或个人",
    "it holds free text or too many categories": "它是自由文本，或类别过多",
    "most of its cells are numbers, some are not": "大多数单元格是数字，少数不是",
    "it holds dates or times; derive an age or a duration from it": (
        "它是日期或时间；可由它推算年龄或时长"
    ),
    "it has the same value in every row": "每一行的值都相同",
    "it has no value in any row": "任何一行都没有值",
    "it holds infinite numbers": "它含有无穷大的数",
    "its type is neither number nor category": "其类型既不是数字也不是类别",
    "its name is empty, duplicated, too long or not printable": "其列名为空、重复、过长或不可打印",
}

TEXTS: Final[dict[str, str]] = {**_NAMES, **_PAGE, **_SCREEN, **_REFUSALS, **_LEFT_OUT}

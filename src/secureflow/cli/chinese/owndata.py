"""Chinese of the command line: an owner's own datasets."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Datasets that this agent declares.": "本代理声明的数据集。",
    "List the declared datasets.": "列出已声明的数据集。",
    "Show what of each privacy budget is spent.": "显示各隐私预算的消耗情况。",
    "Check a dataset against its schema and publish its description.": (
        "按模式校验数据集，并发布其描述。"
    ),
    "{what} is withdrawn.": "已撤回 {what}。",
    "Withdraw a published description.": "撤回已发布的描述。",
    "Name of the dataset in the configuration.": "配置中的数据集名称。",
    "Its display title.": "给人看的标题。",
    "Draft a dataset's declaration from its file; nothing is sent.": (
        "根据文件起草数据集声明；不发送任何内容。"
    ),
    "CSV or Parquet file.": "CSV 或 Parquet 文件。",
    "Name of the dataset. Default: the file's.": "数据集名称。默认取文件名。",
    "A column of numbers to declare as categories, such as a label.": (
        "要声明为类别的数字列，例如标签列。"
    ),
    "Add it to the agent's YAML file.": "写入代理的 YAML 配置文件。",
    "Paste it under `datasets:` in agent.yaml, or add --write.": (
        "请粘贴到 agent.yaml 的 `datasets:` 之下，或加上 --write。"
    ),
    "Add it to {path}?": "写入 {path}？",
    "{what} is now in {path}: confirm its bounds there.": (
        "{what} 已写入 {path}：请在其中确认取值范围。"
    ),
    "Next: secureflow agent reload (or agent start), then secureflow agent data publish {name}": (
        "下一步：secureflow agent reload（或 agent start），然后 secureflow agent data "
        "publish {name}"
    ),
    "Others see the bucket of rows, never the count; {id} is its name in jobs.": (
        "其他人只能看到行数区间，看不到确切行数；任务文件中用 {id} 指称它。"
    ),
    "Some columns now reveal more, or are gone: {reduced} grants lost them, {ended} ended, "
    "{kept} are unchanged. Grant again what is to be used.": (
        "部分列放宽了范围或已删除：{reduced} 项授权失去这些列，{ended} 项授权终止，{kept} "
        "项不变。需要使用的请重新授权。"
    ),
    'Next: secureflow data grant {id} PROJECT --purpose "…"': (
        '下一步：secureflow data grant {id} PROJECT --purpose "…"'
    ),
    "This ends {grants} grants of {projects} projects and refuses {waiting} requests that wait; "
    "{approved} approved jobs continue.": (
        "这将终止 {grants} 项授权（涉及 {projects} 个项目），并拒绝 {waiting} 条等待中"
        "的请求；{approved} 个已批准的任务继续进行。"
    ),
    "The server does not say which grants this ends: {why} It refuses {waiting} requests that "
    "wait; {approved} approved jobs continue.": (
        "服务器没有说明这将终止哪些授权：{why}这将拒绝 {waiting} 条等待中的请求；"
        "{approved} 个已批准的任务继续进行。"
    ),
    "Withdraw {what}?": "撤回 {what}？",
    "Published again it keeps its id and its privacy budget; its grants do not come back.": (
        "重新发布时编号与隐私预算保持不变；原有授权不会恢复。"
    ),
    "Bounds come from the rows: enter what the quantity can be at all.": (
        "范围取自数据行：请改为该量可能取到的范围。"
    ),
    "Left out; declare one by hand if jobs need it:": "未列入；任务需要时请手动声明：",
    "Without a budget, jobs with differential privacy are refused. Choose one:": (
        "没有预算时，差分隐私任务会被拒绝。请自行决定："
    ),
    "{rows} rows, {columns} columns; nothing was sent anywhere.": (
        "{rows} 行，{columns} 列；未向任何地方发送内容。"
    ),
    "Bounds taken from the data are data: everybody who sees the description learns roughly what "
    "your smallest and largest rows are, and a row that comes later may not fit. Enter what the "
    "quantity can be at all (an age: 0 to 120), without looking at the data.": (
        "取自数据的范围本身就是数据：能看到描述的人都会大致知道最小和最大的行，而且以"
        "后的行可能超出范围。请不看数据，填写该量可能取到的范围（例如年龄：0 到 120）"
        "。"
    ),
    "Categories are published as they are: remove those that name somebody ({names}).": (
        "类别会原样发布：请删除可识别个人的值（{names}）。"
    ),
    "Marked sensitive by their names alone, so check the others too: {names}.": (
        "仅凭列名标为敏感，其余列也请检查：{names}。"
    ),
    "to be confirmed": "待确认",
    "has missing values": "有缺失值",
    "sensitive by its name": "按列名视为敏感",
    "it identifies rows or persons": "可识别行或个人",
    "free text, or too many different values for categories": "自由文本，或取值过多，不宜作类别",
    "most of its cells are numbers, some are not": "多数单元格是数字，少数不是",
    "dates or times: derive an age or a duration": "日期或时间：请改用年龄或时长",
    "the same value in every row": "每行取值相同",
    "no value in any row": "所有行均无取值",
    "it holds infinite numbers": "含有无穷大的数",
    "its name is empty, duplicated, too long or not printable": (
        "列名为空、重复、过长或含不可打印字符"
    ),
    "neither numbers nor categories": "既不是数字也不是类别",
    "counted": "实际行数",
    "commitment": "承诺",
    "published_as": "已发布为",
    "path": "路径",
    "columns": "列",
    "changed": "已生效",
    "restart": "需重启",
    "State what a restored agent spent of a privacy budget, and unlock it.": (
        "说明恢复后的代理已花费多少隐私预算，并将其解锁。"
    ),
    "Name of the privacy domain.": "隐私域的名称。",
    "Audit bundle of a job since the backup; may be repeated.": (
        "备份之后某任务的审计包；可重复给出。"
    ),
    "Was nothing else spent of {domain} since the backup, beyond the {count} jobs named here? "
    "Only you can know what a lying or restored centre does not show.": (
        "自备份以来，{domain} 除此处列出的 {count} 个任务外没有其他花费？"
        "说谎或被恢复的协调中心不会显示的内容，只有您能知道。"
    ),
    "The privacy budget of {domain} is unlocked.": "{domain} 的隐私预算已解锁。",
    "locked": "已锁定",
}

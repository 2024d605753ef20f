"""Chinese of the command line: jobs."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Jobs: joint computations.": "任务：联合计算。",
    "List jobs, the newest first.": "列出任务，最新的在前。",
    "Show one job.": "显示一个任务。",
    "Submit a job file.": "提交任务文件。",
    "Check a job file and see the spec that parties would sign.": (
        "检查任务文件，并查看各方将要签署的规格。"
    ),
    "Follow a job until it ends; exit code 8 if it failed or was cancelled.": (
        "跟踪任务直到结束；失败或被取消则退出码为 8。"
    ),
    "Wait for a job and show it; exit code 8 if it failed or was cancelled, 5 if it is paused "
    "until somebody resumes it, 6 if time is up.": (
        "等待任务并显示；失败或被取消时退出码为 8，暂停且要有人恢复时为 5，超时为 6。"
    ),
    "{job} is paused: {why}": "{job} 已暂停：{why}",
    "The maximum number of seconds to wait. Default: until it ends.": (
        "最多等待的秒数。默认：直到结束。"
    ),
    "Who could see what": "谁能看到什么",
    "What is stopped": "挡住了哪些攻击",
    "What it cost": "隐私代价",
    "What is released": "发布内容",
    "Who dropped out": "掉线记录",
    "Every value has noise; low and high enclose the value without noise 95 times in 100.": (
        "所有数值均已加噪；无噪声的真值有 95% 的可能落在下限与上限之间。"
    ),
    "Cancel {what}?": "取消 {what}？",
    "{what} is cancelled.": "已取消 {what}。",
    "Cancel a job.": "取消任务。",
    "Resume a paused job, if its script has not changed.": (
        "继续已暂停的任务（前提是其脚本未曾改变）。"
    ),
    "{what} continues.": "{what} 继续运行。",
    "Query the data of several owners for statistics with noise.": "向多方数据询问加噪的统计量。",
    "MEASURE[:COLUMN][:by=COLUMN][:bins=N][:q=Q,Q][:name=NAME]; may be repeated.": (
        "统计量[:列][:by=分组列][:bins=格数][:q=分位,分位][:name=名称]；可重复。"
    ),
    "A dataset; may be repeated. Default: all granted to the project.": (
        "数据集；可重复。默认：授予该项目的全部数据集。"
    ),
    "What all queries together may cost each owner.": "全部查询合计可消耗每个数据所有者的 ε。",
    "The noise multiplier, instead of an epsilon.": "直接给出噪声倍数，代替 ε。",
    "δ of the whole job; far below one in all rows.": "整个任务的 δ；应远小于总行数分之一。",
    "shared, party or local: who adds how much noise.": "shared、party 或 local：由谁加多少噪声。",
    "gaussian or laplace.": "gaussian 或 laplace。",
    "opendp or pydp.": "opendp 或 pydp。",
    "What the answers are for, as granted.": "结果的用途，须与授权一致。",
    "Name of the job.": "任务名称。",
    "Only show what it would cost.": "只说明代价，不提交。",
    "Wait for the answers.": "等待结果。",
    "Standard errors that noise alone would give, with so many rows in each group:": (
        "每组有这么多行时，仅由噪声带来的标准误："
    ),
    "Show an ended job's report, or write it as a page.": "显示已结束任务的报告，或写成网页。",
    "{party} has been waiting since {since}: {what}": "{party} 自 {since} 起等待：{what}",
    "nobody waits any more": "已无人等待",
    "the centre": "协调中心",
    "Job {job} released no model in round {number}.": "任务 {job} 在第 {number} 轮没有发布模型。",
    "--from needs JOB@ROUND, e.g. job_01jf2k…@12.": "--from 需要“任务@轮次”，例如 job_01jf2k…@12。",
    "Job file (YAML or JSON).": "任务文件（YAML 或 JSON）。",
    "Continue from another job's round: JOB@ROUND.": "从另一任务的某一轮继续：任务@轮次。",
    "submitted": "已提交",
    "Only in this state.": "仅限此状态。",
    "Only of this kind.": "仅限此类型。",
    "Only check it.": "只检查，不提交。",
    "Follow it until it ends.": "跟踪直到结束。",
    "Write the page to this file.": "把网页写入此文件。",
    "File to write; default: stdout.": "要写入的文件；默认：标准输出。",
}

"""Chinese of the command line: organisations, enrolment, parties."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Organisations.": "机构。",
    "One-time tokens that let an agent or an enclave in.": "让代理或飞地加入的一次性令牌。",
    "Enrolled processes and their links.": "已注册的进程及其链路。",
    "List the organisations.": "列出机构。",
    "Show one organisation.": "显示一个机构。",
    "Register an organisation.": "登记机构。",
    "List enrolment tokens, without their secrets.": "列出注册令牌（不含机密）。",
    "The token is in {path}.": "令牌已写入 {path}。",
    "Create a one-time enrolment token.": "生成一次性注册令牌。",
    "List enrolled processes.": "列出已注册的进程。",
    "Show which parties are connected.": "显示哪些参与方在线。",
    "Disable {what}?": "停用 {what}？",
    "Revoke {what}?": "吊销 {what}？",
    "Refuse a process's certificate from now on.": "从现在起拒绝某进程的证书。",
    "Disable an organisation: its people and its agent.": "停用机构：其人员与代理都被拒之门外。",
    "Enable a disabled organisation again.": "重新启用机构。",
    "Enable {what}?": "重新启用 {what}？",
    "Slug of the organisation.": "机构代号。",
    "Its display name.": "给人看的名称。",
    "Write the token to this new 0600 file instead.": "改为把令牌写入此新文件（权限 0600）。",
    "SPIFFE id of the process.": "该进程的 SPIFFE 标识。",
}

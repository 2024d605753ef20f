"""Chinese of the command line: contexts."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Damaged in the server's record: {names}. Tell the operator.": (
        "服务器记录中已损坏：{names}。请告知运营方。"
    ),
    "There is no context {what}.": "没有名为 {what} 的上下文。",
    "Contexts: which user of which server you are.": ("上下文：以哪台服务器的哪个用户身份操作。"),
    "Name of the context.": "上下文的名称。",
    "List your contexts.": "列出您的上下文。",
    "Show a context, by default the chosen one.": "显示一个上下文，默认为当前所选。",
    "Choose the context for later commands.": "选择之后命令所用的上下文。",
    "Forget a context and its token.": "删除一个上下文及其令牌。",
    "Forget context {what}? Its token stays valid until you log out.": (
        "删除上下文 {what}？其令牌在您登出之前仍然有效。"
    ),
    "{what} is forgotten.": "已删除 {what}。",
    "{what} is chosen.": "已选择 {what}。",
    "Act as the user of this context.": "以此上下文的用户身份操作。",
    "Keep the token in this context; the chosen one stays chosen.": (
        "把令牌保存在此上下文中；当前所选不变。"
    ),
    "Next: secureflow context use {name}": "下一步：secureflow context use {name}",
    "kept": "已保存",
    "chosen": "当前",
    "user": "用户",
    "url": "URL",
    "ca": "CA",
    "token": "令牌",
}

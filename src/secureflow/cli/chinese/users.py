"""Chinese of the command line: users."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "--password-file FILE (`-` reads stdin)": "--password-file FILE（`-` 表示读标准输入）",
    "File with the old password. Default: it is asked for.": "旧密码文件。默认：询问。",
    "File with the new password. Default: it is asked for.": "新密码文件。默认：询问。",
    "People and their roles.": "人员及其角色。",
    "Your own bearer tokens, for programs.": "您自己的、供程序使用的令牌。",
    "List the people that you may see.": "列出您可见的人员。",
    "Show who you are.": "显示您的身份。",
    "Show one user.": "显示一个用户。",
    "Create a user.": "创建用户。",
    "{what} is disabled.": "已停用 {what}。",
    "Disable a user.": "停用用户。",
    "{what} is enabled.": "已启用 {what}。",
    "Enable a disabled user again.": "重新启用用户。",
    "Old password": "旧密码",
    "New password": "新密码",
    "The password is changed.": "密码已更改。",
    "Change your own password.": "更改自己的密码。",
    "List your tokens.": "列出您的令牌。",
    "Create a token; it is shown only once.": "生成令牌；内容只显示这一次。",
    "Revoke a token.": "作废令牌。",
    "Id or name of the user.": "用户编号或名称。",
    "Disable {user}?": "停用 {user}？",
    "Enable {user}?": "重新启用 {user}？",
    "Name to log in with.": "登录名。",
    "File with the first password; `-` reads stdin. It is asked for when not given.": (
        "存放初始密码的文件；`-` 表示读标准输入。未给出时会询问。"
    ),
    "What it is for.": "用途说明。",
    "Id of the token.": "令牌编号。",
}

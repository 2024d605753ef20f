"""Chinese of the command line: login, main."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Logged in as {name} until {until}.": "已以 {name} 登录，有效至 {until}。",
    "The token is kept in {path}.": "令牌保存在 {path}。",
    "Logged out.": "已退出登录。",
    "Password": "密码",
    "User name": "用户名",
    "Your user name; it is asked for when not given.": "您的用户名；未给出时会询问。",
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
}

"""Chinese of the command line: projects."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Invite into {project}?": "邀请加入 {project}？",
    "Join {project}?": "加入 {project}？",
    "Leave {project}?": "退出 {project}？",
    "Projects and their members.": "项目及其成员。",
    "List your projects.": "列出您的项目。",
    "Show one project.": "显示一个项目。",
    "Create a project.": "创建项目。",
    "Invite an organisation.": "邀请机构。",
    "Accept an invitation.": "接受邀请。",
    "Leave a project, or decline an invitation.": "退出项目，或谢绝邀请。",
    "Name of the project.": "项目名称。",
    "What data may be used for in the project.": "其中数据可用于什么。",
    "A longer description for people.": "更多说明。",
}

"""Chinese of the command line: doctor."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "Check the connection to the server and show which check fails.": (
        "逐项检查通往服务器的链路，指出出错的一项。"
    ),
    "port {port} answers in {ms} ms": "端口 {port} 在 {ms} 毫秒内应答",
    "healthy": "健康",
    "differs by {seconds} s": "相差 {seconds} 秒",
    "none: plain http on the loopback interface": "无：回环接口上的明文 http",
    "No server is named.": "未指定服务器。",
    "/healthz answers {status}.": "/healthz 返回 {status}。",
    "Is it a SecureFlow server?": "这是 SecureFlow 服务器吗？",
    "the server gives no time": "服务器未给出时间",
    "This clock and the server's differ by {seconds} s.": "本机时钟与服务器相差 {seconds} 秒。",
    "Set the clock (NTP); certificates and approvals depend on it.": (
        "请校准时钟（NTP）；证书与批准都依赖时钟。"
    ),
    "The server is {theirs}, this is {ours}.": "服务器版本为 {theirs}，本机为 {ours}。",
    "Install the server's version.": "请安装与服务器相同的版本。",
    "You are not logged in.": "您尚未登录。",
    "{host} has no address: {reason}.": "{host} 无法解析：{reason}。",
    "Check the name, the DNS server and the VPN.": "请检查主机名、DNS 服务器与 VPN。",
    "Port {port} does not answer: {reason}.": "端口 {port} 无应答：{reason}。",
    "Ask whether the server runs and whether a firewall is in between.": (
        "请确认服务器在运行，且中间没有防火墙阻拦。"
    ),
    "The certificate is refused: {reason}.": "证书未被接受：{reason}。",
    "Give the CA file of this server: secureflow login URL --ca FILE.": (
        "请给出该服务器的 CA 文件：secureflow login URL --ca FILE。"
    ),
    "TLS fails: {reason}.": "TLS 失败：{reason}。",
    "Is it an https port, and is there no proxy that inspects TLS?": (
        "该端口是 https 吗？中间是否有代理拆解 TLS？"
    ),
    "folder": "目录",
    "database": "数据库",
    "artefacts": "数据块",
    "heads": "日志头",
    "budgets": "预算",
    "models": "模型",
    "damaged": "已损坏",
    "readiness": "就绪",
    "restore": "恢复",
    "never": "从未",
    "on {at}, from a backup of {taken}: what was revoked, disabled or withdrawn in between is "
    "valid again until somebody repeats it": (
        "于 {at} 由 {taken} 的备份恢复：其间所吊销、停用或撤回的重新有效，须有人重做"
    ),
    "the server is ready": "服务器已就绪",
    "the server does not say": "服务器未告知",
    "Try again.": "请重试。",
    "Parts of the server do not work: {parts}.": "服务器的这些部分不工作：{parts}。",
    "The operator finds the reason in the server's log.": "运营方可在服务器日志中查到原因。",
    "{version}, until {until}": "{version}，有效至 {until}",
    "{check}: {told}": "{check}：{told}",
    "profile": "配置",
    "settings": "配置",
    "keys": "密钥",
    "certificate": "证书",
    "platform": "平台",
    "authorisation": "授权",
    "renewals": "证书续期",
    "charter": "章程",
    "attestation": "远程证明",
    "alarm": "报警",
    "disk": "磁盘",
    "log": "日志",
    "data": "数据",
    "name": "名称",
    "connection": "连接",
    "server": "服务器",
    "clock": "时钟",
    "version": "版本",
    "login": "登录",
    "These have no link to this server, but to another one of the same database: {parties}.": (
        "以下各方与本服务器没有链路，而是连到了同一数据库的另一服务器：{parties}。"
    ),
    "A job waits for them here: submit it at the server that they are connected to.": (
        "在此提交的任务会一直等待它们：请在它们所连的服务器上提交。"
    ),
    "{count} connected, and their clocks agree with the centre's": (
        "{count} 个在线，时钟均与服务器一致"
    ),
    "By this machine's clock the server's certificate is not valid: {reason}.": (
        "按本机时钟，服务器的证书此刻无效：{reason}。"
    ),
    "Set this machine's clock (NTP); if it is right, tell the operator.": (
        "请校准本机时钟（NTP）；若本机时钟无误，请告知运营方。"
    ),
}

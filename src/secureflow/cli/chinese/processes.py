"""Chinese of the command line: enclave, server."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "The attested worker that opens sealed updates.": "经远程证明的工作进程，负责打开密封的更新。",
    "Next: secureflow enclave start --config {path}": (
        "下一步：secureflow enclave start --config {path}"
    ),
    "Enrol an enclave with its one-time token.": "用一次性令牌注册飞地。",
    "Run the enclave until SIGTERM.": "运行飞地，直到收到 SIGTERM。",
    "The process's YAML file.": "该进程的 YAML 配置文件。",
    "Use the SIMULATED TEE, the only one that this version can attest: it protects "
    "nothing from the operator.": (
        "使用模拟（SIMULATED）TEE（本版本唯一能出具证明的 TEE）：对运营方不提供任何保护。"
    ),
    "Its name in the certificate: a new one if it was revoked.": (
        "证书中的名称；若旧的已被吊销，请换新名称。"
    ),
    "The coordination centre.": "协调中心。",
    "Next: secureflow server start --config {path}": (
        "下一步：secureflow server start --config {path}"
    ),
    "Make a new centre: CA, log key, first admin, enclave token.": (
        "新建中心：CA、日志密钥、首位管理员、飞地令牌。"
    ),
    "Run the centre until SIGTERM.": "运行中心，直到收到 SIGTERM。",
    "SPIFFE trust domain of the consortium.": "联盟的 SPIFFE 信任域。",
    "Name or address by which people and agents reach it.": "供人和代理访问的主机名或地址。",
    "Port of REST.": "REST 端口。",
    "Port of the link.": "链路端口。",
    "URL of an empty PostgreSQL database, without a password; else SQLite.": (
        "空的 PostgreSQL 数据库的 URL（不含密码）；省略则用 SQLite。"
    ),
}

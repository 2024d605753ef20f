"""Chinese of the command line: charter."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "The charter: who the organisations are, compared out of band.": (
        "章程：各机构的身份，须在线下核对。"
    ),
    "Show the server's charter and the words to compare.": "显示服务器上的章程与供核对的指纹词。",
    "Each member now compares the words and signs: secureflow agent charter sign.": (
        "请各成员核对指纹词后签名：secureflow agent charter sign。"
    ),
    "Propose the next version of the charter.": "提出下一版章程。",
    "Both are the same charter.": "两份是同一章程。",
    "Show how two charter files differ; exit code 7 if they do.": (
        "比较两份章程文件；若不同则退出码为 7。"
    ),
    "Enough members signed it. Compare the words with every member before pinning it.": (
        "签名的成员已足够。钉定之前请与每个成员核对指纹词。"
    ),
    "Check a charter file's signatures; exit code 7 if some are missing.": (
        "核对章程文件的签名；缺少签名则退出码为 7。"
    ),
    "Compare with the other members, not over this server:": (
        "请与其他成员核对（不要经由本服务器）："
    ),
    "The charters differ.": "两份章程不同。",
    "It follows the pinned charter.": "它承接已钉定的章程。",
    "Charter file (JSON).": "章程文件（JSON）。",
    "The version that waits for signatures.": "等待签名的版本。",
    "This agent uses:": "本代理遵循的章程：",
    "Waiting to be signed:": "等待签名的章程：",
    "yes": "是",
    "no": "否",
    "Also write it to this file.": "同时写入此文件。",
    "Slug of a member; may be repeated. Default: every enrolled organisation.": (
        "成员机构代号，可重复。默认：所有已注册机构。"
    ),
    "The charter known before; the file must follow it.": "先前已知的章程；该文件必须承接它。",
    "No charter waits for a signature.": "没有等待签名的章程。",
    "Charter version {version} of {domain}, digest {digest}": (
        "章程第 {version} 版，{domain}，摘要 {digest}"
    ),
    "differs from the pinned one: {what}": "与已钉定的章程不同：{what}",
    "Did every other member read out these words, by telephone or in person?": (
        "其他每个成员都已通过电话或当面念过这些词吗？"
    ),
    "Continue a log that was set back, if its members agree.": (
        "在成员同意时，让被回退的日志继续。"
    ),
    "More than two thirds of the members compare the words and sign: "
    "secureflow agent charter sign. Until then nothing is signed.": (
        "须有三分之二以上的成员核对指纹词并签名：secureflow agent charter sign。"
        "在此之前不签名任何内容。"
    ),
    "The log {origin} was set back from {size} entries to {start}: {lost} entries, from {first} "
    "to {last}, are lost at the centre. It continues as {name}.": (
        "日志 {origin} 由 {size} 条回退到 {start} 条：{lost} 条（第 {first} 至 {last} 条）"
        "在协调中心丢失。它以 {name} 继续。"
    ),
}

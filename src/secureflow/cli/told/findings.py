"""Chinese of what an offline audit finds (`engines.ledger.bundle`, `ends`, `held`)."""

from __future__ import annotations

from typing import Final

TEXTS: Final[dict[str, str]] = {
    "the head is of the log {}, not {}": "日志头属于日志 {0}，而非 {1}",
    "no entry belongs to job {}": "没有条目属于任务 {0}",
    "the roster is not the one in the spec": "名单与规格中的不符",
    "a roster of one: whoever colludes with the centre would be its only witness": (
        "名单只有一方：与协调中心串通者就是它唯一的见证"
    ),
    "it is about the spec {}, not about {}": "它讲的是规格 {0}，而非 {1}",
    "{}: it binds another spec than the bundle's": "{0}：它绑定的规格与审计包的不同",
    "{}: entries are not in ascending order": "{0}：条目未按升序排列",
    "{}: it was signed for the log {}": "{0}：它是为日志 {1} 签署的",
    "{}: its inclusion proof does not lead to the head's root": "{0}：其收录证明不能推出日志头的根",
    "{}: document and salt do not open its commitment": "{0}：文档与盐打不开其承诺",
    "{}: another leaf of its author has the same prev, or it appears twice": (
        "{0}：其作者另有叶子指向同一前叶，或它出现了两次"
    ),
    "{}: this enclave key's first leaf is missing": "{0}：缺少此飞地密钥的第一片叶子",
    "{}: the leaf that its prev names is missing: one was dropped or inserted": (
        "{0}：缺少其前叶：有叶子被删去或插入"
    ),
    "{}: it comes before an earlier leaf of its author": "{0}：它排在其作者更早的叶子之前",
    "{}: its author's approval of the job does not come before it": "{0}：其作者未先批准任务",
    "{}: its signature is not valid under the key that it carries": (
        "{0}：签名用其所带的密钥验证不通过"
    ),
    "{}: its author signs with two keys": "{0}：其作者使用了两个密钥签名",
    "{}: its key is vouched for by {} roster members' attested leaves, not by {}": (
        "{0}：名单中只有 {1} 方的证明叶子为其密钥作保，需要 {2} 方"
    ),
    "{}: the attested enclave key did not sign it": "{0}：经证明的飞地密钥没有签署它",
    "{}: its author is not a member of the charter": "{0}：其作者不是章程成员",
    "{}: the charter's key of {} did not sign it": "{0}：章程中 {1} 的密钥没有签署它",
    "{}: its author is not on the job's roster": "{0}：其作者不在任务名单上",
    "the bundle was made under another charter than the one given": "审计包所据章程与给出的不同",
    "the bundle is of the log {}; the charter names {}": "审计包属于日志 {0}；章程写的是 {1}",
    "the head is not signed by the charter's log key": "日志头不是由章程中的日志密钥签署的",
    "roster member {} is not in the charter with the spec's key": (
        "名单成员 {0} 在章程中的密钥与规格不符"
    ),
    "the head has {} valid cosignatures of the roster, not {}": (
        "日志头只有名单的 {0} 个有效联署，需要 {1} 个"
    ),
    "the centre's end (job.closed) is missing: the job is running, it ran before ends were "
    "recorded, or the end was cut off": (
        "没有协调中心的结尾（job.closed）：任务仍在进行，或当时尚不记录结尾，或结尾被截去"
    ),
    "{} parties of the roster signed their end, not {}: for {} there is only the "
    "centre's word": "名单中只有 {0} 方签署了结尾，需要 {1} 方：{2} 仅凭协调中心所言",
    "{}: the job is closed twice": "{0}：任务被结束了两次",
    "{}: the end comes without its document": "{0}：结尾没有附上文档",
    "{}: the accusation comes without its document": "{0}：指控没有附上文档",
    "{}: its document is not the end of a job": "{0}：其文档不是任务的结尾",
    "{}: its document is not an end": "{0}：其文档不是结尾",
    "{}: it counts an author twice": "{0}：同一作者被计了两次",
    "{}: it has no line for {}": "{0}：其中没有 {1}",
    "{}: {} leaves are there, the centre's end counts {}: leaves were cut off": (
        "{0}：有 {1} 片叶子，协调中心的结尾却计为 {2}：有叶子被截去"
    ),
    "{}: {} leaves up to {} are there, the centre's end counts {} up to {}": (
        "{0}：有 {1} 片叶子，最后为 {2}；协调中心的结尾计为 {3} 片，最后为 {4}"
    ),
    "{}: it does not follow the leaf that it counts last": (
        "{0}：它没有接在它所计的最后一片叶子之后"
    ),
    "{}: it comes after the job's end": "{0}：它排在任务结尾之后",
    "{}: its author had signed its own end before": "{0}：其作者在此之前已签署自己的结尾",
    "{}: its author signed more after its own end": "{0}：其作者在签署自己的结尾之后又有签署",
    "{}: {} counts {} leaves of its own up to {}, {} are there": (
        "{0}：{1} 计自己有 {2} 片叶子，最后为 {3}；实有 {4} 片"
    ),
    "it belongs to another job, log or author": "它属于别的任务、日志或作者",
    "the key of {} did not sign it": "{0} 的密钥没有签署它",
    "it is in the log before the job's end, which left it out": (
        "它在日志中位于任务结尾之前，而结尾遗漏了它"
    ),
    "the end that {} signed does not count it": "{0} 签署的结尾没有计入它",
    "{} signed no end: there is only the centre's word": "{0} 没有签署结尾：仅凭协调中心所言",
}

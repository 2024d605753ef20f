"""What members sign in a settlement, and the one thing that the centre signs: that it is closed.

A deed is a statement of one organisation under its charter key. Its natural key (who, what, in
which settlement, about which payment) makes a repeated one known, and a second, different one a
contradiction that is refused. `close` is the centre's, under the key of its log: it only says when;
whether it may follows from the others' deeds (`standing`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, cast

from secureflow.engines.revenue.agreement import MAX_AMOUNT
from secureflow.engines.revenue.settlement import malformed
from secureflow.kit import canonical, crypto
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KIND: Final = "settlement-deed"
"""What a signature is of."""
CENTRE: Final = "server"
"""Who signs `close`."""
Act = Literal["approve", "dispute", "withdraw", "pay", "confirm", "accuse", "close"]
FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "approve": ("computed",),
    "dispute": ("evidence",),
    "withdraw": (),
    "pay": ("payee", "amount", "reference"),
    "confirm": ("payer", "amount", "reference"),
    "accuse": ("code", "evidence"),
    "close": ("computed",),
}
"""Act → what its statement says beside who, where and when."""
SALT_BYTES: Final = 32
MAX_REFERENCE: Final = 200

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PROJECT: Final = re.compile(r"prj_[0-9a-z]{1,40}")
_CODE: Final = re.compile(r"[a-z0-9_]{1,64}")
_FORMS: Final = {
    **dict.fromkeys(("computed", "evidence", "reference"), _DIGEST),
    **dict.fromkeys(("payee", "payer"), _SLUG),
    "code": _CODE,
}
_COMMON: Final = ("act", "project", "settlement", "organisation", "at")


@dataclass(frozen=True)
class Deed:
    """A signed statement.

    Args:
        act: what is done.
        project, settlement: where.
        organisation: who; `CENTRE` for `close`.
        at: unix seconds by the signer's clock.
        facts: of the act (`FACTS`).
        signature: base64, of kind `KIND`; "" of one that is not signed yet.

    Raises:
        SecureFlowError: `malformed_settlement`.
    """

    act: Act
    project: str
    settlement: str
    organisation: str
    at: int
    facts: Mapping[str, Any]
    signature: str = ""

    def __post_init__(self) -> None:
        if self.act not in FACTS:
            raise malformed("act")
        if (self.act == "close") != (self.organisation == CENTRE):
            raise malformed("organisation")
        right = {
            "project": _text(self.project, _PROJECT),
            "settlement": _text(self.settlement, _DIGEST),
            "organisation": _text(self.organisation, _SLUG),
            "at": type(self.at) is int and 0 <= self.at < 2**53,
            "facts": set(self.facts) == set(FACTS[self.act]),
            "signature": isinstance(self.signature, str) and len(self.signature) <= 128,
        }
        right |= {name: _fact(name, one) for name, one in self.facts.items()}
        if wrong := next((name for name, fits in right.items() if not fits), ""):
            raise malformed(wrong)

    @property
    def statement(self) -> dict[str, Any]:
        """What is signed."""
        return {"v": 1, **{one: getattr(self, one) for one in _COMMON}, **self.facts}

    @cached_property
    def digest(self) -> str:
        """The hex SHA-256 of what is signed; Ed25519 makes one signature of it."""
        return canonical.digest(self.statement)

    @property
    def key(self) -> tuple[str, ...]:
        """What names it: one organisation signs one deed of a key."""
        about = [str(self.facts.get(one, "")) for one in ("payer", "reference", "code")]
        return (self.settlement, self.organisation, self.act, *about)

    def sign(self, key: crypto.SigningKey) -> Deed:
        """Return it signed."""
        signature = key.sign(KIND, self.statement)
        return Deed(**{**self._parts(), "signature": signature})

    def check(self, *keys: str) -> None:
        """Refuse a deed that none of these base64 keys signed (`settlement_deed_forged`)."""
        body = self.statement
        if not any(key and crypto.verify(key, KIND, body, self.signature) for key in keys):
            raise SecureFlowError(
                "settlement_deed_forged",
                Text(
                    "{name} did not sign what is shown as its {act} in settlement {settlement}.",
                    name=self.organisation,
                    act=self.act,
                    settlement=self.settlement,
                ),
                "Do not approve or pay anything by it; ask that organisation, not the centre.",
                {"organisation": self.organisation, "act": self.act, "deed": self.json()},
            )

    def json(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"statement": self.statement, "signature": self.signature}

    def _parts(self) -> dict[str, Any]:
        return {one: getattr(self, one) for one in (*_COMMON, "facts", "signature")}


def parse_deed(value: Any) -> Deed:
    """Build a deed from foreign JSON; raises `malformed_settlement`."""
    if not isinstance(value, dict) or set(value) != {"statement", "signature"}:
        raise malformed("deed")
    statement = value["statement"]
    if not isinstance(statement, dict) or statement.get("v") != 1:
        raise malformed("statement")
    act = statement.get("act")
    if not isinstance(act, str) or act not in FACTS:
        raise malformed("act")
    if set(statement) != {"v", *_COMMON, *FACTS[act]}:
        raise malformed("statement")
    facts = {name: statement[name] for name in FACTS[act]}
    common = {name: statement[name] for name in _COMMON if name != "act"}
    return Deed(act=cast("Act", act), **common, facts=facts, signature=value["signature"])


def commitment(salt: bytes, text: str) -> str:
    """Return what stands for a reason or a payment's reference: SHA-256 over salt and text.

    Without the salt it tells nothing, and whoever erases salt and text erases the meaning.
    """
    if len(salt) != SALT_BYTES:
        raise malformed("salt")
    return hashlib.sha256(salt + text.encode()).hexdigest()


def _fact(name: str, value: Any) -> bool:
    if name == "amount":
        return type(value) is int and 1 <= value <= MAX_AMOUNT
    return name in _FORMS and _text(value, _FORMS[name])


def _text(value: Any, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None

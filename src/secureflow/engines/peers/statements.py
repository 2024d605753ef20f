"""`peer_channel` statements: which certificate one party uses towards another in one attempt.

Every channel has a fresh self-signed certificate at each end. A party signs, with its key in the
charter, the certificate's digest together with all that the channel is for: the job, its spec, the
attempt, from and to whom, the program, the roster. The peer accepts this very certificate in that
channel, and no other: not even one that the same party made for another job.

A signed statement is `{body, signature, certificate}`; `certificate` is the DER itself in base64
(a TLS server must know it before the handshake), which counts only if it has the signed digest. The
signature is over `secureflow/v1 ‖ "peer_channel" ‖ SHA-256(JCS(body))` (`kit.crypto`).

An honest party signs one statement per (job, attempt, from, to). Two different ones are proof, by
its own signature, that it did not keep to that (`contradict`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from secureflow.kit.canonical import JSON, b64decode, b64encode, digest, sha256
from secureflow.kit.crypto import SigningKey, fingerprint, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.kit.text import Text

KIND: Final = "peer_channel"
MAX_CERTIFICATE: Final = 2048
"""Bytes of a channel's certificate; one with an Ed25519 key has some 350."""
_BODY: Final = ("job", "spec", "attempt", "from", "to", "program", "certificate", "roster")
_PARTS: Final = {"body", "signature", "certificate"}
_SHOWN: Final = 80

_REASONS: Final = {
    "shape": "it is malformed",
    "signature": "its signature is not that of the key in the roster",
    "job": "it is for another job",
    "spec": "it is for another spec",
    "attempt": "it is for another attempt",
    "from": "it is of another party",
    "to": "it is for another party",
    "program": "it is for another program",
    "roster": "it is for another roster",
    "certificate": "the certificate beside it is not the signed one",
}


@dataclass(frozen=True)
class ChannelScope:
    """All that the channels of one attempt have in common.

    Args:
        job: its id.
        spec: hex digest of its spec.
        attempt: its number, from 1.
        program: hex digest of the program that the parties run over the channels.
        keys: the roster: party to base64 signing key, compared with the charter by the caller.
    """

    job: str
    spec: str
    attempt: int
    program: str
    keys: Mapping[str, str]

    @property
    def roster(self) -> str:
        """The hex digest of the roster's parties and the fingerprints of their keys."""
        return digest({party: fingerprint(key) for party, key in self.keys.items()})

    def body(self, sender: str, to: str, certificate: bytes) -> dict[str, JSON]:
        """Return what `sender` signs about its certificate (DER) towards `to`."""
        return {
            "job": self.job,
            "spec": self.spec,
            "attempt": self.attempt,
            "from": sender,
            "to": to,
            "program": self.program,
            "certificate": sha256(certificate).hex(),
            "roster": self.roster,
        }


def make_statement(
    scope: ChannelScope, sender: str, to: str, certificate: bytes, key: SigningKey
) -> dict[str, JSON]:
    """Return the signed statement of a sender about its certificate (DER) towards a peer."""
    body = scope.body(sender, to, certificate)
    return {"body": body, "signature": key.sign(KIND, body), "certificate": b64encode(certificate)}


def check_statement(value: JSON, scope: ChannelScope, sender: str, to: str) -> bytes:
    """Return the certificate (DER) that a signed statement pins for one channel.

    Args:
        value: foreign JSON.
        scope: what the reader itself runs.
        sender: whose statement it must be, of the roster.
        to: the reader.

    Raises:
        SecureFlowError: `peer_statement_wrong`; `details.wrong` is one of `shape`, `signature`,
            `job`, `spec`, `attempt`, `from`, `to`, `program`, `roster`, `certificate`.
    """
    body, signature, encoded = _parts(value, sender, to)
    if sender not in scope.keys or not verify(scope.keys[sender], KIND, body, signature):
        raise _wrong(sender, to, "signature")
    certificate = _certificate(encoded, sender, to)
    expected = scope.body(sender, to, certificate)
    for name in _BODY:
        if body[name] != expected[name] or type(body[name]) is not type(expected[name]):
            raise _wrong(sender, to, name, shown(str(body[name]))[:_SHOWN])
    return certificate


def contradict(first: JSON, second: JSON, key: str) -> bool:
    """Tell whether two statements, signed by one key, are about one channel and differ."""
    try:
        bodies = [_parts(one, "", "") for one in (first, second)]
    except SecureFlowError:
        return False
    if not all(verify(key, KIND, body, signature) for body, signature, _ in bodies):
        return False
    one, other = (body for body, _, _ in bodies)
    same = all(one[name] == other[name] for name in ("job", "attempt", "from", "to"))
    return same and one != other


def contradiction(sender: str, first: JSON, second: JSON) -> SecureFlowError:
    """Return the refusal of a second statement; both are in `details.statements`, as evidence."""
    return SecureFlowError(
        "peer_statements_contradict",
        Text(
            "{sender} signed two different statements about one channel of one attempt.",
            sender=sender,
        ),
        Text(
            "Only {sender} can sign them: ask it whether its agent runs twice or was restored.",
            sender=sender,
        ),
        {"party": sender, "signer": sender, "statements": [first, second]},
    )


def _parts(value: JSON, sender: str, to: str) -> tuple[dict[str, Any], str, str]:
    if isinstance(value, dict) and set(value) == _PARTS:
        body, signature, encoded = value["body"], value["signature"], value["certificate"]
        if isinstance(body, dict) and set(body) == set(_BODY) and _strings(signature, encoded):
            flat = all(isinstance(one, str) and len(one) <= 128 for one in _texts(body))
            if flat and type(body["attempt"]) is int:
                return body, signature, encoded
    raise _wrong(sender, to, "shape")


def _texts(body: Mapping[str, Any]) -> list[Any]:
    return [one for name, one in body.items() if name != "attempt"]


def _strings(signature: Any, encoded: Any) -> bool:
    lengths = ((signature, 128), (encoded, 2 * MAX_CERTIFICATE))
    return all(isinstance(one, str) and len(one) <= longest for one, longest in lengths)


def _certificate(encoded: str, sender: str, to: str) -> bytes:
    try:
        return b64decode(encoded, 2 * MAX_CERTIFICATE)
    except SecureFlowError as error:
        raise _wrong(sender, to, "shape") from error


def _wrong(sender: str, to: str, what: str, said: str = "") -> SecureFlowError:
    return SecureFlowError(
        "peer_statement_wrong",
        Text(
            "{to} refuses the channel statement of {sender}: {reason}.",
            to=to,
            sender=sender,
            reason=_REASONS[what],
        ),
        Text(
            "Nothing was sent to {sender}. Both agents must run the same version and the same "
            "attempt of the job; if they do, the centre passes on a wrong statement.",
            sender=sender,
        ),
        {"party": sender, "from": sender, "to": to, "wrong": what}
        | ({"said": said} if said else {}),
    )

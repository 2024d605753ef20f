"""A file that one party seals to another: whoever carries it sees ciphertext and its size.

The content key is sealed by HPKE to a key that the recipient made for the job and signed. Base mode
authenticates no sender: the owner of the file signs the ciphertext's digest with all that it
belongs to. Every party checks the other's signature under the key that the job's roster gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from secureflow.engines.sealing.stream import TAG, chunk_count
from secureflow.kit.canonical import canonical_bytes, sha256
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_RECIPIENT: Final = "delivery-recipient"
_FILE: Final = "delivery"
"""Kinds of signatures."""


@dataclass(frozen=True)
class Passage:
    """From whom to whom, in which job.

    Args:
        job: its id.
        spec: hex digest of its spec.
        sender: whose file it is.
        to: who opens it.
    """

    job: str
    spec: str
    sender: str
    to: str

    def info(self, length: int) -> bytes:
        """Return the HPKE `info` of the content key of a file of so many bytes."""
        return sha256(canonical_bytes({"v": 1, "use": _FILE, **vars(self), "length": length}))

    def sign(self, key: SigningKey, sealed: dict[str, Any]) -> str:
        """Return the sender's signature over a sealed file: its artifact, size, length and key."""
        return key.sign(_FILE, {**vars(self), **sealed})

    def check(self, sender_key: str, sealed: dict[str, Any], signature: str) -> None:
        """Refuse a sealed file that its sender did not sign, or whose sizes do not fit.

        Raises:
            SecureFlowError: `delivery_forged`.
        """
        fits = sealed["size"] == sealed_size(sealed["length"])
        if fits and verify(sender_key, _FILE, {**vars(self), **sealed}, signature):
            return
        raise SecureFlowError(
            "delivery_forged",
            Text("{sender} did not seal this file to {to}.", sender=self.sender, to=self.to),
            "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
            {"party": self.sender},
        )


def sealed_size(length: int) -> int:
    """Return the bytes of the ciphertext of a file of so many bytes."""
    return length + TAG * chunk_count(length)


def sign_recipient(key: SigningKey, job: str, spec: str, recipient: str) -> str:
    """Return the signature over a recipient's key for one job."""
    return key.sign(_RECIPIENT, {"job": job, "spec": spec, "recipient": recipient})


def check_recipient(
    party_key: str, party: str, job: str, spec: str, recipient: str, signature: str
) -> None:
    """Refuse a key that the party did not sign for this job.

    Raises:
        SecureFlowError: `recipient_forged`.
    """
    body = {"job": job, "spec": spec, "recipient": recipient}
    if not verify(party_key, _RECIPIENT, body, signature):
        raise SecureFlowError(
            "recipient_forged",
            Text("{party} did not sign this recipient key.", party=party),
            "The centre shows a key of somebody else: nothing is sealed to it.",
            {"party": party},
        )

"""Values derived from a job's one secret: seeds, salts and the key that models are sealed to.

All of them are HKDF-SHA256 over the 32 random bytes that were made with the approval, under an
`info` that names the use. So an agent that was killed at any point makes the same update again,
and nothing but the secret has to be stored.
"""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from secureflow.engines.sealing import RecipientKey
from secureflow.kit.canonical import canonical_bytes, sha256

_MLKEM_SEED = 64


def derive(secret: bytes, length: int, use: str, **facts: Any) -> bytes:
    """Return this many bytes for one use, named by JSON facts."""
    info = canonical_bytes({"v": 1, "use": use, **facts})
    return HKDF(SHA256(), length, salt=b"secureflow/v1 agent", info=info).derive(secret)


def training_seed(secret: bytes, stage: str, model: str) -> str:
    """Return the hex seed of local training.

    It depends on the global model, not on the round: from one model this party makes one update,
    whatever round the server names and however often the enclave is restarted.
    """
    return derive(secret, 32, "seed", stage=stage, model=model).hex()


def update_commitment(secret: bytes, round_number: int, stage: str, content: str) -> str:
    """Return the hex commitment to an update, for its ledger leaf.

    SHA-256(salt ‖ BLAKE3(plaintext)) under a salt that stays with this party.
    """
    salt = commitment_salt(secret, round_number, stage)
    return sha256(salt + bytes.fromhex(content)).hex()


def commitment_salt(secret: bytes, round_number: int, stage: str) -> bytes:
    """Return the salt of the commitment to an update, 32 bytes."""
    return derive(secret, 32, "update salt", round=round_number, stage=stage)


def recipient_key(secret: bytes) -> RecipientKey:
    """Return the job's HPKE key that intermediate models are sealed to."""
    seed = derive(secret, _MLKEM_SEED + 32, "recipient")
    return RecipientKey(
        MLKEM768PrivateKey.from_seed_bytes(seed[:_MLKEM_SEED]),
        X25519PrivateKey.from_private_bytes(seed[_MLKEM_SEED:]),
    )

"""The key under which secrets lie in the database, which stays when the log's key changes.

It is the first log key. Before another key signs, it is sealed for that one, so that whoever has
the centre's present log key and its database can read both; the old key's file is not needed again.
A thief of the old key can open what such a key sealed, if he has the database as well: after a
theft people replace their second factors and the secrets of webhooks.
"""

from __future__ import annotations

from secureflow.application.ports.storage import UnitOfWorkFactory
from secureflow.kit.canonical import b64decode, b64encode
from secureflow.kit.crypto import SigningKey
from secureflow.kit.secretsealing import SecretSealer

_PURPOSE = "secrets-root"


async def secrets_root(begin: UnitOfWorkFactory, key: SigningKey) -> SigningKey:
    """Return the key of the secrets, for the log key in use.

    Raises:
        SecureFlowError: `key_unreadable` if it was sealed for another key.
    """
    async with begin() as work:
        sealed = await work.setting(_place(key))
    if sealed is None:
        return key
    opened = SecretSealer(key, _PURPOSE).open(str(sealed), key.public)
    return SigningKey.from_seed(b64decode(opened))


async def carry_secrets(begin: UnitOfWorkFactory, before: SigningKey, after: SigningKey) -> None:
    """Seal the key of the secrets for the log key that signs next, once."""
    if before.public == after.public:
        return
    root = await secrets_root(begin, before)
    seed = b64encode(root.private.private_bytes_raw())
    async with begin() as work:
        if await work.setting(_place(after)) is None:
            sealed = SecretSealer(after, _PURPOSE).seal(seed, after.public)
            await work.set_setting(_place(after), sealed)
            await work.commit()


def _place(key: SigningKey) -> str:
    return f"secrets_root/{key.public}"

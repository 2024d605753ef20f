"""Wraps keys by an AES key in a PKCS#11 token (HSM, smart card, SoftHSM), which never leaves it.

AES-256-GCM (CKM_AES_GCM, PKCS #11 v3.0, 6.13.5) with the envelope's head as additional data. The
key has a label; its CKA_ID stands in the envelope. Of several with the label the one with the
greatest id wraps: ids that are drawn here begin with the time. A session lasts for one operation.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.kit.keyenvelope import Envelope, KeyLabel
from secureflow.kit.keyvault import KeyVaultError, changed
from secureflow.kit.text import Text

if TYPE_CHECKING:
    import pkcs11

_SCHEME: Final = "pkcs11"
_TAG_BITS: Final = 128
_LOOK: Final = (
    "Check `keys.pkcs11` (module, token_label, key_label) and its PIN; pkcs11-tool --module MODULE "
    "-O --login shows what is in the token."
)


class TokenVault:
    """Wraps under an AES key in a token.

    Args:
        module: the vendor's PKCS#11 library.
        token: label of the token.
        key: label of the AES key in it.
        pin: returns the user's PIN.
    """

    source = "pkcs11"

    def __init__(self, module: Path, token: str, key: str, pin: Callable[[], str]) -> None:
        self._module, self._token, self._key, self._pin = module, token, key, pin

    def wrap(self, label: KeyLabel, secret: bytes, public: str, now: int) -> Envelope:
        """Wrap a key; it goes into the token as data."""
        with self._session() as session:
            key = self._newest(session)
            identity = bytes(key.id).hex()
            envelope = Envelope(label, _SCHEME, identity, public, now, secrets.token_bytes(12))
            return envelope.holding(bytes(key.encrypt(secret, **_gcm(envelope))))

    def unwrap(self, envelope: Envelope) -> bytes | None:
        """Return the key's bytes; None if no key in the token has the envelope's id."""
        if envelope.scheme != _SCHEME:
            return None
        with self._session() as session:
            for key in self._keys(session):
                if bytes(key.id).hex() == envelope.wrapper:
                    return self._opened(key, envelope)
        return None

    def wrapped(self, envelope: Envelope) -> bool:
        """Tell whether the newest key in the token wrapped it."""
        if envelope.scheme != _SCHEME:
            return False
        with self._session() as session:
            return bytes(self._newest(session).id).hex() == envelope.wrapper

    def make_key(self) -> str:
        """Make an AES key with the label that wraps from now on; return its id in hex.

        It is neither extractable nor readable; older ones stay, and still unwrap.
        """
        import pkcs11

        identity = time.time_ns().to_bytes(8, "big") + secrets.token_bytes(8)
        template = {
            pkcs11.Attribute.EXTRACTABLE: False,
            pkcs11.Attribute.SENSITIVE: True,
            pkcs11.Attribute.PRIVATE: True,
        }
        with self._session(writes=True) as session:
            session.generate_key(
                pkcs11.KeyType.AES, 256, id=identity, label=self._key, store=True,
                template=template,
            )  # fmt: skip
        return identity.hex()

    def remove_older(self) -> int:
        """Destroy all keys with the label but the newest; return how many."""
        with self._session(writes=True) as session:
            *older, _ = self._keys(session)
            for key in older:
                key.destroy()
            return len(older)

    def _newest(self, session: pkcs11.Session) -> Any:
        keys = self._keys(session)
        if not keys:
            raise KeyVaultError(
                "wrapping_key_unavailable",
                Text(
                    "The PKCS#11 token {token} has no AES key with the label {key} and an id.",
                    token=self._token,
                    key=self._key,
                ),
                "Make one: secureflow keys rotate.",
            )
        return keys[-1]

    def _keys(self, session: pkcs11.Session) -> list[Any]:
        import pkcs11

        wanted = {
            pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY,
            pkcs11.Attribute.KEY_TYPE: pkcs11.KeyType.AES,
            pkcs11.Attribute.LABEL: self._key,
        }
        objects: list[Any] = list(session.get_objects(wanted))
        found = [one for one in objects if one.id]  # an envelope names its id
        return sorted(found, key=lambda one: bytes(one.id))

    def _opened(self, key: Any, envelope: Envelope) -> bytes:
        import pkcs11

        try:
            return bytes(key.decrypt(envelope.sealed, **_gcm(envelope)))
        except (pkcs11.PKCS11Error, ValueError) as error:
            raise changed(envelope) from error

    @contextlib.contextmanager
    def _session(self, *, writes: bool = False) -> Iterator[pkcs11.Session]:
        try:
            import pkcs11
        except ImportError as error:
            raise KeyVaultError(
                "wrapping_key_unavailable",
                "The Python package python-pkcs11 is not installed.",
                "Install it: pip install 'secureflow[pkcs11]'.",
            ) from error
        pin = self._pin()
        try:
            token = pkcs11.lib(str(self._module)).get_token(token_label=self._token)
            with token.open(rw=writes, user_pin=pin) as session:
                yield session
        except pkcs11.PKCS11Error as error:
            raise KeyVaultError(
                "wrapping_key_unavailable",
                Text(
                    "The PKCS#11 token {token} cannot be used: {reason}.",
                    token=self._token,
                    reason=type(error).__name__,
                ),
                _LOOK,
            ) from error


def _gcm(envelope: Envelope) -> dict[str, Any]:
    import pkcs11

    additional = replace(envelope, sealed=b"").additional
    return {
        "mechanism": pkcs11.Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(envelope.nonce, additional, _TAG_BITS),
    }

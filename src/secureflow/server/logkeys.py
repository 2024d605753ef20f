"""The log's signing keys on disk: the one in use, and the one that the members are asked to accept.

    log.key        the key that signs
    log.next.key   its successor, made by `secureflow server log-key`; nothing is signed by it yet

The database decides which of them signs: it names the key in the transaction in which the log
changes it. The successor then takes the place of the old key, which is gone from this machine; a
kill in between is made good at the next start.
"""

from __future__ import annotations

from pathlib import Path

from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.canonical import b64encode
from secureflow.kit.crypto import SigningKey, fingerprint
from secureflow.kit.disk import remove
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.keyfiles import LOG, LOG_NEXT
from secureflow.kit.logging import get_logger
from secureflow.kit.replaceablekey import ReplaceableKey
from secureflow.kit.text import Text
from secureflow.server.keyfiles import next_log_key, read_log_key
from secureflow.server.settings import ServerSettings

_log = get_logger(__name__)


class LogKeyFiles:
    """Implements the port `LogKeys` in a centre's folder.

    Raises:
        SecureFlowError: those of `read_log_key`.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._signing = ReplaceableKey.of(read_log_key(settings))

    @property
    def signing(self) -> SigningKey:
        """The key that signs."""
        return self._signing

    def successor(self) -> SigningKey | None:
        """Return the key that waits for the members' signatures, if there is one."""
        path = next_log_key(self._settings)
        try:
            return SigningKey.load(path, self._settings.key_files, LOG_NEXT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise SecureFlowError(
                "key_unreadable",
                Text("The log's next key {path} cannot be read.", path=path),
                "Check its owner and mode.",
            ) from error

    def find(self, public: str) -> SigningKey | None:
        """Return the key with this public key, as it is now: a later change leaves it alone."""
        if self._signing.public == public:
            return SigningKey(self._signing.private)
        found = self.successor()
        return found if found is not None and found.public == public else None

    def adopt(self, public: str) -> None:
        """Let the successor sign, and put it in the old key's place."""
        found = self.successor()
        if found is None or found.public != public:
            return
        self._signing.become(found)
        try:
            self._replace(found)
        except (OSError, SecureFlowError) as error:  # the next start does it: the database says so
            _log.error("log_key_not_replaced", reason=str(error))

    def _replace(self, key: SigningKey) -> None:
        path, files = self._settings.log_key, self._settings.key_files
        text = f"{b64encode(key.private.private_bytes_raw())}\n".encode("ascii")
        write_atomically(path, files.wrapped(text, LOG, fingerprint(key.public)))
        remove(next_log_key(self._settings))
        flush_directory(path.parent)


def make_next(settings: ServerSettings) -> SigningKey:
    """Return the successor of the log's key, made if there is none; the centre may run.

    Raises:
        SecureFlowError: those of `read_log_key`; `key_exposed`.
    """
    keys = LogKeyFiles(settings)
    found = keys.successor()
    if found is not None and found.public != keys.signing.public:
        return found
    path: Path = next_log_key(settings)
    remove(path)  # of a change that was killed after its last step but one
    made = SigningKey.generate()
    made.save(path, settings.key_files, LOG_NEXT)
    return made

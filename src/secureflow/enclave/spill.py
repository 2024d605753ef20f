"""Single updates on the enclave's disk for the length of a round, sealed again.

A sender knows the content key of its upload, and with the operator could put other chunks, validly
sealed, in the place of those that were checked. So what was checked is sealed anew, under a key
that this enclave draws for the round and never tells: whoever has the disk reads nothing, and what
they change is refused. AES-256-GCM; a nonce is (writing, chunk), used once under a key: what could
not be written whole is written again as another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from secureflow.engines.sealing.fold import Parameters
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.folderlock import scratch, temporary
from secureflow.kit.text import Text

VALUES: Final = 1 << 14
"""Values of a chunk: of each party one is held at a time."""
_TAG: Final = 16
_FOLDER: Final = ".secureflow-updates-"


class Spill:
    """The updates of one round, each in a file of its own.

    Args:
        size: values of an update.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._files: dict[str, tuple[int, IO[bytes]]] = {}
        self._writings = 0
        self._stack = ExitStack()
        self._key = b""

    def __len__(self) -> int:
        """Return how many updates there are."""
        return len(self._files)

    def add(self, party: str, parameters: Parameters) -> None:
        """Seal a checked update and write it.

        Args:
            party: whose it is; no second one of a party is taken.
            parameters: float32 (size,).

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`; the update is then not there.
        """
        if party in self._files or parameters.shape != (self._size,):
            raise AssertionError  # the fold came first
        place = Place(temporary(), "temporary files", "the enclave")
        with writing(place, 4 * self._size):
            if not self._key:
                self._open(place)
            self._writings += 1
            path = self._folder / str(self._writings)
            file = self._stack.enter_context(path.open("w+b", 0))
            for index, start in enumerate(range(0, self._size, VALUES)):
                block = np.asarray(parameters[start : start + VALUES], "<f4").tobytes()
                nonce = _nonce(self._writings, index)
                file.write(self._aead.encrypt(nonce, block, _aad(party)))
        self._files[party] = self._writings, file

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield each place and its values of all updates, in the order of the parties' names.

        Raises:
            SecureFlowError: `spill_forged` for a chunk that is not as it was written.
        """
        for index, start in enumerate(range(0, self._size, VALUES)):
            part = slice(start, min(start + VALUES, self._size))
            rows = [self._read(party, index, part) for party in sorted(self._files)]
            yield part, np.stack(rows)

    def clear(self) -> None:
        """Remove everything, and forget the key."""
        self._files.clear()
        self._key = b""
        self._stack.close()

    def _open(self, place: Place) -> None:
        self._folder = self._stack.enter_context(scratch(place.folder, _FOLDER))
        self._key = secrets.token_bytes(32)
        self._aead = AESGCM(self._key)

    def _read(self, party: str, index: int, part: slice) -> NDArray[np.float64]:
        length = 4 * (part.stop - part.start) + _TAG
        number, file = self._files[party]
        file.seek(index * (4 * VALUES + _TAG))
        sealed = file.read(length)
        try:
            clear = self._aead.decrypt(_nonce(number, index), sealed, _aad(party))
        except (InvalidTag, ValueError):
            raise SecureFlowError(
                "spill_forged",
                Text(
                    "What the enclave wrote of {party}'s update for this round was changed on "
                    "its disk.",
                    party=party,
                ),
                "Start the round again; see who can write to the enclave's temporary files.",
            ) from None
        return np.frombuffer(clear, "<f4").astype(np.float64)


def _nonce(number: int, index: int) -> bytes:
    return number.to_bytes(4, "big") + index.to_bytes(8, "big")


def _aad(party: str) -> bytes:
    return b"secureflow spill\n" + party.encode()

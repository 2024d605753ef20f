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
from pathlib import Path
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
        self._numbers: dict[str, int] = {}
        self._writings = 0
        self._stack = ExitStack()
        self._key = b""
        self._place = Place(temporary(), "temporary files", "the enclave")

    def __len__(self) -> int:
        """Return how many updates there are."""
        return len(self._numbers)

    def add(self, party: str, parameters: Parameters) -> None:
        """Seal a checked update and write it.

        Args:
            party: whose it is; no second one of a party is taken.
            parameters: float32 (size,).

        Raises:
            InfrastructureError: `disk_full`, `disk_failed`; the update is then not there.
        """
        if party in self._numbers or parameters.shape != (self._size,):
            raise AssertionError  # the fold came first
        with writing(self._place, 4 * self._size):
            if not self._key:
                self._open()
            self._writings += 1
            path = self._path(self._writings)
            try:
                with path.open("xb") as file:
                    self._write(file, party, parameters)
            except OSError:
                path.unlink(missing_ok=True)  # it holds no room that the next try needs
                raise
        self._numbers[party] = self._writings

    def _write(self, file: IO[bytes], party: str, parameters: Parameters) -> None:
        for index, start in enumerate(range(0, self._size, VALUES)):
            block = np.asarray(parameters[start : start + VALUES], "<f4").tobytes()
            nonce = _nonce(self._writings, index)
            file.write(self._aead.encrypt(nonce, block, _aad(party)))

    def blocks(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield each place and its values of all updates, in the order of the parties' names.

        Raises:
            SecureFlowError: `spill_forged` for a chunk that is not as it was written.
        """
        with ExitStack() as stack:
            files = [
                (party, number, stack.enter_context(self._opened(party, number)))
                for party, number in sorted(self._numbers.items())
            ]
            for index, start in enumerate(range(0, self._size, VALUES)):
                part = slice(start, min(start + VALUES, self._size))
                rows = [self._read(one, index, part.stop - part.start) for one in files]
                yield part, np.stack(rows)

    def clear(self) -> None:
        """Remove everything, and forget the key."""
        self._numbers.clear()
        self._key = b""
        self._stack.close()

    def _open(self) -> None:
        self._folder = self._stack.enter_context(scratch(self._place.folder, _FOLDER))
        self._key = secrets.token_bytes(32)
        self._aead = AESGCM(self._key)

    def _path(self, number: int) -> Path:
        return self._folder / str(number)

    def _opened(self, party: str, number: int) -> IO[bytes]:
        try:
            with writing(self._place):
                return self._path(number).open("rb")
        except FileNotFoundError:
            raise _forged(party) from None

    def _read(
        self, one: tuple[str, int, IO[bytes]], index: int, length: int
    ) -> NDArray[np.float64]:
        party, number, file = one
        with writing(self._place):
            sealed = file.read(4 * length + _TAG)
        try:
            clear = self._aead.decrypt(_nonce(number, index), sealed, _aad(party))
        except (InvalidTag, ValueError):
            raise _forged(party) from None
        return np.frombuffer(clear, "<f4").astype(np.float64)


def _forged(party: str) -> SecureFlowError:
    return SecureFlowError(
        "spill_forged",
        Text(
            "What the enclave wrote of {party}'s update for this round was changed on its disk.",
            party=party,
        ),
        "See who can write to the enclave's temporary files, then run the job again.",
    )


def _nonce(number: int, index: int) -> bytes:
    return number.to_bytes(4, "big") + index.to_bytes(8, "big")


def _aad(party: str) -> bytes:
    return b"secureflow spill\n" + party.encode()

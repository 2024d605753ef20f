"""Updates on the enclave's disk: unreadable, refused when changed, gone with the round."""

from __future__ import annotations

import errno
import gc
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from secureflow.enclave.spill import VALUES, Spill
from secureflow.kit.errors import InfrastructureError, SecureFlowError

SIZE = 2 * VALUES + 100
CHUNK = 4 * VALUES + 16
PARTIES = ("bank-a", "bank-b", "bank-c")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def updates() -> dict[str, NDArray[np.float32]]:
    draws = np.random.default_rng(3)
    return {party: draws.normal(size=SIZE).astype(np.float32) for party in PARTIES}


def filled(given: dict[str, NDArray[np.float32]]) -> Spill:
    spill = Spill(SIZE)
    for party in reversed(PARTIES):  # in whatever order they come
        spill.add(party, given[party])
    return spill


def files(folder: Path) -> list[Path]:
    """Return what lies on the disk, in the order in which it was written."""
    return sorted(folder.glob(".secureflow-updates-*/*"), key=lambda one: int(one.name))


def swap_chunks(one: Path, first: int, other: Path, second: int) -> None:
    """Exchange two chunks of the same length."""
    a, b = bytearray(one.read_bytes()), bytearray(other.read_bytes())
    x, y = slice(first * CHUNK, (first + 1) * CHUNK), slice(second * CHUNK, (second + 1) * CHUNK)
    if one == other:
        a[x], a[y] = a[y], a[x]
        one.write_bytes(a)
        return
    a[x], b[y] = b[y], a[x]
    one.write_bytes(a)
    other.write_bytes(b)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[CHUNK + 5] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_what_was_written_is_read_by_blocks_and_again(folder: Path) -> None:
    given = updates()
    spill = filled(given)
    assert len(spill) == 3
    for _ in range(2):
        seen = [(part, block.copy()) for part, block in spill.blocks()]
        assert [part.stop - part.start for part, _ in seen] == [VALUES, VALUES, 100]
        whole = np.concatenate([block for _, block in seen], axis=1)
        np.testing.assert_array_equal(whole, np.stack([given[party] for party in PARTIES]))
    assert len(files(folder)) == 3


def test_no_clear_byte_lies_on_the_disk(folder: Path) -> None:
    given = updates()
    spill = filled(given)
    content = b"".join(path.read_bytes() for path in files(folder))
    assert len(content) == 3 * (4 * SIZE + 3 * 16)
    for parameters in given.values():
        clear = parameters.tobytes()
        assert not any(clear[at : at + 8] in content for at in range(0, len(clear), 4001))
    assert len(spill) == 3
    (place,) = {path.parent for path in files(folder)}
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "change",
    [
        lambda paths: swap_chunks(paths[0], 0, paths[1], 0),
        lambda paths: swap_chunks(paths[0], 0, paths[0], 1),
        lambda paths: flip(paths[2]),
        lambda paths: cut(paths[1]),
        lambda paths: paths[0].write_bytes(paths[1].read_bytes()),
        lambda paths: paths[2].write_bytes(b""),
        lambda paths: paths[1].unlink(),
        lambda paths: (paths[1].unlink(), paths[1].mkdir()),
    ],
    ids=[
        *("of two parties", "of one party", "a bit", "the end", "another's", "all of it", "gone"),
        "a folder",
    ],
)
def test_what_was_changed_between_two_readings_is_refused(
    folder: Path, change: Callable[[list[Path]], None]
) -> None:
    spill = filled(updates())
    list(spill.blocks())
    change(files(folder))
    with pytest.raises(SecureFlowError) as refused:
        list(spill.blocks())
    assert refused.value.code == "spill_forged"
    assert any(party in refused.value.message for party in PARTIES)


def test_no_nonce_is_used_twice_and_each_chunk_names_its_party(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chunks under one nonce would show the difference of two updates."""
    used: list[tuple[bytes, bytes, bytes]] = []

    class Noted:
        def __init__(self, key: bytes) -> None:
            self._key, self._inner = key, AESGCM(key)

        def encrypt(self, nonce: bytes, data: bytes, aad: bytes) -> bytes:
            used.append((self._key, nonce, aad))
            return self._inner.encrypt(nonce, data, aad)

    monkeypatch.setattr("secureflow.enclave.spill.AESGCM", Noted)
    spill = filled(updates())
    spill.clear()
    for party in PARTIES:
        spill.add(party, updates()[party])
    assert len(used) == 2 * 3 * 3
    assert len({(key, nonce) for key, nonce, _ in used}) == len(used)
    assert len({key for key, _, _ in used}) == 2
    for party in PARTIES:
        assert sum(aad.endswith(b"\n" + party.encode()) for _, _, aad in used) == 2 * 3
    assert files(folder)


def test_chunks_of_another_round_are_refused(folder: Path) -> None:
    """An operator keeps what lay there and puts it back in the next round."""
    given = updates()
    spill = filled(given)
    kept = [path.read_bytes() for path in files(folder)]
    spill.clear()
    assert not list(folder.iterdir())
    for party in reversed(PARTIES):
        spill.add(party, given[party])
    for path, old in zip(files(folder), kept, strict=True):
        assert path.read_bytes() != old
        path.write_bytes(old)
    with pytest.raises(SecureFlowError, match="was changed"):
        list(spill.blocks())


def test_with_the_round_nothing_is_left_that_holds_its_key(folder: Path) -> None:
    """Whoever kept copies of the files must not read them in a later memory of this enclave."""
    spill = filled(updates())
    key = spill._key
    assert key in gc.get_referents(spill.__dict__)
    spill.clear()
    held = gc.get_referents(spill.__dict__)
    assert not any(one == key or isinstance(one, AESGCM) for one in held)
    spill.clear()
    assert not list(folder.iterdir())


def test_a_full_disk_leaves_no_half_of_an_update(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = updates()
    spill = Spill(SIZE)
    spill.add("bank-a", given["bank-a"])
    first = Spill._write

    def full(self: Spill, file: IO[bytes], party: str, parameters: NDArray[np.float32]) -> None:
        class Full:
            def __init__(self) -> None:
                self.left = 1

            def write(self, data: bytes) -> int:
                if not self.left:
                    raise OSError(errno.ENOSPC, "No space left on device")
                self.left -= 1
                return file.write(data)

        first(self, Full(), party, parameters)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Spill, "_write", full)
        with pytest.raises(InfrastructureError) as waits:
            spill.add("bank-b", given["bank-b"])
    assert waits.value.code == "disk_full"
    assert len(spill) == 1
    assert len(files(folder)) == 1
    spill.add("bank-b", given["bank-b"])
    whole = np.concatenate([block for _, block in spill.blocks()], axis=1)
    np.testing.assert_array_equal(whole[1], given["bank-b"])


def test_a_second_update_of_a_party_is_a_fault_of_the_program(folder: Path) -> None:
    spill = filled(updates())
    with pytest.raises(AssertionError):
        spill.add("bank-a", updates()["bank-a"])
    assert folder.is_dir()

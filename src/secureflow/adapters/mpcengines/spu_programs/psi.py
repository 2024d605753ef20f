"""Private set intersection of two parties' keys.

Who receives learns which of its own keys the other party has too; who does not, learns the length
of the other's list. Both receive: both learn the intersection, and their results are in the same
order, so that the n-th row of one belongs to the n-th row of the other.

Input `keys`: 16 bytes a key, distinct (`buckets`). Output `matches`: a NumPy file of int64, the
places of the matching keys in the party's own file, from 0.

Parameters: `bucket`, keys of the longest list in one bucket (a million); `low_communication`:
RR22 sends a third less and computes a third more; `counts`, how many keys each party committed to,
by place. A peer that says another number ends the run before SPU starts. That it puts no more in is
its engine's word: SPU does not tell how many keys of others it ran over.

RR22 (Raghuraman, Rindal 2022: VOLE and an OKVS), KKRT (Kolesnikov, Kumaresan, Rosulek, Trieu 2016:
OT extension) and ECDH over Curve25519, as SPU runs them.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np

from .buckets import Bucket, Bucketing, Bytes, Rows, read_csv, read_keys, write_csv
from .errors import RefusedError
from .link import exchange
from .party import Done, Part, Tell
from .sizes import BUCKET, LEAST, MAX_KEYS

PROTOCOLS: Final = ("RR22", "KKRT", "ECDH")
_INNER: Final = 1 << 22
"""Keys of SPU's own buckets, which would tell their sizes: more than a bucket of ours has."""
_TRACES: Final = "psi_*.trace"
"""What SPU leaves in the folder for temporary files, one for each run."""


def run(part: Part, link: Any, tell: Tell) -> Done:
    """Intersect; see the module."""
    tell("inputs", 0.0)
    keys = read_keys(part.inputs["keys"])
    sizes = _sizes(link, len(keys))
    _check_counts(part, sizes)
    cut = Bucketing.of(part.job, sizes, _most(part.parameters))
    rows = cut.sort(keys)
    kept = _Kept(part, sizes, keys, cut.count)
    finished = _finished(link, kept, cut.count)
    tell("inputs", 1.0)
    for number in range(cut.count):
        tell("compute", number / cut.count)
        if number not in finished:
            room = cut.room(len(keys))
            kept.add(number, _intersect(part, link, keys, rows[number], room))
            _give_back()
    tell("outputs", 0.0)
    theirs = sizes[1 - part.number]
    done = Done({"keys": len(keys), "theirs": theirs, "buckets": cut.count, "kept": len(finished)})
    if part.learns:
        np.save(part.folder / "matches.npy", kept.all(cut.count))
        done.outputs["matches"] = part.folder / "matches.npy"
    return done


def _most(parameters: Mapping[str, Any]) -> int:
    """Return how many keys a bucket of the longest list has."""
    told = parameters.get("bucket", BUCKET)
    if type(told) is not int or not LEAST <= told <= BUCKET:
        raise RefusedError("parameter_wrong")
    return told


def _sizes(link: Any, mine: int) -> list[int]:
    sizes = [one.get("size") for one in exchange(link, {"size": mine})]
    for place, size in enumerate(sizes):
        if type(size) is not int or not 0 <= size <= MAX_KEYS:
            raise RefusedError("peer_malformed", peer=place)
    return [int(size) for size in sizes if size is not None]


def _check_counts(part: Part, sizes: list[int]) -> None:
    """Refuse to run with another number of keys than a party committed to."""
    counts = part.parameters.get("counts")
    if counts is None or counts == sizes:
        return
    if not isinstance(counts, list) or counts[part.number : part.number + 1] != [
        sizes[part.number]
    ]:
        raise RefusedError("parameter_wrong")
    raise RefusedError("peer_count", peer=1 - part.number)


def _finished(link: Any, kept: _Kept, count: int) -> set[int]:
    """Return the buckets that every party has behind it: nobody need run those again."""
    told = exchange(link, {"buckets": sorted(kept.numbers)})
    common = set(range(count))
    for place, one in enumerate(told):
        numbers = one.get("buckets")
        if not isinstance(numbers, list) or any(type(number) is not int for number in numbers):
            raise RefusedError("peer_malformed", peer=place)
        common &= set(numbers)
    return common


class _Kept:
    """Results of buckets. The agent keeps those of a job in several buckets for the next attempt.

    What was kept is taken up for the same lists, parties and protocol alone: its name says which.
    """

    def __init__(self, part: Part, sizes: list[int], keys: Bytes, count: int) -> None:
        bound = [part.job, part.protocol, part.number, list(part.receivers), sizes]
        told = json.dumps([bound, sha256(np.ravel(keys).data).hexdigest()])
        self._name = f"bucket-{sha256(told.encode()).hexdigest()[:32]}-"
        self._part, self._many = part, count > 1
        self._files = {
            int(name.removeprefix(self._name)): path
            for name, path in part.kept.items()
            if name.startswith(self._name) and name.removeprefix(self._name).isdigit()
        }

    @property
    def numbers(self) -> set[int]:
        """The buckets that this party has behind it."""
        return set(self._files)

    def add(self, number: int, rows: Rows) -> None:
        """Keep a bucket's result."""
        path = self._part.folder / f"{number}.npy"
        np.save(path, rows)
        self._files[number] = path
        name = f"{self._name}{number}"
        if self._many and name not in self._part.kept:
            self._part.keep(name, path)

    def all(self, count: int) -> Rows:
        """Return the results of all buckets, one after the other."""
        return np.concatenate(
            [np.load(self._files[number], allow_pickle=False) for number in range(count)]
        )


def _intersect(part: Part, link: Any, keys: Bytes, rows: Rows, room: int) -> Rows:
    """Run the protocol once, over one bucket, in a folder of its own that is removed.

    SPU sorts its files by a shell command that names them as they are: by relative names alone.
    """
    from spu import psi

    before = _traces()
    folder = Path(tempfile.mkdtemp(dir=".")).name
    given, found = Path(folder, "keys.csv"), Path(folder, "found.csv")
    bucket = Bucket(keys, rows)
    write_csv(given, bucket.filled(room))
    os.environ["TMPDIR"] = folder
    try:
        psi.psi_execute(_config(part, psi, str(given), str(found)), link)
        return bucket.rows_of(read_csv(found)) if part.learns else np.zeros(0, np.int64)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for trace in _traces() - before:
            with contextlib.suppress(OSError):
                trace.unlink()


def _give_back() -> None:
    """Return to the system what a bucket left free: it would add up over many (glibc)."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _config(part: Part, psi: Any, given: str, found: str) -> Any:
    return psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=psi.parse_protocol(f"PROTOCOL_{part.protocol}"),
            receiver_rank=part.receivers[0],
            bucket_size=_INNER,
            broadcast_result=len(part.receivers) > 1,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
            rr22_params=psi.Rr22Rarams(
                low_comm_mode=bool(part.parameters.get("low_communication", False))
            ),
        ),
        input_params=psi.InputParams(path=given, selected_keys=["k"], keys_unique=True),
        output_params=psi.OutputParams(
            path=found, disable_alignment=True
        ),  # `Bucket.rows_of` orders them
        join_conf=psi.ResultJoinConfig(
            type=psi.ResultJoinType.JOIN_TYPE_INNER_JOIN, left_side_rank=part.receivers[0]
        ),
    )


def _traces() -> set[Path]:
    return set(Path("/tmp").glob(_TRACES))  # noqa: S108 - SPU writes there, whatever TMPDIR says

"""Computing on shares: each party shares its inputs, all run one function, receivers learn its end.

The function is traced by JAX with the shapes alone and compiled for SPU; the parties compare what
came of it before a row is shared. Nothing is revealed but the function's results, and those by
sending the shares of each to the receivers alone.

Numbers are kept in the ring of integers modulo 2^64; fractions have 18 bits. Truncation is SPU's
probabilistic one, right to the last bit where |x| < 2^62.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from . import auction, correlation, logistic, ranking
from .errors import RefusedError
from .link import exchange
from .party import Done, Part, Tell
from .sizes import MAX_ELEMENTS
from .whole import FRACTION_BITS

PROTOCOLS: Final = {"ABY3": 3, "CHEETAH": 2}
"""Protocol → parties."""
_COUNT: Final = 8
"""Bytes of a length."""

Array = NDArray[Any]
Shapes = Sequence[Mapping[str, tuple[int, ...]]]
"""By place: name of an input → its shape."""


class Program(Protocol):
    """What `run` needs of a program: a module of this folder."""

    INPUTS: Mapping[str, int]
    """Name → number of axes. A party may have none of them."""

    def prepare(
        self, inputs: Mapping[str, Array], parameters: Mapping[str, Any]
    ) -> dict[str, Array]:
        """Return what a party shares of its inputs, or refuse them."""

    def slots(self, shapes: Shapes, parameters: Mapping[str, Any]) -> list[tuple[int, str]]:
        """Return (place, name) of the function's arguments in order, or refuse the shapes."""

    def function(
        self, xp: Any, shapes: Shapes, parameters: Mapping[str, Any]
    ) -> Callable[..., tuple[Any, ...]]:
        """Return what is computed, over `xp`: `jax.numpy`, or NumPy in tests."""

    def finish(
        self, results: Sequence[Array], shapes: Shapes, parameters: Mapping[str, Any]
    ) -> dict[str, Array]:
        """Return the outputs of a receiver: name → array."""


CATALOGUE: Final[Mapping[str, Any]] = {
    "ranking": ranking,
    "sealed-bid": auction,
    "correlation": correlation,
    "logistic": logistic,
}


def run(part: Part, link: Any, tell: Tell) -> Done:
    """Compute a program of the catalogue; see the module."""
    program: Program = CATALOGUE[part.program]
    tell("inputs", 0.0)
    own, refused = _own(program, part)
    shapes = _agree(link, own, refused)
    slots = program.slots(shapes, part.parameters)
    kinds = [own[name] if place == part.number else None for place, name in slots]
    machine = Machine(part, link)
    compiled = machine.compile(
        program.function(_numpy_of_jax(), shapes, part.parameters),
        [(shapes[place][name], _kind(program)) for place, name in slots],
    )
    for position, ((place, _), array) in enumerate(zip(slots, kinds, strict=True)):
        tell("inputs", position / len(slots))
        machine.share(f"in{position}", place, array)
    tell("compute", 0.0)
    machine.runtime.run(compiled)
    tell("outputs", 0.0)
    results = [machine.reveal(name) for name in compiled_names(compiled)]
    done = Done({"rows": max((shape[0] for one in shapes for shape in one.values()), default=0)})
    if part.learns:
        for name, array in program.finish(results, shapes, part.parameters).items():
            done.outputs[name] = part.folder / f"{name}.npy"
            np.save(done.outputs[name], array)
    return done


def _own(program: Program, part: Part) -> tuple[dict[str, Array], RefusedError | None]:
    """Return what this party shares, or why it cannot, which the others are told."""
    try:
        return prepared(program, part.inputs, part.parameters), None
    except RefusedError as refused:
        return {}, refused


def prepared(
    program: Program, inputs: Mapping[str, Path], parameters: Mapping[str, Any]
) -> dict[str, Array]:
    """Return what a party shares of the files of its inputs.

    Raises:
        RefusedError: the program does not take them.
    """
    if set(inputs) - set(program.INPUTS):
        raise RefusedError("input_malformed")
    read = {name: _read(path, program.INPUTS[name]) for name, path in inputs.items()}
    return program.prepare(read, parameters)


def _read(path: Path, axes: int) -> Array:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RefusedError("input_malformed") from error
    if array.ndim != axes or array.dtype not in {np.dtype("<f8"), np.dtype("<i8")}:
        raise RefusedError("input_malformed")
    if not 0 < array.size <= MAX_ELEMENTS:
        raise RefusedError("input_size", numbers=int(array.size))
    found: Array = array
    return found


def _agree(link: Any, own: Mapping[str, Array], refused: RefusedError | None) -> Shapes:
    """Return the shapes of everybody's inputs; who cannot go on ends it for all."""
    mine = {name: list(array.shape) for name, array in own.items()}
    told = exchange(link, {"shapes": mine, "refused": refused is not None})
    if refused is not None:
        raise refused
    for place, one in enumerate(told):
        if one.get("refused"):
            raise RefusedError("peer_refused", peer=place)
    return [_shapes(one.get("shapes"), place) for place, one in enumerate(told)]


def _shapes(told: Any, place: int) -> dict[str, tuple[int, ...]]:
    if not isinstance(told, dict) or len(told) > 8:
        raise RefusedError("peer_malformed", peer=place)
    for shape in told.values():
        good = isinstance(shape, list) and 0 < len(shape) <= 2
        if not good or any(type(one) is not int or not 0 < one <= MAX_ELEMENTS for one in shape):
            raise RefusedError("peer_malformed", peer=place)
        if np.prod(shape, dtype=float) > MAX_ELEMENTS:
            raise RefusedError("peer_malformed", peer=place)
    return {str(name): tuple(shape) for name, shape in told.items()}


def _kind(program: Program) -> type[np.generic]:
    return np.int64 if getattr(program, "WHOLE", False) else np.float64


def _numpy_of_jax() -> Any:
    """Return `jax.numpy`, with 64 bits, on processors."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    jax.config.update("jax_enable_x64", True)
    return jax.numpy


class Machine:
    """SPU's runtime at this party, and how shares go among the parties."""

    def __init__(self, part: Part, link: Any) -> None:
        import spu
        from spu import libspu

        if PROTOCOLS.get(part.protocol) != part.parties:
            raise RefusedError("parties_wrong")
        config = libspu.RuntimeConfig(
            protocol=getattr(libspu.ProtocolKind, part.protocol),
            field=libspu.FieldType.FM64,
            fxp_fraction_bits=FRACTION_BITS,
        )
        self._spu, self._part, self._link = libspu, part, link
        self.runtime = spu.Runtime(link, config)
        self._io = spu.Io(part.parties, config)

    def compile(
        self, function: Callable[..., Any], arguments: Sequence[tuple[tuple[int, ...], Any]]
    ) -> Any:
        """Return the compiled function, the same at every party.

        Raises:
            RefusedError: `program_mismatch`.
        """
        import jax
        from spu.utils import frontend

        given = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in arguments]
        names = [f"in{number}" for number in range(len(given))]
        secret = [self._spu.Visibility.VIS_SECRET] * len(given)
        compiled, _ = frontend.compile(
            frontend.Kind.JAX, function, given, {}, names, secret, _names_of
        )
        made = sha256(_bytes(compiled.code)).hexdigest()
        for place, theirs in enumerate(exchange(self._link, {"compiled": made})):
            if theirs.get("compiled") != made:
                raise RefusedError("program_mismatch", peer=place)
        return compiled

    def share(self, name: str, owner: int, array: Array | None) -> None:
        """Put an input into the runtime; its owner has it and sends everybody a share."""
        if array is not None:
            secret = self._spu.Visibility.VIS_SECRET
            shares = self._io.make_shares(np.ascontiguousarray(array), secret)
            for place in range(self._part.parties):
                if place != owner:
                    self._link.send(place, _packed(shares[place]))
            self.runtime.set_var(name, shares[owner])
        else:
            self.runtime.set_var(name, self._unpacked(self._link.recv(owner)))

    def reveal(self, name: str) -> Array:
        """Return a result at a receiver; elsewhere an empty array, after sending its share."""
        if self.runtime.get_var_meta(name).visibility != self._spu.Visibility.VIS_SECRET:
            raise RefusedError("result_public")
        mine = self.runtime.get_var(name)
        part, found = self._part, np.zeros(0)
        for receiver in part.receivers:
            if receiver != part.number:
                self._link.send(receiver, _packed(mine))
            else:
                shares = [
                    mine if place == part.number else self._unpacked(self._link.recv(place))
                    for place in range(part.parties)
                ]
                found = np.asarray(self._io.reconstruct(shares))
        return found

    def _unpacked(self, packed: bytes) -> Any:
        parts = []
        while packed:
            size = int.from_bytes(packed[:_COUNT], "big")
            parts.append(packed[_COUNT : _COUNT + size])
            packed = packed[_COUNT + size :]
        share = self._spu.Share()
        share.meta, share.share_chunks = parts[0], parts[1:]
        return share


def _packed(share: Any) -> bytes:
    parts = [share.meta, *share.share_chunks]
    return b"".join(len(one).to_bytes(_COUNT, "big") + one for one in parts)


def _bytes(code: str | bytes) -> bytes:
    return code if isinstance(code, bytes) else code.encode()


def _names_of(results: Sequence[Any]) -> list[str]:
    return [f"out{number}" for number in range(len(results))]


def compiled_names(compiled: Any) -> list[str]:
    """Return the names of a compiled function's results, in order."""
    return list(compiled.output_names)

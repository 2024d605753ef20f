"""A bundle in this very process: for the people who wrote it, before anybody is asked.

The same class is called in the same way as at an owner (`host`), and what it returns must be the
same. But there is no sandbox here, no environment but this interpreter's, and errors say everything
that they know: it is one's own code and one's own data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.bundles.host import Host, Refused, imported
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Tensors = Mapping[str, NDArray[Any]]
Layout = Sequence[tuple[str, str, Sequence[int]]]
"""Name, dtype and shape of each tensor, in the order in which they travel."""

_T = TypeVar("_T")

_BY_CODE: Final = frozenset({"raised", "memory", "wrong", "data"})
"""Kinds of failure of a method that was called; the others keep it from being called."""


class LocalBundle:
    """One object of a bundle's class.

    Args:
        made: the class, of `local_class`.
        settings: what it is made with.
        seed: likewise.
        layout: of the model's tensors; empty before they are known.

    Raises:
        SecureFlowError: `bundle_unusable`, `bundle_failed`, from every method too.
    """

    def __init__(
        self, made: Any, settings: Mapping[str, Any], seed: int, layout: Layout = ()
    ) -> None:
        self._host = Host()
        self._layout = [(name, dtype, list(shape)) for name, dtype, shape in layout]
        plain = {name: list(one) if isinstance(one, tuple) else one
                 for name, one in settings.items()}  # fmt: skip
        told(lambda: self._host.make(made, plain, seed, self._layout))

    def initial(self) -> dict[str, NDArray[Any]]:
        """Return the tensors that training begins with."""
        found, tensors = told(lambda: self._host.answer("initial", {}, bytearray()))
        names = [name for name, _, _ in found["tensors"]]
        return dict(zip(names, tensors, strict=True))

    def prepare(self, rows: Path) -> None:
        """Hand over a file of rows (`adapters.frameworks.rows`)."""
        told(lambda: self._host.answer("prepare", {"rows": str(rows)}, bytearray()))

    def train(self, weights: Tensors, number: int) -> dict[str, NDArray[Any]]:
        """Return the tensors after a round, in the layout."""
        asked = {"round": number}
        _, tensors = told(lambda: self._host.answer("train", asked, self._octets(weights)))
        names = [one[0] for one in self._layout]
        return dict(zip(names, tensors, strict=True))

    def evaluate(self, weights: Tensors) -> dict[str, float]:
        """Return the sums over the validation rows."""
        found, _ = told(lambda: self._host.answer("evaluate", {}, self._octets(weights)))
        sums: dict[str, float] = found["sums"]
        return sums

    def _octets(self, weights: Tensors) -> bytearray:
        parts = bytearray()
        for name, dtype, _ in self._layout:
            kind = np.dtype(dtype).newbyteorder("<")
            parts += np.ascontiguousarray(weights[name], kind).tobytes()
        return parts


@contextmanager
def local_class(folder: Path, entry: str) -> Iterator[Any]:
    """Import a bundle's class; afterwards its modules are forgotten, so that the next is read anew.

    Raises:
        SecureFlowError: `bundle_unusable`, `bundle_failed`.
    """
    before = set(sys.modules)
    try:
        yield told(lambda: imported(str(folder), entry))
    finally:
        sys.path[:] = [one for one in sys.path if one != str(folder)]
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(folder):
                del sys.modules[name]


def told(call: Callable[[], _T]) -> _T:
    """Return what a call returns; turn what code raises into an error that shows it."""
    try:
        return call()
    except Refused as error:
        code = "bundle_failed" if error.kind in _BY_CODE else "bundle_unusable"
        reason = str(error.__cause__ or error)
        raise _error(code, reason) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also when the code calls exit()
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = "" if place is None else f" ({Path(place.tb_frame.f_code.co_filename).name}, "
        line = "" if place is None else f"{place.tb_lineno})"
        raise _error("bundle_failed", f"{type(error).__name__}: {error}{where}{line}") from error


def _error(code: str, reason: str) -> SecureFlowError:
    return SecureFlowError(
        code,
        Text("The bundle failed here: {reason}.", reason=reason[:1000].rstrip(".")),
        "Correct it; docs/bundles.md says what each method is given and returns.",
    )

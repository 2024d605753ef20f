"""A bundle in this very process: for the people who wrote it, before anybody is asked.

The same class is called in the same way as at an owner (`host`), and what it returns must be the
same. But there is no sandbox here, no environment but this interpreter's, and errors say everything
that they know: it is one's own code and one's own data.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.bundles.host import Host, Refused, imported
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, without_stop

Tensors = Mapping[str, NDArray[Any]]
Layout = Sequence[tuple[str, str, Sequence[int]]]
"""Name, dtype and shape of each tensor, in the order in which they travel."""

_T = TypeVar("_T")

_BY_CODE: Final = frozenset({"raised", "memory", "wrong", "data"})
"""Kinds of failure of a method that was called; the others keep it from being called."""
_HINT: Final = "Correct it; docs/bundles.md says what each method is given and returns."


class LocalBundle:
    """One object of a bundle's class.

    Args:
        made: the class, of `LocalModules.load`.
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


class LocalModules:
    """A bundle's modules as one process of an owner has them, apart from those of the next.

    What they keep in their globals no other party's code sees; libraries are shared.

    Args:
        folder: of the bundle, resolved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._own: dict[str, ModuleType] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have the bundle's modules be these in the block, in which all of its code runs.

        What else was imported of the folder is put aside meanwhile. No bytecode is written into it.
        What the code prints goes to stderr, as at an owner: stdout is the caller's.
        """
        path, bytecode = list(sys.path), sys.dont_write_bytecode
        aside = _forget(self._folder)
        sys.dont_write_bytecode = True
        if self._own:
            sys.modules.update(self._own)
            sys.path.append(str(self._folder))  # for what a method imports when it is called
        else:
            importlib.invalidate_caches()
        try:
            with redirect_stdout(sys.stderr):
                yield
        finally:
            self._own = _forget(self._folder)
            sys.modules.update(aside)
            sys.path[:], sys.dont_write_bytecode = path, bytecode

    def load(self, entry: str) -> Any:
        """Import the class of an entry point, in a block of `used`.

        Raises:
            SecureFlowError: `bundle_unusable`, `bundle_failed`.
        """
        return told(lambda: imported(str(self._folder), entry))


def _forget(folder: Path) -> dict[str, ModuleType]:
    """Remove what was imported of a folder, also packages without a file, and return it."""
    found, within = {}, f"{folder}{os.sep}"
    for name, module in list(sys.modules.items()):
        own = vars(module)  # some modules warn of every name that is asked for
        places = [own.get("__file__"), *own.get("__path__", ())]
        if any(isinstance(one, str) and one.startswith(within) for one in places):
            found[name] = sys.modules.pop(name)
    return found


def told(call: Callable[[], _T]) -> _T:
    """Return what a call returns; turn what code raises into an error that shows it."""
    try:
        return call()
    except Refused as error:
        code = "bundle_failed" if error.kind in _BY_CODE else "bundle_unusable"
        raise _error(code, _reason(error), Text.of_table(error.hint, error.facts)) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also when the code calls exit()
        reason = f"{type(error).__name__}: {error}".rstrip(": ")[:1000].rstrip(".")
        raise _error("bundle_failed", _placed(reason, error)) from error


def _reason(error: Refused) -> str:
    cause = error.__cause__
    if isinstance(cause, SyntaxError):
        name, line = Path(cause.filename or "").name, cause.lineno or 0
        return Text("{error} ({file}, line {line})", error=cause.msg, file=name, line=line)
    return Text.of_table(error.reason, error.facts)


def _placed(reason: str, error: BaseException) -> str:
    """Add the line of the bundle that an error comes from, not the one of a library below it."""
    libraries = (sys.prefix, sys.base_prefix, str(Path(__file__).parents[2]), "<")
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if not one.filename.startswith(libraries)]
    if not own:
        return reason
    name, line = Path(own[-1].filename).name, own[-1].lineno
    return Text("{error} ({file}, line {line})", error=reason, file=name, line=line)


def _error(code: str, reason: str, hint: str = "") -> SecureFlowError:
    return SecureFlowError(
        code, Text("The bundle failed here: {reason}.", reason=without_stop(reason)), hint or _HINT
    )

"""A bundle in this very process: for the people who wrote it, before anybody is asked.

The same class is called in the same way as at an owner (`host`), and what it returns must be the
same. But there is no sandbox here, no environment but this interpreter's, and errors say everything
that they know: it is one's own code and one's own data. The method that failed is named, and a note
of the error is the traceback of the bundle's own lines.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import PathEntryFinder
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from secureflow.engines.bundles.host import Host, Refused, imported
from secureflow.engines.bundles.speaking import Warned, heard
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, without_stop

Tensors = Mapping[str, NDArray[Any]]
Layout = Sequence[tuple[str, str, Sequence[int]]]
"""Name, dtype and shape of each tensor, in the order in which they travel."""

_T = TypeVar("_T")

_CODES: Final = {
    **dict.fromkeys(("raised", "memory", "wrong", "data"), "bundle_failed"),
    "output": "bundle_output_refused",
}
"""The error codes of a method that was called; other failures keep it from being called."""
_HINT: Final = "Correct it; docs/bundles.md says what each method is given and returns."
_NOT_FINITE: Final = "A division by zero does that, log(0), or a rate of learning that is too high."
_LONGEST: Final = 20_000


class LocalBundle:
    """One object of a bundle's class.

    Args:
        made: the class.
        folder: of the bundle, resolved.
        settings: what it is made with.
        seed: likewise.
        layout: of the model's tensors; empty before they are known.
        predicts: whether it is asked to predict, and for nothing else.

    Raises:
        SecureFlowError: `bundle_unusable`, `bundle_failed`, from every method too.
    """

    def __init__(
        self,
        made: Any,
        folder: Path,
        settings: Mapping[str, Any],
        seed: int,
        layout: Layout = (),
        *,
        predicts: bool = False,
    ) -> None:
        self._host, self._folder = Host(), folder
        self._layout = [(name, dtype, list(shape)) for name, dtype, shape in layout]
        plain = {name: list(one) if isinstance(one, tuple) else one
                 for name, one in settings.items()}  # fmt: skip
        given = made, plain, seed, self._layout
        self._told("__init__", lambda: self._host.make(*given, predicts=predicts))

    def initial(self) -> dict[str, NDArray[Any]]:
        """Return the tensors that training begins with."""

        def called() -> dict[str, NDArray[Any]]:
            found, tensors = self._host.answer("initial", {}, bytearray())
            return _finite([name for name, _, _ in found["tensors"]], tensors)

        return self._told("initial", called)

    def prepare(self, rows: Path) -> None:
        """Hand over a file of rows (`adapters.frameworks.rows`)."""
        asked = {"rows": str(rows)}
        self._told("prepare", lambda: self._host.answer("prepare", asked, bytearray()))

    def train(self, weights: Tensors, number: int) -> dict[str, NDArray[Any]]:
        """Return the tensors after a round, in the layout."""

        def called() -> dict[str, NDArray[Any]]:
            asked = {"round": number}
            _, tensors = self._host.answer("train", asked, self._octets(weights))
            return _finite([one[0] for one in self._layout], tensors)

        return self._told("train", called)

    def evaluate(self, weights: Tensors) -> dict[str, float]:
        """Return the sums over the validation rows."""

        def called() -> dict[str, float]:
            found, _ = self._host.answer("evaluate", {}, self._octets(weights))
            return dict(found["sums"])

        return self._told("evaluate", called)

    def predict(
        self, weights: Tensors, rows: Mapping[str, NDArray[Any]], shape: Sequence[int]
    ) -> NDArray[np.float32]:
        """Return what it says of rows, by name as at an owner: float32 of this shape."""

        def called() -> NDArray[np.float32]:
            asked = {"arrays": dict(rows), "shape": list(shape)}
            _, (found,) = self._host.answer("predict", asked, self._octets(weights))
            return np.asarray(found, np.float32)

        return self._told("predict", called)

    def _told(self, method: str, call: Callable[[], _T]) -> _T:
        return told(call, self._folder, method)

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
        mark: what stands before each line that its code prints.
        warned: keeps its warnings; without it they are shown as those of other code.
    """

    def __init__(self, folder: Path, mark: str = "", warned: Warned | None = None) -> None:
        self._folder, self._mark, self._warned = folder, mark, warned
        self._own: dict[str, ModuleType] = {}

    @contextmanager
    def used(self) -> Iterator[None]:
        """Have the bundle's modules be these in the block, in which all of its code runs.

        What else was imported of the folder is put aside meanwhile. No bytecode is written into it,
        nor read from it: it is not part of a bundle, and could be that of other code.
        What the code prints goes to stderr, as at an owner: stdout is the caller's.
        """
        path, bytecode = list(sys.path), sys.dont_write_bytecode
        hook = _from_sources(self._folder)
        aside = _forget(self._folder, sys.modules)
        before = dict(sys.modules)
        sys.path_hooks.insert(0, hook)
        sys.dont_write_bytecode = True
        if self._own:
            sys.modules.update(self._own)
            sys.path.append(str(self._folder))  # for what a method imports when it is called
        else:
            importlib.invalidate_caches()
        try:
            with heard(self._mark, self._warned):
                yield
        finally:
            now = sys.modules.items()
            self._own = _forget(
                self._folder, {name: one for name, one in now if before.get(name) is not one}
            )
            sys.path_hooks.remove(hook)
            sys.modules.update(aside)
            sys.path[:], sys.dont_write_bytecode = path, bytecode

    def make(
        self,
        entry: str,
        settings: Mapping[str, Any],
        seed: int,
        layout: Layout = (),
        *,
        predicts: bool = False,
    ) -> LocalBundle:
        """Import the class of an entry point and make its object, in a block of `used`.

        Raises:
            SecureFlowError: `bundle_unusable`, `bundle_failed`.
        """
        made = told(lambda: imported(str(self._folder), entry), self._folder)
        return LocalBundle(made, self._folder, settings, seed, layout, predicts=predicts)


class _Sources(SourceFileLoader):
    """Compiles a module from its source, whatever bytecode lies beside it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


def _from_sources(folder: Path) -> Callable[[str], PathEntryFinder]:
    """Return a hook of imports that finds sources in a folder, and has no say elsewhere."""
    finder = FileFinder.path_hook((_Sources, [".py"]))

    def hook(path: str) -> PathEntryFinder:
        if not Path(path).is_relative_to(folder):
            raise ImportError(path=path)
        return finder(path)

    return hook


def _forget(folder: Path, among: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Remove what was imported of a folder, also packages without a file, and return it.

    What would find more of it goes as well. It runs around each call of the code, and thousands of
    modules may be there.

    Args:
        folder: of the bundle, resolved.
        among: modules of this process that may be its own.
    """
    found, within = {}, f"{folder}{os.sep}"
    for place in [one for one in sys.path_importer_cache if f"{one}{os.sep}".startswith(within)]:
        del sys.path_importer_cache[place]
    for name, module in list(among.items()):
        own = vars(module)  # some modules warn of every name that is asked for
        file, path = own.get("__file__"), own.get("__path__", ())
        if _lies(file, within) or (path and any(_lies(one, within) for one in path)):
            found[name] = sys.modules.pop(name)
    return found


def _lies(place: object, within: str) -> bool:
    return isinstance(place, str) and place.startswith(within)


def told(call: Callable[[], _T], folder: Path, method: str = "") -> _T:
    """Return what a call returns; turn what code raises into an error that shows it.

    Args:
        call: runs code of the bundle.
        folder: of the bundle: frames of files in it are shown.
        method: the one that is called, if one is.
    """
    try:
        return call()
    except Refused as error:
        code = _CODES.get(error.kind, "bundle_unusable")
        named = method if error.kind in _CODES else ""
        hint = Text.of_table(error.hint, error.facts) or _HINT
        raise _error(code, named, _reason(error), hint, _trace(error, folder)) from error
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also when the code calls exit()
        reason = f"{type(error).__name__}: {error}".rstrip(": ")[:1000].rstrip(".")
        placed = _placed(reason, error, folder)
        raise _error("bundle_failed", method, placed, _HINT, _trace(error, folder)) from error


def _finite(names: Sequence[str], tensors: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return tensors by name; one with a number that is none is refused."""
    for name, one in zip(names, tensors, strict=True):
        if one.dtype.kind != "f" or (finite := np.isfinite(one)).all():
            continue
        told, wrong = "{name} holds NaN ({count} of its {size} numbers)", np.isnan(one)
        if not wrong.any():
            told, wrong = "{name} holds infinite numbers ({count} of its {size})", ~finite
        count, size = int(wrong.sum()), int(one.size)
        raise Refused("output", told, _NOT_FINITE, name=name, count=count, size=size)
    return dict(zip(names, tensors, strict=True))


def _reason(error: Refused) -> str:
    cause = error.__cause__
    if isinstance(cause, SyntaxError):
        name, line = Path(cause.filename or "").name, cause.lineno or 0
        return Text("{error} ({file}, line {line})", error=cause.msg, file=name, line=line)
    return Text.of_table(error.reason, error.facts)


def _placed(reason: str, error: BaseException, folder: Path) -> str:
    """Add the line of the bundle that an error comes from, not the one of a library below it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if Path(one.filename).is_relative_to(folder)]
    if not own:
        return reason
    name, line = Path(own[-1].filename).name, own[-1].lineno
    return Text("{error} ({file}, line {line})", error=reason, file=name, line=line)


def _trace(error: BaseException, folder: Path) -> str:
    """Return Python's traceback of an error, of which only the bundle's own frames are left.

    Empty if none of them has any: then the message says everything.
    """
    cause = error.__cause__ if isinstance(error, Refused) else error
    if cause is None:
        return ""
    first = traceback.TracebackException.from_exception(cause)
    found, seen = [first], set()
    shown = isinstance(cause, SyntaxError)
    while found:
        one = found.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        own = [frame for frame in one.stack if Path(frame.filename).is_relative_to(folder)]
        one.stack = traceback.StackSummary.from_list(own)
        shown = shown or bool(own)
        further = (one.__cause__, one.__context__, *(one.exceptions or ()))
        found += [other for other in further if other is not None]
    return "".join(first.format())[:_LONGEST].rstrip() if shown else ""


def _error(code: str, method: str, reason: str, hint: str, trace: str) -> SecureFlowError:
    reason = without_stop(reason)
    if method:
        message = Text("The bundle's {method} failed here: {reason}.", method=method, reason=reason)
    else:
        message = Text("The bundle failed here: {reason}.", reason=reason)
    error = SecureFlowError(code, message, hint)
    if trace:
        error.add_note(trace)
    return error

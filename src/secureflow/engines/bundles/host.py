"""The process that runs a bundle's class, under the owner's own environment.

    PYTHON -I -B host.py

One file without imports of SecureFlow: the environment need not have it, NumPy is all that it
needs. Requests come on stdin, answers go to stdout; what the bundle prints goes to stderr. Each
message is a line of JSON, followed by as many raw bytes as its member `bytes` says:

    {"id", "verb", "arguments", "bytes"}
    {"id", "sums"?, "tensors"?, "bytes"} or {"id", "error", "bytes"}

Tensors are little-endian, C-contiguous, in the order of the layout that `load` brings: a list of
`[name, dtype, shape]`. An `error` is one word of `KINDS`; its trace goes to the log, which only
the owner reads. Rows come as `.npy` files that are mapped, without pickle.

Nothing here protects anybody: the bundle shares this process with it. Its caller trusts no byte of
an answer (`bundle_process.py`), and a sandbox holds the process. What is here serves the people
who write bundles: clear errors, and a bundle's module never takes the place of a module of Python
or of the environment, which come first on the path.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

LINE_BYTES = 1 << 20
METHODS = ("initial", "prepare", "train", "evaluate")
KINDS = (
    "shadows", "syntax", "import", "entry", "predict", "raised", "memory", "data", "wrong", "numpy",
)  # fmt: skip
"""Why a request failed: a module shadows another one, does not parse, or cannot be imported; the
entry point is not there; its class has no method that predicts; a method raised, or needs more
memory; a file of rows cannot be read; a method returned something else than was declared; the
environment has no NumPy."""


class Refused(Exception):  # noqa: N818 - a word for the other side, not an error of its own
    """A request ends with one of `KINDS`.

    Reason and hint are templates of the facts: those who write bundles read them in their language.
    """

    def __init__(self, kind: str, reason: str = "", hint: str = "", **facts: object) -> None:
        super().__init__(reason.format(**facts))
        self.kind, self.reason, self.hint, self.facts = kind, reason, hint, facts


class Host:
    """The bundle's object, and what is asked of it."""

    def __init__(self) -> None:
        self._model: Any = None
        self._layout: list[Any] = []

    def answer(self, verb: str, arguments: dict[str, Any], payload: bytearray) -> tuple[Any, Any]:
        """Return the members of the answer, and its tensors in order."""
        if verb == "load":
            return self.load(**arguments), []
        if self._model is None:
            raise Refused("entry", "nothing is loaded")
        if verb == "prepare":
            self._model.prepare(*_prepared(arguments))
            return {}, []
        if verb == "initial":
            tensors = _named(self._model.initial())
            layout = [[name, one.dtype.name, list(one.shape)] for name, one in tensors.items()]
            return {"tensors": layout}, list(tensors.values())
        weights = self._tensors(payload)
        if verb == "predict":
            rows = arguments.get("arrays") or _parts_of(arguments["rows"], ("rows",))[0]
            found = self._model.predict(weights, rows)
            return {}, [_fitting(_one(found), "predict", "float32", arguments["shape"])]
        if verb == "train":
            trained = _named(self._model.train(weights, int(arguments["round"])))
            return {}, [_fitting(trained, *one) for one in self._checked(trained)]
        return {"sums": _sums(self._model.evaluate(weights))}, []

    def load(
        self,
        folder: str,
        entry: str,
        settings: dict[str, Any],
        seed: int,
        tensors: list[Any],
        *,
        predicts: bool = False,
    ) -> dict[str, Any]:
        """Import the bundle's class and make its object."""
        self.make(imported(folder, entry), settings, seed, tensors, predicts=predicts)
        return {}

    def make(
        self,
        made: Any,
        settings: dict[str, Any],
        seed: int,
        tensors: list[Any],
        *,
        predicts: bool = False,
    ) -> None:
        """Make the object of a class, which has to predict if that is what is asked of it."""
        self._layout = tensors
        self._model = made(settings, seed)
        missing = [one for one in METHODS if not callable(getattr(self._model, one, None))]
        if missing:
            raise Refused("entry", _NO_METHOD, missing=", ".join(missing))
        if predicts and not callable(getattr(self._model, "predict", None)):
            raise Refused("predict", _NO_METHOD, _ADD, missing="predict")

    def _tensors(self, payload: bytearray) -> dict[str, Any]:
        import numpy as np

        tensors, start = {}, 0
        for name, dtype, shape in self._layout:
            kind = np.dtype(dtype).newbyteorder("<")
            count = int(np.prod(shape, dtype=np.int64))
            tensors[name] = np.frombuffer(payload, kind, count, start).reshape(shape)
            start += count * kind.itemsize
        return tensors

    def _checked(self, tensors: dict[str, Any]) -> list[Any]:
        names = [name for name, _, _ in self._layout]
        if sorted(names) != sorted(tensors):
            found, named = ", ".join(sorted(tensors)), ", ".join(sorted(names))
            raise Refused("wrong", "it returned {found}, not {named}", found=found, named=named)
        return self._layout


def imported(folder: str, entry: str) -> Any:
    """Return the class of an entry point in a bundle's folder."""
    _refuse_shadows(Path(folder))
    name, _, attribute = entry.partition(":")
    own = Path(folder, *name.split("."))
    if not (own.with_suffix(".py").is_file() or (own / "__init__.py").is_file()):
        raise _absent(folder, name)  # `subprocess:Popen` is nobody's model
    sys.path.append(folder)  # behind Python's own modules and the environment's
    try:
        module = importlib.import_module(name)
    except SyntaxError as error:
        raise Refused("syntax") from error
    except ImportError as error:
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent and f"{name}.".startswith(f"{absent}."):
            raise _absent(folder, absent) from error
        if absent:
            raise Refused(
                "import", "{module} is not installed here", _INSTALL, module=absent
            ) from error
        hint = _ABSOLUTE if "relative import" in str(error) else ""
        raise Refused("import", "{error}", hint, error=error) from error
    made = getattr(module, attribute, None)
    if not callable(made):
        raise Refused("entry", "{module} has no class {name}", module=name, name=attribute)
    return made


def _absent(folder: str, module: str) -> Refused:
    files = ", ".join(sorted(one.name for one in Path(folder).iterdir()))
    return Refused("entry", _NO_MODULE, _ENTRY, module=module, files=files)


_NO_METHOD = "the class has no method {missing}"
_ADD = (
    "Add predict(self, weights, rows) to the class, and train with that code; the new job may "
    "resume this model."
)
_NO_MODULE = "the entry point's module {module} is not in the bundle"
_ENTRY = "Its files: {files}. Name one with `entry: MODULE:CLASS`, such as model:Model."
_INSTALL = (
    "Install it to try the code here, and have it in the lock of the owners' environment; a module "
    "of your own belongs into the folder: {module}.py."
)
_ABSOLUTE = "The folder itself is on Python's path: write `import util` or `from util import name`."
_CAST = "Return it so: .astype({declared!r})."
_NO_ARRAYS = "it returned {found}, not a dict of names to arrays"
_NO_ARRAY = "it returned {found}, not an array"
_NO_NUMBERS = "it returned {found}, not a dict of names to numbers"
_NO_NUMBER = "{name} is {found}, not a number"
_PARTS = ("training", "validation")


def _refuse_shadows(folder: Path) -> None:
    """Refuse a bundle with a top module that Python or the environment has as well."""
    tops = {one.name.removesuffix(".py") for one in folder.glob("*.py")}
    tops |= {one.name for one in folder.iterdir() if one.is_dir() and any(one.rglob("*.py"))}
    for name in sorted(tops):
        if name in sys.stdlib_module_names or _is_elsewhere(name, folder):
            raise Refused("shadows", "the environment has a module {name} as well", name=name)


def _is_elsewhere(name: str, folder: Path) -> bool:
    """Tell whether a module of this name is found, and not only in the folder itself."""
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # it runs already, without having been imported
        return True
    if found is None:
        return False
    places = [found.origin, *(found.submodule_search_locations or ())]
    return not any(Path(one).is_relative_to(folder) for one in places if one)


def _prepared(arguments: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of both parts: of one file for all arrays, or of one for each."""
    if "rows" not in arguments:
        return [{name: _rows(path) for name, path in arguments[part].items()} for part in _PARTS]
    return _parts_of(arguments["rows"], _PARTS)


def _parts_of(path: str, named: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the parts of a file of rows: its arrays by name, which are mapped."""
    import numpy as np

    try:
        with Path(path).open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        octets = np.memmap(path, np.uint8, "r")
    except (OSError, ValueError) as error:
        raise Refused("data", "the file of rows cannot be read") from error
    parts: list[dict[str, Any]] = [{} for _ in named]
    for full, (dtype, shape, start) in header.items():
        part, _, name = full.partition("/")
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        array = np.asarray(octets[start : start + count]).view(dtype).reshape(shape)
        parts[named.index(part)][name] = array
    return parts


def _rows(path: str) -> Any:
    import numpy as np

    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Refused("data", "{path} cannot be read", path=path) from error


def _named(value: Any) -> dict[str, Any]:
    import numpy as np

    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise Refused("wrong", _NO_ARRAYS, found=_described(value))
    return {name: np.ascontiguousarray(one).reshape(np.shape(one)) for name, one in value.items()}


def _one(value: Any) -> dict[str, Any]:
    """Return what `predict` returned as a tensor of its own."""
    import numpy as np

    if not isinstance(getattr(value, "shape", None), tuple):
        raise Refused("wrong", _NO_ARRAY, found=_described(value))
    return {"predict": np.ascontiguousarray(value).reshape(np.shape(value))}


def _fitting(tensors: dict[str, Any], name: str, dtype: str, shape: list[int]) -> Any:
    """Return a tensor as it was declared; a wider number of the same kind is rounded.

    Whole numbers in the place of others are refused: code that rounds by mistake learns nothing.
    """
    import numpy as np

    one, kind = tensors[name], np.dtype(dtype).newbyteorder("<")
    if list(one.shape) != shape:
        found = list(one.shape)
        told = "{name} has the shape {found}, not {declared}"
        raise Refused("wrong", told, name=name, found=found, declared=shape)
    whole = one.dtype.kind in "biu" and kind.kind == "f"
    if whole or not np.can_cast(one.dtype, kind, "same_kind"):
        told, found = "{name} is {found}, not {declared}", one.dtype.name
        raise Refused("wrong", told, _CAST, name=name, found=found, declared=dtype)
    fitted = one.astype(kind, order="C", copy=False)
    if kind.kind in "iu" and not np.array_equal(fitted, one):
        told = "{name} has numbers that {declared} cannot hold"
        raise Refused("wrong", told, name=name, declared=dtype)
    return fitted


def _sums(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        raise Refused("wrong", _NO_NUMBERS, found=_described(value))
    return {str(name): _number(str(name), one) for name, one in value.items()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        # It counts as what the method raised, as ever: others are told no more by this.
        raise Refused("raised", _NO_NUMBER, name=name, found=_described(value)) from error


def _described(value: Any) -> str:
    """Return what a value is, and nothing of what it holds."""
    if value is None:
        return "None"
    shape = f" {list(value.shape)}" if isinstance(getattr(value, "shape", None), tuple) else ""
    return f"{type(value).__name__}{shape}"


def _kind(error: BaseException) -> str:
    if isinstance(error, Refused):
        return error.kind
    return "memory" if isinstance(error, MemoryError) else "raised"


def _flush() -> None:
    """Have what was printed reach the log now: the process may be ended at any time."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # code of others may have put anything there
            stream.flush()


def serve(requests: BinaryIO, answers: BinaryIO, host: Host) -> None:
    """Answer requests until the stream ends."""
    while line := requests.readline(LINE_BYTES):
        request = json.loads(line)
        payload = bytearray(request["bytes"])
        view = memoryview(payload)
        while view:
            count = requests.readinto(view)  # type: ignore[attr-defined]
            if not count:
                return
            view = view[count:]
        tensors: list[Any] = []
        try:
            members, tensors = host.answer(request["verb"], request["arguments"], payload)
        except BaseException as error:  # noqa: BLE001  code of others: also when it calls exit()
            traceback.print_exc()
            members = {"error": _kind(error)}
        del payload
        _flush()
        length = sum(one.nbytes for one in tensors)
        head = json.dumps({"id": request["id"], **members, "bytes": length})
        answers.write(head.encode() + b"\n")
        answers.writelines(one.reshape(-1).view("u1").data for one in tensors)
        answers.flush()


def main() -> None:
    """Keep stdin and stdout for the protocol, and serve."""
    requests, answers = os.fdopen(os.dup(0), "rb", 1 << 16), os.fdopen(os.dup(1), "wb", 1 << 16)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # a bundle that reads or prints must not break the protocol
    os.dup2(2, 1)
    os.close(nothing)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a call that hangs is killed, and lost them
    sys.dont_write_bytecode = True
    if importlib.util.find_spec("numpy") is None:
        _Without(answers).serve(requests)
        return
    serve(requests, answers, Host())


class _Without:
    """Says to every request that NumPy is missing."""

    def __init__(self, answers: BinaryIO) -> None:
        self._answers = answers

    def serve(self, requests: BinaryIO) -> None:
        """Answer until the stream ends."""
        while line := requests.readline(LINE_BYTES):
            request = json.loads(line)
            requests.read(request["bytes"])
            reply = {"id": request["id"], "error": "numpy", "bytes": 0}
            self._answers.write(json.dumps(reply).encode() + b"\n")
            self._answers.flush()


if __name__ == "__main__":
    main()

"""Commands to paste: how an optional part is installed here, and what this program is called.

A checkout installs its own extras; what came as a wheel names the distribution. The interpreter is
the very one that lacks it: `pip` on the path may be another one's.
"""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

from secureflow.kit.text import Text

_HERE = Path(__file__).resolve()
_COMMAND = re.compile(r"(?<![\w./-])secureflow (?=[a-z])")


def install_hint(extra: str, module: Path = _HERE) -> str:
    """Return the next step for who lacks an extra, e.g. `stats`; `module` is a file of the code."""
    checkout = module.parents[3]
    cloned = (checkout / "pyproject.toml").is_file() and (checkout / "src").is_dir()
    what = (
        f"-e {shlex.quote(f'{checkout}[{extra}]')}"
        if cloned
        else Text("'secureflow[{extra}]'", extra=extra)
    )
    return Text(
        "Install it: {quote} -m pip install {what}", quote=shlex.quote(sys.executable), what=what
    )


def examples(module: Path = _HERE) -> Path:
    """Return the folder of commented configurations: a wheel carries it beside the code."""
    carried = module.parents[1] / "configs"
    return carried if carried.is_dir() else module.parents[3] / "configs"


def command(called: str = "") -> str:
    """Return how this program is called: by its name where the path has it, else as it was called.

    Args:
        called: the program as it was called; by default this process's.
    """
    called = called or sys.argv[0]
    if Path(called).name != "secureflow":
        return "secureflow"
    found = shutil.which("secureflow")
    known = found is not None and Path(found).resolve() == Path(called).resolve()
    return "secureflow" if known else shlex.quote(called)


def runnable(text: str, called: str = "") -> str:
    """Return a text whose commands work when they are pasted, also off the path."""
    name = command(called)
    return text if name == "secureflow" else _COMMAND.sub(lambda _: f"{name} ", text)

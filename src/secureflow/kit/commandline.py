"""Commands to paste: how to install an optional extra here, and how to call this program.

A checkout installs its own extras; an installed wheel names the distribution. The interpreter is
this process's own: `pip` on the path may belong to another one.
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
    """Return the next step if an extra (`stats`) is missing; `module` is a file of the code."""
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
    """Return the folder of commented configurations, which a wheel ships with the code."""
    carried = module.parents[1] / "configs"
    return carried if carried.is_dir() else module.parents[3] / "configs"


def command(called: str = "") -> str:
    """Return how to call this program: by name if it is on the path, else as it was called.

    Args:
        called: how the program was called; default: this process's.
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

"""How an optional part is installed *here*: into this interpreter, from where this code came.

A checkout installs its own extras; what came as a wheel names the distribution. The interpreter is
the very one that lacks it: `pip` on the path may be another one's.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

_HERE = Path(__file__).resolve()


def install_hint(extra: str, module: Path = _HERE) -> str:
    """Return the next step for who lacks an extra, e.g. `stats`; `module` is a file of the code."""
    checkout = module.parents[3]
    cloned = (checkout / "pyproject.toml").is_file() and (checkout / "src").is_dir()
    what = f"-e {shlex.quote(f'{checkout}[{extra}]')}" if cloned else f"'secureflow[{extra}]'"
    return f"Install it: {shlex.quote(sys.executable)} -m pip install {what}"

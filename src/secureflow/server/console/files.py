"""Where the built files of the console are (`kit.builtfiles`).

`make web` and the build of the package put them into `dist`; a checkout has none until then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).parent / "dist"

"""Write the description of the owner's page's API to a file, for generators of clients.

`python -m secureflow.agent.console.api.export api/owner.json` rewrites the file; a test fails if it
is out of date.
"""

from __future__ import annotations

import sys
from pathlib import Path

from secureflow.agent.console.api.description import text
from secureflow.agent.console.api.routes import OPERATIONS

if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(OPERATIONS), "utf-8")

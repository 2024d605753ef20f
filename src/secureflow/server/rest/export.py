"""Write the API's description to a file, for people and for generators of clients.

`python -m secureflow.server.rest.export api/openapi.json` rewrites the file; a test fails if it is
out of date. Keys keep FastAPI's order: routes as they are declared.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from secureflow.server.rest.app import described_app


def description() -> str:
    """Return the OpenAPI document as indented JSON."""
    return json.dumps(described_app().openapi(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(description(), "utf-8")

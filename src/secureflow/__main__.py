"""`python -m secureflow`: the same as the `secureflow` command."""

from __future__ import annotations

from secureflow.cli.main import main

if __name__ == "__main__":
    main()

"""The hint for a missing extra names what works here: the checkout, or the installed wheel."""

from __future__ import annotations

import sys
from pathlib import Path

from secureflow.kit.installing import install_hint


def test_an_installed_wheel_names_the_distribution(tmp_path: Path) -> None:
    module = tmp_path / "lib" / "site-packages" / "secureflow" / "kit" / "installing.py"
    assert install_hint("stats", module) == (
        f"Install it: {sys.executable} -m pip install 'secureflow[stats]'"
    )


def test_a_checkout_names_itself(tmp_path: Path) -> None:
    module = tmp_path / "src" / "secureflow" / "kit" / "installing.py"
    module.parent.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    assert install_hint("stats", module) == (
        f"Install it: {sys.executable} -m pip install -e '{tmp_path}[stats]'"
    )

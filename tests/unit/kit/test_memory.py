"""Nothing is collected while modules are imported, and collecting is as it was afterwards."""

from __future__ import annotations

import contextlib
import gc

import pytest

from secureflow.kit.memory import loading


@pytest.mark.parametrize("was", [True, False])
def test_nothing_is_collected_while_modules_load(was: bool) -> None:
    found = gc.isenabled()
    try:
        (gc.enable if was else gc.disable)()
        with contextlib.suppress(ImportError), loading():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is was
    finally:
        (gc.enable if found else gc.disable)()

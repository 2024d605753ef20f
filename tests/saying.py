"""Names a test as soon as it fails: a run that is ended before its summary still tells which."""

from __future__ import annotations

import pytest


class Saying:
    """Writes a line for each failure, beside the dots.

    Args:
        config: of the process that shows the run, no worker of xdist.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name what failed and in which part."""
        shown = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and shown is not None:
            shown.write_line(f"\nfailed ({report.when}): {report.nodeid}")

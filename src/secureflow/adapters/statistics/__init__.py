"""Statistics libraries behind one port; OpenDP is the default.

They are imported only where a job is computed (the agent's worker process): OpenDP is a library of
260 MB, and neither is part of the core (extra `stats`).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:  # a worker starts for each job, and needs nothing else of the application
    from secureflow.application.ports.statistician import Statistician

LIBRARIES: Final = ("opendp", "pydp")


def open_statistician(library: str) -> Statistician:
    """Return the statistician of a spec's `privacy.library`.

    Raises:
        SecureFlowError: `library_missing`.
    """
    try:
        if library == "opendp":
            from secureflow.adapters.statistics.opendp import OpenDpStatistician

            return OpenDpStatistician()
        if library == "pydp":
            from secureflow.adapters.statistics.pydp import PyDpStatistician

            return PyDpStatistician()
    except ImportError as error:
        raise _missing(library) from error
    raise SecureFlowError(
        "library_missing",
        Text("There is no library {library!r} for statistics.", library=library),
        Text("Libraries are: {libraries}.", libraries=", ".join(LIBRARIES)),
    )


def check_installed(library: str) -> None:
    """Refuse a library that is not installed, without loading one that is; for consent.

    Raises:
        SecureFlowError: `library_missing`.
    """
    if library not in LIBRARIES or find_spec(library) is None:
        raise _missing(library)


def _missing(library: str) -> SecureFlowError:
    return SecureFlowError(
        "library_missing",
        Text(
            "The library {library!r} for statistics is not installed at this agent.",
            library=library,
        ),
        install_hint("stats"),
        {"library": library},
    )

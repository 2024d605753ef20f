"""SecureFlow's protections."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from secureflow.engines.run.peers import Peers
from secureflow.engines.run.protection import Protection
from secureflow.engines.run.run import Course
from secureflow.engines.run.sealed import Sealed
from secureflow.engines.run.sealed_secagg import SealedSecAgg
from secureflow.engines.run.secagg import SecAgg
from secureflow.engines.run.unprotected import Unprotected

_ALL: Final[tuple[Protection, ...]] = (
    *(Unprotected(), Peers(), Sealed(), SecAgg(), SealedSecAgg()),
)
PROTECTIONS: Final[Mapping[str, Protection]] = {one.name: one for one in _ALL}


def protection_of(course: Course[Any]) -> Protection:
    """Return the protection of a job's contributions."""
    return PROTECTIONS[course.spec.protection]

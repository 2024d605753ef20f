"""One platform for all of them: its owners' policies permit the whole, never a part alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from secureflow.demo.platform import Platform
from secureflow.domain.schemas import DatasetPrivacy
from tests.survival.world import platform

POLICY: Final = "\n".join(
    f'permit(principal, action == Action::"{kind}", resource == Dataset::"adult");'
    for kind in ("pipeline", "sweep", "timetable")
)
"""Each of their jobs alone would wait for a person, and nobody is here."""
BUDGET: Final = DatasetPrivacy("adult", epsilon=40.0, delta=1e-5, required=False)


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Nothing here is sealed: there is no enclave."""
    directory = tmp_path_factory.mktemp("composed") / "p"
    with platform(directory, mortal=False, sealing=False, budget=BUDGET, policy=POLICY) as built:
        yield built

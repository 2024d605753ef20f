"""What the form of a grant offers."""

from __future__ import annotations

from secureflow.agent.console.screens.grantforms import KINDS, PROTECTIONS
from secureflow.domain.specs.kinds import SPEC_KINDS


def test_every_kind_and_protection_is_offered() -> None:
    assert set(KINDS) == set(SPEC_KINDS)
    assert set(PROTECTIONS) == {"sealed", "secagg", "sealed+secagg"}

"""The centre's own parts wait for room on its disk, and end a job by name in time."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.application import local
from secureflow.application.local import LocalParties
from secureflow.application.ports import Request
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import SilentCourier


@pytest.mark.parametrize("patience", [0.3, None])
async def test_it_ends_by_name_whether_or_not_the_request_has_a_patience(
    patience: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "DEFAULT", 0.3)
    tried: list[str] = []

    async def full(verb: str, body: Any) -> Any:
        tried.append(verb)
        raise InfrastructureError("disk_full", "The disk of the centre is full.")

    parties = LocalParties(SilentCourier(), {"aggregator": full})
    with pytest.raises(SecureFlowError) as caught:
        await parties.ask(Request("job_1/1/aggregator", "aggregator", "sum", {}, patience))
    assert caught.value.code == "disk_full"
    assert not isinstance(caught.value, InfrastructureError)  # the runner would wait for ever
    assert len(tried) > 1

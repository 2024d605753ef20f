"""The centre's own parts wait for room on its disk, and end a job by name in time."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from secureflow.application.ports.courier import Request
from secureflow.application.running import local
from secureflow.application.running.local import LocalParties
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from tests.doubles import SilentCourier

OF_THE_JOB = {"spec": {"limits": {"patience_seconds": 0.3}}}


@pytest.mark.parametrize(("patience", "body"), [(0.3, {}), (None, OF_THE_JOB)])
async def test_it_ends_by_name_within_the_patience_of_request_or_job(
    patience: float | None, body: Any
) -> None:
    tried: list[str] = []
    told: list[str | None] = []

    async def full(verb: str, body: Any) -> Any:
        tried.append(verb)
        raise InfrastructureError("disk_full", "The disk of the centre is full.")

    parties = LocalParties(
        SilentCourier(), {"aggregator": full}, on_wait=lambda _, error: told.append(_code(error))
    )
    with pytest.raises(SecureFlowError) as caught:
        await parties.ask(Request("job_1/1/aggregator", "aggregator", "sum", body, patience))
    assert caught.value.code == "disk_full"
    assert not isinstance(caught.value, InfrastructureError)  # the runner would wait for ever
    assert len(tried) > 1
    assert set(told[:-1]) == {"disk_full"}
    assert told[-1] is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
async def test_a_limit_of_open_files_is_waited_for(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "FIRST", 0.01)
    faults = [OSError(number, "Too many open files")] * 2
    told: list[str | None] = []

    async def limited(verb: str, body: Any) -> Any:
        if faults:
            raise faults.pop()
        return {"done": verb}

    parties = LocalParties(
        SilentCourier(), {"aggregator": limited}, on_wait=lambda _, error: told.append(_code(error))
    )
    request = Request("job_1/1/aggregator", "aggregator", "sum", {}, 5.0)
    assert await parties.ask(request) == {"done": "sum"}
    assert told == ["too_many_files", "too_many_files", None]


async def test_what_is_no_limit_stays_a_defect() -> None:
    async def broken(verb: str, body: Any) -> Any:
        raise FileNotFoundError(errno.ENOENT, verb)

    parties = LocalParties(SilentCourier(), {"aggregator": broken})
    with pytest.raises(FileNotFoundError):
        await parties.ask(Request("job_1/1/aggregator", "aggregator", "sum", {}, 5.0))


def _code(error: SecureFlowError | None) -> str | None:
    return error and error.code

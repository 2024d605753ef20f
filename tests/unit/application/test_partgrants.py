"""A part is not started where a grant was revoked: its whole ends, naming owner and dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.jobs import Job
from secureflow.engines.script import RunJob, Script, Tell
from secureflow.kit.errors import SecureFlowError
from tests.unit.application.test_partjobs import PART, SPEC, WHOLE, Place, opened, succeeds

ROSTER = [{"party": "bank-a", "key": "k", "dataset": "customers"}]
WANTED = {**SPEC, "purpose": "scoring", "columns": ["age"], "roster": ROSTER}
DATASET = Dataset("ds_1", "bank-a", "customers", "Customers", (), "<1k", "", 0)
GRANT = Grant("gra_1", "ds_1", "bank-a", "prj_1", ("age", "debt"), (), "usr_1", 0, 9999)
REVOKED = replace(GRANT, revoked=6)


class Steps(Place):
    """A whole of two parts; the second is started when the test lets it."""

    def whole(self, job: Job) -> Script[dict[str, Any]]:
        del job
        yield Tell("step", {"state": "started"}, {"part": PART})
        return {"answer": (yield RunJob(PART, WANTED, "cd" * 32))}


async def begin(place: Place, grants: Sequence[Grant]) -> None:
    """Run a whole whose data is under these grants."""
    place.whole = Steps.whole.__get__(place)  # type: ignore[method-assign]
    async with place.database.begin() as unit:
        await unit.datasets.add(DATASET)
        for grant in grants:
            await unit.grants.add(grant)
        await unit.commit()
    place.runner.start(WHOLE.id)


async def test_a_part_is_not_proposed_on_data_whose_grant_is_revoked(tmp_path: Path) -> None:
    async with opened(tmp_path, succeeds) as place:
        await begin(place, [REVOKED])
        whole = await place.ended()
        part = await place.job(PART)
        async with place.database.begin() as unit:
            lines = await unit.journal.read(WHOLE.id, 0)
    assert part is None
    assert whole.state == "failed"
    error = whole.error or {}
    assert error["code"] == "grant_revoked"
    assert "bank-a" in error["message"]
    assert "customers" in error["message"]
    assert "part" not in whole.progress  # nothing looks for a job that never was
    assert "grant_revoked" in repr(lines)  # a replay decides by this, not by the grants


LATER = replace(GRANT, id="gra_2", columns=("age",))


@pytest.mark.parametrize(
    ("grants", "state"),
    [
        ([GRANT], "succeeded"),
        ([REVOKED, LATER], "succeeded"),  # another one covers what it reads
        ([REVOKED, replace(LATER, columns=("debt",))], "failed"),
        ([REVOKED, replace(LATER, purposes=("else",))], "failed"),
        ([REVOKED, replace(LATER, project="prj_2")], "failed"),
        ([REVOKED, replace(LATER, dataset="ds_2")], "failed"),
        ([replace(GRANT, expires=5)], "succeeded"),  # only expired: its agent says
        ([replace(REVOKED, revoked=3), replace(LATER, expires=5)], "succeeded"),
        ([REVOKED, replace(LATER, expires=5)], "failed"),
        ([], "succeeded"),
    ],
)
async def test_what_holds_now_decides(tmp_path: Path, grants: list[Grant], state: str) -> None:
    async with opened(tmp_path, succeeds) as place:
        await begin(place, grants)
        whole = await place.ended()
    assert whole.state == state


async def test_a_whole_that_was_refused_a_part_may_clean_up(tmp_path: Path) -> None:
    """As pipelines, sweeps and timetables do: the error reaches the script at the effect."""

    def tidies(job: Job) -> Script[dict[str, Any]]:
        del job
        try:
            yield RunJob(PART, WANTED, "cd" * 32)
        except SecureFlowError as error:
            yield Tell("told", {"code": error.code})
            raise
        raise AssertionError

    async with opened(tmp_path, succeeds) as place:
        place.whole = tidies  # type: ignore[method-assign]
        async with place.database.begin() as unit:
            await unit.datasets.add(DATASET)
            await unit.grants.add(REVOKED)
            await unit.commit()
        place.runner.start(WHOLE.id)
        whole = await place.ended()
        async with place.database.begin() as unit:
            events = [(one.kind, one.data) for one in await unit.events.after(WHOLE.id, 0)]
    assert whole.state == "failed"
    assert ("told", {"code": "grant_revoked"}) in events

"""Joint sums over real processes: what three owners' rows say together, to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from secureflow.agent import api
from secureflow.demo.data import PURPOSE, dataset_config, split_silos
from secureflow.demo.platform import Platform
from secureflow.domain.jobs import Job
from secureflow.kit.errors import SecureFlowError
from tests.nursery import Born
from tests.survival.world import await_end, bank_names, verified

POLICY = """permit(principal, action == Action::"mpc", resource == Dataset::"adult")
  when { context.program == "joint-sums" && context.protocol == "masked-sum" &&
         !context.measures.contains("variance") };"""
"""A variance is asked about."""
BOTH = ["age", "hours-per-week"]
QUERIES: list[dict[str, Any]] = [
    {"name": "rows", "measure": "count", "columns": ["age"]},
    {"name": "hours", "measure": "sum", "columns": ["hours-per-week"], "by": "sex"},
    {"name": "mean", "measure": "mean", "columns": ["age"], "by": "education"},
    {"name": "together", "measure": "correlation", "columns": BOTH},
    {"name": "spread", "measure": "covariance", "columns": BOTH, "by": "sex"},
    {"name": "shape", "measure": "histogram", "columns": ["education"]},
    {"name": "hours-by-age", "measure": "sum", "columns": ["hours-per-week"],
     "keys": {"column": "age", "first": 0, "count": 100_000}},
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    directory = tmp_path_factory.mktemp("sums")
    owners = bank_names(3)
    paths = dict(zip(owners, split_silos(directory / "data", 3), strict=True))
    datasets = {party: dataset_config(path) for party, path in paths.items()}
    with Platform(directory / "p", owners, datasets, policy=POLICY, child=Born) as built:
        built.build()
        yield built


@pytest.fixture(scope="module")
def people(place: Platform) -> pd.DataFrame:
    """Everybody's rows: only this test sees them together."""
    tables = [pq.read_table(one.dataset.path) for one in place.parties.values() if one.dataset]
    return pa.concat_tables(tables).select([*BOTH, "sex", "education"]).to_pandas()


def request(place: Platform, queries: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    return {
        "kind": "mpc", "project": place.project, "name": "sums", "purpose": PURPOSE,
        "datasets": [owner.dataset_id for owner in place.parties.values()],
        "program": {"name": "joint-sums", "queries": queries}, **changes,
    }  # fmt: skip


def rows_of(job: Job, name: str) -> dict[tuple[Any, Any], Any]:
    (found,) = [one for one in (job.report or {})["answers"] if one["name"] == name]
    return {(row["group"], row["cell"]): row["value"] for row in found["rows"]}


def test_answers_are_those_of_everybodys_rows(place: Platform, people: pd.DataFrame) -> None:
    with place.client("bank-a") as client:
        job = await_end(client, client.jobs.submit(request(place, QUERIES)).id)
        assert job.state == "succeeded", job.error
        totals = client.mpc.totals(job.id)["hours-by-age"]
        page = client.jobs.report_html(job.id)
    assert rows_of(job, "rows")[None, None] == len(people)
    hours = people.groupby("sex")["hours-per-week"].sum()
    assert {group: value for (group, _), value in rows_of(job, "hours").items()} == dict(hours)
    means = people.groupby("education").age.mean()
    for (group, _), value in rows_of(job, "mean").items():
        assert value == pytest.approx(means[group], rel=1e-15)
    correlation = people[BOTH].corr().iloc[0, 1]
    cell = "age × hours-per-week"
    assert rows_of(job, "together")[None, cell] == pytest.approx(correlation, rel=1e-12)
    for sex, own in people.groupby("sex"):
        truth = own[BOTH].cov(ddof=0).iloc[0, 1]
        assert rows_of(job, "spread")[sex, cell] == pytest.approx(truth, rel=1e-9)
    counts = people.education.value_counts()
    assert {c: value for (_, c), value in rows_of(job, "shape").items()} == dict(counts)
    by_age = people.groupby("age")["hours-per-week"].sum()
    assert totals.keys[0] == 0
    assert len(totals.values) == 100_000
    assert dict(by_age) == {int(at): int(totals.values[int(at)]) for at in by_age.index}
    assert int(totals.values.sum()) == int(people["hours-per-week"].sum())
    assert "no noise was added to it" in page
    assert "100,000 keys of age" in page
    assert verified(place, job.id)


def test_what_a_policy_does_not_allow_waits_for_its_owner(place: Platform) -> None:
    query = [{"name": "v", "measure": "variance", "columns": ["age"]}]
    with place.client("bank-a") as client:
        job = client.jobs.submit(request(place, query)).id
        waiting = set(place.parties)
        while waiting:
            for party in list(waiting):
                config = place.parties[party].config
                for item in api.inbox_list(config, waiting=True):
                    if item["job"] == job:
                        api.inbox_approve(config, item["id"])
                        waiting.discard(party)
        assert await_end(client, job).state == "succeeded"


def test_a_sum_that_no_ring_holds_is_refused_at_the_party_that_has_it(place: Platform) -> None:
    query = [{"name": "q", "measure": "sum", "columns": ["fnlwgt"]}]
    many = {"name": "joint-sums", "queries": query,
            "decimals": [{"column": "fnlwgt", "decimals": 9}]}  # fmt: skip
    with place.client("bank-a") as client:
        told = client.jobs.dry_run(request(place, query, program=many))
        assert "fnlwgt is rounded, row by row, to 9 decimals." in told.notes
        job = await_end(client, client.jobs.submit(request(place, query, program=many)).id)
    assert job.state == "failed"
    assert job.error is not None
    failures = job.error["details"]["failures"]
    assert {error["code"] for error in failures.values()} == {"ring_overflow"}
    assert "bank-b: A sum over column 'fnlwgt' is greater than 2^50" in job.error["message"]


def test_a_party_of_one_is_no_sum_and_two_need_their_owners_word(place: Platform) -> None:
    ids = [owner.dataset_id for owner in place.parties.values()]
    query = [{"name": "q", "measure": "sum", "columns": ["age"]}]
    with place.client("bank-a") as client:
        with pytest.raises(SecureFlowError, match="fewer than three parties"):
            client.jobs.dry_run(request(place, query, datasets=ids[:1]))
        job = await_end(client, client.jobs.submit(request(place, query, datasets=ids[:2])).id)
    assert job.state == "failed"
    assert job.error is not None
    assert "two_party" in str(job.error)

"""Questions as text, and where a request for statistics goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.statistics import StatisticsQuery
from secureflow.domain.specs.statistics_request import NoiseRequest
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import StatisticsRequest, query


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count", StatisticsQuery("count", "count")),
        ("count:by=sex", StatisticsQuery("count-by-sex", "count", None, "sex")),
        ("mean:age", StatisticsQuery("mean-age", "mean", "age")),
        (
            "mean:Hours per Week:by=sex",
            StatisticsQuery("mean-hours-per-week-by-sex", "mean", "Hours per Week", "sex"),
        ),
        ("histogram:age:bins=10", StatisticsQuery("histogram-age", "histogram", "age", bins=10)),
        (
            "quantile:age:q=0.25,0.5:name=middle",
            StatisticsQuery("middle", "quantile", "age", quantiles=(0.25, 0.5)),
        ),
    ],
)
def test_a_line_is_a_query(text: str, expected: StatisticsQuery) -> None:
    assert query(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a measure"),
        ("median:age", "not a measure"),
        ("mean:age:sex", "not understood"),
        ("mean:age:per=sex", "not understood"),
        ("mean:age:by=sex:by=job", "not understood"),
        ("quantile:age:q=half", "quantiles"),
        ("quantile:age:q=2", "quantiles"),
        ("histogram:age:bins=1", "bins"),
        ("mean:age:name=Two Words", "name"),
    ],
)
def test_what_is_none_says_why(text: str, reason: str) -> None:
    with pytest.raises(SecureFlowError, match=reason) as caught:
        query(text)
    assert caught.value.code == "invalid_request"


@given(st.text(max_size=80))
def test_no_text_breaks_it(text: str) -> None:
    code = "invalid_request"
    try:
        query(f"mean:{text}")
    except SecureFlowError as error:
        code = error.code
    assert code == "invalid_request"


REQUEST = StatisticsRequest(
    "prj_0", "ages", "research", ("dst_0",), (query("mean:age"),), NoiseRequest(1e-6, epsilon=1.0)
)
PLAIN = {"kind": "statistics", "project": "prj_0", "queries": []}


def sent(server: Any, path: str) -> dict[str, Any]:
    (request,) = server.requests
    assert (request.method, request.url.path) == ("POST", f"/api/v1{path}")
    body: dict[str, Any] = json.loads(request.content)
    return body


@pytest.mark.parametrize("request_", [REQUEST, PLAIN], ids=["class", "mapping"])
def test_statistics_are_asked_by_kind(sdk_server: Any, sdk_job: Any, request_: Any) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    server.client().jobs.submit(request_)
    body = sent(server, "/jobs")
    assert body["kind"] == "statistics"
    assert not {"columns", "contributions", "unit"} & (body.keys() | body.get("privacy", {}).keys())
    server = sdk_server(httpx.Response(200, json={"digest": "0" * 64, "spec": {}}))
    server.client().jobs.dry_run(request_)
    sent(server, "/jobs/dry-run")


def test_a_mapping_is_sent_as_it_stands(sdk_server: Any, sdk_job: Any) -> None:
    """Also of a kind that this client does not know."""
    server = sdk_server(httpx.Response(201, json=sdk_job))
    server.client().jobs.submit({"kind": "juggling", "project": "prj_0"})
    assert sent(server, "/jobs") == {"kind": "juggling", "project": "prj_0"}


def test_asking_in_one_call(sdk_server: Any, sdk_job: Any) -> None:
    server = sdk_server(httpx.Response(201, json=sdk_job))
    dataset = Dataset("dst_0", "bank-a", "people", "People", (), "<1k", "", 1)
    server.client().jobs.statistics(
        "prj_0", [dataset], ["count:by=sex", query("mean:age")], epsilon=0.5, purpose="research"
    )
    body = sent(server, "/jobs")
    assert (body["datasets"], body["purpose"]) == (["dst_0"], "research")
    assert [one["name"] for one in body["queries"]] == ["count-by-sex", "mean-age"]
    assert (body["privacy"]["epsilon"], body["privacy"]["delta"]) == (0.5, 1e-6)


def test_the_example_is_a_request() -> None:
    file = Path(__file__).parents[3] / "examples" / "statistics.yaml"
    value = yaml.safe_load(file.read_text())
    assert value.pop("kind") == "statistics"
    asked = parse(StatisticsRequest, value, "request")
    assert [one.measure for one in asked.queries] == ["count", "mean", "histogram", "quantile"]

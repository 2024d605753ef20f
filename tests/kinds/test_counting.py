"""A kind that the platform does not have runs end to end: consent, ledger, report, explanation."""

from __future__ import annotations

import time
from typing import Any

import pytest

from secureflow.agent import api
from secureflow.cli.main import run
from secureflow.demo.platform import Platform
from secureflow.demo.play import verify_ledger
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client
from tests.kinds.counting import CountingRequest
from tests.kinds.tables import CLI

BANKS = ("bank-a", "bank-b", "bank-c")


def counting(place: Platform, **changes: Any) -> CountingRequest:
    asked = {"name": "one, two, three", "purpose": "arithmetic", "parties": BANKS, **changes}
    return CountingRequest(place.project, datasets=(), **asked)


def test_three_parties_count_to_three(place: Platform, client: Client) -> None:
    job = client.jobs.submit(counting(place))
    assert (job.kind, job.script) == ("counting", "counting/1")
    told = [event.data["round"] for event in client.jobs.watch(job.id) if event.kind == "round"]
    client.jobs.wait(job.id, 120)
    assert told == [1, 2, 3]
    report = client.jobs.report(job.id)
    assert (report["counted"], report["state"], report["kind"]) == (3, "succeeded", "counting")
    page = client.jobs.report_html(job.id)
    for text in ("<h2>one, two, three</h2>", "Rounds run", "完成轮数", "<dd>1, 2, 3</dd>"):
        assert text in page, text
    for text in ("contribute nothing that could be read", "各方不贡献任何可被读取的内容"):
        assert text in page, text
    assert client.jobs.explain(job.id)["counted"] == 3
    verified = verify_ledger(place, client.jobs.bundle(job.id))
    assert verified["verified"], verified


def test_a_request_may_be_the_json_of_a_job_file(place: Platform, client: Client) -> None:
    asked = {
        "kind": "counting", "project": place.project, "name": "two", "purpose": "arithmetic",
        "datasets": [], "parties": list(BANKS), "to": 2,
    }  # fmt: skip
    dry = client.jobs.dry_run(asked)
    assert (dry.spec["kind"], dry.spec["to"]) == ("counting", 2)
    job = client.jobs.submit(asked)
    assert client.jobs.wait(job.id, 120).digest == dry.digest
    assert [one.id for one in client.jobs.list(kind="counting") if one.name == "two"] == [job.id]
    assert not list(client.jobs.list(kind="training"))


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.full), "zh"])
def test_a_policy_decides_on_the_kinds_own_facts(
    place: Platform,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    language: str,
) -> None:
    """The owner's rule is about `to`; of more than three a person is asked, and reads of what."""
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    job = client.jobs.submit(counting(place, to=4))
    config = place.parties["bank-b"].config
    while not (asked := [o for o in api.inbox_list(config, waiting=True) if o["job"] == job.id]):
        time.sleep(0.05)
    command = ["agent", "inbox", "show", asked[0]["id"], "--config", str(config)]
    assert run(command, CLI) == 0
    shown = capsys.readouterr().out
    assert "one, two, three" in shown
    assert "counting to 4" in shown
    assert run(command) != 0  # SecureFlow's own command line knows no such kind
    assert "counting" in capsys.readouterr().err
    checked = ["agent", "check", "--config", str(config)]  # its policy names the kind
    assert run(checked, CLI) == 0
    assert run(checked) != 0
    examined = ["agent", "doctor", "--config", str(config)]
    assert run(examined, CLI) == 0
    assert run(examined) != 0
    client.jobs.cancel(job.id)
    with pytest.raises(SecureFlowError) as caught:
        client.jobs.wait(job.id, 120)
    assert caught.value.code == "cancelled"


def test_the_kinds_rules_are_asked(place: Platform, client: Client) -> None:
    with pytest.raises(SecureFlowError) as caught:
        client.jobs.submit(counting(place, parties=("bank-a",)))
    assert caught.value.code == "contradictory_spec"


@pytest.mark.full
def test_other_centres_know_no_such_kind(place: Platform, client: Client) -> None:
    with pytest.raises(SecureFlowError) as caught:
        client.jobs.submit({"kind": "juggling", "project": place.project})
    assert caught.value.code == "invalid_request"
    for kind in ("training", "statistics", "counting"):
        assert kind in caught.value.message

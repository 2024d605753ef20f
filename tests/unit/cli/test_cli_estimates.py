"""What a job is estimated to take is told in units, to who submits it and to owners."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from unit.engines.psi.world import specified

from secureflow.agent.owner.inbox import item_id
from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import PendingRequest, screen
from secureflow.cli.estimates import time_told
from secureflow.cli.kinds import CLI_KINDS
from secureflow.domain.specs.base import JobSpec, dump, spec_digest
from secureflow.engines.mpc.sharecost import below, share_estimate
from secureflow.engines.psi.estimate import traffic
from secureflow.texts import chinese
from tests.unit.engines.mpc.engine_world import computed
from tests.unit.engines.mpc.world import specified as summed

ROSTER = [{"party": f"bank-{one}", "key": one * 44, "dataset": "d"} for one in "abc"]


def psi(most_rows: int = 1_000_000, **limits: Any) -> Any:
    sides = [
        {"party": one["party"], "key": ["phone"], "most_rows": most_rows} for one in ROSTER[:2]
    ]
    return specified(ROSTER[:2], sides=sides, limits=limits)


def shown(spec: JobSpec, rows: str = "", **changed: Any) -> str:
    """Return the screen on which an owner decides, as one line."""
    facts: dict[str, Any] = {"dataset": "d", "columns": ["phone"], **changed}
    identity = item_id("job_0123456789", spec_digest(spec), facts, (), 1_800_000_000)
    item = InboxItem(
        identity, "job_0123456789", spec_digest(spec), facts, dump(spec), (), "waiting", 1,
        1_800_000_000,
    )  # fmt: skip
    request = PendingRequest(item, {"here": {"rows": rows}})
    return " ".join(" ".join(screen(request, CLI_KINDS, lines=1000)).split())


@pytest.mark.parametrize(
    ("seconds", "english", "chinese_"),
    [(0.15, "0.1 s", "0.1 秒"), (12.3, "12.3 s", "12.3 秒"), (340, "5.7 min", "5.7 分钟"),
     (9000, "2.5 h", "2.5 小时")],
)  # fmt: skip
def test_seconds_are_told_as_people_tell_them(
    monkeypatch: pytest.MonkeyPatch, seconds: float, english: str, chinese_: str
) -> None:
    assert time_told(seconds) == english
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert time_told(seconds) == chinese_


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_a_dry_run_tells_units_and_its_json_plain_numbers(
    cli: Any, centre: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tongue: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", tongue)
    file = tmp_path / "job.json"
    file.write_text(json.dumps({"kind": "mpc", "project": "prj_00000000", "datasets": []}))
    estimate = {"rows": 50_000, "bytes": 803_212_345, "memory_bytes": 640_000_000, "seconds": 340.0}
    details = {"estimate": estimate}
    answer = {"digest": "d" * 64, "spec": {}, "details": details}
    centre.answers["POST /jobs/dry-run"] = (200, answer)
    _, out, _ = cli("job", "submit", str(file), "--dry-run")
    for told in ("803.2 MB", "640.0 MB", "5.7 min" if tongue == "en" else "5.7 分钟"):
        assert told in out
    assert "803212345" not in out
    assert ("estimated_" in out) is (tongue == "en")
    _, out, _ = cli("job", "submit", str(file), "--dry-run", "-o", "json")
    assert json.loads(out)["details"]["estimate"] == estimate


@pytest.mark.parametrize(
    ("tongue", "told", "joined"),
    [("en", "none: this party only computes", "(inner join)"),
     ("zh", "无：本方只参与计算", "（内连接）")],
)  # fmt: skip
def test_a_party_without_data_reads_so_and_a_join_in_words(
    monkeypatch: pytest.MonkeyPatch, tongue: str, told: str, joined: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", tongue)
    assert told in shown(psi(), dataset="", columns=[])
    assert told not in shown(psi())
    assert joined in shown(psi())


@pytest.mark.parametrize("tongue", ["en", "zh"])
def test_so_does_the_catalogue(cli: Any, monkeypatch: pytest.MonkeyPatch, tongue: str) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", tongue)
    asked = ("mpc", "estimate", "joint-sums", "--numbers", "1000000")
    _, out, _ = cli(*asked)
    told = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}
    names = ("traffic", "memory", "time") if tongue == "en" else ("流量", "内存", "用时")
    assert [told[one].split()[1] for one in names] == [
        "MB", "MB", "s" if tongue == "en" else "秒"
    ]  # fmt: skip
    _, out, _ = cli(*asked, "-o", "json")
    assert {"bytes", "memory_bytes", "seconds"} <= set(json.loads(out))


def test_an_owner_is_told_what_it_takes_before_it_decides() -> None:
    assert "up to 34.1 MB between the parties, 840.0 MB of memory, about 7.6 s an attempt" in shown(
        psi()
    )
    assert "Takes" in shown(summed(ROSTER))
    ranked = computed(ROSTER)
    assert "Takes" in shown(ranked, "10k-50k")
    assert "Takes" not in shown(ranked)  # nobody knows how many rows there are


def test_limits_below_the_estimate_are_told_to_the_owner() -> None:
    assert "limits." not in shown(psi(seconds=9, peer_megabytes=traffic(psi()) // (1 << 20) + 1))
    told = shown(psi(seconds=7))
    assert "limits.seconds is 7, and an attempt is estimated at 8 s" in told
    told = shown(psi(peer_megabytes=3))
    assert "limits.peer_megabytes is 3, and a party is estimated to send and receive" in told
    ranked = computed(ROSTER, limits={"seconds": 1, "peer_megabytes": 1})
    told = shown(ranked, "1M-5M")
    assert "limits.seconds is 1" in told
    assert "limits.peer_megabytes is 1" in told
    found = list(below(ranked, share_estimate(ranked, 1_000_000)))
    assert len(found) == 2
    assert all(chinese(one) for one in found)

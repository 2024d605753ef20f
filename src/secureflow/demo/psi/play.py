"""The story of the demo: which customers do a bank and a telco share?

The bank learns which of its rows the telco has too, the telco learns nothing of them; both then ask
for figures over all of their rows, under noise; and the bank asks a second time, which the telco's
own limit refuses. What came of it is compared with both tables, which only this script has.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow.parquet as pq

from secureflow.agent import api
from secureflow.demo.platform import Platform
from secureflow.demo.play import consent, verify_ledger
from secureflow.demo.psi.customers import (
    BANK,
    DELTA,
    KEYS,
    NUMBERS,
    PURPOSE,
    SEGMENT,
    TELCO,
    Customers,
)
from secureflow.demo.psi.engines import PROTOCOLS, EngineName
from secureflow.domain.specs.psi_request import PsiRequest
from secureflow.domain.specs.summed import SummedNoise
from secureflow.sdk import Client, psi_request
from secureflow.texts import Language

EPSILON_OF_JOB: Final = 1.0
MOST_ROWS: Final = 4_500
MINIMUM: Final = 100
AGE, HOURS = NUMBERS
QUERIES: Final = (
    {"name": "customers", "measure": "count", "by": "sex"},
    {"name": "age", "measure": "mean", "columns": [AGE], "by": "sex"},
    {"name": "hours", "measure": "mean", "columns": [HOURS], "by": "sex"},
)

Watch = Callable[[str, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Figure:
    """One number over the rows of both.

    Args:
        name: of its query.
        group: which rows.
        value, margin: as the report has it: what was opened, and half of its 95 % interval.
        pooled: of both tables in one place.
    """

    name: str
    group: str
    value: float
    margin: float
    pooled: float


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Args:
        engine, protocol: that intersected.
        keys: party → how many keys it brought.
        left_out: party → rows without a key of their own: `missing`, `malformed`, `repeated`.
        matched: rows of the bank that the telco has too, as the bank learned.
        right: whether they are those of both tables in one place.
        alike: how many a comparison of the cells as written would have found.
        segments: the bank's segment → how many of the shared.
        sample: the first rows of the bank's file.
        bytes: over the channel, both directions.
        figures: over all rows.
        probing: the telco's limit: `limit`, `tested`, `remaining`, and by which code the second
            question was `refused`.
        seconds: part → from the owners' approval to the report.
        ledger: size, verdict, cosigners.
        files: what is where.
    """

    engine: str
    protocol: str
    keys: Mapping[str, int]
    left_out: Mapping[str, Mapping[str, int]]
    matched: int
    right: bool
    alike: int
    segments: Mapping[str, int]
    sample: tuple[Mapping[str, Any], ...]
    bytes: int
    figures: tuple[Figure, ...]
    probing: Mapping[str, Any]
    seconds: Mapping[str, float]
    ledger: Mapping[str, Any]
    files: Mapping[str, str]

    def line(self) -> str:
        """Return the one line of JSON: counts, no row."""
        fields = {name: value for name, value in asdict(self).items() if name != "sample"}
        return json.dumps({"scenario": "psi", **fields}, ensure_ascii=False, allow_nan=False)


def play(
    platform: Platform,
    customers: Customers,
    engine: EngineName,
    watch: Watch,
    language: Language = "en",
) -> Outcome:
    """Intersect, sum up, ask again, verify; `watch` is called with each step and event."""
    with platform.client(BANK) as client:
        request = _request(platform, client, engine)
        watch("intersection", {})
        job, seconds = _run(platform, client, request, watch)
        shared = _shared(platform, job)
        watch("sums", {})
        sums, summing = _run(platform, client, None, watch)
        watch("again", {})
        refusal = _again(platform, client, request, watch)
        watch("verify", {})
        report = client.jobs.report(job)["intersection"]
        files, ledger = _kept(platform, client, {"report": job, "sums": sums}, language)
        rows = shared["table"]
        return Outcome(
            engine=engine,
            protocol=PROTOCOLS[engine],
            keys=report["keys"],
            left_out={party: _left_out(platform, party, job) for party in platform.parties},
            matched=len(rows),
            right={row["row"] for row in rows} == customers.shared,
            alike=customers.alike,
            segments=dict(sorted(Counter(row[SEGMENT] for row in rows).items())),
            sample=tuple(rows[:3]),
            bytes=sum(one["bytes"] for one in report["channels"]),
            figures=_figures(client.jobs.report(sums)["answers"], customers),
            probing={**_limit(platform), "refused": refusal},
            seconds={"intersection": seconds, "sums": summing},
            ledger=ledger,
            files={"result": shared["path"], **files},
        )


def _request(platform: Platform, client: Client, engine: EngineName) -> PsiRequest:
    datasets = [client.datasets.get(one.dataset_id) for one in platform.parties.values()]
    columns: dict[str, Any] = {BANK: {"key": [KEYS[BANK]], "granted": [SEGMENT]}}
    columns[TELCO] = [KEYS[TELCO]]
    return psi_request(
        platform.project, datasets, key=["phone"], columns=columns, learns=BANK,
        purpose=PURPOSE, name="customers of both", minimum=MINIMUM, most_rows=MOST_ROWS,
        protocol=PROTOCOLS[engine],
    )  # fmt: skip


def _run(
    platform: Platform, client: Client, request: PsiRequest | None, watch: Watch
) -> tuple[str, float]:
    """Have a job (None: the joint sums) approved and ended; return it and its seconds."""
    if request is None:
        datasets = [client.datasets.get(one.dataset_id) for one in platform.parties.values()]
        noise = SummedNoise(delta=DELTA / 10, epsilon=EPSILON_OF_JOB)
        job = client.mpc.joint_sums(
            platform.project, datasets, QUERIES, name="all customers", purpose=PURPOSE,
            privacy=noise,
        ).id  # fmt: skip
    else:
        job = client.jobs.submit(request).id
    watch("submitted", {"job": job})
    consent(platform, job)
    began = time.monotonic()
    for event in client.jobs.watch(job):
        watch(event.kind, event.data)
    client.jobs.wait(job)
    return job, round(time.monotonic() - began, 2)


def _shared(platform: Platform, job: str) -> dict[str, Any]:
    """Return the bank's result: where its file is, and the rows, read as its owner would."""
    found = api.results_show(platform.parties[BANK].config, job)
    return {"path": found["path"], "table": pq.read_table(found["path"]).to_pylist()}


def _again(platform: Platform, client: Client, request: PsiRequest, watch: Watch) -> str:
    """Ask the same again; return the code of the telco's refusal, empty if there was none."""
    job = client.jobs.submit(request).id
    watch("submitted", {"job": job})
    consent(platform, job)
    for event in client.jobs.watch(job):
        if event.kind != "error":  # which is what is shown here
            watch(event.kind, event.data)
    error = client.jobs.get(job).error or {}
    failures = error.get("details", {}).get("failures", {})
    return str(failures.get(TELCO, {}).get("code", ""))


def _limit(platform: Platform) -> dict[str, int]:
    (found,) = api.probing_list(platform.parties[TELCO].config)
    return {name: int(found[name]) for name in ("limit", "tested", "remaining")}


def _left_out(platform: Platform, party: str, job: str) -> dict[str, int]:
    """Return how many rows of a party have no key of their own: told to its owner alone."""
    log = api.log(platform.parties[party].config, job=job)
    facts = next(one["facts"] for one in log if one["action"] == "psi.keys")
    return {name: int(facts[name]["rows"]) for name in ("missing", "malformed", "repeated")}


def _figures(answers: Sequence[Mapping[str, Any]], customers: Customers) -> tuple[Figure, ...]:
    found = []
    for answer in answers:
        for row in answer["rows"]:
            values = customers.pooled(answer["column"] or AGE, row["group"])
            truth = statistics.fmean(values) if answer["column"] else len(values)
            margin = (row["high"] - row["low"]) / 2
            found.append(Figure(answer["name"], row["group"], row["value"], margin, truth))
    return tuple(found)


def _kept(
    platform: Platform, client: Client, jobs: Mapping[str, str], language: Language
) -> tuple[dict[str, str], dict[str, Any]]:
    """Write pages and bundles of the jobs; return where they are, and the verdict on all."""
    files, verdicts = {}, []
    for name, job in jobs.items():
        page = platform.directory / f"{name}.html"
        page.write_text(client.jobs.report_html(job, lang=language))
        bundle = client.jobs.bundle(job)
        beside = "bundle.json" if name == "report" else f"{name}-bundle.json"
        text = json.dumps(bundle, indent=2, ensure_ascii=False)
        (platform.directory / beside).write_text(text)
        verdicts.append(verify_ledger(platform, bundle))
        files[name] = str(page)
    failures = [one for verdict in verdicts for one in verdict.get("failures", ())]
    verified = all(verdict["verified"] for verdict in verdicts)
    return files, {**verdicts[-1], "verified": verified, "failures": failures}

"""The demo's story: a data scientist trains an income model with every bank's consent.

The result is measured as an outsider would: the released model is downloaded, applied to the
official test rows, and the ledger is verified offline against the charter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.agent import api
from secureflow.demo.data import LABEL, demo_features, demo_plan, test_set
from secureflow.demo.platform import Platform
from secureflow.domain.charter import SignedCharter
from secureflow.domain.specs import Protection
from secureflow.engines.ledger.bundle import verify_bundle
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import Client, JobRequest

PURPOSE = "credit scoring"
CONSENT_SECONDS = 60.0

Watch = Callable[[str, dict[str, Any]], None]


@dataclass(frozen=True)
class Outcome:
    """What the demo prints as JSON; `seconds` is the training time, consent to report."""

    accuracy: float
    auc: float
    rounds: int
    seconds: float
    model_digest: str
    ledger: dict[str, Any]
    tee: str
    report: str

    def line(self) -> str:
        """Return the one line of JSON."""
        return json.dumps(asdict(self))


def play(
    platform: Platform, rounds: int, watch: Watch, protection: Protection = "sealed"
) -> Outcome:
    """Submit, consent, train, verify; `watch` is told every event of the job."""
    party = next(iter(platform.parties))
    with platform.client(party) as client:
        job = client.jobs.submit(_request(platform, rounds, protection)).id
        watch("submitted", {"job": job})
        consent(platform, job)
        began = time.monotonic()
        for event in client.jobs.watch(job):
            watch(event.kind, event.data)
        client.jobs.wait(job)
        seconds = time.monotonic() - began
        return _outcome(platform, client, job, seconds)


def consent(platform: Platform, job: str) -> None:
    """Play the owners: wait for the request in each inbox, and approve it there.

    Raises:
        SecureFlowError: `consent_missing` naming the owners whose agents did not ask.
    """
    waiting = dict(platform.parties)
    deadline = time.monotonic() + CONSENT_SECONDS
    while waiting:
        for party, owner in list(waiting.items()):
            for item in api.inbox_list(owner.config, waiting=True):
                if item["job"] == job:
                    api.inbox_approve(owner.config, item["id"], "approved in the demo")
                    del waiting[party]
        if time.monotonic() > deadline:
            raise SecureFlowError(
                "consent_missing",
                f"The agents of {', '.join(waiting)} did not ask for consent to {job}.",
                f"Look at {platform.directory / 'logs'}.",
            )
        time.sleep(0.05)


def verify_ledger(platform: Platform, bundle: dict[str, Any]) -> dict[str, Any]:
    """Verify a job's bundle offline against the charter; return size, verdict and cosigners."""
    charter = SignedCharter.parse(platform.charter_file().read_bytes()).charter
    verdict = verify_bundle(bundle, charter)
    facts = {
        "size": verdict.size,
        "verified": verdict.ok,
        "cosigners": len(verdict.cosigners),
    }
    return facts if verdict.ok else {**facts, "failures": [*verdict.failures, *verdict.missing]}


def accuracy_and_auc(labels: NDArray[np.bool_], scores: NDArray[np.floating]) -> dict[str, float]:
    """Return accuracy at 0.5 and the exact AUC (Mann-Whitney, ties count half)."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = int(labels.sum())
    negatives = len(labels) - positives
    auc = (ranks[labels].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return {"accuracy": float(((scores > 0.5) == labels).mean()), "auc": float(auc)}


def _request(platform: Platform, rounds: int, protection: Protection) -> JobRequest:
    datasets = tuple(owner.dataset_id for owner in platform.parties.values())
    return JobRequest(
        project=platform.project,
        name="income",
        purpose=PURPOSE,
        datasets=datasets,
        features=demo_features(),
        plan=demo_plan(rounds),
        protection=protection,
    )


def _outcome(platform: Platform, client: Client, job: str, seconds: float) -> Outcome:
    report = client.jobs.report(job)
    bundle = client.jobs.bundle(job)
    model = client.models.load(report["model"]["id"])
    rows = test_set()
    score = accuracy_and_auc(rows[LABEL.column] == LABEL.positive, model.predict_proba(rows)[:, 1])
    for name, text in _files(client, job, report, bundle):
        (platform.directory / name).write_text(text)
    return Outcome(
        accuracy=round(score["accuracy"], 4),
        auc=round(score["auc"], 4),
        rounds=report["rounds"],
        seconds=round(seconds, 2),
        model_digest=report["model"]["digest"],
        ledger=verify_ledger(platform, bundle),
        tee=report["tee"],
        report=str(platform.directory / "report.html"),
    )


def _files(
    client: Client, job: str, report: dict[str, Any], bundle: dict[str, Any]
) -> Iterator[tuple[str, str]]:
    yield "report.html", client.jobs.report_html(job)
    yield "report.json", json.dumps(report, indent=2, ensure_ascii=False)
    yield "bundle.json", json.dumps(bundle, indent=2, ensure_ascii=False)

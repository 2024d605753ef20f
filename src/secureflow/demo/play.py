"""The demo's story: a data scientist trains a model with every owner's consent.

The result is measured as by an outsider: the released model is downloaded and applied to rows that
nobody trained on, and the ledger is verified offline against the charter.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secureflow.agent import api
from secureflow.application.reports.anchored import anchored_view
from secureflow.demo import page
from secureflow.demo.comparison import Comparison, Line, compare
from secureflow.demo.platform import Platform
from secureflow.demo.study import Study
from secureflow.domain.charter import SignedCharter
from secureflow.domain.specs.protections import ProtectionName
from secureflow.engines.anchors.bundled import verify_anchored
from secureflow.engines.ledger.bundle import BundleVerdict
from secureflow.engines.training.export import ModelFile, model_digest
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk import Client, TrainingRequest
from secureflow.texts import Language

CONSENT_SECONDS = 60.0
TELL_SECONDS = 8.0
"""In which the owners' agents tell the centre what is at the place."""
MODEL = "model.safetensors"

Watch = Callable[[str, dict[str, Any]], None]
Settling = Callable[[Client, str], dict[str, Any]]
"""Settles a job, by a client of the first owner."""


@dataclass(frozen=True)
class Outcome:
    """What the demo prints as JSON.

    Args:
        accuracy: of the released model on the test rows.
        auc: likewise.
        rounds: how many were run.
        seconds: time from consent to report.
        protection: how single updates were hidden.
        model_digest: hex BLAKE3 of the released parameters.
        ledger: size, verdict and cosigners of the verified ledger.
        tee: the enclave's TEE; empty if none took part.
        report: the HTML page.
        comparison: each owner alone, all together, all rows in one place.
        study: what was trained on, in short.
        anchors: what was found at the place where the owners anchored (`demo.anchoring`).
        settlement: what the job would be worth to each owner (`demo.settling`); empty without one.
    """

    accuracy: float
    auc: float
    rounds: int
    seconds: float
    protection: str
    model_digest: str
    ledger: dict[str, Any]
    tee: str
    report: str
    comparison: Comparison
    study: Study
    anchors: dict[str, Any] = field(default_factory=lambda: {"make": "none"})
    settlement: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the one line of JSON: figures without the curves."""
        fields = {
            name: getattr(self, name)
            for name in ("accuracy", "auc", "rounds", "seconds", "protection", "model_digest")
        }
        lines, found = self.comparison.alone, self.comparison
        fields |= {"ledger": self.ledger, "tee": self.tee, "report": self.report}
        fields |= {"anchors": self.anchors, "settlement": self.settlement}
        fields |= {
            "test_rows": found.test_rows,
            "alone": {
                share.party: {
                    "rows": share.rows,
                    "positive": round(share.positives, 4),
                    **_figures(lines[share.party]),
                }
                for share in self.study.shares
            },
            "federated": _figures(found.together),
            "pooled": _figures(found.pooled),
            "gain": {"over": found.best_alone, **_rounded(asdict(found.gain))},
        }
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)


def play(
    platform: Platform,
    study: Study,
    watch: Watch,
    protection: ProtectionName = "sealed+secagg",
    language: Language = "en",
    anchored: Callable[[], dict[str, Any]] = lambda: {"make": "none"},
    settled: Settling = lambda _client, _job: {},
) -> Outcome:
    """Submit, consent, train, settle, verify, compare; `watch` gets every event of the job."""
    party = next(iter(platform.parties))
    with platform.client(party) as client:
        job = client.jobs.submit(_request(platform, study, protection)).id
        watch("submitted", {"job": job})
        consent(platform, job)
        began = time.monotonic()
        for event in client.jobs.watch(job):
            watch(event.kind, event.data)
        client.jobs.wait(job)
        seconds = time.monotonic() - began
        watch("settling", {})
        settlement = settled(client, job)  # before the comparison, during which places keep it
        watch("comparing", {})
        made = _compared(platform, study, client, job, seconds)
        anchors = anchored()
        bundle = _told_bundle(platform, client, job, anchors)
        report = client.jobs.report(job)
        for name, text in _files(platform, report, bundle, made, language):
            (platform.directory / name).write_text(text)
    return replace(
        made, ledger=verify_ledger(platform, bundle), anchors=anchors, settlement=settlement
    )


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
                Text(
                    "The agents of {waiting} did not ask for consent to {job}.",
                    waiting=", ".join(waiting),
                    job=job,
                ),
                Text("See {directory}.", directory=platform.directory / "logs"),
            )
        time.sleep(0.05)


def verify_ledger(platform: Platform, bundle: dict[str, Any]) -> dict[str, Any]:
    """Verify a job's bundle offline against the charter; return size, verdict and cosigners."""
    verdict = _verdict(platform, bundle)
    facts = {
        "size": verdict.size,
        "verified": verdict.ok,
        "cosigners": len(verdict.cosigners),
    }
    return facts if verdict.ok else {**facts, "failures": [*verdict.failures, *verdict.missing]}


def _verdict(platform: Platform, bundle: dict[str, Any]) -> BundleVerdict:
    charter = SignedCharter.parse(platform.charter_file().read_bytes()).charter
    return verify_anchored(bundle, charter)


def _told_bundle(
    platform: Platform, client: Client, job: str, anchors: dict[str, Any]
) -> dict[str, Any]:
    """Return the bundle, once every owner has told the centre of a head that it anchored."""
    deadline = time.monotonic() + TELL_SECONDS
    while True:
        bundle = client.jobs.bundle(job)
        if anchors["make"] == "none" or time.monotonic() > deadline:
            return bundle
        told = {one.member for one in _verdict(platform, bundle).anchors if one.covers}
        if told >= set(platform.parties):
            return bundle
        time.sleep(0.2)


def released_models(
    platform: Platform, bundle: dict[str, Any]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (round, parameters) of each training round, from the operator's own store.

    The ledger names the model of every round; the address of an unsealed one is its digest.
    """
    for entry in bundle["entries"]:
        document = entry.get("document") or {}
        if entry["leaf"]["leaf"]["kind"] != "round.closed" or document.get("stage") != "train":
            continue
        digest = document["release"]["model"]
        path = platform.server / "artifacts" / digest[:2] / digest
        if path.is_file():
            parameters = np.frombuffer(path.read_bytes(), np.dtype("<f4")).astype(np.float32)
            if model_digest(parameters) == digest:
                yield int(document["round"]), parameters


def _request(platform: Platform, study: Study, protection: ProtectionName) -> TrainingRequest:
    datasets = tuple(owner.dataset_id for owner in platform.parties.values())
    return TrainingRequest(
        project=platform.project,
        name=study.title,
        purpose=study.purpose,
        datasets=datasets,
        features=study.features,
        plan=study.plan,
        protection=protection,
    )


def _compared(
    platform: Platform, study: Study, client: Client, job: str, seconds: float
) -> Outcome:
    report, bundle = client.jobs.report(job), client.jobs.bundle(job)
    path = client.models.download(report["model"]["id"], platform.directory / MODEL)
    model = ModelFile.from_bytes(path.read_bytes())
    released = dict(released_models(platform, bundle)) | {report["rounds"]: model.weights}
    comparison = compare(study, released, model.moments)
    return Outcome(
        accuracy=round(comparison.together.score.accuracy, 4),
        auc=round(comparison.together.score.auc, 4),
        rounds=report["rounds"],
        seconds=round(seconds, 2),
        protection=report["protection"],
        model_digest=report["model"]["digest"],
        ledger={},
        tee=report["tee"],
        report=str(platform.directory / "report.html"),
        comparison=comparison,
        study=study,
    )


def _files(
    platform: Platform,
    report: dict[str, Any],
    bundle: dict[str, Any],
    made: Outcome,
    language: Language,
) -> Iterator[tuple[str, str]]:
    shown = {**report, "anchored": anchored_view(_verdict(platform, bundle).anchors)}
    yield "report.html", page.render(shown, made.study, made.comparison, language)
    yield "report.json", json.dumps(report, indent=2, ensure_ascii=False)
    yield "bundle.json", json.dumps(bundle, indent=2, ensure_ascii=False)


def _figures(line: Line) -> dict[str, Any]:
    best = round(line.best, 4)
    return {**_rounded(asdict(line.score)), "best_round": best, "orders": _rounded(line.orders)}


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(part) for name, part in value.items()}
    return [round(part, 4) for part in value] if isinstance(value, tuple) else round(value, 4)

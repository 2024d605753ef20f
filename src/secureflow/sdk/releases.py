"""What a job's rounds released, by its log: the model that another job goes on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from secureflow.domain.specs.training import Resume
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def release_of(bundle: Mapping[str, Any], job: str, number: int | None = None) -> Resume:
    """Return the member `resume` of a job that goes on from another one.

    Args:
        bundle: the audit bundle of the job that released models.
        job: its id.
        number: the round; None for the one whose model the job ended with: the kept one, else the
            last.

    Raises:
        SecureFlowError: `not_found`.
    """
    from secureflow.engines.training.kind import TRAINING_ENGINE  # only training releases models

    models = {
        document["round"]: str(document["release"]["model"])
        for document in _documents(bundle, "round.closed")
        if document.get("stage") == TRAINING_ENGINE.contributing
        and (document.get("release") or {}).get("model")
    }
    if number is None:
        ends = (one.get("kept_round") for one in _documents(bundle, "job.finished"))
        number = next(filter(None, ends), None) or max(models, default=None)
    if number is not None and number in models:
        return Resume(job, number, models[number])
    if number is None:
        message = Text("Job {job} released no model.", job=job)
    else:
        message = Text("Job {job} released no model in round {number}.", job=job, number=number)
    raise SecureFlowError("not_found", message, Text("secureflow job report {job}", job=job))


def _documents(bundle: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    for entry in bundle["entries"]:
        document = entry.get("document")
        if isinstance(document, Mapping) and entry["leaf"]["leaf"]["kind"] == kind:
            yield document

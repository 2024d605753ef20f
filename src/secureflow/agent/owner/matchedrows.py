"""Which of this organisation's rows matched in an intersection, kept for later steps of a pipeline.

A *selection* is a file of row numbers (int64, little-endian, from 0), in the order of the keys that
matched: so the n-th row of one party is the n-th of any other. It lies where no worker sees it,
`models/PIPELINE.held/INTERSECTION.rows` with mode 0600, from the intersection's end until the
pipeline is over. It is in no backup: a restored agent takes part in no older job.

What leaves this agent is the *digest* of a selection: an HMAC under a key that only this agent
derives, from the pipeline's secret, over party, intersection, the published version of the data,
and the file. Nobody else can test a guess against it, and it is compared before each use.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.jobfiles import SELECTION, held_folder, take
from secureflow.agent.record.records import JobRecord
from secureflow.agent.record.store import RecordStore
from secureflow.agent.settings import AgentSettings
from secureflow.domain.specs.matchedrows import MATCHED
from secureflow.engines.run.kept import KEPT
from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.canonical import canonical_bytes
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

ENDING: Final = ".rows"
PLACE_BYTES: Final = 8
SELECTED: Final = "selected"
"""The member of what is kept of an intersection, and of its figures, that holds the digest."""


def taken_of(whole: JobRecord | None, step: str | None) -> bool:
    """Tell whether a later step of an approved pipeline takes the rows that match in a step."""
    steps: Any = () if whole is None else whole.spec.get("steps", ())
    edges = (edge for one in steps for edge in one.get("takes", ()))
    return any((edge["input"], edge["step"]) == (MATCHED, step) for edge in edges)


def selection_file(settings: AgentSettings, whole: str, part: str) -> Path:
    """Return where the selection of an intersection is kept for its pipeline."""
    return held_folder(settings.models, whole) / f"{part}{ENDING}"


def keep_selection(
    settings: AgentSettings, whole: JobRecord, part: str, data: str, written: Path, count: int
) -> str:
    """Keep what a worker wrote of an intersection's matches; return its digest.

    Args:
        settings: the agent's.
        whole: the pipeline.
        part: the job of the intersection.
        data: the commitment to the published version of the data, hex.
        written: the worker's file, which is emptied.
        count: how many rows match.

    Raises:
        SecureFlowError: `worker_failed` for a file of another length.
        InfrastructureError: `disk_full`.
    """
    path, party = selection_file(settings, whole.job, part), settings.organisation
    fresh = path.with_name(path.name + ".next")
    with writing(Place(path.parent, "model files", party), PLACE_BYTES * count):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if take(written, fresh, PLACE_BYTES * count) != PLACE_BYTES * count:
            raise SecureFlowError(
                "worker_failed",
                Text("The worker of {party} has not written what it says it wrote.", party=party),
                "See the agent's log; if it happens again, report it with the job's spec.",
            )
        if not count:
            fresh.touch(0o600)  # its worker may have written none
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
        flush_directory(path.parent)
    return _digest(whole, part, party, data, path)


def selected_in(store: RecordStore, part: str) -> str:
    """Return the digest of the selection that this party committed to; "" if it keeps none."""
    leaf = store.leaf_of(part, KEPT)
    document: Mapping[str, Any] = {} if leaf is None else leaf.bundle.get("document") or {}
    return str(document.get(SELECTED, ""))


def place_selection(
    settings: AgentSettings, store: RecordStore, job: str, spec: Mapping[str, Any], data: str
) -> None:
    """Put the rows that a step computes on where its worker reads them, after comparing them.

    Args:
        settings: the agent's.
        store: its record.
        job: the step's.
        spec: its approved spec.
        data: the commitment to the data that is about to be read, hex.

    Raises:
        SecureFlowError: `matched_rows_missing`, `matched_rows_altered`, naming this party.
    """
    rows, party = spec["rows"], settings.organisation
    whole = store.job(str((spec.get("part_of") or {}).get("job", "")))
    digest = {one["party"]: one["digest"] for one in rows["selections"]}.get(party, "")
    if whole is None or whole.outcome or not digest:
        raise _missing(party, rows["job"])
    path = selection_file(settings, whole.job, rows["job"])
    place = settings.models / job / SELECTION
    with writing(Place(place.parent, "model files", party)):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise _missing(party, rows["job"]) from None
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(place, content)
    # The copy is compared: nothing can be put in its place meanwhile.
    if not hmac.compare_digest(_digest(whole, rows["job"], party, data, place), digest):
        place.unlink()
        raise SecureFlowError(
            "matched_rows_altered",
            Text(
                "What {party} keeps of the rows that matched in {part} is not what it signed, or "
                "its data is another version.",
                party=party,
                part=rows["job"],
            ),
            Text(
                "Somebody has changed {path} or the dataset at {party}: submit the pipeline again.",
                path=path.name,
                party=party,
            ),
            {"party": party},
        )


def forget_rows(settings: AgentSettings, job: str) -> None:
    """Remove the selections of a pipeline that is over, and what a step of one was given."""
    held = held_folder(settings.models, job)
    for path in (*held.glob(f"*{ENDING}"), *held.glob(f"*{ENDING}.next")):
        path.unlink(missing_ok=True)
    (settings.models / job / SELECTION).unlink(missing_ok=True)


def _digest(whole: JobRecord, part: str, party: str, data: str, path: Path) -> str:
    """Return the digest of a selection; see the module's text."""
    key = derive(whole.secret, 32, "matched rows", part=part)
    told = {"v": 1, "party": party, "part": part, "data": data, "rows": file_digest(path).hex()}
    return hmac.new(key, canonical_bytes(told), "sha256").hexdigest()


def _missing(party: str, part: str) -> SecureFlowError:
    return SecureFlowError(
        "matched_rows_missing",
        Text("{party} no longer keeps which of its rows matched in {part}.",
             party=party, part=part),
        "They are kept until the pipeline is over: submit it again.",
        {"party": party},
    )  # fmt: skip

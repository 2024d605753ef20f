"""The model of another job's round that a job starts from: the log has to say that it was released.

A spec names it by digest. Owners are shown the job and the round that it is said to come from, and
the model's card keeps both.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from secureflow.application.jobs.kind import Start
from secureflow.application.ports.ledger import Ledger
from secureflow.engines.ledger.ends import SERVER
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

Released = Callable[[str, str], Awaitable[Mapping[int, str]]]
"""Returns, of a job and a stage, the digest of the model that each round released."""


async def released_models(ledger: Ledger, job: str, stage: str) -> Mapping[int, str]:
    """Return the digests by round, as the centre recorded them when it closed the rounds."""
    found: dict[int, str] = {}
    for entry in await ledger.job_leaves(job):
        document = entry.document
        closed = (entry.job, entry.author, entry.kind) == (job, SERVER, "round.closed")
        if not closed or not isinstance(document, Mapping):
            continue
        model = document["release"].get("model")
        if document["stage"] == stage and isinstance(model, str):
            found[document["round"]] = model
    return found


async def check_released(start: Start, released: Released) -> None:
    """Refuse a start that the named job's round did not release.

    Raises:
        SecureFlowError: `not_found`.
    """
    model = (await released(start.job, start.stage)).get(start.round)
    if model == start.model:
        return
    if model is None:
        message = Text(
            "Job {job} released no model in round {number}.", job=start.job, number=start.round
        )
    else:
        message = Text(
            "Job {job} released the model {model} in round {number}, not {other}.",
            job=start.job,
            model=model,
            number=start.round,
            other=start.model,
        )
    raise SecureFlowError(
        "not_found",
        message,
        Text(
            "secureflow job submit FILE --from {job}@ROUND takes the model of a round that it "
            "released; secureflow job report {job} -o json shows how many there were.",
            job=start.job,
        ),
    )

"""Work whose result stays with each party: they are asked once, and the log gets commitments.

A party answers when its result is on its disk, with a leaf whose document stays there: the centre
sees a salted commitment. A repeated request is answered from the party's record.
"""

from __future__ import annotations

from typing import Any, Final, TypeVar

from secureflow.engines.run.asking import Answers, ask
from secureflow.engines.run.messages import KeepReply, KeepRequest, Leaves, StoredModel
from secureflow.engines.run.run import (
    Course,
    leaf_entries,
    record,
    report_dropouts,
)
from secureflow.engines.script import Script
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

KEPT: Final = "kept"
"""The kind of the leaf by which a party commits to what it keeps."""
RECEIVED: Final = "received"
"""The kind of the leaf by which a party commits to what others handed over to it."""
L = TypeVar("L", bound=Leaves)


def ask_to_keep(
    course: Course[Any], stage: str, model: StoredModel | None
) -> Script[Answers[KeepReply]]:
    """Have all parties compute what they keep, and record their leaves.

    Args:
        course: the running job.
        stage: of the work.
        model: what it starts from, if from anything.

    Returns:
        The answers of those that are done; the failures of the others, which dropped out.
    """
    request = KeepRequest(**course.named, model=model, head=course.ledger.note)
    asked = yield from ask(course.parties, request, need=0, patience=course.patience)
    done: Answers[KeepReply] = Answers({}, dict(asked.failures))
    for party, reply in asked.replies.items():
        try:
            course.ledger.waiting += leaf_entries(course, party, committing(party, reply, KEPT))
        except SecureFlowError as error:
            done.failures[party] = error.as_json()
        else:
            done.replies[party] = reply
            course.contributed.rounds[party] = 1
    course.drop(1, stage, done.failures)
    document = {
        "stage": stage,
        "model": None if model is None else model.digest,
        "parties": sorted(done.replies),
    }
    yield from record(course, [{"kind": "results.kept", "document": document}])
    yield from report_dropouts(course)
    return done


def committing(party: str, reply: L, kind: str) -> L:
    """Return an answer whose own leaf is of this kind: the party keeps something.

    Raises:
        SecureFlowError: `malformed_reply`.
    """
    body = (reply.leaf or {}).get("leaf")
    if isinstance(body, dict) and body.get("kind") == kind:
        return reply
    raise SecureFlowError(
        "malformed_reply",
        Text("{party} does not commit to what it keeps.", party=party),
        "Its agent is faulty or of another version: ask the organisation.",
        {"party": party},
    )

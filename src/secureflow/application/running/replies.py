"""The shapes of parties' answers: one of another shape is that party's failure.

A script reads answers after they were journalled, so a defect that one provokes there would stop
the job for everybody and say nobody's name. What an answer *means* (signatures, digests) is the
script's to judge.
"""

from __future__ import annotations

from secureflow.engines.run.messages import REPLIES, Empty, read_reply
from secureflow.kit.canonical import JSON


def checked_reply(verb: str, party: str, reply: JSON) -> dict[str, JSON]:
    """Return a party's reply as it came, if it has the shape of an answer to the verb.

    Raises:
        SecureFlowError: `malformed_reply` naming the party and the member.
    """
    read_reply(REPLIES.get(verb, Empty), party, verb, reply)
    body: dict[str, JSON] = reply
    return body

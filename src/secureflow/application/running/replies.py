"""The schemas of parties' answers: a malformed answer is that party's failure.

A script reads answers after they were journalled, so an exception there would stop the job for
everyone without naming the party. The *meaning* of an answer (signatures, digests) is checked by
the script.
"""

from __future__ import annotations

from secureflow.engines.run.messages import REPLIES, Empty, read_reply
from secureflow.kit.canonical import JSON


def checked_reply(verb: str, party: str, reply: JSON) -> dict[str, JSON]:
    """Check that a party's reply fits the verb's schema, and return it unchanged.

    Raises:
        SecureFlowError: `malformed_reply` naming the party and the member.
    """
    read_reply(REPLIES.get(verb, Empty), party, verb, reply)
    body: dict[str, JSON] = reply
    return body

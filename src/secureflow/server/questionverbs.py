"""Verbs about questions: an agent asks a job's submitter, and fetches the answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from secureflow.adapters.link import PeerIdentity
from secureflow.application.organisations import ENCLAVE
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.server.services import Services

Body = Mapping[str, JSON]
MAX_JOBS: Final = 100
_KEY: Final = re.compile(r"[0-9a-f]{32}")


async def ask(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Take a question of an organisation about a job that waits at its agent."""
    job, key, text = body.get("job"), body.get("key"), body.get("text")
    if not isinstance(job, str) or not isinstance(text, str) or not isinstance(key, str):
        raise _invalid()
    if not _KEY.fullmatch(key):
        raise _invalid()
    await services.questions.ask(_organisation(peer), job[:64], key, text)
    return {}


async def answers(services: Services, peer: PeerIdentity, body: Body) -> JSON:
    """Return what was answered to the organisation's questions about jobs."""
    jobs = body.get("jobs")
    if not isinstance(jobs, list) or len(jobs) > MAX_JOBS:
        raise _invalid()
    named = [one[:64] for one in jobs if isinstance(one, str)]
    found = await services.questions.answered(_organisation(peer), named)
    return {
        "answers": [
            {"job": one.job, "key": one.key, "text": one.answer, "by": one.by} for one in found
        ]
    }


def _organisation(peer: PeerIdentity) -> str:
    if peer.party == ENCLAVE:
        raise SecureFlowError("forbidden", "An enclave asks no questions.")
    return peer.party


def _invalid() -> SecureFlowError:
    return SecureFlowError("invalid_request", "The message about questions is malformed.")

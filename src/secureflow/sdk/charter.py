"""The charter as the server distributes it. Pinning it is up to the agents."""

from __future__ import annotations

from collections.abc import Sequence

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation
from secureflow.sdk.views import PublishedCharter


class CharterResource(Resource[D_co]):
    """The current charter and the candidate for the next version."""

    @operation
    def get(self) -> Call[PublishedCharter]:
        """Return the current charter."""
        return verbs.get("/charter", PublishedCharter)

    @operation
    def candidate(self) -> Call[PublishedCharter]:
        """Return the candidate that waits for signatures."""
        return verbs.get("/charter/candidate", PublishedCharter)

    @operation
    def draft(self, members: Sequence[str] | None = None) -> Call[PublishedCharter]:
        """Propose the next version; by default with every enrolled organisation."""
        body = {} if members is None else {"members": list(members)}
        return verbs.post("/charter/candidate", body, answers.value(PublishedCharter))

    @operation
    def draft_continuation(self) -> Call[PublishedCharter]:
        """Draft the charter that lets a log that was rolled back continue."""
        return verbs.post("/charter/continuation", {}, answers.value(PublishedCharter))

    @operation
    def change_log_key(self, reason: str) -> Call[PublishedCharter]:
        """Draft the charter that names the log's next key; the log is held until it is decided."""
        return verbs.post("/charter/log-key", {"reason": reason}, answers.value(PublishedCharter))

    @operation
    def give_up_log_key(self) -> Call[None]:
        """Drop the key that was proposed for the log."""
        return verbs.delete("/charter/log-key")

    @operation
    def sign(self, organisation: str, digest: str, signature: str) -> Call[PublishedCharter]:
        """Submit an organisation's signature (agents do this themselves)."""
        body = {"organisation": organisation, "digest": digest, "signature": signature}
        return verbs.post("/charter/signatures", body, answers.value(PublishedCharter))

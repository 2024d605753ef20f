"""The ledger as the server shows it; `engines.ledger` verifies it offline."""

from __future__ import annotations

from typing import Any

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation


class Audit(Resource[D_co]):
    """Heads, entries and proofs of the transparency log."""

    @operation
    def head(self) -> Call[dict[str, Any]]:
        """Return the newest signed checkpoint with its cosignatures."""
        return verbs.read("/audit/head", answers.document)

    @listing
    def entries(self, job: str = "", start: int = 0) -> Call[Page[dict[str, Any]]]:
        """Iterate over the log's entries from an index, optionally of one job."""
        return verbs.pages("/audit/entries", dict[str, Any], job=job, start=start)

    @operation
    def inclusion(self, index: int, size: int) -> Call[dict[str, Any]]:
        """Return the proof that the entry is in the tree of this size (RFC 9162, 2.1.3)."""
        return verbs.read("/audit/inclusion", answers.document, index=index, size=size)

    @operation
    def consistency(self, old: int, new: int) -> Call[dict[str, Any]]:
        """Return the proof that the old tree is a prefix of the new one (RFC 9162, 2.1.4)."""
        return verbs.read("/audit/consistency", answers.document, old=old, new=new)

    @operation
    def bundle(self, job: str) -> Call[dict[str, Any]]:
        """Return one job's audit bundle."""
        return verbs.read_large("/audit/bundle", answers.document, job=job)

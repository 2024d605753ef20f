"""The ledger as the server shows it; `engines.ledger` verifies it offline."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from secureflow.kit.reading import objects
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.consoleviews import AttestationList


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
    def search(
        self,
        kind: str = "",
        author: str = "",
        job: str = "",
        since: int = 0,
        until: int = 0,
        most: int = 100,
    ) -> Generator[Any, Any, list[dict[str, Any]]]:
        """Return entries that the caller may see, the newest first.

        Args:
            kind: exact, or what it begins with if it ends with a full stop (`job.`).
            author, job: of the entries.
            since, until: unix seconds, the latter exclusive; 0 for any.
            most: how many.
        """
        found: list[dict[str, Any]] = []
        before = 0
        while len(found) < most:
            page = yield from verbs.read(
                "/audit/search", answers.document, kind=kind, author=author, job=job,
                since=since, until=until, before=before, limit=min(500, most - len(found)),
            )  # fmt: skip
            found += map(dict, objects(page.get("items")))
            following = page.get("next")
            if not isinstance(following, int) or not following > 0 or following == before:
                break
            before = following
        return found

    @operation
    def attestations(self, party: str = "", before: int = 0) -> Call[AttestationList]:
        """Return agents' verdicts on the enclave, newest first; `next` is the next `before`."""
        return verbs.get("/attestations", AttestationList, party=party, before=before)

    @operation
    def inclusion(self, index: int, size: int) -> Call[dict[str, Any]]:
        """Return the proof that the entry is in the tree of this size (RFC 9162, 2.1.3)."""
        return verbs.read("/audit/inclusion", answers.document, index=index, size=size)

    @operation
    def consistency(self, old: int, new: int) -> Call[dict[str, Any]]:
        """Return the proof that the old tree is a prefix of the new one (RFC 9162, 2.1.4)."""
        return verbs.read("/audit/consistency", answers.document, old=old, new=new)

    @operation
    def bundle(self, job: str, *, anchors: bool = True) -> Call[dict[str, Any]]:
        """Return one job's audit bundle.

        Args:
            job: job id.
            anchors: with what members say they anchored; older verifiers refuse such a bundle.
        """
        part = {} if anchors else {"anchors": "false"}
        return verbs.read_large("/audit/bundle", answers.document, job=job, **part)

"""Which leaves a search of the log looks for; each filter that narrows much has an index."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from secureflow.adapters.database.tables import LOG_LEAVES


def leaf_conditions(
    kind: str, author: str, job: str, times: tuple[int, int], before: int
) -> Iterator[sa.ColumnElement[bool]]:
    """Yield the conditions of a search (`application.ports.ledger.Ledger.search`).

    Args:
        kind, author, job: of leaves; "" for any, and a kind that ends with a full stop begins so.
        times: unix seconds from and until; 0 for any.
        before: leaves with a smaller number; 0 for any.
    """
    leaves = LOG_LEAVES.c
    since, until = times
    if kind.endswith("."):
        yield leaves.kind.startswith(kind, autoescape=True)
    elif kind:
        yield leaves.kind == kind
    if author:
        yield leaves.author == author
    if job:
        yield leaves.job == job
    if since:
        yield leaves.at >= since
    if until:
        yield leaves.at < until
    if before:
        yield leaves.number < before

"""Requests for private set intersections: `client.jobs.submit(psi_request(…))`, or `dry_run`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.psi import Join, PsiProtocol
from secureflow.domain.specs.psi_request import PsiRequest


def psi_request(
    project: str,
    datasets: Sequence[Dataset],
    *,
    key: Sequence[str | Mapping[str, str]],
    columns: Mapping[str, Sequence[str] | Mapping[str, Any]],
    learns: str,
    purpose: str,
    name: str = "intersection",
    receiver: str | None = None,
    join: Join = "inner",
    protocol: PsiProtocol | None = None,
    minimum: int = 0,
    size_first: bool = False,
    tells_size: bool = False,
    most_rows: int | None = None,
    attempts: int = 3,
) -> PsiRequest:
    """Return a request: which rows of several owners have equal keys, and who learns it.

    What comes of it stays with whoever learns it: `secureflow agent results`. The report has
    counts, the bytes of each channel, and the protocol's label.

    Args:
        project: id of the project.
        datasets: one granted dataset of each party.
        key: how the columns of the key are normalised, one for each: `none`, `trim`, `case`,
            `phone`, `id_card`, `email`; or `{"rule": "phone", "country": "DE"}`.
        columns: party → its columns of the key, in that order; or with columns beside the key:
            `{"key": ["phone"], "granted": ["segment"]}`.
        learns: the party that learns which keys match, `all`, or `size`.
        purpose: what the result is for, as granted.
        name: name of the job.
        receiver: who learns the size; or, where all of more than two learn, who runs the protocol
            with each of the others.
        join: which rows stand in a result.
        protocol: `rr22`, `kkrt`, `ecdh` or `openmined`; by default the fastest that fits.
        minimum: the smallest intersection that may be shown.
        size_first: whether the party that does not receive learns the size first.
        tells_size: whether the report tells everybody how many keys match, by which the keys of
            every party are tested against the others' data.
        most_rows: the most keys that a party may bring.
        attempts: how often it may be begun.

    Raises:
        SecureFlowError: `invalid_request` naming the field.
    """
    sides = {
        party: dict(one) if isinstance(one, Mapping) else {"key": list(one)}
        for party, one in columns.items()
    }
    body = {
        "kind": "psi", "project": project, "name": name, "purpose": purpose,
        "datasets": [one.id for one in datasets], "key": list(key), "columns": sides,
        "learns": learns, "receiver": receiver, "join": join, "protocol": protocol,
        "minimum": minimum or None, "size_first": size_first or None,
        "tells_size": tells_size or None,
        "most_rows": most_rows, "attempts": attempts,
    }  # fmt: skip
    return parse(PsiRequest, body, "request")

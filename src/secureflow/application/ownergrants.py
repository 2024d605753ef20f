"""Grants that owners made at their agents, as the centre knows them: it shows them, no more.

Each is signed under its organisation's key; the centre checks that, so nobody lists a grant in
another's name, and keeps what was signed for auditors. Visibility follows it as any other grant.
Whether a job may run is decided by the agent's own copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from secureflow.application.access import missing
from secureflow.application.listing import list_complete, list_readable
from secureflow.application.ports.storage import UnitOfWork
from secureflow.application.transactions import Transaction
from secureflow.domain.datasets import Dataset, Grant
from secureflow.domain.grants import KIND, REVOKED, GrantTerms, read_terms
from secureflow.domain.ids import new_id
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.crypto import verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

MOST: Final = 1000
"""Grants of one answer to an agent, the newest."""


async def told(
    transaction: Transaction,
    organisation: str,
    keys: frozenset[str],
    body: Mapping[str, JSON],
    signature: str,
    now: int,
) -> tuple[Grant, bool]:
    """Take a grant that an organisation made at its agent; return it, and whether it is new.

    Args:
        transaction: of the caller.
        organisation: whose agent says so.
        keys: its signing keys.
        body: what it signed.
        signature: of kind `grant`.
        now: unix seconds.

    Raises:
        SecureFlowError: `grant_forged`, `invalid_grant`, `not_found`.
    """
    _check_signed(KIND, organisation, keys, body, signature)
    local = str(body.get("grant", ""))
    if local != digest({**body, "grant": ""}):
        raise _forged(organisation)
    terms = read_terms(body.get("terms"), now)
    work = transaction.work
    dataset = await _dataset(work, organisation, terms.dataset)
    known = await _of_agent(work, dataset, local, str(body.get("proposal", "")))
    if known is not None and known.local:
        return known, False
    grant = Grant(
        id=known.id if known else new_id("grt"),
        dataset=dataset.id,
        organisation=organisation,
        project=terms.project,
        columns=terms.columns,
        purposes=terms.purposes,
        granted_by=known.granted_by if known else "agent",
        created=known.created if known else now,
        expires=terms.expires,
        revoked=known.revoked if known else None,
        terms=terms,
        local=local,
    )
    await (work.grants.save(grant) if known else work.grants.add(grant))
    return grant, known is None


async def ended(
    transaction: Transaction,
    organisation: str,
    keys: frozenset[str],
    body: Mapping[str, JSON],
    signature: str,
    now: int,
) -> Grant | None:
    """Take back a grant that an organisation revoked at its agent; None if it is not known here.

    Raises:
        SecureFlowError: `grant_forged`.
    """
    _check_signed(REVOKED, organisation, keys, body, signature)
    work, local, proposal = transaction.work, str(body.get("grant")), str(body.get("proposal"))
    for grant in await list_readable(work.grants, organisation=organisation):
        if (grant.local == local or grant.id == proposal) and grant.revoked is None:
            revoked = replace(grant, revoked=now)
            await work.grants.save(revoked)
            return revoked
    return None


async def shown(work: UnitOfWork, organisation: str) -> list[dict[str, Any]]:
    """Return an organisation's grants for its agent, the newest first: `agent.edge.grantwatch`."""
    from secureflow.domain.specs.base import dump

    grants = await list_readable(work.grants, organisation=organisation)
    newest = sorted(grants, key=lambda one: (-one.created, one.id))[:MOST]
    names: dict[str, str] = {}
    found = []
    for grant in newest:
        if grant.dataset not in names:
            dataset = await work.datasets.find(grant.dataset)
            names[grant.dataset] = "" if dataset is None else dataset.name
        if names[grant.dataset]:
            terms = grant.terms or _terms(grant, names[grant.dataset])
            found.append(
                {
                    "id": grant.id,
                    "terms": dump(terms),
                    "granted_by": grant.granted_by,
                    "revoked": grant.revoked is not None,
                    "local": grant.local,
                }
            )
    return found


def _terms(grant: Grant, name: str) -> GrantTerms:
    return GrantTerms(
        dataset=name,
        project=grant.project,
        columns=grant.columns,
        expires=grant.expires,
        purposes=grant.purposes,
    )


async def _dataset(work: UnitOfWork, organisation: str, name: str) -> Dataset:
    known = await list_complete(work.datasets, organisation=organisation, name=name)
    published = next((one for one in known if one.removed is None), None)
    if published is None:
        raise missing("dataset", name)
    return published


async def _of_agent(
    work: UnitOfWork, dataset: Dataset, local: str, proposal: str
) -> Grant | None:  # fmt: skip
    """Return the grant of this id at the agent, or the proposal that it confirms."""
    grants = await list_readable(work.grants, dataset=dataset.id)
    for grant in grants:
        if grant.local == local:
            return grant
    return next((one for one in grants if proposal and one.id == proposal), None)


def _check_signed(
    kind: str, organisation: str, keys: frozenset[str], body: Mapping[str, JSON], signature: str
) -> None:
    own = body.get("organisation") == organisation
    if not own or not any(verify(key, kind, dict(body), signature) for key in keys):
        raise _forged(organisation)


def _forged(organisation: str) -> SecureFlowError:
    return SecureFlowError(
        "grant_forged",
        Text("{organisation} did not sign this grant.", organisation=organisation),
        "Its agent is faulty, or somebody speaks in its name: ask the organisation.",
    )

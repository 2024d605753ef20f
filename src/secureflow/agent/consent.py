"""Consent is local: this organisation's files and people decide, the server only asks.

In this order, and each step ends it:

1. **What cannot be asked** is a failure: a spec whose digest is another one, a roster that is not
   the pinned charter's, fewer than three parties, a dataset or column that is not declared, a
   protection that the owner forbids (`check_request`).
2. **Policies** (Cedar files) allow or refuse.
3. Everything else waits for **a person** in the inbox, as long as the approval could live.

A decision is bound to (job, spec digest): a server that changes one column asks anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from secureflow.agent.inbox import Inbox
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports import Policies
from secureflow.domain.charter import Charter
from secureflow.domain.schemas import ColumnConfig, DatasetConfig
from secureflow.domain.specs import TrainingSpec, check, parse, spec_digest
from secureflow.kit.errors import SecureFlowError

JSON = Any


def read_spec(value: JSON, claimed: JSON) -> TrainingSpec:
    """Parse a foreign spec and compare its digest with the claimed one.

    Raises:
        SecureFlowError: `invalid_spec`, `contradictory_spec`, `spec_digest_mismatch`.
    """
    spec = parse(TrainingSpec, value)
    found = spec_digest(spec)
    if found != claimed:
        raise SecureFlowError(
            "spec_digest_mismatch",
            f"The job's spec has digest {found[:16]}…, not {str(claimed)[:16]}… as claimed.",
            "The server asks for one thing and shows another: do not approve.",
            {"found": found},
        )
    check(spec)
    return spec


def check_request(
    spec: TrainingSpec, *, party: str, key: str, charter: Charter, settings: AgentSettings
) -> dict[str, JSON]:
    """Refuse what no policy and no person can allow; return what the policies are asked.

    Raises:
        SecureFlowError: `charter_mismatch`, `dataset_unknown`, `column_not_granted`,
            `unknown_category`, `protection_refused`, `too_few_parties`.
    """
    _check_roster(spec, party, key, charter)
    if spec.protection not in settings.consent.protections:
        raise SecureFlowError(
            "protection_refused",
            f"{party} does not take part in jobs protected by {spec.protection}.",
            f"Submit it with one of: {', '.join(settings.consent.protections)}.",
        )
    if spec.min_contributors < settings.consent.min_contributors:
        raise SecureFlowError(
            "too_few_parties",
            f"{party} opens no sum of fewer than {settings.consent.min_contributors} parties; the "
            f"job allows {spec.min_contributors}.",
            "Raise min_contributors.",
        )
    sensitive: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    name = next(one.dataset for one in spec.roster if one.party == party)
    if spec.features is not None:
        dataset = settings.dataset(name)
        check_columns(spec, dataset)
        columns = spec.features.columns
        sensitive = tuple(one for one in columns if dataset.column(one).sensitive)
    return {
        "kind": spec.kind,
        "submitter": spec.submitter,
        "dataset": name,
        "project": spec.project,
        "purpose": spec.purpose,
        "family": spec.model.family,
        "columns": columns,
        "sensitive": sensitive,
        "parties": spec.parties,
        "group_size": len(spec.roster),
        "min_contributors": spec.min_contributors,
        "rounds": spec.plan.rounds,
        "protection": spec.protection,
        "release": spec.release.intermediate,
        "epsilon": None,
    }


def check_columns(spec: TrainingSpec, dataset: DatasetConfig) -> None:
    """Refuse columns, types and categories that do not fit what the owner declared.

    Raises:
        SecureFlowError: `column_not_granted`, `unknown_category`.
    """
    features = spec.features
    if features is None:
        return
    for numeric in features.numeric:
        _declared(dataset, numeric.column, {"number"})
    for categorical in features.categorical:
        column = _declared(dataset, categorical.column, {"category"})
        _same_categories(dataset, column, categorical.categories)
    label = _declared(dataset, features.label.column, {"category", "number", "text"})
    if label.type == "category" and features.label.positive not in label.categories:
        raise _unknown_category(dataset, label, features.label.positive)


class Consent:
    """Decides requests for data.

    Args:
        policies: the owner's rules.
        inbox: where people decide.
    """

    def __init__(self, policies: Policies, inbox: Inbox) -> None:
        self._policies = policies
        self._inbox = inbox

    async def decide(
        self, job: str, digest: str, spec: JSON, request: Mapping[str, JSON], expires: int
    ) -> str:
        """Wait until policy or person allows; return who did.

        Raises:
            SecureFlowError: `consent_refused` with the policy's or the person's reason.
        """
        decision = self._policies.decide(request)
        if decision.effect == "refuse":
            raise refused(job, "; ".join(decision.reasons))
        if decision.effect == "allow":
            return "; ".join(decision.reasons)
        item = await asyncio.to_thread(
            self._inbox.put, job, digest, spec, dict(request), decision.reasons, expires
        )
        decided = await self._inbox.decision(item)
        if decided.state != "approved":
            raise refused(job, decided.reason or f"it is {decided.state} in the inbox")
        return f"a person: {decided.reason}" if decided.reason else "a person"


def refused(job: str, reason: str) -> SecureFlowError:
    """Return the error of a refusal."""
    return SecureFlowError(
        "consent_refused",
        f"Job {job} was refused: {reason}.",
        "Change the job accordingly, or ask the data owner.",
        {"reason": reason},
    )


def _check_roster(spec: TrainingSpec, party: str, key: str, charter: Charter) -> None:
    """Every roster line must be a pinned member with the pinned key; the own line the own key."""
    if spec.keys.get(party) != key:
        raise SecureFlowError(
            "charter_mismatch",
            f"The roster does not list {party} with its own signing key.",
            "Somebody may have put another key under this organisation's name.",
            {"party": party},
        )
    for line in spec.roster:
        if charter.keys.get(line.party) != line.key:
            known = line.party in charter.keys
            raise SecureFlowError(
                "charter_mismatch",
                f"The roster lists {line.party} with a key that the pinned charter does not hold."
                if known
                else f"The roster lists {line.party}, which the pinned charter does not name.",
                "Pin the charter's newer version if there is one; otherwise the operator invents "
                "a party, and a sum with invented parties reveals the real ones.",
                {"party": line.party, "charter": charter.digest},
            )


def _declared(dataset: DatasetConfig, name: str, types: set[str]) -> ColumnConfig:
    column = next((one for one in dataset.columns if one.name == name), None)
    if column is None or column.type not in types:
        reason = "is not declared" if column is None else f"is declared as {column.type}"
        raise SecureFlowError(
            "column_not_granted",
            f"Column {name!r} of dataset {dataset.name!r} {reason}.",
            f"Declared are: {', '.join(one.name for one in dataset.columns)}.",
            {"dataset": dataset.name, "column": name},
        )
    return column


def _same_categories(dataset: DatasetConfig, column: ColumnConfig, asked: tuple[str, ...]) -> None:
    """Own categories must all have a place in the spec; else rows would have none."""
    for category in column.categories:
        if category not in asked:
            raise _unknown_category(dataset, column, category)


def _unknown_category(
    dataset: DatasetConfig, column: ColumnConfig, category: str
) -> SecureFlowError:
    return SecureFlowError(
        "unknown_category",
        f"Category {category!r} of column {column.name!r} in dataset {dataset.name!r} is not in "
        "both the job's spec and the owner's declaration.",
        "Give the job the categories that every owner declares.",
        {"dataset": dataset.name, "column": column.name},
    )

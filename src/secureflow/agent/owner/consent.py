"""Consent is local: this organisation's files and people decide, the server only requests.

In this order; each step can end it:

1. **A request that cannot be approved** is an error: a wrong spec digest, a roster that is not the
   pinned charter's, fewer than three parties, a dataset or column that is not declared, a
   protection that the owner forbids (`check_request`).
2. **Grants** (`agent.owner.grants`): where there are any for the data and the project, it fits one.
3. **Policies** (Cedar files) allow or refuse. A grant that says so stands for one that allows.
4. Everything else waits for **a person** in the inbox, for as long as the approval could be valid.

A decision is bound to (job, spec digest): if a server changes one column, it must ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from secureflow.agent.compute.columns import differing_bounds
from secureflow.agent.owner.decisions import MORE, Decisions
from secureflow.agent.owner.grants import Under
from secureflow.agent.owner.inbox import Inbox
from secureflow.agent.owner.twopeople import TWO
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports.policies import Policies
from secureflow.domain.charter import Charter
from secureflow.domain.policies import Decision
from secureflow.domain.quorum import floor_of
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import JobSpec, brings_rows, dataset_name, spec_digest
from secureflow.domain.specs.contributors import (
    any_contributes,
    contributing,
    counted_among,
    hidden_among,
    two_sum,
)
from secureflow.domain.specs.kind import SpecKinds
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def read_spec(value: JSON, claimed: JSON, kinds: SpecKinds) -> JobSpec:
    """Parse a foreign spec and compare its digest with the claimed one.

    Raises:
        SecureFlowError: `invalid_spec`, `contradictory_spec`, `spec_digest_mismatch`.
    """
    spec = kinds.parse(value)
    found = spec_digest(spec)
    if found != claimed:
        raise SecureFlowError(
            "spec_digest_mismatch",
            Text(
                "The job's spec has digest {found}, not {claimed} as claimed.",
                found=found,
                claimed=str(claimed)[:64],
            ),
            "The server asks for one thing and shows another: do not approve.",
            {"found": found},
        )
    kinds.check(spec)
    return spec


def check_request(
    spec: JobSpec,
    *,
    party: str,
    key: str,
    charter: Charter,
    settings: AgentSettings,
    check_columns: Callable[[JobSpec, DatasetConfig, str], None],
) -> dict[str, JSON]:
    """Refuse what no policy and no person can allow; return the input of the policies.

    Raises:
        SecureFlowError: `charter_mismatch`, `dataset_unknown`, `column_not_granted`,
            `protection_refused`, `too_few_parties`; those of `check_columns`,
            which compares the job's use of a dataset with its owner's declaration.
    """
    _check_roster(spec, party, key, charter)
    _check_settings(spec, party, settings)
    _check_two(spec, party, settings)
    dataset = settings.dataset(dataset_name(spec, party)) if brings_rows(spec, party) else None
    columns = spec.columns_of(party)
    if dataset is not None:
        check_columns(spec, dataset, party)
    return {
        "kind": spec.kind,
        "submitter": spec.submitter,
        "dataset": dataset_name(spec, party),
        "project": spec.project,
        "purpose": spec.purpose,
        "columns": columns,
        "sensitive": tuple(one for one in columns if dataset and dataset.column(one).sensitive),
        "parties": spec.parties,
        "group_size": len(spec.roster),
        "min_contributors": min(spec.min_contributors, hidden_among(spec)),
        "protection": contributing(spec).protection,
        **({"key": dataset.key_column} if dataset and spec.splits_by_key else {}),
        "differing_bounds": () if dataset is None else differing_bounds(spec, dataset),
        **spec.facts(),
        "epsilon": None,
    }


def _check_settings(spec: JobSpec, party: str, settings: AgentSettings) -> None:
    """Refuse a protection, or too small a sum, that the owner's settings rule out."""
    if not any_contributes(spec):
        return
    spec, hidden = contributing(spec), counted_among(spec)
    if spec.protection not in settings.consent.protections:
        raise SecureFlowError(
            "protection_refused",
            Text(
                "{party} does not take part in jobs protected by {protection}.",
                party=party,
                protection=spec.protection,
            ),
            Text(
                "Submit it with one of: {protections}.",
                protections=", ".join(settings.consent.protections),
            ),
        )
    fewest = settings.consent.min_contributors or floor_of(len(spec.roster))
    if hidden < fewest:
        raise SecureFlowError(
            "too_few_parties",
            Text(
                "{party} does not open sums of fewer than {fewest} parties; the job "
                "allows {min_contributors}.",
                party=party,
                fewest=fewest,
                min_contributors=hidden,
            ),
            "Raise min_contributors."
            if hidden == spec.min_contributors
            else "Raise plan.aggregation.select of krum, and with scaffold min_contributors by "
            "one.",
        )


def _check_two(spec: JobSpec, party: str, settings: AgentSettings) -> None:
    """Refuse a sum of two parties, from which each can derive the other's contribution.

    It is allowed if this owner's own settings accept it, for this dataset and this partner's key.
    """
    if not two_sum(spec):
        return
    own = dataset_name(spec, party)
    partner = next(key for other, key in spec.keys.items() if other != party)
    if (own, partner) in {(one.dataset, one.key) for one in settings.consent.two_party}:
        return
    raise SecureFlowError(
        "too_few_parties",
        Text(
            "{party} does not compute sums with one other party alone: each of the two "
            "could compute what the other one contributed.",
            party=party,
        ),
        "Use differential privacy for everything that is released, or add a third party. The "
        "owner may accept it for one dataset and one partner's key: consent.two_party in "
        "agent.yaml.",
    )


@dataclass(frozen=True)
class Allowed:
    """The permission for a request: by whom, and until when at most.

    Args:
        by: `a person`, or the policies that permit it, with their reasons.
        expires: unix seconds; for a person's decision the time that the person was shown, whatever
            the centre asks for later.
        people: ids of the people who decided, the first one first; none without accounts.
        item: the request in the inbox that they decided; "" if nobody was asked.
    """

    by: str
    expires: int
    people: tuple[str, ...] = ()
    item: str = ""


class Consent:
    """Decides requests for data.

    Args:
        decisions: the owner's policies and rules.
        inbox: for people to decide.
    """

    def __init__(self, decisions: Decisions, inbox: Inbox) -> None:
        self.decisions = decisions
        self._inbox = inbox

    def replace_policies(self, policies: Policies) -> None:
        """Use other policies from now on; earlier decisions stay valid."""
        self.decisions.policies = policies

    async def decide(
        self,
        job: str,
        digest: str,
        spec: JSON,
        request: Mapping[str, JSON],
        expires: int,
        *,
        renewing: bool = False,
        under: Under | None = None,
    ) -> Allowed:
        """Wait until a policy or a person allows it; return which.

        `renewing`: it was allowed before, for a time that has passed. `under`: the grant that it
        fits.

        Raises:
            SecureFlowError: `consent_refused` with the policy's or the person's reason;
                `inbox_item_changed`.
        """
        decision = _by_grant(self.decisions.decision(request), request, under)
        if decision.effect == "refuse":
            raise refused(job, "; ".join(decision.reasons), "policy")
        if decision.effect == "allow" and decision.reasons == _GRANTED:
            return Allowed("its grant", expires)
        if decision.effect == "allow":
            return Allowed(f"policy {'; '.join(decision.reasons)}", expires)
        item = await asyncio.to_thread(
            self._inbox.put, job, digest, spec, dict(request), decision.reasons, expires,
            renewing=renewing,
        )  # fmt: skip
        self._inbox.wake_all()  # an older question about the same job may have been closed by it
        decided = await self._inbox.decision(item, job, digest)
        if decided.state == "asked_back":
            raise asked_back(job, decided.reason)
        if decided.state != "approved":
            by = "a person" if decided.state == "rejected" else "nobody"
            raise refused(
                job, decided.reason or Text("it is {state} in the inbox", state=decided.state), by
            )
        decision = self.decisions.by_policies(request)  # they may have been reloaded meanwhile
        if decision.effect == "refuse":
            raise refused(job, "; ".join(decision.reasons), "policy")
        people = tuple(one.person for one in self._inbox.approvals(item))
        if len(people) < 2 and self.decisions.two_people(request):  # a rule of since then
            raise refused(job, TWO, "policy")
        by = "two people" if len(people) > 1 else "a person"
        by = f"{by}: {decided.reason}" if decided.reason else by
        return Allowed(by, min(expires, decided.expires), people, item)

    def refuse_by_policy(self, job: str, request: Mapping[str, JSON]) -> None:
        """Refuse what a policy forbids, whatever else was approved.

        Raises:
            SecureFlowError: `consent_refused`.
        """
        decision = self.decisions.decision(request)
        if decision.effect == "refuse":
            raise refused(job, "; ".join(decision.reasons), "policy")


_GRANTED: Final = ("the grant that the job fits allows it",)


def _by_grant(decision: Decision, request: Mapping[str, JSON], under: Under | None) -> Decision:
    """Return a decision as the grant changes it: a refusal never, and what two people decide.

    Nor what waits because a policy could not be evaluated: it may be one that refuses. Code that a
    person must see is asked about. A grant that needs nobody allows what nothing decided, but hands
    out no more than usual: that takes a policy, or a person, that looks at it.
    """
    if under is None or decision.effect == "refuse" or decision.two_people:
        return decision
    if under.asks_person and request.get("bundle_digest"):
        return Decision("ask", ("the grant leaves the code that a job brings to a person",))
    if decision.effect == "allow" or decision.broken or not under.terms.automatic:
        return decision
    more = {name for name in MORE if request.get(name)}
    if under.lists(request.get("bundle_digest")):
        more.discard("bundle_digest")
    return decision if more else Decision("allow", _GRANTED)


def refused(job: str, reason: str, by: str) -> SecureFlowError:
    """Return the error of a refusal by a `policy`, `a person`, or `nobody` in time."""
    return SecureFlowError(
        "consent_refused",
        Text("Job {job} was refused: {reason}.", job=job, reason=reason),
        "Change the job accordingly, or ask the data owner.",
        {"reason": reason, "by": by},
    )


def asked_back(job: str, question: str) -> SecureFlowError:
    """Return the error of a request that a person answered with a question to its submitter."""
    return SecureFlowError(
        "asked_back",
        Text("Job {job} was not approved: the data owner asks: {reason}", job=job, reason=question),
        "Answer the data owner, then submit the job again, changed if need be.",
        {"reason": question, "by": "a person"},
    )


def _check_roster(spec: JobSpec, party: str, key: str, charter: Charter) -> None:
    """Require each roster line to be a pinned member with its key; the own line the own key."""
    if spec.keys.get(party) != key:
        raise SecureFlowError(
            "charter_mismatch",
            Text("The roster does not list {party} with its own signing key.", party=party),
            "Somebody may have put another key under this organisation's name.",
            {"party": party},
        )
    for line in spec.roster:
        if charter.keys.get(line.party) != line.key:
            known = line.party in charter.keys
            raise SecureFlowError(
                "charter_mismatch",
                Text(
                    "The roster lists {party} with a key that the pinned charter does not hold.",
                    party=line.party,
                )
                if known
                else Text(
                    "The roster lists {party}, which the pinned charter does not name.",
                    party=line.party,
                ),
                "Pin the charter's newer version if there is one; otherwise the operator invents "
                "a party, and a sum with invented parties reveals the real ones.",
                {"party": line.party, "charter": charter.digest},
            )

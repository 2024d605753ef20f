"""This organisation's grants, at its own agent: what a job must fit before anybody is asked.

- A grant is made or confirmed by a person here, signed under the organisation's key, and kept in
  the record. Its id is a digest over all that was signed, so a changed row is not the same grant;
  the signature is checked whenever a grant is used. What a centre says makes or widens none.
- Where this agent holds grants for a dataset and a project, revoked and expired ones included, a
  job must fit one that is in force: revoking the only grant stops the project, it does not hand the
  decision back to policies. Without any, `consent.grants` decides: `limit` (policies and people, as
  without grants) or `required` (the job is refused).
- A use, and the job's ε, are counted in the transaction of the approval. Uses never come back. ε
  follows the privacy budget: an ended job pays for the rounds that read rows, and nothing if its
  reservation was given back.
- A restored or rolled-back record does not know what was used or revoked since: every grant in it
  is locked until a person confirms it again (`grant_locked`), as budgets are.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from secureflow.agent.owner.acting import acting
from secureflow.agent.record.grantrows import GrantUse, KeptGrant
from secureflow.agent.record.ownkeys import recorded_keys
from secureflow.agent.record.restored import locked, settle
from secureflow.agent.record.store import RecordStore
from secureflow.domain.grants import (
    KIND,
    GrantRequest,
    GrantsMode,
    GrantTerms,
    Used,
    fits,
    read_terms,
    statement,
)
from secureflow.domain.specs.base import JobSpec, dump
from secureflow.domain.specs.contributors import any_contributes, contributing, counted_among
from secureflow.kit.canonical import JSON, digest
from secureflow.kit.clock import Clock
from secureflow.kit.crypto import SigningKey, verify
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text

_HINT: Final = (
    "Ask the data owner for a grant that covers the job: secureflow agent grant create, at its "
    "agent."
)
_BEYOND: Final = (
    "Ask the data owner for a grant that covers the job: secureflow agent grant create, at its "
    "agent, with --validation-rows or --own-trees."
)
"""Of a job by which more than sums leaves."""
_LOCK: Final = "grant/"
"""Begins what `record.restored` calls a grant."""


@dataclass(frozen=True)
class Under:
    """The grant that a job fits.

    Args:
        grant: its id.
        terms: what it allows.
    """

    grant: str
    terms: GrantTerms

    @property
    def asks_person(self) -> bool:
        """Whether code that a job brings needs a person here, whatever policies allow."""
        return self.terms.bundles == "person"

    def lists(self, bundle: JSON) -> bool:
        """Tell whether the grant names this code."""
        return isinstance(self.terms.bundles, tuple) and bundle in self.terms.bundles


class Grants:
    """The grants of this organisation.

    Args:
        store: the record.
        party: organisation slug.
        key: its signing key.
        clock: unix seconds.
        mode: returns the setting `consent.grants`.
    """

    def __init__(
        self,
        store: RecordStore,
        party: str,
        key: SigningKey,
        clock: Clock,
        mode: Callable[[], GrantsMode],
    ) -> None:
        self._store = store
        self._party = party
        self._key = key
        self._clock = clock
        self._mode = mode

    # A person's commands.

    def create(self, terms: GrantTerms, proposal: str = "", once: str = "") -> KeptGrant:
        """Sign and keep a grant; one of the same `once` and terms was made before, and is returned.

        Args:
            terms: what it allows.
            proposal: the grant at the centre that it confirms; empty.
            once: 32 hex digits of a form that may be sent twice; drawn if left out.

        Raises:
            SecureFlowError: `already_exists` for a proposal that was confirmed.
        """
        now = self._clock()
        body = {
            **statement("", self._party, dump(terms), now),
            "nonce": once or secrets.token_hex(16),
            "proposal": proposal,
        }
        grant = grant_id(body)
        signed = {**body, "grant": grant}
        kept = KeptGrant(grant, signed, self._key.sign(KIND, signed), "granted", proposal, now)
        with self._store.transaction():
            for one in self._store.grants() if once else ():
                if (one.body.get("nonce"), one.body.get("terms")) == (once, body["terms"]):
                    return one
            if (before := self.confirmed(proposal)) is not None:
                raise confirmed_before(proposal, before)
            self._store.keep_grant(kept)
            settle(self._store, _LOCK + grant)  # its owner knows what was used of it: nothing
            facts = {"grant": grant, "terms": signed["terms"], **acting().facts()}
            self._store.note(now, "grant.created", "", **facts)
        return kept

    def get(self, grant: str) -> KeptGrant:
        """Return a grant by its full id (`not_found`)."""
        found = self._store.grant(grant)
        if found is None:
            raise SecureFlowError(
                "not_found",
                Text("This agent has no grant with the id {grant!r}.", grant=grant[:80]),
                "Give the whole id, all 64 characters: secureflow agent grant list.",
            )
        return found

    def confirmed(self, proposal: str) -> KeptGrant | None:
        """Return the grant by which a proposal of the centre was confirmed here; None if none."""
        found = (one for one in self._store.grants() if one.proposal == proposal)
        return next(found, None) if proposal else None

    def every(self) -> list[KeptGrant]:
        """Return every grant, oldest first."""
        return self._store.grants()

    def unlock(self, grant: str, uses: int, epsilon: float) -> KeptGrant:
        """Confirm a restored grant again, with what was used of it since the backup.

        Raises:
            SecureFlowError: `not_found`, `grant_revoked`, `grant_not_locked`, `grant_forged`.
        """
        kept, now = self.get(grant), self._clock()
        self.terms_of(kept)
        with self._store.transaction():
            if not locked(self._store, _LOCK + grant):
                raise SecureFlowError(
                    "grant_not_locked",
                    Text("The grant {grant} is not locked.", grant=grant),
                    "Only a restored agent's grants are confirmed again.",
                )
            if uses or epsilon:
                before = GrantUse(f"before/{grant}/{now}", grant, epsilon, uses, now)
                self._store.keep_grant_use(before)  # of jobs that the record has lost
            settle(self._store, _LOCK + grant)
            facts = {"grant": grant, "uses": uses, "epsilon": epsilon, **acting().facts()}
            self._store.note(now, "grant.unlocked", "", **facts)
        return kept

    def locked(self, grant: str) -> bool:
        """Tell whether a grant waits for its owner since the agent was restored."""
        return locked(self._store, _LOCK + grant)

    def used(self, grant: str, without: str = "") -> Used:
        """Return what jobs used of a grant, but for one of them."""
        uses = [one for one in self._store.grant_uses(grant) if one.job != without]
        return Used(sum(one.counted for one in uses), sum(one.epsilon for one in uses))

    def terms_of(self, kept: KeptGrant) -> GrantTerms:
        """Return what a grant allows, if it is as this organisation signed it.

        Raises:
            SecureFlowError: `grant_forged`, `invalid_grant`.
        """
        keys = recorded_keys(self._store, self._party, self._key.public)
        body = kept.body
        whole = body.get("grant") == kept.id == grant_id(body)
        own = body.get("organisation") == self._party
        if not (whole and own and any(verify(key, KIND, body, kept.signature) for key in keys)):
            raise SecureFlowError(
                "grant_forged",
                Text(
                    "The grant {grant} in this agent's record is not as this organisation signed "
                    "it.",
                    grant=kept.id,
                ),
                "Revoke it, find out who writes into the agent's folder, and grant anew.",
            )
        return read_terms(body["terms"], stored=True)

    # Deciding about a job.

    def under(self, job: str, spec: JobSpec, asked: Mapping[str, JSON]) -> Under | None:
        """Return the grant that a job fits; None if none is needed.

        Args:
            job: its id.
            spec: its spec.
            asked: the input of the policies, with its ε.

        Raises:
            SecureFlowError: `grant_missing` with the reasons of each grant; `grant_locked`.
        """
        request = grant_request(self._party, spec, asked)
        if not request.dataset:
            return None
        held = self._held(request.dataset, request.project)
        if (use := self._store.grant_use(job)) is not None:  # it is renewed, under the same one
            held = [one for one in held if one[0].id == use.grant]
        if not held and (request.by_name or self._needed(request.dataset)):
            raise self._missing(job, request, {})
        if not held:
            return None
        why = {kept.id: self._reasons(job, kept, terms, request) for kept, terms in held}
        found = [Under(kept.id, terms) for kept, terms in held if not why[kept.id]]
        if found:  # one that needs nobody goes before one that needs somebody, then the oldest
            return max(found, key=lambda one: one.terms.automatic)
        if all(self.locked(kept.id) for kept, _ in held):
            raise _locked(held[0][0].id)
        raise self._missing(job, request, why)

    def check_part(self, job: str, spec: JobSpec, asked: Mapping[str, JSON], under: Under) -> None:
        """Refuse a job one of whose parts does not fit its grant (`grant_missing`)."""
        request = grant_request(self._party, spec, asked)
        found = fits(under.terms, request, Used(), self._clock(), part=True)
        if request.dataset and found:
            raise self._missing(job, request, {under.grant: found})

    def take(self, job: str, spec: JobSpec, asked: Mapping[str, JSON], under: Under | None) -> None:
        """Count an approval under the grant that was found, in the approval's transaction.

        Raises:
            SecureFlowError: `grant_missing` if it no longer fits, or another grant came to be
                needed while the request waited.
        """
        request = grant_request(self._party, spec, asked)
        if under is None:
            came = request.dataset and (
                request.by_name
                or self._held(request.dataset, request.project)
                or self._needed(request.dataset)
            )
            if came:
                raise self._missing(job, request, {})
            return
        kept = self.get(under.grant)
        found = self._reasons(job, kept, self.terms_of(kept), request)
        if found:
            raise self._missing(job, request, {kept.id: found})
        taken = request.epsilon or 0.0, request.runs
        self._store.keep_grant_use(GrantUse(job, kept.id, *taken, self._clock()))

    def take_part(self, job: str, whole: str, *, run: bool = False) -> None:
        """Put a part under the grant of its whole, which is charged; the caller's transaction.

        `run`: it is a use of its own, which its timetable holds for it. A part whose approval is
        renewed has its use already.
        """
        use = self._store.grant_use(whole)
        if use is None or self._store.grant_use(job) is not None:
            return
        own = 1 if run and use.counted > 0 else 0
        if own:
            self._store.keep_grant_use(replace(use, counted=use.counted - own))
        self._store.keep_grant_use(GrantUse(job, use.grant, 0.0, own, self._clock()))

    def settle(self, job: str, spent: float | None, *, timetable: bool = False) -> None:
        """Keep of an ended job's ε what its rounds spent; None keeps all of it.

        Uses stay, but those that a `timetable` held for runs that never were.
        """
        use = self._store.grant_use(job)
        if use is None:
            return
        kept = use.epsilon if spent is None else min(spent, use.epsilon)
        counted = 0 if timetable else use.counted
        if (kept, counted) != (use.epsilon, use.counted):
            self._store.keep_grant_use(replace(use, epsilon=kept, counted=counted))

    # Parts.

    def _held(self, dataset: str, project: str) -> list[tuple[KeptGrant, GrantTerms]]:
        """Return the grants for a dataset and a project, in force or not."""
        found = [(kept, self.terms_of(kept)) for kept in self._store.grants()]
        return [one for one in found if (one[1].dataset, one[1].project) == (dataset, project)]

    def _needed(self, dataset: str) -> bool:
        """Return whether a job on a dataset needs a grant for its project, though there is none.

        The centre chooses a project's id: where grants for the data in another project are enough
        to need one, a new id leads round none of them, revoked ones included.
        """
        mode = self._mode()
        return mode == "required" or (
            mode == "dataset"
            and any(self.terms_of(kept).dataset == dataset for kept in self._store.grants())
        )

    def _reasons(
        self, job: str, kept: KeptGrant, terms: GrantTerms, request: GrantRequest
    ) -> list[str]:
        now = self._clock()
        found = fits(terms, request, self.used(kept.id, without=job), now)
        if kept.state == "revoked":
            found.append("it was revoked")
        if self.locked(kept.id):
            found.append("it is locked since this agent was restored")
        return found

    def _missing(
        self, job: str, request: GrantRequest, why: Mapping[str, list[str]]
    ) -> SecureFlowError:
        reasons = list(dict.fromkeys(one for each in why.values() for one in each))
        return SecureFlowError(
            "grant_missing",
            Text(
                "No grant of {party} for {dataset} in {project} allows job {job}: {reasons}.",
                party=self._party,
                dataset=request.dataset,
                project=request.project,
                job=job,
                reasons=Joined("; ", reasons) if reasons else "there is none in force",
            ),
            _BEYOND if request.validation or request.own_trees else _HINT,
            {"grants": {grant: [str(one) for one in each] for grant, each in why.items()}},
        )


def grant_id(body: Mapping[str, JSON]) -> str:
    """Return the id of a grant: 64 hex digits over all that is signed, but the id itself."""
    return digest({**body, "grant": ""})


def grant_request(party: str, spec: JobSpec, asked: Mapping[str, JSON]) -> GrantRequest:
    """Return what a job asks, for a grant, from the input of the policies."""
    sums = any_contributes(spec)
    summed = contributing(spec) if sums else spec
    epsilon = asked.get("epsilon")
    return GrantRequest(
        dataset=str(asked["dataset"]),
        project=spec.project,
        columns=tuple(asked["columns"]),
        purpose=spec.purpose,
        kind=spec.kind,
        owner=party,
        keys=spec.keys,
        protection=summed.protection if sums else "",
        epsilon=None if epsilon is None else float(epsilon),
        group=counted_among(spec),
        bundle=str(asked.get("bundle_digest") or ""),
        runs=1 if spec.times is None else spec.times.runs,
        until=0 if spec.times is None else spec.times.ends,
        validation=int(asked.get("validation_rows") or 0),
        own_trees=int(asked.get("own_trees") or 0),
    )


def confirmed_before(proposal: str, kept: KeptGrant) -> SecureFlowError:
    """Return the error of a proposal that was confirmed, with the grant that it became here."""
    return SecureFlowError(
        "already_exists",
        Text(
            "The proposal {proposal} was confirmed before: here it is the grant {grant}.",
            proposal=proposal,
            grant=kept.id,
        ),
        "secureflow agent grant show GRANT shows it; a revoked grant does not come back: create "
        "another one.",
        {"grant": kept.id},
    )


def _locked(grant: str) -> SecureFlowError:
    return SecureFlowError(
        "grant_locked",
        Text(
            "The grant {grant} is locked: this agent was restored, and what was used of it, or "
            "whether it was revoked since, is not known here.",
            grant=grant,
        ),
        "Its owner confirms it again: secureflow agent grant unlock GRANT.",
        {"grant": grant},
    )

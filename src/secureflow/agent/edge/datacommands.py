"""The owner's commands about datasets and their budgets, over the control socket."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping

from secureflow.agent.edge.control import Command
from secureflow.agent.edge.inboxcommands import InboxCommands
from secureflow.agent.edge.running import PATIENCE
from secureflow.agent.owner.budgetcourse import course
from secureflow.agent.owner.budgetrecovery import BudgetRecovery
from secureflow.agent.owner.publications import (
    check_publishable,
    declaration,
    described,
    differs,
    keep_published,
)
from secureflow.agent.record.records import InboxItem
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


class DataCommands(InboxCommands):
    """The commands, over a running agent: a dataset that is withdrawn rejects what waits for it."""

    def data_table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "data.list": self.data_list,
            "data.show": self.data_show,
            "data.publish": self.data_publish,
            "data.uses": self.data_uses,
            "data.remove": self.data_remove,
            "data.budget": self.data_budget,
            "data.course": self.data_course,
            "data.settle": self.data_settle,
        }

    async def data_list(self) -> list[dict[str, JSON]]:
        """Return the declared datasets and the state of their publications."""
        return [self._listed(dataset) for dataset in self.assembly.context.settings.datasets]

    def _listed(self, dataset: DatasetConfig) -> dict[str, JSON]:
        kept = self.assembly.context.store.fact(f"dataset/{dataset.name}") or {}
        state = "declared"
        if kept:
            state = "edited since" if differs(kept, dataset) else "published"
        return {
            "name": dataset.name,
            "format": dataset.format,
            "path": dataset.path,
            "columns": len(dataset.columns),
            "key": dataset.key_column or "",
            "state": state,
            "published": kept.get("id", ""),
        }

    async def data_show(self, name: str) -> dict[str, JSON]:
        """Return one declared dataset: its schema, budget and limits, and how it is published.

        Raises:
            SecureFlowError: `dataset_unknown`.
        """
        context = self.assembly.context
        dataset = context.settings.dataset(name)
        kept = await asyncio.to_thread(context.store.fact, f"dataset/{name}") or {}
        return {
            **self._listed(dataset),
            "title": str(kept.get("title") or ""),
            "rows": str(kept.get("rows") or ""),
            "schema": dataset.public_schema(),
            "privacy": dataset.privacy and dump(dataset.privacy),
            "probing": dataset.probing and dump(dataset.probing),
            "result": dataset.result and dump(dataset.result),
        }

    async def data_publish(self, name: str, title: str = "") -> dict[str, JSON]:
        """Check a dataset row by row and publish its description; the rows stay here.

        The answer has the exact count as well (`counted`); the publication has the bucket.
        """
        context = self.assembly.context
        await self.reloading.check_read(name)
        dataset = context.settings.dataset(name)
        await asyncio.to_thread(check_publishable, context.store, dataset)
        kept = context.store.fact(f"dataset/{name}") or {}
        known = (kept["salt"], kept["commitment"]) if kept else None
        found = await self.describing.describe(dataset, secrets.token_bytes(32), known)
        description = {
            "name": name,
            "title": title or kept.get("title") or name,
            "rows": found["bucket"],
            "commitment": found["commitment"],
            **described(dataset),
        }
        answer = await self.link.call("dataset.publish", description)
        published = {"id": str(answer["id"]), "salt": found["salt"], **description}
        with context.store.transaction():
            fact = {**published, "reading": declaration(dataset)["reading"]}
            context.store.set_fact(f"dataset/{name}", fact)
            keep_published(context.store, context.key, dataset)
            facts = {"name": name, "id": published["id"], "commitment": found["commitment"]}
            context.store.note(context.clock(), "dataset.published", "", **facts)
            context.own_deeds.published(dataset, description)
        publication = {"id": published["id"], **description, "counted": found["rows"]}
        return {**publication, "grants": _counts(answer.get("grants"), "kept", "reduced", "ended")}

    async def data_uses(self, name: str) -> dict[str, JSON]:
        """Return what a withdrawal ends and what continues: grants, requests, approved jobs.

        `unsaid` is the error if the centre does not report it; a withdrawal is still possible.
        """
        context = self.assembly.context
        unsaid: SecureFlowError | None = None
        answer: JSON = {}
        try:
            answer = await self._of_centre("dataset.uses", name)
        except SecureFlowError as error:
            if not self._offered(name):
                raise
            unsaid = error
        declared = [one.declared for one in context.store.jobs(10_000) if not one.outcome]
        mine = [one for one in declared if one and one["dataset"]["name"] == name]
        counts = {"waiting": len(self._waiting_for(name)), "approved": len(mine)}
        known = _counts(answer, "grants", "projects")
        return {**known, **counts, "unsaid": unsaid and unsaid.as_json()}

    async def data_remove(self, name: str) -> dict[str, JSON]:
        """Withdraw a description: new requests are refused, its grants end, approved jobs continue.

        It takes effect here before the centre is notified, whether or not the centre answers. A
        name that is published again keeps its id and its privacy domain.
        """
        context = self.assembly.context
        if offered := self._offered(name):
            with context.store.transaction():
                context.store.set_fact(f"dataset/{name}", None)
                context.store.note(context.clock(), "dataset.removed", "", name=name)
        for item in self._waiting_for(name):
            with contextlib.suppress(SecureFlowError):  # decided or expired meanwhile
                await self.inbox_reject(item.id, "the dataset was withdrawn")
        try:
            await self._of_centre("dataset.remove", name)
        except SecureFlowError as error:
            if not offered:
                raise
            if error.code != "not_found":  # otherwise it has nothing to end
                raise _withdrawn_here(error, name) from error
        return {"name": name}

    def _offered(self, dataset: str) -> bool:
        return self.assembly.context.store.fact(f"dataset/{dataset}") is not None

    async def _of_centre(self, kind: str, dataset: str) -> JSON:
        """Call the centre about a dataset; if it is silent, the owner can still withdraw it."""
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.link.call(kind, {"name": dataset})
        except TimeoutError as error:
            reason = Text(
                "The server does not answer {kind} within {patience:.0f} s.",
                kind=kind,
                patience=PATIENCE,
            )
            raise SecureFlowError("link_broken", reason, "Try again.") from error

    def _waiting_for(self, dataset: str) -> list[InboxItem]:
        waiting = self.assembly.inbox.list()
        return [item for item in waiting if item.request.get("dataset") == dataset]

    async def data_budget(self, *, exact: bool = True) -> list[dict[str, JSON]]:
        """Return what each privacy domain has spent of its budget."""
        return await self.assembly.context.budgets.report(exact=exact)

    async def data_course(self, domain: str) -> list[dict[str, JSON]]:
        """Return how a domain's budget stood after each event, the oldest first."""
        context = self.assembly.context
        return await course(context.budgets, context.store, domain)

    async def data_settle(self, domain: str, bundles: list[JSON] | None = None) -> dict[str, JSON]:
        """Unlock a restored agent's privacy domain, charged for what was spent since the backup."""
        context = self.assembly.context
        recovery = BudgetRecovery(
            context.budgets, context.store, context.party, context.key.public,
            self.link.call, context.clock,
        )  # fmt: skip
        try:
            settled = await recovery.settle(domain, bundles or ())
        finally:
            await self.assembly.rollback.forget_ended_jobs()  # if a rollback was found
        self.assembly.inbox.wake_all()
        return settled


def _counts(answer: JSON, *names: str) -> dict[str, int]:
    """Return numbers of a foreign answer; anything else counts as 0."""
    given = answer if isinstance(answer, dict) else {}
    found = {name: given.get(name) for name in names}
    return {name: one if type(one) is int and one >= 0 else 0 for name, one in found.items()}


def _withdrawn_here(error: SecureFlowError, name: str) -> SecureFlowError:
    """Return the error of a withdrawal that the centre does not know yet."""
    return SecureFlowError(
        error.code,
        error.message,
        Text(
            "It is withdrawn here, and no new job gets it; its grants end once the server"
            " knows. Run again: secureflow agent data remove {name}",
            name=name,
        ),
        error.details,
    )

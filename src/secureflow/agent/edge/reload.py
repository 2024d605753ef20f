"""An edited `agent.yaml` takes effect: on SIGHUP and on `secureflow agent reload`.

- All or nothing: a file that does not load, or is not permitted, changes nothing.
- Datasets, consent (with its policy files) and attestation (with its roots) take effect at once;
  the rest is reported as needing a restart.
- An approved job keeps using what it was approved under (`publications`).
- Domain and unit of a known dataset cannot change. A budget's limit may, and a probing limit; it
  grows only if the owner confirms it in `agent reload`, and every change is an event of its chain
  and a line of the agent's log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from secureflow.adapters.datasources import check_library
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.owner.publications import check_lineage
from secureflow.agent.settings import AgentSettings
from secureflow.application.ports.policies import Policies
from secureflow.engines.attestation import AppraisalPolicy, EvidenceVerifier
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.logging import get_logger
from secureflow.kit.process import Hangup
from secureflow.kit.text import Text, text_in

RELOADED: Final = ("datasets", "consent", "attestation")
"""The parts of the settings that a running agent can reload."""
FIXED: Final = ("organisation", "directory")
"""The identity of the agent: other values mean another agent's file."""
_OTHERS: Final = "console"
"""A part that another process reads: the owner's page."""

_log = get_logger(__name__)


@dataclass(frozen=True)
class Rules:
    """The files that settings name, read and ready to use.

    Args:
        policies: of `consent.policies`.
        verifier: of evidence.
        appraisal: which enclaves are acceptable.
    """

    policies: Policies
    verifier: EvidenceVerifier
    appraisal: AppraisalPolicy


@dataclass(frozen=True)
class _Read:
    settings: AgentSettings
    rules: Rules
    files: Mapping[str, str]


class Reload:
    """Compares the file with the settings in force, and applies it.

    Args:
        config: the YAML file that the process was started with.
        assembly: the running agent.
        rules: reads the files that settings name; raises their errors.
    """

    def __init__(
        self, config: Path, assembly: Assembly, rules: Callable[[AgentSettings], Rules]
    ) -> None:
        self._config = config
        self._assembly = assembly
        self._rules = rules
        self._active = assembly.context.active
        self._files: Mapping[str, str] = named_files(self._active.settings)
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None] | None] = set()

    @property
    def config(self) -> Path:
        """The settings file."""
        return self._config

    async def difference(self) -> dict[str, JSON]:
        """Return how the file differs from the settings in force.

        Returns:
            `state`: `same`, `edited` or `invalid`; `changed`: what a reload applies;
            `restart`: what needs a restart; `problem`: why the file is invalid.
        """
        try:
            read = await asyncio.to_thread(self._read)
        except SecureFlowError as error:
            return {"state": "invalid", "changed": [], "restart": [], "problem": error.as_json()}
        return {**self._compare(read), "problem": None}

    async def check_read(self, dataset: str) -> None:
        """Refuse to publish a dataset whose declaration in the file differs from the one in force.

        Raises:
            SecureFlowError: `settings_edited`.
        """
        found = await self.difference()
        if found["problem"] is not None or f"datasets.{dataset}" in found["changed"]:
            config, problem = self._config, found["problem"]
            message = Text(
                "{config} was edited since this agent read it: datasets.{dataset} differs.",
                config=config,
                dataset=dataset,
            )
            if problem is not None:
                why = text_in(problem, "message")
                message = Text(
                    "{config} was edited since this agent read it, and does not load: {why}",
                    config=config,
                    why=why,
                )
            raise SecureFlowError(
                "settings_edited",
                message,
                "Apply the file first: secureflow agent reload.",
            )

    async def preview(self) -> dict[str, JSON]:
        """Return `difference`, and the limits that a reload would change: `budgets`, `probing`.

        Raises:
            SecureFlowError: what is wrong with the file.
        """
        read = await asyncio.to_thread(self._read)
        return {**self._compare(read), **self._limit_changes(read.settings)}

    async def apply(self, agreed: Sequence[JSON] = ()) -> dict[str, JSON]:
        """Apply the file.

        Args:
            agreed: the changes of limits, as returned by `preview`, that the owner agreed to.

        Raises:
            SecureFlowError: `invalid_settings`, `policy_…`, `simulated_root_refused`,
                `privacy_fixed`, `library_missing`, `budget_unit_fixed`, `budget_grows`: nothing
                has changed then.
        """
        async with self._lock:
            read = await asyncio.to_thread(self._read)
            changes = {**self._compare(read), **self._limit_changes(read.settings)}
            _refuse_growth(changes["budgets"], changes["probing"], agreed)
            self._take(read, changes)  # without an await: nobody sees a mixture
            self._assembly.consent.replace_policies(read.rules.policies)
            self._assembly.attestation.replace_policy(read.rules.verifier, read.rules.appraisal)
            self._files = read.files
        _log.info("settings_reloaded", changed=changes["changed"], restart=changes["restart"])
        return changes

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """Keep files from being read anew while one of them is changed."""
        async with self._lock:
            yield

    def in_force(self, path: Path) -> str:
        """Return the SHA-256 of a named file as it was when it was read; empty for another."""
        return self._files.get(str(path), "")

    def took(self, path: Path) -> None:
        """Know that what a named file holds now is in force."""
        self._files = {**self._files, str(path): _fingerprint(path)}

    def listen(self, hangup: Hangup) -> None:
        """Reload on SIGHUP: nobody can be asked, so the result is logged."""
        hangup.reloads(lambda: self._tasks.add(asyncio.create_task(self._on_hangup())))

    async def _on_hangup(self) -> None:
        try:
            await self.apply()
        except SecureFlowError as error:
            _log.error("settings_refused", message=f"nothing changed: {error}")
        finally:
            self._tasks.discard(asyncio.current_task())

    def _take(self, read: _Read, changes: Mapping[str, JSON]) -> None:
        """Use the settings; if the record cannot store them, return to the old ones."""
        context, before = self._assembly.context, self._active.settings
        parts = {name: getattr(read.settings, name) for name in RELOADED}
        self._active.replace(before.model_copy(update=parts))
        try:
            context.budgets.take_limits(changes["budgets"], context.clock())
            context.probing.take_limits(changes["probing"], context.clock())
            if changes["changed"]:
                with context.store.transaction():
                    facts = {name: changes[name] for name in ("changed", "restart")}
                    context.store.note(context.clock(), "settings.reloaded", "", **facts)
        except BaseException:  # whatever the error, nothing has changed then
            self._active.replace(before)
            raise

    def _read(self) -> _Read:
        settings = AgentSettings.load(self._config)
        now = self._active.settings
        for name in FIXED:
            if getattr(settings, name) != getattr(now, name):
                raise SecureFlowError(
                    "invalid_settings",
                    Text(
                        "{config}: {name} is {given}, this agent's is {own}.",
                        config=self._config,
                        name=name,
                        given=getattr(settings, name),
                        own=getattr(now, name),
                    ),
                    "Another agent needs a process of its own.",
                )
        known = {one.name: one for one in now.datasets}
        for dataset in settings.datasets:
            check_lineage(self._assembly.context.store, dataset, known.get(dataset.name))
            check_library(dataset)
        return _Read(settings, self._rules(settings), named_files(settings))

    def _compare(self, read: _Read) -> dict[str, JSON]:
        now = self._active.settings
        changed = list(_changes(now, read.settings))
        names = {*read.files, *self._files}
        changed += sorted(n for n in names if read.files.get(n) != self._files.get(n))
        fixed = [name for name in AgentSettings.model_fields if name not in (*RELOADED, _OTHERS)]
        restart = [one for one in fixed if getattr(now, one) != getattr(read.settings, one)]
        state = "edited" if changed or restart else "same"
        return {"state": state, "changed": changed, "restart": restart}

    def _limit_changes(self, settings: AgentSettings) -> dict[str, JSON]:
        context = self._assembly.context
        return {
            "budgets": context.budgets.changes(settings.datasets),
            "probing": context.probing.changes(settings.datasets),
        }


def _refuse_growth(
    budgets: Sequence[Mapping[str, JSON]],
    probing: Sequence[Mapping[str, JSON]],
    agreed: Sequence[JSON],
) -> None:
    hint = "What is revealed cannot be taken back: confirm it with secureflow agent reload."
    if growing := _growing(budgets, agreed):
        raise SecureFlowError(
            "budget_grows",
            Text("The privacy budget of {growing} would grow.", growing=", ".join(growing)),
            hint,
            {"domains": growing},
        )
    if growing := _growing(probing, agreed):
        raise SecureFlowError(
            "budget_grows",
            Text("The probing limit of {growing} would grow.", growing=", ".join(growing)),
            hint,
            {"domains": growing},
        )


def _growing(changes: Sequence[Mapping[str, JSON]], agreed: Sequence[JSON]) -> list[str]:
    return [str(one["domain"]) for one in changes if one["grows"] and one not in agreed]


def named_files(settings: AgentSettings) -> dict[str, str]:
    """Return the SHA-256 of every file that consent and attestation name, by path."""
    paths = {path for name in RELOADED for path in _paths(getattr(settings, name))}
    return {str(path): _fingerprint(path) for path in sorted(paths)}


def _paths(value: Any) -> Iterator[Path]:
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _paths(getattr(value, name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _paths(one)


def _fingerprint(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # the code that needs the file reports what is wrong with it


def _changes(old: AgentSettings, new: AgentSettings) -> Iterator[str]:
    """Yield the names of the differences in the reloadable parts."""
    before, after = ({one.name: one for one in s.datasets} for s in (old, new))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield f"datasets.{name}"
    for part in RELOADED[1:]:
        was, now = getattr(old, part), getattr(new, part)
        for name in type(was).model_fields:
            if getattr(was, name) != getattr(now, name):
                yield f"{part}.{name}"

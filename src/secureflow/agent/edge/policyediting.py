"""Reading, trying and saving the owner's policy files over the control socket.

Only files that agent.yaml names are read or written, and only such that this process may write:
whoever keeps them read-only, because they are reviewed elsewhere, keeps them so. A text is saved if
it is valid together with all other files, and if the file is still what its editor began with; it
takes effect at once, for what is decided from then on.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from secureflow.adapters.policy import CedarPolicies
from secureflow.agent.edge.control import Command
from secureflow.agent.edge.policyfiles import result_of_example
from secureflow.agent.edge.reload import Reload
from secureflow.agent.edge.wiring import Assembly
from secureflow.agent.owner.decisions import Decisions
from secureflow.domain.policies import Policy, PolicyTests
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import NoYamlError, parsed_yaml
from secureflow.kit.plain import HiddenCharacterError, lines
from secureflow.kit.text import Text

MAX_TEXT: Final = 128 << 10
"""Bytes of a policy's text that is edited here."""
MAX_EXAMPLES: Final = 64 << 10
TRIED: Final = 50
"""Requests of the inbox, the newest, on which a text is tried."""


@dataclass(frozen=True)
class PolicyEditing:
    """The commands, over the parts of a running agent.

    Args:
        assembly: the agent.
        reload: knows which files are in force.
        kinds: of job.
    """

    assembly: Assembly
    reload: Reload
    kinds: SpecKinds = SPEC_KINDS

    def table(self) -> Mapping[str, Command]:
        """Return the commands by name."""
        return {
            "policy.files": self.files,
            "policy.read": self.read,
            "policy.try": self.attempt,
            "policy.save": self.save,
        }

    async def files(self) -> list[dict[str, JSON]]:
        """Return the policy files that agent.yaml names: see `read`, without their texts."""
        found = await asyncio.to_thread(lambda: [self._told(*one) for one in self._named()])
        return [{name: one[name] for name in one if name != "text"} for one in found]

    async def read(self, name: str) -> dict[str, JSON]:
        """Return a policy file.

        Returns:
            `name`, `path`, `text`, `version`: what a change must name; `in_force`: whether this
            text decides now; `writable`: whether this agent may write it.
        """
        path = self._path(name)
        return await asyncio.to_thread(self._told, name, path)

    async def attempt(self, name: str, text: str, examples: str = "") -> dict[str, JSON]:
        """Try a text in a file's place; nothing changes.

        Args:
            name: of the file.
            text: instead of its own.
            examples: YAML, as `secureflow agent policy test` reads it; empty: none.

        Returns:
            `problem`: why the text is not valid, or None; `tests`: what it decides about each
            example; `requests`: the newest requests of the inbox about which it decides otherwise
            than the policies of now, of `tried`.
        """
        path = self._path(name)
        return await asyncio.to_thread(self._tried, path, text, examples)

    async def save(self, name: str, text: str, version: str) -> dict[str, JSON]:
        """Save a text, which takes effect at once.

        Args:
            name: of the file.
            text: valid together with all other files.
            version: of the file as its editor began with it.

        Raises:
            SecureFlowError: `stale_version` if somebody else changed it meanwhile;
                `policy_invalid`, `policy_unreadable`, `policy_read_only`, `settings_edited`,
                `too_large`, `disk_…`.
        """
        path = self._path(name)
        async with self.reload.changing():
            await asyncio.to_thread(self._saved, name, path, text, version)
        return await asyncio.to_thread(self._told, name, path)

    def _named(self) -> list[tuple[str, Path]]:
        """Return each file with the name by which it is asked for: its own, made unique."""
        found: dict[str, Path] = {}
        for path in self.assembly.context.active.settings.consent.policies:
            name, number = path.name, 2
            while name in found:
                name, number = f"{path.name}~{number}", number + 1
            found[name] = path
        return list(found.items())

    def _path(self, name: str) -> Path:
        for known, path in self._named():
            if known == name:
                return path
        raise SecureFlowError(
            "not_found",
            Text("agent.yaml names no policy file {name!r:.130}.", name=name),
            "Name it under consent.policies, and apply that: secureflow agent reload.",
        )

    def _told(self, name: str, path: Path) -> dict[str, JSON]:
        data = _bytes_of(path)
        version = sha256(data).hexdigest()
        return {
            "name": name,
            "path": str(path),
            "text": data.decode("utf-8", "replace"),
            "version": version,
            "in_force": self.reload.in_force(path) == version,
            "writable": _writable(path),
        }

    def _tried(self, path: Path, text: str, examples: str) -> dict[str, JSON]:
        try:
            decisions = self._with(self._candidate(path, text))
        except SecureFlowError as error:
            return {"problem": error.as_json(), "tests": [], "requests": [], "tried": 0}
        tests = [result_of_example(decisions, one, self.kinds) for one in _examples(examples)]
        changed, tried = self._compared(decisions)
        return {"problem": None, "tests": tests, "requests": changed, "tried": tried}

    def _compared(self, decisions: Decisions) -> tuple[list[dict[str, JSON]], int]:
        now = self.assembly.consent.decisions
        changed: list[dict[str, JSON]] = []
        tried = 0
        for item in self.assembly.context.store.inbox(limit=TRIED):
            try:
                before, after = now.decision(item.request), decisions.decision(item.request)
            except KeyError:  # asked by an older version, which knew fewer facts
                continue
            tried += 1
            effects = _effect(before), _effect(after)
            if effects[0] != effects[1]:
                changed.append(
                    {
                        "item": item.id,
                        "job": item.job,
                        "purpose": item.request.get("purpose"),
                        "submitter": item.request.get("submitter"),
                        "at": item.at,
                        "before": effects[0],
                        "after": effects[1],
                        "by": list(after.reasons),
                    }
                )
        return changed, tried

    def _with(self, policies: CedarPolicies) -> Decisions:
        consent = self.assembly.context.active
        return Decisions(policies, lambda: consent.settings.consent.two_people)

    def _candidate(self, path: Path, text: str) -> CedarPolicies:
        """Return the policies with a text in a file's place.

        Raises:
            SecureFlowError: `policy_invalid`, `policy_unreadable`, `too_large`.
        """
        data = _checked(text, path).encode()
        texts = [
            Policy(one.name, found.decode("utf-8"), sha256(found).hexdigest())
            for one in self.assembly.context.active.settings.consent.policies
            for found in [data if one == path else _bytes_of(one)]
        ]
        return CedarPolicies(texts, self.kinds)

    def _saved(self, name: str, path: Path, text: str, version: str) -> None:
        before = _bytes_of(path)
        if sha256(before).hexdigest() != version:
            raise SecureFlowError(
                "stale_version",
                Text("{name} was changed since you opened it: nothing was saved.", name=name),
                "Open it again, and make your change there.",
            )
        if not _writable(path):
            raise SecureFlowError(
                "policy_read_only",
                Text("This agent may not write {path}.", path=path),
                "Change it where it is kept, then: secureflow agent reload.",
            )
        self._check_others(path)
        policies = self._candidate(path, text)
        data, context = _checked(text, path).encode(), self.assembly.context
        _replace(path, data)
        try:
            facts = {"name": name, "before": version, "after": sha256(data).hexdigest()}
            with context.store.transaction():
                context.store.note(context.clock(), "policy.saved", "", **facts)
        except BaseException:  # what is not in the log has not happened
            _replace(path, before)
            raise
        self.assembly.consent.replace_policies(policies)
        self.reload.took(path)

    def _check_others(self, path: Path) -> None:
        """Refuse while another file was edited and not applied: it would take effect unasked."""
        for name, one in self._named():
            if one != path and sha256(_bytes_of(one)).hexdigest() != self.reload.in_force(one):
                raise SecureFlowError(
                    "settings_edited",
                    Text("{name} was edited, and that is not applied yet.", name=name),
                    "Apply it first: secureflow agent reload.",
                )


def _effect(decision: Any) -> str:
    return "two_people" if decision.effect == "ask" and decision.two_people else decision.effect


def _examples(text: str) -> Sequence[Any]:
    if not text.strip():
        return ()
    if len(text.encode()) > MAX_EXAMPLES:
        raise SecureFlowError("too_large", "The examples are too long.", "Try fewer at once.")
    try:
        value = parsed_yaml(lines(text))
    except (NoYamlError, HiddenCharacterError) as error:
        raise SecureFlowError(
            "invalid_file",
            Text("The examples are not YAML: {reason}.", reason=str(error)),
            "docs/people.md shows how examples are written.",
        ) from error
    return parse(PolicyTests, value, "file").tests


def _checked(text: str, path: Path) -> str:
    """Return a policy's text with plain newlines, if nothing in it is hidden."""
    try:
        found = lines(text)
    except HiddenCharacterError as error:
        raise SecureFlowError(
            "policy_invalid",
            Text(
                "The policy file {name} is not valid: {problems}",
                name=path.name,
                problems=str(error),
            ),
            "Remove the invisible character.",
            {"file": path.name},
        ) from error
    if len(found.encode()) > MAX_TEXT:
        raise SecureFlowError(
            "too_large", "The text is too long to be edited here.", "Edit the file itself."
        )
    return found


def _bytes_of(path: Path) -> bytes:
    """Return a policy file's bytes (`policy_unreadable`)."""
    with suppress(OSError), path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
        if len(data) <= MAX_TEXT:
            with suppress(UnicodeError):
                data.decode("utf-8")
                return data
    raise SecureFlowError(
        "policy_unreadable",
        Text("The policy file {path} cannot be read here.", path=path),
        "It must be UTF-8 of at most 128 KiB, and readable by the agent's user.",
    )


def _writable(path: Path) -> bool:
    real = path.resolve()
    return os.access(real, os.W_OK) and os.access(real.parent, os.W_OK)


def _replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the mode that it has."""
    real = path.resolve()
    with writing(Place(real.parent, "own files")):
        mode = real.stat().st_mode & 0o777
        handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(real)
        except BaseException:  # whatever the error, nothing is left beside the file
            with suppress(OSError):
                Path(name).unlink()
            raise

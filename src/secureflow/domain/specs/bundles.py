"""The part of a spec that names code: a bundle, its entry point, and the environment that runs it.

A bundle's digest is the BLAKE3 of its packing (`engines.bundles`), an environment's that of its
canonical lock. So the digest of the spec, and each approval, cover every line of the code and every
package that may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT, Digest
from secureflow.domain.specs.kind import Fact
from secureflow.domain.specs.partforms import CodePart
from secureflow.kit.canonical import JSON, digest

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,63}"
ENTRY_PATTERN: Final = rf"^{_NAME}(?:\.{_NAME}){{0,7}}:{_NAME}$"
EntryPoint = Annotated[str, Field(pattern=ENTRY_PATTERN)]
"""`module:Class`, in ASCII: two entry points that look alike are the same."""

CODE_ERRORS: Final = frozenset(
    {"bundle_unusable", "bundle_failed", "bundle_died", "bundle_silent", "bundle_output_refused"}
)
"""Errors that a job's own code can bring about at will."""

CODE_FACTS: Final = ("bundle_digest", "bundle_entry", "environment")
"""Those of `BUNDLE_FACTS` that name the code itself."""
BUNDLE_FACTS: Final[Mapping[str, Fact]] = {
    **dict.fromkeys(CODE_FACTS, "text"),
    "settings_digest": "text",
    "starts_from": "text",
    "clip_norm": "decimal",
    "submitter": "text",
}
"""What policies can decide on beside a kind's own attributes (`SpecKind.facts`)."""


@dataclass(frozen=True)
class BundleRef:
    """The code of a job.

    Args:
        digest: of the packed bundle, BLAKE3 in hex.
        entry: the class that is called, `module:Class`.
        environment: digest of the lock of the owner's environment that runs it.
    """

    __pydantic_config__ = STRICT
    digest: Digest
    entry: EntryPoint
    environment: Digest

    @property
    def module(self) -> str:
        """The dotted name of the module that holds the class."""
        return self.entry.partition(":")[0]


_GIVEN: Final = (
    "model.bundle.entry", "model.bundle.environment", "initial.model", "resume.model", "plan.seed",
    "plan.rounds",
)  # fmt: skip
_APPLIED: Final = {
    "model.bundle.entry": "model.bundle.entry",
    "model.bundle.environment": "model.bundle.environment",
    "plan.seed": "seed",
    "model.digest": "digest",
}
"""The same of a model that a job applies to rows: the name that it is shown by → its path there."""


def brought(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the family of a stored job's model that names its code; {} for a job without any.

    A job that trains has it itself; one that applies a model to rows has it in that. Of a job whose
    program an engine runs it is that program, with what it is given.
    """
    return _family(spec) or _family(_applied(spec)) or _run(spec)


def applies(spec: Mapping[str, Any]) -> bool:
    """Tell whether a stored job has its code compute a model of another job, and learn nothing."""
    return not _family(spec) and bool(_family(_applied(spec)))


def runs(spec: Mapping[str, Any]) -> bool:
    """Tell whether a stored job's code is a program that an engine runs, and no class."""
    return bool(_run(spec))


def given_to(program: Mapping[str, Any]) -> dict[str, JSON]:
    """Return what a stored program of others is given beside rows: its digest covers none of it."""
    return {name: program[name] for name in ("arguments", "input") if name in program}


def _run(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found = spec.get("computation")
    if isinstance(found, Mapping) and isinstance(found.get("bundle"), Mapping):
        return {"bundle": found["bundle"], "settings": given_to(found)}
    return {}


def _family(one: Mapping[str, Any]) -> Mapping[str, Any]:
    found = one.get("model")
    if isinstance(found, Mapping) and isinstance(found.get("bundle"), Mapping):
        return found
    return {}


def _applied(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the first model that a stored job applies to rows; {} for another job."""
    several: Any = spec.get("models")
    found: Any = several[0] if isinstance(several, list | tuple) and several else spec.get("model")
    return found if isinstance(found, Mapping) else {}


def given_beside_settings(spec: Mapping[str, Any]) -> dict[str, JSON]:
    """Return what else steers a stored job's code: path in the spec → value, where there is one."""
    paths, whole = {one: one for one in _GIVEN}, spec
    if applies(spec):
        paths, whole = _APPLIED, _applied(spec)
    elif runs(spec):
        paths = {"program.bundle.entry": "computation.bundle.entry"}
    found: dict[str, JSON] = {}
    for name, path in paths.items():
        value: Any = whole
        for member in path.split("."):
            value = value.get(member) if isinstance(value, Mapping) else None
        if value is not None:
            found[name] = value
    return found


def bundle_facts(
    bundle: CodePart | None,
    submitter: str,
    settings: Mapping[str, JSON],
    starts_from: str,
    clip_norm: float,
) -> dict[str, Any]:
    """Return the attributes of `BUNDLE_FACTS`; those of the code are empty without a bundle.

    Args:
        bundle: the code.
        submitter: who the *centre* says it is: the owner cannot verify it.
        settings: what the code is made with; the digest of the bundle does not cover them.
        starts_from: digest of the weights that the job begins with, empty for the family's own.
        clip_norm: the most that one update may be long.
    """
    named = ("", "", "", "")
    if bundle is not None:
        named = (bundle.digest, bundle.entry, bundle.environment, digest(settings))
    return dict(zip(BUNDLE_FACTS, (*named, starts_from, clip_norm, submitter), strict=True))

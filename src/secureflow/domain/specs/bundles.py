"""The part of a spec that names code: a bundle, its entry point, and the environment that runs it.

A bundle's digest is the BLAKE3 of its packing (`engines.bundles`), an environment's that of its
canonical lock. So the digest of the spec, and each approval, cover every line of the code and every
package that may run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from secureflow.domain.specs.base import STRICT, CodePart, Digest
from secureflow.domain.specs.kind import Fact

_NAME: Final = "[A-Za-z_][A-Za-z0-9_]{0,63}"
ENTRY_PATTERN: Final = rf"^{_NAME}(?:\.{_NAME}){{0,7}}:{_NAME}$"
EntryPoint = Annotated[str, Field(pattern=ENTRY_PATTERN)]
"""`module:Class`, in ASCII: two entry points that look alike are the same."""

CODE_ERRORS: Final = frozenset(
    {"bundle_unusable", "bundle_failed", "bundle_died", "bundle_silent", "bundle_output_refused"}
)
"""Errors that a job's own code can bring about at will."""

BUNDLE_FACTS: Final[Mapping[str, Fact]] = {
    "bundle_digest": "text",
    "bundle_entry": "text",
    "environment": "text",
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


def bundle_facts(bundle: CodePart | None, submitter: str) -> dict[str, str]:
    """Return the attributes of `BUNDLE_FACTS`; they are empty for a job without a bundle.

    The submitter is who the *centre* says it is: the owner cannot verify it.
    """
    named = ("", "", "") if bundle is None else (bundle.digest, bundle.entry, bundle.environment)
    return dict(zip(BUNDLE_FACTS, (*named, submitter), strict=True))

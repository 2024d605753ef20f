"""A job file that names a program of others by its folder: what the spec needs of it.

    program:
      name: mpyc
      folder: auction            # beside the job file
      entry: program.py          # the file in it that is started; this one if nothing else is said
      arguments: [--bits, "16", "@bid"]
      input: rows.csv            # or .npy

The digest is that of the folder as it is now. Nothing of it runs here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.domain.specs.base import STRICT, dump, parse
from secureflow.domain.specs.ownprograms import MPYC, MpycProgram
from secureflow.engines.bundles import Bundle
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.nearnames import alike, some
from secureflow.kit.text import Text
from secureflow.sdk.bundlefiles import read_bundle

ENTRY: Final = "program.py"
_KNOWN: Final = ("name", "version", "folder", "entry", "arguments", "input")
_PAGE: Final = "docs/mpc.md shows a job file that names a folder."


@dataclass(frozen=True)
class _Named:
    """The member of a job that its errors name."""

    __pydantic_config__ = STRICT
    program: MpycProgram


@dataclass(frozen=True)
class LocalProgram:
    """A program on this machine, as a job names it.

    Args:
        folder: where it is.
        bundle: what is in it.
    """

    folder: Path
    bundle: Bundle


def local_program(job: Mapping[str, Any], base: Path) -> tuple[dict[str, Any], LocalProgram | None]:
    """Return a job with the digest of the program that it names by a folder.

    Args:
        job: a job file's content; one that names no folder is returned as it is.
        base: the folder that paths in it are relative to.

    Raises:
        SecureFlowError: `invalid_spec`, `invalid_file`, `bundle_refused`.
    """
    program = job.get("program")
    if not isinstance(program, Mapping) or program.get("name") != MPYC or "folder" not in program:
        return dict(job), None
    unknown = sorted(set(map(str, program)) - set(_KNOWN))
    if unknown:
        near = alike(unknown[0], _KNOWN)
        hint: str = Text("{near} may be meant.", near=some(near)) if near else _PAGE
        raise _invalid(unknown[0], "it is not known here", hint)
    folder = base / str(program["folder"])
    if folder.is_file():
        reason = Text("{name} is a file", name=str(program["folder"])[:200])
        raise _invalid("folder", reason, "Name the folder that the code is in.")
    bundle = read_bundle(folder)
    entry = str(program.get("entry", ENTRY))
    if entry not in bundle.files:
        reason = Text("the folder has no file {entry}", entry=entry[:200])
        raise _invalid("entry", reason, Text("Its files are: {files}.", files=some(bundle.files)))
    asked = {
        **{name: one for name, one in program.items() if name not in {"folder", "entry"}},
        "bundle": {"digest": bundle.digest, "entry": entry},
    }
    made = parse(_Named, {"program": asked}, "spec").program
    return {**job, "program": dump(made)}, LocalProgram(folder, bundle)


def _invalid(name: str, problem: str, hint: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_spec",
        Text("The spec is not valid: program.{name}: {problem}.", name=name[:80], problem=problem),
        hint,
        {"fields": [{"field": f"program.{name[:80]}", "problem": problem}]},
    )

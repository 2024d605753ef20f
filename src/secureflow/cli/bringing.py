"""The code and the first weights that a job file names by a folder, on their way to a project.

They are uploaded before a job is submitted, and by nothing else: a dry run finds the same digests
here, and tells what a submission would upload. A submission is checked by one first, so that a job
which would be refused leaves nothing at the centre.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from secureflow.cli.console import say
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.engines.training.weightsfile import WeightsFile
    from secureflow.sdk import Client
    from secureflow.sdk.localcode import LocalCode
    from secureflow.sdk.localprogram import LocalProgram
    from secureflow.sdk.views import DryRun


@dataclass(frozen=True)
class Brought:
    """A job that can be submitted once what it brings is there.

    Args:
        request: the job, with the digests of code and weights.
        code: the bundle that it names by a folder, if it does.
        weights: the file of the weights that its code begins with, unless the job names others.
    """

    request: Mapping[str, Any]
    code: LocalCode | LocalProgram | None = None
    weights: WeightsFile | None = None

    def send(self, connection: Client) -> None:
        """Upload code and weights to the job's project, and say so.

        Raises:
            SecureFlowError: as `check`, before anything is uploaded.
        """
        if self.code is None:
            return
        self.check(connection)
        project = str(self.request.get("project", ""))
        connection.bundles.upload(self.code.bundle, project, self._name)
        digest = self.code.bundle.digest
        say(t("uploaded the bundle {name}: {digest}", name=self._name, digest=digest))
        if self.weights is not None:
            connection.models.upload(self.weights.path, project)
            say(t("uploaded the weights that it begins with: {digest}", digest=self.weights.digest))

    def check(self, connection: Client) -> DryRun:
        """Have the job checked as if all of it were there; nothing is uploaded."""
        code = "" if self.code is None else self.code.bundle.digest
        weights = "" if self.weights is None else self.weights.digest
        return connection.jobs.dry_run(self.request, bundle=code, weights=weights)

    def tell(self) -> None:
        """Say what a submission would upload."""
        if self.code is not None:
            bundle = self.code.bundle
            facts = {"name": self._name, "digest": bundle.digest, "files": len(bundle.files)}
            say(
                t(
                    "Submitting it uploads the bundle {name}: {digest}, {files} "
                    "{files:file|files}, {size} bytes",
                    size=bundle.size,
                    **facts,
                )
            )
        if self.weights is not None:
            facts = {"digest": self.weights.digest, "size": self.weights.size}
            say(t("Submitting it uploads the weights that it begins with: {digest}, {size} bytes",
                  **facts))  # fmt: skip

    @property
    def _name(self) -> str:
        return "" if self.code is None else self.code.folder.resolve().name


@contextmanager
def brought(job: Mapping[str, Any], base: Path) -> Iterator[Brought]:
    """Find what a job brings; its weights are a file inside the block.

    Args:
        job: a job file's content.
        base: the folder that paths in it are relative to.

    Raises:
        SecureFlowError: as `sdk.localcode.local_code` and `sdk.localprogram.local_program`.
    """
    from secureflow.sdk.localcode import local_code
    from secureflow.sdk.localprogram import local_program

    named, program = local_program(job, base)
    if program is not None:
        yield Brought(named, program)
        return
    request, code = local_code(job, base)
    if code is None or request.get("initial") or request.get("resume"):
        yield Brought(request, code)
        return
    from secureflow.domain.specs.base import dump
    from secureflow.engines.training.weightsfile import WeightsFile
    from secureflow.sdk.models import initial_of

    with TemporaryDirectory() as place:
        path = Path(place, "initial.safetensors")
        path.write_bytes(code.weights())
        weights = WeightsFile.read(path)
        yield Brought({**request, "initial": dump(initial_of(weights))}, code, weights)

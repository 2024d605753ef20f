"""The base models of a job, given to its worker: files in its folder, beside the model's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from secureflow.agent.job.context import AgentContext
from secureflow.agent.owner.basemodels import held_base
from secureflow.domain.specs.base import JobSpec
from secureflow.kit.basefiles import base_file
from secureflow.kit.disk import Place, writing


def place_bases(context: AgentContext, job: str, spec: JobSpec) -> None:
    """Put the bases of a job into its folder, where its worker reads them.

    A second name of the same file where the disk allows that, else a copy.

    Raises:
        SecureFlowError: `base_model_missing`.
        InfrastructureError: there is no room.
    """
    folder = context.settings.models / job
    for digest in spec.bases:
        wanted = base_file(folder, digest)
        if wanted.exists():
            continue
        found = held_base(digest, context.settings.base_models, context.party)
        with writing(Place(folder, "model files", context.party), found.stat().st_size):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _linked(found.resolve(), wanted)


def _linked(source: Path, wanted: Path) -> None:
    try:
        os.link(source, wanted)
    except OSError:  # another disk, or one without second names
        part = wanted.with_suffix(".part")
        shutil.copyfile(source, part)
        part.replace(wanted)

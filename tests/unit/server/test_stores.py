"""A server whose stores are not there: who starts it hears where to look."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.adapters.artifacts import FileArtifacts, ReadTogether, ScratchFiles
from secureflow.application.ports.artifacts import DamagedArtifactError
from secureflow.kit.errors import SecureFlowError
from secureflow.server.centre import _demand_whole, _stores


def test_a_file_in_the_place_of_the_store_is_named_to_who_starts_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts"
    folder.write_text("")
    storage = SimpleNamespace(reserve_mb=0)
    settings: Any = SimpleNamespace(storage=storage, artifacts=folder, uploads=folder / "uploads")
    with pytest.raises(SecureFlowError) as refused:
        _stores(settings)
    assert refused.value.code == "disk_failed"
    assert str(folder) in refused.value.hint


async def test_a_word_of_damage_after_a_jobs_blobs_are_gone_is_its_partys_own(
    tmp_path: Path,
) -> None:
    """A party may say so in its answer to the end, when the masked vectors are removed already."""
    artifacts = FileArtifacts(tmp_path / "artifacts")
    both, vectors = ReadTogether(artifacts, artifacts), ScratchFiles(tmp_path / "vectors")
    await vectors.discard("job_1")
    await _demand_whole(both, vectors, "job_1", "0" * 64)

    async def content() -> AsyncIterator[bytes]:
        yield b"a model"

    stored = await artifacts.put(content(), limit=7)
    (tmp_path / "artifacts" / stored.digest[:2] / stored.digest).write_bytes(b"a modem")
    with pytest.raises(DamagedArtifactError):
        await _demand_whole(both, vectors, "job_1", stored.digest)

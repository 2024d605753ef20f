"""A file of weights over TLS and HTTP: streamed from disk to disk, however long it is."""

from __future__ import annotations

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from secureflow.adapters.artifacts import FileArtifacts
from secureflow.application.quotas import Quotas
from secureflow.kit.clock import system_clock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.pki import Authority
from secureflow.sdk import AsyncClient, Client
from secureflow.server.certificate import ServerCertificate
from secureflow.server.main import serve_rest
from secureflow.server.rest.app import create_app
from secureflow.server.settings import RestSettings
from tests.stage import Stage, empty_stage, populated

MIB = 1 << 20
SMALL = RestSettings(rate_per_second=1e6, burst=1_000_000, max_body_bytes=1024)
"""Other bodies may have a kilobyte."""


@asynccontextmanager
async def served(directory: Path, quotas: Quotas | None = None) -> AsyncIterator[tuple[Stage, str]]:
    """Serve REST as the process does; yield the stage and the URL."""
    store = FileArtifacts(directory / "uploads")
    stage = await populated(empty_stage(directory, uploads=store, quotas=quotas))
    authority = Authority.create(directory / "ca-of-tls", "test.example", system_clock())
    certificate = ServerCertificate(directory / "tls", authority, "127.0.0.1", system_clock)
    (directory / "ca.pem").write_text(authority.pem)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    app = create_app(stage.services, SMALL)
    serving = asyncio.create_task(
        serve_rest(app, SMALL, certificate.context, listening, asyncio.Event())
    )
    try:
        yield stage, f"https://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


def weights_file(path: Path, mib: int) -> Path:
    rows = np.resize(np.arange(7, dtype=np.float16), mib * MIB // 2)
    save_file({"b": rows[: len(rows) // 2], "a": rows[len(rows) // 2 :]}, path)
    return path


async def test_a_file_goes_from_disk_to_disk(tmp_path: Path) -> None:
    async with served(tmp_path) as (stage, url):
        token = await stage.bearer(stage.scientist("bank-a"))
        project, ca = stage.ids["project"], tmp_path / "ca.pem"
        peaks = []
        for mib in (1, 4):
            path = weights_file(tmp_path / f"{mib}.safetensors", mib)
            with Client(url, token, ca) as client:
                await asyncio.to_thread(client.models.upload, path, project)  # and import
                tracemalloc.start()
                found = await asyncio.to_thread(client.models.upload, path, project)
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
            assert found.upload.size == 2 * mib * MIB
            place = tmp_path / "uploads" / found.upload.digest[:2] / found.upload.digest
            assert place.stat().st_size == found.upload.size
        assert max(peaks) < 6 * MIB  # it was sent and received in this process
        assert peaks[1] < peaks[0] + 2 * MIB
        assert not list((tmp_path / "uploads" / "incoming").iterdir())
        async with AsyncClient(url, token, ca) as client:
            again = await client.models.upload(path, project)
            assert again.initial == found.initial
            sizes = [one.size async for one in client.models.uploads()]
            assert sorted(sizes) == [2 * MIB, 8 * MIB]
            await client.models.remove_upload(again.upload.id)
        assert not place.exists()


async def test_what_the_quota_refuses_is_told_although_the_sender_is_in_the_middle(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, Quotas(upload_bytes=MIB)) as (stage, url):
        token = await stage.bearer(stage.scientist("bank-a"))
        path = weights_file(tmp_path / "w.safetensors", 4)
        with Client(url, token, tmp_path / "ca.pem") as client:
            with pytest.raises(SecureFlowError) as caught:
                await asyncio.to_thread(client.models.upload, path, stage.ids["project"])
            assert caught.value.code == "quota_exceeded"
            assert "16" not in str(caught.value.details)

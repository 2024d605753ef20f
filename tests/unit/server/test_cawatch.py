"""A running centre follows its CA's files, also if it could not at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from secureflow.kit.caroots import root_name, roots
from secureflow.server.authorities import read_authorities, retire, rotate, switch
from secureflow.server.cawatch import ROTATED, CaWatch
from secureflow.server.certificate import ServerCertificate
from secureflow.server.initialise import initialise
from secureflow.server.settings import ServerSettings
from tests.stage import Stage


class Told:
    """The roots that parties were told."""

    def __init__(self) -> None:
        self.trusted: list[Any] = []

    def tell_roots(self, roots: Mapping[str, Any]) -> None:
        self.trusted.append(roots["trusted"])


async def test_a_root_that_ended_is_dropped_once_the_disk_has_room_again(
    tmp_path: Path, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "centre"
    words = {"rest_port": 0, "link_port": 0}
    await asyncio.to_thread(initialise, folder, trust_domain="test.example", **words)
    settings = ServerSettings.load(folder / "server.yaml")
    new = rotate(settings)
    switch(settings, {})
    now, link = read_authorities(settings), Told()
    made = settings.tls, now.issuing, "centre.example", lambda: stage.now[0]
    certificate = ServerCertificate(*made, settings.key_files, now.trusted)
    watch = CaWatch(settings, now, certificate, link)
    poll = watch.poll
    await poll(stage.services.begin, stage.services.transactions)
    retire(settings, {})

    def full(trusted: str) -> None:
        del trusted
        raise OSError(28, "no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(certificate, "follow", full)
        with pytest.raises(OSError, match="no space"):
            await poll(stage.services.begin, stage.services.transactions)
    assert link.trusted == []
    await poll(stage.services.begin, stage.services.transactions)
    assert link.trusted == [[new]]
    pinned = roots(certificate.credentials.authority())
    assert [root_name(one) for one in pinned] == [new]
    await stage.ledger.caught_up()
    told = [one.document for one in stage.ledger.log if one.kind == ROTATED]
    assert [one["trusted"] for one in told] == [[new]]

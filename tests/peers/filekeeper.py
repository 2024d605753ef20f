"""A keeper of anchors in a file, whose members' drivers reach it in memory."""

from __future__ import annotations

import time
from pathlib import Path

import httpx

from secureflow.adapters.anchors.file import FileAnchor
from secureflow.agent.keeper.anchors import Anchors
from secureflow.agent.keeper.app import ListenerApp
from secureflow.agent.keeper.knownlogs import KnownLogs
from secureflow.agent.record.store import RecordStore
from secureflow.agent.witnesssettings import KeeperSettings
from secureflow.domain.charter import Charter, Member
from secureflow.kit.boundedhttp import BoundedHttp
from secureflow.kit.canonical import b64decode
from secureflow.kit.crypto import SigningKey

NOW = 1_800_000_000
ORIGIN = "log.example"
URL = "https://keeper.example"
NAMES = ("bank-a", "bank-b", "bank-c")


class FileKeeper:
    """The keeper, bank-a, and its place. `reopen` is a restart.

    Args:
        folder: of its record and file.
        names: of the charter's members.
        window: seconds for which shares may be disputed.
    """

    def __init__(self, folder: Path, names: tuple[str, ...] = NAMES, window: int = 3600) -> None:
        self.folder, self.window = folder, window
        self.keys = {name: SigningKey.from_seed(name.encode().ljust(32)) for name in names}
        self.log_key = SigningKey.from_seed(b"\xff" * 32)
        members = tuple(Member(name, name, key.public) for name, key in self.keys.items())
        self.charter = Charter(1, "example.org", ORIGIN, self.log_key.public, members)
        self.now = NOW
        self.heard: list[str] = []
        self.lost = False
        """Whether answers are lost on their way."""
        self.store = RecordStore(folder / "agent.db")
        self.open()

    def open(self) -> None:
        async def heard(note: str) -> None:
            self.heard.append(note)

        self.anchors = Anchors(
            self.keys[next(iter(self.keys))],
            lambda: self.charter,
            self.store,
            self.folder,
            KeeperSettings(window=self.window),
            KnownLogs(self.store, lambda: self.charter, ()),
            heard,
            lambda: self.now,
            lambda: 0.0,
        )
        self.app = ListenerApp(self.anchors.endpoints(), 1_000_000, time.monotonic)

    def reopen(self) -> None:
        self.store.close()
        self.store = RecordStore(self.folder / "agent.db")
        self.open()

    @property
    def public(self) -> bytes:
        return b64decode(next(iter(self.keys.values())).public, 64)

    def http(self) -> BoundedHttp:
        return BoundedHttp(URL, transport=_Lossy(self))

    def anchor(self, name: str, key: SigningKey | None = None) -> FileAnchor:
        """Return the driver of a member, or of whoever has this key."""
        signing = key or self.keys[name]
        return FileAnchor(signing, self.public, URL, lambda: self.now, http=self.http())

    async def founded(self) -> None:
        """Found the place with every member."""
        await self.anchors.start()
        for name in self.keys:
            assert not (await self.anchor(name).probe()).problem

    @property
    def file(self) -> Path:
        return self.folder / "anchors.jsonl"


class _Lossy(httpx.AsyncBaseTransport):
    """Hands requests to the application of now; an answer may get lost."""

    def __init__(self, keeper: FileKeeper) -> None:
        self._keeper = keeper

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await httpx.ASGITransport(self._keeper.app).handle_async_request(request)
        if self._keeper.lost:
            message = "the link broke"
            raise httpx.ReadError(message)
        return answer

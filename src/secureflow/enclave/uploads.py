"""Incoming sealed updates: the enclave's half of the uplink.

The order of the checks: the link's identity, the signed roster, the step, the header's binding;
then, once a buffer is free, each chunk's tag, the sender's signature, and finally, under the job's
lock, the step again and shape, finiteness and norm. Only then is anything folded.

A party has one upload at a time; the newest wins. An interrupted one keeps its buffer, so that it
can continue at the next chunk, until another party needs the buffer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from secureflow.adapters.link import PeerIdentity
from secureflow.enclave.jobs import EnclaveJob
from secureflow.enclave.plans import RoundId
from secureflow.enclave.shielded import ShieldedTasks
from secureflow.engines.sealing import OpenedUpdate, Opener, parse_header
from secureflow.kit.canonical import JSON, sha256
from secureflow.kit.clock import CHECK_INTERVAL, Clock, stalled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

STALL: Final = 10.0
"""Seconds without a chunk after which an upload loses its buffer, if another one waits for it."""

_HEX: Final = re.compile(r"[0-9a-f]{64}")
_OFFER: Final = {"job": str, "round": int, "stage": str, "party": str, "update": str, "header": str}


@dataclass(frozen=True)
class Offer:
    """What a party announces to send: commitment to the plaintext, SHA-256 of the header."""

    step: RoundId
    update: str
    header: str


@dataclass
class PendingUpload:
    """One party's upload: opener, buffer, and whether a stream feeds it now."""

    job: EnclaveJob
    offer: Offer
    opener: Opener
    buffer: memoryview | None = None
    superseded: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def drop(self) -> None:
        """End it and return its buffer."""
        self.opener.abort()
        if self.buffer is not None:
            self.job.buffers.give(self.buffer)
            self.buffer = None


class Uploads:
    """Implements `adapters.link.UplinkHandler`.

    Args:
        job_of: returns an open job (`job_not_open`).
        clock: unix seconds.
    """

    def __init__(self, job_of: Callable[[str], EnclaveJob], clock: Clock) -> None:
        self._job_of = job_of
        self._clock = clock
        self._offers: dict[tuple[str, str], Offer] = {}
        self._uploads: dict[tuple[str, str], PendingUpload] = {}
        self._shielded = ShieldedTasks()

    async def offer(self, peer: PeerIdentity, offer: dict[str, JSON]) -> dict[str, JSON]:
        """Answer {state, next, receipt?}.

        Raises:
            SecureFlowError: `malformed_offer`, `sender_mismatch`, `job_not_open`,
                `already_uploaded`, and those of `JobRounds.check_upload`.
        """
        _check_offer(offer)
        job, party = self._job_of(offer["job"]), offer["party"]
        _check_sender(peer, party)
        made = Offer(
            RoundId.parse(offer["round"], offer["stage"]), offer["update"], offer["header"]
        )
        if known := job.rounds.receipt(made.step, party):
            return _accepted(made, party, *known)
        job.rounds.check_upload(made.step, party)
        place = (job.plan.job, party)
        self._offers[place] = made
        upload = self._uploads.get(place)
        if upload is not None and upload.offer == made:
            return {"state": "partial", "next": upload.opener.received}
        return {"state": "none", "next": 0}

    async def receive(
        self, peer: PeerIdentity, start: int, header: bytes, messages: AsyncIterator[bytes]
    ) -> dict[str, JSON]:
        """Read chunks from index `start` on and the trailer; fold; return the receipt.

        Raises:
            SecureFlowError: those of `parse_header`, `Opener`, `JobRounds.check_upload` and
                `FixedPointAccumulator`; `sender_mismatch`, `job_not_open`, `offer_missing`,
                `resume_mismatch`, `upload_superseded`, `upload_stalled`, `stream_short`.
        """
        binding = parse_header(header).binding
        job = self._job_of(binding.job)
        _check_sender(peer, binding.party)
        place = (binding.job, binding.party)
        upload = await self._claim(job, place, start, header)
        try:
            if upload.buffer is None:
                upload.buffer = await job.buffers.take(lambda: self._reclaim(job))
                upload.opener.attach(upload.buffer)
            opened = await _read(upload, messages)
        except BaseException as error:  # also a cancellation: the upload must be kept or ended
            self._interrupted(place, upload, error)
            raise
        return await self._shielded.run(self._fold(place, upload, opened))

    def forget(self, job: str) -> None:
        """Drop every upload of a job that has ended."""
        for place in [place for place in self._uploads if place[0] == job]:
            upload = self._uploads.pop(place)
            upload.superseded.set()
            if upload.idle.is_set():
                upload.drop()
        for place in [place for place in self._offers if place[0] == job]:
            del self._offers[place]

    async def _claim(
        self, job: EnclaveJob, place: tuple[str, str], start: int, header: bytes
    ) -> PendingUpload:
        """Make this stream the party's only upload: continue its old one, or begin a new one."""
        offer = self._offers.get(place)
        if offer is None or offer.header != sha256(header).hex():
            raise SecureFlowError(
                "offer_missing",
                Text("{place} sends an update that it did not offer.", place=place[1]),
                "Offer first.",
            )
        while (old := self._uploads.get(place)) is not None and not old.idle.is_set():
            old.superseded.set()
            await old.idle.wait()
        if old is not None and old.offer == offer and old.opener.received == start:
            old.superseded, old.idle = asyncio.Event(), asyncio.Event()
            return old
        if old is not None:
            self._end(place, old)
        if start:
            raise SecureFlowError(
                "resume_mismatch",
                Text("The enclave has no part of this update of {place}.", place=place[1]),
                "Offer again: the answer states where to begin.",
            )
        parsed = parse_header(header)
        expected = job.expect(parsed.binding)
        opener = Opener(job.recipient, parsed, expected, job.plan.spec.keys[place[1]])
        self._uploads[place] = PendingUpload(job, offer, opener)
        return self._uploads[place]

    async def _fold(
        self, place: tuple[str, str], upload: PendingUpload, opened: OpenedUpdate
    ) -> dict[str, JSON]:
        try:
            return await upload.job.fold(opened, upload.offer.update, self._clock())
        finally:  # not earlier: the thread that folds reads the buffer
            self._end(place, upload)

    def _interrupted(
        self, place: tuple[str, str], upload: PendingUpload, error: BaseException
    ) -> None:
        """Keep the received part if the sender can continue with it and nobody needs the buffer."""
        code = error.code if isinstance(error, SecureFlowError) else ""
        resumable = isinstance(error, asyncio.CancelledError) or code in _RESUMABLE
        mine = self._uploads.get(place) is upload
        if mine and resumable and upload.buffer is not None and not upload.job.buffers.wanted:
            upload.idle.set()
        else:
            self._end(place, upload)

    def _reclaim(self, job: EnclaveJob) -> bool:
        """Take the buffer of an upload that no stream feeds now."""
        for place, upload in self._uploads.items():
            if upload.job is job and upload.idle.is_set() and upload.buffer is not None:
                self._end(place, upload)
                return True
        return False

    def _end(self, place: tuple[str, str], upload: PendingUpload) -> None:
        if self._uploads.get(place) is upload:
            del self._uploads[place]
        upload.drop()
        upload.idle.set()


_RESUMABLE: Final = {"stream_short", "upload_superseded"}


async def _read(upload: PendingUpload, messages: AsyncIterator[bytes]) -> OpenedUpdate:
    """Decrypt chunks into place until the trailer, and verify it."""
    while True:
        message = await _next(upload, messages)
        if upload.opener.complete:
            return upload.opener.finish(message)
        upload.opener.write(message)


async def _next(upload: PendingUpload, messages: AsyncIterator[bytes]) -> bytes:
    """Return the next message, unless a newer stream or a waiting party takes over.

    Time during which the enclave itself stood still is not the sender's: a chunk may lie unread.
    """
    reading = asyncio.ensure_future(anext(messages, None))
    newer = asyncio.ensure_future(upload.superseded.wait())
    loop, interval = asyncio.get_running_loop(), min(STALL, CHECK_INTERVAL)
    since = now = loop.time()
    try:
        while not reading.done():
            done, _ = await asyncio.wait(
                {reading, newer}, timeout=interval, return_when=asyncio.FIRST_COMPLETED
            )
            if newer in done:
                raise SecureFlowError("upload_superseded", "A newer upload replaced this one.")
            checked, now = now, loop.time()
            since = now if stalled(interval, now - checked) else since
            if not done and now - since >= STALL and upload.job.buffers.wanted:
                raise SecureFlowError(
                    "upload_stalled",
                    Text(
                        "No chunk came for {stall:g} seconds while others waited for the buffer.",
                        stall=STALL,
                    ),
                    "The upload begins again; check the link's speed if it happens again.",
                )
    finally:
        newer.cancel()
        reading.cancel()
    message = reading.result()
    if message is None:
        raise SecureFlowError("stream_short", "The upload ended before its trailer.")
    return message


def _check_offer(offer: Mapping[str, JSON]) -> None:
    known = offer.keys() == _OFFER.keys()
    typed = known and all(type(offer[name]) is kind for name, kind in _OFFER.items())
    if not typed or not all(_HEX.fullmatch(offer[name]) for name in ("update", "header")):
        raise SecureFlowError("malformed_offer", "The offer does not have the expected fields.")


def _accepted(
    offer: Offer, party: str, commitment: str, receipt: Mapping[str, JSON]
) -> dict[str, JSON]:
    if commitment != offer.update:
        raise SecureFlowError(
            "already_uploaded",
            Text(
                "{party} has already contributed another update to {step}.",
                party=party,
                step=offer.step,
            ),
            "One update per party and round.",
        )
    return {"state": "accepted", "next": 0, "receipt": dict(receipt)}


def _check_sender(peer: PeerIdentity, party: str) -> None:
    if peer.party != party:
        raise SecureFlowError(
            "sender_mismatch",
            Text("{spiffe} sends in the name of {party}.", spiffe=peer.spiffe, party=party),
            "Each agent uploads over its own link.",
        )

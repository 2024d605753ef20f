"""What a party keeps, handed over to one of the roster: sealed to its key, opened only there.

Guarantees, whatever the centre asks and whenever the agent is killed:
- a file is sealed only if the approved spec names somebody who gets it, and only to a key that this
  organisation signed for this job and spec;
- the file is the one that this party committed to. Its ciphertext is the same, bit by bit, however
  often it is asked for: the content key follows from the job's secret, the file and the recipient;
- what is opened was signed by its sender for this job and this recipient. It is on the disk, whole,
  before the leaf that commits to it; a repeated request is answered from the record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from secureflow.agent.compute.derivation import derive, recipient_key
from secureflow.agent.compute.jobfiles import held_folder
from secureflow.agent.job.context import AgentContext, Fetching
from secureflow.agent.job.guards import check_verb
from secureflow.agent.job.retrying import retry_while_away
from secureflow.agent.job.sealedfiles import open_file, seal_file
from secureflow.agent.kinds.blobs import Blob, fetched
from secureflow.agent.kinds.kind import Contributions
from secureflow.agent.owner.predictions import (
    kept_digest,
    prediction_file,
    received_file,
    received_folder,
)
from secureflow.agent.record.going import check_going
from secureflow.agent.record.records import JobRecord, OwnLeaf
from secureflow.domain.blobs import BlobPlace
from secureflow.domain.specs.base import JobSpec
from secureflow.engines.run.kept import KEPT, RECEIVED
from secureflow.engines.run.messages import (
    CollectReply,
    CollectRequest,
    HandOverReply,
    HandOverRequest,
    ReceiveReply,
    ReceiveRequest,
    SealedFile,
    SealReply,
    SealRequest,
)
from secureflow.engines.sealing import seal_key
from secureflow.engines.sealing.delivery import (
    Passage,
    check_recipient,
    sealed_size,
    sign_recipient,
)
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, remove, writing
from secureflow.kit.errors import InfrastructureError, SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

_SEALED: Final = "delivery"
_HINT: Final = "The centre must follow the spec that was approved."
Delivering = ReceiveRequest | SealRequest | HandOverRequest | CollectRequest


@dataclass(frozen=True)
class _Own:
    """This party's file as it was committed to."""

    path: Path
    digest: str
    length: int


class Deliveries:
    """Answers `receive`, `seal`, `hand_over` and `collect`.

    Args:
        context: the party.
        contributions: this party's part in each kind of job.
        link: the centre's blobs.
    """

    def __init__(self, context: AgentContext, contributions: Contributions, link: Fetching) -> None:
        self._context = context
        self._contributions = contributions
        self._link = link

    async def receive(self, request: ReceiveRequest) -> ReceiveReply:
        """Return the key to which the others seal their files, signed for this job.

        Raises:
            SecureFlowError: `protection_unsupported` if the files go to nobody, or to another.
        """
        job, _, _ = self._approved(request, recipient=True)
        key = await asyncio.to_thread(lambda: recipient_key(job.secret).public)
        signed = sign_recipient(self._context.key, job.job, job.digest, key)
        return ReceiveReply(recipient=key, signature=signed)

    async def seal(self, request: SealRequest) -> SealReply:
        """Seal what this party keeps to the recipient's key.

        Raises:
            SecureFlowError: `recipient_forged`, `not_contributed`, `file_changed`; `not_found` if
                its owner removed the file.
            InfrastructureError: `disk_full`.
        """
        job, spec, passage = self._approved(request, recipient=False)
        check_recipient(
            spec.keys[passage.to],
            passage.to,
            job.job,
            job.digest,
            request.recipient,
            request.signature,
        )
        own = await asyncio.to_thread(self._own, job)
        secret = _content_key(job, own, passage)
        artifact = await asyncio.to_thread(self._sealed, job, own, secret)
        key = seal_key(secret, request.recipient, passage.info(own.length))
        made = SealedFile(
            artifact=artifact,
            size=sealed_size(own.length),
            length=own.length,
            key=key,
            signature="",
        )
        signature = passage.sign(self._context.key, _signed(made))
        return SealReply(sealed=replace(made, signature=signature))

    async def hand_over(self, request: HandOverRequest) -> HandOverReply:
        """Send the ciphertext, made again if it is gone.

        Raises:
            SecureFlowError: as `seal`; `invalid_request` for another size; the link's.
        """
        job, _, passage = self._approved(request, recipient=False)
        own = await asyncio.to_thread(self._own, job)
        if request.vector.size != sealed_size(own.length):
            raise SecureFlowError(
                "invalid_request",
                Text("The file of {party} for {job} has another size than the centre names.",
                     party=self._context.party, job=job.job),
                _HINT,
            )  # fmt: skip
        secret = _content_key(job, own, passage)
        artifact = await asyncio.to_thread(self._sealed, job, own, secret)
        path, place = self._ciphertext(job), BlobPlace(job.job, request.stage, request.round)
        await retry_while_away(lambda: self._link.store(path, artifact, place))
        return HandOverReply(vector=artifact)

    async def collect(self, request: CollectRequest) -> CollectReply:
        """Fetch and open the others' files, once, and commit to them.

        Raises:
            SecureFlowError: `delivery_forged`, `sealed_key_refused`, `chunk_forged` naming the
                sender; the link's.
            InfrastructureError: `disk_full`.
        """
        context = self._context
        job, spec, _ = self._approved(request, recipient=True)
        known = context.store.leaf_of(job.job, RECEIVED)
        if known is None:
            files: dict[str, JSON] = {}
            for party, sealed in sorted(request.files.items()):
                files[party] = await self._open(job, spec, party, sealed)
            await asyncio.to_thread(self._keep_only, job, files)
            known = await asyncio.to_thread(self._commit, job, files)
        return CollectReply(**context.leaf_reply(known))

    def _keep_only(self, job: JobRecord, files: Mapping[str, JSON]) -> None:
        """Remove what was opened for an earlier request, and is not committed to."""
        kept = {received_file(self._context.settings, job.job, party) for party in files}
        for path in received_folder(self._context.settings, job.job).iterdir():
            if path not in kept:
                remove(path)

    def _commit(self, job: JobRecord, files: dict[str, JSON]) -> OwnLeaf:
        """Record what has arrived, before anybody is told."""
        context = self._context
        with context.store.transaction():
            check_going(context.store.job(job.job))
            leaf = context.witness.leaf(RECEIVED, job.job, job.digest, {"files": files})
            context.store.note(context.clock(), "result.received", job.job, parties=sorted(files))
        return leaf

    def _approved(
        self, request: Delivering, *, recipient: bool
    ) -> tuple[JobRecord, JobSpec, Passage]:
        """Return the job, its spec, and from whom to whom files go, if that is this party's part.

        Raises:
            SecureFlowError: `protection_unsupported`; those of `check_approved` and `check_verb`.
        """
        context = self._context
        job, spec = context.approved(request.job, request.digest)
        check_verb(spec, job.job, request.verb)
        to = self._contributions.keeping(spec).goes_to(spec)
        if not to or (to == context.party) is not recipient:
            raise SecureFlowError(
                "protection_unsupported",
                Text(
                    "{verb!r} of {job} is not asked of {party} by the approved spec.",
                    verb=request.verb,
                    job=job.job,
                    party=context.party,
                ),
                _HINT,
            )
        return job, spec, Passage(job.job, job.digest, context.party, to)

    def _own(self, job: JobRecord) -> _Own:
        """Return this party's file, if it is the one that it committed to."""
        context = self._context
        leaf = context.store.leaf_of(job.job, KEPT)
        if leaf is None:
            raise SecureFlowError(
                "not_contributed",
                Text("{party} keeps nothing of {job}.", party=context.party, job=job.job),
                _HINT,
            )
        path = prediction_file(context.settings, job.job)
        try:
            length, digest = path.stat().st_size, file_digest(path).hex()
        except FileNotFoundError:
            digest, length = "", 0
        if digest != kept_digest(leaf):
            raise SecureFlowError(
                "file_changed",
                Text(
                    "What {party} kept of {job} was removed or altered by its owner.",
                    party=context.party,
                    job=job.job,
                ),
                Text("Ask {party}, and submit the job again.", party=context.party),
            )
        return _Own(path, digest, length)

    def _ciphertext(self, job: JobRecord) -> Path:
        return held_folder(self._context.settings.models, job.job) / _SEALED

    def _sealed(self, job: JobRecord, own: _Own, secret: bytes) -> str:
        """Write the ciphertext, the same for the same file and recipient; return its digest."""
        path, size = self._ciphertext(job), sealed_size(own.length)
        place = Place(path.parent, "model files", self._context.party)
        place.demand(size)
        with writing(place, size):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return seal_file(own.path, path, secret, own.digest)

    async def _open(self, job: JobRecord, spec: JobSpec, party: str, sealed: SealedFile) -> JSON:
        """Fetch and open one party's file; return what is committed to."""
        context = self._context
        if party not in spec.keys or party == context.party:
            raise SecureFlowError(
                "party_not_in_roster",
                Text("{party} hands nothing over in {job}.", party=party, job=job.job),
                _HINT,
            )
        passage = Passage(job.job, job.digest, party, context.party)
        passage.check(spec.keys[party], _signed(sealed), sealed.signature)
        target = received_file(context.settings, job.job, party)
        place = Place(target.parent, "own files", context.party)
        place.demand(sealed.size + sealed.length)
        blob = Blob(sealed.artifact, sealed.size)
        path = await fetched(context, self._link, job.job, blob)

        def opened() -> str:
            secret = recipient_key(job.secret).open_key(sealed.key, passage.info(sealed.length))
            with writing(place, sealed.length):
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                digest = open_file(path, target, secret, sealed.length)
            remove(path)
            return digest

        try:
            digest = await asyncio.to_thread(opened)
        except InfrastructureError:
            raise
        except SecureFlowError as error:
            raise _unopened(party, error) from error
        return {"sealed": sealed.artifact, "file": digest, "bytes": sealed.length}


def _unopened(party: str, error: SecureFlowError) -> SecureFlowError:
    """Return why a file is not opened, naming whose it is: the others may come without it."""
    return SecureFlowError(
        error.code,
        Text("What {party} handed over cannot be opened: {message}",
             party=party, message=error.message),
        Text("Ask {party}, and submit the job again.", party=party),
        {"party": party},
    )  # fmt: skip


def _content_key(job: JobRecord, own: _Own, passage: Passage) -> bytes:
    """Return the key of one content for one recipient: it encrypts nothing else."""
    return derive(job.secret, 32, "delivery", file=own.digest, bytes=own.length, to=passage.to)


def _signed(sealed: SealedFile) -> dict[str, JSON]:
    """Return what a sender signs of a sealed file."""
    return {name: getattr(sealed, name) for name in ("artifact", "size", "length", "key")}

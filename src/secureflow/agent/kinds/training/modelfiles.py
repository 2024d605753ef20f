"""Model and update files of a job: fetched, verified, mapped, kept and removed.

After a power cut a model's file may be truncated or filled with zeros: a file of an earlier process
is hashed once before it is used. Wrong bytes are removed, and the model is fetched or computed
again. So a computed model stays durably on the disk until the model computed from it is replaced.

What a worker wrote is copied into a folder that no worker sees; the copy is mapped, hashed, sent.
It stays there until the next one: an agent that is started again sends the recorded update, and
does not depend on making the same one bit by bit. One that cannot be made again is on the disk
there, flushed, under its digest, before the round's record names that digest.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import shutil
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from blake3 import blake3

from secureflow.agent.compute.derivation import recipient_key
from secureflow.agent.compute.jobfiles import (
    STATE,
    STATE_BYTES,
    UPDATE,
    code_folder,
    emptied,
    held_folder,
    take,
)
from secureflow.agent.job.context import Fetching
from secureflow.agent.job.retrying import retry_while_away
from secureflow.agent.kinds.heldsums import HeldSums
from secureflow.agent.kinds.training.statefiles import Written, state_in
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.training import TrainingSpec
from secureflow.engines.run.messages import PublishedStep, ReleasedModel
from secureflow.engines.sealing import (
    TAG,
    chunk_count,
    decrypt_stream,
    model_key_info,
    tensor_digest,
)
from secureflow.engines.sealing.stream import CHUNK
from secureflow.engines.training.encodings import check_mean, published_bytes, published_dtype
from secureflow.engines.training.models import initial_state
from secureflow.engines.training.strategies import next_state
from secureflow.kit.atomic import flush_directory, write_atomically
from secureflow.kit.disk import Place, preallocate, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.logging import get_logger
from secureflow.kit.text import Text

_FLOAT32 = 4
OWN_MODEL = "own_model"
"""A party's own model, until it is kept for its owner."""

_log = get_logger(__name__)


class ModelFiles:
    """The files below one directory: `<job>/<digest>.model`, what a worker writes (`jobfiles`), and
    this agent's own of it: `<job>.held/update`, what is kept (`<job>.held/<digest>.update`), and
    the trainer's own state after that, which the next training reads (`<job>/<digest>.state`).

    Args:
        directory: 0700; holds updates in clear, which belong to this organisation.
        link: fetches blobs.
        party: this organisation, for whom content keys are sealed.
        state: the most bytes of a trainer's own state.
    """

    def __init__(
        self, directory: Path, link: Fetching, party: str, state: int = STATE_BYTES
    ) -> None:
        self._directory = directory
        self._link = link
        self._party = party
        self._most_state = state
        self._sound: set[Path] = set()
        self._hashing = threading.Lock()
        self._place = Place(directory, "model files", party)
        self.sums = HeldSums(directory, party)
        with suppress(OSError):  # a request says so, and waits
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def model(self, job: JobRecord, spec: TrainingSpec, model: ReleasedModel | None) -> Path:
        """Return the file of a model whose digest was checked against a release.

        Raises:
            SecureFlowError: the link's, `digest_mismatch`, `unreleased_model` if the content does
                not have the digest.
        """
        if model is None and not spec.starts_from:
            return await asyncio.to_thread(self._initial, job.job, spec)
        if model is None:
            model = _resumed(spec)
        path = await asyncio.to_thread(self.existing, job.job, model.digest)
        if path is None:
            path = self._path(job.job, model.digest)
            await self._fetch(job, model, path, _FLOAT32 * _values(spec, model))
            self._sound.add(path)
        return path

    def existing(self, job: str, digest: str) -> Path | None:
        """Return the file of a model if it exists, else None; this may have to read the file."""
        path = self._path(job, digest)
        with self._hashing:  # a request that was withdrawn may still be running
            if not path.exists():
                return None
            if path in self._sound:
                return path
            with writing(self._place):
                if file_digest(path).hex() != digest:
                    _log.warning("model_damaged", job=job, message=f"{path} is made again")
                    path.unlink()
                    return None
            self._sound.add(path)
        return path

    async def apply(self, job: str, spec: TrainingSpec, step: PublishedStep, base: Path) -> Path:
        """Fetch a published mean, check it, and write the model computed from base and mean.

        Raises:
            SecureFlowError: the link's, `model_inconsistent`.
        """
        mean, size = self._job(job) / "mean", published_bytes(spec)
        if step.mean.size != size:
            raise other_model(step.model)
        with writing(self._place):
            await asyncio.to_thread(_rest_on, base)
        await retry_while_away(lambda: self._link.fetch(step.mean.artifact, mean, size))
        path = self._path(job, step.model)
        with writing(self._place, size):
            await asyncio.to_thread(_add_mean, spec, base, mean, path, step.model)
        self._sound.add(path)
        return path

    def begin_update(self, job: str, size: int) -> Path:
        """Return the path for the job's next delta of this many bytes; the file is empty.

        Raises:
            InfrastructureError: `disk_full`: before the work, not after it.
        """
        path = self._job(job) / UPDATE
        with writing(self._place):
            emptied(path)
        self._place.demand(2 * size)  # and this agent's own copy
        return path

    def plaintext(self, job: str, length: int, sums: Sequence[float]) -> memoryview:
        """Return the update, delta followed by sums, as a read-only buffer over a file of our own.

        The worker's file, which may change at any moment, is copied and emptied.

        Args:
            job: the job.
            length: the delta's bytes.
            sums: what follows it.

        Raises:
            SecureFlowError: `update_length_wrong` if the worker wrote another length.
        """
        tail = np.asarray(sums, dtype="<f8").tobytes()
        if not length:
            return memoryview(tail)
        path = self._held(job) / UPDATE
        with writing(self._place, length + len(tail)):
            found = take(self._job(job) / UPDATE, path, length, tail)
            if found == length:
                with path.open("rb") as file:
                    return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))
        raise SecureFlowError(
            "update_length_wrong",
            Text(
                "The worker wrote {size} bytes of update, not {length}.", size=found, length=length
            ),
            "Check the free space of the agent's directory.",
        )

    def own_model(self, job: str, length: int) -> Path:
        """Return the file of what the worker wrote as this party's own model, which no worker sees.

        Args:
            job: the job.
            length: its bytes.

        Raises:
            SecureFlowError: `update_length_wrong` if the worker wrote another length.
        """
        path = self._held(job) / OWN_MODEL
        with writing(self._place, length):
            found = take(self._job(job) / UPDATE, path, length)
        if found == length:
            return path
        raise SecureFlowError(
            "update_length_wrong",
            Text("The worker wrote {size} bytes of its own model, not {length}.",
                 size=found, length=length),
            "Check the free space of the agent's directory.",
        )  # fmt: skip

    def keep_update(self, job: str, content: str, plaintext: memoryview, *, filed: bool) -> None:
        """Make an update, and the trainer's state if it left one, durable under the digest.

        Args:
            job: the job.
            content: the update's digest.
            plaintext: the update.
            filed: whether it is the file behind `plaintext`; it then takes the new name.

        Raises:
            SecureFlowError: `too_large` for a state beyond its limit.
            InfrastructureError: `disk_full`, `disk_failed`; then nothing may be sent.
        """
        own = self._held(job)
        path = own / f"{content}.update"
        with writing(self._place, 0 if filed else len(plaintext)):
            if filed:
                self._keep_state(job, content)
                _flush(own / UPDATE)
                (own / UPDATE).replace(path)
            else:
                write_atomically(path, bytes(plaintext))
            flush_directory(own)

    def _keep_state(self, job: str, content: str) -> None:
        """Copy the trainer's own state, if it left one, to where its next training reads it."""
        folder, own = self._job(job), self._held(job)
        found = take(folder / STATE, own / STATE, None, most=self._most_state)
        if found > self._most_state:
            raise SecureFlowError(
                "too_large",
                Text(
                    "The trainer's own state would have more than {count} bytes.",
                    count=self._most_state,
                ),
                "Raise `worker: state_mb` in agent.yaml.",
            )
        if found > 0:
            _flush(own / STATE)
            (own / STATE).replace(folder / f"{content}.state")
            flush_directory(folder)

    def kept_update(self, job: str, content: str, size: int) -> memoryview | None:
        """Return the update of this digest that lies here, kept or the newest; None without one.

        Args:
            job: the job.
            content: the update's digest.
            size: its bytes, sums and all: nothing of another length is copied or hashed.

        Raises:
            InfrastructureError: `disk_failed`.
        """
        own = self._held(job)
        with writing(self._place):
            if not (own / UPDATE).exists():
                self._take_earlier(job, size)
            for path in (own / f"{content}.update", own / UPDATE):
                found = _mapped(path, size)
                if found is not None and tensor_digest(found) == content:
                    return found
        return self.sums.kept(job, content)

    def _take_earlier(self, job: str, size: int) -> None:
        """Take over what version 0.2.0 held: in the file of the worker, which has not begun."""
        earlier = self._job(job) / UPDATE
        if earlier.exists() and earlier.stat().st_size == size:
            take(earlier, self._held(job) / UPDATE, size)

    def trainer_state(self, job: str, content: str) -> tuple[Path | None, Path]:
        """Return the trainer's state after a kept update (None without one), and the next's place.

        A state left by a training that was interrupted goes: it belongs to no update.
        """
        folder = self._job(job)
        with writing(self._place):
            emptied(folder / STATE)
        kept = folder / f"{content}.state"
        return (kept if kept.exists() else None), folder / STATE

    def drop_kept(self, job: str, but: Collection[str]) -> None:
        """Remove kept updates and states but those of these digests, and what a crash left."""
        kept = {f"{content}.update" for content in but}
        for path in self._held(job).iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)
        for path in self._job(job).glob("*.state"):
            if path.stem not in but:
                path.unlink(missing_ok=True)

    def forget(self, job: str) -> None:
        """Remove every file of a job."""
        self._sound = {path for path in self._sound if path.parent.name != job}
        for folder in (held_folder(self._directory, job), code_folder(self._directory, job)):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._directory / job, ignore_errors=True)

    def sweep(self, running: Callable[[str], bool]) -> None:
        """Remove the files of jobs that do not run.

        They are left by a process that was killed between a job's end and their removal, or they
        belong to a job that a restored record does not know.
        """
        for name in {one.name.partition(".")[0] for one in self._directory.glob("job_*")}:
            if not running(name):
                self.forget(name)

    def content_key(self, job: JobRecord, model: ReleasedModel) -> bytes | None:
        """Return the content key of a model that is sealed to the agents, or None.

        Raises:
            SecureFlowError: `model_not_sealed_to_us`, `sealed_key_refused`.
        """
        if model.keys is None or model.release is None:
            return None
        sealed = model.keys.get(self._party)
        if sealed is None:
            raise SecureFlowError(
                "model_not_sealed_to_us",
                Text("The intermediate model is not sealed to {party}.", party=self._party),
                "The enclave must be given this agent's recipient key at the next admission.",
            )
        info = model_key_info(
            job=job.job,
            round_number=int(model.release["round"]),
            stage=str(model.release["stage"]),
            model=model.digest,
            party=self._party,
        )
        return recipient_key(job.secret).open_key(sealed, info)

    def _job(self, job: str) -> Path:
        folder = self._directory / job
        with writing(self._place):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _held(self, job: str) -> Path:
        """Return the folder that no worker sees."""
        folder = held_folder(self._directory, job)
        with writing(self._place):
            folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _path(self, job: str, digest: str) -> Path:
        return self._job(job) / f"{digest}.model"

    def _initial(self, job: str, spec: TrainingSpec) -> Path:
        parameters = initial_state(spec)
        digest = tensor_digest(parameters)
        path = self._path(job, digest)
        if self.existing(job, digest) is None:
            part = path.with_suffix(".part")
            with writing(self._place, parameters.nbytes):
                part.write_bytes(parameters.data.cast("B"))
                part.replace(path)
            self._sound.add(path)
        return path

    async def _fetch(self, job: JobRecord, model: ReleasedModel, path: Path, length: int) -> None:
        key = self.content_key(job, model)
        if key is None:
            if model.artifact != model.digest:
                raise _other_content(model)
            await self._link.fetch(model.digest, path, length)
        else:
            sealed = path.with_suffix(".sealed")
            size = length + TAG * chunk_count(length)
            await self._link.fetch(model.artifact, sealed, size)
            with writing(self._place, length):
                await asyncio.to_thread(_decrypt, key, sealed, path, length, model)
        if _length(path) != length:
            _remove(path)
            raise _other_content(model)
        _keep_only(path)


def _add_mean(spec: TrainingSpec, base: Path, mean: Path, path: Path, digest: str) -> None:
    update = np.fromfile(mean, published_dtype(spec))
    if update.size != spec.update_parameters:
        raise other_model(digest)
    check_mean(spec, update)
    part = path.with_suffix(".part")
    with base.open("rb", 0) as source, part.open("wb") as file:
        written = Written(file)
        next_state(spec, state_in(spec, source), update, written)
    found = written.digest
    mean.unlink()
    if found != digest:
        part.unlink()
        raise other_model(digest)
    part.replace(path)


def _mapped(path: Path, size: int) -> memoryview | None:
    if not size or not path.exists() or path.stat().st_size != size:
        return None
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def _flush(path: Path) -> None:
    """Make a file's content durable."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _rest_on(base: Path) -> None:
    """Remove the model that another was computed from, once the latter survives a power cut."""
    if all(other == base for other in base.parent.glob("*.model")):
        return
    _flush(base)
    flush_directory(base.parent)
    _keep_only(base)


def _values(spec: TrainingSpec, model: ReleasedModel) -> int:
    """Return how many values a model has: the one that a job starts from may be uploaded."""
    return spec.start_parameters if model.digest == spec.starts_from else spec.parameters


def other_model(digest: str) -> SecureFlowError:
    """Return the error of a published mean that does not lead to the named model."""
    return SecureFlowError(
        "model_inconsistent",
        Text(
            "What the centre publishes as a mean does not lead to model {digest}….",
            digest=digest[:16],
        ),
        "Refuse it: the next model is what every agent computes itself.",
    )


def _resumed(spec: TrainingSpec) -> ReleasedModel:
    """Return the model named by the approved spec: of another job or uploaded, in clear."""
    named = spec.starts_from
    return ReleasedModel(named, named, _FLOAT32 * spec.start_parameters)


def _decrypt(key: bytes, sealed: Path, path: Path, length: int, model: ReleasedModel) -> None:
    part = path.with_suffix(".part")
    with part.open("w+b") as target, sealed.open("rb", 0) as source:
        os.truncate(target.fileno(), length)
        preallocate(target.fileno(), length)  # a missing page would kill this process later
        with mmap.mmap(target.fileno(), length) as buffer, memoryview(buffer) as view:
            decrypt_stream(key, iter(lambda: source.read(CHUNK + TAG), b""), view)
            found = blake3(view).hexdigest()
    sealed.unlink()
    if found != model.digest:
        part.unlink()
        raise _other_content(model)
    part.replace(path)


# Directory entries are looked up on the event loop: cheaper than a switch to a thread.


def _length(path: Path) -> int:
    return path.stat().st_size


def _remove(path: Path) -> None:
    path.unlink()


def _keep_only(path: Path) -> None:
    """Remove earlier models: every round brings one of the full size."""
    for other in path.parent.glob("*.model"):
        if other != path:
            other.unlink(missing_ok=True)


def _other_content(model: ReleasedModel) -> SecureFlowError:
    return SecureFlowError(
        "unreleased_model",
        Text(
            "What the centre offers as model {digest}… has different content.",
            digest=model.digest[:16],
        ),
        "Refuse it: the centre shows another model than the enclave signed.",
    )

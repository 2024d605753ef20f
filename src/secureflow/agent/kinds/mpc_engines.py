"""A party's part in an engine's program: what it brings, the engine's run, and the result it keeps.

The worker reads the owner's file, and whatever came from an engine; the agent moves files and
counts. What is brought is read once for a job, and the same in every attempt.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from secureflow.agent.compute.columns import declared
from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.jobfiles import UPDATE, emptied, held_folder, take
from secureflow.agent.compute.mpc import (
    BRING,
    BROUGHT,
    RESULT,
    bring_arguments,
    result_arguments,
)
from secureflow.agent.job.context import AgentContext, Computing, RunningEngines
from secureflow.agent.job.reading import unnamed_rows
from secureflow.agent.kinds.kind import Entered, KeptResult, Peering, PeerOutcome, PeerSession
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.agent.owner.results import result_file
from secureflow.agent.record.records import JobRecord
from secureflow.application.ports.mpcengine import (
    BUNDLE,
    EngineCode,
    EngineDeadlines,
    EngineInfo,
    EngineJob,
    EngineResult,
)
from secureflow.domain.partyengines import absent, other_version
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump
from secureflow.domain.specs.engineprograms import input_of, matched_by_place, outputs_of
from secureflow.domain.specs.mpc import MpcSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.engines.run.attempts import Offer
from secureflow.engines.run.kept import KEPT
from secureflow.kit.atomic import flush_directory
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, remove, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

_NEXT: Final = ".next"
_MOST: Final = 1 << 40
MOST_SAID: Final = 1 << 20
"""Rows that peers can say they bring where the bytes of channels are estimated: of many programs
nobody compares their word with anything. Who brings more names `limits.peer_megabytes`."""
_INPUT: Final = "mpc.npy"
_OUTPUTS: Final = "outputs"
_CODE: Final = "code"
_MOST_FILES: Final = 64 << 20
"""Bytes of all files that a program of others writes; its engine is for small data."""
_NOTHING: Final = hashlib.sha256(b"").hexdigest()
_NOT_PARAMETERS: Final = frozenset({"name", "version", "model", "bundle", "input"})


@dataclass
class _Own:
    """What this process knows of a job.

    Args:
        commitment: hex, to what this party brings.
        rows: how many that are.
        offers: peer → what it entered the running attempt with.
    """

    commitment: str
    rows: int
    offers: Mapping[str, Offer] = field(default_factory=dict)


class EnginePart(Peering):
    """One party's part in engines' programs.

    Args:
        context: the party.
        computing: reads rows.
    """

    runs_once: ClassVar[bool] = True

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context = context
        self._computing = computing
        self._own: dict[str, _Own] = {}

    def peers(self, spec: MpcSpec) -> tuple[str, ...]:
        """Return all others: they compute with one another."""
        return tuple(one for one in spec.parties if one != self._context.party)

    def ready(self, spec: MpcSpec) -> None:
        """Refuse a job whose engine is not here in its version."""
        check_engines(spec, self._context.engines, self._context.party)

    async def enter(self, job: JobRecord, spec: MpcSpec) -> Entered:
        """Read what this party brings and commit to it, once in this process.

        Raises:
            SecureFlowError: `dataset_changed`; those of `check_side` and of the file's rows.
        """
        known = self._own.get(job.job)
        if known is None:
            known = self._own[job.job] = await self._brought(job, spec)
        return Entered(known.commitment, known.rows)

    async def admit(self, job: JobRecord, spec: MpcSpec, offers: Mapping[str, Offer]) -> None:
        """Refuse peers that bring another number of rows, or other inputs than before.

        Rows are matched by their place. A further attempt begins from the same inputs: else it
        would compute something else, as often as there are attempts.

        Raises:
            SecureFlowError: `inputs_unequal` naming party and numbers; `dataset_changed` naming it.
        """
        own, matched = self._own[job.job], matched_by_place(spec.program_of_engine, spec.sides)
        if self._context.party in matched:
            for peer, offer in offers.items():
                if peer in matched:
                    _check_rows(peer, offer.count, own.rows)
        await asyncio.to_thread(self._bind, job.job, offers)
        own.offers = dict(offers)

    def _bind(self, job: str, offers: Mapping[str, Offer]) -> None:
        """Hold each peer to the inputs that it committed to in the job's first attempt here."""
        store, name = self._context.store, f"mpc_inputs/{job}"
        brought = {peer: one.inputs for peer, one in sorted(offers.items())}
        known = store.answer(name)
        if known is None:
            with store.transaction():
                store.keep_answer(name, job, brought)
            return
        for peer, inputs in brought.items():
            if known.get(peer) != inputs:
                raise _changed(peer)

    def traffic(self, job: JobRecord, spec: MpcSpec, offers: Mapping[str, Offer]) -> int:
        """Return the bytes that the engine estimates, of as many rows as are said to be there.

        Of others no more than `MOST_SAID` rows: a peer would choose this party's own limit.
        """
        if spec.engine is None:
            raise AssertionError(spec.protocol)
        said = max(one.count for one in offers.values())
        rows = max(self._own[job.job].rows, min(said, MOST_SAID))
        shapes = {
            side.party: {name: (rows, len(side.columns))}
            if (name := input_of(spec.program_of_engine, side))
            else {}
            for side in spec.sides
        }
        engine, program = self._context.engines.ready(spec.engine.name), spec.program_of_engine
        return engine.estimate(program.name, spec.protocol.upper(), shapes).bytes

    async def run(self, job: JobRecord, spec: MpcSpec, session: PeerSession) -> PeerOutcome:
        """Run the program, and write the result if this party gets it.

        Raises:
            SecureFlowError: those of the engine; `engine_output_refused`.
        """
        context, own = self._context, self._own[job.job]
        result = await self._ran(job, spec, session)
        figures: dict[str, JSON] = {"rows": own.rows}
        if context.party not in spec.learners:
            return PeerOutcome(figures, peak=result.peak_bytes)
        kept = await self._keep(job, spec, session, result)
        recorded = context.store.leaf_of(job.job, KEPT) is not None
        return PeerOutcome(figures, None if recorded else kept, result.peak_bytes)

    async def forget(self, job: str, *, recorded: bool) -> None:
        """Drop what was brought and what the engine said; and a result that nobody committed to."""
        self._own.pop(job, None)
        models = self._context.settings.models
        await asyncio.to_thread(shutil.rmtree, held_folder(models, job), ignore_errors=True)
        path = result_file(self._context.settings, job)
        if not recorded:
            await asyncio.to_thread(remove, path)
        await asyncio.to_thread(remove, path.with_name(path.name + _NEXT))
        if await asyncio.to_thread((models / job).exists):
            await self._computing.close(job)
            await asyncio.to_thread(shutil.rmtree, models / job, ignore_errors=True)

    # --- what is brought -----------------------------------------------------------------------

    def _side(self, spec: MpcSpec) -> str:
        """Return what the engine calls that which this party brings; "" for nothing."""
        return input_of(spec.program_of_engine, spec.side(self._context.party))

    async def _brought(self, job: JobRecord, spec: MpcSpec) -> _Own:
        if not self._side(spec):
            if self._context.party in spec.learners:  # its worker reads what the engine says
                await self._computing.prepare(job.job, job.spec, None)
            return _Own(_NOTHING, 0)
        context, party = self._context, self._context.party
        pinned = await context.unchanged(job, spec)
        if pinned is None:
            raise AssertionError(party)  # it brings columns of a dataset
        check_side(spec, pinned.dataset, party)
        written = await self._written(job.job)
        async with unnamed_rows(context, job):
            await self._computing.prepare(job.job, job.spec, *context.reading(pinned))
            answer = await self._computing.compute(job.job, BRING, bring_arguments(party, written))
        rows, _ = np.frombuffer(whole_sums(answer, BROUGHT, LIMIT), "<i8").tolist()
        salt = derive(job.secret, 32, "mpc input")
        commitment = await asyncio.to_thread(self._take_input, job.job, written, salt)
        return _Own(commitment, rows)

    async def _written(self, job: str) -> Path:
        """Return the file that the worker writes, in a folder that is there; it is empty."""
        path = self._context.settings.models / job / UPDATE

        def make() -> None:
            with writing(Place(path.parent, "model files", self._context.party)):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                emptied(path)

        await asyncio.to_thread(make)
        return path

    def _take_input(self, job: str, written: Path, salt: bytes) -> str:
        path = held_folder(self._context.settings.models, job) / _INPUT
        place = Place(path.parent, "model files", self._context.party)
        with writing(place, written.stat().st_size):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not take(written, path, None, most=_MOST):
                raise _unusable(self._context.party)
        return hashlib.sha256(salt + file_digest(path)).hexdigest()

    # --- the run -------------------------------------------------------------------------------

    async def _ran(self, job: JobRecord, spec: MpcSpec, session: PeerSession) -> EngineResult:
        if spec.engine is None:
            raise AssertionError(spec.protocol)
        engine = self._context.engines.ready(spec.engine.name)
        program, held = spec.program_of_engine, held_folder(self._context.settings.models, job.job)
        outputs = held / _OUTPUTS
        await asyncio.to_thread(_remade, outputs)
        name = self._side(spec)
        code = await self._code(job.job, spec)
        asked = EngineJob(
            job=job.job,
            attempt=session.attempt,
            **_named(spec, engine.describe()),
            party=self._context.party,
            parties=spec.parties,
            receivers=spec.learners,
            inputs={name: held / _INPUT} if name else {},
            outputs=outputs,
            channels=session.channels,
            code=code,
            parameters={k: v for k, v in dump(program).items() if k not in _NOT_PARAMETERS},
            deadlines=EngineDeadlines(total=spec.limits.seconds),
            limits=self._context.settings.engines.limits,
        )
        async with unnamed_rows(self._context, job):  # what fits, the job's parameters decide
            return await engine.run(asked, lambda *_: None)

    async def _code(self, job: str, spec: MpcSpec) -> EngineCode | None:
        """Write a program of others as it was approved, anew for each attempt; None without one.

        Raises:
            SecureFlowError: `not_approved`, and those of the link if its file is gone.
        """
        own, code = spec.of_others, self._context.code
        if own is None:
            return None
        if code is None:
            raise AssertionError(job)
        folder = held_folder(self._context.settings.models, job) / _CODE
        await code.fetch(own.bundle.digest)

        def write() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            code.write(own.bundle.digest, folder)

        await asyncio.to_thread(write)
        return EngineCode(folder, own.bundle.entry, _MOST_FILES)

    # --- the result ----------------------------------------------------------------------------

    async def _keep(
        self, job: JobRecord, spec: MpcSpec, session: PeerSession, result: EngineResult
    ) -> KeptResult:
        """Have the result written, and put it in its place, unless one is there that counts."""
        models, party = self._context.settings.models, self._context.party
        shown = models / job.job / _OUTPUTS
        await asyncio.to_thread(_shown, shown, _returned(spec, result, party))
        written = await self._written(job.job)
        answer = await self._computing.compute(
            job.job, RESULT, result_arguments(party, shown, written)
        )
        (lines,) = np.frombuffer(whole_sums(answer, 1, LIMIT), "<i8").tolist()
        facts: dict[str, JSON] = {"rows" if spec.of_others is None else "files": lines}
        if self._context.store.leaf_of(job.job, KEPT) is not None:
            return KeptResult({}, facts)
        size, digest = await asyncio.to_thread(self._take_result, job.job, written)
        document = {**self._made_of(job, spec, session), **facts, "bytes": size, "file": digest}
        return KeptResult(document, {**facts, "file": digest})

    def _take_result(self, job: str, written: Path) -> tuple[int, str]:
        """Copy what the worker wrote, which only then cannot change any more; return its size."""
        path = result_file(self._context.settings, job)
        place = Place(path.parent, "own files", self._context.party)
        size = written.stat().st_size
        place.demand(size)
        fresh = path.with_name(path.name + _NEXT)
        with writing(place, size):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not take(written, fresh, None, most=_MOST):
                raise _unusable(self._context.party)
            with fresh.open("rb") as file:
                os.fsync(file.fileno())
            fresh.replace(path)
            flush_directory(path.parent)
        return path.stat().st_size, file_digest(path).hex()

    def _made_of(self, job: JobRecord, spec: MpcSpec, session: PeerSession) -> dict[str, JSON]:
        """Return the lineage of a result: what it was made of, as the parties committed to it."""
        own = self._own[job.job]
        return {
            "kind": spec.kind,
            "attempt": session.attempt,
            "program": spec.program,
            "inputs": own.commitment,
            "peers": {
                peer: {"leaf": one.leaf, "inputs": one.inputs, "rows": one.count}
                for peer, one in sorted(own.offers.items())
            },
        }


def check_engines(spec: MpcSpec, engines: RunningEngines, party: str) -> None:
    """Refuse a job whose engine is not here in its version, or lacks the program.

    Raises:
        SecureFlowError: `engine_absent`, `engine_unconfined`, `program_mismatch`.
    """
    if spec.engine is None:
        return
    name, version, program = spec.engine.name, spec.engine.version, spec.computation.name
    try:
        here = engines.ready(name).describe()
    except SecureFlowError as error:
        if error.code != "engine_absent":
            raise
        raise absent(name, party) from error
    if here.version != version:
        raise other_version(name, party, here.version, version)
    if spec.of_others is None and program not in here.programs:
        raise SecureFlowError(
            "program_mismatch",
            Text("{engine} of {party} has no program {program}.",
                 party=party, engine=name, program=program),
            "All parties install the same version of SecureFlow.",
            {"party": party, "engine": name},
        )  # fmt: skip


def check_side(spec: MpcSpec, dataset: DatasetConfig, party: str) -> None:
    """Refuse columns that do not match the owner's declaration.

    Raises:
        SecureFlowError: `column_not_granted` for a column that is no number, where numbers are
            needed; `privacy_required` where nothing may leave without noise.
    """
    if dataset.privacy is not None and dataset.privacy.required:
        raise SecureFlowError(
            "privacy_required",
            Text(
                "The owner of {name!r} demands differential privacy of everything that leaves it, "
                "and an engine's result is exact.",
                name=dataset.name,
            ),
            "Leave this owner out, or use joint-sums with a `privacy:` part.",
            {"dataset": dataset.name},
        )
    own = spec.of_others
    types = {"number"} if own is None or own.numbers else {"number", "category", "text"}
    for name in spec.side(party).columns:
        declared(dataset, name, types)


def _named(spec: MpcSpec, info: EngineInfo) -> dict[str, Any]:
    """Return what the engine is to run, by its names."""
    own, name = spec.of_others, spec.program_of_engine.name
    if own is not None:
        return {"program": BUNDLE, "digest": own.bundle.digest, "protocol": spec.protocol}
    digest = info.programs[name].digest
    return {"program": name, "digest": digest, "protocol": spec.protocol.upper()}


def _returned(spec: MpcSpec, result: EngineResult, party: str) -> dict[str, Path]:
    """Return what the engine wrote, by the names that the worker finds it under.

    Raises:
        SecureFlowError: `engine_output_refused` for less than the program gives.
    """
    if spec.of_others is None:
        names = outputs_of(spec.program_of_engine)
        if not set(names) <= set(result.outputs):
            raise _refused(party)
        return {f"{name}.npy": result.outputs[name] for name in names}
    return dict(result.outputs)


def _changed(peer: str) -> SecureFlowError:
    return SecureFlowError(
        "dataset_changed",
        Text("{party} brings other inputs than in an earlier attempt of this job.", party=peer),
        "Submit the job again: every owner then approves what is computed.",
        {"party": peer},
    )


def _check_rows(peer: str, theirs: int, own: int) -> None:
    if theirs != own:
        raise SecureFlowError(
            "inputs_unequal",
            Text("{party} brings {theirs} rows, and this party {own}: rows are matched by place.",
                 party=peer, theirs=theirs, own=own),
            "Prepare the datasets in one order, of the same rows: as an intersection's result is.",
            {"party": peer, "theirs": theirs, "own": own},
        )  # fmt: skip


def _remade(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _shown(folder: Path, outputs: Mapping[str, Path]) -> None:
    """Copy an engine's outputs to where the worker can read them."""
    _remade(folder)
    for name, path in outputs.items():
        shutil.copyfile(path, folder / name)


def _refused(party: str) -> SecureFlowError:
    return SecureFlowError(
        "engine_output_refused",
        Text("The engine of {party} has not written what the program gives.", party=party),
        "The next attempt runs it again; if this happens again, report it.",
    )


def _unusable(party: str) -> SecureFlowError:
    return SecureFlowError(
        "worker_failed",
        Text("The worker of {party} has not written what it says it wrote.", party=party),
        "See the agent's log; if it happens again, report it with the job's spec.",
    )

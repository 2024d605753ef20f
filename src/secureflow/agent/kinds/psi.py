"""A party's part in a private set intersection: its keys, the engine's runs, and its own result.

The worker reads the owner's file, and whatever came from an engine or a peer; the agent moves files
and counts. The keys are the same in every attempt, under the same salt: so their commitment is, and
a peer's owner counts them once.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from secureflow.agent.compute.columns import declared
from secureflow.agent.compute.derivation import derive
from secureflow.agent.compute.jobfiles import held_folder, take
from secureflow.agent.compute.psi import (
    KEYS,
    RESULT,
    keys_arguments,
    result_arguments,
)
from secureflow.agent.compute.psi_sums import LISTED, RESULT_COUNTS
from secureflow.agent.job.context import AgentContext, Computing, Fetching, RunningEngines
from secureflow.agent.job.reading import unnamed_rows
from secureflow.agent.kinds.kind import Entered, KeptResult, Peering, PeerOutcome, PeerSession
from secureflow.agent.kinds.psi_handover import Handover, Matched, unusable, written_file
from secureflow.agent.kinds.psi_keys import ListedKeys, listed_keys
from secureflow.agent.kinds.psi_runs import Lists, PsiRuns, check_engines, refused, too_small
from secureflow.agent.kinds.psi_selection import counts_of, selected_rows
from secureflow.agent.owner.keptfiles import keep_file, unfinished
from secureflow.agent.owner.matchedrows import SELECTED
from secureflow.agent.owner.publications import Publication
from secureflow.agent.owner.results import result_file
from secureflow.agent.record.records import JobRecord
from secureflow.domain.partyengines import ask_peer
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.psi import PsiSpec
from secureflow.engines.privacy.probing import Probe
from secureflow.engines.psi.estimate import traffic
from secureflow.engines.psi.kind import PSI_ENGINE
from secureflow.engines.psi.normalise import check_rules
from secureflow.engines.run.attempts import Offer
from secureflow.engines.run.kept import KEPT
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON
from secureflow.kit.disk import Place, remove, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MOST: Final = 1 << 50
"""Bytes of a file beyond any disk; what a worker may write is limited where it runs."""
_SCRATCH: Final = 16 << 20
"""Bytes of a worker's other temporary files."""
_TEXTS: Final = {"text", "category"}
_SCALAR: Final = {"number", "category", "text"}
_OWN_KEYS: Final = "psi.keys"
_MATCHES: Final = "matches"


@dataclass
class _Own:
    """What this process knows of a job.

    Args:
        keys: counts and commitment of the own keys.
        offers: peer → what it entered the running attempt with.
    """

    keys: ListedKeys
    offers: Mapping[str, Offer] = field(default_factory=dict)


class PsiPart(Peering):
    """One party's part in intersections.

    Args:
        context: the party.
        computing: reads rows.
    """

    def __init__(self, context: AgentContext, computing: Computing) -> None:
        self._context = context
        self._computing = computing
        self._runs = PsiRuns(context)
        self._own: dict[str, _Own] = {}

    def peers(self, spec: PsiSpec) -> tuple[str, ...]:
        """Return with whom this party runs the protocol; all, where the receiver tells them."""
        party = self._context.party
        return spec.others(party) if spec.tells_others else spec.partners(party)

    def ready(self, spec: PsiSpec) -> None:
        """Refuse a job whose engine is not here in its version."""
        check_engines(spec, self._context.engines, self._context.party)

    async def enter(self, job: JobRecord, spec: PsiSpec) -> Entered:
        """Read the keys and commit to them, once in this process.

        Raises:
            SecureFlowError: `dataset_changed`; those of `check_side` and of the file's rows;
                `empty_dataset`, `keys_too_many`.
        """
        known = self._own.get(job.job)
        if known is None:
            known = self._own[job.job] = _Own(await self._listed(job, spec))
        return Entered(known.keys.commitment, known.keys.keys)

    async def admit(self, job: JobRecord, spec: PsiSpec, offers: Mapping[str, Offer]) -> None:
        """Set aside the ids that others test here, against this owner's limit.

        Raises:
            SecureFlowError: `keys_too_many`, `empty_dataset` naming a peer; `probing_exceeded` and
                the others of `Probing.reserve`.
        """
        for peer, offer in offers.items():
            if offer.count < 1:
                raise _none(peer)
            if offer.count > spec.side(peer).most_rows:
                raise _too_many(peer, offer.count, spec.side(peer).most_rows)
        if probes := self._probes(spec, offers):
            dataset = self._pinned(job, spec).dataset
            await self._context.probing.reserve(job, dataset, probes)
        self._own[job.job].offers = dict(offers)

    def traffic(self, job: JobRecord, spec: PsiSpec, offers: Mapping[str, Offer]) -> int:
        """Return the bytes of keys and columns, if everybody brings as much as it may."""
        del job, offers
        return traffic(spec)

    async def run(self, job: JobRecord, spec: PsiSpec, session: PeerSession) -> PeerOutcome:
        """Run the protocol with each peer, and write the result if this party gets one.

        Raises:
            SecureFlowError: those of the engine; `intersection_too_small`; `peer_result_malformed`
                for a peer whose engine brought another list than it committed to, among others.
        """
        context, own = self._context, self._own[job.job]
        if probes := self._probes(spec, own.offers):
            dataset = self._pinned(job, spec).dataset
            await asyncio.to_thread(context.probing.begin, job, dataset, probes)
        matches = context.settings.models / job.job / _MATCHES
        await asyncio.to_thread(_emptied, matches)
        handover = self._handover(job, spec, session, matches)
        lists, then = self._lists(job, spec, matches), handover.tell if handover.tells else None
        found = await self._runs.run(job, spec, session, lists, then)
        await handover.hear()
        figures: dict[str, JSON] = {"keys": own.keys.keys}
        if context.party not in spec.learners:
            return PeerOutcome(figures, peak=found.peak)
        if spec.learns == "size":
            _check_minimum(spec, found.size)
            kept = KeptResult({**self._made_of(job, spec, session), "matched": found.size},
                              {"matched": found.size})  # fmt: skip
            return PeerOutcome({**figures, **_told(spec, found.size)}, kept, found.peak)
        theirs = await handover.columns()
        kept = await self._keep(job, spec, session, matches, theirs)
        told = _told(spec, int(kept.facts["matched"]))
        told |= {name: one for name, one in kept.document.items() if name == SELECTED}
        recorded = context.store.leaf_of(job.job, KEPT) is not None
        return PeerOutcome({**figures, **told}, None if recorded else kept, found.peak)

    async def forget(self, job: str, *, recorded: bool) -> None:
        """Drop keys, matches and columns of a finished job; and an uncommitted result."""
        self._own.pop(job, None)
        models = self._context.settings.models
        await asyncio.to_thread(shutil.rmtree, held_folder(models, job), ignore_errors=True)
        path = result_file(self._context.settings, job)
        if not recorded:
            await asyncio.to_thread(remove, path)
        await asyncio.to_thread(remove, unfinished(path))
        if await asyncio.to_thread((models / job).exists):
            await self._computing.close(job)
            await asyncio.to_thread(shutil.rmtree, models / job, ignore_errors=True)

    # --- keys ----------------------------------------------------------------------------------

    async def _listed(self, job: JobRecord, spec: PsiSpec) -> ListedKeys:
        """Have the keys read, committed to and written; take them out of the worker's reach."""
        context, party = self._context, self._context.party
        check_rules(spec.key)
        pinned = self._pinned(job, spec)
        await context.unchanged(job, spec)
        check_side(spec, pinned.dataset, party)
        written = await written_file(self._context, job.job)
        salt = derive(job.secret, 32, "psi keys")
        async with unnamed_rows(context, job):
            await self._computing.prepare(job.job, job.spec, *context.reading(pinned))
            answer = await self._computing.compute(
                job.job, KEYS, keys_arguments(party, salt, written)
            )
        keys = listed_keys(answer)
        await asyncio.to_thread(self._note_keys, job.job, keys)
        most = spec.side(party).most_rows
        if not keys.keys:
            raise _none(party)
        if keys.keys > most:
            raise _too_many(party, keys.keys, most)
        await asyncio.to_thread(self._take_keys, job, written)
        return keys

    def _keys_file(self, job: JobRecord) -> Path:
        return held_folder(self._context.settings.models, job.job) / _OWN_KEYS

    def _take_keys(self, job: JobRecord, written: Path) -> None:
        path = self._keys_file(job)
        place = Place(path.parent, "model files", self._context.party)
        with writing(place, written.stat().st_size):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not take(written, path, None, most=_MOST):
                raise unusable(self._context.party)

    def _note_keys(self, job: str, keys: ListedKeys) -> None:
        """Tell the owner alone how many rows have no key of their own, and which come first."""
        with self._context.store.transaction():
            self._context.store.note(self._context.clock(), _OWN_KEYS, job, **keys.facts)

    def _probes(self, spec: PsiSpec, offers: Mapping[str, Offer]) -> list[Probe]:
        """Return whose keys are tested here."""
        testing = spec.testers(self._context.party)
        return [
            Probe(peer, offer.count, offer.inputs)
            for peer, offer in sorted(offers.items())
            if peer in testing
        ]

    def _lists(self, job: JobRecord, spec: PsiSpec, matches: Path) -> Lists:
        own = self._own[job.job]
        counts = {peer: one.count for peer, one in own.offers.items()}
        counts[self._context.party] = own.keys.keys

        async def counted(peer: str, keys: int, learned: bool) -> None:
            await asyncio.to_thread(self._count, job, spec, (peer, keys), learned=learned)

        return Lists(self._keys_file(job), counts, matches, counted)

    def _count(
        self, job: JobRecord, spec: PsiSpec, brought: tuple[str, int], *, learned: bool
    ) -> None:
        """Count the list of a peer with the length that the engine saw.

        Whoever learned of it has tested it to the end: another attempt is charged anew.

        Raises:
            SecureFlowError: `peer_result_malformed` for another length than it committed to.
        """
        (peer, keys), probing = brought, self._context.probing
        offer = self._own[job.job].offers[peer]
        if self._probes(spec, {peer: offer}):
            dataset, probe = self._pinned(job, spec).dataset, Probe(peer, keys, offer.inputs)
            probing.found(job, dataset, probe)
            if learned:
                probing.ended(job, dataset, probe)
        if keys != offer.count:
            raise _other_count(peer, keys, offer.count)

    # --- columns and result --------------------------------------------------------------------

    def _handover(
        self, job: JobRecord, spec: PsiSpec, session: PeerSession, matches: Path
    ) -> Handover:
        """Return what is handed over in this attempt, if anything is."""
        own = self._own[job.job]

        async def learned(peer: str) -> None:
            brought = peer, own.offers[peer].count
            await asyncio.to_thread(self._count, job, spec, brought, learned=True)

        matched = Matched(
            folder=matches,
            most=min(own.keys.keys, *(one.count for one in own.offers.values())),
            check=lambda count: self._check_matched(job, spec, count),
            learned=learned,
        )
        return Handover(self._context, self._computing, job.job, spec, session, matched)

    async def _keep(
        self, job: JobRecord, spec: PsiSpec, session: PeerSession, matches: Path,
        theirs: Mapping[str, str],
    ) -> KeptResult:  # fmt: skip
        """Have the result written, and put it in its place, unless one is there that counts."""
        context = self._context
        written = await written_file(context, job.job)
        answer = await self._computing.compute(
            job.job, RESULT, result_arguments(context.party, matches, theirs, written)
        )
        rows, matched = counts_of(answer, RESULT_COUNTS)
        self._check_matched(job, spec, matched)
        facts: dict[str, JSON] = {"rows": rows, "matched": matched}
        if self._context.store.leaf_of(job.job, KEPT) is not None:
            return KeptResult({}, facts)
        path = result_file(context.settings, job.job)
        size, digest = await asyncio.to_thread(keep_file, written, path, context.party)
        found = matches, matched, self._pinned(job, spec).commitment
        selected = await selected_rows(context, self._computing, job, spec, found)
        document = {**self._made_of(job, spec, session), **facts, "bytes": size, "file": digest}
        return KeptResult(document | selected, {**facts, "file": digest})

    def _check_matched(self, job: JobRecord, spec: PsiSpec, matched: int) -> None:
        """Refuse what cannot be, and what is too small.

        Raises:
            SecureFlowError: `engine_output_refused`: more match than a list has keys;
                `intersection_too_small`.
        """
        own = self._own[job.job]
        if matched > min(own.keys.keys, *(one.count for one in own.offers.values())):
            raise refused()
        _check_minimum(spec, matched)

    def _made_of(
        self, job: JobRecord, spec: PsiSpec, session: PeerSession
    ) -> dict[str, JSON]:  # fmt: skip
        """Return the lineage of a result: what it was made of, as the parties committed to it."""
        own, pinned = self._own[job.job], self._pinned(job, spec)
        return {
            "kind": spec.kind,
            "attempt": session.attempt,
            "learns": spec.learns,
            "join": spec.join,
            "dataset": pinned.dataset.name,
            "data": pinned.commitment,
            "inputs": own.keys.commitment,
            "peers": {
                peer: {"leaf": one.leaf, "inputs": one.inputs, "keys": one.count}
                for peer, one in sorted(own.offers.items())
            },
        }

    def _pinned(self, job: JobRecord, spec: PsiSpec) -> Publication:
        pinned = self._context.pinned(job, spec)
        if pinned is None:
            raise AssertionError(spec.kind)  # it reads rows
        return pinned


class PsiAgentKind:
    """`agent.kinds.kind.AgentKind`, `SidedKind`, `EnginedKind` and `ListingKind`."""

    engine: Final[EngineKind] = PSI_ENGINE

    def check_columns(self, spec: PsiSpec, dataset: DatasetConfig) -> None:
        """Refuse nothing: `check_side` does, which knows the party."""
        del spec, dataset

    def check_side(self, spec: PsiSpec, dataset: DatasetConfig, party: str) -> None:
        """Refuse columns that do not match the owner's declaration."""
        check_side(spec, dataset, party)

    def check_engines(self, spec: PsiSpec, engines: RunningEngines, party: str) -> None:
        """Refuse a job whose engines are not here."""
        check_engines(spec, engines, party)

    def scratch(self, spec: PsiSpec) -> int:
        """Return what a list takes, with as many rows again that have no key of their own."""
        return _SCRATCH + 2 * LISTED * max(one.most_rows for one in spec.sides)

    def contributing(
        self, context: AgentContext, computing: Computing, link: Fetching
    ) -> PsiPart:  # fmt: skip
        """Return a party's part in intersections."""
        del link
        return PsiPart(context, computing)


PSI_AGENT: Final = PsiAgentKind()


def check_side(spec: PsiSpec, dataset: DatasetConfig, party: str) -> None:
    """Refuse columns that do not match the owner's declaration.

    Raises:
        SecureFlowError: `column_not_granted` for a key that is no text or category, or a granted
            column that is no number, category or text; `privacy_required` where nothing may leave;
            `probing_undeclared` if others test ids here, and the owner has set no limit;
            `invalid_spec` for rules that nobody can follow.
    """
    check_rules(spec.key)
    if dataset.privacy is not None and dataset.privacy.required:
        raise SecureFlowError(
            "privacy_required",
            Text(
                "The owner of {name!r} demands differential privacy of everything that leaves it, "
                "and an intersection tells of single rows.",
                name=dataset.name,
            ),
            "Leave this owner out.",
            {"dataset": dataset.name},
        )
    side = spec.side(party)
    if spec.probes(party) and dataset.probing is None:
        raise _unlimited(dataset, party)
    for name in side.key:
        declared(dataset, name, _TEXTS)
    for name in side.granted:
        declared(dataset, name, _SCALAR)


def _unlimited(dataset: DatasetConfig, party: str) -> SecureFlowError:
    return SecureFlowError(
        "probing_undeclared",
        Text("{party} has declared no limit of ids that others may test against {domain}.",
             party=party, domain=dataset.domain),
        Text("Ask {party} to declare `probing: {{limit: IDS}}` of the dataset in its agent.yaml.",
             party=party),
        {"domain": dataset.domain},
    )  # fmt: skip


def _told(spec: PsiSpec, matched: int) -> dict[str, JSON]:
    """Return how many keys match, where everybody may know it."""
    return {"matched": matched} if spec.tells_size else {}


def _check_minimum(spec: PsiSpec, matched: int) -> None:
    """Refuse to show an intersection that is smaller than the parties agreed, or its complement.

    Raises:
        SecureFlowError: `intersection_too_small`; how many match is not said.
    """
    if matched < spec.minimum:
        raise too_small(spec)


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)


def _none(party: str) -> SecureFlowError:
    return SecureFlowError(
        "empty_dataset",
        Text("No row of {party} has a key.", party=party),
        Text(
            "{party} sees in `secureflow agent log` how many rows have an empty cell, or one that "
            "does not fit its rule: check the columns and rules of the key.",
            party=party,
        ),
        {"party": party, "phase": "keys"},
    )


def _too_many(party: str, count: int, most: int) -> SecureFlowError:
    return SecureFlowError(
        "keys_too_many",
        Text("{party} brings {count} keys, and the job allows it {most}.",
             party=party, count=count, most=most),
        "Raise most_rows, which every owner approves anew, or bring fewer rows.",
        {"party": party, "phase": "keys", "keys": count, "most_rows": most},
    )  # fmt: skip


def _other_count(peer: str, keys: int, said: int) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("The engine of {peer} brought {keys} keys, and {peer} committed to {said}.",
             peer=peer, keys=keys, said=said),
        ask_peer(peer),
        {"party": peer, "phase": "compute", "keys": keys, "committed": said},
    )  # fmt: skip

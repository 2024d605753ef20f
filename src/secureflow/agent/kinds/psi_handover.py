"""What parties hand to one another after the runs of an intersection: keys that all have, columns.

Of three and more parties only the receiver can tell what all have. Where all learn, it tells the
others, in a file of one length whatever matches (`agent.compute.psi_told`). None of them keeps
anything before it has found each of these keys in its own list, and has heard from each of the
others that they were told the same, as in an attempt before: so a receiver cannot add a key that
one of them does not have. It can leave keys out, and add one that all of them have and it did not
bring; and it has learned before them.

Columns go from whoever grants them to each of the others, over the channel between these two.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final

import numpy as np

from secureflow.adapters.mpcengines import failures
from secureflow.adapters.mpcengines.agreement import MALFORMED
from secureflow.adapters.mpcengines.together import together
from secureflow.agent.compute.jobfiles import ROWS, held_folder, take
from secureflow.agent.compute.psi import (
    HEARD,
    MAX_SHOWN,
    SHOWN,
    TOLD,
    heard_arguments,
    shown_arguments,
    told_arguments,
)
from secureflow.agent.compute.psi_sums import ENGINE_KEY, TOLD_FILE, TOLD_HEAD
from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.job.filepassing import pass_files
from secureflow.agent.kinds import psi_turns
from secureflow.agent.kinds.kind import PeerSession
from secureflow.agent.kinds.psi_turns import Turns, await_turn, heard, work_until
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.kit.canonical import JSON, canonical_bytes
from secureflow.kit.disk import Place, writing
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_MOST: Final = 1 << 50
"""Bytes of a file beyond any disk; what a worker may write is limited where it runs."""
_THEIRS: Final = "theirs"


@dataclass(frozen=True)
class Matched:
    """What has matched, and who is told.

    Args:
        folder: with a file for each peer.
        most: keys that all can have: the shortest list, as its party committed to it.
        check: refuses a number of matches that cannot be, or is too small.
        learned: told of a peer that learns which of its keys match, before it does.
    """

    folder: Path
    most: int
    check: Callable[[int], None]
    learned: Callable[[str], Awaitable[None]]


class Handover:
    """One party's part in what is handed over in an attempt.

    Args:
        context: the party.
        computing: reads rows, and what a peer sent.
        job: its id.
        spec: checked.
        session: with open channels.
        matched: of this party.
    """

    def __init__(
        self,
        context: AgentContext,
        computing: Computing,
        job: str,
        spec: PsiSpec,
        session: PeerSession,
        matched: Matched,
    ) -> None:
        self._context = context
        self._computing = computing
        self._job = job
        self._spec = spec
        self._session = session
        self._matched = matched

    @property
    def tells(self) -> bool:
        """Whether this party is the receiver that tells the others."""
        return self._spec.tells_others and self._context.party == self._spec.receiver

    async def tell(self, turns: Turns) -> None:
        """Tell the others which keys all have, and have them compare it; at the receiver.

        Raises:
            SecureFlowError: `intersection_too_small` before anything of it is sent; those of
                `Turns.turn`.
        """
        matched, most = self._matched, self._matched.most
        arguments = told_arguments(
            self._context.party, matched.folder, most, await written_file(self._context, self._job)
        )
        (count,) = await self._counts(TOLD, arguments, 1)
        matched.check(count)
        path, place = self._held(TOLD_FILE), self._place
        await self._take(path)
        for peer in self._others:
            await matched.learned(peer)

        async def send(peer: str) -> None:
            await pass_files(self._session.channels[peer], path, None, place, most=self._told_bytes)

        await turns.each(psi_turns.TOLD, send)
        await turns.all_done()
        await turns.each(psi_turns.COMPARE, _nothing, last=True)

    async def hear(self) -> None:
        """Learn from the receiver which keys all have; at each of the others.

        Raises:
            SecureFlowError: `peer_result_malformed`: not every key is one of this party's, or
                another party was told otherwise, or this one in an attempt before;
                `peer_absent`, `peer_broken`.
        """
        if not self._spec.tells_others or self.tells:
            return
        receiver, engine = self._spec.receiver, self._spec.engine.name
        channel, size = self._session.channels[receiver], self._told_bytes
        path = self._matched.folder / f"{receiver}.{TOLD_FILE}"
        await await_turn(engine, channel, psi_turns.TOLD)
        await pass_files(channel, None, path, self._place, most=size, least=size)
        fellows = [one for one in self._others if one != receiver]
        for peer in fellows:
            await self._matched.learned(peer)

        async def look() -> None:
            await self._counts(HEARD, heard_arguments(self._context.party, path.parent), 1)

        await work_until(engine, channel, look(), psi_turns.COMPARE)
        digest = await asyncio.to_thread(_digest, path)
        await together([self._compare(peer, digest) for peer in fellows])
        await asyncio.to_thread(self._as_before, digest)

    async def columns(self) -> dict[str, str]:
        """Exchange columns of rows that match, where the spec says so.

        Returns:
            peer → the file of its columns.

        Raises:
            SecureFlowError: `intersection_too_small` before anything of it is sent; those of
                `pass_files`.
        """
        spec, party, others = self._spec, self._context.party, self._others
        if spec.learns != "all":
            return {}
        own = None
        if spec.hands_over(party):
            written, own = await written_file(self._context, self._job), self._held("shown")
            asked = shown_arguments(party, others[0], self._matched.folder, written)
            matched, _ = await self._counts(SHOWN, asked, 2)
            self._matched.check(matched)
            await self._take(own)
        folder = self._context.settings.models / self._job
        theirs = {one: folder / f"{_THEIRS}.{one}" for one in others if spec.hands_over(one)}
        channels, place = self._session.channels, Place(folder, "model files", party)
        await together([
            pass_files(channels[one], own, theirs.get(one), place, most=MAX_SHOWN)
            for one in others
        ])  # fmt: skip
        return {one: str(path) for one, path in theirs.items()}

    # --- parts ---------------------------------------------------------------------------------

    @property
    def _others(self) -> tuple[str, ...]:
        return self._spec.others(self._context.party)

    @property
    def _told_bytes(self) -> int:
        """The bytes of the file by which the receiver tells, whatever matches."""
        return TOLD_HEAD + ENGINE_KEY * self._matched.most

    @property
    def _place(self) -> Place:
        return Place(self._matched.folder, "model files", self._context.party)

    async def _compare(self, peer: str, digest: str) -> None:
        """Tell one of the others what the receiver told, and hear what it was told."""
        engine, receiver = self._spec.engine.name, self._spec.receiver
        channel = self._session.channels[peer]
        await channel.send(canonical_bytes({"say": "told", "digest": digest}))
        try:
            told = await heard(engine, channel, psi_turns.PATIENCE)
        except SecureFlowError as error:
            raise _untold(receiver, peer) if error.code == "peer_absent" else error from error
        if told.get("say") != "told":
            raise failures.broken(engine, peer, "outputs", MALFORMED)
        if told.get("digest") != digest:
            raise _unlike(receiver, peer)

    def _as_before(self, digest: str) -> None:
        """Keep what was told first: whoever has a result by then makes no other one.

        Raises:
            SecureFlowError: `peer_result_malformed` for other keys in a further attempt.
        """
        store, name = self._context.store, f"psi_told/{self._job}"
        with store.transaction():
            first = store.answer(name)
            if first is None:
                store.keep_answer(name, self._job, digest)
            elif first != digest:
                raise _changed(self._spec.receiver)

    async def _counts(self, step: str, arguments: dict[str, JSON], length: int) -> list[int]:
        answer = await self._computing.compute(self._job, step, arguments)
        counts: list[int] = np.frombuffer(whole_sums(answer, length, LIMIT), "<i8").tolist()
        return counts

    def _held(self, name: str) -> Path:
        return held_folder(self._context.settings.models, self._job) / name

    async def _take(self, path: Path) -> None:
        """Take what the worker wrote out of its reach."""
        await asyncio.to_thread(self._taken, path)

    def _taken(self, path: Path) -> None:
        written = self._context.settings.models / self._job / ROWS
        with writing(Place(path.parent, "model files", self._context.party)):
            if not take(written, path, None, most=_MOST):
                raise unusable(self._context.party)


async def written_file(context: AgentContext, job: str) -> Path:
    """Return the file that a job's worker writes, in a folder that is there."""
    folder = context.settings.models / job
    with writing(Place(folder, "model files", context.party)):
        await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
    return folder / ROWS


async def _nothing(_: str) -> None:
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def unusable(party: str) -> SecureFlowError:
    """Return the error of a worker whose file is not what it says."""
    return SecureFlowError(
        "worker_failed",
        Text("The worker of {party} has not written what it says it wrote.", party=party),
        "See the agent's log; if it happens again, report it with the job's spec.",
    )


def _unlike(receiver: str, peer: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("{receiver} told {party} and this party different keys that all have; or {party} "
             "does not say what it was told.", receiver=receiver, party=peer),
        Text("One of the two is faulty or altered: ask {receiver} and {party}.",
             receiver=receiver, party=peer),
        {"parties": sorted([receiver, peer])},
    )  # fmt: skip


def _changed(receiver: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_result_malformed",
        Text("{receiver} tells other keys that all have than in an attempt before: it, or another "
             "party, has changed what it brings.", receiver=receiver),
        Text("Somebody is faulty or altered: ask {receiver} first.", receiver=receiver),
        {"party": receiver},
    )  # fmt: skip


def _untold(receiver: str, peer: str) -> SecureFlowError:
    return SecureFlowError(
        "peer_absent",
        Text("{party} has not said within {seconds:.0f} seconds what {receiver} told it: one of "
             "the two holds it up.", party=peer, receiver=receiver, seconds=psi_turns.PATIENCE),
        Text("Ask {receiver} and {party} whether their agents run.",
             receiver=receiver, party=peer),
        {"parties": sorted([receiver, peer])},
    )  # fmt: skip

"""What must hold after any disturbance, clause by clause; each returns what is wrong.

The clauses look at what was observed and at nothing else, so a test can show each of them a world
in which exactly its own promise is broken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from secureflow.domain.charter import Charter
from secureflow.domain.errors import CATALOGUE
from secureflow.domain.jobs import Job, JobState
from secureflow.domain.quorum import quorum_of
from secureflow.engines.ledger.bundle import verify_bundle
from tests.chaos.platform import BUDGET
from tests.chaos.schedules import CANCEL, Schedule

DEFECTS = frozenset({"internal", "malformed_reply", "malformed_failure"})
"""Codes that name nothing: somebody met what nobody thought of."""
GUILT = frozenset({"leaf_forged", "approval_forged", "share_mismatch", "sum_inconsistent",
                   "digest_mismatch", "model_inconsistent", "update_already_sealed",
                   "head_inconsistent", "log_forked", "budget_rolled_back"})  # fmt: skip
"""Codes that accuse somebody, although everybody was honest."""


@dataclass
class Agent:
    """What an agent keeps of the job: how it ended there, and what it cost.

    `committed` are the parties of whose rows it holds a file, as its leaves say; `kept` are those
    files, if they are as it committed to, by digests of their tables.
    """

    outcome: str | None = None
    secret: bool = False
    leaves: int = 0
    unproved: int = 0
    spent: float = 0.0
    reservations: list[str] = field(default_factory=list)
    alarm: Any = None
    sessions: int = 0
    committed: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


@dataclass
class Observed:
    """What is there when everything is at rest.

    Args:
        job: the job at the centre.
        seconds: how long it took.
        standstill: who stood still with nothing to wait for.
        events: (kind, data) that watchers were told.
        journal: the numbers of the effects that were performed.
        models: digests of the models that were published.
        bundle: its audit bundle.
        charter: under which the bundle is verified.
        agents: by party.
        working: requests and jobs that are still worked on.
        files: left over of the job.
        descriptors: what is open that was not before.
        parts: the jobs that the job started, by their numbers.
    """

    job: Job | None = None
    seconds: float = 0.0
    standstill: list[str] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    journal: list[int] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    bundle: Any = None
    charter: Charter | None = None
    agents: dict[str, Agent] = field(default_factory=dict)
    working: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    descriptors: list[str] = field(default_factory=list)
    parts: dict[int, Observed] = field(default_factory=dict)

    @property
    def report(self) -> dict[str, Any]:
        """Return the job's report, empty without one."""
        return (self.job.report if self.job else None) or {}

    @property
    def succeeded(self) -> bool:
        """Tell whether the job succeeded."""
        return self.job is not None and self.job.state is JobState.SUCCEEDED

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Return the bundle's entries of this job."""
        bundle = self.bundle or {"entries": [], "job": ""}
        return [e for e in bundle["entries"] if e["leaf"]["leaf"]["job"] == bundle["job"]]


Clause = Callable[[Schedule, Observed, Observed], Iterator[str]]
"""(schedule, what was observed, the undisturbed job of its kind) → what is wrong."""


def ended_by_name(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """The job succeeded, or says by name why not; a gentle disturbance ends no job."""
    job = seen.job
    if job is None or not job.state.final:
        state = "unknown" if job is None else f"{job.state} ({job.error})"
        yield f"the job has not ended: {state}"
        return
    yield from (f"somebody met a defect: {one}" for one in dropouts(seen) if one["code"] in DEFECTS)
    if job.state is JobState.SUCCEEDED:
        return
    code = str((job.error or {}).get("code", ""))
    if code not in CATALOGUE or code in DEFECTS:
        yield f"the job ended without a name: {job.error}"
    if code in GUILT:
        yield f"the job ended with an accusation of somebody honest: {job.error}"
    cancelled = any(fault.what == CANCEL for fault in schedule.faults)
    if (code == "cancelled") > cancelled:
        yield "the job was cancelled by nobody"
    if schedule.gentle:
        yield f"less than its patience ended the job: {job.error}"


def dropouts(seen: Observed) -> list[dict[str, Any]]:
    """Return who dropped out of the job, where and why."""
    return [one for kind, data in seen.events if kind == "dropouts" for one in data["dropouts"]]


def same_result(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """What everybody brought gives the model of the undisturbed job."""
    if not seen.succeeded:
        return
    dropped = seen.report.get("dropouts")
    if schedule.gentle and dropped:
        yield f"less than its patience left somebody out: {dropped}"
    digest = seen.report.get("model", {}).get("digest")
    everybody = all(len(one) == len(seen.agents) for one in contributors(seen))
    if everybody and calm.job is not None and calm.report.get("model") and not _noised(calm):
        wanted = calm.report["model"]["digest"]
        if digest != wanted:
            yield f"the model is {digest}, that of the undisturbed job {wanted}"
    figures = seen.report.get("evaluation", {}).get("digest")
    if (
        everybody
        and calm.job is not None
        and figures != calm.report.get("evaluation", {}).get("digest")
    ):
        yield f"the figures are {figures}, others than those of the undisturbed job"
    if seen.models != [digest] * len(calm.models):
        yield f"published models: {seen.models}, in the report: {digest}"


def kept_as_told(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """Each party holds what it committed to, the same rows' answers; a report tells no other."""
    for party, agent in seen.agents.items():
        yield from (
            f"{party} holds no such file of {one}" for one in set(agent.committed) - set(agent.kept)
        )
        yield from (
            f"{party} holds other answers for the rows of {one}"
            for one, digest in agent.kept.items()
            if calm.agents and digest != calm.agents[party].kept.get(one)
        )
    told = seen.report.get("prediction") or {}
    delivered = told.get("delivered") or {"to": "", "parties": ()}
    holders = [(party, party) for party in told.get("kept", ())]
    holders += [(delivered["to"], sender) for sender in delivered["parties"]]
    yield from (
        f"the report says that {party} has a file of {one}"
        for party, one in holders
        if one not in seen.agents[party].committed
    )


def every_part(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """Of each job that the job started everything holds that holds of a job."""
    for number, part in seen.parts.items():
        wrong = violations(schedule, part, calm.parts[number])
        yield from (f"part {number}: {one}" for one in wrong)
    told = {row["point"]: row["job"] for row in seen.report.get("points", ())}
    there = {number: part.job.id for number, part in seen.parts.items() if part.job is not None}
    if seen.succeeded and told != there:
        yield f"the report tells of the parts {told}; there are {there}"


def _noised(calm: Observed) -> bool:
    return calm.job is not None and calm.job.spec.get("privacy") is not None


def contributors(seen: Observed) -> list[list[str]]:
    """Return who was certified in each round."""
    return [
        entry["document"]["release"]["survivors"]
        for entry in seen.entries
        if entry["leaf"]["leaf"]["kind"] == "round.closed"
    ]


def trainers(seen: Observed) -> set[str]:
    """Return whose rows a release tells of: a private evaluation without noise reads none."""
    return {
        party
        for entry in seen.entries
        if entry["leaf"]["leaf"]["kind"] == "round.closed"
        and entry["document"]["stage"] != "evaluate"
        for party in entry["document"]["release"]["survivors"]
    }


def nobody_stands_still(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """Whoever waits, waits for something; nothing of the job is worked on after its end."""
    yield from (f"stands still: {one}" for one in seen.standstill)
    yield from (f"still worked on: {one}" for one in seen.working)


def nothing_twice(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """Each action is in the ledger once, each event was told once, each effect journalled once."""
    actions = Counter(map(action, seen.entries))
    yield from (f"in the ledger {n} times: {one}" for one, n in actions.items() if n > 1)
    told = Counter(
        (kind, *(str(data.get(name)) for name in ("round", "point", "state")))
        for kind, data in seen.events
        if kind in {"round", "point", "done"}
    )
    yield from (f"told {n} times: {one}" for one, n in told.items() if n > 1)
    if len(set(seen.journal)) != len(seen.journal):
        yield f"journalled twice: {seen.journal}"


def action(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Return what an entry says happened; an approval or end is one of its author's."""
    leaf, document = entry["leaf"]["leaf"], entry.get("document") or {}
    match leaf["kind"]:
        case "update" | "round.closed":
            return leaf["kind"], leaf["author"], document["round"], document["stage"]
        case "attested":
            return leaf["kind"], leaf["author"], document["generation"]
        case "job.part":
            return leaf["kind"], leaf["author"], document["number"]
        case "accusation" | "budget":
            return leaf["kind"], leaf["author"], entry["index"]
        case kind:
            return kind, leaf["author"]


def within_budget(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """Nobody is charged beyond the limit, or twice; a job that released is paid for."""
    for party, agent in seen.agents.items():
        if agent.spent > BUDGET:
            yield f"{party} has spent {agent.spent:g} of {BUDGET:g}"
        if len(agent.reservations) > 1:
            yield f"{party} was charged {len(agent.reservations)} times: {agent.reservations}"
        if calm.agents and agent.spent > calm.agents[party].spent * (1 + 1e-9):
            yield f"{party} has paid {agent.spent:g}, undisturbed {calm.agents[party].spent:g}"
        released = party in trainers(seen) and _noised(calm)
        if released and not {"committed", "reserved", "unknown"} & set(agent.reservations):
            yield f"{party} gave noised sums and paid nothing: {agent.reservations}"


def bundle_verifies(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """What the ledger says holds for an outsider who has the charter; nobody is accused."""
    if seen.bundle is None:
        yield "there is no bundle"
        return
    verdict = verify_bundle(seen.bundle, seen.charter)
    # Who never approved of the job signs no end of it.
    able = [party for party, agent in seen.agents.items() if agent.leaves]
    enough = seen.succeeded or len(able) >= quorum_of(len(seen.agents))
    if verdict.status not in {"verified", *(() if enough else ("unfinished",))}:
        yield f"the bundle is {verdict.status}: {verdict.failures or verdict.missing}"
    yield from (f"an accusation of somebody honest: {one}" for one in verdict.accusations)
    yield from (
        f"{party} raised an alarm: {agent.alarm}"
        for party, agent in seen.agents.items()
        if agent.alarm
    )


def nothing_left(schedule: Schedule, seen: Observed, calm: Observed) -> Iterator[str]:
    """No file, descriptor, secret or session of an ended job is left."""
    yield from (f"left over: {name}" for name in seen.files)
    yield from (f"left open: {one}" for one in seen.descriptors)
    for party, agent in seen.agents.items():
        if agent.secret or agent.sessions:
            yield f"{party} keeps secrets of a job that ended"
        if agent.outcome == "running":
            yield f"{party} was not told that the job ended"
        if agent.unproved:
            yield f"{party} has no proof that {agent.unproved} of its leaves are in the log"


CLAUSES: tuple[Clause, ...] = (
    ended_by_name,
    same_result,
    kept_as_told,
    every_part,
    nobody_stands_still,
    nothing_twice,
    within_budget,
    bundle_verifies,
    nothing_left,
)


def violations(schedule: Schedule, seen: Observed, calm: Observed) -> list[str]:
    """Return everything that does not hold."""
    return [
        f"{clause.__name__}: {wrong}"
        for clause in CLAUSES
        for wrong in clause(schedule, seen, calm)
    ]

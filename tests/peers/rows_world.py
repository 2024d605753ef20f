"""An agent in a pipeline whose second step computes on the rows that match in its first.

The intersection runs whole at this agent, with the toys of `psi_world`; the centre is the test's:
it does what an honest one does, one act at a time, and can be made to lie in between.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers.agent_world import JOB, ME
from peers.psi_world import PEER, PsiAgentWorld

from secureflow.agent.owner.matchedrows import selection_file
from secureflow.agent.settings import AgentSettings, ConsentSettings
from secureflow.domain.ids import part_id
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.matchedrows import provisional_rows
from secureflow.domain.specs.outputs import Given, Outputs
from secureflow.domain.specs.pipeline import PipelineSpec
from secureflow.domain.specs.psi import PsiSpec

MATCH, AGAIN, FIT, FIT_AGAIN = 1, 2, 3, 4
"""Numbers of parts: there are two attempts at each step."""
THEIRS = "ef" * 32
"""The digest that the peer tells of its own rows."""
POLICY = 'permit(principal, action == Action::"pipeline", resource);'
EDGE = {"input": "matched", "step": "match", "output": "matched"}
PRIVATE = {"delta": 1e-6, "noise_multiplier": 2.0, "unit": "record"}


def head_of(roster: list[dict[str, str]]) -> dict[str, Any]:
    return {"project": "prj_0123456789", "name": "overlap", "purpose": "testing",
            "submitter": "ann", "roster": roster}  # fmt: skip


def matching(roster: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    """The spec of an intersection that all learn."""
    sides = [{"party": one["party"], "key": ["phone"], "most_rows": 100} for one in roster]
    value = {
        **head_of(roster), "kind": "psi", "sides": sides, "learns": "all",
        "key": {"parts": [{"rule": "phone"}]}, "receiver": roster[0]["party"],
        "engine": {"name": "spu", "version": "0.9.5"}, "tells_size": True, **changes,
    }  # fmt: skip
    return dump(parse(PsiSpec, value))


def fitting(roster: list[dict[str, str]], **changes: Any) -> dict[str, Any]:
    """The spec of a preparation of the rows that match."""
    rows = dump(provisional_rows(tuple(one["party"] for one in roster)))
    return {
        **head_of(roster), "kind": "preparation", "min_contributors": len(roster),
        "columns": [{"column": "age", "type": "number", "bounds": [0, 100]}],
        "steps": [{"step": "standardise", "columns": ["age"]}],
        "privacy": PRIVATE, "rows": rows, **changes,
    }  # fmt: skip


def specified(
    roster: list[dict[str, str]], match: dict[str, Any], fit: dict[str, Any], **changes: Any
) -> PipelineSpec:
    steps = [{"id": "match", "job": match}, {"id": "fit", "job": fit, "takes": [EDGE]}]
    private = fit.get("privacy")
    privacy = private and {"delta": private["delta"], "unit": "record", "noise": "shared"}
    value = {**head_of(roster), "steps": steps, "attempts": 2, "privacy": privacy, **changes}
    return parse(PipelineSpec, value)


class RowsWorld(PsiAgentWorld):
    """This agent is `ME`; everybody learns which rows match."""

    def __init__(self, directory: Path, *, policy: str = POLICY, **changes: Any) -> None:
        self.given: dict[str, Given] = {}
        self.job, self.whole = JOB, JOB
        super().__init__(directory, policy=policy, learns="all", receiver=ME, **changes)
        roster = [
            {"party": p, "key": k.public, "dataset": "customers"} for p, k in self.keys.items()
        ]
        self.pipeline = specified(roster, matching(roster), fitting(roster))
        SPEC_KINDS.check(self.pipeline)

    @property
    def declared(self) -> dict[str, Any]:
        columns = [
            *super().declared["columns"][:2],
            {"name": "age", "type": "number", "bounds": [0, 100]},
        ]
        privacy = {"domain": "customers", "unit": "record", "epsilon": 50.0, "delta": 1e-5,
                   "required": False}  # fmt: skip
        return {**super().declared, "columns": columns, "privacy": privacy}

    @property
    def settings(self) -> AgentSettings:
        consent = ConsentSettings(protections=("secagg",))
        return super().settings.model_copy(update={"consent": consent})

    # What an honest centre does.

    async def begin(self) -> None:
        self.record(await self.consent(self.whole, self.pipeline))

    async def consent(self, job: str, spec: Any) -> Any:
        body = {"job": job, "digest": spec_digest(spec), "spec": dump(spec)}
        return await self.ask("consent", {**body, "expires": self.now + 86_400})

    def part(self, number: int) -> Any:
        return self.pipeline.derived(self.whole, number, self.given)

    async def approve(self, number: int) -> Any:
        return await self.consent(part_id(self.whole, number), self.part(number))

    async def intersect(self, number: int = MATCH) -> dict[str, Any]:
        """Run the intersection here; return what this agent tells of it."""
        await self.approve(number)
        self.job, self.spec = part_id(self.whole, number), self.part(number)
        self.digest = spec_digest(self.spec)
        await self.offer()
        return await self.run()

    async def end(self, number: int, outcome: str = "succeeded") -> None:
        asked = {"job": part_id(self.whole, number), "digest": spec_digest(self.part(number))}
        await self.ask("finish", {**asked, "outcome": outcome, "model": None, "head": self.head()})

    async def sign(self, number: int, rows: Any) -> Any:
        outputs = {} if rows is None else {"rows": rows}
        asked = {"job": self.whole, "digest": spec_digest(self.pipeline), "number": number}
        return await self.ask("step", {**asked, "outputs": outputs})

    def gave(self, number: int, rows: dict[str, str]) -> None:
        step = self.pipeline.steps[self.pipeline.place(number)[0] - 1].id
        job = part_id(self.whole, number)
        self.given[step] = Given(self.part(number), job, Outputs(rows=rows))

    async def matched(self) -> dict[str, str]:
        """Have it approve the pipeline, intersect and sign; return the digests of all parties."""
        await self.begin()
        told = await self.intersect()
        rows = {ME: str(told["figures"]["selected"]), PEER: THEIRS}
        await self.end(MATCH)
        self.record(await self.sign(MATCH, rows))
        self.gave(MATCH, rows)
        return rows

    @property
    def selection(self) -> Path:
        """The file of the rows that match here."""
        return selection_file(self.settings, self.whole, part_id(self.whole, MATCH))

    def body(self, **more: Any) -> dict[str, Any]:
        return {"job": self.job, "digest": self.digest, **more}

    async def over(self, outcome: str = "succeeded") -> None:
        asked = {"job": self.whole, "digest": spec_digest(self.pipeline), "outcome": outcome}
        await self.ask("finish", {**asked, "model": None, "head": self.head()})

"""Where a model comes from, and what was done with it: nodes and edges, as far as one may see.

Backwards: the job that released it, the preparation whose recipe its inputs passed, the model that
it went on from or the weights that were uploaded, the sweep, timetable or pipeline whose part its
job was. Forwards: evaluations with their figures, predictions, jobs that went on from it and the
models that they released. What the caller may not see is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from secureflow.application.access import Principal, missing, require, sees_work_of
from secureflow.application.listing import list_readable
from secureflow.application.ports.storage import UnitOfWork, UnitOfWorkFactory
from secureflow.domain.jobs import Job
from secureflow.domain.models import Model, upload_id
from secureflow.domain.references import references_of
from secureflow.kit.reading import members, objects

MOST: Final = 200
"""Nodes."""
_USES: Final = 100
"""Jobs that used the model, the newest."""
_GENERATIONS: Final = 8

NodeKind = Literal["model", "job", "upload"]
Relation = Literal[
    "released", "recipe", "initial", "resumed", "part_of", "evaluated", "predicted", "used"
]


@dataclass(frozen=True)
class Node:
    """A model, job or upload. `detail`: of a job its `kind` and state, of a model its version."""

    id: str
    kind: NodeKind
    name: str
    organisation: str
    created: int
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """`source` came before `target`."""

    source: str
    target: str
    relation: Relation


@dataclass(frozen=True)
class Measured:
    """Figures of the model by one evaluation: by whom, on whose rows."""

    job: str
    by: str
    at: int
    figures: dict[str, Any]
    contributors: list[str]


@dataclass(frozen=True)
class Lineage:
    """The graph around a model. `more` says that something was left out for its size."""

    model: str
    nodes: list[Node]
    edges: list[Edge]
    evaluations: list[Measured]
    more: bool


class Lineages:
    """Use cases of lineage."""

    def __init__(self, begin: UnitOfWorkFactory) -> None:
        self._begin = begin

    async def of(self, principal: Principal, key: str) -> Lineage:
        """Return the graph around a model (`not_found`)."""
        require(principal, "model.read")
        async with self._begin() as work:
            model = await work.models.find(key)
            if model is None or not await sees_work_of(work, principal, model.project):
                raise missing("model", key)
            graph = _Graph(work, model)
            await graph.backwards(model, 0)
            await graph.forwards(model)
        return Lineage(
            key, list(graph.nodes.values()), sorted(graph.edges, key=_order),
            graph.evaluations, graph.more,
        )  # fmt: skip


def _order(edge: Edge) -> tuple[str, str, str]:
    return edge.source, edge.target, edge.relation


class _Graph:
    """Collects nodes and edges; all of one project, which the caller sees."""

    def __init__(self, work: UnitOfWork, model: Model) -> None:
        self._work = work
        self._project = model.project
        self.nodes: dict[str, Node] = {}
        self.edges: set[Edge] = set()
        self.evaluations: list[Measured] = []
        self.more = False

    async def backwards(self, model: Model, generation: int) -> None:
        """Add a model, its job, and what that came from."""
        if self._add(_model_node(model)) and model.job not in self.nodes:
            job = await self._job(model.job)
            if job is not None:
                await self._origins(job, generation)
        if model.job in self.nodes:
            self.edges.add(Edge(model.job, model.id, "released"))

    async def forwards(self, model: Model) -> None:
        """Add what was done with a model."""
        page = await self._work.jobs.latest(
            cursor="", limit=_USES, project=[self._project], text=model.digest
        )
        self.more |= bool(page.next)
        for job in page.items:
            if model.digest not in references_of(job.spec) or job.id == model.job:
                continue
            if not self._add(_job_node(job)):
                continue
            relation = _use(job)
            self.edges.add(Edge(model.id, job.id, relation))
            if relation == "evaluated":
                self.evaluations += _figures(job, model)
            if relation == "resumed":
                for made in await list_readable(self._work.models, job=job.id):
                    if self._add(_model_node(made)):
                        self.edges.add(Edge(job.id, made.id, "released"))

    async def _origins(self, job: Job, generation: int) -> None:
        if not self._add(_job_node(job)):
            return
        if generation >= _GENERATIONS:
            self.more = True
            return
        spec = job.spec
        resume, initial = members(spec.get("resume")), members(spec.get("initial"))
        recipe = members(members(spec.get("features")).get("recipe"))
        whole = members(spec.get("part_of"))
        if resume:
            await self._resumed(job, resume, generation)
        if initial:
            await self._uploaded(job, initial)
        for named, relation in ((recipe, "recipe"), (whole, "part_of")):
            earlier = await self._job(str(named.get("job", ""))) if named else None
            if earlier is not None:
                await self._origins(earlier, generation + 1)
                self._link(earlier.id, job.id, "recipe" if relation == "recipe" else "part_of")

    async def _resumed(self, job: Job, resume: Mapping[str, Any], generation: int) -> None:
        """Add the model that a job went on from; one of a round may not be kept."""
        earlier = str(resume.get("job", ""))
        for parent in await list_readable(self._work.models, job=earlier) if earlier else []:
            if parent.project == self._project and parent.digest == resume.get("model"):
                await self.backwards(parent, generation + 1)
                self._link(parent.id, job.id, "resumed")
                return
        found = await self._job(earlier)
        if found is not None:
            await self._origins(found, generation + 1)
            self._link(found.id, job.id, "resumed")

    async def _uploaded(self, job: Job, initial: Mapping[str, Any]) -> None:
        digest, layout = str(initial.get("model", "")), str(initial.get("layout", ""))
        key = upload_id(self._project, digest, layout)
        upload = await self._work.uploads.find(key)
        whose, created = ("", 0) if upload is None else (upload.organisation, upload.created)
        detail = {"digest": digest, "kept": upload is not None}
        if self._add(Node(key, "upload", digest[:16], whose, created, detail)):
            self._link(key, job.id, "initial")

    async def _job(self, key: str) -> Job | None:
        job = await self._work.jobs.find(key) if key else None
        return job if job is not None and job.project == self._project else None

    def _add(self, node: Node) -> bool:
        if node.id not in self.nodes and len(self.nodes) >= MOST:
            self.more = True
            return False
        self.nodes.setdefault(node.id, node)
        return True

    def _link(self, source: str, target: str, relation: Relation) -> None:
        if source in self.nodes and target in self.nodes:
            self.edges.add(Edge(source, target, relation))


def _use(job: Job) -> Relation:
    kinds: dict[str, Relation] = {"evaluation": "evaluated", "prediction": "predicted"}
    resumes = bool(members(job.spec.get("resume")))
    return kinds.get(job.kind, "resumed" if resumes else "used")


def _figures(job: Job, model: Model) -> list[Measured]:
    report = members(members(job.report or {}).get("evaluation"))
    return [
        Measured(
            job.id, job.organisation, job.updated, dict(members(one.get("figures"))),
            [str(name) for name in one.get("contributors") or ()],
        )
        for one in objects(report.get("models"))
        if one.get("model") == model.digest
    ]  # fmt: skip


def _model_node(model: Model) -> Node:
    detail = {"version": model.version, "family": model.family, "metrics": model.metrics}
    return Node(model.id, "model", model.name, "", model.created, detail)


def _job_node(job: Job) -> Node:
    detail = {"kind": job.kind, "state": job.state.value}
    return Node(job.id, "job", job.name, job.organisation, job.created, detail)

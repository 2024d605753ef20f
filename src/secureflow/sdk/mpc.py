"""Computations among parties: joint sums, and the totals that they open by keys."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from secureflow.domain.datasets import Dataset
from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.jointsums import JointSums, SumsQuery
from secureflow.domain.specs.mpc_programs import PROGRAMS
from secureflow.domain.specs.mpc_request import MpcRequest
from secureflow.domain.specs.summed import SummedNoise
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation
from secureflow.sdk.objects import Job
from secureflow.sdk.tables import Table

if TYPE_CHECKING:
    from secureflow.sdk.totals import JobTotals


class Mpc(Resource[D_co]):
    """Programs of the catalogue, computed among the parties of a project."""

    @operation
    def joint_sums(
        self,
        project: str,
        datasets: Sequence[Dataset],
        queries: Sequence[SumsQuery | Mapping[str, Any]],
        *,
        name: str = "joint sums",
        purpose: str,
        decimals: Mapping[str, int] | None = None,
        privacy: SummedNoise | None = None,
    ) -> Call[Job]:
        """Submit the program `joint-sums`: exact or noised totals over several owners' rows.

        The answers are in the report; those by keys in `totals`.

        Args:
            project: id of the project.
            datasets: one granted dataset per contributor: of three at least, or of two under
                privacy or by each owner's own word.
            queries: e.g. `{"name": "r", "measure": "correlation", "columns": ["age", "income"]}`.
            name: name of the job.
            purpose: what the totals are for, as granted.
            decimals: how many decimals of a column count; others hold whole numbers.
            privacy: noise, e.g. `SummedNoise(delta=1e-6, epsilon=1)`; None for exact totals.

        Raises:
            SecureFlowError: `invalid_request`, or the server's error.
        """
        program = {
            "name": "joint-sums",
            "queries": [dict(one) if isinstance(one, Mapping) else dump(one) for one in queries],
            "decimals": [
                {"column": column, "decimals": count} for column, count in (decimals or {}).items()
            ],
        }
        ids = tuple(dataset.id for dataset in datasets)
        asked = parse(JointSums, program, "request")
        request = dump(MpcRequest(project, name, purpose, ids, asked, privacy=privacy))
        body = {name: value for name, value in request.items() if value is not None}
        return verbs.post("/jobs", body, answers.value(Job))

    @operation
    def compute(
        self,
        project: str,
        datasets: Sequence[Dataset],
        program: Mapping[str, Any],
        inputs: Mapping[str, Sequence[str]],
        *,
        receivers: Sequence[str] | Literal["all"] = "all",
        computing: Sequence[str] = (),
        protocol: str | None = None,
        attempts: int | None = None,
        name: str = "computation",
        purpose: str,
    ) -> Call[Job]:
        """Submit a program that an engine runs among parties of different columns.

        The result is a file at each receiver's agent (`secureflow agent results`), never here.

        Args:
            project: id of the project.
            datasets: one granted dataset of each party that brings any.
            program: its name and what it is asked, e.g. `{"name": "ranking", "decimals": 2}`;
                `programs()` lists them. Of MPyC's: `{"name": "mpyc", "bundle": {"digest": …,
                "entry": "program.py"}}`, of a bundle that was uploaded (`client.bundles.upload`).
            inputs: party → its columns.
            receivers: who gets the result.
            computing: parties without a dataset that compute along.
            protocol: default: the program's usual one for so many parties.
            attempts: how often a run may be begun.
            name: name of the job.
            purpose: what the result is for, as granted.
        """
        body = {
            "kind": "mpc",
            "project": project,
            "name": name,
            "purpose": purpose,
            "datasets": [dataset.id for dataset in datasets],
            "program": dict(program),
            "inputs": {party: {"columns": list(own)} for party, own in inputs.items()},
            "receivers": receivers if receivers == "all" else list(receivers),
            "compute": list(computing),
            "protocol": protocol,
            "attempts": attempts,
        }
        asked = {name: value for name, value in body.items() if value is not None}
        return verbs.post("/jobs", asked, answers.value(Job))

    @operation
    def totals(self, job: str) -> Generator[Any, Any, JobTotals]:
        """Return the totals by keys that a job has opened; see `sdk.totals`.

        Raises:
            SecureFlowError: `no_totals` for a job without any; `digest_mismatch`.
        """
        from secureflow.sdk.totals import JobTotals  # NumPy is only needed for these

        report = yield from verbs.read_large(f"/jobs/{job}/report", answers.report, format="json")
        content = yield from verbs.read_large(f"/jobs/{job}/totals", answers.content)
        return JobTotals(report, content)


def programs() -> Table:
    """Return the catalogue: what can be computed among parties, by which engines."""
    rows = tuple(
        {
            "name": one.name,
            "version": one.version,
            "engines": ", ".join(one.engines),
            "parties": one.smallest,
            "title": one.title,
        }
        for one in PROGRAMS.values()
    )
    return Table(rows, ("name", "version", "engines", "parties", "title"), "programs")

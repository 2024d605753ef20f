"""Which rows match, kept for later steps of the pipeline that an intersection is a step of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from secureflow.agent.compute.psi import SELECTED as STEP
from secureflow.agent.compute.psi import selected_arguments
from secureflow.agent.job.context import AgentContext, Computing
from secureflow.agent.kinds.psi_handover import written_file
from secureflow.agent.kinds.psi_runs import refused
from secureflow.agent.kinds.wholesums import whole_sums
from secureflow.agent.owner.matchedrows import SELECTED, keep_selection, taken_of
from secureflow.agent.record.records import JobRecord
from secureflow.domain.specs.psi import PsiSpec
from secureflow.domain.specs.summed import LIMIT
from secureflow.kit.canonical import JSON


async def selected_rows(
    context: AgentContext,
    computing: Computing,
    job: JobRecord,
    spec: PsiSpec,
    found: tuple[Path, int, str],
) -> dict[str, JSON]:
    """Keep which rows match if a later step takes them; return the member that holds the digest.

    Args:
        context: the party.
        computing: reads rows.
        job: of the intersection.
        spec: its spec.
        found: the folder of the engine's matches, how many rows of the result match, and the
            commitment to the data.

    Raises:
        SecureFlowError: `engine_output_refused` where the two counts differ; those of
            `keep_selection`.
    """
    (matches, matched, data), part_of = found, spec.part_of
    whole = None if part_of is None else context.store.job(part_of.job)
    if part_of is None or whole is None or not taken_of(whole, part_of.step):
        return {}
    written = await written_file(context, job.job)
    arguments = selected_arguments(context.party, matches, written)
    (count,) = counts_of(await computing.compute(job.job, STEP, arguments), 1)
    if count != matched:
        raise refused()
    kept = context.settings, whole, job.job, data, written, count
    return {SELECTED: await asyncio.to_thread(keep_selection, *kept)}


def counts_of(answer: Mapping[str, JSON], count: int) -> tuple[int, ...]:
    """Return the counts of a worker's answer.

    Raises:
        SecureFlowError: `update_length_wrong`.
    """
    return tuple(np.frombuffer(whole_sums(answer, count, LIMIT), "<i8").tolist())

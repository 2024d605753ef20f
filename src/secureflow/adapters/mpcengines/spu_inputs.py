"""What a party checks of its inputs before it starts SPU: the program would say less of them.

A program ends with a word; here the row and the column are named as well. It is the program's own
check (`spu_programs`), run in the agent's process over the same files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from secureflow.adapters.mpcengines.spu_words import WORDS
from secureflow.application.ports.mpcengine import EngineJob
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text


def check_inputs(job: EngineJob) -> None:
    """See that a program takes this party's inputs.

    Raises:
        SecureFlowError: `engine_failed` naming the party, the row and the column.
    """
    # NumPy is loaded with the first job: an idle agent stays small.
    from secureflow.adapters.mpcengines.spu_programs.errors import RefusedError

    try:
        _check(job.program, job.inputs, job.parameters)
    except RefusedError as refused:
        raise _failed(job, refused.reason, refused.facts) from refused


def _check(program: str, inputs: Mapping[str, Path], parameters: Mapping[str, JSON]) -> None:
    from secureflow.adapters.mpcengines.spu_programs import buckets, compute

    if program == "psi":
        buckets.read_keys(inputs["keys"])
    else:
        compute.prepared(compute.CATALOGUE[program], inputs, parameters)


def _failed(job: EngineJob, reason: str, facts: Mapping[str, int]) -> SecureFlowError:
    told = WORDS.get(reason, reason)
    place = _place(facts)
    message = (
        Text(
            "SPU cannot compute with {party}'s inputs: {reason} ({place}).",
            party=job.party,
            reason=told,
            place=place,
        )
        if place
        else Text(
            "SPU cannot compute with {party}'s inputs: {reason}.", party=job.party, reason=told
        )
    )
    hint = "Its owner corrects the input; nothing was sent to anybody."
    details = {"engine": "spu", "party": job.party, "phase": "inputs", "reason": reason, **facts}
    return SecureFlowError("engine_failed", message, hint, details)


def _place(facts: Mapping[str, int]) -> str:
    row, column = facts.get("row"), facts.get("column")
    if row is not None and column is not None:
        return Text("row {row}, column {column}", row=row, column=column)
    if row is not None:
        return Text("row {row}", row=row)
    return "" if column is None else Text("column {column}", column=column)

"""The label of a pipeline: who learns what of its whole graph, and what steps tell together.

What each step tells is its own kind's to say; rows that are the same of several steps are told
once. Beside them stand those of steps *together*: exact figures of the same rows can be subtracted
from one another, of differently chosen rows most of all; a model can be tested with figures of the
rows that it learned from; and whoever knows which rows match elsewhere reads every figure of them
with that. All of it follows from the spec.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from secureflow.domain.specs.matchedrows import MATCHED, moved_rows
from secureflow.domain.specs.pipeline import PipelineSpec, PipelineStep
from secureflow.domain.specs.protections import contributes
from secureflow.engines.run.explaining import Row, sight_rows
from secureflow.engines.run.kind import EngineKind
from secureflow.kit.canonical import JSON
from secureflow.kit.text import Text

Kind = Callable[[PipelineStep], EngineKind]
_READERS: Final = "whoever has the reports"
_SUMMING: Final = frozenset({"statistics", "preparation", "evaluation", "mpc"})


def disclosure(spec: PipelineSpec, kind: Kind, tee: str) -> list[Mapping[str, JSON]]:
    """Return what each kind of party can learn: of each step, and of steps together.

    Args:
        spec: the pipeline's.
        kind: of a step.
        tee: the verdict's title.
    """
    found: dict[str, dict[str, Any]] = {}
    for step in spec.steps:
        for row in kind(step).disclosure(step.job, tee):
            key = repr([row.get(name) for name in ("who", "sees", "why")])
            known = found.setdefault(key, {**row, "steps": []})
            if step.id not in known["steps"]:
                known["steps"].append(step.id)
    return [*found.values(), *together(spec)]


def together(spec: PipelineSpec) -> list[dict[str, JSON]]:
    """Return what steps tell together that none of them tells alone, with their ids (`steps`)."""
    return [
        {**row, "steps": list(steps), "together": True}
        for told, steps in _combined(spec)
        for row in sight_rows([told])
    ]


def _combined(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    exact = [one.id for one in spec.steps if _releases(one) and not one.job.all_private]
    noised = [one.id for one in spec.steps if _releases(one) and one.job.privacy is not None]
    if len(exact) > 1:
        why = (
            "exact figures of the same rows can be subtracted from one another, and tell of few "
            "rows what none of them tells alone"
        )
        sees = Text("what {steps} tell about the same rows", steps=", ".join(exact))
        yield (_READERS, sees, why), exact
    if len(noised) > 1:
        why = "their noise is drawn anew in each, and ε is charged for all of them together"
        sees = Text("noised figures of {steps}, of the same rows", steps=", ".join(noised))
        yield (_READERS, sees, why), noised
    yield from _chosen_rows(spec, exact)
    yield from _model_and_figures(spec)
    yield from _matched(spec)
    yield from _on_matched(spec)
    yield from _handed_over(spec)
    yield from _deciding(spec)
    if spec.attempts > 1:
        sees = Text("up to {count} attempts at each step", count=spec.attempts)
        why = (
            "an attempt that failed may have released some of its figures: sums are over all "
            "parties in each, or noised and charged"
        )
        yield (_READERS, sees, why), [one.id for one in spec.steps]


def _releases(step: PipelineStep) -> bool:
    """Tell whether a step releases sums over rows."""
    return step.job.reads_rows and contributes(step.job)


def _rows_of(step: PipelineStep) -> str:
    """Return which rows a step takes, as a text that is equal for equal rows."""
    job: Any = step.job
    split = getattr(getattr(job, "plan", None), "split", None)
    taken = next((one.step for one in step.takes if one.input == MATCHED), "")
    return repr((getattr(job, "held_out", None), split, taken))


def _chosen_rows(spec: PipelineSpec, exact: Sequence[str]) -> Iterator[tuple[Row, Sequence[str]]]:
    steps = [one for one in spec.steps if one.id in exact]
    if len({_rows_of(one) for one in steps}) < 2:
        return
    yield (
        (
            _READERS,
            Text("figures of other rows in each of {steps}", steps=", ".join(exact)),
            "the difference of two such figures is that of the rows which one of them leaves out",
        ),
        exact,
    )


def _model_and_figures(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    trained = [one.id for one in spec.steps if one.job.kind == "training" and one.job.reads_rows]
    figures = [one.id for one in spec.steps if one.job.kind in _SUMMING and _releases(one)]
    if not trained or not figures:
        return
    private = all(one.job.all_private for one in spec.steps if one.id in {*trained, *figures})
    why = (
        "both are noised, and charged together"
        if private
        else "who has a model and figures of the rows that it learned from can test guesses about "
        "single rows better than with either"
    )
    both = Text("the models of {models} beside the figures of {steps}",
                models=", ".join(trained), steps=", ".join(figures))  # fmt: skip
    yield (_READERS, both, why), [*trained, *figures]


def _matched(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    for step in spec.steps:
        others = [one.id for one in spec.steps if one.id != step.id and one.job.reads_rows]
        if step.job.kind != "psi" or not others:
            continue
        job: Any = step.job
        if job.learns == "size" and not job.tells_size:
            continue
        yield (
            (
                Text("{parties}, who learn which keys match in {step}",
                     parties=", ".join(job.learners), step=step.id),
                Text("what {steps} tell, knowing which of their rows others have as well",
                     steps=", ".join(others)),
                "figures before and after an intersection are of overlapping rows",
            ),
            [step.id, *others],
        )  # fmt: skip


def _on_matched(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    """Yield what figures of rows that match tell: of whom, and how much the noise hides."""
    giving = {one.input: one.step for step in spec.steps for one in step.takes}.get(MATCHED)
    taking = [one for one in spec.steps if one.job.rows is not None]
    if giving is None:
        return
    steps = [one.id for one in taking]
    sees = Text("figures of {steps}, of the rows alone that match", steps=", ".join(steps))
    why: str = (
        "whoever knows who is in the intersection, or how many are, reads each figure as one of "
        "these people; figures of all rows beside it tell of those who are not"
    )
    yield (_READERS, sees, why), [giving, *steps]
    exact = [one.id for one in taking if one.job.privacy is None]
    if exact:
        who = Text(
            "{parties}, who choose the keys that they bring", parties=", ".join(spec.parties)
        )
        sees = Text("which people the figures of {steps} are of", steps=", ".join(exact))
        why = (
            "lists that differ by one key, in two pipelines, differ by one person: exact figures "
            "of both tell of that person"
        )
        yield (who, sees, why), [giving, *exact]
    noised = [one.id for one in taking if one.job.privacy is not None]
    if noised:
        why = Text(
            "who matches has a row at each of {count} owners: ε is that of all these rows. "
            "That they match is told exactly, and no ε covers it",
            count=max(moved_rows(one.job) for one in taking),
        )
        sees = Text("noised figures of {steps}, of the rows that match", steps=", ".join(noised))
        yield (_READERS, sees, why), noised


def _handed_over(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    for step in spec.steps:
        deliver = getattr(step.job, "deliver", None)
        figures = [one.id for one in spec.steps if one.id != step.id and _releases(one)]
        if deliver is None or not figures:
            continue
        sees = Text("the answers of {step} row by row, beside the figures of {steps}",
                    step=step.id, steps=", ".join(figures))  # fmt: skip
        yield (
            (deliver.to, sees, "row by row, a model tells of what it learned"),
            [step.id, *figures],
        )


def _deciding(spec: PipelineSpec) -> Iterator[tuple[Row, Sequence[str]]]:
    """Yield what parties keep of an evaluation by which it is decided whether steps run."""
    for step in spec.steps:
        steps = [one.id for one in spec.steps if one.when and one.when.step == step.id]
        if not steps:
            continue
        who = Text("{parties}, each in its own record", parties=", ".join(spec.parties))
        sees = Text("all figures of {step}, of every model that it measures", step=step.id)
        why = Text(
            "whether {steps} run is decided by one of them: every party signs all of them, and "
            "keeps them with the record of this job",
            steps=", ".join(steps),
        )
        yield (who, sees, why), [step.id, *steps]

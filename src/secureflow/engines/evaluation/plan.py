"""The masked sums of an evaluation: a round's vector, its noise, and the figures of its totals.

A round adds up one model's sums over all rows (`tally`), and with `per_party` once more in a place
of each party's own, on the coarser cells of private sums: an owner's own figures are told from
fewer counts than everybody's. Without noise they are exact all the same. The vectors of all rounds
have one length, that of the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from secureflow.domain.specs.base import dump
from secureflow.domain.specs.evaluation import EvaluationSpec
from secureflow.domain.specs.scored import ScoredModel
from secureflow.domain.specs.sklearn_families import has_chances
from secureflow.engines.evaluation.figures import evaluate, evaluate_party, party_noise
from secureflow.engines.evaluation.honest import party_line
from secureflow.engines.evaluation.layout import AnyForm, ClassesForm, form_for, sigma_of, unit_of
from secureflow.engines.evaluation.stability import stability
from secureflow.engines.evaluation.stage import STAGE
from secureflow.engines.evaluation.sums import totals_problem
from secureflow.engines.evaluation.tally import Outputs, Vector, tally
from secureflow.engines.secagg import MaskingPlan
from secureflow.engines.secagg.wholenumbers import Integers, whole_encoding, with_shares
from secureflow.kit.canonical import JSON, canonical_bytes, sha256
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, with_texts

MAX_NUMBERS = 1 << 20
"""Most numbers of a round."""


@dataclass(frozen=True)
class Part:
    """Sums within a round's vector.

    Args:
        party: whose rows; "" for everybody's.
        form: what is summed up.
        place: where.
        unit: steps of a row that adds 1.
        sigma: of the noise, in steps.
    """

    party: str
    form: AnyForm
    place: slice
    unit: int
    sigma: float


def parts(spec: EvaluationSpec, number: int) -> Iterator[Part]:
    """Yield the parts of a round's vector, everybody's first.

    Args:
        spec: checked.
        number: the round, from 1.
    """
    label = spec.models[number - 1].features.label
    if label is None:
        raise AssertionError  # `check_evaluation` refuses such a model
    private = spec.privacy is not None
    multiplier = spec.privacy.multiplier if spec.privacy else 0.0
    offset = 0
    for party in ("", *(spec.parties if spec.per_party else ())):
        form = form_for(label, private=private or bool(party), exact=bool(party) and not private)
        sigma = sigma_of(form, multiplier, spec.contributions) if private else 0.0
        unit = unit_of(form, multiplier, spec.contributions)
        yield Part(party, form, slice(offset, offset + form.length), unit, sigma)
        offset += form.length


def longest(spec: EvaluationSpec) -> int:
    """Return the length of a round's vector."""
    rounds = range(1, spec.planned_rounds + 1)
    return max(sum(part.form.length for part in parts(spec, number)) for number in rounds)


def evaluation_plan(spec: EvaluationSpec, job: str, spec_digest: str) -> MaskingPlan:
    """Return the plan of the job's masked sums.

    Raises:
        SecureFlowError: `contradictory_spec` for too many numbers, `invalid_roster`.
    """
    length = longest(spec)
    if length > MAX_NUMBERS:
        raise SecureFlowError(
            "contradictory_spec",
            Text(
                "per_party: a round adds up {count} numbers, more than {most}.",
                count=length,
                most=MAX_NUMBERS,
            ),
            "Leave per_party out, or evaluate models of fewer classes.",
            {"field": "per_party"},
        )
    dp = {} if spec.privacy is None else dump(spec.privacy)
    encoding, rounds = whole_encoding(length), spec.planned_rounds
    return MaskingPlan(
        f"{job}-{STAGE}",
        spec_digest,
        spec.roster,
        encoding,
        rounds,
        dp,
        least=spec.min_contributors,
    )


def party_sums(
    spec: EvaluationSpec, number: int, party: str, outputs: Outputs, labels: Vector
) -> Integers:
    """Return a party's sums of a round, without noise: int64 (`longest`,).

    Args:
        spec: checked.
        number: the round, from 1.
        party: whose rows they are.
        outputs: the model's, before any link function: float32 (rows, outputs).
        labels: the targets, float32 (rows,).
    """
    found = np.zeros(longest(spec), np.int64)
    for part in parts(spec, number):
        if part.party in {"", party}:
            found[part.place] = tally(part.form, outputs, labels, part.unit)
    return found


def noised(spec: EvaluationSpec, number: int, sums: Integers, seed: bytes) -> Integers:
    """Return a party's sums with its share of the noise of *every* part: a part of its own has all.

    The same seed gives the same noise.

    Args:
        spec: checked.
        number: the round, from 1.
        sums: of `party_sums`.
        seed: 32 secret bytes, of this round.
    """
    shares = []
    for part in parts(spec, number):
        use = {"v": 1, "use": "evaluation noise", "party": part.party}
        shares.append((part.place, part.sigma, sha256(canonical_bytes(use) + seed)))
    return with_shares(sums, shares, len(spec.roster))


def measured(
    spec: EvaluationSpec, number: int, totals: Integers, contributors: Sequence[str]
) -> dict[str, JSON]:
    """Return what a round's totals say of its model.

    Args:
        spec: checked.
        number: the round, from 1.
        totals: int64 (`longest`,), with noise under privacy.
        contributors: whose rows are in them.

    Raises:
        SecureFlowError: `totals_malformed` for totals that no rows have.
    """
    model, costs = spec.models[number - 1], spec.costs
    whole, *own = parts(spec, number)
    every, chances = totals[whole.place], has_chances(model.model)
    count = len(contributors)
    problems = (
        totals_problem(one.form, totals[one.place], unit=one.unit, parties=count)
        for one in (whole, *own)
    )
    if problem := next((one for one in problems if one is not None), None):
        raise SecureFlowError(
            "totals_malformed",
            problem,
            Text(
                "One of these sent sums that are none of its rows: {parties}. Evaluate without one "
                "of them in turn to find which.",
                parties=", ".join(contributors),
            ),
        )
    found = evaluate(
        whole.form,
        every,
        unit=whole.unit,
        sigma=whole.sigma,
        parties=count,
        costs=costs,
        chances=chances,
    )
    present = [part for part in own if part.party in contributors]
    by_party = {
        part.party: evaluate_party(part.form, totals[part.place], unit=part.unit, chances=chances)
        for part in present
    }
    noise = _noise_of_parties(present, totals, chances=chances)
    seen = model.seen(contributors, spec.held_out)
    more = [party_line(whole.form.name, noise)] if noise else []
    if seen:
        more.append(_learned(seen))
    return {
        **model.told,
        **found,
        "honest": [*found["honest"], *(with_texts({"line": line}) for line in more)],
        "seen": list(seen),
        "psi": _shift(spec, model, whole, every),
        "parties": by_party or None,
        "parties_noise": noise or None,
    }


def _learned(seen: Sequence[str]) -> Text:
    return Text(
        "The model may have learned from rows of {parties} that are measured here: its figures "
        "are then better than on new rows.",
        parties=", ".join(seen),
    )


def _noise_of_parties(
    present: Sequence[Part], totals: Integers, *, chances: bool
) -> dict[str, dict[str, float]]:
    """Return the standard errors of each party's own figures; {} without noise."""
    return {
        part.party: party_noise(
            part.form, totals[part.place], unit=part.unit, sigma=part.sigma, chances=chances
        )
        for part in present
        if part.sigma
    }


def _shift(
    spec: EvaluationSpec, model: ScoredModel, whole: Part, totals: Integers
) -> dict[str, JSON] | None:
    """Return how far the scores moved from those of an earlier evaluation."""
    for one in spec.baseline or ():
        if one.model == model.digest:
            before: dict[str, JSON] = {"counts": list(one.counts), "edges": list(one.edges)}
            if isinstance(whole.form, ClassesForm):
                before = {"counts": list(one.counts), "classes": list(whole.form.classes)}
            found = stability(whole.form, before, totals, unit=whole.unit, sigma=whole.sigma)
            return {"job": one.job, **found}
    return None

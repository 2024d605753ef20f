"""Who could see what, and which attack each option stops: derived from the spec, never written by
hand per job.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from secureflow.domain.specs.privacy import Privacy
from secureflow.domain.specs.protections import traits_of
from secureflow.domain.specs.training import TrainingSpec
from secureflow.domain.specs.tree_families import XgboostModel
from secureflow.engines.run.explaining import (
    CODE_READ,
    Row,
    attack_rows,
    sight_rows,
    subtracting,
    sybils,
    two_parties,
)
from secureflow.engines.run.protections import PROTECTIONS
from secureflow.engines.training.private import noised_once
from secureflow.engines.training.strategysights import selects_one, single_update, strategy_sights
from secureflow.engines.training.treesights import own_tree_sights
from secureflow.kit.canonical import JSON


def disclosure(spec: TrainingSpec, tee: str) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why.

    Args:
        spec: the signed spec.
        tee: the verdict's tier as the agents saw it (may say SIMULATED); empty while no
            enclave is admitted.
    """
    return sight_rows(_sights(spec, tee))


def attacks(spec: TrainingSpec, tee: str) -> list[dict[str, JSON]]:
    """Return common attacks: `stopped` is yes, partly or no, and why."""
    rows = (_reading, _differencing, _sybils, _membership, _averaging, _subtracting, _poisoning)
    return attack_rows(row(spec, tee) for row in rows)


def _sights(spec: TrainingSpec, tee: str) -> Iterator[Row]:
    protection = PROTECTIONS[spec.protection]
    yield (
        "owner",
        "its own rows, its own updates, every released model and sum",
        "they are its own",
    )
    yield (
        "other parties",
        "released models and sums over the contributors, and who they are",
        "the plan says so",
    )
    yield from two_parties(spec)
    yield "operator", _operator_sees(spec), protection.hides
    yield "operator", "who takes part, when, and how fast", "it carries the requests"
    if traits_of(spec).enclave:
        noised = spec.privacy is not None and spec.privacy.noise == "local"
        yield "enclave", *protection.enclave_sees(noised=noised)
    if spec.plan.contribution is not None:
        yield from _SCORED
    if spec.plan.self_report is not None:
        yield _SELF_REPORTED
    yield from strategy_sights(spec)
    yield from own_tree_sights(spec)
    yield "network", "encrypted bytes, sizes and times", protection.wire
    if _simulated(spec, tee):
        yield (
            "operator",
            "everything that the enclave sees, if it cheats",
            "the TEE is SIMULATED: it protects nothing from whoever runs the machine",
        )
    if spec.model.family != "rehearsal":
        yield (
            "whoever has the model",
            "what a model can tell about rows (membership, outliers)",
            _model_why(spec, tee),
        )
    if spec.bundle is not None:
        yield (
            "whoever has the model",
            "what the job's code has hidden in the weights, rows among it",
            _code_why(spec),
        )
    if isinstance(spec.model, XgboostModel) and traits_of(spec).masks:
        yield ("operator", *_HISTOGRAMS)
        yield ("other parties", *_HISTOGRAMS)
    if spec.model.family in _MADE_OF:
        yield ("whoever has the model", *_MADE_OF[spec.model.family])


_SCORED: Final = (
    (
        "enclave",
        "held-out rows of each party with their labels, in memory, until the job ends",
        "it measures on them what each update was worth",
    ),
    (
        "whoever has the report",
        "of each party one score of the whole job, rounded",
        "the plan has contributions scored",
    ),
)

_SELF_REPORTED: Final = (
    "whoever has the report",
    "of each party its number of rows, and the loss on its held-out rows before and after",
    "the plan asks every party to tell them, past the masks",
)


_MADE_OF: Final = {
    "ridge": (
        "the mean products of every two columns, and of each with the label, over all rows",
        "a ridge model is made of them",
    ),
    "gaussian_nb": (
        "the share of each class, and of each column in it mean and variance, over all rows",
        "a naive Bayes model is made of them",
    ),
    "multinomial_nb": (
        "the share of each class, and the mean count of each column in it, over all rows",
        "a naive Bayes model is made of them",
    ),
    "kmeans": (
        "of each round's clusters the share and the mean of their rows",
        "the next centres are made of them",
    ),
    "xgboost": (
        "edges of bins, splits, and of each leaf what its rows' labels are on average",
        "trees are made of them",
    ),
}
"""What can be read from the model of a family by sums, and why."""


_HISTOGRAMS: Final = (
    (
        "of each level of the trees, for every node the sums of its rows' derivatives over every "
        "bin of every column, and of the first round how many rows have which values; all with "
        "noise, which hides a row"
    ),
    "under masks the sums are opened, so that every agent can grow the same trees",
)


def _code_why(spec: TrainingSpec) -> str:
    if spec.privacy is None:
        return CODE_READ
    return "the agents bound it per party: they clip and noise all that the code returns"


def _operator_sees(spec: TrainingSpec) -> str:
    if spec.privacy is not None:
        return _operator_sees_noised(spec, spec.privacy)
    figures = "sums of metrics"
    if spec.features is not None and spec.features.federated:
        figures += " and of columns (moments)"
    if traits_of(spec).masks:
        sums = f"the total row count, {figures}, every round's model"
        return f"{sums}; never an update, no row count of a party"
    if spec.release.intermediate == "agents":
        return f"row counts, {figures}, the final model; no intermediate model"
    return f"row counts, {figures}, every round's model; {_updates_seen(spec)}"


def _operator_sees_noised(spec: TrainingSpec, privacy: Privacy) -> str:
    metrics = "no metric" if privacy.metrics_noise is None else "final metrics with noise"
    if spec.release.intermediate == "agents":
        return f"the final model, noised; no row count, {metrics}, no intermediate model"
    models = "every round's model, noised"
    if privacy.adaptive is not None:
        models = "every round's model and clipping norm, noised"
    return f"{models}; no row count, {metrics}, {_updates_seen(spec)}"


def _updates_seen(spec: TrainingSpec) -> str:
    if spec.own_trees:
        return "in it single parties' trees"
    return "in it one party's update" if selects_one(spec) else "never an update"


def _model_why(spec: TrainingSpec, tee: str) -> str:
    if spec.privacy is None:
        return "there is no differential privacy in this job"
    bound = f"bounded by differential privacy per {spec.privacy.unit}"
    return f"{bound}, {_BUT_OPERATOR}" if _noise_is_seen(spec, tee) else bound


_BUT_OPERATOR = "but not from the operator: the TEE that adds the noise is SIMULATED"


def _noise_is_seen(spec: TrainingSpec, tee: str) -> bool:
    """Tell whether the operator could read the noise, and sums and updates without it."""
    return noised_once(spec) and _simulated(spec, tee)


def _simulated(spec: TrainingSpec, tee: str) -> bool:
    return traits_of(spec).enclave and "SIMULATED" in tee.upper()


def _reading(spec: TrainingSpec, tee: str) -> Row:
    attack = "the operator reads a single update"
    masks = traits_of(spec).masks
    beyond = single_update(spec, seen=_simulated(spec, tee) and not masks)
    if beyond is not None:
        return attack, *beyond
    if masks:
        return attack, "yes", "it is masked; only a certified sum opens"
    local = spec.privacy is not None and spec.privacy.noise == "local"
    if not tee:
        return attack, "partly", "no enclave is admitted yet: its TEE decides"
    if _simulated(spec, tee):
        why = "the TEE is SIMULATED"
        if local:
            return attack, "partly", f"{why}, but each update carries its party's own noise"
        return attack, "no", why
    return attack, "yes", "it is sealed to an enclave that each agent verified itself"


def _differencing(spec: TrainingSpec, tee: str) -> Row:
    attack = "two sums over sets that differ in one party are subtracted"
    if spec.privacy is None:
        why = "one certified set per round, but another job may have another roster"
        return attack, "partly", why
    if spec.privacy.unit == "party":
        why = "the noise hides a whole party"
    else:
        why = "the noise hides any record of the difference, not the party's trend"
    if _noise_is_seen(spec, tee):
        return attack, "partly", f"{why}, {_BUT_OPERATOR}"
    return attack, "yes" if spec.privacy.unit == "party" else "partly", why


def _sybils(spec: TrainingSpec, tee: str) -> Row:
    del tee
    return sybils(spec)


def _membership(spec: TrainingSpec, tee: str) -> Row:
    attack = "somebody tells from the model whether a record was in the data"
    if spec.privacy is None:
        return attack, "no", "there is no differential privacy in this job"
    if _noise_is_seen(spec, tee):
        return attack, "partly", f"bounded by ε, {_BUT_OPERATOR}"
    if spec.privacy.unit == "party":
        return attack, "yes", "bounded by ε for everything of a party"
    return attack, "yes", "bounded by ε; a person with many records is protected less"


def _averaging(spec: TrainingSpec, tee: str) -> Row:
    attack = "a round is repeated to average its noise away"
    if spec.privacy is None:
        return attack, "no", "there is no noise in this job"
    if _noise_is_seen(spec, tee):
        return attack, "no", "the TEE is SIMULATED"
    return attack, "yes", "the noise follows from the parties' seeds: repeated, it is the same"


def _subtracting(spec: TrainingSpec, tee: str) -> Row:
    attack = "parties that collude subtract their own noise from what is released"
    if spec.privacy is None:
        return attack, "no", "there is no noise in this job"
    if spec.privacy.noise != "enclave":
        return subtracting(spec, spec.privacy.noise)
    if _simulated(spec, tee):
        return attack, "no", "the TEE is SIMULATED"
    return attack, "yes", "the enclave draws the noise from a seed of every contributor"


def _poisoning(spec: TrainingSpec, tee: str) -> Row:
    del tee
    attack = "a contributor sends a harmful update"
    if traits_of(spec).masks:
        why = "agents refuse a sum beyond the spec's caps; single updates cannot be inspected"
        return attack, "partly", why
    return attack, "partly", "its norm is bounded; a small steady bias is not noticed"

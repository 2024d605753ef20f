"""Who could see what, and which attack each option stops: derived from the spec, never written by
hand per job.
"""

from __future__ import annotations

from collections.abc import Iterator

from secureflow.domain.privacy import honest
from secureflow.domain.specs import TrainingSpec
from secureflow.engines.closing import threshold
from secureflow.engines.course.telling import Row, attack_rows, sight_rows, sybils
from secureflow.engines.script import JSON


def disclosure(spec: TrainingSpec, tee: str) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why.

    Args:
        spec: the signed spec.
        tee: the verdict's tier as the agents saw it (says SIMULATED where it is).
    """
    return sight_rows(_sights(spec, tee))


def attacks(spec: TrainingSpec, tee: str) -> list[dict[str, JSON]]:
    """Return the attacks that people ask about: `stopped` is yes, partly or no, and why."""
    rows = (_reading, _differencing, _sybils, _membership, _averaging, _subtracting, _poisoning)
    return attack_rows(row(spec, tee) for row in rows)


def _sights(spec: TrainingSpec, tee: str) -> Iterator[Row]:
    simulated = _simulated(spec, tee)
    yield (
        "owner",
        "its own rows, its own updates, every released model and sum",
        "they are its own",
    )
    yield "other parties", "released models and sums over the contributors", "the plan says so"
    yield "operator", _operator_sees(spec), _operator_why(spec)
    if spec.sealed:
        yield "enclave", *_enclave(spec)
    yield "network", "sealed bytes, sizes and times", "TLS 1.3 and HPKE seals"
    if simulated and not spec.masked:
        yield (
            "operator",
            "everything that the enclave sees, if it cheats",
            "the TEE is SIMULATED: it protects nothing from whoever runs the machine",
        )
    if spec.model.family != "rehearsal":
        yield (
            "whoever has the model",
            "what a model can tell about rows (membership, outliers)",
            _model_why(spec),
        )


def _operator_sees(spec: TrainingSpec) -> str:
    if spec.privacy is not None:
        metrics = "no metric" if spec.privacy.metrics_noise is None else "final metrics with noise"
        if spec.release.intermediate == "agents":
            return f"the final model, noised; no row count, {metrics}, no intermediate model"
        return f"every round's model, noised; no row count, {metrics}, never an update"
    if spec.masked:
        return "sums of metrics, every round's model; never an update, no row count of a party"
    if spec.release.intermediate == "agents":
        return "row counts, sums of metrics, the final model; no intermediate model"
    return "row counts, sums of metrics, every round's model; never an update"


def _operator_why(spec: TrainingSpec) -> str:
    if spec.protection == "secagg":
        return "updates are masked: only the sum of a certified set can be opened"
    if spec.masked:
        return "updates are masked, and sealed to the enclave past the server"
    return "updates are sealed to the enclave, past the server"


def _enclave(spec: TrainingSpec) -> tuple[str, str]:
    if spec.masked:
        return "masked updates and their sum", "masks cancel only in the sum"
    if spec.privacy is not None and spec.privacy.noise == "local":
        return "single updates, noised by their party", "each party noises its own"
    return "single updates, in memory, while it folds them", "it must add them up"


def _model_why(spec: TrainingSpec) -> str:
    if spec.privacy is None:
        return "there is no differential privacy in this job"
    return f"bounded by differential privacy per {spec.privacy.unit}"


def _simulated(spec: TrainingSpec, tee: str) -> bool:
    return spec.sealed and "SIMULATED" in tee.upper()


def _reading(spec: TrainingSpec, tee: str) -> Row:
    attack = "the operator reads a single update"
    if spec.masked:
        return attack, "yes", "it is masked; only a certified sum opens"
    if spec.privacy is not None and spec.privacy.noise == "local":
        return attack, "yes", "each update carries its party's own noise"
    if _simulated(spec, tee):
        return attack, "no", "the TEE is SIMULATED"
    return attack, "yes", "it is sealed to an enclave that each agent verified itself"


def _differencing(spec: TrainingSpec, tee: str) -> Row:
    del tee
    attack = "two sums over sets that differ in one party are subtracted"
    if spec.privacy is None:
        why = "one certified set per round, but another job may have another roster"
        return attack, "partly", why
    if spec.privacy.unit == "party":
        return attack, "yes", "the noise hides a whole party"
    return attack, "partly", "the noise hides any record of the difference, not the party's trend"


def _sybils(spec: TrainingSpec, tee: str) -> Row:
    del tee
    return sybils(spec)


def _membership(spec: TrainingSpec, tee: str) -> Row:
    del tee
    attack = "somebody tells from the model whether a record was in the data"
    if spec.privacy is None:
        return attack, "no", "there is no differential privacy in this job"
    if spec.privacy.unit == "party":
        return attack, "yes", "bounded by ε for everything of a party"
    return attack, "yes", "bounded by ε; a person with many records is protected less"


def _averaging(spec: TrainingSpec, tee: str) -> Row:
    del tee
    attack = "a round is repeated to average its noise away"
    if spec.privacy is None:
        return attack, "no", "there is no noise in this job"
    return attack, "yes", "the noise follows from the parties' seeds: repeated, it is the same"


def _subtracting(spec: TrainingSpec, tee: str) -> Row:
    attack = "parties that collude subtract their own noise from what is released"
    if spec.privacy is None:
        return attack, "no", "there is no noise in this job"
    if spec.privacy.noise == "shared":
        parties = len(spec.roster)
        least = honest(parties)
        why = f"the shares of the {least} honest parties that every sum holds make up the noise"
        return attack, "yes", f"{why}; more than {threshold(parties) - least} colluders get below"
    if spec.privacy.noise == "local":
        return attack, "yes", "each party's own noise is the whole noise"
    if _simulated(spec, tee):
        return attack, "no", "the TEE is SIMULATED"
    return attack, "yes", "the enclave draws the noise from a seed of every contributor"


def _poisoning(spec: TrainingSpec, tee: str) -> Row:
    del tee
    attack = "a contributor sends a harmful update"
    if spec.masked:
        return attack, "partly", "each coordinate is bounded; single updates cannot be inspected"
    return attack, "partly", "its norm is bounded; a small steady bias is not noticed"

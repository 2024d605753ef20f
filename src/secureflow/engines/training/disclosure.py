"""Who could see what: derived from the spec, never written by hand per job."""

from __future__ import annotations

from secureflow.domain.specs import TrainingSpec
from secureflow.engines.script import JSON


def disclosure(spec: TrainingSpec, tee: str) -> list[dict[str, JSON]]:
    """Return what each kind of party can learn from the job, and why.

    Args:
        spec: the signed spec.
        tee: the verdict's tier as the agents saw it (says SIMULATED where it is).
    """
    simulated = "SIMULATED" in tee.upper()
    rows = [
        (
            "owner",
            "its own rows, its own updates, every released model and sum",
            "they are its own",
        ),
        ("other parties", "released models and sums over the contributors", "the plan says so"),
        ("operator", _operator_sees(spec), "updates are sealed to the enclave, past the server"),
        ("enclave", "single updates, in memory, while it folds them", "it must add them up"),
        ("network", "sealed bytes, sizes and times", "TLS 1.3 and HPKE seals"),
    ]
    if simulated:
        rows.append(
            (
                "operator",
                "everything that the enclave sees, if it cheats",
                "the TEE is SIMULATED: it protects nothing from whoever runs the machine",
            )
        )
    if spec.model.family != "rehearsal":
        rows.append(
            (
                "whoever has the model",
                "what a model can tell about rows (membership, outliers)",
                "there is no differential privacy in this job",
            )
        )
    return [{"who": who, "sees": sees, "why": why} for who, sees, why in rows]


def _operator_sees(spec: TrainingSpec) -> str:
    if spec.release.intermediate == "agents":
        return "row counts, sums of metrics, the final model; no intermediate model"
    return "row counts, sums of metrics, every round's model; never an update"

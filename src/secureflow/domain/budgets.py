"""The units of privacy budgets: whose presence an owner's limit protects."""

from __future__ import annotations

from typing import Literal

from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

PrivacyUnit = Literal["record", "party", "person"]


def unit_mismatch(
    organisation: str, dataset: str, kept: str, hidden: str, *, code: bool
) -> SecureFlowError:
    """Return the error of a job that hides another unit than a budget is kept for.

    Args:
        organisation: the owner.
        dataset: whose budget it is.
        kept: its unit.
        hidden: the job's unit.
        code: whether the job brings code, which can hide no other unit.
    """
    hint: str = "ε of different units cannot be added: use the unit of the budget."
    if code:
        hint = Text(
            "Code can hide whole parties alone: only {organisation} can change that, by a budget "
            "with `unit: party` of the dataset in agent.yaml.",
            organisation=organisation,
        )
    return SecureFlowError(
        "budget_unit_mismatch",
        Text(
            "{name} is accounted per {unit}, the job protects a {privacy_unit}.",
            name=dataset,
            unit=kept,
            privacy_unit=hidden,
        ),
        hint,
        {"dataset": dataset, "unit": kept},
    )

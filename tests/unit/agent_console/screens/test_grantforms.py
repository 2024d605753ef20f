"""From a form to terms: what is left empty stays open, what is no number is refused."""

from __future__ import annotations

import pytest

from secureflow.agent.console.screens.datasets import dataset_view
from secureflow.agent.console.screens.grantforms import (
    KINDS,
    PROTECTIONS,
    blank,
    filled_in,
    terms_in,
)
from secureflow.domain.grants import GrantTerms, read_terms
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError

NOW = 1_700_000_000
FULL = {
    "dataset": "customers", "project": " prj_0123456789 ", "column.age": "yes", "column.job": "yes",
    "purposes": "credit scoring\n\n fraud \n", "kind.training": "yes", "parties": "bank-b\nbank-c",
    "protection.sealed": "yes", "epsilon": "3", "epsilon_per_job": "0.5", "min_group": "3",
    "uses": "5", "days": "30", "bundles": "digests", "digests": "c" * 64, "automatic": "yes",
}  # fmt: skip


def test_every_field_of_a_grant_can_be_given() -> None:
    terms = read_terms(terms_in(filled_in(FULL), NOW), NOW)
    assert terms == GrantTerms(
        "customers", "prj_0123456789", ("age", "job"), NOW + 30 * 86_400,
        purposes=("credit scoring", "fraud"), kinds=("training",), parties=("bank-b", "bank-c"),
        protections=("sealed",), epsilon=3.0, epsilon_per_job=0.5, min_group=3, uses=5,
        bundles=("c" * 64,), automatic=True,
    )  # fmt: skip


def test_what_is_left_empty_is_left_open() -> None:
    sent = {"dataset": "customers", "project": "prj_0123456789", "column.age": "yes", "days": ""}
    terms = read_terms(terms_in(filled_in(sent), NOW), NOW)
    assert terms == GrantTerms("customers", "prj_0123456789", ("age",), NOW + 90 * 86_400)


def test_many_columns_are_named_in_a_text() -> None:
    sent = FULL | {"columns": "income\n age \n"}
    assert terms_in(filled_in(sent), NOW)["columns"] == ["income", "age", "age", "job"]


def test_the_defaults_leave_sensitive_columns_and_code_out() -> None:
    schema = [{"name": "diagnosis", "type": "text", "sensitive": True},
              {"name": "age", "type": "number", "sensitive": False}]  # fmt: skip
    dataset = dataset_view({"name": "patients", "schema": schema})
    form = blank(dataset, "prj_0123456789")
    terms = read_terms(terms_in(form, NOW), NOW)
    assert terms == GrantTerms("patients", "prj_0123456789", ("age",), NOW + 90 * 86_400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epsilon", "much"), ("epsilon", "-1"), ("epsilon", "1e3"), ("epsilon", "nan"),
        ("uses", "1.5"), ("days", "ten"), ("min_group", "３"), ("bundles", "digests"),
    ],
)  # fmt: skip
def test_what_is_no_number_or_no_code_is_refused(field: str, value: str) -> None:
    sent = {name: one for name, one in FULL.items() if name != "digests"}
    sent["bundles"] = "none"
    with pytest.raises(SecureFlowError) as refused:
        terms_in(filled_in(sent | {field: value}), NOW)
    assert refused.value.code == "invalid_grant"


def test_a_form_that_was_refused_stays_filled_in() -> None:
    form = filled_in(FULL | {"epsilon": "much"})
    assert form.value("epsilon") == "much"
    assert form.has("columns", "age")
    assert form.has("protections", "sealed")
    assert not form.has("kinds", "psi")


def test_every_kind_and_protection_is_offered() -> None:
    assert set(KINDS) == set(SPEC_KINDS)
    assert set(PROTECTIONS) == {"sealed", "secagg", "sealed+secagg"}

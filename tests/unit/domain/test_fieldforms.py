"""Of a field with several forms all are named, and a misspelt field by the one that is like it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from secureflow.agent.settings import AgentSettings
from secureflow.domain.specs.base import parse
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.kit.errors import SecureFlowError
from secureflow.texts import error_in

BASE = {"project": "prj_01jf2k3m", "name": "n", "purpose": "p", "datasets": ["dst_01jf2k3m"]}
COLUMNS = {"bank-a": {"key": ["phone"]}, "bank-b": {"key": ["phone"]}}
PSI = {"kind": "psi", "key": ["phone"], "columns": COLUMNS, "learns": "bank-a"}
SUMS = {
    "kind": "mpc",
    "program": {"name": "joint-sums", "queries": [{"name": "x", "measure": "sum"}]},
}
LISTED = "it must be 'all', or a list, such as [A, B]"
RULES = (
    "it must be 'none', 'trim', 'case', 'phone', 'id_card' or 'email', or an object with the "
    "fields rule, country"
)
ENGLISH = re.compile(r"[A-Za-z]{2,} [a-z]{2,}")


def refused(asked: dict[str, Any]) -> SecureFlowError:
    with pytest.raises(SecureFlowError) as caught:
        parse(SPEC_KINDS[asked["kind"]].request, {**BASE, **asked}, "request")
    told = error_in(caught.value.as_json(), "zh")["message"]
    assert not ENGLISH.search(told.split("：", 2)[2]), told
    return caught.value


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({**SUMS, "receivers": "bank-a"}, f"receivers: {LISTED}."),
        ({**SUMS, "receivers": 5}, f"receivers: {LISTED}."),
        ({**PSI, "key": ["telephone"]}, f"key.0: {RULES}."),
    ],
)
def test_a_value_of_no_form_is_told_all_forms(asked: dict[str, Any], told: str) -> None:
    error = refused(asked)
    assert error.message == f"The request is not valid: {told}"
    assert len(error.details["fields"]) == 1


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({**SUMS, "receivers": ["Bank A"]}, "receivers.0: it must be a name of at most 63"),
        ({**SUMS, "receivers": []}, "receivers: Tuple should have at least 1 item"),
        ({**PSI, "key": [{"rule": "phone", "country": "Germany"}]}, "key.0.country: it must match"),
        ({**PSI, "key": [{"rule": "fax"}]}, "key.0.rule: Input should be 'none', 'trim', "),
    ],
)
def test_a_value_of_one_form_is_told_what_is_wrong_with_that_one(
    asked: dict[str, Any], told: str
) -> None:
    """And not that the list is too short, of which an item is wrong."""
    error = refused(asked)
    assert told in error.message
    assert len(error.details["fields"]) == 1


@pytest.mark.parametrize("kind", SPEC_KINDS)
def test_a_misspelt_field_of_every_kind_is_told_what_may_be_meant(kind: str) -> None:
    """Before the fields that are missing, of which the right one may be one."""
    error = refused({"kind": kind, "dataset": ["dst_01jf2k3m"]})
    assert error.message == (
        "The request is not valid: dataset: there is no field of this name here: datasets may be "
        "meant."
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({**PSI, "columns": {**COLUMNS, "bank-b": {"kye": ["p"]}}}, "columns.b.kye: .*: key may"),
        ({**PSI, "key": [{"rule": "phone", "contry": "DE"}]}, "key.0.contry: .*: country may be"),
        ({**SUMS, "program": {"name": "joint-sums", "querys": []}}, "program.querys: .*: queries"),
        ({"kind": "training", "model": {"family": "mlp", "hiden": [5]}}, "model.hiden: .*: hidden"),
    ],
)
def test_so_it_is_within_objects_and_their_forms(asked: dict[str, Any], told: str) -> None:
    assert re.search(told.replace("columns.b", "columns.bank-b"), refused(asked).message)


def test_fields_are_told_in_chinese_as_a_person_must_write_them() -> None:
    """Some are called as words that have Chinese of their own."""
    error = refused({key: one for key, one in PSI.items() if key not in {"learns", "key"}})
    assert "key, learns: Field required" in error.message
    assert "key、learns：缺少该字段" in error_in(error.as_json(), "zh")["message"]


def test_a_name_like_none_is_only_refused() -> None:
    assert refused({**PSI, "zzz": 1}).message.endswith("zzz: there is no field of this name here.")


SETTINGS = "organisation: bank-a\nserver: http://a\nlink: a:1\ntrust_domain: a\n"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            SETTINGS + "attestation: {measurements: 5}",
            "attestation.measurements: it must be 'installed', or a list, such as [A, B].",
        ),
        (
            SETTINGS.replace("server", "serever"),
            "serever: there is no field of this name here: server may be meant.",
        ),
    ],
)
def test_so_it_is_in_settings(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "agent.yaml").write_text(lines)
    with pytest.raises(SecureFlowError) as caught:
        AgentSettings.load(tmp_path / "agent.yaml")
    assert told in caught.value.message

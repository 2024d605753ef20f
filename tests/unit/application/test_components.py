"""The catalogue has everything that can be asked for, each in both languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest

from secureflow.application.components.catalogue import GROUPS, catalogue
from secureflow.application.components.schemas import choices, schemas
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.domain.specs.families import LEARNS
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.mpc_programs import PROGRAMS
from secureflow.domain.specs.ports import PORTS
from secureflow.domain.specs.steps import CATALOGUE
from secureflow.texts import components as texts
from tests.unit.texts.test_catalogue import OTHER_WORDS

JUST = SpecKinds(SPEC_KINDS["training"], SPEC_KINDS["preparation"])
CJK = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return catalogue(JOB_KINDS.engines)


def by_id(made: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["id"]: one for one in made["components"]}


def words(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if set(value) == {"en", "zh"}:
            yield value
        else:
            for one in value.values():
                yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)


def test_everything_that_a_job_can_be_made_of_is_a_component(made: dict[str, Any]) -> None:
    asked = made["$defs"]["StatisticsQuery"]["properties"]["measure"]["enum"]
    assert set(by_id(made)) == {
        *SPEC_KINDS,
        *(f"training.{one}" for one in LEARNS),
        *(f"preparation.{one.step}" for one in CATALOGUE),
        *(f"statistics.{one}" for one in asked),
        *(f"mpc.{one}" for one in PROGRAMS),
    }


def test_every_text_is_in_both_languages(made: dict[str, Any]) -> None:
    found = list(words(made))
    assert len(found) > 1000
    assert all(one["en"].strip() and one["zh"].strip() for one in found)
    sentences = [one for one in found if " " in one["en"] and len(one["en"]) > 24]
    assert [one for one in sentences if not CJK.search(one["zh"])] == []


def test_the_chinese_words_are_those_of_the_glossary() -> None:
    told = json.dumps([texts._table(one) for one in ("fields", "choices", "components")],
                      ensure_ascii=False)  # fmt: skip
    assert [other for other in OTHER_WORDS.values() if other in told] == []


def test_no_words_are_left_of_what_is_gone(made: dict[str, Any]) -> None:
    used = {f"{of}.{field}" for of, one in made["$defs"].items() for field in one["properties"]}
    shared = {f"*.{one.rsplit('.', 1)[1]}" for one in used}
    named = set(json.loads(_read("fields")))
    chosen = set(json.loads(_read("choices")))
    assert named - used - shared == set()
    assert chosen - used - shared == set()
    ids = {one.partition(":")[2] for one in json.loads(_read("components"))
           if one.startswith("component:")}  # fmt: skip
    assert ids - {"pipeline"} == set(by_id(made)) - {"pipeline"}


def _read(name: str) -> str:
    return files("secureflow.texts").joinpath("both", f"{name}.json").read_text("utf-8")


@pytest.mark.parametrize(
    ("table", "gone"), [("fields", "TrainingPlan.rounds"), ("choices", "Impute.by")]
)
def test_a_field_or_a_choice_without_words_is_noticed(
    monkeypatch: pytest.MonkeyPatch, table: str, gone: str
) -> None:
    tables = {name: dict(texts._table(name)) for name in ("fields", "choices")}
    del tables[table][gone]
    monkeypatch.setattr(texts, "_table", tables.__getitem__)
    with pytest.raises(KeyError):
        schemas(JUST)


def test_every_reference_leads_somewhere(made: dict[str, Any]) -> None:
    named = set(re.findall(r'"\$ref": "#/\$defs/([^"]+)"', json.dumps(made)))
    assert named <= set(made["$defs"])
    assert set(re.findall(r'"\$ref": "([^#][^"]*)"', json.dumps(made))) == set()


def test_a_preset_is_what_the_parameters_name(made: dict[str, Any]) -> None:
    for one in made["components"]:
        form = made["$defs"][one["parameters"]["$ref"].rsplit("/", 1)[1]]
        for member, value in one["preset"].items():
            schema = form["properties"][member]
            assert value == schema.get("const", value)
            assert "const" in schema or value in choices(schema)


def test_ports_and_groups_are_described(made: dict[str, Any]) -> None:
    types = {one["id"]: one["stays"] for one in made["port_types"]}
    assert types["rows"]
    assert types["table"]
    assert not types["model"]
    for key, one in by_id(made).items():
        assert one["group"] in GROUPS
        used = [*one["inputs"], *one["outputs"]]
        assert {port["type"] for port in used} <= set(types)
        assert one["step"] == (one["kind"] in PORTS), key
    fields = [port["field"] for port in by_id(made)["evaluation"]["inputs"]]
    assert fields == ["datasets", "models", "rows", "when"]


@pytest.mark.parametrize(
    ("key", "protections", "smallest", "engine"),
    [
        ("training", ["sealed", "secagg", "sealed+secagg"], 2, ""),
        ("sweep", ["sealed", "secagg", "sealed+secagg"], 2, ""),
        ("statistics", ["secagg"], 2, ""),
        ("prediction", ["none"], 2, ""),
        ("psi", ["peers"], 2, "spu"),
        ("mpc.joint-sums", ["secagg"], 2, ""),
        ("mpc.mpyc", ["peers"], 3, "mpyc"),
    ],
)
def test_how_a_component_can_run(
    made: dict[str, Any], key: str, protections: list[str], smallest: int, engine: str
) -> None:
    one = by_id(made)[key]
    found = one["protections"], one["smallest_roster"], one["engine"]
    assert found == (protections, smallest, engine)


def test_who_learns_what_is_the_engines_word(made: dict[str, Any]) -> None:
    plain = by_id(made)["training.logistic_regression"]["learns"]
    ridge = by_id(made)["training.ridge"]["learns"]
    assert len(ridge) == len(plain) + 1
    assert "mean products" in ridge[-1]["sees"]["en"]
    assert by_id(made)["training.sgd_classifier"]["extra"] == "sklearn"
    owner = by_id(made)["psi"]["learns"][0]
    assert owner["who"] == {"en": "owner", "zh": "数据所有者"}


def test_fields_have_hints_for_forms(made: dict[str, Any]) -> None:
    request = made["$defs"]["TrainingRequest"]["properties"]
    assert request["datasets"]["x-picks"] == "dataset"
    assert request["datasets"]["x-common"]
    assert "x-common" not in request["plan"]
    rounds = made["$defs"]["TrainingPlan"]["properties"]["rounds"]
    assert rounds["x-words"]["unit"] == {"en": "rounds", "zh": "轮"}
    assert (rounds["minimum"], rounds["maximum"], rounds["default"]) == (1, 10_000, 20)
    assert request["name"]["format"] == "line"
    assert "pattern" not in request["name"]

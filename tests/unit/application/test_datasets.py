from __future__ import annotations

from typing import Any

import pytest

from secureflow.domain.schemas import PublicPrivacy
from secureflow.domain.users import Role
from tests.stage import COLUMNS, YEAR, Stage
from tests.unit.application.refusing import refused

GOOD: dict[str, Any] = {
    "name": "loans",
    "title": "Loans",
    "columns": COLUMNS,
    "rows": "1k-5k",
    "commitment": "cd" * 32,
}


async def test_publishing_again_keeps_the_id(stage: Stage) -> None:
    datasets = stage.services.datasets
    first = await datasets.publish("bank-a", GOOD)
    before = len(stage.ledger.log)
    assert await datasets.publish("bank-a", GOOD) == first
    assert len(stage.ledger.log) == before
    second = (await datasets.publish("bank-a", {**GOOD, "rows": "5k-10k"})).dataset
    assert (second.id, second.rows) == (first.id, "5k-10k")
    assert (await datasets.publish("bank-b", GOOD)).id != first.id
    privacy = {"unit": "person", "rows_per_person": 3}
    third = (await datasets.publish("bank-a", {**GOOD, "privacy": privacy})).dataset
    assert (third.id, third.privacy) == (first.id, PublicPrivacy("person", 3))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../x"},
        {"columns": []},
        {"columns": [{"name": "a", "type": "blob"}]},
        {"rows": "12345 rows of Ada"},
        {"commitment": "x"},
        {"path": "/data/loans.csv"},
        {"title": "x" * 201},
        {"privacy": {"unit": "household"}},
        {"privacy": {"unit": "person", "rows_per_person": 0}},
        {"privacy": {"unit": "record", "epsilon": 3.0}},
        {"key": ""},
        {"key": "x" * 300},
        {"key": ["customer_id"]},
    ],
)
async def test_bad_descriptions_are_refused(stage: Stage, change: dict[str, Any]) -> None:
    with refused("invalid_dataset"):
        await stage.services.datasets.publish("bank-a", {**GOOD, **change})


async def test_a_description_is_seen_by_its_owner_and_where_it_is_granted(stage: Stage) -> None:
    datasets = stage.services.datasets
    key = (await datasets.publish("bank-a", GOOD)).id
    assert (await datasets.get(stage.scientist("bank-a"), key)).id == key
    with refused("not_found"):
        await datasets.get(stage.scientist("bank-b"), key)
    await stage.grant("bank-a", key, stage.ids["project"])
    assert (await datasets.get(stage.scientist("bank-b"), key)).id == key
    with refused("not_found"):
        await datasets.get(stage.scientist("outsider"), key)
    stage.now[0] += YEAR
    with refused("not_found"):
        await datasets.get(stage.scientist("bank-b"), key)


async def test_lists_page_through_own_and_granted(stage: Stage) -> None:
    datasets = stage.services.datasets
    scientist = stage.scientist("bank-b")
    ids = sorted(stage.ids[f"{bank}.dataset"] for bank in ("bank-a", "bank-b", "bank-c"))
    first = await datasets.list(scientist, limit=2)
    rest = await datasets.list(scientist, limit=2, cursor=first.next)
    assert [d.id for d in (*first.items, *rest.items)] == ids
    assert rest.next == ""
    assert len((await datasets.list(stage.operator)).items) == 4
    with refused("not_found"):
        await datasets.list(scientist, project=stage.ids["outsider.project"])


async def grant(stage: Stage, by: Any, **changes: Any) -> Any:
    asked = {
        "project": stage.ids["project"],
        "columns": ["age"],
        "purposes": [],
        "expires": stage.now[0] + 60,
        **changes,
    }
    return await stage.services.datasets.grant(by, stage.ids["bank-a.dataset"], **asked)


async def test_only_owners_grant_and_only_what_they_declare(stage: Stage) -> None:
    owner = stage.owner("bank-a")
    with refused("unknown_column", "salary"):
        await grant(stage, owner, columns=["salary"])
    with refused("unknown_column", "agee") as caught:
        await grant(stage, owner, columns=["agee"])
    assert caught.value.hint == "age may be meant."
    for expires in (stage.now[0], stage.now[0] + 10 * YEAR):
        with refused("invalid_request"):
            await grant(stage, owner, expires=expires)
    with refused("not_found"):
        await grant(stage, stage.owner("bank-b"))
    with refused("not_found"):
        await grant(stage, owner, project=stage.ids["outsider.project"])
    with refused("forbidden"):
        await grant(stage, stage.scientist("bank-a"))
    assert (await grant(stage, owner)).columns == ("age",)


async def test_a_withdrawn_name_comes_back_under_its_id_without_its_grants(stage: Stage) -> None:
    datasets, key = stage.services.datasets, stage.ids["bank-a.dataset"]
    scientist = stage.scientist("bank-b")
    before = await datasets.get(stage.owner("bank-a"), key)
    assert await datasets.uses("bank-a", "customers") == {"grants": 1, "projects": 1}
    await datasets.unpublish("bank-a", "customers")
    assert await datasets.uses("bank-a", "customers") == {"grants": 0, "projects": 0}
    stage.now[0] += 60
    assert await stage.publish("bank-a") == key
    assert await datasets.get(stage.owner("bank-a"), key) == before
    with refused("not_found"):  # being back is no grant
        await datasets.get(scientist, key)
    assert await datasets.uses("bank-a", "customers") == {"grants": 0, "projects": 0}
    await stage.grant("bank-a", key, stage.ids["project"])
    assert (await datasets.get(scientist, key)).id == key


WIDER: list[tuple[dict[str, Any], set[str]]] = [
    ({"age": {"bounds": [-1, 120]}}, {"age"}),
    ({"age": {"bounds": [0, 121]}}, {"age"}),
    ({"age": {"bounds": None}}, {"age"}),
    ({"age": {"bounds": [18, 60]}}, set()),
    ({"job": {"categories": ["clerk", "farmer", "nurse"]}}, {"job"}),
    ({"job": {"categories": ["clerk"]}}, set()),
    ({"job": {"type": "text", "categories": []}}, {"job"}),
    ({"job": {"sensitive": True}}, {"job"}),
    ({"income": {"sensitive": False}}, set()),
    ({"income": None}, {"income"}),
]


@pytest.mark.parametrize(("change", "lost"), WIDER)
async def test_what_lets_more_through_needs_a_new_grant(
    stage: Stage, change: dict[str, Any], lost: set[str]
) -> None:
    columns = [{**one, **(change.get(one["name"], {}) or {})} for one in COLUMNS]
    columns = [one for one in columns if change.get(one["name"], {}) is not None]
    columns.append({"name": "new", "type": "number", "bounds": [0, 1]})
    datasets = stage.services.datasets
    body = {**GOOD, "name": "customers", "columns": columns}
    told = await datasets.publish("bank-a", body)
    grants = (await datasets.grants(stage.owner("bank-a"))).items
    (grant,) = [one for one in grants if one.dataset == told.id]
    assert set(grant.columns) == {"age", "job", "income"} - lost
    assert (told.kept, told.reduced, told.ended) == (not lost, bool(lost), 0)
    assert stage.ledger.kinds.count("grant.reduced") == bool(lost)
    # The column that is gone may come back, and is granted anew then.
    await datasets.publish("bank-a", {**GOOD, "name": "customers", "columns": COLUMNS})
    grants = (await datasets.grants(stage.owner("bank-a"))).items
    assert {c for g in grants if g.dataset == told.id for c in g.columns}.isdisjoint(lost)


async def test_a_weaker_protection_of_persons_ends_the_grants(stage: Stage) -> None:
    datasets = stage.services.datasets
    body = {**GOOD, "name": "customers", "columns": COLUMNS}
    one, two = ({"unit": "person", "rows_per_person": rows} for rows in (1, 2))
    assert (await datasets.publish("bank-a", {**body, "privacy": two})).kept == 1
    assert (await datasets.publish("bank-a", {**body, "privacy": one})).kept == 1
    assert (await datasets.publish("bank-a", {**body, "privacy": two})).ended == 1
    assert stage.ledger.kinds[-2:] == ["grant.revoked", "dataset.published"]


async def test_revoking_is_for_the_owner(stage: Stage) -> None:
    datasets = stage.services.datasets
    key = stage.ids["bank-a.grant"]
    for stranger in ("bank-b", "outsider"):
        with refused("not_found"):
            await datasets.revoke(stage.owner(stranger), key)
    revoked = await datasets.revoke(stage.owner("bank-a"), key)
    assert revoked.revoked == stage.now[0]
    assert stage.ledger.kinds[-1] == "grant.revoked"
    again = len(stage.ledger.log)
    await datasets.revoke(stage.owner("bank-a"), key)
    assert len(stage.ledger.log) == again


async def test_removal_ends_grants_and_hides(stage: Stage) -> None:
    datasets = stage.services.datasets
    key = stage.ids["bank-a.dataset"]
    with refused("not_found"):
        await datasets.remove(stage.owner("bank-b"), key)
    await datasets.remove(stage.owner("bank-a"), key)
    for principal in (stage.owner("bank-a"), stage.person("bank-b", Role.AUDITOR)):
        with refused("not_found"):
            await datasets.get(principal, key)
    grants = (await datasets.grants(stage.owner("bank-a"))).items
    assert [g.revoked for g in grants if g.dataset == key] == [stage.now[0]]
    for _ in range(2):  # the first answer was lost
        await datasets.unpublish("bank-b", "customers")
    assert list(stage.ledger.kinds).count("dataset.removed") == 2
    for unknown in (datasets.unpublish, datasets.uses):
        with refused("not_found"):
            await unknown("bank-b", "nowhere")


async def test_a_description_of_images_is_granted_like_any_and_a_wider_one_anew(
    stage: Stage,
) -> None:
    datasets = stage.services.datasets
    scan = {"name": "scan", "type": "image", "shape": [8, 8, 1], "dtype": "uint8",
            "sensitive": True}  # fmt: skip
    kind = {"name": "kind", "type": "category", "categories": ["a", "b"]}
    scans = {**GOOD, "name": "scans", "columns": [scan, kind]}
    described = (await datasets.publish("bank-a", scans)).dataset
    assert (described.columns[0].shape, described.columns[0].sensitive) == ((8, 8, 1), True)
    facts: dict[str, Any] = {
        "project": stage.ids["project"], "purposes": [], "expires": stage.now[0] + 60,
    }  # fmt: skip
    owner = stage.owner("bank-a")
    granted = await datasets.grant(owner, described.id, columns=["scan", "kind"], **facts)
    assert granted.columns == ("scan", "kind")
    assert (await datasets.publish("bank-a", scans)).kept == 1
    wider = {**scans, "columns": [{**scan, "shape": [16, 16, 1]}, kind]}
    assert (await datasets.publish("bank-a", wider)).reduced == 1
    with refused("unknown_column"):
        await datasets.grant(owner, described.id, columns=["pixels"], **facts)

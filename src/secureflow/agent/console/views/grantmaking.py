"""Making a grant, and confirming a proposal of the centre: what is shown is what is signed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

from starlette.responses import Response

from secureflow.agent.console.screens.datasets import DatasetView, dataset_view
from secureflow.agent.console.screens.grantforms import (
    BOXES,
    KINDS,
    PROTECTIONS,
    GrantForm,
    blank,
    filled_in,
    terms_in,
)
from secureflow.agent.console.screens.grants import grant_row, groups
from secureflow.agent.console.views.permitted import holders
from secureflow.agent.console.visits import Page, Visit, see
from secureflow.domain.grants import read_terms
from secureflow.domain.httpstatus import status_of
from secureflow.domain.specs.base import dump
from secureflow.kit.canonical import parse_json
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.reading import members, objects
from secureflow.kit.text import Text
from secureflow.texts import error_in

_LONGEST: Final = 60_000
"""Bytes of terms in a form."""


async def show(visit: Visit) -> Response:
    """Show the form for a dataset; first the choice of one."""
    query = visit.request.query_params
    listed = [dataset_view(one) for one in objects(await visit.ask("data.list"))]
    name = query.get("dataset", "") or (listed[0].name if len(listed) == 1 else "")
    if not name:
        return visit.page("grant_dataset", datasets=listed, who=await holders(visit, "decider"))
    dataset = await _dataset(visit, name)
    return await _form(visit, dataset, blank(dataset, query.get("project", "")))


async def review(visit: Visit) -> Response:
    """Show the terms that a form asks for, to be signed; or the form again, with what is wrong."""
    form = filled_in(await visit.fields())
    dataset = await _dataset(visit, form.value("dataset"))
    now = visit.site.pages.now()
    try:
        terms = read_terms(terms_in(form, now), now)
        check_columns(dataset, terms.columns)
    except SecureFlowError as error:
        return await _form(visit, dataset, form, error)
    return await _terms(visit, dump(terms))


async def ask_confirm(visit: Visit) -> Response:
    """Show a proposal's terms, to be signed as they are shown."""
    grant = str(visit.request.path_params["grant"])
    shown = members(await visit.ask("grant.show", grant=grant))
    if shown.get("state") != "proposed":
        return see(f"/grants/{grant}")
    return await _terms(visit, members(shown.get("terms")), grant, str(shown.get("by", "")))


async def make(visit: Visit) -> Response:
    """Have the agent sign the terms that the person was shown, once however often it is sent."""
    fields = await visit.fields()
    terms, proposal = parse_json(fields.get("terms", ""), _LONGEST), fields.get("proposal", "")
    once = fields.get("once", "")
    if proposal:
        made = await visit.ask("grant.confirm", proposal=proposal, terms=terms, once=once)
    else:
        made = await visit.ask("grant.create", terms=terms, once=once)
    return see(f"/grants/{members(made).get('id', '')}")


def check_columns(dataset: DatasetView, columns: tuple[str, ...]) -> None:
    """Refuse columns that the dataset does not declare, before anybody is asked to sign them.

    Raises:
        SecureFlowError: `unknown_column`.
    """
    known = {one.name for one in dataset.columns}
    if unknown := sorted(set(columns) - known):
        raise SecureFlowError(
            "unknown_column",
            Text(
                "The dataset {name} declares no column {unknown!r:.130}.",
                name=dataset.name,
                unknown=unknown[0],
            ),
            "Grant declared columns only.",
        )


async def _dataset(visit: Visit, name: str) -> DatasetView:
    return dataset_view(members(await visit.ask("data.show", name=name)))


async def _form(
    visit: Visit, dataset: DatasetView, form: GrantForm, error: SecureFlowError | None = None
) -> Response:
    found = groups(await visit.ask("grant.list"))
    return visit.page(
        "grant_new",
        200 if error is None else status_of(error.code),
        dataset=dataset,
        filled=form,
        boxes=len(dataset.columns) <= BOXES,
        kinds=KINDS,
        protections=PROTECTIONS,
        projects=sorted({row.project for group in found for row in group.rows}),
        error=error and error_in(error.as_json(), visit.language),
        who=await holders(visit, "decider"),
    )


async def _terms(
    visit: Visit, terms: Mapping[str, Any], proposal: str = "", by: str = ""
) -> Response:
    return visit.page(
        "grant_review",
        grant=grant_row({"id": proposal, "state": "proposed", "terms": terms, "by": by}),
        terms=json.dumps(terms, ensure_ascii=True),
        proposal=proposal,
        once=secrets.token_hex(16),
        who=await holders(visit, "decider"),
    )


PAGES: Final = (
    Page("/grants/new", show, review),
    Page("/grants/make", act=make),
    Page("/grants/{grant}/confirm", ask_confirm),
)
"""They stand before those of `views.grants`: `new` is no grant's id."""

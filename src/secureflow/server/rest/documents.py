"""What is told of a job, in the form and language that a reader wants: JSON, a page, or PDF."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import TypeAdapter

from secureflow.server.rest.callers import Caller, Use
from secureflow.server.rest.languages import Spoken, headers_in, spoken
from secureflow.server.services import Services
from secureflow.texts import Language

Form = Literal["json", "html", "pdf"]
Render = Callable[[Mapping[str, Any], Language], str]
_PDF: Final = "application/pdf"
_JSON: Final = "application/json"
_FORMS: Final[dict[str, Form]] = {_JSON: "json", "text/html": "html", _PDF: "pdf"}
_PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
_ANY: Final[TypeAdapter[Any]] = TypeAdapter(Any)
IN_FORMS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "content": {
            "text/html": {"schema": {"type": "string"}},
            _PDF: {"schema": {"type": "string", "format": "binary"}},
        }
    }
}
"""The `responses` of a route that answers in these forms."""


def accepted(header: str) -> Form:
    """Return the form that an `Accept` header names first; JSON where it names none."""
    for one in header[:1000].lower().split(","):
        kind = one.partition(";")[0].strip()
        if kind in _FORMS:
            return _FORMS[kind]
    return "json"


@dataclass(frozen=True)
class Document:
    """Answers one request in the form that it asks for."""

    services: Services
    user: str
    form: Form
    language: Language

    async def answer(self, told: Mapping[str, Any], render: Render, name: str) -> Response:
        """Return what is told.

        Args:
            told: JSON.
            render: makes a page of it.
            name: of a file, without its language and ending.

        Raises:
            SecureFlowError: `library_missing`, `printing_failed`; see the printer.
        """
        # In a thread: a page of thousands of answers has megabytes and would block others.
        if self.form == "json":
            text = await asyncio.to_thread(_ANY.dump_json, spoken(told, self.language))
            return Response(text, media_type=_JSON, headers=headers_in(self.language))
        page = await asyncio.to_thread(render, told, self.language)
        if self.form == "html":
            return HTMLResponse(page, headers={"Content-Security-Policy": _PAGE_POLICY})
        file = f'attachment; filename="{name}-{self.language}.pdf"'
        printed = await self.services.printer.pdf(page, self.user)
        return Response(printed, media_type=_PDF, headers={"Content-Disposition": file})


async def _wanted(
    use: Use,
    caller: Caller,
    request: Request,
    language: Spoken,
    form: Annotated[Form | Literal[""], Query(alias="format")] = "",
    lang: Language | Literal[""] = "",
) -> Document:
    chosen = form or accepted(request.headers.get("accept", ""))
    return Document(use, caller.user, chosen, lang or language)


Wanted = Annotated[Document, Depends(_wanted)]
"""How the current request is answered: by `format`, else `Accept`; in `lang`, else
`Accept-Language`."""

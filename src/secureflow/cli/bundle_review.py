"""The code of a request in the inbox: what changed, what to look at, and what no look can find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.cli.bundle_view import View
from secureflow.cli.console import moment
from secureflow.cli.escaping import plain
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

SHOWN: Final = 300
"""Characters of a setting's value."""
_BASE64: Final = 15 << 20
"""Characters of a packed bundle in base64."""


@dataclass(frozen=True)
class RequestedCode:
    """The code of a request: what was found in it, and the owner's environment, if there is one.

    `settings` and `norm` are the job's own: the same code can do something else with others.
    """

    view: View
    entry: str
    digest: str
    environment: str
    settings: Mapping[str, Any]
    norm: float

    def plain(self) -> dict[str, Any]:
        """Return everything for programs."""
        return {**self.view.plain(), "environment": self.environment}


def code_of(config: Path, item: Mapping[str, Any]) -> RequestedCode | None:
    """Return the code that a request brings, compared with what was approved before; or None.

    The digest is computed again here, from the bytes that are shown: it is the one that the
    request names, which its id covers.

    Raises:
        SecureFlowError: `inbox_item_changed` if the agent showed other bytes.
    """
    from secureflow.agent import api

    request = item.get("request") or {}
    digest = str(request.get("bundle_digest") or "")
    if not digest:
        return None
    told = api.bundle_review(config, str(item["id"]))
    bundle = _unpacked(told.get("packed"))
    if bundle.digest != digest:
        raise SecureFlowError(
            "inbox_item_changed",
            t("The agent showed other code than request {item} names.", item=str(item["id"])),
            "secureflow agent inbox list",
        )
    older = told.get("before")
    before = None if older is None else _unpacked(older)
    entry = str(request.get("bundle_entry") or "")
    here = told.get("environment") or {}
    view = View.of(bundle, before, entry, str(here.get("python") or ""))
    spec = item.get("spec") or {}
    settings, limits = (spec.get("model") or {}).get("settings") or {}, spec.get("limits") or {}
    return RequestedCode(
        view, entry, str(request.get("environment") or ""), str(here.get("name") or ""),
        dict(settings), float(limits.get("clip_norm") or 0.0),
    )  # fmt: skip


def told_of(code: RequestedCode) -> Iterator[str]:
    """Yield the lines about a request's code that a person reads before deciding."""
    yield t("Code {digest}, entry {entry}", digest=code.view.bundle.digest, entry=plain(code.entry))
    python = ".".join(map(str, code.view.inspection.python))
    if code.environment:
        yield t("in the environment {name} (Python {python})", name=code.environment, python=python)
    else:
        yield t("PROBLEM: this agent has no environment {digest}…", digest=plain(code.digest)[:16])
    yield t("What this job gives it (no digest of the code covers that):")
    if not code.settings:
        yield "  " + t("no settings")
    for name, value in code.settings.items():
        text = json.dumps(value, ensure_ascii=False)
        more = t("… {count} characters: --details", count=len(text)) if len(text) > SHOWN else ""
        yield f"  {plain(name)}: {plain(text[:SHOWN])}{more}"
    yield "  " + t("An update of it is at most {norm} long (limits.clip_norm).", norm=code.norm)
    yield from code.view.told()
    yield t(
        "Code can hide rows in the weights that it returns, and no look at it finds that for "
        "certain: differential privacy by the agent and the norm cap are what bounds it."
    )


def paged(code: RequestedCode, number: int, item: str) -> Iterator[str]:
    """Yield a page of the difference, and how to see the next one."""
    lines, pages = code.view.page(number)
    yield from lines
    if pages > 1:
        shown = min(max(number, 1), pages)
        yield t("page {number} of {pages}", number=shown, pages=pages)
        if shown < pages:
            yield t("Next: secureflow agent inbox show {item} --page {page}",
                    item=item, page=shown + 1)  # fmt: skip


def approved(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `agent bundle list`."""
    return {**one, "approved": moment(one.get("approved_at"))}


def _unpacked(text: Any) -> Any:
    from secureflow.engines.bundles import unpack
    from secureflow.kit.canonical import b64decode

    return unpack(b64decode(str(text), _BASE64))

"""The code of a request in the inbox: what changed, what to look at, and what no look can find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from secureflow.cli.bundle_view import View
from secureflow.cli.console import moment
from secureflow.cli.escaping import plain
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

_BASE64: Final = 15 << 20
"""Characters of a packed bundle in base64."""


def code_of(config: Path, item: Mapping[str, Any]) -> View | None:
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
    return View.of(bundle, before, str(request.get("bundle_entry") or ""))


def told_of(view: View, item: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about a request's code that a person reads before deciding."""
    request = item.get("request") or {}
    yield t("Code {digest}, entry {entry}, environment {environment}…",
            digest=view.bundle.digest, entry=plain(request.get("bundle_entry")),
            environment=plain(request.get("environment"))[:16])  # fmt: skip
    yield from view.told()
    yield t(
        "Code can hide rows in the weights that it returns, and no look at it finds that for "
        "certain: differential privacy by the agent and the norm cap are what bounds it."
    )


def paged(view: View, number: int, item: str) -> Iterator[str]:
    """Yield a page of the difference, and how to see the next one."""
    lines, pages = view.page(number)
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

"""The code of a request in the inbox: what changed, what to look at, and what no look can find."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from secureflow.cli.bundle_view import View
from secureflow.cli.console import Prose, moment
from secureflow.cli.escaping import plain
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError

SHOWN: Final = 300
"""Characters of a setting's value."""
_BASE64: Final = 15 << 20
"""Characters of a packed bundle in base64."""


@dataclass(frozen=True)
class Given:
    """What a job gives its code: settings, the norm that caps an update of it, and the rest.

    `norm` is 0 where it computes a released model, and no update of one is asked of it.
    """

    settings: Mapping[str, Any]
    norm: float
    others: Mapping[str, Any]

    @classmethod
    def of(cls, settings: Any, norm: Any, others: Any) -> Given:
        """Return it from foreign JSON."""
        return cls(dict(settings or {}), float(norm or 0.0), dict(others or {}))


@dataclass(frozen=True)
class RequestedCode:
    """The code of a request: what was found in it, and the owner's environment, if there is one.

    `digest` is that environment's, `given` what the job gives the code: the same code can do
    something else with other things. `job` is the one that this code was approved for last, "" if
    it never was, `approved` when, and `before` what that job gave it; None if its record is gone.
    `older` is the code approved before this one, as the agent tells it: what a new one is compared
    with, unless its bytes are gone. `clipped` is the length to which the agent clips an update
    under differential privacy, `adapts` whether it is that of the first round alone. `decided` is
    whether the request waits no more: it is compared with what was approved before that decision.
    `program` is whether an engine runs it among the parties, and it is no class.
    """

    view: View
    entry: str
    digest: str
    environment: str
    given: Given
    job: str
    approved: int | None
    before: Given | None
    older: Mapping[str, Any]
    clipped: float | None
    adapts: bool
    decided: bool = False
    program: bool = False

    @property
    def unread(self) -> int:
        """How many pages a person should read: none of what was approved here before."""
        return 0 if self.job else self.view.pages

    @property
    def lost(self) -> str:
        """The digest of the code approved before this one, if its bytes are gone."""
        compared = self.job or self.view.before is not None
        return "" if compared else str(self.older.get("digest") or "")

    def plain(self) -> dict[str, Any]:
        """Return everything for programs."""
        known = {"approved": self.approved, "approved_job": self.job}
        return {**self.view.plain(), **known, "environment": self.environment}


def brings_code(item: Mapping[str, Any]) -> str:
    """Return the digest of the code that a request brings, or ""."""
    return str((item.get("request") or {}).get("bundle_digest") or "")


def code_of(config: Path, item: Mapping[str, Any]) -> RequestedCode | None:
    """Return the code that a request brings, compared with what was approved before; or None.

    None too if the request is decided and its code is no longer here.

    Raises:
        SecureFlowError: `inbox_item_changed` if the agent showed other bytes.
    """
    from secureflow.agent import api

    if not brings_code(item):
        return None
    try:
        told = api.bundle_review(config, str(item["id"]))
    except SecureFlowError as error:
        if item.get("state") != "waiting" and error.code == "not_found":
            return None
        raise
    return reviewed(told, item)


def reviewed(told: Mapping[str, Any], item: Mapping[str, Any]) -> RequestedCode:
    """Return the code of a request from what the agent tells of it (`bundle.review`).

    The digest is computed again here, from the bytes that are shown: it is the one that the request
    names, which its id covers.

    Raises:
        SecureFlowError: `inbox_item_changed` for other bytes.
    """
    from secureflow.domain.specs.bundles import applies, brought, given_beside_settings, runs

    request = item.get("request") or {}
    digest, decided = brings_code(item), item.get("state") != "waiting"
    bundle = _unpacked(told.get("packed"))
    if bundle.digest != digest:
        raise SecureFlowError(
            "inbox_item_changed",
            t("The agent showed other code than request {item} names.", item=str(item["id"])),
            "secureflow agent inbox list",
        )
    job, older = str(told.get("approved_job") or ""), told.get("before")
    before = None if older is None or job else _unpacked(older)
    entry = str(request.get("bundle_entry") or "")
    here = told.get("environment") or {}
    spec = item.get("spec") or {}
    more = ("predict",) if applies(spec) else ()
    program = runs(spec)
    looked = "" if program else entry
    view = View.of(bundle, before, looked, str(here.get("python") or ""), more)
    model, limits = brought(spec), spec.get("limits") or {}
    last, privacy = told.get("given"), spec.get("privacy") or {}
    return RequestedCode(
        view, entry, str(request.get("environment") or ""), str(here.get("name") or ""),
        Given.of(model.get("settings"), limits.get("clip_norm"), given_beside_settings(spec)),
        job, told.get("approved"),
        None if last is None else Given.of(*map(last.get, ("settings", "clip_norm", "others"))),
        told.get("since") or {}, privacy.get("clipping_norm"), bool(privacy.get("adaptive")),
        decided, program,
    )  # fmt: skip


def told_of(code: RequestedCode) -> Iterator[str]:
    """Yield the lines about a request's code that a person reads before deciding."""
    return map(Prose, _told(code))


def _told(code: RequestedCode) -> Iterator[str]:
    yield t("Code {digest}, entry {entry}", digest=code.view.bundle.digest, entry=plain(code.entry))
    python = ".".join(map(str, code.view.inspection.python))
    if code.program:
        yield t("an engine runs it, among the parties: in its own process, in the sandbox")
    elif code.environment:
        yield t("in the environment {name} (Python {python})", name=code.environment, python=python)
        yield t("environment for policies: {digest}", digest=plain(code.digest))
    yield t("What this job gives it (no digest of the code covers that):")
    yield from (f"  {line}" for line in _given(code))
    yield from code.view.told(_older(code), _known(code))
    if code.lost:
        yield t(
            "LOOK: the code approved here before, {digest}…, is no longer here: there is nothing "
            "to compare with",
            digest=plain(code.lost)[:16],
        )
    if code.program:
        yield t(
            "What it opens, to whom it opens it, the code alone says: no receiver of the job "
            "changes that, and no look at it finds everything for certain."
        )
        return
    if not code.environment:
        yield t("PROBLEM: this agent has no environment {digest}", digest=plain(code.digest))
    if code.given.norm:
        yield t(
            "Code can hide rows in the weights that it returns, and no look at it finds that for "
            "certain: differential privacy by the agent and the norm cap are what bounds it."
        )
        return
    yield t(
        "Code can hide rows in what it says of others, which is counted or handed over, and in "
        "whether it fails and when; no look at it finds that for certain. It sees no labels."
    )


def _known(code: RequestedCode) -> str:
    """Return that exactly this code was approved here before; "" if it never was."""
    if code.decided:
        return t("shown whole: no other code that was approved before that decision is on record")
    if not code.job:
        return ""
    return t("exactly this code was approved here before, in the job {job} on {when}",
             job=plain(code.job), when=moment(code.approved))  # fmt: skip


def _older(code: RequestedCode) -> str:
    """Return what is said of the code that this one is compared with."""
    facts = {name: plain(code.older.get(name) or "") for name in ("digest", "name", "job")}
    if not facts["job"]:
        return ""
    return t("{digest} ({name}, approved here in the job {job} on {when})",
             **facts, when=moment(code.older.get("approved_at")))  # fmt: skip


def _given(code: RequestedCode) -> Iterator[str]:
    """Yield what the job gives its code, and what of it differs from what was approved last."""
    from secureflow.kit.canonical import digest

    settings = code.given.settings
    if not settings:
        yield t("no settings")
    for name, value in settings.items():
        yield f"{plain(name)}: {_short(value)}"
    if settings:
        yield t("settings_digest for policies: {digest}", digest=digest(settings))
    if code.program:
        yield t("the columns of each party stand above; the program finds them in inputs/")
    elif not code.given.norm:
        yield t("It computes a released model of these rows, and is asked for nothing else.")
    elif code.clipped is None:
        yield t("An update of it is at most {norm} long (limits.clip_norm).", norm=code.given.norm)
    else:
        yield t(
            "An update of it is clipped to the length {clipped} (privacy.clipping_norm); "
            "limits.clip_norm is {norm}.",
            clipped=code.clipped,
            norm=code.given.norm,
        )
        if code.adapts:
            yield t("That length is the first round's: it adapts (privacy.adaptive).")
    if code.before is not None:
        changed = list(_changed(code.given, code.before, code.job))
        same = t("the same as in the job {job}, approved here last with this code", job=code.job)
        yield from changed or [same]
    elif code.job:
        yield t(
            "LOOK: this code was approved here last for the job {job}, whose record is gone: there "
            "is nothing to compare with",
            job=plain(code.job),
        )


def _changed(now: Given, before: Given, job: str) -> Iterator[str]:
    """Yield how what a job gives its code differs from what another one gave the same code."""
    for has, had in ((now.settings, before.settings), (now.others, before.others)):
        for name, value in has.items():
            if name not in had:
                yield t("LOOK: {name} is new since the job {job}", name=plain(name), job=job)
            elif _written(had[name]) != _written(value):  # 1 is not true
                yield t("LOOK: {name} was {old} in the job {job}",
                        name=plain(name), old=_short(had[name]), job=job)  # fmt: skip
        for name, value in had.items():
            if name not in has:
                yield t("LOOK: {name} is gone; it was {old} in the job {job}",
                        name=plain(name), old=_short(value), job=job)  # fmt: skip
    if before.norm and now.norm and before.norm != now.norm:
        yield t("LOOK: the norm cap was {old} in the job {job}", old=before.norm, job=job)


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _short(value: Any) -> str:
    text = _written(value)
    more = t("… {count} characters: --details", count=len(text)) if len(text) > SHOWN else ""
    return f"{plain(text[:SHOWN])}{more}"


def paged(code: RequestedCode, number: int, command: str) -> Iterator[str]:
    """Yield a page of the difference, and the command that shows the next one.

    Args:
        code: the request's.
        number: the page, from 1; 0 if none was asked for: the first, unless the code is known here.
        command: that shows this request.
    """
    if not number and code.job:
        yield t("All of it: {command}", command=f"{command} --page 1")
        return
    lines, pages = code.view.page(number)
    yield from lines
    if pages > 1:
        shown = min(max(number, 1), pages)
        yield t("page {number} of {pages}", number=shown, pages=pages)
        if shown < pages:
            yield t("Next: {command} --page {page}", command=command, page=shown + 1)


def approved(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `agent bundle list`."""
    return {**one, "approved": moment(one.get("approved_at"))}


def _unpacked(text: Any) -> Any:
    from secureflow.engines.bundles import unpack
    from secureflow.kit.canonical import b64decode

    return unpack(b64decode(str(text), _BASE64))

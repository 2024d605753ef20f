"""`secureflow agent inbox`: pending requests, shown on one screen and decided as shown."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from secureflow.cli.console import (
    Form,
    Output,
    Yes,
    agreed,
    confirmed,
    fail,
    group,
    moment,
    say,
    show,
    write,
    write_lines,
)
from secureflow.cli.texts import explained, listed, said, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Joined, Text, without_stop

if TYPE_CHECKING:
    from secureflow.cli.bundle_review import RequestedCode
    from secureflow.cli.decision import PendingRequest
    from secureflow.cli.kinds import CliKinds

app = group("Requests that wait for a person.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Item = Annotated[
    str, typer.Argument(metavar="REQUEST", help=t("Full id of the request: 64 characters."))
]
Reason = Annotated[str, typer.Option(help=t("A note for the log."))]
Refusal = Annotated[str, typer.Option(help=t("Reason, for the submitter"))]
Details = Annotated[bool, typer.Option("--details", help=t("Show everything, the spec too."))]
_CONFIG = Path("agent.yaml")
_PASSED_OVER = {"already_decided", "expired", "not_found", "record_damaged"}
"""Codes of requests that a review skips: they cannot be decided, or no longer."""


@app.command("list", help=t("List the requests that wait."))
def list_inbox(
    every: Annotated[bool, typer.Option("--all", help=t("Include the decided ones."))] = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """List the inbox."""
    from secureflow.agent import api

    found = api.inbox_list(config, waiting=not every)
    if output is not Form.TABLE:
        show(found, output)
        return
    for one in found:
        write("\n".join(_listed(one)))
    if not found:
        say(t("No requests are waiting.") if not every else t("Nothing to show."))
    _print_held(config)


def _print_held(config: Path) -> None:
    """Explain why no job continues, approved or not, while the centre's log is held."""
    from secureflow.agent import api

    held = api.status(config).get("set_back")
    if held:
        error = SecureFlowError.from_json(held)
        say(t("No job can continue now: {why}", why=explained(error.code, error.message)))
        say(said(error.hint))


@app.command("show", help=t("Show one request on one screen: who asks for what, and who sees it."))
def show_item(
    context: typer.Context,
    item: Item,
    details: Details = False,
    page: Annotated[
        int | None, typer.Option(min=1, help=t("Page of the code's difference."))
    ] = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show a request, and the code that it brings; a decided one as it was decided."""
    from secureflow.agent import api
    from secureflow.cli.bundle_review import brings_code, code_of, paged, told_of
    from secureflow.cli.decision import asked, recalled
    from secureflow.cli.kinds import given

    answer = api.inbox_show(config, item)
    waits, kept = answer.get("state") == "waiting", bool(answer.get("spec"))
    code = code_of(config, answer) if kept else None
    pages = 0 if code is None else code.view.pages
    if page is not None and page > pages:
        raise _no_page(page, pages)
    if details or output is not Form.TABLE or not kept:  # nothing but a summary is kept of others
        answer = answer if code is None else {**answer, "code": code.plain()}
        if kept and output is not Form.TABLE:
            request = asked(answer, item) if waits else recalled(answer, item)
            answer = {**answer, **_documented(request, given(context))}
        show(answer, Form.YAML if output is Form.TABLE else output)
        return
    request = asked(answer, item) if waits else recalled(answer, item)
    write(_whole(request, given(context)))
    if code is not None:
        write_lines((*told_of(code), *paged(code, page or 0, shown_by(item, config))))
    elif brings_code(answer):
        say(t("Its code is not kept here any more."))


def _documented(request: PendingRequest, kinds: CliKinds) -> dict[str, Any]:
    """Return the `document` of a request; nothing of a kind that only another version knows."""
    from secureflow.cli.requestdocument import document

    try:
        return {"document": {**document(request, kinds), "code": None}}  # which stands beside it
    except SecureFlowError as error:
        if error.code != "invalid_spec":
            raise
        return {}


def _no_page(page: int, pages: int) -> SecureFlowError:
    return SecureFlowError(
        "invalid_request",
        t("There is no page {page}: the code's difference has {pages}.", page=page, pages=pages),
    )


@app.command("approve", help=t("Approve a request."))
def approve(
    context: typer.Context,
    item: Item,
    reason: Reason = "",
    yes: Yes = False,
    details: Details = False,
    config: Config = _CONFIG,
) -> None:
    """Approve a request: the agent signs the approval with the organisation's key."""
    from secureflow.cli.kinds import given

    code = None
    if not yes:
        request = _asked(config, item)
        _present(request, given(context), details=details)
        code = _present_code(config, request)
    confirmed(_question(0, 0 if code is None else code.unread), yes)
    refusal = _approved(config, item, reason)
    if refusal is not None:
        raise refusal


def _approved(config: Path, item: str, reason: str = "") -> SecureFlowError | None:
    """Approve a request; say that it is signed, or return why the agent refuses it."""
    from secureflow.agent import api

    came = api.inbox_approve(config, item, reason)
    if came.get("second"):
        say(t("You approved {what}. It waits for a second person.", what=item))
        return None
    if came.get("refused"):
        why = SecureFlowError.from_json(came["refused"])
        told = Text(
            "You approved {what}, but the agent signs nothing: {reason}.",
            what=item,
            reason=without_stop(why.message),
        )
        return why.retold(told)
    if came.get("signed"):
        say(t("{what} is approved.", what=item))
    else:
        say(
            t(
                "{what} is approved and not signed yet: the agent checks it once more when the "
                "centre asks, and signs it then.",
                what=item,
            )
        )
    return None


@app.command("reject", help=t("Reject a request."))
def reject(item: Item, reason: Refusal = "", config: Config = _CONFIG) -> None:
    """Reject a request."""
    from secureflow.agent import api

    api.inbox_reject(config, item, reason)
    say(t("{what} is rejected.", what=item))


@app.command("ask", help=t("Ask who submitted a request something; it waits on."))
def ask_back(
    item: Item,
    question: Annotated[str, typer.Argument(help=t("The question, of 4096 bytes at most."))],
    config: Config = _CONFIG,
) -> None:
    """Ask back: the submitter sees the question, and the answer comes to the inbox."""
    from secureflow.agent import api

    api.inbox_ask_back(config, item, question)
    say(
        t(
            "The question is on its way. {what} waits on; the answer comes to: secureflow agent "
            "inbox show {what}",
            what=item,
        )
    )


@app.command("review", help=t("Review the waiting requests one at a time, and decide."))
def review(context: typer.Context, config: Config = _CONFIG) -> None:
    """Show each pending request, the oldest first, and decide on exactly what was shown."""
    from secureflow.agent import api
    from secureflow.cli.kinds import given

    if not sys.stdin.isatty():
        raise SecureFlowError(
            "not_confirmed",
            t("There is nobody to ask for confirmation."),
            "secureflow agent inbox approve ID --yes",
        )
    waiting, skipped = [one["id"] for one in reversed(api.inbox_list(config, waiting=True))], 0
    for number, item in enumerate(waiting, start=1):
        say(t("\nRequest {number} of {count}", number=number, count=len(waiting)))
        try:
            answer = _reviewed(config, item, given(context))
            if answer == "q":
                return
            skipped += answer == "s"
        except SecureFlowError as error:
            if error.code not in _PASSED_OVER:
                raise
            fail(error)
    if skipped:
        say(t("{count} {count:request|requests} that you skipped still {count:waits|wait}.",
              count=skipped))  # fmt: skip
    else:
        say(t("No more requests are waiting.") if waiting else t("No requests are waiting."))


def _reviewed(config: Path, item: str, kinds: CliKinds) -> str:
    """Show one request, act on the answer, and return its key: `q` ends the review."""
    from secureflow.agent import api

    request = _asked(config, item)
    _present(request, kinds)
    code, shown = _present_code(config, request), 0
    pages = 0 if code is None else code.unread
    while True:
        match _key(shown, pages, code is not None):
            case "c" if code is not None:
                shown = _next_page(code, shown)
            case "a":
                if shown < pages and not agreed(_question(shown, pages)):
                    continue
                refusal = _approved(config, request.item.id)
                if refusal is not None:
                    fail(refusal)
                return "a"
            case "r":
                reason = typer.prompt(
                    t("Reason, for the submitter"), default="", show_default=False, err=True
                )
                api.inbox_reject(config, request.item.id, reason)
                say(t("{what} is rejected.", what=request.item.id))
                return "r"
            case "s" | "q" as key:
                return key
            case "d":
                _present(request, kinds, details=True)


def _key(shown: int, pages: int, brings_code: bool) -> str:
    """Say how much of the code was shown, and return the key of what to do next."""
    if pages:
        say(_read(shown, pages))
    question = t("a approve, r reject, s skip, d details, q quit")
    if brings_code:
        question = t("a approve, r reject, s skip, d details, c code (next page), q quit")
    return str(typer.prompt(question, err=True)).strip().lower()


def _asked(config: Path, item: str) -> PendingRequest:
    from secureflow.agent import api
    from secureflow.cli.decision import asked

    return asked(api.inbox_show(config, item), item)


def _present(request: PendingRequest, kinds: CliKinds, *, details: bool = False) -> None:
    """Show a request on stderr, where the question is asked."""
    from secureflow.cli.decision import visible

    if details:
        import yaml  # only when needed

        say(_whole(request, kinds))
        text = yaml.safe_dump(dict(request.details), allow_unicode=True, sort_keys=False)
        say(visible(text.rstrip()))
        return
    say(_screen(request, kinds, sys.stderr))


def _screen(request: PendingRequest, kinds: CliKinds, stream: TextIO) -> str:
    """Return what a person decides on: shortened only where there is a screen to fit it on."""
    from secureflow.cli.decision import LINES, screen

    if not stream.isatty():
        return _whole(request, kinds)
    beside = 2  # the question, and the line of the cursor
    lines = max(LINES, shutil.get_terminal_size().lines - beside)
    return "\n".join(screen(request, kinds, lines=lines))


def _whole(request: PendingRequest, kinds: CliKinds) -> str:
    """Return the same with nothing shortened."""
    from secureflow.cli.decision import ENDLESS, screen

    return "\n".join(screen(request, kinds, lines=ENDLESS))


def _question(shown: int, pages: int) -> str:
    """Return what is asked before an approval; pages of the code's difference are not forgotten."""
    asked = t("Approve exactly this?")
    return said(Joined(" ", [_read(shown, pages), asked])) if shown < pages else asked


def _read(shown: int, pages: int) -> str:
    return t(
        "{shown} of {pages} {pages:page|pages} of the code's difference {pages:was|were} shown "
        "here.",
        shown=shown,
        pages=pages,
    )


def _next_page(code: RequestedCode, shown: int) -> int:
    """Show the page after those that were shown, after the last the first; return how many were."""
    number = shown % code.view.pages + 1
    write_lines(code.view.page(number)[0], err=True)
    return max(shown, number)


def _present_code(config: Path, request: PendingRequest) -> RequestedCode | None:
    """Show what is to be known of a request's code; the difference itself is `inbox show`.

    Return the code; None without any.
    """
    from secureflow.cli.bundle_review import code_of, told_of

    code = code_of(config, request.details)
    if code is not None:
        write_lines(told_of(code), err=True)
        say(t("All of it: {command}", command=shown_by(request.item.id, config)))
    return code


def shown_by(item: str, config: Path) -> str:
    """Return the command that shows a request of the same agent."""
    command = f"secureflow agent inbox show {item}"
    return command if config == _CONFIG else f"{command} --config {shlex.quote(str(config))}"


def _listed(one: Mapping[str, Any]) -> list[str]:
    """Return an item's lines: its full id on a line of its own, for copying."""
    from secureflow.cli.escaping import plain
    from secureflow.domain.figures import cost

    facts = {name: plain(one.get(name) or "") for name in ("job", "name", "purpose", "submitter")}
    lines = [str(one["id"])]
    lines.append("  " + t("{job}, {name}: {purpose}, asked by {submitter}", **facts))
    parts = [t(str(one.get("state"))), plain(one.get("dataset") or "")]
    if one.get("sensitive"):
        parts.append(t("SENSITIVE: {names}", names=listed(map(plain, one["sensitive"]))))
    if one.get("epsilon") is not None:
        parts.append(f"ε {cost(one['epsilon'])}")
    parts.append(t("until {when}", when=moment(one.get("expires"))))
    if one.get("overdue"):
        parts.append(t("OVERDUE"))
    if one.get("approved_by"):
        parts.append(t("one person approved it"))
    if one.get("reason"):
        parts.append(plain(said(str(one["reason"]))))
    return [*lines, "  " + t(", ").join(filter(None, parts))]

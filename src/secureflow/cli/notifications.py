"""`secureflow notification`: one's own notifications, and the organisation's webhooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show, write
from secureflow.cli.proving import proven
from secureflow.cli.session import client
from secureflow.cli.texts import language, said, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

if TYPE_CHECKING:
    from secureflow.sdk.notifications import Notification, NotificationPreferences

app = group("What you are told: jobs, grants, projects, agents, your account.")
hooks = group("Addresses to which notifications of your organisation are posted.")
app.add_typer(hooks, name="webhook")

_COLUMNS = ("id", "at", "read", "severity", "text", "link")
_HOOK_COLUMNS = ("id", "organisation", "url", "kinds", "created", "secret")
_FAILED_COLUMNS = ("id", "channel", "target", "organisation", "kind", "at", "tries", "code")
Kinds = Annotated[
    list[str] | None, typer.Option("--kind", help=t("A kind of notification; may be repeated."))
]
Hook = Annotated[str, typer.Argument(help=t("Id of the webhook."))]


@app.command("list", help=t("List your notifications, unread ones first."))
def list_notifications(
    unread: Annotated[bool, typer.Option(help=t("Only those that are unread."))] = False,
    most: Annotated[int, typer.Option(min=1, max=1000, help=t("How many at most."))] = 50,
    output: Output = Form.TABLE,
) -> None:
    """List the caller's notifications."""
    found: list[Notification] = []
    with client() as connection:
        for one in connection.notifications.list(unread=unread):
            found.append(one)
            if len(found) == most:
                break
    if output is Form.TABLE:
        show([_row(one) for one in found], output, _COLUMNS)
    else:
        show(found, output)


@app.command("read", help=t("Mark notifications as read."))
def read(
    notifications: Annotated[
        list[int] | None, typer.Argument(help=t("Ids of notifications."))
    ] = None,
    every: Annotated[bool, typer.Option("--all", help=t("Mark all as read."))] = False,
) -> None:
    """Mark notifications as read."""
    if every == bool(notifications):
        raise SecureFlowError(
            "invalid_request", "Name notifications or give --all.", "secureflow notification list"
        )
    with client() as connection:
        if every:
            count = connection.notifications.read_all()
        else:
            count = len(notifications or ())
            for one in notifications or ():
                connection.notifications.read(one)
    say(t("Marked as read: {count}.", count=count))


@app.command("watch", help=t("Show new notifications as they come, until you press Ctrl-C."))
def watch(
    after: Annotated[
        int, typer.Option(min=0, help=t("Show those after this id first; 0: new ones only."))
    ] = 0,
    output: Output = Form.TABLE,
) -> None:
    """Follow the caller's notifications."""
    with client() as connection:
        for event in connection.notifications.watch(after):
            if output is Form.TABLE:
                write(_line(event.data))
            else:
                show(event.data, output)


@app.command("kinds", help=t("List every kind of notification."))
def kinds(output: Output = Form.TABLE) -> None:
    """List the kinds."""
    with client() as connection:
        found = list(connection.notifications.kinds())
    if output is Form.TABLE:
        facts = [[t(fact) for fact in one.facts] for one in found]
        rows = [
            {"name": one.name, "severity": t(one.severity), "facts": told}
            for one, told in zip(found, facts, strict=True)
        ]
        show(rows, output)
    else:
        show(found, output)


@app.command("preferences", help=t("Show or choose what you are told, and where."))
def preferences(
    email: Annotated[
        str | None, typer.Option(help=t("Your address; it is mailed a code. Empty: no mail."))
    ] = None,
    confirm: Annotated[
        str, typer.Option(metavar="CODE", help=t("Confirm your address with the code."))
    ] = "",
    mail: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help=t("Mail only these kinds; may be repeated.")),
    ] = None,
    silence: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help=t("Leave these kinds out of your inbox.")),
    ] = None,
    hear: Annotated[bool, typer.Option(help=t("Leave nothing out of your inbox."))] = False,
    lang: Annotated[
        str | None, typer.Option(metavar="en|zh", help=t("The language of mails."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Show or change the caller's preferences."""
    fields: dict[str, Any] = {
        "email": email, "mailed": mail, "silenced": [] if hear else silence, "language": lang,
    }  # fmt: skip
    changes = {name: value for name, value in fields.items() if value is not None}
    if email and lang is None:
        changes["language"] = language()
    with client() as connection:
        if confirm:
            connection.notifications.confirm(confirm)
        if changes:
            kept = proven(connection, lambda: connection.notifications.prefer(**changes))
        else:
            kept = connection.notifications.preferences()
    _show_preferences(kept, output)


@app.command("failed", help=t("List the deliveries that were given up on."))
def failed(output: Output = Form.TABLE) -> None:
    """List failed deliveries."""
    with client() as connection:
        show(list(connection.webhooks.failed()), output, _FAILED_COLUMNS)


@app.command("retry", help=t("Try a failed delivery again, under its old id."))
def retry(delivery: Annotated[str, typer.Argument(help=t("Id of the delivery."))]) -> None:
    """Retry a failed delivery."""
    with client() as connection:
        connection.webhooks.retry(delivery)
    say(t("{what} will be tried again.", what=delivery))


@hooks.command("list", help=t("List the webhooks of your organisation."))
def list_hooks(output: Output = Form.TABLE) -> None:
    """List webhooks."""
    with client() as connection:
        show(list(connection.webhooks.list()), output, _HOOK_COLUMNS[:-1])


@hooks.command("create", help=t("Create a webhook; its secret is shown only once."))
def create_hook(
    url: Annotated[str, typer.Argument(help=t("An https address."))],
    kind: Kinds = None,
    output: Output = Form.TABLE,
) -> None:
    """Create a webhook."""
    wanted: Sequence[str] = kind or ()
    with client() as connection:
        made = proven(connection, lambda: connection.webhooks.create(url, wanted))
        show(made, output, _HOOK_COLUMNS)
        if made.warning:
            say(t("Nothing can be posted there now: {why}", why=shown(said(made.warning[:500]))))
        say(t("Try it: secureflow notification webhook test {webhook}", webhook=made.id))


@hooks.command("test", help=t("Post a test to a webhook now."))
def test_hook(webhook: Hook) -> None:
    """Test a webhook."""
    with client() as connection:
        delivery = connection.webhooks.test(webhook)
    say(t("Delivered: {what}.", what=delivery))


@hooks.command("remove", help=t("Remove a webhook, with what waits for it."))
def remove_hook(webhook: Hook, yes: Yes = False) -> None:
    """Remove a webhook."""
    confirmed(t("Remove {webhook}?", webhook=webhook), yes)
    with client() as connection:
        connection.webhooks.remove(webhook)
    say(t("{what} is removed.", what=webhook))


def _row(one: Notification) -> dict[str, Any]:
    told = {"severity": t(one.severity), "read": moment(one.read)}
    return {**vars(one), **told, "text": _text(vars(one))}


def _line(data: dict[str, Any]) -> str:
    """Return a notification on one line, as it came from the centre."""
    return f"{moment(data.get('at'))} {t(str(data.get('severity', ''))[:20])}: {_text(data)}"


def _text(data: Mapping[str, Any]) -> str:
    """Return a notification's text in our own words, from what is known of its kind.

    A kind of a newer centre is told in the centre's.
    """
    from secureflow.domain.notificationkinds import KINDS

    kind, facts = KINDS.get(str(data.get("kind"))), data.get("facts")
    if kind is None or not isinstance(facts, Mapping):
        return shown(str(data.get("text", ""))[:1000])
    return said(kind.text(kind.checked(facts)))


def _show_preferences(one: NotificationPreferences, output: Form) -> None:
    if output is not Form.TABLE:
        show(one, output)
        return
    mailed = t("warnings and critical ones") if one.mailed is None else list(one.mailed)
    told: dict[str, Any] = {"silenced": list(one.silenced) or t("none")}
    if one.email:
        told |= {"email": one.email, "confirmed": one.confirmed, "mailed": mailed}
    told["language of mails"] = t("Chinese") if one.language == "zh" else t("English")
    show(told, output)
    if not one.email:
        say(t("Nothing is mailed to you: secureflow notification preferences --email ADDRESS"))
    elif not one.confirmed:
        say(t("The address was mailed a code: secureflow notification preferences --confirm CODE"))

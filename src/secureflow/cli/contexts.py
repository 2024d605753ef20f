"""`secureflow context`: several users or servers on one machine, each with its own profile."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from secureflow.cli import session
from secureflow.cli.console import Form, Output, Yes, confirmed, group, say, show
from secureflow.cli.texts import t, untranslated

app = group("Contexts: which user of which server you are.")

Name = Annotated[str, typer.Argument(help=t("Name of the context."))]
_COLUMNS = ("name", "chosen", "user", "url", "ca", "token")


@app.command("list", help=t("List your contexts."))
def list_contexts(output: Output = Form.TABLE) -> None:
    """List contexts, without their tokens."""
    from secureflow.sdk.profile import contexts

    with untranslated(output is not Form.TABLE):
        rows = [_row(name) for name in contexts()]
    show(rows, output, _COLUMNS)


@app.command("show", help=t("Show a context, by default the chosen one."))
def show_context(
    name: Annotated[str, typer.Argument(help=t("Name of the context."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """Show a context, without its token."""
    with untranslated(output is not Form.TABLE):
        row = _row(name or session.context() or _chosen())
    show(row, output, _COLUMNS)


@app.command("use", help=t("Choose the context for later commands."))
def use(name: Name) -> None:
    """Choose a context."""
    from secureflow.sdk.profile import use_context

    use_context(name)
    say(t("{what} is chosen.", what=name))


@app.command("remove", help=t("Forget a context and its token."))
def remove(name: Name, yes: Yes = False) -> None:
    """Forget a context. Its token stays valid at the server until it expires: log out before."""
    from secureflow.sdk.profile import checked_name, remove_context

    checked_name(name)
    confirmed(t("Forget context {what}? Its token stays valid until you log out.", what=name), yes)
    remove_context(name)
    say(t("{what} is forgotten.", what=name))


def _chosen() -> str:
    from secureflow.sdk.profile import current_context

    return current_context()


def _row(name: str) -> dict[str, Any]:
    from secureflow.sdk.profile import load_profile, profile_path

    known = load_profile(profile_path(name))
    return {
        "name": name,
        "chosen": name == (session.context() or _chosen()),
        "user": known.user,
        "url": known.url,
        "ca": known.ca,
        "token": t("kept") if known.token else t("none"),
    }

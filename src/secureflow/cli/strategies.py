"""`secureflow strategy`: what the plan of a training can name; no centre is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Form, Output, group, say, show
from secureflow.cli.texts import said, t

if TYPE_CHECKING:
    from secureflow.domain.specs.strategylist import StrategyEntry, StrategyParameter

app = group("Strategies of training, and robust rules.")


@app.command("list", help=t("List the strategies and the robust rules."))
def list_strategies(output: Output = Form.TABLE) -> None:
    """List strategies."""
    from secureflow.domain.specs.strategylist import entries

    found = list(entries())
    if output is not Form.TABLE:
        show(found, output)
        return
    rows = [
        {
            "name": one.name,
            "plan": one.member,
            "does": said(one.sentence),
            "protections": ", ".join(one.protections),
        }
        for one in found
    ]
    show(rows, output, ("name", "plan", "does", "protections"))


@app.command("show", help=t("Show a strategy or a robust rule."))
def show_strategy(
    name: Annotated[str, typer.Argument(help=t("Name of the strategy or the rule."))],
    output: Output = Form.TABLE,
) -> None:
    """Show a strategy."""
    from secureflow.domain.specs.strategylist import entry_of

    found = entry_of(name)
    if output is not Form.TABLE:
        show(found, output)
        return
    told = {
        "name": found.name,
        "does": said(found.sentence),
        "paper": found.paper,
        "protections": ", ".join(found.protections),
        "under_privacy": _yes(found.privacy),
        "smallest_roster": found.smallest_roster,
        "vectors_kept_for_all": found.kept_for_all,
        "kept_by_party": _yes(found.kept_by_party),
        "own_models": _yes(found.own_models),
        "sent_beside": said(found.sent_beside),
    }
    show(told | {one.name: _range(one) for one in found.parameters}, output)
    say(_written(found))


def _yes(value: bool) -> str:
    return t("yes") if value else t("no")


def _range(one: StrategyParameter) -> str:
    low = f"≥ {one.least:g}" if one.least is not None else f"> {one.above:g}"
    high = f"≤ {one.most:g}" if one.most is not None else f"< {one.below:g}"
    return t("{default} by default; {low}, {high}", default=f"{one.default:g}", low=low, high=high)


def _written(found: StrategyEntry) -> str:
    """Return how it stands in a job file, with its defaults."""
    from secureflow.domain.specs.strategylist import RULE

    given = [("rule" if found.member == RULE else "name", found.name)]
    given += [(one.name, f"{one.default:g}") for one in found.parameters]
    inner = ", ".join(f"{name}: {value}" for name, value in given)
    return f"plan: {{{found.member}: {{{inner}}}}}"

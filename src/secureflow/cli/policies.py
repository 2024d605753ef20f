"""`secureflow agent policy`: try policies on examples, explain a decision, draft a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.texts import listed, said, t
from secureflow.kit.errors import SecureFlowError

app = group("Policies: which requests they decide, and why.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Examples = Annotated[Path, typer.Argument(help=t("YAML file with example requests."))]
_CONFIG = Path("agent.yaml")
_ITEM = re.compile(r"[0-9a-f]{64}")


@app.command("test", help=t("Decide example requests, and compare with what you expect."))
def try_examples(
    context: typer.Context,
    file: Examples,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Test the policies of agent.yaml; the exit code tells whether all decide as expected."""
    from secureflow.agent.edge.policyfiles import examined
    from secureflow.cli.kinds import given

    found = examined(config, file, given(context).specs)
    if output is Form.TABLE:
        show([_tested(one) for one in found], output, ("name", "expected", "effect", "by", "ok"))
    else:
        show(found, output)
    wrong = [one for one in found if not one["ok"]]
    if wrong:
        raise SecureFlowError(
            "policy_test_failed",
            t(
                "{count} of {all} {all:example|examples} {count:is|are} not decided as expected.",
                count=len(wrong),
                all=len(found),
            ),
            "secureflow agent policy explain FILE",
        )
    say(t("All are decided as expected ({count}).", count=len(found)))


@app.command("explain", help=t("Name the rule that decides a request, or nearly does."))
def explain(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(metavar="WHAT", help=t("Id of a request, or a file of example requests.")),
    ],
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Explain the decision on a request of the inbox, or on the examples of a file."""
    from secureflow.agent import api
    from secureflow.agent.edge.policyfiles import explained
    from secureflow.cli.kinds import given

    if _ITEM.fullmatch(what):
        found = [api.policy_explain(config, what)]
    else:
        found = explained(config, Path(what), given(context).specs)
    if output is not Form.TABLE:
        show(found, output)
        return
    for one in found:
        write("\n".join(told(one)))


@app.command("suggest", help=t("Draft a rule from a decision; nothing is installed."))
def suggest(
    item: Annotated[
        str,
        typer.Argument(metavar="REQUEST", help=t("Full id of the request: 64 characters.")),
    ],
    config: Config = _CONFIG,
) -> None:
    """Print a Cedar policy that would have decided this request so, and nothing wider."""
    from secureflow.agent import api

    write(api.policy_suggest(config, item)["policy"].rstrip())
    say(
        t(
            "Nothing is installed. Read it, widen it only where you mean to, then save it and name "
            "the file under consent.policies in agent.yaml."
        )
    )


def told(one: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that explain a decision."""
    head = plain(str(one.get("name") or one.get("item") or ""))
    yield t("{what}: {effect}", what=head, effect=_effect(one))
    for reason in one["by"]:
        yield "  " + plain(said(str(reason)))
    for near in one["nearly"]:
        yield "  " + t("nearly: {title}; missing:", title=plain(str(near["title"])))
        yield from (f"    {plain(str(part))}" for part in near["missing"])


def _effect(one: Mapping[str, Any]) -> str:
    if one["effect"] == "ask":
        return t("two people are asked") if one["two_people"] else t("a person is asked")
    return t("allowed") if one["effect"] == "allow" else t("refused")


def _tested(one: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, "by": listed(said(str(by)) for by in one["by"]), "ok": bool(one["ok"])}

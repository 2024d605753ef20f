"""`secureflow agent anchor`: what this agent anchored at places, and what it made of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.files import read_json
from secureflow.cli.texts import part_of, said, t
from secureflow.cli.timespans import spelled
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

app = group("Places that others keep: heads of the log and deeds of this agent go there.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
PlaceName = Annotated[str, typer.Argument(help=t("Name of the place in agent.yaml."))]
OnePlace = Annotated[str, typer.Option("--place", help=t("Only this place."))]
Node = Annotated[str, typer.Option(help=t("URL of your own node (JSON-RPC)."))]
_CONFIG = Path("agent.yaml")
_ENTRIES: Final = ("digest", "place", "kind", "state", "result", "at", "transaction", "block")
_AT_PLACE: Final = ("place", "state", "result", "reason", "at", "transaction", "block", "receipt")
_HEADS: Final = ("place", "size", "root", "sender", "at", "verdict")
_DOCTOR: Final = ("name", "make", "place", "waiting", "late", "problem", "hint")
_VERIFIED: Final = ("place", "heads", "receipts", "problems")
_WEEK: Final = 7 * 86_400


@app.command("list", help=t("List what this agent anchored, newest first."))
def list_anchors(
    place: OnePlace = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help=t("How many at most."))] = 50,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """List own deeds at places; the table is followed by what is wrong or late."""
    from secureflow.agent import api

    found = api.anchor_list(config, place, most)
    if output is not Form.TABLE:
        show(found, output)
        return
    names = {one["place"]: one["name"] for one in found["places"]}
    rows = [_entry(one, names) for one in found["entries"]]
    show(rows, output, _ENTRIES)
    for one in found["places"]:
        _say_state(one)
    if not found["places"]:
        say(t("agent.yaml names no place under anchors."))


@app.command("heads", help=t("List heads that places keep, and what this agent made of them."))
def heads(
    place: OnePlace = "",
    most: Annotated[int, typer.Option(min=1, max=1000, help=t("How many at most."))] = 50,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """List anchored heads."""
    from secureflow.agent import api

    found = api.anchor_heads(config, place, most)
    rows = [{**one, "at": moment(one["at"]), "verdict": t(one["verdict"])} for one in found]
    show(rows if output is Form.TABLE else found, output, _HEADS)


@app.command("show", help=t("Show one deed, what it stands for, and its receipts."))
def show_anchor(
    digest: Annotated[str, typer.Argument(help=t("Digest of the deed, all 64 digits."))],
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show an own deed; the salts in it are this owner's secret."""
    from secureflow.agent import api

    found = api.anchor_show(config, digest)
    if output is Form.TABLE:
        # "entry" is a bundle's first file elsewhere; what a place repeats is told once.
        places = [{name: one[name] for name in _AT_PLACE if name in one} for one in found["places"]]
        found = {"deed": found.pop("entry"), **found, "places": places}
    show(found, output)


@app.command("verify", help=t("Ask the places again: members, heads, and receipts of own deeds."))
def verify(place: OnePlace = "", config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Verify; what does not hold ends with its error."""
    from secureflow.agent import api

    found = api.anchor_verify(config, place)
    table = [{**one, "problems": len(one["problems"])} for one in found]
    show(table if output is Form.TABLE else found, output, _VERIFIED)
    problems = [problem for one in found for problem in one["problems"]]
    if problems:
        raise SecureFlowError.from_json(problems[0])


@app.command("doctor", help=t("Check each place: its node, its members, what is late."))
def doctor(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Examine the places."""
    from secureflow.agent import api

    found = api.anchor_doctor(config)
    rows = [
        {
            **one,
            "late": spelled(one["late"]) if one["late"] else "",
            "problem": said(part_of(one, "problem")),
            "hint": said(part_of(one, "hint")),
        }
        for one in found
    ]
    show(rows if output is Form.TABLE else found, output, _DOCTOR)
    for one in found:
        if one["problem"]:
            problem, hint = part_of(one, "problem"), part_of(one, "hint")
            raise SecureFlowError("anchor_unavailable", said(problem), said(hint))


@app.command("account", help=t("Write this member's account at a place, signed by its key."))
def account(
    place: Annotated[
        str, typer.Argument(help=t("Name of the place in agent.yaml, or evm:CHAIN:0x… as planned."))
    ],
    config: Config = _CONFIG,
    output: Output = Form.JSON,
) -> None:
    """Show the account with its binding; the other members check it against the charter."""
    from secureflow.agent import api

    show(api.anchor_account(config, place), output)


@app.command("plan", help=t("Show which place the next deployment on a chain makes."))
def plan(url: Node, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show it: each member signs its account at it before it is made."""
    from secureflow.agent import api

    found = api.anchor_plan(config, url)
    show(found, output)
    if output is Form.TABLE:
        say(t("Each member: secureflow agent anchor account {place} > ACCOUNT.json", **found))


@app.command("deploy", help=t("Make the planned place on a chain, with its members."))
def deploy(
    accounts: Annotated[
        list[Path], typer.Argument(help=t("Files of `agent anchor account`, of every member."))
    ],
    url: Node,
    window: Annotated[
        int, typer.Option(min=60, max=365 * 86_400, help=t("Seconds in which shares are disputed."))
    ] = _WEEK,
    target: Annotated[
        str, typer.Option(help=t("paris, or istanbul for GoQuorum and other old chains."))
    ] = "paris",
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Deploy; whoever does it has no role in the place afterwards."""
    from secureflow.agent import api

    if target not in {"paris", "istanbul"}:
        raise SecureFlowError("invalid_request", t("The code is built for paris or istanbul."))
    documents = [read_json(one) for one in accounts]
    confirmed(t("Make a place of {count} members?", count=len(documents)), yes)
    found = api.anchor_deploy(config, url, documents, window, target)
    show(found, output)


@app.command("admit", help=t("Vote for a member of a place, by the file of its account."))
def admit(
    place: PlaceName,
    account_file: Annotated[
        Path, typer.Argument(metavar="ACCOUNT", help=t("File of `agent anchor account`."))
    ],
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Vote; the document is checked against the pinned charter."""
    from secureflow.agent import api

    document = read_json(account_file)
    # Its key, not the name that the file gives itself: the agent says whose key it is.
    key = shown(str(document.get("member")))[:64] if isinstance(document, dict) else "?"
    confirmed(t("Vote for {member} as a member of {place}?", member=key, place=place), yes)
    show(api.anchor_vote(config, "admit", place=place, account=document), output)


@app.command("remove", help=t("Vote to take a member out of a place."))
def remove(
    place: PlaceName,
    member: Annotated[
        str, typer.Argument(help=t("Organisation of the charter, or a charter key in hex."))
    ],
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Vote; what is owed to or by the member stays."""
    from secureflow.agent import api

    confirmed(t("Vote to take {member} out of {place}?", member=member, place=place), yes)
    show(api.anchor_vote(config, "remove", place=place, member=member), output)


@app.command("upgrade", help=t("Vote to close a place, which is continued at another one."))
def upgrade(
    place: PlaceName,
    successor: Annotated[str, typer.Argument(help=t("The other place whole, like evm:1337:0x…"))],
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Vote; a closed place takes payments and their confirmations only."""
    from secureflow.agent import api

    confirmed(
        t("Vote to close {place}, to be continued at {successor}?", place=place,
          successor=successor), yes,
    )  # fmt: skip
    show(api.anchor_vote(config, "upgrade", place=place, successor=successor), output)


@app.command(
    "again", help=t("Send a vote again: it is counted anew where members came or went since.")
)
def again(
    digest: Annotated[str, typer.Argument(help=t("Digest of the vote, all 64 digits."))],
    place: OnePlace = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Repeat a vote that ended; one that is on its way is left alone."""
    from secureflow.agent import api

    show(api.anchor_vote(config, "again", entry=digest, place=place), output)


def _entry(one: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {
        **one,
        "place": names.get(one["place"], one["place"]),
        "state": t(one["state"]),
        "result": t(one["result"]) if one["result"] else "",
        "at": moment(one["at"]),
    }


def _say_state(one: dict[str, Any]) -> None:
    if trouble := one["trouble"]:
        say(t("{name}: {problem}", name=one["name"], problem=said(part_of(trouble, "message"))))
    if one["late"]:
        late = spelled(one["late"])
        say(
            t("{name}: {count} waiting, the oldest for {late}.", name=one["name"],
              count=one["waiting"], late=late)
        )  # fmt: skip

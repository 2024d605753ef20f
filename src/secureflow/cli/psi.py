"""`secureflow psi`: which rows of several owners have equal keys, and who learns it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.asking import Datasets, ask_for, datasets_of
from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.escaping import plain
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import listed, said, t
from secureflow.kit import reading
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import text_in

if TYPE_CHECKING:
    from secureflow.sdk import Client

app = group("Which rows of several owners have equal keys, without showing each other the rest.")

_ATTEMPT: Final = ("attempt", "state", "seconds", "reason")
Rules = Annotated[
    list[str],
    typer.Option(
        "--key",
        metavar="RULE",
        help=t(
            "How a column of the key is normalised: none, trim, case, phone, phone:COUNTRY, "
            "id_card or email; once for each column of the key."
        ),
    ),
]
Columns = Annotated[
    list[str],
    typer.Option(
        "--column",
        metavar="[ORG:]COLUMN",
        help=t(
            "A party's column of the key, in the order of the rules; may be repeated. Without "
            "ORG: of every party that no other option names."
        ),
    ),
]
Receiver = Annotated[
    str,
    typer.Option(
        metavar="ORG",
        help=t(
            "With --learns size: who learns it; with all of more than two: who runs it with each."
        ),
    ),
]
Granted = Annotated[
    list[str] | None,
    typer.Option(
        "--granted",
        metavar="ORG:COLUMN",
        help=t("A party's column that stands beside the key in results; may be repeated."),
    ),
]
TellsSize = Annotated[
    bool,
    typer.Option("--tells-size", help=t("The report tells everybody how many keys match.")),
]


@app.command("run", help=t("Intersect the keys of several owners."))
def run(
    project: Annotated[str, typer.Option(help=t("Id or name of the project."))],
    purpose: Annotated[str, typer.Option(help=t("What the result is for, as granted."))],
    key: Rules,
    column: Columns,
    learns: Annotated[
        str,
        typer.Option(
            metavar="ORG|all|size", help=t("Who learns which keys match, or how many: size.")
        ),
    ],
    dataset: Datasets = None,
    granted: Granted = None,
    receiver: Receiver = "",
    join: Annotated[
        str, typer.Option(help=t("Which rows: inner, left, right, full or difference."))
    ] = "inner",
    protocol: Annotated[
        str, typer.Option(help=t("rr22, kkrt, ecdh or openmined. Default: as fits."))
    ] = "",
    minimum: Annotated[
        int, typer.Option(min=0, help=t("The smallest intersection that may be shown."))
    ] = 0,
    size_first: Annotated[
        bool,
        typer.Option(
            "--size-first", help=t("The party that does not receive sees the size first.")
        ),
    ] = False,
    tells_size: TellsSize = False,
    most_rows: Annotated[
        int | None, typer.Option(min=1, help=t("The most keys that a party may bring."))
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, max=10, help=t("How often it may be begun."))] = 3,
    name: Annotated[str, typer.Option(help=t("Name of the job."))] = "intersection",
    dry_run: Annotated[bool, typer.Option(help=t("Only show what it would be."))] = False,
    watch: Annotated[bool, typer.Option(help=t("Wait until it is done."))] = False,
    output: Output = Form.TABLE,
) -> None:
    """Intersect keys."""
    asked = {
        "key": [_part(one) for one in key],
        "learns": learns,
        "receiver": receiver or None,
        "join": join,
        "protocol": protocol or None,
        "minimum": minimum or None,
        "size_first": size_first or None,
        "tells_size": tells_size or None,
        "most_rows": most_rows,
        "attempts": attempts,
    }
    with client() as connection:
        request = _request(connection, project, dataset, asked)
        parties = _parties(connection, request["project"], request["datasets"])
        columns = _sides(column, granted or (), parties)
        request |= {"name": name, "purpose": purpose, "columns": columns}
        ask_for(connection, request, show_intersection, output, dry_run=dry_run, watch=watch)


def show_intersection(report: Mapping[str, Any], output: Form) -> None:
    """Print who learned something, how many keys there were, and how the attempts went."""
    told = reading.members(report.get("intersection"))
    if output is not Form.TABLE:
        show(told, output)
        return
    keys, matched = (reading.members(told.get(one)) for one in ("keys", "matched"))
    rows = [
        {"party": plain(party), "keys brought": count, "matched": matched.get(party)}
        for party, count in keys.items()
    ]
    show(rows, output, ("party", "keys brought", *(("matched",) if matched else ())))
    attempts = [_attempt(one) for one in reading.objects(told.get("attempts"))]
    if len(attempts) > 1:
        write(f"\n{t('Attempts')}")
        show(attempts, output, _ATTEMPT)
    say_where(report)


def say_where(report: Mapping[str, Any]) -> None:
    """Say who keeps the result, and how to read it there."""
    told = reading.members(report.get("intersection"))
    learners = [plain(str(one)) for one in reading.listed(told.get("learners"))]
    say(
        t(
            "The result is with {parties}: secureflow agent results show {job}",
            parties=listed(learners), job=str(report.get("job", "")),
        )
    )  # fmt: skip


def _attempt(row: Mapping[str, Any]) -> dict[str, Any]:
    reasons = reading.objects(row.get("reasons"))
    told = (f"{plain(str(one.get('party')))}: {said(text_in(one, 'reason'))}" for one in reasons)
    return {**row, "reason": "; ".join(told)}


def _part(rule: str) -> Any:
    """Return how a column is normalised: `phone:DE` names the country of numbers without a code."""
    name, colon, country = rule.partition(":")
    return {"rule": name, "country": country} if colon else name


def _parties(connection: Client, project: str, datasets: Iterable[str]) -> tuple[str, ...]:
    """Return the organisations whose datasets are named, as far as they are granted."""
    named_there = set(datasets)
    found = (one.organisation for one in connection.datasets.list(project) if one.id in named_there)
    return tuple(sorted(set(found)))


def _sides(
    keys: Sequence[str], granted: Iterable[str], parties: Sequence[str]
) -> dict[str, dict[str, list[str]]]:
    """Return each party's columns; those of the key without a party are of all that have no own.

    Args:
        keys: as options give them.
        granted: likewise.
        parties: who brings a dataset.

    Raises:
        SecureFlowError: `invalid_request` for what is no party with a column, and where a party
            has no column of the key.
    """
    bare = [one for one in keys if ":" not in one] if parties else []
    sides = _named([one for one in keys if one not in bare], granted)
    lacking = [party for party in parties if "key" not in sides.get(party, {})]
    if lacking and not bare:
        raise SecureFlowError(
            "invalid_request",
            t("No column of the key is named for {parties}.", parties=listed(lacking)),
            t(
                "Add {options}, or name a column without ORG where it is called so at every party.",
                options=" ".join(f"--column {party}:COLUMN" for party in lacking),
            ),
        )
    for party in lacking:
        sides.setdefault(party, {})["key"] = bare
    return sides


def _named(keys: Sequence[str], granted: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    sides: dict[str, dict[str, list[str]]] = {}
    for name, options in (("key", keys), ("granted", granted)):
        for option in options:
            party, colon, column = option.partition(":")
            if not colon or not party or not column:
                raise SecureFlowError(
                    "invalid_request",
                    t("{option!r} is no party with a column.", option=option[:80]),
                    t("Write ORG:COLUMN, such as bank-a:phone."),
                )
            sides.setdefault(party, {}).setdefault(name, []).append(column)
    return sides


def _request(
    connection: Client, project: str, datasets: Sequence[str] | None, asked: Mapping[str, Any]
) -> dict[str, Any]:
    key = named(connection, "project", project)
    return {
        "kind": "psi",
        "project": key,
        "datasets": list(datasets_of(connection, key, datasets)),
        **{name: value for name, value in asked.items() if value is not None},
    }

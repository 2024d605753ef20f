"""`secureflow mpc`: the programs that parties compute with one another, and what they open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text, spelled

if TYPE_CHECKING:
    from secureflow.domain.specs.mpc_programs import ProgramEntry, ProtocolEntry
    from secureflow.sdk.totals import KeyedTotals

app = group("Programs that parties compute with one another, without showing each other rows.")

_LISTED: Final = ("name", "version", "engines", "parties", "title")
_LABEL: Final = (
    *("adversary", "threshold", "collusion", "trusted", "leakage", "repeats", "numeric"),
    "transport",
)
_FORMATS: Final = (".parquet", ".csv", ".npy")

Program = Annotated[str, typer.Argument(help=t("Name of a program, as `mpc list` shows it."))]
Job = Annotated[str, typer.Argument(help=t("Id or name of a job."))]


@app.command("list", help=t("List the programs."))
def list_programs(output: Output = Form.TABLE) -> None:
    """List the programs."""
    from secureflow.domain.specs.mpc_programs import PROGRAMS

    rows = [
        {
            "name": one.name,
            "version": one.version,
            "engines": listed(map(t, one.engines)),
            "parties": _parties(one) if output is Form.TABLE else one.smallest,
            "title": t(one.title),
        }
        for one in PROGRAMS.values()
    ]
    show(rows, output, _LISTED)


@app.command("describe", help=t("Describe a program: who learns what, how safe, how exact."))
def describe(program: Program, output: Output = Form.TABLE) -> None:
    """Describe a program."""
    from secureflow.domain.specs.mpc_programs import entry_of

    entry = entry_of(program)
    if output is not Form.TABLE:
        show({**_facts(entry), "schema": entry.schema}, output)
        return
    write(f"{entry.name}/{entry.version}: {t(entry.title)}")
    write(t("exactness: {text}", text=t(entry.numeric)))
    for who, what in entry.learns:
        write(t("learns: {who}: {what}", who=t(who), what=t(what)))
    for name, protocol in entry.protocols.items():
        write("")
        show(dict(_protocol(name, protocol)), output)
    say(t("Its parameters as a JSON schema: secureflow mpc describe {name} -o json",
          name=entry.name))  # fmt: skip


@app.command("estimate", help=t("Tell what a program costs: bytes, memory, seconds."))
def estimate_program(
    program: Program,
    parties: Annotated[int, typer.Option(min=2, max=256, help=t("How many parties."))] = 3,
    numbers: Annotated[
        int, typer.Option(min=1, max=1 << 22, help=t("How many numbers joint sums add up."))
    ] = 1000,
    rows: Annotated[
        int, typer.Option(min=1, max=1 << 25, help=t("Rows of each party, for an engine."))
    ] = 1000,
    columns: Annotated[
        int, typer.Option(min=1, max=512, help=t("Columns of each party, for an engine."))
    ] = 1,
    output: Output = Form.TABLE,
) -> None:
    """Estimate what a program costs."""
    from secureflow.domain.specs.mpc_programs import BUILT_IN, entry_of
    from secureflow.engines.mpc.estimate import estimate

    entry = entry_of(program)
    fitting = {n: one for n, one in entry.protocols.items() if one.takes(parties)}
    sizes = map(_sized, entry.protocols.items())
    if not fitting:
        raise SecureFlowError(
            "parties_wrong",
            Text("No protocol of {program} takes {count} parties.",
                 program=entry.name, count=parties),
            Text("Those that there are: {names}.", names=", ".join(sizes)),
        )  # fmt: skip
    name, protocol = next(iter(fitting.items()))
    told: dict[str, Any] = {"program": entry.name, "protocol": name, "parties": parties}
    if protocol.engine == BUILT_IN:
        _show_cost({**told, "numbers": numbers}, estimate(numbers, parties), output)
        return
    sized = {"rows": rows, "columns": columns}
    found = _of_engine(entry.name, name, parties, (rows, columns))
    _show_cost({**told, **sized}, found, output)


def _show_cost(of: Mapping[str, Any], estimate: Mapping[str, Any], output: Form) -> None:
    from secureflow.cli import estimates

    read = dict(estimates.told(estimate)) if output is Form.TABLE else estimate
    show({**of, **read}, output)
    if output is Form.TABLE:
        say(t("An estimate: machines and links differ."))


@app.command("totals", help=t("Write the totals of a query by keys into a file."))
def totals(
    job: Job,
    file: Annotated[Path, typer.Argument(help=t("File to write: .parquet, .csv or .npy."))],
    query: Annotated[str, typer.Option(help=t("Name of the query, if there are several."))] = "",
) -> None:
    """Write totals by keys into a file."""
    if file.suffix not in _FORMATS:
        raise SecureFlowError(
            "invalid_request",
            Text("{file} names no format.", file=file.name),
            Text("The formats are: {formats}.", formats=", ".join(_FORMATS)),
        )
    with client() as connection:
        found = connection.mpc.totals(named(connection, "job", job))
    name = query or next(iter(found), "")
    if name not in found or (len(found) > 1 and not query):
        raise SecureFlowError(
            "invalid_request",
            Text("Say which query: --query NAME."),
            Text("The queries by keys are: {names}.", names=", ".join(found)),
        )
    _write(found[name], file)
    say(t("{count} totals are in {file}.", count=f"{len(found[name].steps):,}", file=file))


def _parties(entry: ProgramEntry) -> str:
    """Return how many parties the protocols of a program take, from the fewest to the most."""
    most = max(one.parties[1] for one in entry.protocols.values())
    return _range(entry.smallest, most)


def _range(least: int, most: int) -> str:
    return f"{least}" if least == most else f"{least}-{most}"


def _sized(one: tuple[str, ProtocolEntry]) -> str:
    """Return a protocol with how many parties it takes."""
    name, (least, most) = one[0], one[1].parties
    return f"{name} ({_range(least, most)})"


def _of_engine(program: str, protocol: str, parties: int, shape: tuple[int, int]) -> dict[str, Any]:
    """Return what a run of an engine costs if every party brings as much.

    Of a program of others it is the least: that each input is shared once, and opened.
    """
    from secureflow.adapters.mpcengines import mpyc_engine, spu_estimates
    from secureflow.domain.specs.engineprograms import COLUMNS, SINGLE, WEIGHTS

    rows, columns = shape
    named = SINGLE.get(program, COLUMNS)
    own = (rows,) if named != COLUMNS else (rows, columns)
    shapes: dict[str, dict[str, tuple[int, ...]]] = {
        f"party-{number}": {named: own} for number in range(parties)
    }
    if program == "logistic":
        shapes[f"party-{parties - 1}"] = {WEIGHTS: ((parties - 1) * columns + 1,)}
    found = (
        mpyc_engine.estimated(shapes)
        if program == mpyc_engine.NAME
        else spu_estimates.estimated(program, protocol.upper(), shapes)
    )
    return {"bytes": found.bytes, "memory_bytes": found.memory, "seconds": round(found.seconds, 2)}


def _write(totals_of: KeyedTotals, file: Path) -> None:
    import io

    import numpy as np

    from secureflow.kit.atomic import write_result

    buffer = io.BytesIO()
    if file.suffix == ".npy":
        np.save(buffer, totals_of.values, allow_pickle=False)
    elif file.suffix == ".csv":
        from pyarrow import csv

        csv.write_csv(totals_of.to_arrow(), buffer)
    else:
        from pyarrow import parquet

        parquet.write_table(totals_of.to_arrow(), buffer)
    write_result(file, buffer.getvalue())


def _facts(entry: ProgramEntry) -> dict[str, Any]:
    """Return an entry as JSON."""
    return {
        "name": entry.name,
        "version": entry.version,
        "title": spelled(entry.title),
        "learns": [{"who": who, "what": what} for who, what in entry.learns],
        "numeric": spelled(entry.numeric),
        "smallest": entry.smallest,
        "protocols": {
            name: {"engine": one.engine, "parties": list(one.parties), "label": one.label.as_json()}
            for name, one in entry.protocols.items()
        },
    }


def _protocol(name: str, protocol: ProtocolEntry) -> Iterator[tuple[str, str]]:
    least, most = protocol.parties
    yield "protocol", name
    yield "engine", t(protocol.engine)
    yield "parties", _range(least, most)
    for one in _LABEL:
        value = getattr(protocol.label, one)
        if value:
            name = "privacy_threshold" if one == "threshold" else one  # not that of a classifier
            yield name, listed(map(t, value)) if isinstance(value, tuple) else t(value)

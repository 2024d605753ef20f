"""`secureflow agent results`: what an owner learned in computations with others, in its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.escaping import plain
from secureflow.cli.exporting import check_folder, check_target, write_files, write_rows
from secureflow.cli.files import check_writable, refuse_existing, write_text
from secureflow.cli.texts import listed, t
from secureflow.kit import reading
from secureflow.kit.errors import SecureFlowError

app = group("What this organisation learned in computations with others; the files stay here.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Job = Annotated[str, typer.Argument(help=t("Id of the job."))]
_CONFIG = Path("agent.yaml")
_COLUMNS: Final = ("job", "name", "kind", "with", "rows", "matched", "at", "state")
_LINES: Final = (
    *("job", "name", "purpose", "kind", "learns", "join", "dataset", "domain", "with", "rows"),
    *("files", "matched", "attempt", "bytes", "file", "at", "state", "path"),
)
_LEARNS: Final = {"one": "one party", "all": "all parties", "size": "the number of matches"}
_ENTRIES: Final = ("attempt", "party", "count", "inputs", "leaf", "at", "valid")


@app.command("list", help=t("List the results that this agent keeps."))
def list_results(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List results, the newest first."""
    from secureflow.agent import api

    found = api.results_list(config)
    rows = [_told(one) for one in found] if output is Form.TABLE else found
    show(rows, output, _COLUMNS)


@app.command("show", help=t("Show a job's result, and compare its file with the log."))
def show_result(job: Job, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show a result; JSON has its lineage, and the leaf with its document and salt, as well."""
    from secureflow.agent import api

    found = api.results_show(config, job)
    if output is not Form.TABLE:
        show(found, output)
        return
    show(_told(found), output, _LINES)
    if found.get("state") == "altered":
        say(t("The file is not the one that this agent wrote and committed to."))
    elif found.get("state") == "gone":
        say(t("The file is no longer there, and its job makes it only once: submit it again."))
    elif found.get("state") == "unknown":
        say(t("This agent was restored without what it committed to: nobody can compare the file."))
    elif found.get("state") == "kept":
        say(t("The file is the one that the log's entry {leaf} commits to.", leaf=found["hash"]))
        if found.get("files") is not None:
            say(t("Its files: secureflow agent results export {job} FOLDER", job=job))
            return
        if named := listed(found.get("datasets") or ()):
            say(t("It is declared as a dataset: {names}.", names=named))
            return
        say(
            t("As a dataset of further jobs: secureflow agent data inspect --result {job}", job=job)
        )


@app.command(
    "export", help=t("Write a job's result as CSV or Parquet; files of a program into a folder.")
)
def export(
    job: Job,
    path: Annotated[
        Path,
        typer.Argument(
            help=t(
                "File to write, FILE.csv or FILE.parquet; or a new folder for a program's files."
            )
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
    config: Config = _CONFIG,
) -> None:
    """Write a copy of the file, checked against the log's entry, readable by its owner only."""
    from secureflow.agent import api

    found = api.results_show(config, job)
    if found.get("files") is not None:
        check_folder(path)
        check_kept(found)
        write_files(Path(found["path"]), path)
        return
    check_target(path, force)
    check_kept(found)
    write_rows(Path(found["path"]), path, foreign=True)


@app.command("entries", help=t("Show or export what peers signed for a job's attempts."))
def entries(
    job: Job,
    path: Annotated[
        Path | None, typer.Argument(help=t("File to write, as JSON, for whoever judges."))
    ] = None,
    force: Annotated[bool, typer.Option("--force", help=t("Replace a file that exists."))] = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show each entry, checked; the file has leaf, document and salt of each, with its key."""
    from secureflow.agent import api

    if path is not None:
        refuse_existing(path, force)
        check_writable(path)
    found = api.results_entries(config, job)
    if path is None:
        told = [
            {
                **one,
                "party": plain(str(one["party"])),
                "at": moment(one["at"]),
                "valid": one["holds"],
            }
            for one in found
        ]
        show(told if output is Form.TABLE else found, output, _ENTRIES)
        return
    text = json.dumps({"job": job, "entries": found}, indent=2, ensure_ascii=False)
    write_text(path, text + "\n")
    say(t("Written to {path}.", path=path))


@app.command("remove", help=t("Remove the file of a job's result."))
def remove(job: Job, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Remove a file; what the log has of it stays."""
    from secureflow.agent import api

    named = listed(api.results_show(config, job)["datasets"])
    if named:
        say(t("It is declared as a dataset, which can be read no more then: {names}.", names=named))
    confirmed(t("Remove the result of {what}? Its job makes it only once.", what=job), yes)
    api.results_remove(config, job)
    say(t("{what} is removed.", what=job))


def check_kept(found: dict[str, Any]) -> None:
    """Refuse a result that has no file, or one that is not as this agent wrote it.

    Raises:
        SecureFlowError: `not_found`.
    """
    if found.get("state") != "kept":
        raise SecureFlowError(
            "not_found",
            t("The result of {job} has no file as this agent wrote it: {state}.",
              job=found["job"], state=t(str(found["state"]))),
            t("Submit the job again."),
        )  # fmt: skip


def _told(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "with": listed(map(plain, reading.members(one.get("peers")))),
        "at": moment(one["at"]),
        **({"learns": t(_LEARNS[one["learns"]])} if one.get("learns") in _LEARNS else {}),
        "state": t(str(one["state"])),
    }

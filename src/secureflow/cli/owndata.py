"""`secureflow agent data`: an owner's datasets, from inspecting a file to withdrawal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show, write
from secureflow.cli.texts import explained, said, said_approval, t
from secureflow.kit.errors import SecureFlowError

app = group("Datasets that this agent declares.")

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
Name = Annotated[str, typer.Argument(help=t("Name of the dataset in the configuration."))]
_CONFIG = Path("agent.yaml")
_USAGE = (
    *("at", "job", "dataset", "requester", "purpose", "kind", "columns", "approval", "epsilon"),
    "outcome",
)


@app.command(
    "inspect", help=t("Draft a dataset's declaration from its file or folder; nothing is sent.")
)
def inspect(
    file: Annotated[
        Path | None,
        typer.Argument(help=t("CSV or Parquet file, or a folder of images or arrays.")),
    ] = None,
    result: Annotated[
        str, typer.Option(help=t("Instead of a file: the job whose result it is to be."))
    ] = "",
    name: Annotated[str, typer.Option(help=t("Name of the dataset. Default: the file's."))] = "",
    category: Annotated[
        list[str] | None,
        typer.Option(help=t("A column of numbers to declare as categories, such as a label.")),
    ] = None,
    into: Annotated[
        bool, typer.Option("--write", help=t("Add it to the agent's YAML file."))
    ] = False,
    yes: Yes = False,
    config: Config = _CONFIG,
) -> None:
    """Draft a declaration; the agent need not run, but for a result."""
    from secureflow.adapters.datasources.folderinspection import inspect_data
    from secureflow.cli.drafting import block, remarks, slug

    file, origin = _chosen(file, result, config)
    draft = inspect_data(file, category or ())
    called = name or slug(file.resolve().stem)
    lines = block(draft, called, _from(file, config), origin)
    write("\n".join(lines))
    for one in remarks(draft):
        say(one)
    if not into:
        say(t("Paste it under `datasets:` in agent.yaml, or add --write."))
        return
    from secureflow.agent.owner.settingsfile import add_dataset

    confirmed(t("Add it to {path}?", path=config), yes)
    add_dataset(config, called, lines)
    say(t("{what} is now in {path}: confirm its bounds there.", what=called, path=config))
    say(
        t(
            "Next: secureflow agent reload (or agent start), then "
            "secureflow agent data publish {name}",
            name=called,
        )
    )


@app.command("list", help=t("List the declared datasets."))
def list_data(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """List declared datasets."""
    from secureflow.agent import api

    found = api.data_list(config)
    if output is not Form.TABLE:
        show(found, output)
        return
    keyed = ("key_column",) if any(one.get("key") for one in found) else ()
    columns = ("name", "state", "published_as", "columns", *keyed, "path")
    show([_declared(one) for one in found], output, columns)


def _declared(one: dict[str, Any]) -> dict[str, Any]:
    state = t("edited since") if one["state"] == "edited since" else one["state"]
    return one | {"state": state, "published_as": one["published"], "key_column": one.get("key")}


@app.command("publish", help=t("Check a dataset against its schema and publish its description."))
def publish(
    name: Name,
    title: Annotated[str, typer.Option(help=t("Its display title."))] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Publish a dataset's description; rows stay here."""
    from secureflow.agent import api

    published = api.data_publish(config, name, title)
    if output is not Form.TABLE:
        show(published, output)
        return
    shown = {**published, "columns": len(published["columns"])}
    show(shown, output, ("id", "name", "title", "rows", "counted", "columns", "commitment"))
    say(
        t(
            "Others see the bucket of rows, never the count; {id} is its name in jobs.",
            id=published["id"],
        )
    )
    _print_grants(published)


def _print_grants(published: dict[str, Any]) -> None:
    grants = published["grants"]
    if grants["reduced"] or grants["ended"]:
        say(
            t(
                "Some columns now reveal more, or are gone: {reduced} {reduced:grant|grants} lost "
                "them, {ended} ended, {kept} {kept:is|are} unchanged. Grant again what is to be "
                "used.",
                **grants,
            )
        )
    if not grants["kept"]:
        say(t('Next: secureflow data grant {id} PROJECT --purpose "…"', id=published["id"]))


@app.command("remove", help=t("Withdraw a published description."))
def remove(name: Name, yes: Yes = False, config: Config = _CONFIG) -> None:
    """Withdraw a description; its grants end."""
    from secureflow.agent import api

    uses = api.data_uses(config, name)
    say(_ends(uses))
    confirmed(t("Withdraw {what}?", what=name), yes)
    api.data_remove(config, name)
    say(t("{what} is withdrawn.", what=name))
    say(t("Published again it keeps its id and its privacy budget; its grants do not come back."))


def _ends(uses: dict[str, Any]) -> str:
    if unsaid := uses.get("unsaid"):
        error = SecureFlowError.from_json(unsaid)
        return t(
            "The server does not say which grants this ends: {why} It refuses {waiting} "
            "{waiting:request that waits|requests that wait}; {approved} approved "
            "{approved:job continues|jobs continue}.",
            why=explained(error.code, error.message),
            **{name: uses[name] for name in ("waiting", "approved")},
        )
    return t(
        "This ends {grants} {grants:grant|grants} of {projects} {projects:project|projects} and "
        "refuses {waiting} {waiting:request that waits|requests that wait}; {approved} approved "
        "{approved:job continues|jobs continue}.",
        **{name: uses[name] for name in ("grants", "projects", "waiting", "approved")},
    )


@app.command("budget", help=t("Show what of each privacy budget is spent."))
def budget(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show privacy budgets."""
    from secureflow.agent import api

    columns = ("domain", "unit", "epsilon", "delta", "spent", "locked")
    show(api.data_budget(config), output, columns)


@app.command(
    "settle", help=t("State what a restored agent spent of a privacy budget, and unlock it.")
)
def settle(
    domain: Annotated[str, typer.Argument(help=t("Name of the privacy domain."))],
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help=t("Audit bundle of a job since the backup; may be repeated.")
        ),
    ] = None,
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Charge a domain for budget spent since the backup; only its owner can know all of it."""
    from secureflow.agent import api
    from secureflow.cli.files import read_object

    bundles = [read_object(one) for one in bundle or ()]
    confirmed(
        t(
            "Was nothing else spent of {domain} since the backup, beyond the {count} "
            "{count:job|jobs} named here? Only you can know what a lying or restored centre does "
            "not show.",
            domain=domain,
            count=len(bundles),
        ),
        yes,
    )
    show(api.data_settle(config, domain, bundles), output)
    say(t("The privacy budget of {domain} is unlocked.", domain=domain))


def _chosen(file: Path | None, result: str, config: Path) -> tuple[Path, dict[str, Any] | None]:
    """Return the file to declare, and its lineage if it is a job's result.

    Raises:
        SecureFlowError: `invalid_request` for neither or both; those of `check_kept`.
    """
    if (file is None) == (not result):
        raise SecureFlowError(
            "invalid_request",
            t("Name either a file or a job's result."),
            "secureflow agent data inspect FILE",
        )
    if file is not None:
        return file, None
    from secureflow.agent import api
    from secureflow.cli.ownresults import check_kept

    found = api.results_show(config, result)
    check_kept(found)
    say(
        t(
            "Its rows stay in the privacy domain {domain}: give it the same privacy section as "
            "{dataset}, if that has one.",
            domain=found["domain"],
            dataset=found["dataset"],
        )
    )
    return Path(found["path"]), {"job": found["job"], "domain": found["domain"]}


def _from(file: Path, config: Path) -> str:
    """Return the file's path for agent.yaml: relative to its directory if inside."""
    path, base = file.resolve(), config.resolve().parent
    if config.exists() and path.is_relative_to(base):
        return str(path.relative_to(base))
    return str(path)


@app.command("usage", help=t("Show who used which data, for what, and under which approval."))
def usage(
    name: Annotated[str, typer.Argument(help=t("Name of a dataset. Default: all."))] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show the use of data from the agent's own record, compared with its ledger leaves."""
    from secureflow.agent import api

    found = api.data_usage(config, name)
    if output is not Form.TABLE:
        show(found, output)
        return
    rows = [
        {
            **one,
            "at": moment(one["at"]),
            "columns": len(one["columns"]),
            "approval": said_approval(one["approval"]),
        }
        for one in found["uses"]
    ]
    show(rows, output, _USAGE)
    for one in found["differences"]:
        say(t("Job {job}: {message}", job=one["job"], message=said(one["message"])))
    if not found["differences"]:
        say(t("The record agrees with the ledger entries that this agent signed."))

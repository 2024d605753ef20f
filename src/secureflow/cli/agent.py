"""`secureflow agent`: run one party. Commands reach the running agent through its 0600 socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from secureflow.cli import (
    inbox,
    ownanchors,
    owncode,
    owndata,
    owngrants,
    ownmodels,
    ownnotifications,
    ownpage,
    ownpredictions,
    ownprobing,
    ownresults,
    ownrevenue,
    ownstops,
    ownwitness,
    people,
    policies,
)
from secureflow.cli.backups import (
    Given,
    Into,
    IntoExisting,
    NewFile,
    PassphraseFile,
    advise_on_keys,
    backup_summary,
    passphrase,
)
from secureflow.cli.console import Form, Output, Yes, confirmed, group, moment, say, show
from secureflow.cli.files import read_json, write_text
from secureflow.cli.keys import WrappingKey, advise_on_wrapping
from secureflow.cli.texts import (
    explained,
    listed,
    part_of,
    said,
    said_approval,
    t,
    untranslated,
)
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.memory import loading
from secureflow.kit.text import text_in

app = group("One organisation's agent: data, keys and consent stay here.")
charter = group("The charter that this agent uses.")
app.add_typer(inbox.app, name="inbox")
app.add_typer(ownanchors.app, name="anchor")
app.add_typer(owndata.app, name="data")
app.add_typer(ownmodels.app, name="model")
app.add_typer(ownpredictions.app, name="prediction")
app.add_typer(ownprobing.app, name="probing")
app.add_typer(ownresults.app, name="results")
app.add_typer(owncode.bundles, name="bundle")
app.add_typer(owncode.environments, name="environment")
app.add_typer(ownnotifications.app, name="notification")
app.add_typer(owngrants.app, name="grant")
app.add_typer(ownrevenue.agreements, name="revenue")
app.add_typer(ownrevenue.settlements, name="settlement")
app.add_typer(ownstops.jobs, name="job")
app.add_typer(ownstops.projects, name="project")
app.add_typer(ownstops.requesters, name="requester")
app.add_typer(ownwitness.witness, name="witness")
app.add_typer(ownwitness.fraud, name="fraud")
app.add_typer(charter, name="charter")
app.add_typer(people.app, name="people")
app.add_typer(policies.app, name="policy")
app.command("login", help=t("Log in at the agent as a person who decides."))(people.login)
app.command("console", help=t("Serve the owner's page to browsers, from a process of its own."))(
    ownpage.serve
)
app.command("logout", help=t("End your session at the agent."))(people.logout)

Config = Annotated[
    Path, typer.Option(envvar="SECUREFLOW_AGENT_CONFIG", help=t("The agent's YAML file."))
]
_CONFIG = Path("agent.yaml")
_SAID = frozenset({"by", "reason", "message"})
"""Facts of the agent's record that are texts; others are names, digests and numbers."""
_TITLES = {"survivors": "contributors"}
"""What facts are called whose names stand for numbers elsewhere."""


@app.command("enroll", help=t("Make keys here and get a certificate with a one-time token."))
def enroll(
    directory: Annotated[Path, typer.Argument(help=t("New directory."))],
    token_file: Annotated[
        Path,
        typer.Option(readable=False, help=t("File with the enrolment token; `-` reads stdin.")),
    ],
    server: Annotated[str, typer.Option(help=t("URL of the server."))],
    name: Annotated[str, typer.Option(help=t("Name of this agent."))] = "agent",
    wrapping_key: WrappingKey = None,
    output: Output = Form.TABLE,
) -> None:
    """Enrol an agent."""
    from secureflow.agent import api

    made = api.enroll(
        directory, token_file=token_file, server=server, name=name, wrapping_key=wrapping_key
    )
    show(made, output)
    advise_on_wrapping(directory / "agent.yaml")
    say(t("Next: secureflow agent start --config {path}", path=directory / "agent.yaml"))


@app.command("start", help=t("Run the agent until SIGTERM."))
def start(context: typer.Context, config: Config = _CONFIG) -> None:
    """Run the agent."""
    with loading():
        from secureflow.agent.edge.main import run
        from secureflow.cli.pagedocument import PageDocuments

    raise typer.Exit(run(config, describe=PageDocuments(context.obj)))


@app.command("check", help=t("Verify everything that the agent stores; it may run meanwhile."))
def check(context: typer.Context, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Verify everything; the exit code is that of the first finding."""
    from secureflow.agent.edge.check import check as findings
    from secureflow.cli.doctor import report
    from secureflow.cli.kinds import given

    report(findings(config, given(context).specs), output)


@app.command("config", help=t("Show the effective settings, secrets masked."))
def show_settings(config: Config = _CONFIG, output: Output = Form.YAML) -> None:
    """Show the effective settings."""
    from secureflow.agent.settings import AgentSettings

    show(AgentSettings.load(config).masked(), output)


@app.command("status", help=t("Show link, charter, jobs and ledger of the running agent."))
def status(config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Show the agent's status."""
    from secureflow.agent import api

    answer = api.status(config)
    if output is Form.TABLE:
        answer["settings"] = _in_force(answer["settings"])
        answer["clock_skew"] = _clocks(answer.get("clock_skew"))
        for name in ("trouble", "alarm", "set_back"):
            answer[name] = _trouble(answer.get(name))
        answer["restored"] = _restored(answer.get("restored"))
        answer["jobs"] = "\n".join(map(_job, answer.get("jobs") or ()))
    show(answer, output)


@app.command("reload", help=t("Apply the edited settings without a restart."))
def reload(yes: Yes = False, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Reload agent.yaml; a privacy budget grows only after confirmation."""
    from secureflow.agent import api

    changes = api.reload(config, preview=True)
    for one in changes["budgets"]:
        before, after = one["before"], one["after"]
        say(
            t(
                "Budget {domain}: ε {before} at δ {old} → ε {after} at δ {new}",
                domain=one["domain"],
                before=before["epsilon"],
                old=before["delta"],
                after=after["epsilon"],
                new=after["delta"],
            )
        )
    tested = changes.get("probing") or []  # an agent of an older version knows none
    for one in tested:
        say(
            t(
                "Probing limit {domain}: {before} → {after}",
                domain=one["domain"],
                before=_ids(one["before"]),
                after=_ids(one["after"]),
            )
        )
    if any(one["grows"] for one in changes["budgets"]):
        confirmed(t("A privacy budget grows; what it reveals cannot be taken back. Continue?"), yes)
    if any(one["grows"] for one in tested):
        confirmed(
            t("Others may test more ids; what they learn cannot be taken back. Continue?"), yes
        )
    changes = api.reload(config, agreed=[*changes["budgets"], *tested])
    show(changes, output, ("changed", "restart"))
    if not changes["changed"]:
        say(t("Nothing that can be reloaded was edited."))
    if changes["restart"]:
        say(t("These need a restart: {names}.", names=listed(changes["restart"])))
    for one in api.data_list(config):
        if one["state"] == "edited since":
            say(t("Publish it again: secureflow agent data publish {name}", name=one["name"]))


def _ids(rule: dict[str, Any]) -> str:
    if rule["window"] is None:
        return t("{limit} ids", limit=rule["limit"])
    return t("{limit} ids in {window} days", limit=rule["limit"], window=rule["window"])


def _job(one: dict[str, Any]) -> str:
    return t(
        "{job}: {outcome}, approved {when}",
        job=one.get("job"),
        outcome=t(str(one.get("outcome") or "running")),
        when=moment(one.get("approved")),
    )


def _restored(times: dict[str, Any] | None) -> str:
    if times is None:
        return t("no")
    return t(
        "from a backup of {when}; budgets unlocked since: {domains}",
        when=moment(times["taken_at"]),
        domains=listed(times.get("settled") or ()) or "-",
    )


def _trouble(error: dict[str, Any] | None) -> str:
    """Return what is wrong, as a sentence, and the next step."""
    if not error:
        return t("no")
    code, message, hint = (part_of(error, name) for name in ("code", "message", "hint"))
    return explained(code, message) + (f" → {said(hint)}" if hint else "")


def _clocks(skew: int | None) -> str:
    from secureflow.kit.clock import differ

    if skew is None:
        return t("not compared yet")
    if not differ(skew):
        return t("differs by {seconds} s", seconds=skew)
    return t("differs by {seconds} s: set the clock (NTP)", seconds=skew)


def _logged(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the agent's record for people: facts that say nothing are left out."""
    facts = row.get("facts")
    if not isinstance(facts, dict):
        return row
    from secureflow.agent.console.screens.actionwords import told as in_words

    told = {_TITLES.get(name, name): one for name, one in facts.items()
            if name != "texts" and one not in ("", None, [])}  # fmt: skip
    said_of = {name: said_approval(text_in(facts, name)) for name in _SAID & set(told)}
    return {
        **row,
        "action": said(in_words(str(row.get("action")), facts, {})),
        "facts": {**told, **said_of},
    }


def _in_force(settings: dict[str, Any]) -> str:
    """Describe in a line whether the settings in the file are in force."""
    if settings["state"] == "invalid":
        return t("the file does not load: {reason}", reason=settings["problem"]["message"])
    parts = []
    if settings["changed"]:
        names = listed(settings["changed"])
        parts.append(t("edited, not applied: {names} (secureflow agent reload)", names=names))
    if settings["restart"]:
        names = listed(settings["restart"])
        parts.append(t("edited, needs a restart: {names}", names=names))
    return t("; ").join(parts) or t("as in the file")


@app.command("doctor", help=t("Check the connection to the centre and show which check fails."))
def doctor(context: typer.Context, config: Config = _CONFIG, output: Output = Form.TABLE) -> None:
    """Make every check; the exit code is that of the first failure."""
    from secureflow.agent import api
    from secureflow.cli.doctor import report
    from secureflow.cli.kinds import given

    report(api.doctor(config, given(context).specs), output)


@app.command("log", help=t("Show what this agent did."))
def log(
    limit: Annotated[int, typer.Option(min=1, help=t("Show at most this many."))] = 100,
    job: Annotated[str, typer.Option(help=t("Only for this job."))] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show the agent's own record."""
    from secureflow.agent import api

    rows = api.log(config, job=job, limit=limit)
    show(rows if output is not Form.TABLE else [_logged(one) for one in rows], output)


@app.command("leaves", help=t("Show the ledger leaves that this agent signed in a job."))
def leaves(
    job: Annotated[str, typer.Argument(help=t("Id of the job."))],
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show own leaves; as JSON they can be compared with a bundle: `audit verify --held`."""
    from secureflow.agent import api

    show(api.leaves(config, job=job), output, ("kind", "hash", "proved"))


@app.command("clear-alarm", help=t("Let the agent continue after an alarm that it raised."))
def clear_alarm(
    reason: Annotated[str, typer.Option(help=t("A note for the log."))],
    yes: Yes = False,
    config: Config = _CONFIG,
    output: Output = Form.YAML,
) -> None:
    """Clear an alarm about the centre; the owner gives the reason to continue."""
    from secureflow.agent import api

    confirmed(t("Continue although the agent raised an alarm?"), yes)
    outcome = api.clear_alarm(config, reason)
    cleared = outcome.get("cleared")
    if cleared is not None and output is not Form.JSON:
        outcome["cleared"] = explained(part_of(cleared, "code"), part_of(cleared, "message"))
    show(outcome, output)
    if cleared is None:
        say(t("There was no alarm."))


@app.command("backup", help=t("Write this agent into one file, without its data."))
def backup(
    file: NewFile,
    passphrase_file: PassphraseFile = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Back up an agent, running or stopped."""
    from secureflow.agent.owner.backup import back_up

    made = back_up(config, file, passphrase(passphrase_file))
    summary = {"party": made.facts["party"], "leaves": made.facts["leaves"]}
    with untranslated(output is not Form.TABLE):
        summary = {**backup_summary(file, made), **summary}
    show(summary, output)
    advise_on_keys(made, "signing.key, link.pem")


@app.command("restore", help=t("Restore an agent's folder from a backup."))
def restore(
    file: Given,
    directory: Into,
    passphrase_file: PassphraseFile = None,
    into_existing: IntoExisting = False,
    output: Output = Form.TABLE,
) -> None:
    """Restore an agent: it takes part in no older job, and its budgets wait for the owner."""
    from secureflow.agent.owner import backup as backups

    secret = passphrase(passphrase_file)
    found = backups.restore(file, directory, passphrase=secret, into_existing=into_existing)
    with untranslated(output is not Form.TABLE):
        summary = {
            "config": str(found.config),
            "party": found.party,
            "as_of": moment(found.manifest.facts.get("made_at")),
            "log_size": found.size,
            "leaves": found.leaves,
            "ended": ", ".join(found.ended) or "-",
            "domains": ", ".join(found.domains) or "-",
            "keys": t("there") if found.keys else t("missing"),
        }
    show(summary, output)
    say(t("This agent does not vote, train or spend in any job that is older than this restore."))
    say(
        t(
            "Its privacy budgets are locked until you say what was spent since the backup: "
            "secureflow agent data settle DOMAIN."
        )
    )
    if any(one.startswith("probing:") for one in found.domains):
        say(
            t(
                "So are the limits of ids that others may test (probing:DOMAIN): secureflow agent "
                "probing settle DOMAIN --tested IDS."
            )
        )
    if found.keys:
        say(t("Next: secureflow agent start --config {path}", path=found.config))
    else:
        say(
            t(
                "The keys are missing: put signing.key and link.pem of this agent into {path}, "
                "or enrol it again with another key.",
                path=found.config.parent,
            )
        )


@charter.command("show", help=t("Show the pinned charter and the candidate."))
def show_charter(
    save: Annotated[
        Path | None, typer.Option(help=t("Write the pinned charter to this file."))
    ] = None,
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Show the pinned charter and the candidate."""
    from secureflow.agent import api
    from secureflow.cli.charter import show_both

    charter = api.charter_show(config)
    if save is None:
        show_both(charter) if output is Form.TABLE else show(charter, output)
        return
    if not charter["pinned"]:
        raise SecureFlowError("charter_not_pinned", t("No charter is pinned yet."))
    kept = charter["pinned"] | ({"history": charter["history"]} if charter.get("history") else {})
    write_text(save, json.dumps(kept, ensure_ascii=False, indent=2) + "\n")
    say(t("Written to {path}.", path=save))


@charter.command("pin", help=t("Use this charter from now on."))
def pin(
    file: Annotated[
        Path | None, typer.Argument(help=t("Charter file; default: the server's."))
    ] = None,
    confirm: Annotated[
        str, typer.Option(help=t("The words or digits that you compared with the other members."))
    ] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Pin a charter; the first one only with its compared fingerprint."""
    from secureflow.agent import api

    given: Any = None if file is None else read_json(file)
    show(api.charter_pin(config, given, confirm), output)
    say(t("The charter is pinned."))


@charter.command("sign", help=t("Sign the candidate charter with the organisation's key."))
def sign(
    confirm: Annotated[
        str, typer.Option(help=t("The words or digits that you compared with the other members."))
    ] = "",
    config: Config = _CONFIG,
    output: Output = Form.TABLE,
) -> None:
    """Sign the candidate whose words were compared; without them, show it and ask."""
    from secureflow.agent import api
    from secureflow.cli.comparing import compared

    show(api.charter_sign(config, confirm or compared(config)), output)
    say(t("The candidate is signed."))

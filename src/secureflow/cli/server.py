"""`secureflow server`: create and run the coordination centre."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from secureflow.cli import serverca
from secureflow.cli.backups import (
    Given,
    Into,
    IntoExisting,
    NewFile,
    PassphraseFile,
    advise_on_keys,
    backup_summary,
    counted,
    passphrase,
)
from secureflow.cli.console import Form, Output, group, moment, say, show
from secureflow.cli.keys import WrappingKey, advise_on_wrapping
from secureflow.cli.texts import said, t, untranslated
from secureflow.kit.memory import loading

if TYPE_CHECKING:
    from secureflow.kit.pki import Authority
    from secureflow.server.restore import Restored

app = group("The coordination centre.")
app.add_typer(serverca.app, name="ca")

_BYTES = ("holds", "free", "reserve")

Config = Annotated[Path, typer.Option(help=t("The process's YAML file."))]
EmptyDatabase = Annotated[
    str,
    typer.Option(
        metavar="URL",
        help=t("URL of an empty PostgreSQL database, without a password; else SQLite."),
    ),
]


@app.command("init", help=t("Create a new centre: CA, log key, first admin, enclave token."))
def init(
    directory: Annotated[Path, typer.Argument(help=t("New directory."))],
    trust_domain: Annotated[str, typer.Option(help=t("SPIFFE trust domain of the consortium."))],
    host: Annotated[
        str, typer.Option(help=t("Name or address by which people and agents reach it."))
    ] = "127.0.0.1",
    rest_port: Annotated[int, typer.Option(min=0, max=65535, help=t("Port of REST."))] = 8443,
    link_port: Annotated[int, typer.Option(min=0, max=65535, help=t("Port of the link."))] = 8444,
    database: EmptyDatabase = "",
    wrapping_key: WrappingKey = None,
    ca_cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=t(
                "A CA of your own instead of a new one: its certificate, and those above it up "
                "to the root."
            ),
        ),
    ] = None,
    ca_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help=t("Its private key (PEM, mode 0600)."))
    ] = None,
    output: Output = Form.TABLE,
) -> None:
    """Make a new centre's directory."""
    from secureflow.server.initialise import initialise

    made = initialise(
        directory,
        trust_domain=trust_domain,
        host=host,
        rest_port=rest_port,
        link_port=link_port,
        database=database,
        wrapping_key=wrapping_key,
        authority=_own_authority(ca_cert, ca_key, trust_domain),
    )
    show(made, output)
    advise_on_wrapping(directory / "server.yaml")
    say(t("Next: secureflow server start --config {path}", path=directory / "server.yaml"))


def _own_authority(
    certificate: Path | None, key: Path | None, trust_domain: str
) -> Authority | None:
    from secureflow.cli.files import read_secret
    from secureflow.kit.clock import system_clock
    from secureflow.kit.errors import SecureFlowError
    from secureflow.kit.inputfiles import read_bytes
    from secureflow.kit.ownca import own_authority

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise SecureFlowError(
            "ca_refused",
            "A certificate authority of your own is a certificate and its key.",
            "Name both: --ca-cert FILE --ca-key FILE.",
        )
    pem = read_bytes(certificate, 1 << 16).decode("utf-8", "replace")
    return own_authority(pem, read_secret(key).encode(), trust_domain, system_clock())


@app.command("start", help=t("Run the centre until SIGTERM."))
def start(config: Config = Path("server.yaml")) -> None:
    """Run the centre."""
    with loading():
        from secureflow.server.main import run

    raise typer.Exit(run(config))


@app.command("check", help=t("Verify everything that the centre stores; it may run meanwhile."))
def check(
    config: Config = Path("server.yaml"),
    providers: Annotated[
        bool,
        typer.Option(
            "--providers",
            help=t("Only ask the identity providers whether they answer as configured."),
        ),
    ] = False,
    output: Output = Form.TABLE,
) -> None:
    """Verify everything; the exit code is that of the first finding."""
    from secureflow.cli.doctor import report
    from secureflow.server.check import check as findings
    from secureflow.server.providers import check_providers

    report((check_providers if providers else findings)(config), output)


@app.command("room", help=t("Show what the centre's disk holds, what is free and reserved."))
def room(config: Config = Path("server.yaml"), output: Output = Form.TABLE) -> None:
    """Show what lies where."""
    from secureflow.server.room import figures
    from secureflow.server.settings import ServerSettings

    rows = figures(ServerSettings.load(config))
    if output is Form.TABLE:
        rows = [
            {**one, "part": said(one["part"])} | {name: _size(one[name]) for name in _BYTES}
            for one in rows
        ]
    show(rows, output, ("part", *_BYTES, "folder"))


def _size(count: int) -> str:
    from secureflow.kit.disk import size

    return t("{count} bytes", count=count) if count < 1000 else size(count)


@app.command("log-key", help=t("Make the key that may follow the log's present one."))
def make_log_key(config: Config = Path("server.yaml"), output: Output = Form.TABLE) -> None:
    """Make the log's next key, or show it; the centre may run."""
    from secureflow.kit.crypto import fingerprint
    from secureflow.server.logkeys import make_next
    from secureflow.server.settings import ServerSettings

    public = make_next(ServerSettings.load(config)).public
    show({"next_log_key": public, "fingerprint": fingerprint(public)}, output)
    say(
        t(
            "Nothing is signed by it yet. Propose it to the members: "
            'secureflow charter log-key --reason "WHY"'
        )
    )


@app.command("config", help=t("Show the effective settings, secrets masked."))
def show_settings(config: Config = Path("server.yaml"), output: Output = Form.YAML) -> None:
    """Show the effective settings."""
    from secureflow.server.settings import ServerSettings

    show(ServerSettings.load(config).masked(), output)


@app.command("backup", help=t("Write the whole centre, as it is now, into one file."))
def backup(
    file: NewFile,
    passphrase_file: PassphraseFile = None,
    without_missing: Annotated[
        bool,
        typer.Option(
            "--without-missing",
            help=t("Leave out models, uploads and code whose files are missing."),
        ),
    ] = False,
    config: Config = Path("server.yaml"),
    output: Output = Form.TABLE,
) -> None:
    """Back up a centre, running or stopped."""
    from secureflow.server.backup import back_up

    made = back_up(config, file, passphrase(passphrase_file), without_missing=without_missing)
    log = made.facts["log"]
    with untranslated(output is not Form.TABLE):
        summary = {**backup_summary(file, made), "log": f"{log['origin']}: {log['size']}"}
    show(summary, output)
    advise_on_keys(made, "log.key, ca/ca.key")


@app.command("restore", help=t("Restore a centre's folder from a backup, once its log is proved."))
def restore(
    file: Given,
    directory: Into,
    passphrase_file: PassphraseFile = None,
    database: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help=t("URL of an empty PostgreSQL database, or sqlite. Default: as before."),
        ),
    ] = "",
    into_existing: IntoExisting = False,
    output: Output = Form.TABLE,
) -> None:
    """Restore a centre from a backup."""
    from secureflow.server import restore as restoring

    secret = passphrase(passphrase_file)
    found = restoring.restore(
        file, directory, database=database, passphrase=secret, into_existing=into_existing
    )
    _print_restored(found, output)


@app.command(
    "restored",
    help=t("State that the database was restored by other means, once its log is proved."),
)
def restored(config: Config = Path("server.yaml"), output: Output = Form.TABLE) -> None:
    """Mark a database that was restored with its own tools."""
    from secureflow.server.restore import restore_in_place

    _print_restored(restore_in_place(config), output)


def _print_restored(found: Restored, output: Form) -> None:
    log = found.log
    seen = {name: log.seen.get(name, 0) for name in found.members}
    with untranslated(output is not Form.TABLE):
        summary: dict[str, Any] = {
            "config": str(found.config),
            "database": found.database,
            "as_of": moment(found.manifest.facts.get("made_at")),
            "log": f"{log.origin}: {log.size}",
            "cosigned": counted(seen),
            "jobs": counted(found.jobs),
            "stored_models": found.models,
            "keys": t("there") if found.keys else t("missing"),
        }
    show(summary, output)
    say(t("Every entry, node and signed head of the log was recomputed and is valid."))
    say(
        t(
            "What was recorded after the backup is gone here; the members' agents may know of it. "
            "Until it is clear what they hold, the log signs nothing, and no job runs."
        )
    )
    say(
        t(
            "An agent that has seen more than {size} entries reports that the log was"
            " rolled back; secureflow doctor and docs/deploy.md say how the log then "
            "continues.",
            size=log.size,
        )
    )
    say(t("Sessions, access tokens and unused invitations were not restored: log in again."))
    say(
        t(
            "Everyone who was shut out after {at} is let in again, and old passwords "
            "and grants are valid again: this centre no longer knows of it, only "
            "people do. Repeat it at once; that works while the log signs nothing: "
            "secureflow org disable, party revoke, user disable; each user: user "
            "password; each owner: data revoke.",
            at=moment(found.manifest.facts.get("made_at")),
        )
    )
    if found.keys:
        say(t("Next: secureflow server start --config {path}", path=found.config))
    else:
        say(
            t(
                "The keys are missing: put log.key and ca/ca.key of this centre into {path}.",
                path=found.config.parent,
            )
        )

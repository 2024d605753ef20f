"""`secureflow enclave`: create and run the attested worker."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.files import read_token
from secureflow.cli.keys import WrappingKey, advise_on_wrapping
from secureflow.cli.texts import t

app = group("The attested worker that opens sealed updates.")

_PART = ("kind", "sha256", "name")
Config = Annotated[Path, typer.Option(help=t("The process's YAML file."))]


@app.command("init", help=t("Enrol an enclave with its one-time token."))
def init(
    directory: Annotated[Path, typer.Argument(help=t("New directory."))],
    token_file: Annotated[
        Path,
        typer.Option(readable=False, help=t("File with the enrolment token; `-` reads stdin.")),
    ],
    server: Annotated[str, typer.Option(help=t("URL of the server."))],
    simulated: Annotated[
        bool,
        typer.Option(
            help=t(
                "Use the SIMULATED TEE, the only one that this version can attest: it protects "
                "nothing from the operator."
            )
        ),
    ] = False,
    name: Annotated[
        str, typer.Option(help=t("Its name in the certificate: a new one if it was revoked."))
    ] = "main",
    wrapping_key: WrappingKey = None,
    output: Output = Form.TABLE,
) -> None:
    """Enrol an enclave."""
    from secureflow.enclave.enrol import enrol

    token = read_token(token_file)
    made = enrol(
        directory, token, server, name=name, simulated=simulated, wrapping_key=wrapping_key
    )
    show(made, output)
    path = directory / "enclave.yaml"
    advise_on_wrapping(path)
    say(t("Agents of other machines reach it only where `uplink` in {path} says how.", path=path))
    say(t("Next: secureflow enclave start --config {path}", path=path))


@app.command("start", help=t("Run the enclave until SIGTERM."))
def start(config: Config = Path("enclave.yaml")) -> None:
    """Run the enclave."""
    from secureflow.enclave.__main__ import exec_enclave
    from secureflow.enclave.settings import EnclaveSettings

    EnclaveSettings.load(config)  # errors in it are shown here, in the user's language
    exec_enclave(str(config))


@app.command("measure", help=t("Show what an enclave of this installation runs, and its digest."))
def measure(output: Output = Form.TABLE) -> None:
    """Print every measured part with its SHA-256, and the measurement."""
    from secureflow.kit.measurement import measure as everything

    measured = everything()
    measured.check()
    if output is Form.TABLE:
        write(f"{measured.text}measurement {measured.digest}")
        return
    parts = [dict(zip(_PART, line.split(" ", 2), strict=True)) for line in measured.lines]
    show({"measurement": measured.digest, "parts": parts}, output)


@app.command("check", help=t("Verify everything that the enclave stores; it may run meanwhile."))
def check(config: Config = Path("enclave.yaml"), output: Output = Form.TABLE) -> None:
    """Verify everything; the exit code is that of the first finding."""
    from secureflow.cli.doctor import report
    from secureflow.enclave.check import check as findings

    report(findings(config), output)


@app.command("config", help=t("Show the effective settings, secrets masked."))
def show_settings(config: Config = Path("enclave.yaml"), output: Output = Form.YAML) -> None:
    """Show the effective settings."""
    from secureflow.enclave.settings import EnclaveSettings

    show(EnclaveSettings.load(config).masked(), output)

"""`secureflow server ca`: change the link CA while two roots are trusted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from secureflow.cli.console import Form, Output, group, say, show
from secureflow.cli.texts import t

if TYPE_CHECKING:
    from secureflow.server.settings import ServerSettings

app = group("The link CA: its successor, and who trusts it.")

Config = Annotated[Path, typer.Option(help=t("The process's YAML file."))]
Force = Annotated[
    bool, typer.Option("--force", help=t("Cut off the parties that are left; they enrol again."))
]


@app.command("status", help=t("Show which parties trust the newest root, and are certified by it."))
def status(config: Config = Path("server.yaml"), output: Output = Form.TABLE) -> None:
    """Show each enrolled party; the centre may run."""
    from secureflow.server.authorities import standing

    show(asyncio.run(standing(_settings(config))), output, ("party", "pins", "leaf", "id"))


@app.command("rotate", help=t("Make a successor of the CA, which parties pin when they link up."))
def rotate(config: Config = Path("server.yaml"), output: Output = Form.TABLE) -> None:
    """Announce a new root; the present one issues until `switch`."""
    from secureflow.server import authorities

    show({"successor": authorities.rotate(_settings(config))}, output)
    say(t("A running centre tells it to the parties within seconds. Once all parties pin it "
          "(secureflow server ca status): secureflow server ca switch"))  # fmt: skip


@app.command("switch", help=t("Let the successor issue; the old root stays trusted."))
def switch(
    config: Config = Path("server.yaml"), force: Force = False, output: Output = Form.TABLE
) -> None:
    """Issue from the new root."""
    from secureflow.server import authorities

    settings = _settings(config)
    left = _left(settings, "pins")
    show({"ca_fingerprint": authorities.switch(settings, left, force=force)}, output)
    say(t("A running centre shows a certificate of the new root within seconds, and parties get "
          "theirs. People log in once more, with --ca ca/ca.pem. Once all are certified by it: "
          "secureflow server ca retire"))  # fmt: skip


@app.command("retire", help=t("End the trust in the old root."))
def retire(config: Config = Path("server.yaml"), force: Force = False) -> None:
    """Trust the new root alone."""
    from secureflow.server import authorities

    settings = _settings(config)
    authorities.retire(settings, _left(settings, "leaf"), force=force)
    say(t("The old root is no longer trusted here; parties forget it when they link up."))


def _settings(config: Path) -> ServerSettings:
    from secureflow.server.settings import ServerSettings

    return ServerSettings.load(config)


def _left(settings: ServerSettings, wanted: str) -> dict[str, str]:
    from secureflow.server.authorities import left

    return asyncio.run(left(settings, wanted))

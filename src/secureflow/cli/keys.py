"""`secureflow keys`: private keys at rest, of a server's, an agent's or an enclave's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Protocol

import typer

from secureflow.cli.console import Form, Output, group, moment, say, show, write
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from secureflow.adapters.keyvault import KeySettings, LocalKeySettings
    from secureflow.kit.keyfiles import KeyFiles, KeyPlace
    from secureflow.kit.keywrapping import KeyFolder

app = group("Private keys on disk: which are wrapped, and by what.")

_FILES: Final = ("server.yaml", "agent.yaml", "enclave.yaml")
_COLUMNS: Final = ("purpose", "state", "wrapped by", "since", "public", "file")

Config = Annotated[
    Path | None,
    typer.Option(help=t("The process's YAML file; by default that of the present folder.")),
]
WrappingKey = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help=t("Wrap the private keys by the key in this file, which is made if it is missing."),
    ),
]


@app.command("list", help=t("Show each private key of a folder, and what wraps it."))
def list_keys(config: Config = None, output: Output = Form.TABLE) -> None:
    """Show the keys of a folder; neither the keys nor the wrapping key are shown."""
    from secureflow.kit.keywrapping import described

    rows = described(_named(config).folder)
    if output is not Form.TABLE:
        show(rows, output)
        return
    told = [
        {
            **one,
            "purpose": t(one["purpose"]),
            "state": _state(one["state"]),
            "wrapped by": t(one["by"] or ""),
            "since": moment(one["since"]),
        }
        for one in rows
    ]
    show(told, output, _COLUMNS)


def _state(state: str) -> str:
    from secureflow.kit.keywrapping import EARLIER, PLAIN, UNKNOWN, WRAPPED

    return {
        PLAIN: t("plain"),
        WRAPPED: t("wrapped"),
        EARLIER: t("wrapped by an earlier key"),
        UNKNOWN: t("wrapped; its wrapping key is not at hand"),
    }[state]


@app.command("wrap", help=t("Wrap every key of a folder whose process is stopped."))
def wrap(
    config: Config = None, wrapping_key: WrappingKey = None, output: Output = Form.TABLE
) -> None:
    """Wrap plain keys, and those that an earlier wrapping key wrapped."""
    from secureflow.adapters.keyvault import make_key_file, name_key_file
    from secureflow.kit.keywrapping import wrap_keys

    found = _named(config)
    if wrapping_key is not None:
        with found.folder.locked():  # refuses while it runs, before anything is changed
            made = make_key_file(wrapping_key, found.folders)
            name_key_file(found.folder.config, wrapping_key)
        if made:
            say(_made(wrapping_key))
        found = _named(found.folder.config)
    done = wrap_keys(found.folder)
    show({"wrapped": [str(path) for path in done]}, output)
    if not done:
        say(t("Every key is wrapped already: secureflow keys list"))
    else:
        say(
            t(
                "Plain files were overwritten, as far as the disk does what it is told: an SSD, a "
                "snapshot or an older backup may keep a copy. Where that matters, replace the keys."
            )
        )


@app.command("rotate", help=t("Make a new wrapping key, and wrap every key of a folder by it."))
def rotate(
    config: Config = None,
    drop_old: Annotated[
        bool,
        typer.Option(
            "--drop-old",
            help=t("Then destroy the old wrapping key: no other folder is wrapped by it."),
        ),
    ] = False,
    output: Output = Form.TABLE,
) -> None:
    """Replace the wrapping key of a file or a token."""
    from secureflow.adapters.keyvault.rotation import rotate as replace_key
    from secureflow.kit.keywrapping import wrap_keys

    found, done = _named(config), []

    def rewrap() -> None:
        done.extend(wrap_keys(_named(found.folder.config).folder))

    with found.folder.locked():
        pass  # refuses while it runs, before a wrapping key is made
    replace_key(found.settings, found.folders, rewrap, drop_old=drop_old)
    show({"wrapped": [str(path) for path in done]}, output)
    if not drop_old:
        say(t("The old wrapping key is kept: `--drop-old` destroys it with the next rotation."))


@app.command("reveal", help=t("Print a wrapped secret that is handed to people: never a key."))
def reveal(
    name: Annotated[
        str, typer.Argument(metavar="FILE", help=t("admin.password or enclave.token."))
    ],
    config: Config = None,
) -> None:
    """Print a secret to stdout, for a pipe."""
    from secureflow.kit.keywrapping import revealed

    write(revealed(_named(config).folder, name))


def advise_on_wrapping(config: Path) -> None:
    """Say whether the keys of a new folder are wrapped, and what that means for its owner."""
    found = _named(config)
    if not found.settings.named:
        say(
            t(
                "The private keys are not wrapped: whoever copies the folder has them. Wrap them, "
                "with the process stopped: secureflow keys wrap --config {config} "
                "--wrapping-key FILE",
                config=config,
            )
        )
    elif found.settings.file is not None:
        say(_made(found.settings.file))


def _made(file: Path) -> str:
    return t(
        "Keep a copy of {file}, apart from the backups: without it nobody opens the keys again, "
        "and with a backup or the folder it opens them.",
        file=file,
    )


@dataclass(frozen=True)
class _Named:
    folder: KeyFolder
    settings: KeySettings | LocalKeySettings
    folders: Sequence[Path]


def _named(config: Path | None) -> _Named:
    """Return the keys of the process whose settings file this is.

    Raises:
        SecureFlowError: `invalid_file`, `invalid_settings`.
    """
    path = config if config is not None else _present()
    return {"agent": _agent, "enclave": _enclave, "server": _server}[_process(path)](path)


def _present() -> Path:
    found = [Path(name) for name in _FILES if Path(name).exists()]
    if len(found) != 1:
        raise SecureFlowError(
            "invalid_file",
            Text("This folder holds {count} of server.yaml, agent.yaml, enclave.yaml.",
                 count=len(found)),
            "Name the process's settings file with --config.",
        )  # fmt: skip
    return found[0]


def _process(config: Path) -> str:
    from secureflow.kit.inputfiles import read_mapping

    values = read_mapping(config)
    if "organisation" in values:
        return "agent"
    return "enclave" if "uplink" in values or isinstance(values.get("rest"), str) else "server"


def _server(config: Path) -> _Named:
    from secureflow.server.keyfiles import key_places
    from secureflow.server.record import locked_folder
    from secureflow.server.settings import ServerSettings

    found = ServerSettings.load(config)
    return _of("server", config, found, key_places(found), locked_folder)


def _agent(config: Path) -> _Named:
    from secureflow.agent.edge.ownidentity import key_places
    from secureflow.agent.record.folder import locked_folder
    from secureflow.agent.settings import AgentSettings

    found = AgentSettings.load(config)
    return _of("agent", config, found, key_places(found), locked_folder)


def _enclave(config: Path) -> _Named:
    from secureflow.enclave.identity import key_places, locked_folder
    from secureflow.enclave.settings import EnclaveSettings

    found = EnclaveSettings.load(config)
    return _of("enclave", config, found, key_places(found), locked_folder)


class _Settings(Protocol):
    """What the settings of each process have alike."""

    @property
    def directory(self) -> Path: ...
    @property
    def keys(self) -> KeySettings | LocalKeySettings: ...
    @property
    def key_files(self) -> KeyFiles: ...
    @property
    def key_folders(self) -> Sequence[Path]: ...


def _of(
    process: str,
    config: Path,
    found: _Settings,
    places: Sequence[KeyPlace],
    lock: Callable[[Path], AbstractContextManager[None]],
) -> _Named:
    """Return the keys of a process: the one place where a folder of keys is put together."""
    from secureflow.kit.keywrapping import KeyFolder

    held = partial(lock, found.directory)
    folder = KeyFolder(process, config, found.key_files, places, held)
    return _Named(folder, found.keys, found.key_folders)

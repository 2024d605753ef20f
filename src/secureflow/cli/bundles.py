"""`secureflow bundle`: code that people bring, from a working example to the server."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Final

import typer

from secureflow.cli.console import (
    Form,
    Output,
    Prose,
    Yes,
    confirmed,
    group,
    say,
    show,
    write,
    write_lines,
)
from secureflow.cli.files import write_text
from secureflow.cli.keeping import kept
from secureflow.cli.texts import language, listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at

if TYPE_CHECKING:
    from secureflow.engines.bundles import Bundle

app = group("Code that trains a model at each owner of data.")

Place = Annotated[Path, typer.Argument(help=t("Folder of the bundle, or a packed file."))]
Entry = Annotated[str, typer.Option(help=t("The class that is called: MODULE:CLASS."))]
Version = Annotated[
    str, typer.Option(metavar="3.N", help=t("Python of the environment; default: this one."))
]
ENTRY: Final = "model:Model"
_COLUMNS: Final = ("digest", "name", "project", "uploader", "files", "lines", "size", "expires")
_TEMPLATES: Final = Path(__file__).parent / "bundle_templates"


class Template(StrEnum):
    """The examples that `new` writes."""

    NUMPY = "numpy"
    SKLEARN = "sklearn"
    TORCH = "torch"


_PACKAGES: Final = {
    Template.NUMPY: ("numpy",),
    Template.SKLEARN: ("numpy", "scikit-learn"),
    Template.TORCH: ("numpy", "torch"),
}


@app.command("new", help=t("Write a working example with a test of its own."))
def new(
    folder: Annotated[Path, typer.Argument(help=t("New folder."))],
    template: Annotated[
        Template, typer.Option(help=t("What the example is written in."))
    ] = Template.NUMPY,
) -> None:
    """Write an example."""
    from secureflow.cli.bundle_start import beside, commented, names
    from secureflow.engines.bundles import Bundle
    from secureflow.sdk.bundlefiles import write_bundle

    chinese = language() == "zh"
    readme = _template("README-zh.md" if chinese else "README.md")
    job, table = names(folder)
    beneath = {"job": quote(f"../{job.name}"), "table": quote(f"../{table.name}")}
    told = readme.format(
        name=folder.resolve().name, packages=listed(_PACKAGES[template]), **beneath
    )
    comments = json.loads((_TEMPLATES / "comments-zh.json").read_text("utf-8")) if chinese else {}
    files = {
        "model.py": commented(_template(f"{template}/model.py"), comments),
        "test_model.py": commented(_template("test_model.py"), comments),
        "README.md": told,
    }
    write_bundle(Bundle({name: text.encode() for name, text in files.items()}), folder)
    around = beside(folder, _template("job-zh.yaml" if chinese else "job.yaml"))
    for path, text in around.items():
        write_text(path, text)
    for path in (*(folder / name for name in files), *around):
        write(str(path))
    say(t("Try it: (cd {folder} && python test_model.py)", folder=quote(str(folder))))
    command = {"job": quote(str(job)), "table": quote(str(table))}
    say(t("Then: secureflow simulate {job} --data {table}", **command))


@app.command("pack", help=t("Pack a folder into one file, the same on every machine."))
def pack(
    folder: Annotated[Path, typer.Argument(help=t("Folder of the bundle."))],
    file: Annotated[
        Path | None, typer.Option(help=t("File to write. Default: FOLDER.bundle."))
    ] = None,
    entry: Entry = ENTRY,
    python: Version = "",
    output: Output = Form.TABLE,
) -> None:
    """Pack a folder; what cannot run is refused with every reason."""
    from secureflow.engines.bundles import pack as packing
    from secureflow.kit.atomic import write_result
    from secureflow.sdk.bundlefiles import SUFFIX

    bundle = usable(folder, entry, python)
    place = folder.resolve()
    target = file or place.with_name(place.name + SUFFIX)
    try:
        write_result(target, packing(bundle))
    except OSError as error:
        raise SecureFlowError("invalid_file", failed_at(target, error)) from error
    sizes = {"size": bundle.size, "lines": bundle.lines, "files": len(bundle.files)}
    show({"digest": bundle.digest, "entry": entry, **sizes, "file": str(target)}, output)


@app.command("show", help=t("Show what is in a bundle, what it imports, and what to look at."))
def show_bundle(
    place: Place, entry: Entry = "", python: Version = "", output: Output = Form.TABLE
) -> None:
    """Show a bundle."""
    from secureflow.cli.bundle_view import View
    from secureflow.sdk.bundlefiles import read_bundle

    view = View.of(read_bundle(place), None, entry, python)
    plain = view.plain()
    if output is not Form.TABLE:
        hidden = {"since", "changes", "difference"}
        show({name: one for name, one in plain.items() if name not in hidden}, output)
        return
    write(view.bundle.digest)
    show(plain["files"], output, ("path", "size", "lines"))
    for line in view.told():
        write(line)


@app.command("diff", help=t("Show how a bundle differs from an older one."))
def diff(
    old: Annotated[Path, typer.Argument(help=t("The older one: folder or packed file."))],
    place: Place,
    entry: Entry = "",
    python: Version = "",
    output: Output = Form.TABLE,
) -> None:
    """Show the difference, with everything hidden made visible."""
    from secureflow.cli.bundle_view import View
    from secureflow.sdk.bundlefiles import read_bundle

    view = View.of(read_bundle(place), read_bundle(old), entry, python)
    if output is not Form.TABLE:
        show(view.plain(), output)
        return
    write_lines((*map(Prose, view.told()), *view.difference.written()))


@app.command("lock", help=t("Show the digest by which jobs name the environment of a lock."))
def lock(
    file: Annotated[Path, typer.Argument(help=t("Requirements file: every package with hashes."))],
    output: Output = Form.TABLE,
) -> None:
    """Show a lock's digest; comments, order and layout do not matter."""
    from secureflow.engines.bundles.lock import parse_lock
    from secureflow.kit.inputfiles import read_bytes

    found = parse_lock(read_bytes(file))
    show({"digest": found.digest, "packages": len(found.pins)}, output)


@app.command("push", help=t("Upload a bundle to a project; its jobs can then name it."))
def push(
    place: Place,
    project: Annotated[str, typer.Option(help=t("Id or name of the project."))],
    name: Annotated[str, typer.Option(help=t("Its name for people. Default: the folder's."))] = "",
    entry: Entry = ENTRY,
    python: Version = "",
    output: Output = Form.TABLE,
) -> None:
    """Upload what can run."""
    from secureflow.cli.names import named
    from secureflow.cli.session import client

    bundle = usable(place, entry, python)
    called = name or place.resolve().stem
    with client() as connection:
        to = named(connection, "project", project)
        stored = connection.bundles.upload(bundle, to, called)
    if stored.name != called:
        say(t("It was there under the name {name}: an upload renames nothing.", name=stored.name))
    show(stored if output is not Form.TABLE else kept(stored), output, _COLUMNS)


@app.command("list", help=t("List the bundles of your projects."))
def list_bundles(
    project: Annotated[str, typer.Option(help=t("Only of this project."))] = "",
    output: Output = Form.TABLE,
) -> None:
    """List bundles."""
    from secureflow.cli.names import named
    from secureflow.cli.session import client

    with client() as connection:
        within = named(connection, "project", project) if project else ""
        found = list(connection.bundles.list(within))
    show(found if output is not Form.TABLE else list(map(kept, found)), output, _COLUMNS)


@app.command("pull", help=t("Download a bundle into a new folder, checked by digest."))
def pull(
    digest: Annotated[str, typer.Argument(help=t("Digest of the bundle: 64 hex digits."))],
    folder: Annotated[Path, typer.Argument(help=t("New folder."))],
) -> None:
    """Download a bundle."""
    from secureflow.cli.session import client
    from secureflow.sdk.bundlefiles import write_bundle

    with client() as connection:
        bundle = connection.bundles.download(digest)
    write_bundle(bundle, folder)
    say(t("Written to {path}.", path=folder))


@app.command("remove", help=t("Remove a bundle that no unfinished job names."))
def remove(
    digest: Annotated[str, typer.Argument(help=t("Digest of the bundle: 64 hex digits."))],
    project: Annotated[str, typer.Option(help=t("Only from this project."))] = "",
    yes: Yes = False,
) -> None:
    """Remove a bundle that the caller's organisation uploaded."""
    from secureflow.cli.names import named
    from secureflow.cli.session import client

    confirmed(t("Remove the bundle {digest}?", digest=digest), yes)
    with client() as connection:
        within = named(connection, "project", project) if project else ""
        connection.bundles.remove(digest, within)
    say(t("{what} is removed.", what=digest))


def usable(folder: Path, entry: str, python: str) -> Bundle:
    """Return the bundle of a folder, if it can run.

    Raises:
        SecureFlowError: `invalid_file`, `bundle_refused`, `bundle_unusable` naming every problem.
    """
    from secureflow.cli.bundle_view import View
    from secureflow.sdk.bundlefiles import read_bundle

    view = View.of(read_bundle(folder), None, entry, python)
    for line in view.told():
        say(line)
    found = view.inspection.problems
    if found:
        raise SecureFlowError(
            "bundle_unusable",
            t(
                "{path} cannot run: {count} {count:problem|problems}.",
                path=folder,
                count=len(found),
            ),
            t("Each PROBLEM above is a place to correct."),
        )
    return view.bundle


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text("utf-8")

"""A bundle on a person's disk: a folder of source, or one packed file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from secureflow.engines.bundles import MAX_BYTES, Bundle, named_problem, unpack
from secureflow.engines.bundles.format import MAX_DEPTH, MAX_FILES
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.oserrors import failed_at
from secureflow.kit.sourcetree import read_tree, write_tree
from secureflow.kit.text import Text

SUFFIX: Final = ".bundle"


def read_bundle(path: str | Path) -> Bundle:
    """Return the bundle of a folder, or of a packed file.

    Raises:
        SecureFlowError: `invalid_file`, `bundle_refused`.
    """
    place = Path(path)
    if place.is_dir():
        bounds = {"most": MAX_BYTES, "files": MAX_FILES, "depth": MAX_DEPTH}
        files = read_tree(place, **bounds, problem=named_problem)
        if not files:
            raise SecureFlowError(
                "invalid_file",
                Text("There is no file of a bundle in {folder}.", folder=place),
                "secureflow bundle new FOLDER writes a working example.",
            )
        return Bundle(files)
    try:
        with place.open("rb") as file:
            packed = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SecureFlowError(
            "invalid_file",
            failed_at(place, error),
            "Give a folder, or a file that `secureflow bundle pack` wrote.",
        ) from error
    return unpack(packed)


def write_bundle(bundle: Bundle, folder: str | Path) -> None:
    """Write a bundle's files into a new folder.

    Raises:
        SecureFlowError: `already_exists`, `invalid_file`.
    """
    try:
        write_tree(Path(folder), bundle.files, mode=0o644)
    except FileExistsError as error:
        raise SecureFlowError(
            "already_exists",
            failed_at(folder, error),
            "Nothing is written over: name a folder that does not exist.",
        ) from error
    except OSError as error:
        raise SecureFlowError(
            "invalid_file",
            failed_at(error.filename or folder, error),
            "Make the folder above it first, or name another place.",
        ) from error

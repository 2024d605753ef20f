"""What `secureflow bundle new` writes beside the bundle: a job that names it, and rows for it.

They are not in the bundle: whoever changes a job's plan does not change its code.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Final

JOB: Final = "job.yaml"
TABLE: Final = "table.csv"
CLASSES: Final = ("a", "b", "c")
FEATURES: Final = 4
ROWS: Final = 1200
_COMMENT: Final = re.compile(r'(?:(?<=""")|(?<=# ))\w.*?(?="""|$)', re.MULTILINE)
"""A comment, or a docstring of one line."""


def commented(code: str, comments: Mapping[str, str]) -> str:
    """Return the code of a template with its comments and docstrings in another language.

    Args:
        code: of a template, in English.
        comments: what stands for each of them; what is not in it stays as it is.
    """

    def told(found: re.Match[str]) -> str:
        return comments.get(found[0], found[0])

    return _COMMENT.sub(told, code)


def beside(folder: Path, template: str) -> dict[Path, str]:
    """Return the files beside a new bundle; what is there already is left as it is.

    Args:
        folder: of the bundle.
        template: of the job file, in the reader's language.
    """
    place = folder.resolve()
    job, table = names(folder)
    facts = {"job": quote(job.name), "table": quote(table.name), "purpose": "trial"}
    quoted = {name: json.dumps(place.name, ensure_ascii=False) for name in ("name", "folder")}
    for name, value in (facts | quoted).items():
        template = template.replace(f"{{{name}}}", value)
    made = {job: template, table: sample()}
    return {path: text for path, text in made.items() if not path.exists()}


def names(folder: Path) -> tuple[Path, Path]:
    """Return where the job and the table of a new bundle are written."""
    job, table = folder.parent / JOB, folder.parent / TABLE
    if job.exists() or table.exists():
        called = folder.resolve().name
        return folder.parent / f"{called}.yaml", folder.parent / f"{called}.csv"
    return job, table


def sample() -> str:
    """Return a table of made-up rows: each class has one column that is larger than the others."""
    chance = random.Random(7)  # noqa: S311  an example
    lines = [",".join([*(f"x{at + 1}" for at in range(FEATURES)), "kind"])]
    for row in range(ROWS):
        kind = row % len(CLASSES)
        cells = (4.0 * (at == kind) + chance.gauss(0.0, 1.0) for at in range(FEATURES))
        lines.append(",".join([*(f"{one:.3f}" for one in cells), CLASSES[kind]]))
    return "\n".join(lines) + "\n"

"""`secureflow prep`: the steps of preparations, fitting them, and the recipes that come of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from secureflow.cli.console import Form, Output, group, say, show, write
from secureflow.cli.dry_runs import show_dry_run
from secureflow.cli.escaping import plain
from secureflow.cli.files import write_text
from secureflow.cli.fits import FITTED, told
from secureflow.cli.names import named
from secureflow.cli.session import client
from secureflow.cli.starts import requested
from secureflow.cli.texts import listed, t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

if TYPE_CHECKING:
    from secureflow.domain.specs.recipe import Recipe
    from secureflow.sdk import Client

app = group("Preparation: columns to a model's inputs, fitted over all owners' rows.")

_ALL: Final = ("step", "v", "reads", "fitted", "does")
_KINDS: Final = {bool: "true or false", int: "whole number", float: "number", str: "text"}
_UNBOUNDED: Final = 1e9
"""A limit beyond this is not told: it is there for arithmetic's sake."""
_FIXED: Final = frozenset({"columns", "step", "v"})
_PARAMETERS: Final = ("parameter", "takes", "default")

Step = Annotated[str, typer.Argument(help=t("Name of a step, as `prep list` shows it."))]
RequestFile = Annotated[Path, typer.Argument(help=t("Job file (YAML or JSON)."))]
Job = Annotated[str, typer.Argument(help=t("Id or name of a preparation."))]
Save = Annotated[Path | None, typer.Option(help=t("Also write the recipe to this file (JSON)."))]


@app.command("list", help=t("List the steps."))
def list_steps(output: Output = Form.TABLE) -> None:
    """List the steps."""
    from secureflow.domain.specs.steps import CATALOGUE

    show([_row(one) for one in CATALOGUE], output, _ALL)


@app.command("describe", help=t("Describe a step: what it is given, and an example."))
def describe(step: Step, output: Output = Form.TABLE) -> None:
    """Describe a step."""
    from secureflow.domain.specs.steps import CATALOGUE

    found = next((one for one in CATALOGUE if one.step == step), None)
    if found is None:
        raise SecureFlowError(
            "invalid_request",
            Text("No step is called {step!r}.", step=step[:40]),
            Text("The steps are: {steps}.", steps=", ".join(one.step for one in CATALOGUE)),
        )
    parameters = list(_parameters(found))
    if output is not Form.TABLE:
        show({**_row(found), "parameters": parameters}, output)
        return
    show(_row(found), output, _ALL)
    if parameters:
        rows = [{**row, "default": t("required") if row["required"] else row["default"]}
                for row in parameters]  # fmt: skip
        show(rows, output, _PARAMETERS)
    write(t("In a job file:"))
    write(_example(found))


@app.command("fit", help=t("Fit a preparation: submit its job file, and wait for the recipe."))
def fit(
    file: RequestFile,
    dry_run: Annotated[bool, typer.Option(help=t("Only check it."))] = False,
    save: Save = None,
    output: Output = Form.TABLE,
) -> None:
    """Fit a preparation."""
    from secureflow.cli.watching import follow

    with client() as connection:
        asked = {"kind": "preparation", **requested(connection, file)}
        if not asked.get("datasets"):
            granted = connection.datasets.list(str(asked.get("project", "")))
            asked["datasets"] = [one.id for one in granted]
        if dry_run:
            show_dry_run(connection.jobs.dry_run(asked), output)
            return
        job = connection.jobs.submit(asked)
        say(t("{job}: submitted", job=job.id))
        follow(connection, job.id)
        _show(connection, job.id, save, output)


@app.command("show", help=t("Show what a preparation fitted."))
def show_recipe(job: Job, save: Save = None, output: Output = Form.TABLE) -> None:
    """Show a recipe."""
    with client() as connection:
        _show(connection, named(connection, "job", job), save, output)


def _show(connection: Client, job: str, save: Path | None, output: Form) -> None:
    from secureflow.domain.specs.base import dump
    from secureflow.engines.preparation.recipe import recipe_bytes, recipe_digest

    recipe = connection.jobs.recipe(job)
    if save is not None:
        write_text(save, recipe_bytes(recipe).decode() + "\n")
    if output is not Form.TABLE:
        show({"digest": recipe_digest(recipe), **dump(recipe)}, output)
        return
    show(list(_learned(recipe)), output, FITTED)
    write(t("recipe {digest}", digest=recipe_digest(recipe)))
    write(t("makes: {columns}", columns=listed(plain(one.name) for one in recipe.outputs)))


def _row(step: Any) -> dict[str, Any]:
    from secureflow.domain.specs.passes import FITTED as FITTED_STEPS

    return {
        "step": step.step,
        "v": step.v,
        "reads": t(step.reads),
        "fitted": step.step in FITTED_STEPS,
        "does": t(step.title),
    }


def _parameters(step: Any) -> Iterator[dict[str, Any]]:
    """Yield the parameters of a step that a job may give, what each takes, and its default."""
    hints = get_type_hints(step, include_extras=True)
    for one in fields(step):
        if one.name not in _FIXED:
            required = one.default is MISSING
            default = None if required else one.default
            takes = " | ".join(_taken(hints[one.name]))
            yield {"parameter": one.name, "takes": takes, "required": required, "default": default}


def _taken(kind: Any) -> Iterator[str]:
    """Yield what a parameter of this type may be: words as they are written, ranges of numbers."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        yield from _ranged(parts[0], parts[1:])
    elif origin is Literal:
        yield from map(str, parts)
    elif origin in {Union, UnionType}:
        yield from (word for one in parts if one is not NoneType for word in _taken(one))
    elif origin is tuple:
        inner = [" | ".join(_taken(one)) for one in parts if one is not Ellipsis]
        yield f"[{', '.join(inner)}{', …' if Ellipsis in parts else ''}]"
    else:
        yield t(_KINDS[kind])


def _ranged(kind: Any, facts: tuple[Any, ...]) -> Iterator[str]:
    if kind not in {int, float}:
        yield from _taken(kind)
        return
    ends = {name: getattr(fact, name) for one in facts for fact in getattr(one, "metadata", ())
            for name in ("gt", "ge", "lt", "le") if hasattr(fact, name)}  # fmt: skip
    low = ends.get("ge", ends.get("gt"))
    high = ends.get("le", ends.get("lt"))
    word = t(_KINDS[kind])
    if low is not None and high is not None and max(abs(low), abs(high)) < _UNBOUNDED:
        yield f"{'> ' if 'gt' in ends else ''}{low:g} … {high:g}"
    elif low is not None and abs(low) < _UNBOUNDED:
        yield f"{word} ≥ {low:g}"
    else:
        yield word


def _example(step: Any) -> str:
    words = ", ".join(f"{name}: {_yaml(value)}" for name, value in step.example.items())
    return f"steps:\n  - {{step: {step.step}, {words}}}"


def _yaml(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    return f'"{value}"' if isinstance(value, str) and "%" in value else str(value)


def _learned(recipe: Recipe) -> Iterator[dict[str, Any]]:
    for at, (step, fit) in enumerate(zip(recipe.steps, recipe.fits, strict=True), 1):
        named = {"step": at, "name": step.step}
        for column, one in fit["columns"].items():
            yield {**named, "column": plain(column), "learned": told(one)}
        if "kept" in fit:
            yield {**named, "column": "", "learned": told(fit)}
        elif not fit["columns"]:
            columns = listed(plain(one) for one in step.columns)
            yield {**named, "column": columns, "learned": t("nothing: it follows from the spec")}

"""What a job file says of other jobs' outcomes, completed from what the centre has of them.

`resume: NAME` or `{job: NAME}` is enough in a file: round and digest follow from that job's log.
`initial: DIGEST` is, too: the tensors follow from the upload. The spec that everybody signs has all
of it, and what was filled in is said. `recipe: NAME` among the features is a preparation, or a file
beside the job's that `prep show --save` wrote (as a simulation needs it): the recipe goes into the
spec with the inputs that it makes. `models` and `baseline` of an evaluation are names or ids,
as is the `model` of a prediction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.cli.console import say
from secureflow.cli.names import named, named_all
from secureflow.cli.texts import t
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_mapping

if TYPE_CHECKING:
    from secureflow.sdk import Client

_ROUND: Final = re.compile(r"[0-9]{1,5}")


def told_on_the_command_line(start: str) -> dict[str, Any]:
    """Return the fields of a job file that `--from` stands for: JOB, or JOB@ROUND.

    Raises:
        SecureFlowError: `invalid_request`.
    """
    if not start:
        return {}
    job, at, number = start.rpartition("@")
    if not at:
        return {"resume": {"job": start}}
    if not job or not _ROUND.fullmatch(number):
        raise SecureFlowError(
            "invalid_request", t("--from needs JOB or JOB@ROUND, e.g. job_01jf2k…@12.")
        )
    return {"resume": {"job": job, "round": int(number)}}


def requested(connection: Client, file: Path, resume: str = "") -> dict[str, Any]:
    """Return the request of a job file; projects, datasets and jobs in it may be names."""
    request = read_mapping(file) | told_on_the_command_line(resume)
    if isinstance(project := request.get("project"), str):
        request["project"] = named(connection, "project", project)
    datasets = request.get("datasets")
    if isinstance(datasets, list) and all(isinstance(one, str) for one in datasets):
        request["datasets"] = list(named_all(connection, "dataset", datasets))
    return request | completed(connection, request, file.parent)


def completed(connection: Client, request: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return the fields of a request that name others' outcomes, with what they leave open.

    These are `resume`, `initial`, and in `features` the `recipe` of a preparation.

    What is neither a name nor an object with fields is left as it is: the centre refuses it.

    Args:
        connection: of the person.
        request: a job file's content, `project` an id.
        base: the job file's folder.

    Raises:
        SecureFlowError: `not_found`, `ambiguous_name`.
    """
    found: dict[str, Any] = {}
    for name, short, fill in (("resume", "job", _resumed), ("initial", "model", _uploaded)):
        given = request.get(name)
        given = {short: given} if isinstance(given, str) else given
        if isinstance(given, Mapping) and isinstance(given.get(short), str):
            found[name] = fill(connection, given, str(request.get("project", "")))
    if request.get("kind") == "evaluation":
        found |= _evaluated(connection, request)
    if request.get("kind") == "prediction" and isinstance(request.get("model"), str):
        found["model"] = named(connection, "model", request["model"])
    features = request.get("features")
    if isinstance(features, Mapping) and isinstance(features.get("recipe"), str):
        found["features"] = _prepared(connection, features, base)
    return found


def _evaluated(connection: Client, request: Mapping[str, Any]) -> dict[str, Any]:
    """Take the ids of the models, and of the earlier evaluation, that a job file names."""
    found: dict[str, Any] = {}
    models = request.get("models")
    if isinstance(models, list) and all(isinstance(one, str) for one in models):
        found["models"] = [named(connection, "model", one) for one in models]
    if isinstance(request.get("baseline"), str):
        found["baseline"] = named(connection, "job", request["baseline"])
    return found


def _prepared(connection: Client, features: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Take the recipe that a preparation fitted, and the inputs that it makes."""
    from secureflow.domain.specs.base import dump
    from secureflow.engines.preparation.recipe import MAX_BYTES, read_recipe, recipe_digest
    from secureflow.kit.inputfiles import read_bytes
    from secureflow.sdk.features import recipe_features

    file = base / features["recipe"]
    if file.suffix == ".json" and file.is_file():
        recipe = read_recipe(read_bytes(file, MAX_BYTES))
    else:
        recipe = connection.jobs.recipe(named(connection, "job", features["recipe"]))
    inputs = dump(recipe_features(recipe, None))
    say(t("Its inputs are the {count} {count:column|columns} that recipe {digest} of {job} makes.",
          count=len(inputs["numeric"]), digest=recipe_digest(recipe), job=recipe.job))  # fmt: skip
    return {**features, "recipe": inputs["recipe"], "numeric": inputs["numeric"]}


def _resumed(connection: Client, given: Mapping[str, Any], _: str) -> dict[str, Any]:
    """Take the round and the digest that are missing from the job's log."""
    job, number = named(connection, "job", given["job"]), given.get("round")
    whole = {**given, "job": job}
    if "model" in given or type(number) not in (int, type(None)):
        return whole
    start = connection.jobs.released(job, number)
    say(t("It goes on from the model {digest}, which {job} released in round {round}.",
          digest=start.model, job=job, round=start.round))  # fmt: skip
    return {**whole, "round": start.round, "model": start.model}


def _uploaded(connection: Client, given: Mapping[str, Any], project: str) -> dict[str, Any]:
    """Take the tensors' digest from the upload; it may be named by its id as well."""
    if "layout" in given:
        return dict(given)
    known = [
        one for one in connection.models.uploads(project) if given["model"] in (one.digest, one.id)
    ]
    if not known:
        raise SecureFlowError(
            "not_found",
            t("The project has no uploaded weights {name!r}.", name=given["model"][:80]),
            t(
                "secureflow weights list shows them; a job goes on from another job's model by "
                "`resume: JOB`."
            ),
        )
    if len(known) > 1:
        raise SecureFlowError(
            "ambiguous_name",
            t("The project has several uploads of these weights, with other tensors."),
            t("Give the id of one: secureflow weights list."),
            {"candidates": [one.id for one in known]},
        )
    return {**given, "model": known[0].digest, "layout": known[0].layout}

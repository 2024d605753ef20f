"""A job file that names a bundle by its folder: what the spec needs of it is found here.

    model:
      family: bundle
      folder: churn              # beside the job file
      lock: lock.txt             # of the owners' environment, or `environment: DIGEST`
      settings: {rate: 0.5}
      sums: [rows, loss, correct]

The digest is that of the folder as it is now; the tensors are those that the class's `initial`
returns, which is called in this process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.domain.fieldfaults import DIGEST_PATTERN
from secureflow.domain.specs.base import STRICT, dump, parse
from secureflow.domain.specs.bundle_family import HELD, BundleModel
from secureflow.domain.specs.bundles import ENTRY_PATTERN
from secureflow.domain.specs.tensors import TensorSpec
from secureflow.domain.specs.training import TrainingPlan
from secureflow.engines.bundles import Bundle
from secureflow.engines.bundles.lock import parse_lock
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_bytes
from secureflow.kit.text import Text
from secureflow.sdk.bundlefiles import read_bundle

if TYPE_CHECKING:  # NumPy is only needed for code
    from numpy.typing import NDArray

ENTRY: Final = "model:Model"
NO_ENVIRONMENT: Final = "0" * 64
"""Named by a job that is only simulated."""
_ANY: Final = {"name": "w", "shape": [1], "dtype": "float32"}
_HERE: Final = frozenset({"folder", "lock"})
_TAKEN: Final = _HERE | {"environment", "entry"}
_KNOWN: Final = _TAKEN | {"family", "settings", "sums", "seconds"}
_PAGE: Final = "docs/bundles.md shows a job file that names a folder."
_LOCK: Final = (
    "Write `lock: lock.txt` beside `folder`; `pip-compile --generate-hashes` makes it from the "
    "names of the packages (docs/bundles.md)."
)
_MEMBERS: Final = (
    "Give folder (the bundle's), lock or environment, and as needed entry, settings, sums, seconds."
)


@dataclass(frozen=True)
class _Named:
    """The member of a job that its errors name."""

    __pydantic_config__ = STRICT
    model: BundleModel


@dataclass(frozen=True)
class _Planned:
    """See `_Named`."""

    __pydantic_config__ = STRICT
    plan: TrainingPlan


@dataclass(frozen=True)
class LocalCode:
    """A bundle on this machine, as a job names it.

    Args:
        folder: where it is.
        bundle: what is in it.
        model: the model of the job that names it.
        initial: the tensors that its `initial` returned, by name.
    """

    folder: Path
    bundle: Bundle
    model: BundleModel
    initial: Mapping[str, NDArray[Any]] = field(repr=False)

    def weights(self) -> bytes:
        """Return the first tensors as a safetensors file."""
        from safetensors.numpy import save

        return bytes(save(dict(self.initial)))


def local_code(
    job: Mapping[str, Any], base: Path, *, simulated: bool = False
) -> tuple[dict[str, Any], LocalCode | None]:
    """Return a job with the digests and tensors of the bundle that its `model` names by a folder.

    Args:
        job: a job file's content; one that names no folder is returned as it is.
        base: the folder that paths in it are relative to.
        simulated: whether it needs no environment.

    Raises:
        SecureFlowError: `invalid_spec`, `invalid_file`, `bundle_refused`, `bundle_unusable`,
            `bundle_failed`, `malformed_lock`.
    """
    model = job.get("model")
    if not isinstance(model, Mapping) or model.get("family") != "bundle":
        return dict(job), None
    if "bundle" in model and "folder" not in model:
        return dict(job), None
    _check_members(model)
    folder = base / str(model["folder"])
    if folder.is_file():
        reason = Text("{name} is a file", name=str(model["folder"])[:200])
        raise _invalid("folder", reason, "Name the folder that the code is in.")
    bundle = read_bundle(folder)
    entry = str(model.get("entry", ENTRY))
    digest = _environment(model, base, simulated=simulated)
    settings = model.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise _invalid("settings", "it must be a mapping")
    asked = {
        **{name: one for name, one in model.items() if name not in _TAKEN},
        "settings": settings,
        "bundle": {"digest": bundle.digest, "entry": entry, "environment": digest},
        "weights": [_ANY],
    }
    drafted = parse(_Named, {"model": asked}, "spec").model  # before any code runs
    initial = _initial(folder, entry, drafted.settings, _seed(job))
    weights = [dump(_declared(name, one)) for name, one in initial.items()]
    made = parse(_Named, {"model": {**dump(drafted), "weights": weights}}, "spec").model
    return {**job, "model": dump(made)}, LocalCode(folder, bundle, made, initial)


def _check_members(model: Mapping[str, Any]) -> None:
    """Refuse what is not known beside a folder, a folder that is missing, and an unusable entry."""
    unknown = sorted(set(map(str, model)) - _KNOWN)
    if unknown:
        hint: str = _MEMBERS
        near = get_close_matches(unknown[0], _KNOWN, 1)
        if near:
            hint = Text("{name} may be meant. {members}", name=near[0], members=_MEMBERS)
        raise _invalid(unknown[0], "it is not known here", hint)
    if "folder" not in model:
        raise _invalid("folder", "it is missing: where the bundle is, beside the job file")
    entry = str(model.get("entry", ENTRY))
    if not re.fullmatch(ENTRY_PATTERN, entry):
        reason = Text("{entry!r} does not name a class of the bundle", entry=entry[:80])
        raise _invalid("entry", reason, "Write MODULE:CLASS, such as model:Model.")


def _initial(
    folder: Path, entry: str, settings: Mapping[str, Any], seed: int
) -> dict[str, NDArray[Any]]:
    from secureflow.engines.bundles.local import LocalModules

    modules = LocalModules(folder.resolve())
    with modules.used():
        found = modules.make(entry, settings, seed).initial()
    if not found:
        raise SecureFlowError(
            "bundle_output_refused",
            Text("What the bundle returned is refused: {reason}.",
                 reason="initial gave no tensor"),
            "Return the tensors that everybody begins with: a dict of names to arrays.",
        )  # fmt: skip
    return {name: _held(one) for name, one in found.items()}


def _held(array: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor as models hold it: a wider number is rounded, as in what `train` returns."""
    wide = array.dtype.kind == "f" and array.dtype.name not in HELD
    return array.astype("float32") if wide else array


def _declared(name: str, array: NDArray[Any]) -> TensorSpec:
    dtype = array.dtype.name
    if dtype not in HELD:
        known = ", ".join(sorted(HELD))
        reason = Text(
            "initial returns {name!r} as {dtype}, known are {known}",
            name=name[:80], dtype=dtype, known=known,
        )  # fmt: skip
        kind = "int64" if array.dtype.kind in "biu" else "float32"
        raise _invalid(
            "weights", reason, Text("Return it so: .astype({declared!r}).", declared=kind)
        )
    made = {"name": name, "shape": list(array.shape), "dtype": dtype}
    return parse(TensorSpec, made, "spec")


def _seed(job: Mapping[str, Any]) -> int:
    plan = job.get("plan")
    asked = {"plan": plan if isinstance(plan, Mapping) else {}}
    return parse(_Planned, asked, "spec").plan.seed


def _environment(model: Mapping[str, Any], base: Path, *, simulated: bool) -> str:
    if "lock" in model:
        return parse_lock(read_bytes(base / str(model["lock"]))).digest
    if "environment" in model:
        named = str(model["environment"])
        if not re.fullmatch(DIGEST_PATTERN, named):
            reason = Text("{name!r} is not the digest of a lock", name=named[:80])
            hint = "secureflow bundle lock LOCK shows the digest; or give lock: LOCK in its place."
            raise _invalid("environment", reason, hint)
        return named
    if simulated:
        return NO_ENVIRONMENT
    raise _invalid(
        "lock", "it is missing: owners run the code in an environment of this lock", _LOCK
    )


def _invalid(name: str, problem: str, hint: str = _PAGE) -> SecureFlowError:
    return SecureFlowError(
        "invalid_spec",
        Text("The spec is not valid: model.{name}: {problem}.", name=name[:80], problem=problem),
        hint,
        {"fields": [{"field": f"model.{name[:80]}", "problem": problem}]},
    )

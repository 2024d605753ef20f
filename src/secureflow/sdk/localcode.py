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

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.domain.specs.base import dump, parse
from secureflow.domain.specs.bundle_family import HELD, BundleModel
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
    if not isinstance(model, Mapping) or model.get("family") != "bundle" or "folder" not in model:
        return dict(job), None
    unknown = sorted(set(map(str, model)) - _KNOWN)
    if unknown:
        raise _invalid(unknown[0], "it is not known beside a folder")
    folder = base / str(model["folder"])
    bundle = read_bundle(folder)
    entry = str(model.get("entry", ENTRY))
    digest = _environment(model, base, simulated=simulated)
    settings = model.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise _invalid("settings", "it must be a mapping")
    drafted = parse(  # before any code runs
        BundleModel,
        {
            **{name: one for name, one in model.items() if name not in _TAKEN},
            "settings": settings,
            "bundle": {"digest": bundle.digest, "entry": entry, "environment": digest},
            "weights": [_ANY],
        },
        "spec",
    )
    initial = _initial(folder, entry, drafted.settings, _seed(job))
    weights = [dump(_declared(name, one)) for name, one in initial.items()]
    made = parse(BundleModel, {**dump(drafted), "weights": weights}, "spec")
    return {**job, "model": dump(made)}, LocalCode(folder, bundle, made, initial)


def _initial(
    folder: Path, entry: str, settings: Mapping[str, Any], seed: int
) -> dict[str, NDArray[Any]]:
    from secureflow.engines.bundles.local import LocalBundle, LocalModules

    modules = LocalModules(folder.resolve())
    with modules.used():
        return LocalBundle(modules.load(entry), settings, seed).initial()


def _declared(name: str, array: NDArray[Any]) -> TensorSpec:
    dtype = array.dtype.name
    if dtype not in HELD:
        known = ", ".join(sorted(HELD))
        reason = Text(
            "initial returns {name!r} as {dtype}, known are {known}",
            name=name[:80], dtype=dtype, known=known,
        )  # fmt: skip
        raise _invalid("weights", reason)
    made = {"name": name, "shape": list(array.shape), "dtype": dtype}
    return parse(TensorSpec, made, "spec")


def _seed(job: Mapping[str, Any]) -> int:
    plan = job.get("plan")
    return parse(TrainingPlan, plan if isinstance(plan, Mapping) else {}, "spec").seed


def _environment(model: Mapping[str, Any], base: Path, *, simulated: bool) -> str:
    if "lock" in model:
        return parse_lock(read_bytes(base / str(model["lock"]))).digest
    if "environment" in model:
        return str(model["environment"])
    if simulated:
        return NO_ENVIRONMENT
    raise _invalid("lock", "it is missing: owners run the code in an environment of this lock")


def _invalid(name: str, problem: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_spec",
        Text("The spec is not valid: model.{name}: {problem}.", name=name[:80], problem=problem),
        "docs/bundles.md shows a job file that names a folder.",
        {"fields": [{"field": f"model.{name[:80]}", "problem": problem}]},
    )

"""The exported model: a safetensors file of one tensor, and the card that describes it.

The card is JSON and holds everything needed to predict (family, features, federated moment sums)
and to trust the model (spec digest, model digest, contributors, purpose, metrics). A file written
by `ModelFile` has the card in its metadata; one that the platform streams comes with it. Format:
huggingface/safetensors, "Format": u64 little-endian header length, JSON header, raw data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from secureflow.domain.specs.base import STRICT, dump, parse, spec_digest
from secureflow.domain.specs.families import LEARNS, FamilyModel
from secureflow.domain.specs.inputs import input_problem
from secureflow.domain.specs.recipe_rules import recipe_problem
from secureflow.domain.specs.strategies import PLAIN, ChosenStrategy
from secureflow.domain.specs.tensors import Tensors, TensorSpec, by_name
from secureflow.domain.specs.torch_families import TORCH_FAMILIES, TORCH_MODELS, torch_problem
from secureflow.domain.specs.training import FeatureSpec, ModelSpec, TrainingPlan, TrainingSpec
from secureflow.domain.specs.tree_families import TREES, XgboostModel
from secureflow.engines.preparation import (
    Moments,
    declared_moments,
    moments_from_sums,
)
from secureflow.engines.training.foreign import needs_bundle
from secureflow.engines.training.tensors import flat, safetensors_parts
from secureflow.kit.canonical import canonical_bytes, parse_json
from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

TENSOR = "parameters"
"""The only tensor: float32, shape (parameters,); weights in design-matrix order, then intercept."""

HEADER_LIMIT = 8 << 20
PARAMETER_LIMIT = 1 << 30
_FLOAT32 = np.dtype("<f4")


def model_digest(parameters: NDArray[np.float32]) -> str:
    """Return the hex BLAKE3 of the raw little-endian float32 parameters."""
    return blake3(np.ascontiguousarray(parameters, _FLOAT32).data.cast("B")).hexdigest()


def model_card(
    spec: TrainingSpec,
    parameters: NDArray[np.float32],
    *,
    moments: Sequence[float] | None,
    metrics: Mapping[str, float],
    created: int,
) -> dict[str, Any]:
    """Return the card of a released model.

    Args:
        spec: the job's spec.
        parameters: float32 of shape (d,).
        moments: the released federated moment sums, or None if the spec has none.
        metrics: those of the final evaluation.
        created: unix seconds.
    """
    digest = model_digest(parameters)
    return card_of(spec, digest, moments=moments, metrics=metrics, created=created)


def card_of(
    spec: TrainingSpec,
    digest: str,
    *,
    moments: Sequence[float] | None,
    metrics: Mapping[str, float],
    created: int,
) -> dict[str, Any]:
    """Return the card of a model of which the digest is known, as `model_card` does."""
    written = dump(spec)
    # A logistic regression is known by its features alone; its card stays as it was.
    more = {} if isinstance(spec.model, ModelSpec) else {"model": written["model"]}
    return more | {
        "name": spec.name,
        "family": spec.model.family,
        "digest": digest,
        "spec_digest": spec_digest(spec),
        "purpose": spec.purpose,
        "contributors": list(spec.parties),
        "features": written["features"],
        "moments": None if moments is None else [float(value) for value in moments],
        "plan": written["plan"],
        "protection": spec.protection,
        "adapts_clipping": spec.adapts_clipping,
        "metrics": dict(metrics),
        "created": created,
    }


@dataclass(frozen=True)
class _Described:
    """The part of a card that says what the parameters are."""

    __pydantic_config__ = STRICT
    features: FeatureSpec
    model: FamilyModel


@dataclass(frozen=True)
class _Chosen:
    """The part of a card's plan that says what follows the model's parameters."""

    __pydantic_config__ = STRICT
    strategy: ChosenStrategy


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A model and its card, consistent with each other.

    Args:
        card: the JSON card.
        parameters: float32 of shape (d,), finite; the model's, one more if the card has
            `adapts_clipping`, and what the strategy of its plan keeps.
    """

    card: dict[str, Any]
    parameters: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """Return a self-contained safetensors file, card included."""
        # Lazy: only an export needs the library, not the agents and the server.
        from safetensors.numpy import save

        # Only one key: the library writes several in random order, and equal models must give
        # equal files.
        return bytes(save({TENSOR: self.parameters}, {"card": canonical_bytes(self.card).decode()}))

    @classmethod
    def from_bytes(cls, data: bytes, card: Mapping[str, Any] | None = None) -> ModelFile:
        """Read a foreign file; the card comes from its metadata unless it is given.

        Raises:
            SecureFlowError: `invalid_model` naming the problem; `model_digest_mismatch` if the
                parameters are not those that the card describes.
        """
        parameters, metadata = parse_safetensors(data)
        if card is None:
            card = _json_object(metadata.get("card", "").encode(errors="surrogatepass"), "card")
        return cls._checked(card, parameters, model_digest(parameters))

    @classmethod
    def _checked(
        cls, card: Mapping[str, Any], parameters: NDArray[np.float32], found: str
    ) -> ModelFile:
        """Return a card and the parameters of this digest, of which only the number is looked at.

        Raises:
            SecureFlowError: `invalid_model`, `model_digest_mismatch`.
        """
        if card.get("digest") != found:
            raise SecureFlowError(
                "model_digest_mismatch",
                Text(
                    "The parameters have digest {found}…, the card describes another model.",
                    found=found[:16],
                ),
                "Do not use it; download model and card again.",
                {"expected": str(card.get("digest"))[:64], "found": found},
            )
        model = cls(dict(card), parameters)
        if model.card.get("family") != "rehearsal":
            model.check_features()
        return model

    @classmethod
    def described(cls, text: str, count: int, found: str) -> ModelFile:
        """Return what a card says of so many parameters of this digest; they are zero in it.

        Raises:
            SecureFlowError: `invalid_model`, `model_digest_mismatch`.
        """
        nothing = np.broadcast_to(np.float32(0), (count,))
        return cls._checked(
            _json_object(text.encode(errors="surrogatepass"), "card"), nothing, found
        )

    def check_features(self) -> None:
        """Refuse a card whose features, moments and parameters do not match.

        Raises:
            SecureFlowError: `invalid_model` or `invalid_moments`.
        """
        features = self.features
        if input_problem(features.beside) is not None:
            raise _invalid("its images, arrays or texts contradict themselves")
        if features.recipe is not None and (problem := recipe_problem(features)):
            raise _invalid(problem[1])
        model, width = self.spec.model, features.table_width
        if isinstance(model, TORCH_MODELS) and torch_problem(model, width, features.beside):
            raise _invalid("its family cannot see its inputs")
        if any(low >= high for low, high in (f.bounds for f in features.numeric)):
            raise _invalid("a feature has empty bounds")
        needed = self.spec.parameters + bool(self.card.get("adapts_clipping"))
        if len(self.parameters) != needed:
            found = len(self.parameters)
            raise _invalid(
                Text(
                    "it has {found} parameters, its features need {needed}",
                    found=found,
                    needed=needed,
                )
            )
        _ = self.moments

    @property
    def weights(self) -> NDArray[np.float32]:
        """The model's own parameters, without what follows them in the state of a job."""
        return self.parameters[: self.spec.model_parameters]

    @property
    def spec(self) -> TrainingSpec:
        """Features, model and plan as a spec without parties, for whoever computes with them."""
        model = self.card.get("model") or {"family": self.card.get("family")}
        asked = {"features": self.card.get("features"), "model": model}
        found = parse(_Described, asked, "model")
        written = self.card.get("plan")
        rounds = written.get("rounds") if isinstance(written, dict) else 0
        rounds = rounds if type(rounds) is int else 0
        if isinstance(trees := found.model, XgboostModel):
            parties = self.card.get("contributors")
            count = len(parties) if isinstance(parties, list) else 0
            grown, rounds = trees.grown(rounds, count)
            found = replace(found, model=grown)
        seed = written.get("seed") if isinstance(written, dict) else None
        chosen = written.get("strategy", PLAIN) if isinstance(written, dict) else PLAIN
        plan = TrainingPlan(
            rounds=rounds,
            strategy=parse(_Chosen, {"strategy": chosen}, "model").strategy,
        )
        if type(seed) is int:
            plan = replace(plan, seed=seed)
        return TrainingSpec(
            "", "", "", "", (), features=found.features, model=found.model, plan=plan
        )  # fmt: skip

    @property
    def features(self) -> FeatureSpec:
        """The feature spec on which the model was trained."""
        return parse(FeatureSpec, self.card.get("features"), "model")

    @property
    def moments(self) -> Moments:
        """The centre and scale of every numeric feature."""
        features, sums = self.features, self.card.get("moments")
        if not features.federated:
            return declared_moments(features)
        if not isinstance(sums, list) or not all(type(v) in {int, float} for v in sums):
            raise _invalid("its card has no federated moments")
        try:
            return moments_from_sums(features, np.array(sums, dtype=np.float64))
        except OverflowError:
            raise _invalid("its card's moments are not float64 numbers") from None


def parse_safetensors(data: bytes) -> tuple[NDArray[np.float32], dict[str, str]]:
    """Parse a file of exactly the one expected tensor; return parameters and metadata.

    Nothing beyond the header is allocated before all lengths are found consistent.

    Raises:
        SecureFlowError: `invalid_model`: wrong lengths, another name, dtype or shape, bytes
            left over, NaN or infinity.
    """
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(HEADER_LIMIT, len(data) - 8):
        raise _invalid("it is no model file, or it was cut off: its header would not fit in it")
    header = _json_object(data[8 : 8 + length], "header")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _invalid("its metadata must map names to strings")
    if set(header) != {TENSOR}:
        raise _invalid(Text("it does not hold exactly the tensor {tensor!r}", tensor=TENSOR))
    count = _element_count(header[TENSOR])
    if len(data) != 8 + length + count * _FLOAT32.itemsize:
        raise _invalid("its data are not as long as its header says")
    parameters = np.frombuffer(data, _FLOAT32, count, 8 + length).astype(np.float32)
    if not np.isfinite(parameters).all():
        raise _invalid("a parameter is not finite")
    return parameters, metadata


def uploaded_weights(data: bytes) -> tuple[Tensors, NDArray[np.float32]]:
    """Read a file of weights to start from: its tensors, and their flat vector.

    A file that `ModelFile` wrote counts as the tensors that its card describes.

    Raises:
        SecureFlowError: `tensors_wrong`, and for a file with a card those of `from_bytes`.
    """
    tensors, arrays = safetensors_parts(data)
    if [one.name for one in tensors] == [TENSOR] and b'"card"' in data[: HEADER_LIMIT + 8]:
        file = ModelFile.from_bytes(data)
        return by_name(file.spec.tensors), file.weights
    return tensors, flat(tensors, arrays)


def described_weights(card: Any, tensor: TensorSpec, found: str) -> Tensors:
    """Return the tensors that a file's card describes; the file's only tensor has this digest.

    Raises:
        SecureFlowError: `invalid_model`, `model_digest_mismatch`.
    """
    if not isinstance(card, str):
        raise _invalid("its metadata must map names to strings")
    if tensor.dtype != "float32":
        raise _invalid("its dtype is not F32")
    if len(tensor.shape) != 1:
        raise _invalid("its shape is not one integer")
    return by_name(ModelFile.described(card, tensor.size, found).spec.tensors)


def feature_names(features: FeatureSpec) -> list[str]:
    """Return one name per weight: `age`, `education=Masters`, `occupation=` for missing."""
    names = [numeric.column for numeric in features.numeric]
    for feature in features.categorical:
        names += [f"{feature.column}={category}" for category in feature.categories]
        names += [f"{feature.column}="] if feature.missing == "indicator" else []
    for beside in features.beside:
        names += [f"{beside.column}[{at}]" for at in range(beside.width)]
    return names


def to_sklearn(card: Mapping[str, Any], parameters: NDArray[np.float32]) -> Any:
    """Return a fitted scikit-learn estimator with the same predictions (`estimators`).

    Raises:
        SecureFlowError: `missing_extra` without scikit-learn; `invalid_model` for other families,
            `needs_bundle` for `bundle`.
    """
    family = card.get("family")
    if family == "bundle":
        raise needs_bundle()
    if family == TREES:
        raise SecureFlowError(
            "invalid_model",
            Text("A model of the family {family!r} is not of scikit-learn.", family=family),
            "Call save_xgboost: XGBoost's own estimators load that file.",
        )
    if family not in LEARNS or family in TORCH_FAMILIES:
        raise SecureFlowError(
            "invalid_model",
            Text("A model of the family {family!r} is not of scikit-learn.", family=family),
            "Call tensors or to_torch.",
        )
    # Lazy: only an export needs the families.
    from secureflow.engines.training.estimators import estimator

    file = ModelFile(dict(card), parameters)
    try:
        model = estimator(file.spec, file.weights)
    except ImportError:
        raise SecureFlowError(
            "missing_extra",
            "scikit-learn is not installed.",
            install_hint("sklearn"),
        ) from None
    model.feature_names = feature_names(file.features)
    return model


def _element_count(tensor: Any) -> int:
    if not isinstance(tensor, dict) or set(tensor) != {"dtype", "shape", "data_offsets"}:
        raise _invalid("its tensor's description has other parts than dtype, shape, data_offsets")
    shape = tensor["shape"]
    if tensor["dtype"] != "F32":
        raise _invalid("its dtype is not F32")
    if not isinstance(shape, list) or len(shape) != 1 or type(shape[0]) is not int:
        raise _invalid("its shape is not one integer")
    count: int = shape[0]
    if not 0 < count <= PARAMETER_LIMIT:
        raise _invalid(
            Text("its size is not between 1 and {parameter_limit}", parameter_limit=PARAMETER_LIMIT)
        )
    # As text, because in Python true equals 1 and 4.0 equals 4.
    if json.dumps(tensor["data_offsets"]) != f"[0, {count * _FLOAT32.itemsize}]":
        raise _invalid("its offsets are not those of its shape")
    return count


def _json_object(data: bytes, what: str) -> dict[str, Any]:
    try:
        value = parse_json(data, HEADER_LIMIT)
    except SecureFlowError:
        raise _invalid(Text("its {what} is not JSON", what=what)) from None
    if not isinstance(value, dict):
        raise _invalid(Text("its {what} is not a JSON object", what=what))
    return value


def _invalid(reason: str) -> SecureFlowError:
    return SecureFlowError(
        "invalid_model",
        Text("The model file cannot be used: {reason}.", reason=reason),
        "Download it again; if that does not help, its author must correct it.",
    )

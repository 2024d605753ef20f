"""Released models: metadata, lineage, download."""

from __future__ import annotations

import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secureflow.domain.models import KeptUpload
from secureflow.domain.specs.tensors import Tensors, layout_digest
from secureflow.domain.specs.training import Initial
from secureflow.kit.atomic import write_result
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation
from secureflow.sdk.comparison import Comparison
from secureflow.sdk.consoleviews import Lineage
from secureflow.sdk.measuring import measured_models
from secureflow.sdk.modelcards import Card
from secureflow.sdk.objects import Model as ModelDescription
from secureflow.sdk.streaming import Streamed

if TYPE_CHECKING:
    from secureflow.engines.training.export import ModelFile
    from secureflow.engines.training.weightsfile import WeightsFile
    from secureflow.sdk.prediction import Predictor


@dataclass(frozen=True)
class UploadedModel:
    """What was uploaded.

    Args:
        initial: the member `initial` of a job that starts from it.
        tensors: what the file holds, in the order of names.
        upload: how the centre keeps it.
    """

    initial: Initial
    tensors: Tensors
    upload: KeptUpload


class Models(Resource[D_co]):
    """Models that the caller's projects released."""

    @operation
    def get(self, model: str) -> Call[ModelDescription]:
        """Return a model's description by id."""
        return verbs.get(f"/models/{model}", ModelDescription)

    @operation
    def card(self, model: str) -> Call[Card]:
        """Return the model card: what it is, what it was trained on, how it scores."""
        return verbs.read(f"/models/{model}/card", answers.card)

    @operation
    def lineage(self, model: str) -> Call[Lineage]:
        """Return where a model comes from and what was done with it, as nodes and edges."""
        return verbs.get(f"/models/{model}/lineage", Lineage)

    @operation
    def compare(self, *models: str, evaluation: str = "") -> Generator[Any, Any, Comparison]:
        """Return models side by side, and whether their figures are of the same rows.

        Args:
            models: ids of 2 to 20.
            evaluation: id of an ended evaluation that measured all of them on the same rows; by
                default the figures are those of their own jobs.

        Raises:
            SecureFlowError: `invalid_request` for another number; `not_found`, also for a model
                that the evaluation did not measure.
        """
        return Comparison(*(yield from measured_models(models, evaluation)))

    @operation
    def load(
        self, model: str, bundle: str | Path | None = None, base: str | Path | None = None
    ) -> Generator[Any, Any, Predictor]:
        """Return the model, ready to predict.

        Args:
            model: its id.
            bundle: the folder of the code that computes a model of the family `bundle`; it is
                called in this process, without a sandbox.
            base: the file of the model on which an adapter stands.

        Raises:
            SecureFlowError: as `download`; `invalid_model` for a family that cannot predict;
                `digest_mismatch` for other code than that which trained it.
        """
        from secureflow.sdk.prediction import Predictor  # NumPy is only needed for prediction

        return Predictor((yield from fetched(model)), bundle, base)

    @operation
    def download(self, model: str, path: str | Path) -> Generator[Any, Any, Path]:
        """Write parameters and card as one safetensors file that `Predictor.load` reads.

        Raises:
            SecureFlowError: `model_digest_mismatch` if the parameters do not match the model's
                description, `invalid_model`; then nothing is written.
        """
        file = yield from fetched(model)
        target = Path(path)
        write_result(target, file.to_bytes())
        return target

    @operation
    def upload(self, path: str | Path, project: str) -> Generator[Any, Any, UploadedModel]:
        """Upload a file of weights; put `initial` of the answer into a job to start from them.

        The file is read block by block, so it may be larger than memory.

        Args:
            path: a safetensors file of exactly the model's tensors, or a model that `download`
                wrote.
            project: whose jobs may start from it.

        Raises:
            SecureFlowError: `tensors_wrong` for a file that no model can start from,
                `invalid_file`, `quota_exceeded`, `too_large`, `disk_full`.
        """
        from secureflow.engines.training.weightsfile import WeightsFile

        file = WeightsFile.read(Path(path))
        start = initial_of(file)
        kept = yield from Call(
            "POST",
            "/models/uploads",
            answers.value(KeptUpload),
            {"project": project, "digest": start.model, "layout": start.layout},
            content=Streamed(file.size, file.blocks),
            key=secrets.token_hex(16),
            slow=True,
        )
        return UploadedModel(start, file.tensors, kept)

    @operation
    def remove_upload(self, upload: str) -> Call[None]:
        """Remove uploaded weights by id, unless an unfinished job names them."""
        return verbs.delete(f"/models/uploads/{upload}")

    @listing
    def uploads(self, project: str = "") -> Call[Page[KeptUpload]]:
        """Iterate over the uploaded weights of the caller's projects, or of one project."""
        return verbs.pages("/models/uploads", KeptUpload, project=project)

    @listing
    def list(self, project: str = "", job: str = "") -> Call[Page[ModelDescription]]:
        """Iterate over the models that the caller sees."""
        return verbs.pages("/models", ModelDescription, project=project, job=job)


def initial_of(file: WeightsFile) -> Initial:
    """Return the member `initial` of a job that starts from a file of weights."""
    return Initial(file.digest, layout_digest(file.tensors))


def fetched(model: str) -> Generator[Any, Any, ModelFile]:
    """Fetch a model with its card.

    Raises:
        SecureFlowError: `model_digest_mismatch`, `invalid_model`.
    """
    from secureflow.engines.training.export import ModelFile

    described = yield from verbs.get(f"/models/{model}", ModelDescription)
    card = yield from verbs.read(f"/models/{model}/card", answers.document)
    data = yield from verbs.read_large(f"/models/{model}/content", answers.content)
    file = ModelFile.from_bytes(data, card)
    if described.digest != card["digest"]:
        raise SecureFlowError(
            "model_digest_mismatch",
            Text(
                "The card of {model} describes a model of another digest than its entry.",
                model=model,
            ),
            "Do not use it; ask the operator which of the two the ledger holds.",
            {"expected": described.digest, "found": card["digest"]},
        )
    return file

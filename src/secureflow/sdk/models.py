"""Released models: metadata, lineage, download."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx

from secureflow.domain.models import Model
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Page, Resource, listing, operation


class Models(Resource[D_co]):
    """Models that the caller's projects released."""

    @operation
    def get(self, model: str) -> Call[Model]:
        """Return a model's description by id."""
        return verbs.get(f"/models/{model}", Model)

    @operation
    def card(self, model: str) -> Call[dict[str, Any]]:
        """Return the model card: what it is, on what it was trained, how it scores."""
        return verbs.read(f"/models/{model}/card", answers.document)

    @operation
    def download(self, model: str, path: str | Path) -> Generator[Any, Any, Path]:
        """Write the parameters (safetensors) to `path`, checked against the content address.

        Raises:
            SecureFlowError: `digest_mismatch` when the bytes are not those that the model's
                description names; nothing is left at `path` then.
        """
        described: Model = yield from verbs.get(f"/models/{model}", Model)
        target = Path(path)
        part = target.with_name(target.name + ".part")
        try:
            found: str = yield from _content(model, part)
            if found != described.artifact:
                raise _mismatch(model, described.artifact, found)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return target

    @listing
    def list(self, project: str = "", job: str = "") -> Call[Page[Model]]:
        """Iterate over the models that the caller sees."""
        return verbs.pages("/models", Model, project=project, job=job)


def _content(model: str, file: Path) -> Call[str]:
    return Call("GET", f"/models/{model}/content", _digest, file=file)


def _digest(response: httpx.Response) -> str:
    return str(response.extensions["blake3"])


def _mismatch(model: str, expected: str, found: str) -> SecureFlowError:
    return SecureFlowError(
        "digest_mismatch",
        f"The content of {model} has digest {found[:16]}…, its description says {expected[:16]}….",
        "Do not use it. Download again; if it stays so, the server hands out another model.",
        {"expected": expected, "found": found},
    )

"""Logging a job for TensorBoard; the extra `tensorboard` (tensorboardX: no TensorFlow, no server).

`tensorboard --logdir runs` shows them. A folder has one job: its event files are added to where the
job is logged again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.sdk.runlogs import folder_name, not_logged

if TYPE_CHECKING:
    from secureflow.engines.training.export import ModelFile
    from secureflow.sdk.objects import Job


class TensorBoardLog:
    """A `RunLog` as event files: scalars, and texts of parameters, tags and card.

    Args:
        folder: in which each job has a folder of its own.

    Raises:
        SecureFlowError: `missing_extra`.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from tensorboardX import SummaryWriter  # an optional extra
        except ImportError:
            raise SecureFlowError(
                "missing_extra", "tensorboardX is not installed.", install_hint("tensorboard")
            ) from None
        self._folder, self._open = Path(folder), SummaryWriter
        self._writer: Any = None

    def begin(self, job: Job, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Open the event file; see `RunLog.begin`."""
        place = self._folder / folder_name(job)
        self._writer = self._asked(self._open, logdir=str(place))
        self._text("parameters", parameters)
        self._text("tags", tags)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Write scalars; see `RunLog.figures`."""
        for name, value in figures.items():
            self._asked(self._writer.add_scalar, name, value, step)
        self._asked(self._writer.flush)

    def end(self, state: str, tags: Mapping[str, str], model: ModelFile | None) -> None:
        """Write tags and the model's card, and the model beside the events; see `RunLog.end`."""
        if self._writer is None:
            return
        self._text("outcome", {**tags, "secureflow.state": state})
        if model is not None:
            self._text("card", model.card)
            place = Path(self._writer.logdir, "model.safetensors")
            self._asked(place.write_bytes, model.to_bytes())
        self._asked(self._writer.close)

    def _text(self, name: str, value: Mapping[str, Any]) -> None:
        """Write an object as JSON, which TensorBoard shows as code: each line is indented."""
        lines = json.dumps(value, ensure_ascii=False, indent=2).split("\n")
        text = "\n".join(f"    {line}" for line in lines)
        self._asked(self._writer.add_text, name, text, 0)

    @staticmethod
    def _asked(what: Callable[..., Any], *given: Any, **more: Any) -> Any:
        try:
            return what(*given, **more)
        except OSError as error:
            raise not_logged("TensorBoard", error) from error

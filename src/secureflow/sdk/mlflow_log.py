"""Logging a job to MLflow; the extra `mlflow` (mlflow-skinny, or the whole of MLflow).

Without a URI and inside `with mlflow.start_run():` the active run is written and stays open.
Otherwise there is a new run, named like the job, in the experiment that the environment names
(`MLFLOW_EXPERIMENT_NAME`), else in `secureflow`. MLflow's own usage statistics are switched off
where it was not imported before.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from secureflow.kit.commandline import install_hint
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown
from secureflow.sdk.runlogs import not_logged

if TYPE_CHECKING:
    from secureflow.engines.training.export import ModelFile
    from secureflow.sdk.objects import Job

_STATES: Final = {"succeeded": "FINISHED", "failed": "FAILED"}
_EXPERIMENT: Final = "secureflow"


class MlflowLog:
    """A `RunLog` in MLflow.

    Args:
        uri: of the tracking store; "" is MLflow's own setting.

    Raises:
        SecureFlowError: `missing_extra`.
    """

    def __init__(self, uri: str = "") -> None:
        if "mlflow" not in sys.modules:
            os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        try:
            import mlflow  # an optional extra
        except ImportError:
            raise SecureFlowError(
                "missing_extra", "MLflow is not installed.", install_hint("mlflow")
            ) from None
        self._errors = (mlflow.exceptions.MlflowException, OSError)
        self._client = self._asked(mlflow.MlflowClient, tracking_uri=uri or None)
        self._active = None if uri else mlflow.active_run()
        self._run = ""

    def begin(self, job: Job, parameters: Mapping[str, str], tags: Mapping[str, str]) -> None:
        """Open the run, or take the active one; see `RunLog.begin`."""
        self._run = self._asked(self._opened, job)
        for name, value in tags.items():
            self._asked(self._client.set_tag, self._run, name, value)
        for name, value in parameters.items():
            self._asked(self._client.log_param, self._run, name, value)

    def figures(self, step: int, figures: Mapping[str, float]) -> None:
        """Log metrics; see `RunLog.figures`."""
        for name, value in figures.items():
            self._asked(self._client.log_metric, self._run, name, value, step=step)

    def end(self, state: str, tags: Mapping[str, str], model: ModelFile | None) -> None:
        """Log tags and the model as the artefact `model`, close the run; see `RunLog.end`."""
        if not self._run:
            return
        for name, value in {**tags, "secureflow.state": state}.items():
            self._asked(self._client.set_tag, self._run, name, value)
        if model is not None:
            self._asked(self._artefact, model)
        if self._active is None:
            ended = _STATES.get(state, "KILLED")
            self._asked(self._client.set_terminated, self._run, ended)

    def _opened(self, job: Job) -> str:
        if self._active is not None:
            return str(self._active.info.run_id)
        named = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        found = self._client.get_experiment_by_name(named)
        within = found.experiment_id if found else self._client.create_experiment(named)
        made = self._client.create_run(within, run_name=shown(job.name)[:200])
        return str(made.info.run_id)

    def _artefact(self, model: ModelFile) -> None:
        """Log the model's file, and its card beside it for people."""
        with tempfile.TemporaryDirectory() as folder:
            file, card = Path(folder, "model.safetensors"), Path(folder, "card.json")
            file.write_bytes(model.to_bytes())
            card.write_text(json.dumps(model.card, ensure_ascii=False, indent=2), "utf-8")
            for path in (file, card):
                self._client.log_artifact(self._run, str(path), "model")

    def _asked(self, what: Callable[..., Any], *given: Any, **more: Any) -> Any:
        try:
            return what(*given, **more)
        except self._errors as error:
            raise not_logged("MLflow", error) from error

"""The settings in force at a running agent: replaced as a whole by a reload, never edited."""

from __future__ import annotations

from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import DatasetConfig


class ActiveSettings:
    """Holds the settings; read `settings` once when several values must be consistent.

    Args:
        settings: those that the process started with.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> AgentSettings:
        """The settings in force."""
        return self._settings

    @property
    def organisation(self) -> str:
        """This organisation's slug, which no reload changes."""
        return self._settings.organisation

    @property
    def datasets(self) -> tuple[DatasetConfig, ...]:
        """The datasets that are declared now."""
        return self._settings.datasets

    def dataset(self, name: str) -> DatasetConfig:
        """Return a dataset that is declared now; raises `dataset_unknown`."""
        return self._settings.dataset(name)

    def replace(self, settings: AgentSettings) -> None:
        """Use other settings from now on."""
        self._settings = settings

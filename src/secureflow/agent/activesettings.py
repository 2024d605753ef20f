"""The settings that a running agent goes by: replaced as a whole by a reload, never edited."""

from __future__ import annotations

from secureflow.agent.settings import AgentSettings
from secureflow.domain.schemas import DatasetConfig


class ActiveSettings:
    """Holds the settings; whoever needs several of their values takes `settings` once.

    Args:
        settings: those that the process began with.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> AgentSettings:
        """What counts now."""
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
        """Go by other settings from now on."""
        self._settings = settings

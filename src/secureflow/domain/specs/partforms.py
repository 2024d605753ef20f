"""What all specs' parts have in common, whatever their kind: how others read them."""

from __future__ import annotations

from typing import Protocol


class Patience(Protocol):
    """The limits that every kind of job has."""

    @property
    def patience_seconds(self) -> float:
        """Seconds without progress after which a party counts as silent."""


class PrivacyPart(Protocol):
    """The common part of all kinds' differential-privacy settings."""

    @property
    def delta(self) -> float:
        """δ of every figure of the job."""

    @property
    def epsilon(self) -> float | None:
        """Upper bound on the cost of the whole job at δ, by `rdp-cks20`."""

    @property
    def unit(self) -> str:
        """Whose presence is hidden."""

    @property
    def noise(self) -> str:
        """Who adds the noise."""


class CodePart(Protocol):
    """The code that a job brings."""

    @property
    def digest(self) -> str:
        """Of the packed bundle."""

    @property
    def entry(self) -> str:
        """The class that is called, `module:Class`; or the file that an engine starts."""

    @property
    def environment(self) -> str:
        """Digest of the lock of the environment that runs it; "" where an engine does."""


class PartOf(Protocol):
    """The job that starts this one."""

    @property
    def job(self) -> str:
        """Its id."""

    @property
    def number(self) -> int:
        """Which of its parts this one is, from 1."""

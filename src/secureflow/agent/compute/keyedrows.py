"""In the worker: the columns of the rows that a job of sums takes, by the owners' keys and persons.

Shared by kinds that read a file once: a job may take the rows whose keys are held out, or all but
these, and under privacy reads the owner's column of persons as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from secureflow.adapters.datasources import SourceLimits, open_source, read_with_keys
from secureflow.agent.compute.kind import Secrets
from secureflow.domain.schemas import DatasetConfig, with_key, with_person
from secureflow.domain.specs.heldout import HeldOut
from secureflow.domain.specs.summed import SummedPrivacy

if TYPE_CHECKING:  # NumPy loads with the first job
    from numpy.typing import NDArray


class Keyed(Protocol):
    """A spec of a job that reads rows, some of which may be held out."""

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that it uses."""

    @property
    def held_out(self) -> HeldOut | None:
        """Which rows are held out; None for none."""

    @property
    def privacy(self) -> SummedPrivacy | None:
        """The noise, if there is any."""


def person_of(spec: Keyed, config: DatasetConfig) -> str | None:
    """Return the owner's column of persons if the job needs it: under privacy."""
    return config.privacy.person if config.privacy and spec.privacy is not None else None


def check_columns(spec: Keyed, config: DatasetConfig, limits: SourceLimits) -> None:
    """Refuse columns that the file does not have, the key's among them.

    Raises:
        SecureFlowError: `key_undeclared`, those of `DataSource.check`.
    """
    names = _names(spec, config)
    if spec.held_out is not None:
        names = tuple(dict.fromkeys((*names, config.required_key())))
    open_source(with_person(with_key(config)), limits, tolerant=True).check(names)


def read_columns(
    spec: Keyed, config: DatasetConfig, limits: SourceLimits, secrets: Secrets, *, held: bool
) -> dict[str, NDArray[Any]]:
    """Return the columns of the rows that a job takes, that of persons too.

    Args:
        spec: the job's.
        config: the owner's declaration.
        limits: of reading.
        secrets: the party's.
        held: whether it takes the rows that are held out, or the others.

    Raises:
        SecureFlowError: `key_undeclared`, those of `read_with_keys` and `DataSource.read`.
    """
    names, tolerant = _names(spec, config), spec.privacy is not None
    config = with_person(config)
    if spec.held_out is None:
        return open_source(config, limits, tolerant=tolerant).read(names)
    from secureflow.engines.preparation import held_out

    columns, keys = read_with_keys(config, limits, names, tolerant=tolerant)
    taken = held_out(keys, secrets.keys, spec.held_out.share, spec.held_out.part) == held
    return {name: found[taken] for name, found in columns.items()}


def _names(spec: Keyed, config: DatasetConfig) -> tuple[str, ...]:
    person = person_of(spec, config)
    return (
        spec.column_names if person is None else tuple(dict.fromkeys((*spec.column_names, person)))
    )

"""This organisation's publications of its datasets: a job uses exactly one of them, or nothing.

- A request is answered only for a dataset whose declaration is the published one, and the approval
  stores declaration and commitment as of then: neither an edited `agent.yaml` nor a later
  publication changes what an approved job uses.
- Before the first row is read for a job, the file is compared with the commitment. Another file,
  or a truncated one, is refused with the same message whatever its content, and costs nothing.
- A name that was once published with a privacy budget permanently keeps its domain and unit, even
  after a withdrawal: publishing again gives no new budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from secureflow.adapters.datasources.commitment import check_unchanged
from secureflow.agent.owner.keysecret import keep_key_secret
from secureflow.agent.record.store import RecordStore
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import dump, parse
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.text import Text

_TOLD: Final = ("columns", "privacy", "reading")


@dataclass(frozen=True)
class Publication:
    """A dataset as it was published.

    Args:
        dataset: its declaration.
        salt: hex, 32 bytes; it stays here.
        commitment: hex commitment to the file under the salt; this is public.
    """

    dataset: DatasetConfig
    salt: str = field(repr=False)
    commitment: str

    def as_json(self) -> dict[str, JSON]:
        """Return the form stored in an approval."""
        return {"dataset": dump(self.dataset), "salt": self.salt, "commitment": self.commitment}

    @classmethod
    def from_json(cls, kept: Mapping[str, JSON]) -> Self:
        """Read the form stored in an approval."""
        dataset = parse(DatasetConfig, kept["dataset"], "dataset", stored=True)
        return cls(dataset, str(kept["salt"]), str(kept["commitment"]))

    def check_file(self) -> None:
        """Compare the file with the commitment; reads all of it, so call it off the event loop.

        Raises:
            SecureFlowError: `dataset_changed` or `dataset_unreadable`, with messages that do not
                depend on the file.
        """
        salt = bytes.fromhex(self.salt)
        check_unchanged(self.dataset.name, Path(self.dataset.path), salt, self.commitment)


def described(dataset: DatasetConfig) -> dict[str, JSON]:
    """Return what a published description says of a declaration, beside names and rows."""
    return {
        "columns": dataset.public_schema(),
        "privacy": dataset.public_privacy(),
        **({} if dataset.key is None else {"key": dataset.key}),
    }


def declaration(dataset: DatasetConfig) -> dict[str, JSON]:
    """Return the parts of a declaration that decide which rows and cells it accepts."""
    privacy = dataset.privacy
    return {
        "columns": dataset.public_schema(),
        "privacy": dataset.public_privacy(),
        "reading": {
            "format": dataset.format,
            "missing": list(dataset.missing),
            "person": privacy.person if privacy else None,
            **({} if dataset.index is None else {"index": dataset.index}),
            **({} if dataset.key is None else {"key": dataset.key}),
        },
    }


def published(store: RecordStore, organisation: str, dataset: DatasetConfig) -> Publication:
    """Return the dataset's publication, if it has the current declaration.

    Raises:
        SecureFlowError: `dataset_not_published`, `declaration_changed`.
    """
    kept = store.fact(f"dataset/{dataset.name}")
    hint = Text(
        "At {organisation}: secureflow agent data publish {name}; then submit again.",
        organisation=organisation,
        name=dataset.name,
    )
    if kept is None:
        raise SecureFlowError(
            "dataset_not_published",
            Text(
                "{organisation} has not published the dataset {name!r}, or withdrew it.",
                organisation=organisation,
                name=dataset.name,
            ),
            hint,
            {"dataset": dataset.name},
        )
    if differs(kept, dataset):
        raise SecureFlowError(
            "declaration_changed",
            Text(
                "{organisation} has changed its declaration of {name!r} since it "
                "published the dataset.",
                organisation=organisation,
                name=dataset.name,
            ),
            hint,
            {"dataset": dataset.name},
        )
    return Publication(dataset, str(kept["salt"]), str(kept["commitment"]))


def differs(kept: Mapping[str, JSON], dataset: DatasetConfig) -> bool:
    """Return whether a declaration differs from the published one (`store.fact`)."""
    now = declaration(dataset)
    return any(name in kept and kept[name] != now[name] for name in _TOLD)


# The lineage of a name: it outlives withdrawals.


def lineage(dataset: DatasetConfig) -> dict[str, JSON] | None:
    """Return what can never change after a publication with a budget; None without one."""
    privacy = dataset.privacy
    if privacy is None:
        return None
    return {"domain": privacy.domain, "unit": privacy.unit, "person": privacy.person}


def check_lineage(
    store: RecordStore, dataset: DatasetConfig, before: DatasetConfig | None = None
) -> None:
    """Refuse a domain or unit other than the name has had.

    Args:
        store: the record, which knows every name that was published.
        dataset: the new declaration.
        before: the previous declaration, if there was one.

    Raises:
        SecureFlowError: `privacy_fixed`.
    """
    known = store.fact(f"lineage/{dataset.name}") or (before and lineage(before))
    if not known or known == lineage(dataset):
        return
    now = lineage(dataset)
    raise SecureFlowError(
        "privacy_fixed",
        Text(
            "The privacy budget of dataset {name!r} is kept in {kept}; "
            "the settings say {settings}.",
            name=dataset.name,
            kept=_words(known),
            settings=_words(now) if now else "that it has none",
        ),
        "What the data has revealed stays revealed: put domain, unit and person back. Give other "
        "data another name.",
        {"dataset": dataset.name},
    )


def keep_published(store: RecordStore, key: SigningKey, dataset: DatasetConfig) -> None:
    """Store what stays with a published name; the caller holds the transaction.

    Its domain and unit, and with a key of rows the secret under which the organisation's keys are
    drawn: every backup from now on has it, whether a job has asked for it or not.
    """
    keep_lineage(store, dataset)
    if dataset.key_column is not None:
        keep_key_secret(store, key)


def keep_lineage(store: RecordStore, dataset: DatasetConfig) -> None:
    """Store a published name's domain and unit; the caller holds the transaction."""
    current = lineage(dataset)
    if current is not None:
        store.set_fact(f"lineage/{dataset.name}", current)


def _words(lineage: Mapping[str, JSON]) -> str:
    person = f" ({lineage['person']})" if lineage.get("person") else ""
    return Text(
        "domain {domain} per {unit}{person}",
        domain=lineage["domain"],
        unit=lineage["unit"],
        person=person,
    )

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
from secureflow.engines.run.kept import KEPT
from secureflow.kit.canonical import JSON
from secureflow.kit.crypto import SigningKey
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.filedigest import file_digest
from secureflow.kit.text import Text

_TOLD: Final = ("columns", "privacy", "reading")
_PROBED: Final = "probing"
"""Begins the names of facts that hold the domain in which a name's tested ids are counted."""


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
    _check_domain(store, dataset, before)
    _check_origin(store, dataset)
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


def check_publishable(store: RecordStore, dataset: DatasetConfig) -> None:
    """Refuse another lineage than the name has had, and a result that is not the job's.

    Reads a whole result, so call it off the event loop.

    Raises:
        SecureFlowError: those of `check_lineage`; `not_found` for a job without a result here;
            `dataset_changed`.
    """
    check_lineage(store, dataset)
    if dataset.result is None:
        return
    job = dataset.result.job
    leaf = store.leaf_of(job, KEPT)
    document = {} if leaf is None else leaf.bundle.get("document") or {}
    if not document.get("file") or result_data(store, job) is None:
        raise SecureFlowError(
            "not_found",
            Text("This agent keeps no result of a job {job}.", job=job),
            "secureflow agent results list shows those that it keeps, with the ids of their jobs.",
        )
    path = Path(dataset.path)
    if not path.is_file() or file_digest(path).hex() != document["file"]:
        raise SecureFlowError(
            "dataset_changed",
            Text(
                "The file of dataset {name!r} is not the result of {job} that this agent kept.",
                name=dataset.name,
                job=job,
            ),
            "Name the kept file (secureflow agent results show JOB), or leave `result` out for "
            "other data.",
            {"dataset": dataset.name},
        )


def result_data(store: RecordStore, job: str) -> DatasetConfig | None:
    """Return the dataset that this organisation gave to a job; None if that is not on record."""
    record = store.job(job)
    if record is None or record.declared is None:
        return None
    return Publication.from_json(record.declared).dataset


def _check_origin(store: RecordStore, dataset: DatasetConfig) -> None:
    """Refuse to declare a result outside of the privacy domain of the rows that it is of."""
    if dataset.result is None or (data := result_data(store, dataset.result.job)) is None:
        return
    if data.domain != dataset.domain or (data.privacy is not None and dataset.privacy is None):
        raise SecureFlowError(
            "privacy_fixed",
            Text(
                "Dataset {name!r} is the result of {job}, whose rows are in the privacy domain "
                "{domain}.",
                name=dataset.name,
                job=dataset.result.job,
                domain=data.domain,
            ),
            Text(
                "Declare `result: {{job: {job}, domain: {domain}}}`, and the privacy section of "
                "{source} if that has one.",
                job=dataset.result.job,
                domain=data.domain,
                source=data.name,
            ),
            {"dataset": dataset.name},
        )


def _check_domain(store: RecordStore, dataset: DatasetConfig, before: DatasetConfig | None) -> None:
    """Refuse another domain than the one in which ids tested against the name are counted."""
    known = store.fact(f"{_PROBED}/{dataset.name}") or (
        before.domain if before and before.probing else None
    )
    if known is None or dataset.probing is None or known == dataset.domain:
        return
    raise SecureFlowError(
        "privacy_fixed",
        Text(
            "Ids that are tested against dataset {name!r} are counted in domain {kept}; the "
            "settings say {domain}.",
            name=dataset.name,
            kept=known,
            domain=dataset.domain,
        ),
        "What was tested stays tested: put the domain back. Give other data another name.",
        {"dataset": dataset.name},
    )


def rows_of(store: RecordStore, name: str) -> str:
    """Return how many rows a published dataset has, as it is described; empty of no such."""
    kept: dict[str, JSON] = store.fact(f"dataset/{name}") or {}
    return str(kept.get("rows") or "")


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
    if dataset.probing is not None:
        keep_probed(store, dataset.name, dataset.domain)


def keep_probed(store: RecordStore, name: str, domain: str) -> None:
    """Store in which domain ids tested against a name are counted; the caller's transaction."""
    store.set_fact(f"{_PROBED}/{name}", domain)


def _words(lineage: Mapping[str, JSON]) -> str:
    person = f" ({lineage['person']})" if lineage.get("person") else ""
    return Text(
        "domain {domain} per {unit}{person}",
        domain=lineage["domain"],
        unit=lineage["unit"],
        person=person,
    )

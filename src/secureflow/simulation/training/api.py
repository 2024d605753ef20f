"""`simulate`: a job file and rows in, a model and its metrics out."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from secureflow.agent.kinds.training.features import check_features
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import STRICT, parse, refuse
from secureflow.domain.specs.targets import ClassesLabel, Label
from secureflow.domain.specs.training import FeatureSpec
from secureflow.domain.specs.training_rules import features_problem
from secureflow.engines.bundles.speaking import Warned
from secureflow.engines.preparation import private_labels
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.inputfiles import read_mapping
from secureflow.kit.text import Text
from secureflow.sdk.localcode import local_code
from secureflow.simulation.attack import Attack
from secureflow.simulation.partition import (
    MOST_PARTIES,
    Owners,
    Partition,
    count_of_values,
    divide,
)
from secureflow.simulation.training.code import code_runner
from secureflow.simulation.training.federation import OnRound, federate
from secureflow.simulation.training.notes import noticed
from secureflow.simulation.training.outcome import Outcome
from secureflow.simulation.training.parties import on_base
from secureflow.simulation.training.parties import parties as parties_of
from secureflow.simulation.training.recipes import with_recipe
from secureflow.simulation.training.request import draft
from secureflow.simulation.training.starting import beginning
from secureflow.simulation.training.table import (
    Table,
    joined,
    read_owners,
    read_table,
    table_file,
)

DEFAULT_PARTIES: Final = 10
SHARES: Final = "files"
"""The partition of rows that came in a file for each party."""


@dataclass(frozen=True)
class Simulation:
    """How a job is simulated.

    Args:
        parties: how many; None: one for each file, or for each word of `by:COLUMN`, else 10.
        partition: `iid`, `dirichlet:ALPHA` or `by:COLUMN`.
        attack: `sign-flip:COUNTxFACTOR`, or empty.
        protection: in the place of the job file's.
        seed: of the division of the rows.
        secret: 32 bytes from which the parties' noise is drawn; None: fresh ones.
        initial: a safetensors file with the weights to start from, as for `client.models.upload`;
            those that the job names, if it names any.
        owners: what owners would declare of their data (`read_owners`): one declaration for all
            files, or one for each; empty: whatever the files hold.
        key: the column that says whose a row is, for a job that holds rows out by key; empty: the
            one that the declarations name.
        base_model: the file of the model on which an adapter stands.
    """

    parties: int | None = None
    partition: str = "iid"
    attack: str = ""
    protection: str | None = None
    seed: int = 7
    secret: bytes | None = field(default=None, repr=False)
    initial: Path | None = None
    owners: tuple[DatasetConfig, ...] = ()
    key: str = ""
    base_model: Path | None = None

    def run(
        self,
        job: Mapping[str, Any],
        data: Any = None,
        *,
        label: str = "",
        on_round: OnRound | None = None,
        base: Path = Path(),
    ) -> Outcome:
        """Run a job.

        Args:
            job: a job file's content.
            data: path of a CSV or Parquet file or of a folder of images or arrays, an Arrow table,
                a data frame, or arrays by column, to be divided; or a list of these, one for each
                party; None for a rehearsal, which reads no rows.
            label: names the outcome.
            on_round: is told of each round.
            base: the folder that paths in the job are relative to: a bundle's, a recipe's.

        Raises:
            SecureFlowError: what the platform would refuse, those of `starting.beginning`, and
                `invalid_partition`, `partition_impossible`, `invalid_attack`, `missing_data`,
                `empty_dataset`, `key_undeclared`.
        """
        partition = Partition.parse(self.partition)
        job, code = local_code(with_recipe(job, base), base, simulated=True)
        table, owners, count = None, None, self.parties or DEFAULT_PARTIES
        features = None if job.get("features") is None else _features(job)
        if features is not None:
            refuse(features_problem(features))
            self._check_files(data)
            tables = self._tables(data, features, partition, job)
            table, owners, count = self._rows(tables, partition, features)
        start = beginning(job, code, self.initial)
        drafted = draft(job, count, self.protection, start)
        for owner in self.owners:
            check_features(drafted.spec, replace(owner, key=self.key or owner.key))
        attack = Attack.parse(self.attack, count) if self.attack else None
        secret = secrets.token_bytes(32) if self.secret is None else self.secret
        warned = Warned()
        with code_runner(code, warned) as made:
            prepare = on_base(made, self.base_model)
            parties = parties_of(drafted.spec, table, owners, secret, attack, prepare)
            trained = federate(
                drafted.spec, parties,
                accounting=drafted.accounting, on_round=on_round, start=start.state,
            )  # fmt: skip
        return Outcome(
            label=label or drafted.spec.name,
            spec=drafted.spec,
            rows=() if owners is None else tuple(np.bincount(owners, minlength=count).tolist()),
            partition=SHARES if _several(data) else str(partition),
            attack=str(attack or ""),
            trained=trained,
            accounting=drafted.accounting,
            notes=(*noticed(drafted.spec, table, parties, trained.repeated), *warned.told()),
            base_model=self.base_model,
        )

    def _check_files(self, data: Any) -> None:
        """Refuse options that contradict the number of files."""
        files = len(data) if isinstance(data, list | tuple) else 1
        if files > 1 and self.parties not in {None, files}:
            raise SecureFlowError(
                "invalid_request",
                Text("{files} files are {files} parties, not {parties}.", files=files,
                     parties=self.parties),
                "Leave out --parties, or name one file, which is divided.",
            )  # fmt: skip
        if len(self.owners) > 1 and len(self.owners) != files:
            raise SecureFlowError(
                "invalid_request",
                Text("There are {owners} declarations for {files} files.",
                     owners=len(self.owners), files=files),
                Text("Give one declaration for all files, or one for each; one of several in a "
                     "file is --dataset FILE:NAME. Their names: {names}.",
                     names=", ".join(one.name for one in self.owners)),
            )  # fmt: skip

    def _tables(
        self, data: Any, features: FeatureSpec, partition: Partition, job: Mapping[str, Any]
    ) -> list[Table]:
        """Read the table that is to be divided, or one for each party."""
        if data is None or (isinstance(data, list | tuple) and not data):
            raise SecureFlowError(
                "missing_data",
                "The job has features, and there are no rows to simulate it on.",
                "Name a CSV or Parquet file: --data FILE.",
            )
        tolerant, keyed = bool(job.get("privacy")), _by_key(job)
        given = data if isinstance(data, list | tuple) else [data]
        owners = self.owners or (None,)
        with contextlib.ExitStack() as stack:
            paths = [stack.enter_context(table_file(one)) for one in given]
            return [
                read_table(
                    path, features, partition.column,
                    owner=owners[at % len(owners)], tolerant=tolerant, name=_called(one),
                    key=self._key(owners[at % len(owners)]) if keyed else "",
                )
                for at, (path, one) in enumerate(zip(paths, given, strict=True))
            ]  # fmt: skip

    def _key(self, owner: DatasetConfig | None) -> str:
        """Return the column of keys."""
        found = self.key or (owner.key_column if owner else None)
        if not found:
            raise SecureFlowError(
                "key_undeclared",
                "The job holds rows out by key, and nothing says which column that is.",
                "Name the column that says whose each row is: --key COLUMN; or declare it as `key` "
                "in the file of --dataset.",
            )
        return found

    def _rows(
        self, tables: list[Table], partition: Partition, features: FeatureSpec
    ) -> tuple[Table, Owners, int]:
        """Return all rows, the party of each, and how many parties there are."""
        table = joined(tables)
        if len(tables) > 1:
            owners = np.repeat(np.arange(len(tables)), [one.rows for one in tables])
            return table, owners, len(tables)
        count = self.parties or _natural(partition, table)
        classes = None
        if partition.alpha is not None and isinstance(features.label, Label | ClassesLabel):
            # Rows without a usable label are refused, or left out, when a party prepares them.
            classes = private_labels(features.label, table.columns)[1].astype(np.int64)
        owners = divide(partition, table.rows, count, self.seed, classes=classes, cells=table.by)
        return table, owners, count


def simulate(
    job: Mapping[str, Any] | str | Path,
    data: Any = None,
    *,
    parties: int | None = None,
    partition: str = "iid",
    attack: str = "",
    protection: str | None = None,
    seed: int = 7,
    initial: str | Path | None = None,
    dataset: str | Path | None = None,
    key: str = "",
    base_model: str | Path | None = None,
    on_round: OnRound | None = None,
) -> Outcome:
    """Run a training job in this process, with simulated parties.

    Args:
        job: a job file's path, or its content.
        data: path of a CSV or Parquet file or of a folder of images or arrays, an Arrow table, a
            data frame, or arrays by column, to be divided; or a list of these, one for each party.
        parties: how many; None: one for each file, or for each word of `by:COLUMN`, else 10.
        partition: `iid`, `dirichlet:ALPHA` or `by:COLUMN`.
        attack: `sign-flip:COUNTxFACTOR`, or empty.
        protection: in the place of the job file's.
        seed: of the division of the rows.
        initial: a safetensors file with the weights to start from; those that the job names, if
            it names any.
        dataset: a file with what the owners would declare (`secureflow agent data inspect`);
            `FILE:NAME` is one of several in it.
        key: the column that says whose a row is, for a job that holds rows out by key.
        base_model: the file of the model on which an adapter stands.
        on_round: is told of each round.

    Raises:
        SecureFlowError: as `Simulation.run`; `invalid_file` for a job file that cannot be read.
    """
    if isinstance(job, Mapping):
        content, label, base = job, "", Path()
    else:
        content, label, base = read_mapping(Path(job)), Path(job).stem, Path(job).parent
    simulation = Simulation(
        parties, partition, attack, protection, seed,
        initial=None if initial is None else Path(initial),
        owners=() if dataset is None else tuple(read_owners(Path(dataset))),
        key=key, base_model=None if base_model is None else Path(base_model),
    )  # fmt: skip
    return simulation.run(content, data, label=label, on_round=on_round, base=base)


@dataclass(frozen=True)
class _Described:
    __pydantic_config__ = STRICT
    features: FeatureSpec


def _features(job: Mapping[str, Any]) -> FeatureSpec:
    try:
        return parse(FeatureSpec, job["features"], "spec")
    except SecureFlowError:
        parse(_Described, {"features": job["features"]}, "spec")  # names the field
        raise


def _by_key(job: Mapping[str, Any]) -> bool:
    """Tell whether a job holds rows out by key; whether it says so rightly is checked later."""
    plan = job.get("plan")
    return isinstance(plan, Mapping) and plan.get("split") is not None


def _called(data: Any) -> str:
    """Return what errors call the rows that were given."""
    return "" if isinstance(data, str | Path) else type(data).__name__


def _several(data: Any) -> bool:
    return isinstance(data, list | tuple) and len(data) > 1


def _natural(partition: Partition, table: Table) -> int:
    """Return the number of parties where none was asked for."""
    if not partition.column or table.by is None or table.by.dtype.kind in "fiu":
        return DEFAULT_PARTIES
    found = count_of_values(table.by)
    if found > MOST_PARTIES:
        raise SecureFlowError(
            "partition_impossible",
            Text(
                "The column {column!r} has {found} values: too many to be a party each.",
                column=partition.column,
                found=found,
            ),
            "Say how many parties there are: --parties N.",
        )
    return found

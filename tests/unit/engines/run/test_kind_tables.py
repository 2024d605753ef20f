"""Tables of kinds: what does not go together is found when the table is made, by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from secureflow.agent.compute.kind import WorkerKinds
from secureflow.agent.compute.kinds import WORKER_KINDS
from secureflow.agent.kinds.kind import AgentKinds
from secureflow.agent.kinds.kinds import AGENT_KINDS
from secureflow.application.jobs.kind import JobKinds
from secureflow.application.jobs.kinds import JOB_KINDS
from secureflow.cli.kinds import CliKinds, TrainingText
from secureflow.domain.specs.kind import SpecKinds
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.enclave.kind import EnclaveKinds
from secureflow.enclave.kinds import ENCLAVE_KINDS
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.run.kind import EngineKinds
from secureflow.engines.run.stages import MAX_STAGES


def kind(
    name: str,
    *stages: str,
    contributing: str = "",
    scripts: tuple[str, ...] = (),
    retired: tuple[str, ...] = (),
) -> Any:
    return SimpleNamespace(
        spec=SimpleNamespace(name=name), stages=stages, contributing=contributing,
        scripts=frozenset(scripts), retired=frozenset(retired),
    )  # fmt: skip


def test_a_stage_stands_in_its_kinds_order() -> None:
    table = EngineKinds(*ENGINE_KINDS.values(), kind("overlap", "hash", "count"))
    assert [table.place(one) for one in ("hash", "count", "moments", "train")] == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (kind("overlap", "count", "train"), "stage 'train' is of two kinds: 'training' and"),
        (kind("overlap", "count", "count"), "stage 'count' is of two kinds: 'overlap' and"),
        (kind("overlap", "Count"), "kind 'overlap' has a stage 'Count'"),
        (kind("overlap", "count\n"), "kind 'overlap' has a stage"),
        (kind("overlap", *(f"s{n}" for n in range(MAX_STAGES + 1))), "has more than 16 stages"),
        (kind("overlap", "count", contributing="sum"), "'sum' is no stage of kind 'overlap'"),
    ],
)
def test_stages_that_do_not_go_together_are_named(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EngineKinds(*ENGINE_KINDS.values(), wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (kind("overlap", scripts=("training/2",)), "script 'training/2' is of two kinds"),
        (kind("overlap", scripts=("training/1",)), "script 'training/1' is of two kinds"),
        (kind("overlap", retired=("training/2",)), "'training/2' is of two kinds: 'training' and"),
        (kind("overlap", retired=("training/1",)), "script 'training/1' is of two kinds"),
        (kind("overlap", scripts=("a/1",), retired=("a/1",)), "'a/1' of kind 'overlap' both runs"),
        (kind("training", "count"), "two kinds have the name 'training'"),
    ],
)
def test_scripts_and_names_belong_to_one_kind(wrong: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        EngineKinds(*ENGINE_KINDS.values(), wrong)


def test_every_table_refuses_two_kinds_of_one_name() -> None:
    tables: list[tuple[Any, Any]] = [
        (SpecKinds, SPEC_KINDS), (JobKinds, JOB_KINDS), (AgentKinds, AGENT_KINDS),
        (WorkerKinds, WORKER_KINDS), (EnclaveKinds, ENCLAVE_KINDS),
    ]  # fmt: skip
    for table, known in tables:
        first = next(iter(known.values()))
        with pytest.raises(ValueError, match="two kinds have the name 'training'"):
            table(*known.values(), first)
    with pytest.raises(ValueError, match="two kinds have the name 'training'"):
        CliKinds(TrainingText(), TrainingText())

"""Three banks with small tables of customers, whose numbers and overlaps can be asked for.

Each has its own phone numbers and ages, a budget, and a policy that consents. Two have an engine
for intersections; `bank-c` has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from secureflow.demo.platform import Platform
from secureflow.demo.processes import Process
from secureflow.domain.schemas import DatasetConfig
from secureflow.domain.specs.base import parse
from tests.browser.console.place import PASSWORD, ROLES, Centre
from tests.nursery import Born
from tests.survival.world import ALLOW, ROOT, bank_names

PARTIES: Final = tuple(bank_names(3))
ROWS: Final = 120
SHARED: Final = 40
"""Phone numbers that any two banks have in common."""
EPSILON: Final = 1.3
"""What each bank may spend: one question of the form's own ε, and not two."""
ENGINE: Final = ("-m", "tests.peers.plain_sizes")
POLICY: Final = f"""{ALLOW}
permit(principal, action == Action::"psi", resource)
  when {{ context.learns == "size" || context.learns == "one" }};"""
"""Who learns which keys match is never decided by a rule that does not look at it."""


def ages(party: str) -> list[int]:
    """Return the ages of a bank's customers."""
    return [20 + (7 * n + 11 * PARTIES.index(party)) % 60 for n in range(ROWS)]


def phones(party: str) -> list[str]:
    """Return the phone numbers of a bank's customers: the first `SHARED` are everybody's."""
    own = 1000 * (1 + PARTIES.index(party))
    return [f"1380013{(n if n < SHARED else own + n):04d}" for n in range(ROWS)]


def dataset(directory: Path, party: str) -> DatasetConfig:
    """Write a bank's table, and declare it."""
    path = directory / f"{party}.csv"
    lines = (f"{phone},{age}" for phone, age in zip(phones(party), ages(party), strict=True))
    path.write_text("\n".join(("phone,age", *lines)) + "\n")
    return parse(DatasetConfig, {
        "name": "customers", "path": str(path), "format": "csv",
        "columns": [
            {"name": "phone", "type": "text"},
            {"name": "age", "type": "number", "bounds": [16, 100], "clip": True},
        ],
        "privacy": {
            "domain": "customers", "epsilon": EPSILON, "delta": 1e-4, "required": False,
        },
        "probing": {"limit": 100_000},
    }, "dataset")  # fmt: skip


@contextmanager
def asked(directory: Path, child: type[Process] = Born, **options: Any) -> Iterator[Centre]:
    """Build the platform, and give bank-a its people."""
    directory.mkdir()
    datasets = {party: dataset(directory, party) for party in PARTIES}
    surroundings = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENBLAS_NUM_THREADS": "1"}
    with Platform(
        directory / "p", bank_names(3), datasets, policy=POLICY, sealing=False, child=child,
        environment=surroundings, entry={"bank-a": ENGINE, "bank-b": ENGINE}, **options,
    ) as made:  # fmt: skip
        made.build()
        with made.client() as admin:
            for name, roles in ROLES.items():
                admin.users.create(name, PASSWORD, "bank-a", roles, name.title())
        yield Centre(made)

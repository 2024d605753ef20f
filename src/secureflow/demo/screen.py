"""What the demo shows while it runs: live on a terminal, plain lines elsewhere, all on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from secureflow.demo.play import Outcome
from secureflow.kit.plain import shown

_STEPS = {
    "server": "Starting the coordination centre",
    "enclave": "Enrolling the enclave (SIMULATED TEE: genuine formats, no protection)",
    "agents": "Enrolling one agent per bank: keys are made there",
    "charter": "Signing and pinning the charter (this script plays all owners)",
    "project": "Founding the project, publishing and granting datasets",
}


class Screen:
    """Shows steps, rounds and parties as they come."""

    def __init__(self, parties: list[str]) -> None:
        self.console = Console(stderr=True)
        self._states = dict.fromkeys(parties, "enrolled")
        self._rows: dict[str, int] = {}
        self._round: dict[str, Any] = {}
        self._state = ""
        self._live: Live | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, name: str) -> None:
        """Show that a step of the set-up begins."""
        elapsed = time.monotonic() - self._began
        self.console.print(f"[dim]{elapsed:5.1f}s[/]  {_STEPS.get(name, name)}")

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Take in an event of the job."""
        match kind:
            case "submitted":
                self.console.print(f"        Job {data['job']} waits for every owner's approval")
            case "state":
                self._state = data["state"]
            case "party":
                self._states[data["party"]] = data["state"]
            case "round":
                self._round = data
                self._rows = data.get("rows", {})
                self._states.update(dict.fromkeys(data.get("parties", ()), "trained"))
            case "error":
                self.console.print(Text(shown(str(data.get("message", ""))), style="red"))
        self._refresh()

    def outcome(self, outcome: Outcome) -> None:
        """Show the end: figures, files, and whether the ledger held."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        ledger = outcome.ledger
        table.add_row("accuracy (test set)", f"{outcome.accuracy:.4f}")
        table.add_row("AUC (test set)", f"{outcome.auc:.4f}")
        table.add_row("rounds", str(outcome.rounds))
        table.add_row("training", f"{outcome.seconds:.1f} s")
        table.add_row("model (BLAKE3)", outcome.model_digest)
        table.add_row("TEE", outcome.tee)
        table.add_row("report", outcome.report)
        self.console.print()
        self.console.print(table)
        if ledger["verified"]:
            self.console.print(
                f"[green]Ledger verified[/]: {ledger['size']} entries, "
                f"cosigned by {ledger['cosigners']} parties, checked against the charter."
            )
        else:
            self.console.print("[red]The ledger does NOT hold:[/]", *ledger.get("failures", ()))

    def _refresh(self) -> None:
        if not self.console.is_terminal:
            if self._round:
                self.console.print(self._line())
                self._round = {}
            return
        if self._live is None:
            self._live = Live(console=self.console, refresh_per_second=8)
            self._live.start()
        self._live.update(Group(Text(self._line()), self._table()))

    def _line(self) -> str:
        row = self._round
        if not row:
            return self._state
        figures = "  ".join(
            f"{name} {row[name]:.4f}" for name in ("loss", "accuracy", "auc") if name in row
        )
        return f"        round {row['round']}/{row['rounds']}  {figures}  {row['seconds']:.2f} s"

    def _table(self) -> Table:
        table = Table("party", "state", "rows", box=None, padding=(0, 2), show_edge=False)
        for party, state in self._states.items():
            table.add_row(party, state, str(self._rows.get(party, "")))
        return table

"""What the demo of an intersection shows: progress on stderr, its result on stdout."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Final

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table

from secureflow.demo.psi.customers import BANK, KEYS, LIMIT, OWNERS, SEGMENT, Customers
from secureflow.demo.psi.play import EPSILON_OF_JOB, Figure, Outcome
from secureflow.demo.screen import STEPS, verdict, visible
from secureflow.demo.words import Words
from secureflow.engines.run.attemptcodes import AGAIN
from secureflow.kit.plain import shown

PSI_STEPS: Final = {
    "intersection": "The bank asks: which of our customers has the telco too?",
    "sums": "Both ask: how old are all customers, and how long do they work? With noise",
    "again": "The bank asks the first question again, with as many numbers",
    "verify": "Verifying the ledger, writing the reports",
}
QUERIES: Final = {"customers": "customers", "age": "mean age", "hours": "mean hours per week"}
GROUPS: Final = {"Female": "women", "Male": "men"}
NO_KEY: Final = {"missing": "no number", "malformed": "no such number", "repeated": "seen before"}
EXAMPLES: Final = 3


class PsiScreen:
    """Shows both tables, steps, and the result."""

    def __init__(self, say: Words, *, json: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._results = Console(stderr=json, highlight=False)
        self._say = say
        self._names = {party: say(name) for party, name in OWNERS.items()}
        self._began = time.monotonic()

    def tell(self, text: str) -> None:
        """Show a line beside the steps."""
        self._print(f"        {visible(text)}")

    def waiting(self, what: str) -> AbstractContextManager[object]:
        """Show, on a terminal, that something goes on."""
        return self.console.status(visible(what))

    def opening(self, customers: Customers) -> None:
        """Show both tables."""
        say = self._say
        title = say("A bank and a telco ask which customers they share, and show no others.")
        self._print(f"[bold]{visible(title)}[/]")
        widest = max(map(cell_len, self._names.values()))
        for party, rows in customers.rows.items():
            numbers = [row[KEYS[party]] for row in rows[:EXAMPLES]]
            count = say("{rows} rows", rows=f"{len(rows):,}")
            name = set_cell_size(self._names[party], widest)
            self._print(visible(f"  {name}  {count:>12}  {', '.join(numbers)}, …"))
        told = say(
            "  made from UCI Adult, phone numbers made up; {count} are written alike at both",
            count=customers.alike,
        )
        self._print(visible(told))

    def without_sandbox(self, reason: str) -> None:
        """Say that agents and engines compute without a sandbox, and why."""
        told = self._say(
            "The agents of the demo compute without a sandbox: {reason}", reason=shown(reason)
        )
        self._print(f"[yellow]{visible(told)}[/]")

    def step(self, name: str) -> None:
        """Show the start of a step."""
        told = self._say({**STEPS, **PSI_STEPS}.get(name, name))
        elapsed = time.monotonic() - self._began
        self._print(f"[dim]{elapsed:5.1f}s[/]  {visible(told)}")

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Process a step of the story, or an event of a job."""
        say = self._say
        if kind in PSI_STEPS:
            self.step(kind)
        elif kind == "submitted":
            self.tell(say("Job {job} waits for every owner's approval", job=data["job"]))
        elif kind == "attempt" and data["state"] == "succeeded":
            self.tell(say("computed between the agents in {seconds} s", seconds=data["seconds"]))
        elif kind == "attempt" and data["state"] == "failed":
            reasons = data["reasons"]
            causes = [one for one in reasons if one["code"] not in AGAIN]
            for one in causes or reasons:  # who only lost its peer is no cause
                name = self._names.get(one["party"], one["party"])
                self.tell(say("{party} ends it: {code}", party=name, code=one["code"]))
        elif kind == "error":
            self._print(f"[red]{visible(shown(str(data.get('message', ''))))}[/]")

    def outcome(self, outcome: Outcome) -> None:
        """Show what came of it: the intersection, the figures, the limit, the ledger."""
        self._print_result("")
        for line in (*self._intersection(outcome), *self._cost(outcome)):
            self._print_result(line)
        self._print_result("")
        self._print_result(visible(self._noised()))
        self._results.print(self._table(outcome.figures))
        self._print_result("")
        for line in (*self._limit(outcome), *verdict(self._say, outcome.ledger)):
            self._print_result(line)
        say, files = self._say, outcome.files
        for name in ("report", "sums"):
            self._print_result(visible(say("Report: {path}", path=files[name])))
        kept = say("The bank's file, at its agent alone: {path}", path=files["result"])
        self._print_result(visible(kept))

    def _intersection(self, outcome: Outcome) -> list[str]:
        say = self._say
        told = say("Shared: {count} customers. The bank learned which; the telco, none of them.",
                   count=f"{outcome.matched:,}")  # fmt: skip
        lines = [f"[bold]{visible(told)}[/]"]
        if outcome.right:
            right = say("  the same as in one place, where only this script has both tables")
            lines.append(f"[green]{visible(right)}[/]")
        else:
            lines.append(f"[red]{say('  NOT those that both tables have in common')}[/]")
        for row in outcome.sample:
            cells = "  ".join((row[KEYS[BANK]], row[SEGMENT]))
            lines.append(
                visible(say("  row {row} of its table: {cells}", row=row["row"], cells=cells))
            )
        segments = say("; ").join(f"{name} {count:,}" for name, count in outcome.segments.items())
        lines.append(visible(say("  by its own segments: {segments}", segments=segments)))
        for party, counts in outcome.left_out.items():
            odd = say("; ").join(f"{say(NO_KEY[why])} {count}" for why, count in counts.items())
            told = say("  not compared, as {party} alone is told: {rows}",
                       party=self._names[party], rows=odd)  # fmt: skip
            lines.append(visible(told))
        return lines

    def _cost(self, outcome: Outcome) -> list[str]:
        say = self._say
        told = say(
            "  {engine}, protocol {protocol}: {kb} kB between the agents, encrypted end to end; "
            "{seconds} s from approval to report",
            engine=outcome.engine, protocol=outcome.protocol,
            kb=f"{outcome.bytes / 1e3:,.0f}", seconds=outcome.seconds["intersection"],
        )  # fmt: skip
        honest = say(
            "  proved for parties that follow it: made-up numbers are what the limit is for"
        )
        return [visible(told), visible(honest)]

    def _noised(self) -> str:
        return self._say(
            "All rows of both, with noise (ε = {epsilon}): of an exact sum of two each would "
            "know the other's. A customer of both counts twice.",
            epsilon=EPSILON_OF_JOB,
        )

    def _table(self, figures: tuple[Figure, ...]) -> Table:
        say = self._say
        table = Table(box=None, padding=(0, 2), show_edge=False)
        table.add_column("")
        for title in (say("as told"), "±", say("in one place")):
            table.add_column(title, justify="right")
        for one in figures:
            name = f"{say(QUERIES[one.name])}, {say(GROUPS[one.group])}"
            form = ",.0f" if one.name == "customers" else ".2f"
            numbers = (one.value, one.margin, one.pooled)
            table.add_row(visible(name), *(format(number, form) for number in numbers))
        return table

    def _limit(self, outcome: Outcome) -> list[str]:
        say, probing = self._say, outcome.probing
        told = say(
            "Probing: the telco lets others test {limit} numbers a year. {tested} are tested, "
            "{left} left.",
            limit=f"{LIMIT:,}", tested=f"{probing['tested']:,}", left=f"{probing['remaining']:,}",
        )  # fmt: skip
        lines = [visible(told)]
        if probing["refused"] == "probing_exceeded":
            lines.append(
                visible(say("  the second question was refused by its agent, and cost none"))
            )
        else:
            lines.append(f"[red]{say('  the second question was NOT refused by the limit')}[/]")
        once = say("One script played the operator and all owners: use no data that matters.")
        lines.append(f"[yellow]{visible(once)}[/]")
        return lines

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _print_result(self, text: str) -> None:
        self._results.print(text, soft_wrap=True)

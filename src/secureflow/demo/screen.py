"""What the demo shows: its progress on stderr (live on a terminal), its result on stdout."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape as escape_markup
from rich.table import Table
from rich.text import Text

from secureflow.demo.comparison import Line
from secureflow.demo.play import Outcome
from secureflow.demo.study import Study
from secureflow.demo.words import Words
from secureflow.kit.plain import shown

_DIGEST = re.compile(r"\b[0-9a-f]{64,}\b")
EVERY = 10
"""Without a terminal, only every n-th round after the second gets a line."""
PLACES: Final = {"file": "a file that another owner keeps", "evm": "a contract on a chain"}
STEPS: Final = {
    "server": "Starting the coordination centre",
    "enclave": "Enrolling the enclave: SIMULATED TEE, a rehearsal without protection",
    "agents": "Enrolling one agent per owner: keys are made there",
    "chain": "A chain on this machine, and the contract of the members (anvil from npm)",
    "charter": "Signing and pinning the charter (this script plays all owners)",
    "project": "Creating the project, publishing and granting datasets",
    "comparing": "Training each owner alone and all rows in one place, to compare",
    "settling": "Settling the job by an agreement that all sign: each agent computes it itself",
}
"""By the names that the platform has for them."""


class Screen:
    """Shows shares, steps, rounds and parties as they come, and the result."""

    def __init__(self, study: Study, say: Words, *, json: bool = False) -> None:
        self.console = Console(stderr=True, highlight=False)
        # With --json only the line of JSON goes to stdout.
        self._results = Console(stderr=json, highlight=False)
        self._study = study
        self._say = say
        self._names = {party: say(name) for party, name in study.owners.items()}
        self._states = dict.fromkeys(study.owners, "enrolled")
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

    def opening(self) -> None:
        """Show the data, and the demo's limits of safety."""
        say, study = self._say, self._study
        told = say(
            "{owners} owners train one model together: {title} ({source}).",
            owners=len(study.shares),
            title=study.title,
            source=study.source,
        )
        self._print(f"[bold]{visible(told)}[/]")
        for share in study.shares:
            means = "  ".join(
                f"{say('mean {column}', column=name)} {mean:,.4g}"
                for name, mean in list(share.means.items())[:1]
            )
            rows = say("{rows} rows", rows=f"{share.rows:,}")
            positive = say("{share} positive", share=f"{share.positives:6.1%}")
            self._print(visible(f"  {self._names[share.party]}  {rows:>12}  {positive}  {means}"))
        if study.by:
            self._print(visible(say("  cut by {column}, different on purpose", column=study.by)))
        else:
            self._print(say("  distributed at random; --by COLUMN makes the shares differ"))
        if study.left_out:
            pairs = study.left_out.items()
            left = [say("{name} ({reason})", name=name, reason=say(why)) for name, why in pairs]
            named = say("; ").join(left)
            self._print(visible(say("  left out: {columns}", columns=named)))

    def tell(self, text: str) -> None:
        """Show a line beside the steps."""
        self._print(f"        {visible(text)}")

    def without_sandbox(self, reason: str) -> None:
        """Say that agents compute without a sandbox, and why."""
        told = self._say(
            "The agents of the demo compute without a sandbox: {reason}", reason=shown(reason)
        )
        self._print(f"[yellow]{visible(told)}[/]")

    def step(self, name: str) -> None:
        """Show the start of a set-up step."""
        say = self._say
        elapsed = time.monotonic() - self._began
        self._print(f"[dim]{elapsed:5.1f}s[/]  {visible(say(STEPS.get(name, name)))}")

    def event(self, kind: str, data: dict[str, Any]) -> None:
        """Process an event of the job."""
        match kind:
            case "submitted":
                told = self._say("Job {job} waits for every owner's approval", job=data["job"])
                self._print(f"        {visible(told)}")
            case "comparing" | "settling":
                self.step(kind)
                return
            case "state":
                self._state = data["state"]
            case "party":
                self._states[data["party"]] = data["state"]
            case "round":
                self._round = data
                self._states.update(dict.fromkeys(data.get("parties", ()), "trained"))
            case "error":
                self.console.print(Text(shown(str(data.get("message", ""))), style="red"))
        self._refresh()

    def outcome(self, outcome: Outcome) -> None:
        """Show the outcome: the benefit, the protection, the verdict on the ledger."""
        say, ledger = self._say, outcome.ledger
        rows = f"{outcome.comparison.test_rows:,}"
        self._print_result("")
        self._print_result(say("On {rows} test rows that nobody trained on:", rows=rows))
        self._results.print(self._comparison(outcome))
        self._print_result(f"[bold]{visible(self._verdict(outcome))}[/]")
        if outcome.comparison.suspicious:
            doubt = say("Such a high AUC is rare: does a column reveal the label?")
            self._print_result(f"[yellow]{doubt}[/]")
        self._print_result("")
        for line in self._protection(outcome):
            self._print_result(line)
        for line in (*verdict(say, ledger), *anchors(say, outcome.anchors)):
            self._print_result(line)
        for line in settled(say, outcome.settlement, self._names):
            self._print_result(line)
        self._print_result(visible(say("Report: {path}", path=outcome.report)))

    def _comparison(self, outcome: Outcome) -> Table:
        say, found = self._say, outcome.comparison
        table = Table(box=None, padding=(0, 2), show_edge=False)
        table.add_column("")
        for title in ("AUC", say("accuracy")):
            table.add_column(title, justify="right")
        for party, line in found.alone.items():
            table.add_row(f"{self._names[party]} {say('alone')}", *_figures(line))
        table.add_row(say("Together"), *_figures(found.together), style="bold cyan")
        table.add_row(say("All rows in one place"), *_figures(found.pooled), style="dim")
        return table

    def _verdict(self, outcome: Outcome) -> str:
        say, found = self._say, outcome.comparison
        values = {
            "best": self._names[found.best_alone],
            "gain": f"{found.gain.auc:.4f}",
            "margin": f"{found.gain.margin:.4f}",
        }
        if found.gain.sign > 0:
            return say("Together beats the best alone ({best}) by {gain} ± {margin} AUC.", **values)
        if found.gain.sign < 0:
            return say(
                "Here the best alone ({best}) beats the joint model ({gain} ± {margin} AUC).",
                **values,
            )
        return say(
            "These rows cannot tell the joint model from the best alone "
            "({best}; {gain} ± {margin} AUC).",
            **values,
        )

    def _protection(self, outcome: Outcome) -> list[str]:
        say, lines = self._say, []
        if "secagg" in outcome.protection:
            lines.append(say("Masks: only sums could be opened; this protects without any TEE."))
        if outcome.tee:
            named = _DIGEST.sub(lambda found: found[0][:12] + "…", outcome.tee)
            tee = say("Seal: {tee}. It rehearses a TEE and protects nothing here.", tee=named)
            lines.append(f"[yellow]{visible(tee)}[/]")
        lines.append(
            "[yellow]"
            + say("One script played the operator and all owners: use no data that matters.")
            + "[/]"
        )
        return lines

    def _refresh(self) -> None:
        if not self.console.is_terminal:
            number, last = self._round.get("round", 0), self._round.get("rounds", 0)
            if number and (number <= 2 or number % EVERY == 0 or number == last):
                self._print(self._line())
            self._round = {}
            return
        if self._live is None:
            self._live = Live(console=self.console, refresh_per_second=8)
            self._live.start()
        self._live.update(Group(Text(self._line()), self._table()))

    def _line(self) -> str:
        row = self._round
        if not row:
            return self._say(self._state)
        figures = "  ".join(
            f"{self._say(name)} {row[name]:.4f}"
            for name in ("loss", "accuracy", "auc")
            if name in row
        )
        rounds = self._say("round {round}/{rounds}", round=row["round"], rounds=row["rounds"])
        return f"        {rounds}  {figures}  {row['seconds']:.2f} s"

    def _table(self) -> Table:
        say = self._say
        table = Table(say("party"), say("state"), box=None, padding=(0, 2), show_edge=False)
        for party, state in self._states.items():
            table.add_row(self._names[party], say(state))
        return table

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)

    def _print_result(self, text: str) -> None:
        """Write a line of the result."""
        self._results.print(text, soft_wrap=True)


def _figures(line: Line) -> tuple[str, str]:
    return f"{line.score.auc:.4f}", f"{line.score.accuracy:.1%}"


def verdict(say: Words, ledger: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines about the ledger, in the console's markup."""
    if ledger["verified"]:
        told = say(
            "Ledger verified: {size} entries, cosigned by {parties} parties, checked against "
            "the charter.",
            size=ledger["size"],
            parties=ledger["cosigners"],
        )
        yield f"[green]{told}[/]"
        return
    yield f"[red]{say('The ledger is NOT valid:')}[/]"
    for failure in ledger.get("failures", ()):
        yield visible(f"  {failure}")


def anchors(say: Words, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line about the place where the owners anchored, in the console's markup."""
    if found["make"] == "none":
        return
    facts = {name: found[name] for name in ("heads", "entries", "waiting")}
    place = say(PLACES[found["make"]])
    if found["verified"]:
        told = say(
            "Anchored in {place}: {entries} deeds, {heads} heads of the ledger; every owner's "
            "agent compared them with what it saw.",
            place=place,
            **facts,
        )
        yield f"[green]{visible(told)}[/]"
        return
    told = say(
        "Anchored in {place}: NOT all is well, {waiting} deeds wait: secureflow agent anchor "
        "doctor.",
        place=place,
        **facts,
    )
    yield f"[red]{visible(told)}[/]"


def settled(say: Words, found: Mapping[str, Any], names: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines about the settlement, in the console's markup."""
    if not found:
        return
    comma = "，" if say.language == "zh" else ", "
    parts = comma.join(f"{names[party]} {amount}" for party, amount in found["written"].items())
    told = say(
        "Settlement of a made-up {amount}: {parts}; {approvals} owners' agents computed and "
        "approved it.",
        amount=found["amount"],
        parts=parts,
        approvals=found["approvals"],
    )
    yield visible(told)
    yield visible(
        say(
            "Nothing is owed by it yet: members may dispute it until {moment}, and then it can be "
            "closed.",
            moment=time.strftime("%Y-%m-%d %H:%M", time.localtime(found["closes"])),
        )
    )
    yield visible(say("Statements: {path}", path=found["folder"]))


def visible(text: str) -> str:
    """Escape a text for the console's markup and the terminal."""
    return escape_markup(shown(text))

"""`job watch`: a live view of a job's events on stderr (plain lines without a terminal)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from secureflow.application.reports.curves import own_figures
from secureflow.cli.console import moment, say
from secureflow.cli.pipelines import step_line
from secureflow.cli.texts import explained, part_of, said, t
from secureflow.domain.specs.parts import MOST_PARTS
from secureflow.kit.plain import shown
from secureflow.kit.reading import objects

if TYPE_CHECKING:
    from rich.console import RenderableType

    from secureflow.sdk import Client, Event

_BARS = "▁▂▃▄▅▆▇█"
_SHOWN_ROUNDS = 12
_FIGURES = ("loss", "accuracy", "auc")
_CENTRE = frozenset({"aggregator", "server"})
"""Parts of the centre that a job can wait for."""
_QUEUE = "queue"
"""Where a job waits for its turn."""


@dataclass
class Progress:
    """The state of a job so far, fed by its events."""

    job: str
    state: str = ""
    reason: str = ""
    rounds: int = 0
    parties: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    points: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    """What was told last of each point of a sweep."""
    waiting: list[str] = field(default_factory=list)
    repeated: bool = False
    """Whether the newest error was shown already, as the reason of the state before it."""

    def take(self, event: Event) -> None:
        """Process one event; unknown kinds are ignored."""
        data = event.data
        match event.kind:
            case "state":
                self.state = _text(data, "state")
                self.reason = "" if self.ended else said(part_of(data, "reason"))
            case "waiting":
                self.waiting = waiting_lines(data.get("waiting"))
            case "done":
                self.waiting = []
            case "party":
                self.parties[_text(data, "party") or "?"] = _text(data, "state")
            case "round":
                planned = data.get("rounds")
                self.rounds = planned if type(planned) is int else 0
                self.history.append(data)
            case "point":
                self.points |= _numbered(data)
            case "error":
                for one in _refusals(data):
                    if one.get("refused"):
                        self.parties[_text(one, "party") or "?"] = "refused"
                code = _text(data, "code")
                message = explained(code, part_of(data, "message") or code)
                hint = said(part_of(data, "hint")) if self.state == "paused" else ""
                known = message == self.reason
                self.repeated = self.ended or (known and not hint)
                lines = [*([] if known and hint else [message]), *([f"→ {hint}"] if hint else [])]
                self.reason = "" if self.ended else " ".join(lines)

    @property
    def ended(self) -> bool:
        """Whether it ended without success; only the command's own error shows why."""
        return self.state in {"failed", "cancelled"}

    def line(self, event: Event) -> str:
        """Return the plain line of a processed event, or ""."""
        match event.kind:
            case "state":
                told = f"{t(self.state)}  {self.reason}".rstrip()
                return told if self.state != "proposed" else f"{told}\n{_asked()}"
            case "round":
                return self._round(event.data)
            case "party":
                return f"{_text(event.data, 'party')}  {t(_text(event.data, 'state'))}"
            case "waiting":
                return "\n".join(self.waiting) or t("nobody is waiting any more")
            case "dropouts" | "point" | "run" | "step":
                return _part_line(event.kind, event.data)
        return self.reason if event.kind == "error" and not self.repeated else ""

    def _round(self, data: Mapping[str, Any]) -> str:
        figures = [
            f"{shown(t(name))} {data[name]:.4f}"
            for name in (*_FIGURES, *own_figures([data]))
            if isinstance(data.get(name), float)
        ]
        if not figures and self.rounds == 1:  # one step, which nobody calls a round
            return t("done: {stage}", stage=t(_text(data, "stage") or "round"))
        if figures and len(self.history) == 1:
            figures.append(_of_which())
        return f"{t('round')} {data.get('round')}/{self.rounds}  " + "  ".join(figures)


def _numbered(data: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """Return what an event says of a point by the point's number; nothing if it has none."""
    number = data.get("point")
    return {number: data} if type(number) is int and 1 <= number <= MOST_PARTS else {}


def _part_line(kind: str, data: Mapping[str, Any]) -> str:
    """Return the line of a point, a run, a pipeline's step, or of who dropped out."""
    if kind == "dropouts":
        return "\n".join(map(_dropped, objects(data.get("dropouts"))))
    if kind == "step":
        return step_line(data)
    return point_line(data) if kind == "point" else _run_line(data)


def _run_line(data: Mapping[str, Any]) -> str:
    """Return the line of a timetable's run: awaited, begun, ended, or left out."""
    told = [f"{t('run')} {_text(data, 'run')}/{_text(data, 'runs')}", moment(data.get("at"))]
    told.append(t(_text(data, "state")))
    if reason := part_of(data, "reason"):
        told.append(said(reason))
    if isinstance(error := data.get("error"), Mapping):
        told.append(explained(_text(error, "code"), part_of(error, "message")))
    return "  ".join(told)


def point_line(data: Mapping[str, Any]) -> str:
    """Return the line of a sweep's point that began or ended: what it sets, and its figures."""
    sets, metrics, error = (data.get(name) for name in ("sets", "metrics", "error"))
    told = [f"{t('point')} {_text(data, 'point')}/{_text(data, 'points')}", t(_text(data, "state"))]
    if isinstance(sets, Mapping):
        from secureflow.domain.specs.parts import settings_of

        told.append(settings_of(sets))
    told += [
        f"{shown(t(name))} {value:.4f}"
        for name, value in (metrics.items() if isinstance(metrics, Mapping) else ())
        if isinstance(value, float) and name != "rows"
    ]
    if isinstance(error, Mapping):
        told.append(explained(_text(error, "code"), part_of(error, "message")))
    told.append(_text(data, "job"))
    return "  ".join(filter(None, told))


def _asked() -> str:
    return t(
        "Each owner is asked: its policy decides, or a person there (secureflow agent inbox list)."
    )


def _of_which() -> str:
    return t("(a round's figures are of the model that it starts from)")


def waiting_lines(entries: Any) -> list[str]:
    """Return a line for everyone waiting in a job: who, for what, how much, since when."""
    waiting = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return [
        _waits(one) + (f" → {said(part_of(one, 'hint'))}" if one.get("hint") else "")
        for one in waiting
    ]


def _waits(one: Mapping[str, Any]) -> str:
    since = moment(one.get("since")) or "?"
    what = explained(_text(one, "code"), part_of(one, "message"))
    if one.get("party") == _QUEUE:
        return t("it has been waiting for its turn since {since}: {what}", since=since, what=what)
    party = t("the centre") if one.get("party") in _CENTRE else _text(one, "party")
    return t("{party} has been waiting since {since}: {what}", party=party, since=since, what=what)


def _refusals(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return who refused a job that ended without consent, and why."""
    details = data.get("details")
    found = details.get("refusals") if isinstance(details, Mapping) else None
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(data: Mapping[str, Any], name: str) -> str:
    """Return a text of an event as one line without hidden characters."""
    return shown(str(data.get(name) or ""))


def _dropped(one: Mapping[str, Any]) -> str:
    facts = {name: str(one.get(name, "")) for name in ("party", "round", "stage")}
    reason = explained(_text(one, "code"), part_of(one, "reason"))
    facts |= {"stage": t(facts["stage"]), "reason": reason}
    return t("{party} dropped out of round {round} ({stage}): {reason}", **facts)


def follow(client: Client, job: str, *, log_to: str | None = None, log_model: bool = False) -> None:
    """Show a job until it has ended.

    Args:
        client: the person's.
        job: its id.
        log_to: where its figures are logged, too (`sdk.tracking`).
        log_model: whether the released model is.

    Raises:
        SecureFlowError: why the job did not succeed.
    """
    from secureflow.sdk.outcomes import raise_if_unsuccessful

    progress = Progress(job)
    events = client.jobs.watch(job, log_to=log_to, log_model=log_model)
    if sys.stderr.isatty():
        _live(events, progress)
    else:
        for event in events:
            progress.take(event)
            line = progress.line(event)
            if line:
                say(line)
    raise_if_unsuccessful(client.jobs.get(job))


def _live(events: Iterable[Event], progress: Progress) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(picture(progress), console=console, refresh_per_second=8) as live:
        for event in events:
            progress.take(event)
            live.update(picture(progress))


def picture(progress: Progress) -> RenderableType:
    """Draw the job: state, bar, curves, the last rounds, the parties."""
    from rich.cells import cell_len
    from rich.console import Group
    from rich.text import Text

    done = len(progress.history)
    head = Text(f"{progress.job}  ", style="bold")
    head.append(t(progress.state or "proposed"), style=_style(progress.state))
    if progress.reason:
        head.append(f"  {progress.reason}")
    parts: list[RenderableType] = [head]
    parts += [Text(f"  {line}", style="yellow") for line in progress.waiting]
    if progress.rounds:
        filled = round(30 * min(1.0, done / progress.rounds))
        bar = Text("━" * filled, style="green") + Text("━" * (30 - filled), style="dim")
        parts.append(bar + Text(f"  {t('round')} {done}/{progress.rounds}"))
    drawn = False
    own = own_figures(progress.history)
    for name in ("loss", "auc", *own):
        values = [row[name] for row in progress.history if isinstance(row.get(name), float)]
        if values:
            drawn = True
            title = shown(t(name))
            title = title.rjust(8 - cell_len(title) + len(title))
            parts.append(Text(f"{title} {sparkline(values[-40:])} {values[-1]:.4f}"))
    if drawn:
        parts.append(Text(f"         {_of_which()}", style="dim"))
    if progress.history:
        parts.append(_rounds(progress))
    if progress.points:
        parts += [Text(point_line(one)) for one in progress.points.values()]
    if progress.parties:
        states = (f"{name}: {t(state)}" for name, state in sorted(progress.parties.items()))
        parts.append(Text("  ".join(states), style="cyan"))
    return Group(*parts)


def sparkline(values: list[float]) -> str:
    """Draw values as bars between their minimum and maximum."""
    low, high = min(values), max(values)
    span = high - low or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


def _rounds(progress: Progress) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    own = own_figures(progress.history)
    names = ("round", "loss", "accuracy", "auc", *own, "survivors", "seconds")
    for name in names:
        title = t("contributors" if name == "survivors" else name)
        table.add_column(Text(shown(title)), justify="right")
    for row in progress.history[-_SHOWN_ROUNDS:]:
        # Anything but a number is foreign text: escape it for terminal and markup.
        table.add_row(
            *(
                f"{row[name]:.4f}" if isinstance(row.get(name), float) else Text(_text(row, name))
                for name in names
            )
        )
    return table


def _style(state: str) -> str:
    return {"succeeded": "green", "failed": "red", "cancelled": "yellow"}.get(state, "cyan")

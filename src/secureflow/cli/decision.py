"""One screen on which a person can decide about a request for data.

It fits 80 columns and 24 lines together with the question below it: who asks, for what purpose,
which columns, what leaves in what form, who takes part, how it is protected, what it costs, who
could see what, the operator first. It is made from the spec, whose digest and id are computed again
before a word of it is shown. What does not fit is shortened, and that is said, but never what the
job costs, how it is protected, or what the operator sees: a screen that these do not fit is longer.
`--details` shows everything, and where there is no screen nothing is shortened.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from secureflow.cli.console import moment
from secureflow.cli.escaping import plain
from secureflow.cli.knownhere import known_here
from secureflow.cli.texts import language, listed, part_of, said, t
from secureflow.cli.timespans import runs_in_words
from secureflow.domain.figures import cost
from secureflow.domain.specs.contributors import any_contributes, contributing, two_sum
from secureflow.domain.specs.protections import between_peers, traits_of
from secureflow.kit.canonical import JSON
from secureflow.kit.errors import SecureFlowError
from secureflow.kit.plain import shown

if TYPE_CHECKING:
    from secureflow.agent.record.records import InboxItem
    from secureflow.cli.kinds import CliKind, CliKinds
    from secureflow.domain.specs.base import JobSpec

WIDTH, LINES = 80, 22
"""A terminal's usual size, less the question and the cursor's line."""
ENDLESS = 1_000_000
"""Lines of what is no screen."""
OPERATOR = "operator"
_ALL = 1_000
"""Least lines of a field that is not shortened."""
_TASK = 6
"""Least lines of what is computed: a training with its start needs fewer, many queries more."""


@dataclass(frozen=True)
class PendingRequest:
    """A request as it will be decided: `item` is what its id was computed over.

    Args:
        item: the request.
        details: all that the agent told of it, for `--details`.
    """

    item: InboxItem
    details: Mapping[str, JSON]


@dataclass
class _Field:
    label: str
    lines: list[str]
    least: int = 1
    cut: bool = False

    def shorten(self) -> None:
        self.lines.pop()
        self.cut = True


def asked(answer: Mapping[str, JSON], item: str) -> PendingRequest:
    """Return a request that the agent told, if it is exactly what this id was computed over.

    Args:
        answer: the agent's answer to `inbox.show`.
        item: the id that a person named or was shown.

    Raises:
        SecureFlowError: `inbox_item_changed`; `already_decided` for one that waits no more.
    """
    found = _found(answer, item)
    if found.state != "waiting":
        raise SecureFlowError(
            "already_decided",
            t("Request {item} is {state}.", item=item, state=t(found.state)),
            "secureflow agent inbox list",
        )
    return _checked(found, answer)


def recalled(answer: Mapping[str, JSON], item: str) -> PendingRequest:
    """Return a request to look at again, decided or not, if it is what this id was computed over.

    Raises:
        SecureFlowError: `inbox_item_changed`; of one that was not decided by a person as well,
            whose spec is not kept.
    """
    return _checked(_found(answer, item), answer)


def _found(answer: Mapping[str, JSON], item: str) -> InboxItem:
    from secureflow.agent.record.records import InboxItem

    found = InboxItem(**{one.name: answer[one.name] for one in fields(InboxItem)})
    if found.id != item:
        raise SecureFlowError(
            "inbox_item_changed",
            t("The agent showed request {other} in place of {item}.", other=found.id, item=item),
            "secureflow agent inbox list",
        )
    return found


def _checked(found: InboxItem, answer: Mapping[str, JSON]) -> PendingRequest:
    from secureflow.agent.owner.inbox import checked

    return PendingRequest(checked(found), answer)


def screen(
    request: PendingRequest, kinds: CliKinds, *, width: int = WIDTH, lines: int = LINES
) -> list[str]:
    """Return the lines of the screen: so many if they hold it, none wider than `width` cells.

    Raises:
        SecureFlowError: `invalid_spec`, of a kind that is not in the table too.
    """
    from rich.cells import cell_len

    rows = list(_rows(request, kinds))
    label = max(cell_len(name) for name, _, _ in rows) + 2
    shown = [_Field(name, _wrapped(text, width - label), least) for name, text, least in rows]
    _fit(shown, lines)
    written = []
    for field in shown:
        if field.cut:
            field.lines[-1] = _ended(field.lines[-1], width - label)
        for number, line in enumerate(field.lines):
            head = field.label if number == 0 else ""
            written.append(head + " " * (label - cell_len(head)) + line)
    if any(field.cut for field in shown):
        written.append(t("… is shortened: d or --details shows all of it."))
    return written


def _fit(shown: list[_Field], lines: int) -> None:
    """Take lines from whatever is longest, down to what each field needs at least."""
    while sum(len(field.lines) for field in shown) > lines - 1:
        long = [field for field in shown if len(field.lines) > field.least]
        if not long:
            return
        max(long, key=lambda field: len(field.lines)).shorten()


def _rows(request: PendingRequest, kinds: CliKinds) -> Iterator[tuple[str, str, int]]:
    """Yield label, text, and how many lines of it are shown in any case."""
    from secureflow.cli.estimates import line
    from secureflow.cli.peerkinds import holds

    item = request.item
    here = request.details.get("here") or {}
    kind, spec = kinds.read(item.spec)
    sharing = contributing(spec)
    yield t("Id"), item.id, 1
    yield t("Spec digest"), item.digest, 1
    yield t("Job"), t("{job}, {name}", job=item.job, name=plain(spec.name)), 1
    yield t("Task"), kind.task(spec), _TASK if sharing is spec else _ALL
    yield t("Asked by"), _asker(spec), 1
    yield t("Purpose"), plain(spec.purpose), 1
    if spec.not_before is not None:
        yield t("Starts"), t("not before {when}", when=moment(spec.not_before)), 1
    if isinstance(times := item.spec.get("timetable"), Mapping):
        yield t("Runs"), runs_in_words(times), _ALL
    yield t("Data"), _data(item), 2
    if differing := item.request.get("differing_bounds"):
        yield t("Bounds"), _differing(differing), 1
    yield t("Leaves"), kind.leaves(spec), 1
    yield t("Parties"), _parties(sharing), _ALL if two_sum(spec) else 1
    yield t("Protection"), _protection(sharing, here), _ALL
    if (protocol := kind.label(spec)) is not None:
        yield t("Holds"), holds(protocol), _ALL
    estimate, low = kind.takes(spec, str(here.get("rows") or ""))
    if estimate:
        yield t("Takes"), _and().join((line(estimate), *map(said, low))), _ALL if low else 1
    yield t("Privacy"), _privacy(kind, spec, item, here), _ALL
    label = t("Seen by")
    for who, named, sees in _sights(kind, spec, here):
        yield label, f"{named}{_colon()}{sees}", _ALL if who == OPERATOR else 1
        label = ""
    yield from known_here(here)
    why = _and().join(plain(said(one)) for one in item.reasons)
    if item.state == "waiting":
        until = moment(here.get("decide_by")) or moment(item.expires)
        yield t("Waits"), t("{why}; until {when}", why=why, when=until), 1
    else:
        yield t("Decided"), _decision(item), 2
        yield t("Waited"), why, 1


def sentences(request: PendingRequest, kinds: CliKinds) -> dict[str, str]:
    """Return what a page says in words beside the document's facts, nothing shortened.

    Returns:
        `starts`, empty for at once; `runs`, of a timetable; `parties`, `protection`, `privacy`;
        `holds` and `takes`; empty what does not apply to the job.
    """
    from secureflow.cli.estimates import line
    from secureflow.cli.peerkinds import holds

    here = request.details.get("here") or {}
    kind, spec = kinds.read(request.item.spec)
    protocol = kind.label(spec)
    estimate, low = kind.takes(spec, str(here.get("rows") or ""))
    later = spec.not_before is not None
    times = request.item.spec.get("timetable")
    return {
        "runs": runs_in_words(times) if isinstance(times, Mapping) else "",
        "starts": t("not before {when}", when=moment(spec.not_before)) if later else "",
        "parties": _parties(spec),
        "protection": _protection(contributing(spec), here),
        "privacy": _privacy(kind, spec, request.item, here),
        "holds": holds(protocol) if protocol is not None else "",
        "takes": _and().join((line(estimate), *map(said, low))) if estimate else "",
    }


def _decision(item: InboxItem) -> str:
    """Say what was decided about a request, when, and the note that was left."""
    told = t("{state} on {when}", state=t(item.state), when=moment(item.decided_at))
    if item.state == "approved":
        told += _and() + t("the approval holds until {when}", when=moment(item.expires))
    return told + (_and() + plain(said(item.reason)) if item.reason else "")


def _asker(spec: JobSpec) -> str:
    who = {"submitter": plain(spec.submitter), "project": spec.project}
    return t("{submitter}, in project {project} (the centre says so)", **who)


def _data(item: InboxItem) -> str:
    request = item.request
    if not request.get("dataset") and not request.get("columns"):
        return t("none: this party only computes")
    columns = [plain(one) for one in request.get("columns") or ()]
    sensitive = [plain(one) for one in request.get("sensitive") or ()]
    others = [one for one in columns if one not in sensitive]
    text = t("{dataset}, {count} {count:column|columns}", dataset=plain(request.get("dataset")),
             count=len(columns))  # fmt: skip
    if key := request.get("key"):
        text += _and() + t("and the key {key}, by which rows are held out", key=plain(key))
    if sensitive:
        text += _and() + t("SENSITIVE: {names}", names=listed(sensitive))
    if others and sensitive:
        text += _and() + t("others: {names}", names=listed(others))
    elif others:
        text += t(": {names}", names=listed(others))
    return text


def _differing(bounds: Iterable[str]) -> str:
    text = listed(plain(one) for one in bounds)
    return t("not as you declare them: {bounds}", bounds=text)


def _parties(spec: JobSpec) -> str:
    from secureflow.domain.quorum import threshold_of

    parties = len(spec.roster)
    if between_peers(spec):
        names = listed(spec.parties)
        return t("{count}, which compute with each other: {names}", count=parties, names=names)
    if not any_contributes(spec):
        return t("{count}, each by itself: {names}", count=parties, names=listed(spec.parties))
    least = max(threshold_of(parties), spec.min_contributors)
    names = listed(spec.parties)
    text = t("every sum is over at least {least} of {count}: {names}",
             least=least, count=parties, names=names)  # fmt: skip
    if two_sum(spec):
        text += _and() + t("THE OTHER PARTY CAN COMPUTE YOUR CONTRIBUTION: the sum minus its own")
    return text


def _protection(spec: JobSpec, here: Mapping[str, JSON]) -> str:
    text = {
        "none": t("nothing is contributed"),
        "peers": t(
            "what parties send each other is encrypted for the other's agent; the centre carries it"
        ),
        "sealed": t("updates are sealed to an enclave that this agent verifies"),
        "secagg": t("updates are masked (SecAgg); no enclave"),
        "sealed+secagg": t("updates are masked (SecAgg), and sealed to a verified enclave"),
    }[spec.protection]
    if traits_of(spec).enclave and here.get("allow_simulated"):
        text += _and() + t("a SIMULATED enclave is accepted here and protects nothing")
    return text


def _privacy(kind: CliKind, spec: JobSpec, item: InboxItem, here: Mapping[str, JSON]) -> str:
    """Say what the job costs: by itself, as its submitter reads it, and of the owner's budget."""
    from secureflow.engines.privacy import epsilon

    privacy = spec.privacy
    if not any_contributes(spec) and spec.all_private:
        return t("nothing that depends on rows is released: no budget is charged")
    if privacy is None:
        return t("NONE: what is released may reveal single rows")
    text = t(
        "ε {own} at the job's δ {delta}, ε {epsilon} at your budget's; per {unit}, {noise} noise",
        own=cost(epsilon(kind.engine.charge(spec), privacy.delta)),
        delta=f"{privacy.delta:g}",
        epsilon=cost(item.request.get("epsilon")),
        unit=t(privacy.unit),
        noise=t(privacy.noise),
    )
    if spec.times is not None:
        text = t("{runs} {runs:run|runs} in all: {cost}", runs=spec.times.runs, cost=text)
    budget = here.get("budget") if item.state != "rejected" else None
    return text + _and() + _spending(budget) if isinstance(budget, Mapping) else text


def _spending(budget: Mapping[str, Any]) -> str:
    """Say what the budget is before and after the job, which is charged more than its own ε."""
    facts = {
        "limit": f"{budget.get('epsilon'):g}",
        "spent": cost(budget.get("spent")),
        "delta": f"{budget.get('delta'):g}",
    }
    if budget.get("refused"):
        return t(
            "your budget of {limit} (δ {delta}): {spent} is spent; the charge of this job was "
            "given back, and it is refused",
            **facts,
        )
    if budget.get("after") is None:  # an agent of an older version does not tell it
        return t("of your {limit}, {spent} is spent (δ {delta})", **facts)
    text = t(
        "your budget of {limit} (δ {delta}): {spent} is spent by the jobs so far, {after} by them "
        "and this one (reckoned together: no sum)",
        **facts,
        after=cost(budget.get("after")),
    )
    if budget.get("approved"):
        text += _and() + t("approved jobs that have not started ({count}) are not counted",
                           count=budget["approved"])  # fmt: skip
    return text


def _sights(
    kind: CliKind, spec: JobSpec, here: Mapping[str, JSON]
) -> Iterable[tuple[str, str, str]]:
    """Yield who (and in words) sees what: the operator first, and of it what it sees as a cheat."""
    disclosed = kind.engine.disclosure(spec, "SIMULATED" if here.get("allow_simulated") else "")
    seen = [row for row in disclosed if row["who"] not in {"owner", "network"}]
    seen.sort(key=lambda row: (row["who"] != OPERATOR, row["who"], "SIMULATED" not in row["why"]))
    for who, rows in groupby(seen, key=lambda row: str(row["who"])):
        every = list(rows)
        named = said(part_of(every[0], "who"))
        yield who, named, _and().join(said(part_of(row, "sees")) for row in every)


def visible(text: str) -> str:
    """Return a text in which what moves the cursor, turns the text or is unseen is escaped."""
    return shown(text, several=True)


def _colon() -> str:
    return "：" if language() == "zh" else ": "


def _and() -> str:
    return "；" if language() == "zh" else "; "


def _wrapped(text: str, width: int) -> list[str]:
    from rich.console import Console
    from rich.text import Text

    lines = Text(text).wrap(Console(width=width), width, overflow="fold")
    return [line.plain.rstrip() for line in lines] or [""]


def _ended(line: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(line, width - 1).rstrip() + "…"

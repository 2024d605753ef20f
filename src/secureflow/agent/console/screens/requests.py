"""One request, with everything that a person decides on, typed: from `inbox.document`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from secureflow.agent.console.screens.figures import (
    figure,
    limit,
    plain,
    ratio,
    second,
    text_of,
    texts,
)
from secureflow.agent.console.screens.requesters import Earlier, earlier
from secureflow.agent.console.screens.spoken import Spoken
from secureflow.kit.plain import shown
from secureflow.kit.reading import members, objects
from secureflow.kit.text import text_in

_COLUMNS = 4096
_LINES = 5000
_STEPS = 64


@dataclass(frozen=True)
class ColumnAsked:
    """A column that the job uses."""

    name: str
    sensitive: bool


@dataclass(frozen=True)
class DataAsked:
    """What data the job uses: the sensitive columns first.

    Args:
        dataset: its name here; empty: this party only computes.
        key: the column that says whose a row is.
        columns: all of them.
        differing_bounds: columns whose bounds are not as they are declared here.
    """

    dataset: str
    key: str
    columns: tuple[ColumnAsked, ...]
    differing_bounds: tuple[str, ...]


@dataclass(frozen=True)
class SeesWhat:
    """Who sees what of it, and why nobody sees more; `steps`: of which steps of a pipeline."""

    who: Spoken
    sees: Spoken
    why: Spoken
    simulated: bool
    steps: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelLine:
    """What the protocol among the parties gives, or lets out."""

    what: Spoken
    why: Spoken


@dataclass(frozen=True)
class PrivacyAsked:
    """What the job costs of the privacy budget.

    Args:
        private: whether it adds noise (differential privacy).
        releases_nothing_of_rows: whether nothing that depends on rows leaves, without noise.
        epsilon: of the job; None where it is not private.
        delta: of the job.
        charged: ε as it is charged here.
        limit: ε of the budget; None without one.
        before: ε of the budget that is spent and reserved.
        after: the same after this job.
    """

    private: bool
    releases_nothing_of_rows: bool
    epsilon: float | None
    delta: float | None
    charged: float | None
    limit: float | None
    before: float | None
    after: float | None


@dataclass(frozen=True)
class CodeAsked:
    """The code that the job brings, with a page of its difference to what was approved before.

    Args:
        digest: of the whole code; whole.
        entry: what of it runs.
        told: what there is to know of it.
        known: whether there is an approved version that it is compared with.
        page: of the difference.
        pages: how many there are.
        difference: lines; the first character says what each is (`+`, `-`, space).
    """

    digest: str
    entry: str
    told: tuple[Spoken, ...]
    known: bool
    page: int
    pages: int
    difference: tuple[str, ...]


@dataclass(frozen=True)
class ApprovedBy:
    """Who approved it first; while it waits nothing else of that: it would sway the second."""

    id: str
    name: str
    at: int
    in_place_of: str
    reason: str


@dataclass(frozen=True)
class PeopleAsked:
    """Who decides it.

    Args:
        two_people: why two people must; none: one is enough.
        approved: who did.
        can_decide: names of those who may and are here.
    """

    two_people: tuple[Spoken, ...]
    approved: tuple[ApprovedBy, ...]
    can_decide: tuple[str, ...]


@dataclass(frozen=True)
class NearlyRule:
    """A rule that nearly permitted it, and what of it does not hold."""

    title: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class RuleAsked:
    """What the policies of now decide: `ask`, `allow` or `refuse`, by what, and what nearly did."""

    effect: str
    by: tuple[Spoken, ...]
    nearly: tuple[NearlyRule, ...]


@dataclass(frozen=True)
class QuestionAsked:
    """A question to the submitter, and the answer as the centre told it: nobody signed that.

    Args:
        question: what was asked.
        person: who asked.
        asked: when.
        told: whether the centre knows it.
        answer: empty while there is none.
        by: who answered, as the centre names them.
        answered: when; 0 while there is no answer.
    """

    question: str
    person: str
    asked: int
    told: bool
    answer: str
    by: str
    answered: int


@dataclass(frozen=True)
class WaitsFor:
    """Why it waits for people, since and until when."""

    reasons: tuple[Spoken, ...]
    since: int
    until: int


@dataclass(frozen=True)
class Sentences:
    """What is said in whole sentences; empty what does not apply."""

    starts: Spoken
    runs: Spoken
    parties: Spoken
    protection: Spoken
    privacy: Spoken
    holds: Spoken
    takes: Spoken


@dataclass(frozen=True)
class RequestView:
    """Everything that a person decides on.

    Args:
        submitter: as the centre names them.
        project: its id.
        purpose: as the submitter says.
        kind: of job.
        task: what is computed.
        leaves: what leaves this organisation.
        data: that it uses.
        parties: who takes part.
        protection: of what is sent.
        privacy: its cost.
        outputs: who sees what.
        label: of the protocol among the parties.
        code: that it brings; None for none.
        people: who decides; None without accounts and rules.
        rule: what policies decide; None where an older version asked.
        before: what this submitter asked before.
        questions: to the submitter.
        waits: why it waits.
        sentences: the same in words.
    """

    submitter: str
    project: str
    purpose: str
    kind: str
    task: Spoken
    leaves: Spoken
    data: DataAsked
    parties: tuple[str, ...]
    protection: str
    privacy: PrivacyAsked
    outputs: tuple[SeesWhat, ...]
    label: tuple[LabelLine, ...]
    code: CodeAsked | None
    people: PeopleAsked | None
    rule: RuleAsked | None
    before: Earlier
    questions: tuple[QuestionAsked, ...]
    waits: WaitsFor
    sentences: Sentences


def request_view(document: Mapping[str, Any]) -> RequestView:
    """Read a document of `inbox.document`."""
    requester, said = members(document.get("requester")), members(document.get("sentences"))
    waits = members(document.get("waits"))
    return RequestView(
        submitter=text_of(requester, "submitter"),
        project=text_of(requester, "project"),
        purpose=text_of(document, "purpose"),
        kind=text_of(document, "kind"),
        task=written(document.get("task")),
        leaves=written(document.get("leaves")),
        data=_data(members(document.get("data"))),
        parties=texts(document.get("parties")),
        protection=text_of(document, "protection"),
        privacy=_privacy(members(document.get("privacy"))),
        outputs=tuple(_output(one) for one in objects(document.get("outputs"))),
        label=tuple(
            LabelLine(text_in(one, "what"), text_in(one, "why"))
            for one in objects(document.get("label"))
        ),
        code=_code(document.get("code")),
        people=_people(document.get("people")),
        rule=_rule(document.get("rule")),
        before=earlier(document.get("before")),
        questions=tuple(_question(one) for one in objects(document.get("questions"))),
        waits=WaitsFor(
            tuple(map(plain, waits.get("reasons") or ())),
            second(waits.get("since")),
            second(waits.get("until")),
        ),
        sentences=Sentences(
            **{name: written(said.get(name)) for name in Sentences.__dataclass_fields__}
        ),
    )


def written(value: Any) -> str:
    """Return a text of several lines in which nothing is hidden; one of ours stays."""
    text = plain(value) if "\n" not in str(value or "") else str(value)
    return text if "\n" not in text else "\n".join(map(shown, text.split("\n")))


def _data(value: Mapping[str, Any]) -> DataAsked:
    columns = objects(value.get("columns"), _COLUMNS)
    return DataAsked(
        text_of(value, "dataset"),
        text_of(value, "key"),
        tuple(ColumnAsked(text_of(one, "name"), one.get("sensitive") is True) for one in columns),
        texts(value.get("differing_bounds"), _COLUMNS),
    )


def _privacy(value: Mapping[str, Any]) -> PrivacyAsked:
    figures = ("epsilon", "delta", "charged", "limit", "before", "after")
    return PrivacyAsked(
        value.get("private") is True,
        value.get("releases_nothing_of_rows") is True,
        *(limit(value.get(name)) for name in figures),
    )


def _output(one: Mapping[str, Any]) -> SeesWhat:
    why = text_in(one, "why")
    who, steps = plain(one.get("who")), texts(one.get("steps"), _STEPS)
    return SeesWhat(who, text_in(one, "sees"), why, "SIMULATED" in why, steps)


def _code(value: Any) -> CodeAsked | None:
    if not isinstance(value, Mapping):
        return None
    return CodeAsked(
        digest=text_of(value, "digest"),
        entry=text_of(value, "entry"),
        told=tuple(map(plain, value.get("told") or ())),
        known=value.get("known") is True,
        page=max(1, int(ratio(value.get("page")))),
        pages=max(1, int(ratio(value.get("pages")))),
        difference=tuple(map(plain, (value.get("difference") or ())[:_LINES])),
    )


def _people(value: Any) -> PeopleAsked | None:
    if not isinstance(value, Mapping):
        return None
    approved = (
        ApprovedBy(
            text_of(one, "id"),
            text_of(one, "name"),
            second(one.get("at")),
            text_of(one, "in_place_of"),
            text_of(one, "reason"),
        )
        for one in objects(value.get("approved"))
    )
    return PeopleAsked(
        tuple(map(plain, value.get("two_people") or ())),
        tuple(approved),
        texts(value.get("can_decide")),
    )


def _rule(value: Any) -> RuleAsked | None:
    return rule_asked(value) if isinstance(value, Mapping) else None


def rule_asked(value: Mapping[str, Any]) -> RuleAsked:
    """Read `rule` of a document, or `policy.explain`."""
    nearly = (
        NearlyRule(text_of(one, "title"), tuple(map(figure, one.get("missing") or ())))
        for one in objects(value.get("nearly"))
    )
    return RuleAsked(
        text_of(value, "effect"), tuple(map(plain, value.get("by") or ())), tuple(nearly)
    )


def _question(one: Mapping[str, Any]) -> QuestionAsked:
    return QuestionAsked(
        question=written(one.get("question")),
        person=text_of(one, "person"),
        asked=second(one.get("asked")),
        told=bool(one.get("told")),
        answer=written(one.get("answer")),
        by=text_of(one, "by"),
        answered=second(one.get("answered")),
    )

"""The inbox at a terminal: one screen to decide on, and decisions on exactly what it showed."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from peers import rows_world
from peers.bundle_jobs import code_spec
from rich.cells import cell_len

from secureflow.agent import api
from secureflow.agent.owner.inbox import item_id
from secureflow.agent.record.damage import damaged
from secureflow.agent.record.records import InboxItem
from secureflow.cli.decision import LINES, WIDTH, PendingRequest, asked, screen
from secureflow.cli.kinds import CLI_KINDS
from secureflow.cli.requestdocument import document
from secureflow.domain.figures import cost
from secureflow.domain.specs.base import dump, parse, spec_digest
from secureflow.domain.specs.kinds import SPEC_KINDS
from secureflow.domain.specs.statistics import StatisticsSpec
from secureflow.domain.specs.training import Resume, TrainingSpec
from secureflow.engines.kinds import ENGINE_KINDS
from secureflow.engines.privacy import epsilon as epsilon_of
from secureflow.kit.errors import SecureFlowError

ROSTER = [{"party": f"bank-{c}", "key": c * 43 + "=", "dataset": "customers"} for c in "abc"]
COMMON = {
    "project": "prj_0123456789",
    "name": "credit",
    "purpose": "credit scoring",
    "submitter": "usr_alice",
    "roster": ROSTER,
}
TRAINING = {
    **COMMON,
    "features": {
        "label": {"column": "income", "positive": "high"},
        "numeric": [{"column": "age", "bounds": [0, 100], "scale": "bounds"}],
        "categorical": [{"column": "job", "categories": ["x", "y"]}],
    },
}
STATISTICS = {
    **COMMON,
    "columns": [
        {"column": "age", "type": "number", "bounds": [0, 100]},
        {"column": "job", "type": "category", "categories": ["x", "y"]},
    ],
    "queries": [{"name": "m", "measure": "mean", "column": "age", "by": "job"}],
    "privacy": {"delta": 1e-6, "noise_multiplier": 2.0},
}
HERE = {"allow_simulated": True, "budget": {"epsilon": 5.0, "spent": 1.25, "delta": 1e-5}}


def told(value: dict[str, Any], job: str = "job_0123456789", **request: Any) -> dict[str, Any]:
    """Return what an agent answers to `inbox.show`."""
    of: type[Any] = StatisticsSpec if "queries" in value else TrainingSpec
    if value.get("kind"):
        of = SPEC_KINDS[value["kind"]].spec
    spec: Any = parse(of, value, stored=True)
    facts: dict[str, Any] = {
        "dataset": "customers",
        "columns": ["age", "job", "income"],
        "sensitive": ["job"],
        "epsilon": None,
        **request,
    }
    reasons, expires = ("no policy permits it",), 1_800_000_000
    identity = item_id(job, spec_digest(spec), facts, reasons, expires)
    item = InboxItem(
        identity, job, spec_digest(spec), facts, dump(spec), reasons, "waiting", 1, expires
    )
    return {**asdict(item), "reasons": list(reasons), "here": HERE}


FIRST, SECOND = told(TRAINING), told(TRAINING, "job_2222222222")
Calls = list[tuple[str, dict[str, Any]]]


class Agent:
    """Stands in for the control socket: items by id, and what was asked of them."""

    def __init__(self) -> None:
        self.items = {one["id"]: one for one in (SECOND, FIRST)}
        self.decided: Calls = []
        self.held: dict[str, Any] | None = None
        self.came: dict[str, Any] = {"signed": True}

    def control(self, config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        if command == "inbox.list":
            names = ("id", "job", "state", "expires")
            return [
                {**{n: one[n] for n in names}, **one["request"], "purpose": one["spec"]["purpose"]}
                for one in self.items.values()
            ]
        if command == "inbox.show":
            return self.items[arguments["item"]]
        if command == "status":
            return {"set_back": self.held}
        self.decided.append((command, arguments))
        return self.came if command == "inbox.approve" else {}


@pytest.fixture(name="agent")
def _agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent()
    monkeypatch.setattr(api, "control", agent.control)
    return agent


# --- the screen ------------------------------------------------------------------------------


def lines_of(value: dict[str, Any], **request: Any) -> list[str]:
    one = told(value, **request)
    return screen(asked(one, one["id"]), CLI_KINDS)


def test_who_learns_which_keys_match_is_named_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    roster = ROSTER[:2]
    spec = rows_world.specified(roster, rows_world.matching(roster), rows_world.fitting(roster))
    one = told({**dump(spec), "kind": "pipeline"})
    whole = "".join(screen(asked(one, one["id"]), CLI_KINDS, lines=0)).replace(" ", "")
    assert "bank-a、bank-b（在match中得知哪些键匹配）" in whole.replace(",", "、")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_one_screen_holds_what_a_person_decides_on(
    monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    for value, epsilon in ((TRAINING, None), (STATISTICS, 1.23412)):
        lines = lines_of(value, epsilon=epsilon)
        assert len(lines) <= LINES
        assert max(map(cell_len, lines)) <= WIDTH
        text = "\n".join(lines)
        assert told(value, epsilon=epsilon)["digest"] in text  # the submitter has it, too
        for shown in ("usr_alice", "prj_0123456789", "credit scoring", "customers", "job_01234567",
                      ("、" if lang == "zh" else ", ").join(("bank-a", "bank-b", "bank-c")),
                      "age", "income"):  # fmt: skip
            assert shown in text, shown
        assert re.search("(SENSITIVE: |敏感列：)job", text)
    assert "1.235" in text  # rounded up, never down
    assert "1.25" in text
    zh = lang == "zh"
    assert ("运营方" if zh else "operator") in text


def test_the_screen_says_what_is_simulated_and_what_is_not_private() -> None:
    text = "\n".join(lines_of(TRAINING))
    assert "NONE: what is released may reveal single rows" in text
    assert "SIMULATED enclave is accepted here" in text
    masked = "\n".join(lines_of({**TRAINING, "protection": "secagg"}))
    assert "masked; only the sum can be opened" in masked
    assert "SIMULATED" not in masked


@pytest.mark.parametrize(
    ("lang", "told_here", "says"),
    [
        (
            "en",
            {"after": 2.71101},
            "budget of 5 (δ 1e-05): 1.25 is spent by the jobs so far, 2.712 by them and this one",
        ),
        (
            "zh",
            {"after": 2.71101},
            "您的隐私预算 5（δ 1e-05）：此前各任务共用 1.25，连同本任务为 2.712",
        ),
        (
            "en",
            {"after": 2.7, "approved": 2},
            "approved jobs that have not started (2) are not counted",
        ),
        ("zh", {"after": 2.7, "approved": 2}, "未计入已批准但尚未开始的 2 个任务"),
        (
            "en",
            {"refused": True},
            "1.25 is spent; the charge of this job was given back, and it is",
        ),
        ("zh", {"refused": True}, "已用 1.25；本任务占用的预算已退回，任务将被拒绝"),
    ],
)
def test_what_is_charged_is_told_beside_the_epsilon_of_the_job(
    monkeypatch: pytest.MonkeyPatch, lang: str, told_here: dict[str, Any], says: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    one = told(STATISTICS, epsilon=1.23412)
    one["here"] = {**HERE, "budget": {**HERE["budget"], **told_here}}  # type: ignore[dict-item]
    text = " ".join(" ".join(screen(asked(one, one["id"]), CLI_KINDS)).split())
    spec: Any = parse(StatisticsSpec, one["spec"], stored=True)
    own = cost(epsilon_of(ENGINE_KINDS.of(spec).charge(spec), 1e-6))
    for part in (f"ε {own}", "δ 1e-06", "ε 1.235"):
        assert part in text
    assert own != "1.235"
    assert says.replace(" ", "") in text.replace(" ", "")


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_longest_request_fits_too_and_says_that_it_is_shortened(
    monkeypatch: pytest.MonkeyPatch, lang: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    roster = [
        {
            "party": f"organisation-with-a-long-name-{n:04d}",
            "key": f"{n:043d}=",
            "dataset": "d" * 64,
        }
        for n in range(256)
    ]
    value = {
        **TRAINING,
        "name": "名" * 200,
        "purpose": "用途 " * 66,
        "submitter": "u" * 128,
        "roster": roster,
        "protection": "sealed+secagg",
        "limits": {"max_weight": 1000},
        "features": {
            **TRAINING["features"],
            "numeric": [{"column": f"{'c' * 100}{n}", "bounds": [0, 1]} for n in range(300)],
        },
    }
    columns = [f"{'c' * 100}{n}" for n in range(300)]
    lines = lines_of(value, columns=columns, sensitive=columns[:200])
    assert len(lines) <= LINES
    assert max(map(cell_len, lines)) <= WIDTH
    assert lines[-1].startswith("…")
    assert "300" in "\n".join(lines)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("protection", ["sealed", "sealed+secagg"])
def test_what_the_operator_sees_stands_first_and_whole(
    monkeypatch: pytest.MonkeyPatch, lang: str, protection: str
) -> None:
    """What it sees if it cheats comes before the rest, however long the request is."""
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    numeric = [{"column": f"{'c' * 60}{n}", "bounds": [0, 1], "scale": "federated"}
               for n in range(50)]  # fmt: skip
    columns = [one["column"] for one in numeric]
    roster = [{"party": f"organisation-{n:04d}", "key": f"{n:043d}=", "dataset": "customers"}
              for n in range(40)]  # fmt: skip
    value = {
        **TRAINING,
        "name": "n" * 200,
        "purpose": "purpose " * 25,
        "roster": roster,
        "protection": protection,
        "features": {**TRAINING["features"], "numeric": numeric},
    }
    differing = [f"{one} [0, 1]" for one in columns]
    lines = lines_of(value, columns=columns, sensitive=columns[:9], differing_bounds=differing)
    assert len(lines) <= LINES + 1  # with the question it still fits 24 lines
    assert lines[-1].startswith("…")
    label, first, cheating, last = {
        "en": ("Seen by", "operator: ", "everything that the enclave sees, if it cheats;",
               "who takes part, when, and how fast"),
        "zh": ("谁能看到", "运营方：", "如果作弊，可看到飞地所见的一切；",
               "谁参与、何时参与、多快完成"),
    }[lang]  # fmt: skip
    at = next(n for n, line in enumerate(lines) if line.startswith(label))
    indent = len(lines[at]) - len(lines[at].removeprefix(label).lstrip())
    assert lines[at][indent:].startswith(first + cheating)
    space = " " if lang == "en" else ""
    assert last in space.join(line.strip() for line in lines[at:])


@pytest.mark.parametrize(("lang", "said"), [("en", "and the key customer_id, by which rows are"),
                                            ("zh", "以及键 customer_id")])  # fmt: skip
def test_the_key_that_a_job_reads_beside_its_columns_is_shown(
    monkeypatch: pytest.MonkeyPatch, lang: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    columns = [f"{'c' * 60}{n}" for n in range(50)]
    data = " ".join(lines_of(TRAINING, columns=columns, sensitive=columns[:9], key="customer_id"))
    assert said in " ".join(data.split())
    assert "customer_id" not in " ".join(lines_of(TRAINING))


def test_a_long_name_hides_nothing_of_what_is_computed_and_from_where() -> None:
    """The name is the submitter's; what a job goes on from is what its owner decides on."""
    names = "churn of customers of region north, second attempt, " + "n" * 140
    start = Resume("job_" + "0" * 26, 12, "ef" * 32)
    spec = replace(code_spec(), name=names, purpose="p" * 200, resume=start)
    item = InboxItem(
        "ab" * 32, "job_" + "1" * 26, "cd" * 32, {"columns": ["x"], "dataset": "d"}, dump(spec),
        ("no policy",), "waiting", 0, 10**9,
    )  # fmt: skip
    told = "".join(line.strip() for line in screen(PendingRequest(item, {}), CLI_KINDS))
    for part in ("training of bundle", "ef" * 32, start.job, "the centre says round 12"):
        assert part.replace(" ", "") in told.replace(" ", "")


def test_nothing_on_the_screen_moves_the_cursor_or_turns_the_text() -> None:
    nasty = "fine\x1b[2J\x1b[1;1H\u202egnirocs\u200b\r\nApproved"
    value = {**TRAINING, "name": nasty, "purpose": nasty, "submitter": nasty}
    lines = lines_of(value, columns=[nasty], sensitive=[nasty])
    assert all(one.isprintable() for one in "".join(lines))
    assert not any(line.startswith("Approved") for line in lines)


# --- what is decided is what was shown -----------------------------------------------------------


def swapped(item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**item, **changes}


def test_what_is_not_what_its_id_says_is_neither_shown_nor_decided(
    cli: Any, agent: Agent, typing: Any
) -> None:
    evil = told({**TRAINING, "purpose": "sell the customers"})
    for other, code in (
        (evil, "inbox_item_changed"),  # another item in its place
        (swapped(evil, id=FIRST["id"]), "inbox_item_changed"),
        (swapped(FIRST, spec=evil["spec"]), "inbox_item_changed"),
        (swapped(FIRST, request={**FIRST["request"], "sensitive": []}), "inbox_item_changed"),
        (swapped(FIRST, state="approved"), "already_decided"),
    ):
        agent.items[FIRST["id"]] = other
        typing("y\n")
        status, out, err = cli("agent", "inbox", "approve", FIRST["id"])
        assert status != 0
        assert f"{code}: " in err
        assert "sell the customers" not in out + err
    assert agent.decided == []


def test_approving_shows_one_screen_and_sends_the_full_id(
    cli: Any, agent: Agent, typing: Any
) -> None:
    typing("y\n")
    status, out, err = cli("agent", "inbox", "approve", FIRST["id"], "--reason", "board")
    assert (status, out.strip()) == (0, "")
    assert FIRST["id"] in err
    assert len(err.splitlines()) <= 24
    assert agent.decided == [("inbox.approve", {"item": FIRST["id"], "reason": "board"})]


def test_approving_needs_a_yes_and_without_a_terminal_an_option(cli: Any, agent: Agent) -> None:
    status, _, err = cli("agent", "inbox", "approve", FIRST["id"])
    assert status == 2
    assert "credit scoring" in err
    assert "not_confirmed" in err
    assert agent.decided == []
    assert cli("agent", "inbox", "approve", FIRST["id"], "--yes")[0] == 0
    assert agent.decided == [("inbox.approve", {"item": FIRST["id"], "reason": ""})]


CHANGED = SecureFlowError("declaration_changed", "It was declared again.", "Submit it again.")


def test_an_approval_that_the_agent_refuses_is_no_approval(cli: Any, agent: Agent) -> None:
    agent.came = {"signed": False, "refused": CHANGED.as_json()}
    status, _, err = cli("agent", "inbox", "approve", FIRST["id"], "--yes")
    assert status != 0
    assert "declaration_changed: You approved" in err
    assert "the agent signs nothing: It was declared again." in err
    assert "Submit it again." in err
    assert "is approved" not in err


def test_an_approval_that_nobody_waits_for_is_not_said_to_be_signed(cli: Any, agent: Agent) -> None:
    agent.came = {"signed": False}
    status, _, err = cli("agent", "inbox", "approve", FIRST["id"], "--yes")
    assert status == 0
    assert "is approved and not signed yet" in err


def test_a_review_goes_on_past_an_approval_that_the_agent_refuses(
    cli: Any, agent: Agent, typing: Any
) -> None:
    agent.came = {"signed": False, "refused": CHANGED.as_json()}
    typing("a\ns\n")
    status, _, err = cli("agent", "inbox", "review")
    assert status == 0
    assert "the agent signs nothing" in err
    assert err.index("signs nothing") < err.index(SECOND["id"])


def test_the_list_shows_full_ids_on_a_line_of_their_own(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = cli("agent", "inbox", "list")[1].splitlines()
    assert {FIRST["id"], SECOND["id"]} <= set(lines)
    assert sum("SENSITIVE: job" in line for line in lines) == 2
    assert max(map(len, lines)) <= WIDTH
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "，敏感列：job，" in cli("agent", "inbox", "list")[1]
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    agent.items.clear()
    assert "No requests are waiting." in cli("agent", "inbox", "list")[2]


def test_why_an_item_waits_or_is_closed_is_told_in_the_language(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent keeps the English: it is part of what an id stands for."""
    closed = {"id": "ef" * 32, "job": "job_3", "state": "expired", "expires": 1}
    closed |= {"reason": "nobody decided in time"}
    waiting = {**FIRST, "reasons": ["a policy could not be evaluated", "no policy permits it"]}
    reasons = waiting["reasons"]
    waiting["id"] = item_id(
        FIRST["job"], FIRST["digest"], FIRST["request"], reasons, FIRST["expires"]
    )
    monkeypatch.setattr(api, "inbox_list", lambda *_, **__: [closed])
    for lang, why, ended in (
        (
            "en",
            ("a policy could not be evaluated", "no policy permits it"),
            "nobody decided in time",
        ),
        ("zh", ("有策略无法求值", "没有策略许可"), "无人及时作出决定"),
    ):
        monkeypatch.setenv("SECUREFLOW_LANG", lang)
        assert ended in cli("agent", "inbox", "list", "--all")[1]
        shown = "\n".join(screen(asked(waiting, waiting["id"]), CLI_KINDS))
        assert all(one in shown for one in why)


@pytest.mark.parametrize(
    ("lang", "said"),
    [("en", "No job can continue now: it was set back"), ("zh", "目前没有任务能继续")],
)
def test_the_list_says_when_the_log_is_held(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch, lang: str, said: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    agent.held = SecureFlowError(
        "log_set_back", "it was set back", "Let it go on: secureflow charter continue."
    ).as_json()
    err = cli("agent", "inbox", "list")[2]
    assert said in err
    assert "secureflow charter continue" in err
    agent.held = None
    assert said not in cli("agent", "inbox", "list")[2]


def test_details_and_machine_forms_hold_everything(cli: Any, agent: Agent) -> None:
    assert "credit scoring" in cli("agent", "inbox", "show", FIRST["id"])[1]
    for options in (("--details",), ("-o", "yaml"), ("-o", "json")):
        out = cli("agent", "inbox", "show", FIRST["id"], *options)[1]
        assert "local_epochs" in out
        assert FIRST["digest"] in out


def test_the_review_goes_through_what_waits(cli: Any, agent: Agent, typing: Any) -> None:
    typing("?\nd\na\nr\nnot for this purpose\n")
    status, _, err = cli("agent", "inbox", "review")
    assert status == 0
    assert "local_epochs" in err  # the details of the first
    assert agent.decided == [  # the oldest first
        ("inbox.approve", {"item": FIRST["id"], "reason": ""}),
        ("inbox.reject", {"item": SECOND["id"], "reason": "not for this purpose"}),
    ]


def test_the_review_can_skip_and_end(cli: Any, agent: Agent, typing: Any) -> None:
    typing("s\nq\n")
    assert cli("agent", "inbox", "review")[0] == 0
    typing("q\n")
    assert cli("agent", "inbox", "review")[0] == 0
    assert agent.decided == []


def test_the_review_goes_on_after_an_item_that_waits_no_more(
    cli: Any, agent: Agent, typing: Any
) -> None:
    agent.items[FIRST["id"]] = swapped(FIRST, state="withdrawn")
    typing("a\n")
    status, _, err = cli("agent", "inbox", "review")
    assert (status, agent.decided) == (0, [("inbox.approve", {"item": SECOND["id"], "reason": ""})])
    assert "already_decided" in err


def test_the_review_goes_on_past_a_damaged_item(
    cli: Any, agent: Agent, typing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = "ef" * 32

    def control(config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        if command == "inbox.show" and arguments["item"] == broken:
            raise damaged(f"inbox item {broken} cannot be read")  # as `Store.inbox_item` does
        found = agent.control(config, command, timeout, **arguments)
        if command == "inbox.list":  # as `Commands.inbox_list` does
            found = [*found, {"id": broken, "job": "job_9", "state": "damaged"}]
        return found

    monkeypatch.setattr(api, "control", control)
    typing("a\na\n")
    status, _, err = cli("agent", "inbox", "review")
    assert (status, err.count("record_damaged")) == (0, 1)
    assert [one["item"] for _, one in agent.decided] == [FIRST["id"], SECOND["id"]]


def test_the_review_ends_at_an_item_that_was_changed(cli: Any, agent: Agent, typing: Any) -> None:
    agent.items[FIRST["id"]] = swapped(FIRST, spec=told(STATISTICS)["spec"])
    typing("a\na\n")
    assert cli("agent", "inbox", "review")[0] != 0
    assert agent.decided == []


def test_a_review_needs_a_person(cli: Any, agent: Agent) -> None:
    status, _, err = cli("agent", "inbox", "review")
    assert (status, agent.decided) == (2, [])
    assert err.startswith("not_confirmed")


def test_an_answer_for_another_id_is_refused() -> None:
    with pytest.raises(SecureFlowError) as error:
        asked(FIRST, SECOND["id"])
    assert error.value.code == "inbox_item_changed"


@pytest.mark.parametrize(
    ("lang", "last"), [("en", "(reckoned together: no sum);"), ("zh", "（合并核算，并非相加）")]
)
def test_figures_are_not_shortened_and_nothing_is_where_there_is_no_screen(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch, lang: str, last: str
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    columns = [f"{'c' * 100}{n}" for n in range(30)]
    long = {**STATISTICS, "name": "n" * 200, "purpose": "purpose " * 25, "submitter": "u" * 128}
    one = told(long, epsilon=1.23412, columns=columns, sensitive=columns[:9])
    budget = {"epsilon": 5.0, "spent": 1.25, "delta": 1e-5, "after": 2.71101, "approved": 2}
    one["here"] = {"allow_simulated": True, "budget": budget}
    request = asked(one, one["id"])
    lines = screen(request, CLI_KINDS)
    assert lines[-1].startswith("…")
    assert last in "".join(one.strip() + " " * (lang == "en") for one in lines)
    agent.items = {one["id"]: one}
    out = cli("agent", "inbox", "show", one["id"])[1]
    assert "…" not in out
    assert all(part in out.replace("\n", "").replace(" ", "") for part in columns)


@pytest.mark.parametrize(
    ("lang", "skipped", "answer"),
    [
        ("en", "1 request that you skipped still waits.", "Answer y or n."),
        ("zh", "您跳过的 1 个请求仍在等待处理。", "请输入 y 或 n。"),
    ],
)
def test_questions_and_ends_are_in_the_language(
    cli: Any, agent: Agent, typing: Any, monkeypatch: pytest.MonkeyPatch,
    lang: str, skipped: str, answer: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("SECUREFLOW_LANG", lang)
    typing("s\na\n")
    assert cli("agent", "inbox", "review")[2].rstrip().endswith(skipped)
    agent.decided.clear()
    typing("j\ny\n")
    status, _, err = cli("agent", "inbox", "approve", FIRST["id"])
    assert (status, len(agent.decided)) == (0, 1)
    assert answer in err
    assert "Error" not in err
    typing("\n")
    assert cli("agent", "inbox", "approve", FIRST["id"])[0] == 2
    assert len(agent.decided) == 1


# --- one document for a screen or a page ------------------------------------------------------


@pytest.mark.parametrize("value", [TRAINING, STATISTICS])
def test_one_document_has_all_that_a_person_decides_on(value: dict[str, Any]) -> None:
    answer = told(value, epsilon=1.2 if "privacy" in value else None)
    people = {"two_people": ["so"], "approved": [], "can_decide": ["ada"]}
    known = {"rule": {"effect": "ask"}, "before": {"jobs": 0}, "people": people}
    request = asked({**answer, "here": {**HERE, **known}}, answer["id"])
    made = document(request, CLI_KINDS)
    assert made["requester"] == {"submitter": "usr_alice", "project": "prj_0123456789"}
    assert made["purpose"] == "credit scoring"
    assert made["data"]["columns"][0] == {"name": "job", "sensitive": True}
    assert [one["sensitive"] for one in made["data"]["columns"]] == [True, False, False]
    assert {row["who"] for row in made["outputs"]} >= {"operator"}
    assert {name: made[name] for name in known} == known
    assert set(made) >= {"label", "estimate", "code", "privacy", "waits", "parties"}
    assert made["privacy"]["private"] is ("privacy" in value)
    if "privacy" in value:
        assert (made["privacy"]["before"], made["privacy"]["charged"]) == (1.25, 1.2)
    json.dumps(made)


def test_the_document_comes_with_the_json_of_a_request(agent: Agent, cli: Any) -> None:
    shown = json.loads(cli("agent", "inbox", "show", FIRST["id"], "-o", "json")[1])
    assert shown["document"]["id"] == FIRST["id"]
    agent.items[FIRST["id"]] = {**FIRST, "spec": {**FIRST["spec"], "purpose": "another"}}
    assert cli("agent", "inbox", "show", FIRST["id"], "-o", "json")[0] == 7  # no document of that

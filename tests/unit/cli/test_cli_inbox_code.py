"""The code of a request at the owner's terminal: what changed, and what to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from peers.scored_jobs import scored

from secureflow.agent import api
from secureflow.cli.bundle_view import PAGE, TOLD
from secureflow.domain.specs.bundles import given_beside_settings
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.canonical import b64encode, digest
from secureflow.kit.errors import SecureFlowError
from tests.unit.cli.test_cli_inbox import TRAINING, told

CLASS = "class Model:\n" + "".join(
    f"    def {name}(self, *_): ...\n" for name in ("initial", "prepare", "train", "evaluate")
)
OLD = Bundle({"model.py": CLASS.encode(), "gone.txt": b"a\nb\n"})
NEW = Bundle(
    {"model.py": (CLASS + "import socket\nx = '\u202e'\n").encode(),
     "z.txt": "\n".join(map(str, range(PAGE))).encode()}
)  # fmt: skip
FACTS = {"bundle_digest": NEW.digest, "bundle_entry": "model:Model", "environment": "e" * 64}

FACTS_OF = {"entry": "model:Model", "environment": "e" * 64}


class Agent:
    def __init__(self, **code: Any) -> None:
        self.item = told(TRAINING, **FACTS)
        self.code = {"digest": NEW.digest, "packed": b64encode(pack(NEW)), "before": None,
                     "environment": {"name": "torch-cpu", "python": "3.11"}, **code}  # fmt: skip
        self.decided: list[str] = []

    def control(self, config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        if command == "inbox.list":
            return [{"id": self.item["id"]}]
        if command == "inbox.show":
            return self.item
        if command == "bundle.review":
            assert arguments == {"item": self.item["id"]}
            return self.code
        if command == "bundle.list":
            return [{"digest": OLD.digest, "name": "churn", "approved_at": 1_700_000_000}]
        self.decided.append(command)
        return {}


@pytest.fixture(name="agent")
def _agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    agent = Agent(before=b64encode(pack(OLD)))
    monkeypatch.setattr(api, "control", agent.control)
    return agent


def test_the_difference_to_the_last_approved_one_is_shown(cli: Any, agent: Agent) -> None:
    code, out, err = cli("agent", "inbox", "show", agent.item["id"])
    assert code == 0, err
    assert NEW.digest in out
    assert "2 files" in out
    assert "3 files differ" in out
    assert "Code can hide rows in the weights that it returns" in out
    assert "LOOK model.py:7" in out
    assert "socket" in out
    assert "+x = '\\u202e'" in out.splitlines()
    assert "\u202e" not in out
    assert "page 1 of 2" in out


def test_the_first_code_of_a_submitter_is_new_as_a_whole(cli: Any, agent: Agent) -> None:
    agent.code["before"] = None
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    assert "everything in it is new" in out
    assert "--- /dev/null" in out


def test_the_older_code_is_named(cli: Any, agent: Agent) -> None:
    agent.code["since"] = {"digest": OLD.digest, "name": "churn\u202e", "job": "job_7",
                           "approved_at": 1_700_000_000}  # fmt: skip
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    (line,) = [one for one in out.splitlines() if one.startswith("since ")]
    assert OLD.digest in line
    assert "(churn\\u202e, approved here in the job job_7 on 2023-11-1" in line


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "exactly this code was approved here before"), ("zh", "相同的代码")],
)
def test_code_that_was_approved_here_before_is_said_to_be_so(
    cli: Any, agent: Agent, typing: Any, monkeypatch: pytest.MonkeyPatch, language: str, said: str
) -> None:
    """A difference to another bundle would say nothing, and nobody needs to read it again."""
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    agent.code |= {"approved": 1_700_000_000, "approved_job": "job_7", "given": None}
    agent.code["since"] = {"digest": OLD.digest, "name": "other", "job": "job_1", "approved_at": 9}
    shown = ("agent", "inbox", "show", agent.item["id"])
    out = cli(*shown)[1]
    (line,) = [one for one in out.splitlines() if said in one]
    assert "job_7" in line
    assert "2023-11-1" in line
    assert OLD.digest not in out
    assert "+import socket" not in out
    assert "+import socket" in cli(*shown, "--page", "1")[1]
    assert json.loads(cli(*shown, "-o", "json")[1])["code"]["approved_job"] == "job_7"
    typing("c\na\n")
    err = cli("agent", "inbox", "review")[2]
    assert "+import socket" in err
    assert "0 of" not in err
    assert agent.decided == ["inbox.approve"]


def test_pages_are_shown_on_request(cli: Any, agent: Agent) -> None:
    out = cli("agent", "inbox", "show", agent.item["id"], "--page", "2")[1]
    assert "page 2 of 2" in out
    assert f"+{PAGE - 1}" in out.splitlines()
    assert f"+{PAGE - 1}" not in cli("agent", "inbox", "show", agent.item["id"])[1].splitlines()
    code, out, err = cli("agent", "inbox", "show", agent.item["id"], "--page", "3")
    assert (code, out) == (2, "")
    assert "There is no page 3: the code's difference has 2." in err
    agent.item = told(TRAINING)  # brings no code
    assert "has 0." in cli("agent", "inbox", "show", agent.item["id"], "--page", "1")[2]


def test_other_code_than_the_request_names_is_not_shown(cli: Any, agent: Agent) -> None:
    agent.code["packed"] = b64encode(pack(OLD))
    for command in ("show", "approve"):
        code, out, err = cli("agent", "inbox", command, agent.item["id"])
        assert code == 7
        assert "inbox_item_changed" in err
        assert "class Model" not in out + err
    assert agent.decided == []


@pytest.mark.parametrize("packed", ["", "!!", b64encode(b"not a bundle"), None, 7])
def test_what_is_no_code_is_refused(cli: Any, agent: Agent, packed: Any) -> None:
    agent.code["packed"] = packed
    code, _, err = cli("agent", "inbox", "show", agent.item["id"])
    assert code == 2, err


def test_it_says_what_cannot_run(cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = Bundle({"model.py": b"def f(:", "json.py": b""})
    agent.item = told(TRAINING, **{**FACTS, "bundle_digest": bad.digest})
    agent.code["packed"] = b64encode(pack(bad))
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    assert "PROBLEM model.py:1" in out
    assert "PROBLEM json.py" in out
    monkeypatch.setenv("SECUREFLOW_LANG", "zh")
    assert "问题 model.py:1" in cli("agent", "inbox", "show", agent.item["id"])[1]


def test_the_environment_is_the_owners_and_its_python_counts(cli: Any, agent: Agent) -> None:
    newer = Bundle({"model.py": CLASS.encode() + b"match 1:\n    case 1: pass\n"})
    agent.item = told(TRAINING, **{**FACTS, "bundle_digest": newer.digest})
    agent.code["packed"] = b64encode(pack(newer))
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    assert "in the environment torch-cpu (Python 3.11)" in out
    assert f"environment for policies: {'e' * 64}" in out.splitlines()
    assert "PROBLEM" not in out
    agent.code["environment"] = {"name": "old", "python": "3.9"}
    assert "syntax error in Python 3.9" in cli("agent", "inbox", "show", agent.item["id"])[1]
    agent.code["environment"] = None
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    assert f"PROBLEM: this agent has no environment {'e' * 64}" in out


def test_what_the_job_gives_the_code_is_shown(cli: Any, agent: Agent) -> None:
    """The digest covers none of it: approved code can do something else with other settings."""
    bundle = {"digest": NEW.digest, "entry": "model:Model", "environment": "e" * 64}
    model = {"family": "bundle", "bundle": bundle, "weights": [{"name": "w", "shape": [2]}]}
    limits = {"clip_norm": 7.5}
    agent.item = told({**TRAINING, "model": model, "limits": limits}, **FACTS)
    assert "no settings" in cli("agent", "inbox", "show", agent.item["id"])[1]
    model["settings"] = {"remember": True, "with": "eval(x)", "long": "a" * 500 + "end"}
    agent.item = told({**TRAINING, "model": model, "limits": limits}, **FACTS)
    for command in ("show", "approve"):
        _, out, err = cli("agent", "inbox", command, agent.item["id"])
        lines = [one.strip() for one in (out + err).splitlines()]
        assert "remember: true" in lines
        assert 'with: "eval(x)"' in lines
        assert any("at most 7.5 long" in one for one in lines)
        long = next(one for one in lines if one.startswith("long: "))
        assert "505 characters: --details" in long
        assert "end" not in long


def test_what_the_agent_clips_an_update_to_is_told(cli: Any, agent: Agent) -> None:
    privacy = {"delta": 1e-6, "noise_multiplier": 2.0, "unit": "party", "mechanism": "central",
               "party_unit_acknowledged": True, "clipping_norm": 1.5}  # fmt: skip
    spec = {**TRAINING, "privacy": privacy, "plan": {"validation": 0}, "protection": "sealed"}
    agent.item = told({**spec, "limits": {"clip_norm": 7.5}}, **FACTS, epsilon=0.5)
    out = cli("agent", "inbox", "show", agent.item["id"])[1]
    assert "clipped to the length 1.5 (privacy.clipping_norm); limits.clip_norm is 7.5." in out
    assert "at most 7.5 long" not in out
    assert "it adapts" not in out
    spec["privacy"] = {**privacy, "adaptive": {"bit_noise": 10.0}}
    agent.item = told(spec, **FACTS, epsilon=0.5)
    assert "it adapts" in cli("agent", "inbox", "show", agent.item["id"])[1]


def test_what_differs_from_the_last_approved_job_of_the_code_is_marked(
    cli: Any, agent: Agent
) -> None:
    bundle = {"digest": NEW.digest, "entry": "model:Model", "environment": "e" * 64}
    settings = {"rate": 1, "extra": "x", "kept": [1, 2]}
    model = {"family": "bundle", "bundle": bundle, "weights": [{"name": "w", "shape": [2]}]}
    model["settings"] = settings
    agent.item = told({**TRAINING, "model": model, "limits": {"clip_norm": 7.5}}, **FACTS)

    def lines() -> list[str]:
        _, out, err = cli("agent", "inbox", "show", agent.item["id"])
        return [one.strip() for one in (out + err).splitlines()]

    assert f"settings_digest for policies: {digest(settings)}" in lines()
    assert not any("job_7" in one for one in lines())
    others = given_beside_settings(agent.item["spec"])
    assert others["model.bundle.environment"] == "e" * 64
    agent.code["approved_job"] = "job_7"
    same = {"job": "job_7", "settings": dict(settings), "clip_norm": 7.5}
    agent.code["given"] = {**same, "others": others}
    assert "the same as in the job job_7, approved here last with this code" in lines()
    before = {"rate": True, "kept": [1, 2], "gone": "y"}
    other = {"initial.model": "d" * 64, "plan.rounds": 99, "model.bundle.entry": "model:Other"}
    agent.code["given"] = {**same, "others": {**others, **other}}
    assert [one for one in lines() if "job_7" in one and "exactly" not in one] == [
        'LOOK: model.bundle.entry was "model:Other" in the job job_7',
        "LOOK: plan.rounds was 99 in the job job_7",
        f'LOOK: initial.model is gone; it was "{"d" * 64}" in the job job_7',
    ]
    agent.code["given"] = {"job": "job_7", "settings": before, "clip_norm": 2.0, "others": others}
    assert [one for one in lines() if "job_7" in one and "exactly" not in one] == [
        "LOOK: rate was true in the job job_7",
        "LOOK: extra is new since the job job_7",
        'LOOK: gone is gone; it was "y" in the job job_7',
        "LOOK: the norm cap was 2.0 in the job job_7",
    ]


@pytest.mark.parametrize("kind", ["evaluation", "prediction"])
def test_code_that_applies_a_model_is_shown_as_that(cli: Any, agent: Agent, kind: str) -> None:
    """What it is given is compared with what the training gave it, which was approved here."""
    model = scored()
    model["model"]["bundle"] = {**FACTS_OF, "digest": NEW.digest}
    named = {"model": model} if kind == "prediction" else {"models": [model]}
    shared = {
        name: TRAINING[name] for name in ("project", "name", "purpose", "submitter", "roster")
    }
    agent.item = told({**shared, "kind": kind, **named}, **FACTS)
    others = {"model.bundle.entry": "model:Model", "model.bundle.environment": "e" * 64,
              "plan.seed": 6, "plan.rounds": 3}  # fmt: skip
    agent.code["approved_job"] = "job_7"
    agent.code["given"] = {"job": "job_7", "settings": {"k": 1}, "clip_norm": 7.5, "others": others}
    _, out, err = cli("agent", "inbox", "show", agent.item["id"])
    lines = [one.strip() for one in (out + err).splitlines()]
    assert "k: 2" in lines
    assert "PROBLEM model.py:1: Model has no method predict" in lines
    assert "It computes a released model of these rows, and is asked for nothing else." in lines
    assert [one for one in lines if one.startswith("LOOK") and "job_7" in one] == [
        "LOOK: k was 1 in the job job_7",
        "LOOK: plan.seed was 6 in the job job_7",
        "LOOK: model.digest is new since the job job_7",
        "LOOK: plan.rounds is gone; it was 3 in the job job_7",
    ]
    assert "whether it fails and when" in out + err
    assert "in the weights that it returns" not in out + err
    assert "clip_norm" not in out + err


@pytest.mark.parametrize(
    ("language", "told"),
    [("en", "there is nothing to compare with"), ("zh", "没有可供比较的内容")],
)
def test_it_says_that_there_is_nothing_to_compare_with(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch, language: str, told: str
) -> None:
    """The record of the job approved last is gone, or the code that was approved before."""
    monkeypatch.setenv("SECUREFLOW_LANG", language)

    def lines(command: str) -> list[str]:
        _, out, err = cli("agent", "inbox", command, agent.item["id"])
        return [one for one in (out + err).splitlines() if told in one]

    assert lines("show") == []
    agent.code |= {"approved": 1_700_000_000, "approved_job": "job_7\u202e", "given": None}
    for command in ("show", "approve"):
        (line,) = lines(command)
        assert "job_7" in line
        assert "\u202e" not in line
    agent.code |= {"approved": None, "approved_job": None, "before": None}
    agent.code["since"] = {"digest": OLD.digest}
    for command in ("show", "approve"):
        (line,) = lines(command)
        assert OLD.digest[:16] in line


def test_no_number_of_remarks_hides_the_problems(cli: Any, agent: Agent) -> None:
    files = {f"m{at}.py": f"# \u202e {at}\n".encode() for at in range(3 * TOLD)}
    files |= {f"n{at}.py": b"def f(:" for at in range(2 * TOLD)}
    many = Bundle({**files, "model.py": CLASS.encode()})
    agent.item = told(TRAINING, **{**FACTS, "bundle_digest": many.digest})
    agent.code |= {"packed": b64encode(pack(many)), "environment": None, "before": None}
    _, out, err = cli("agent", "inbox", "approve", agent.item["id"])
    lines = (out + err).splitlines()
    kinds = [one.split()[0].rstrip(":") for one in lines if one.startswith(("LOOK", "PROBLEM"))]
    assert kinds == ["LOOK"] * (TOLD + 1) + ["PROBLEM"] * (TOLD + 2)
    assert f"LOOK: {2 * TOLD} more places: -o json lists them" in lines
    assert f"PROBLEM: {TOLD} more: -o json lists them" in lines


def test_the_question_says_how_much_of_the_code_was_shown(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("secureflow.cli.inbox.confirmed", lambda text, yes: asked.append(text))
    cli("agent", "inbox", "approve", agent.item["id"])
    unread = "0 of 2 pages of the code's difference were shown here."
    assert asked == [f"{unread} Approve exactly this?"]
    agent.item = told(TRAINING)
    cli("agent", "inbox", "approve", agent.item["id"])
    assert asked[1:] == ["Approve exactly this?"]


def test_the_review_pages_through_the_code_and_asks_again_before_unread_code(
    cli: Any, agent: Agent, typing: Any
) -> None:
    unread = "{} of 2 pages of the code's difference were shown here."
    typing("c\na\nn\nc\na\n")
    status, _, err = cli("agent", "inbox", "review")
    assert status == 0, err
    assert "+import socket" in err.splitlines()  # of the first page
    assert "\u202e" not in err
    assert f"+{PAGE - 1}" in err.splitlines()  # of the second
    assert unread.format(0) in err
    assert f"{unread.format(1)} Approve exactly this?" in err
    assert f"{unread.format(2)} Approve exactly this?" not in err
    assert agent.decided == ["inbox.approve"]
    agent.decided.clear()
    typing("a\nn\nq\n")
    assert cli("agent", "inbox", "review")[0] == 0
    assert agent.decided == []
    typing("a\ny\n")
    err = cli("agent", "inbox", "review")[2]
    assert f"{unread.format(0)} Approve exactly this?" in err
    assert agent.decided == ["inbox.approve"]


def test_printed_commands_ask_the_same_agent(cli: Any, agent: Agent, typing: Any) -> None:
    shown, where = f"secureflow agent inbox show {agent.item['id']}", ("--config", "bank a.yaml")
    assert f"Next: {shown} --page 2" in cli("agent", "inbox", "show", agent.item["id"])[1]
    out = cli("agent", "inbox", "show", agent.item["id"], *where)[1]
    assert f"Next: {shown} --config 'bank a.yaml' --page 2" in out.splitlines()
    typing("q\n")
    err = cli("agent", "inbox", "review", *where)[2]
    assert f"All of it: {shown} --config 'bank a.yaml'" in err.splitlines()


def test_programs_get_everything(cli: Any, agent: Agent) -> None:
    out = json.loads(cli("agent", "inbox", "show", agent.item["id"], "-o", "json")[1])
    assert out["code"]["digest"] == NEW.digest
    assert out["code"]["since"] == OLD.digest
    assert {one["path"] for one in out["code"]["changes"]} == {"model.py", "gone.txt", "z.txt"}


def test_whoever_approves_reads_the_sentence(cli: Any, agent: Agent) -> None:
    code, _, err = cli("agent", "inbox", "approve", agent.item["id"])
    assert code == 2  # nobody at the terminal
    assert "Code can hide rows in the weights" in err
    assert "LOOK model.py:7" in err
    assert agent.decided == []


def test_the_approved_ones_are_listed(cli: Any, agent: Agent) -> None:
    code, out, err = cli("agent", "bundle", "list")
    assert code == 0, err
    assert OLD.digest in out
    assert json.loads(cli("agent", "bundle", "list", "-o", "json")[1])[0]["name"] == "churn"


@pytest.mark.parametrize(
    ("language", "says"),
    [
        ("en", ("approved on 2023-11-1", "the approval holds until", "; board", "shown whole")),
        ("zh", ("2023-11-1", "已批准；批准有效至", "；board", "全部显示")),
    ],
)
def test_what_was_decided_is_looked_at_again_as_it_was_shown(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch, language: str, says: tuple[str, ...]
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", language)
    agent.item |= {"state": "approved", "decided_at": 1_700_000_000, "reason": "board"}
    shown = ("agent", "inbox", "show", agent.item["id"])
    out = cli(*shown)[1]
    assert "local_epochs" not in out
    assert says[0] in out
    assert "+import socket" in out.splitlines()
    assert f"+{PAGE - 1}" in cli(*shown, "--page", "2")[1].splitlines()
    assert (cli(*shown, "--page", "3")[0], cli(*shown, "--page", "3")[1]) == (2, "")
    agent.code["before"] = None
    out = " ".join(cli(*shown)[1].split())
    assert all(one in out for one in says)
    assert "everything in it is new" not in out
    assert "local_epochs" in cli(*shown, "--details")[1]
    assert json.loads(cli(*shown, "-o", "json")[1])["code"]["digest"] == NEW.digest
    agent.item["spec"] = {**agent.item["spec"], "name": "another"}
    assert "inbox_item_changed: " in cli(*shown)[2]


def test_code_of_a_rejected_request_may_be_gone(
    cli: Any, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def control(config: Path, command: str, timeout: float = 0, **arguments: Any) -> Any:
        if command == "bundle.review":
            raise SecureFlowError("not_found", "The file of the bundle is not here.")
        return agent.control(config, command, timeout, **arguments)

    monkeypatch.setattr(api, "control", control)
    shown = ("agent", "inbox", "show", agent.item["id"])
    assert "not_found" in cli(*shown)[2]  # a request that waits is not shown without its code
    agent.item |= {"state": "rejected", "decided_at": 1_700_000_000, "reason": "not for this"}
    status, out, err = cli(*shown)
    assert (status, err) == (0, "Its code is not kept here any more.\n")
    assert "rejected on 2023-11-1" in out
    assert "not for this" in out
    assert "holds until" not in out
    assert "has 0." in cli(*shown, "--page", "1")[2]
    agent.item |= {"state": "withdrawn", "spec": {}}  # nothing but a summary is kept
    status, out, _ = cli(*shown)
    assert (status, "state: withdrawn" in out) == (0, True)

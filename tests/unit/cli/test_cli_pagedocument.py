"""What the owner's page is told of a request, in each language, and of the code that it brings."""

from __future__ import annotations

from typing import Any

import pytest

from secureflow.agent.edge.documents import DocumentCommands
from secureflow.cli.bundle_view import PAGE
from secureflow.cli.pagedocument import PageDocuments
from secureflow.engines.bundles import Bundle, pack
from secureflow.kit.canonical import b64encode
from secureflow.kit.errors import SecureFlowError
from tests.unit.cli.test_cli_inbox import TRAINING, told
from tests.unit.cli.test_cli_inbox_code import FACTS, NEW, OLD


class Agent:
    """The commands that a document is made from."""

    def __init__(self, item: dict[str, Any], **code: Any) -> None:
        self.item = item
        self.code = {
            "digest": NEW.digest, "packed": b64encode(pack(NEW)), "before": b64encode(pack(OLD)),
            "environment": {"name": "torch-cpu", "python": "3.11"}, **code,
        }  # fmt: skip
        self.gone = False

    async def shown(self, item: str) -> dict[str, Any]:
        assert item == self.item["id"]
        return self.item

    async def reviewed(self, item: str) -> dict[str, Any]:
        assert item == self.item["id"]
        if self.gone:
            raise SecureFlowError("not_found", "It is not kept.")
        return self.code

    async def document(self, language: str = "en", page: Any = 1) -> dict[str, Any]:
        commands = DocumentCommands(self.shown, self.reviewed, PageDocuments())
        return await commands.document(self.item["id"], language, page)


async def test_the_code_stands_with_its_difference_page_by_page() -> None:
    agent = Agent(told(TRAINING, **FACTS))
    code = (await agent.document())["document"]["code"]
    assert (code["digest"], code["entry"], code["page"], code["pages"]) == (
        NEW.digest, "model:Model", 1, 2,
    )  # fmt: skip
    assert len(code["difference"]) == PAGE
    assert "+import socket" in code["difference"]
    assert "\u202e" not in str(code)
    assert any(one.startswith("LOOK model.py:7") for one in code["told"])
    second = (await agent.document(page=2))["document"]["code"]
    assert (second["page"], second["difference"][-2]) == (2, f"+{PAGE - 1}")
    for odd in (0, 99, "2", None):
        assert (await agent.document(page=odd))["document"]["code"]["page"] in (1, 2)


async def test_its_sentences_are_in_the_language_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECUREFLOW_LANG", "en")
    agent = Agent(told(TRAINING, **FACTS))
    english, chinese = await agent.document(), await agent.document("zh")
    assert english["document"]["leaves"].startswith("a round, an update of")
    for one in ("task", "leaves"):
        assert any("\u4e00" <= sign <= "\u9fff" for sign in chinese["document"][one]), one
    assert set(chinese["document"]["sentences"]) == set(english["document"]["sentences"])
    assert (
        chinese["document"]["sentences"]["privacy"] != english["document"]["sentences"]["privacy"]
    )
    assert chinese["item"] == english["item"]


async def test_a_request_brings_the_name_of_its_job() -> None:
    item = told(TRAINING, **FACTS)
    assert (await Agent(item).document())["item"]["name"] == item["spec"]["name"] != ""


async def test_other_bytes_than_the_request_names_are_refused() -> None:
    other = Bundle({"model.py": b"x = 1\n"})
    agent = Agent(told(TRAINING, **FACTS), packed=b64encode(pack(other)))
    with pytest.raises(SecureFlowError) as error:
        await agent.document()
    assert error.value.code == "inbox_item_changed"


async def test_another_spec_than_the_id_was_computed_over_is_refused() -> None:
    item = told(TRAINING)
    item["spec"] = {**item["spec"], "purpose": "another one"}
    with pytest.raises(SecureFlowError) as error:
        await Agent(item).document()
    assert error.value.code == "inbox_item_changed"


async def test_code_that_is_gone_is_missed_only_while_the_request_waits() -> None:
    agent = Agent(told(TRAINING, **FACTS))
    agent.gone = True
    with pytest.raises(SecureFlowError):
        await agent.document()
    agent.item["state"] = "rejected"
    assert (await agent.document())["document"]["code"] is None


async def test_what_keeps_no_spec_has_a_summary_alone() -> None:
    agent = Agent({**told(TRAINING), "state": "expired", "spec": {}})
    answer = await agent.document()
    assert answer["document"] is None
    assert answer["item"]["id"] == agent.item["id"]
    assert not {"spec", "here"} & set(answer["item"])
    bare = DocumentCommands(agent.shown, agent.reviewed, None)
    assert (await bare.document(agent.item["id"]))["document"] is None

"""Reports are printed in both languages, and nothing outside of a page is loaded."""

from __future__ import annotations

import asyncio
import re
import sys
import zlib
from pathlib import Path

import pytest

from secureflow.adapters.printing import ProcessPrinter, printer
from secureflow.application.reports.explanation import render as explanation_page
from secureflow.application.reports.page import render
from secureflow.kit.errors import SecureFlowError
from tests.unit.application.test_explanation_page import explained
from tests.unit.application.test_reports import report

pytest.importorskip("weasyprint")


def characters(pdf: bytes) -> str:
    """Return the characters of every font in a PDF, as its ToUnicode tables say (ISO 32000, 9.10).

    Only what is shown is embedded, so what is not here is not in the text.
    """
    found: set[str] = set()
    for one in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        try:
            text = zlib.decompress(one[1])
        except zlib.error:
            continue
        if b"begincmap" in text:
            for line in re.findall(rb"<[0-9a-fA-F]+>\s*<([0-9a-fA-F]+)>", text):
                found |= set(bytes.fromhex(line.decode()).decode("utf-16-be", "replace"))
    return "".join(sorted(found))


async def test_a_report_is_printed_in_chinese_and_in_english() -> None:
    chinese = await ProcessPrinter().pdf(render(report(name="收入模型"), "zh"))
    assert chinese.startswith(b"%PDF-")
    shown = characters(chinese)
    assert set("收入模型隐私") <= set(shown), shown
    english = characters(await ProcessPrinter().pdf(render(report(name="income"), "en")))
    assert set("income") <= set(english)
    assert "隐" not in english  # the other language is not in it


async def test_an_explanation_is_printed_in_chinese() -> None:
    printed = await ProcessPrinter().pdf(explanation_page(explained(name="收入模型"), "zh"))
    shown = characters(printed)
    assert set("收入模型任务说明谁能看到什么") <= set(shown), shown


async def test_nothing_outside_of_the_page_is_loaded(tmp_path: Path) -> None:
    """Neither a file, which would be readable in the PDF, nor an address inside the network."""
    secret = tmp_path / "secret.svg"
    secret.write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='100' height='20'>"
        "<text y='15'>KOLKHOZ</text></svg>"
    )
    refused = (
        f"<img src='file://{secret}'><img src='http://127.0.0.1:9/x.png'>"
        f"<style>@import 'file://{secret}'; body {{ background: url(file://{secret}) }}</style>"
        f"<link rel=attachment href='file://{secret}'>"
        "<img src='data:image/svg+xml,&lt;svg xmlns=%22http://www.w3.org/2000/svg%22/&gt;'>"
    )
    pdf = await ProcessPrinter().pdf(f"<html><body>{refused}<p>plain</p></body></html>")
    shown = characters(pdf)
    assert set("plain") <= set(shown)
    assert not set("KOHZ") & set(shown)
    assert b"EmbeddedFile" not in pdf


async def test_a_page_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(SecureFlowError) as caught:
        await ProcessPrinter(patience=0.01).pdf("<p>x</p>")
    assert caught.value.code == "printing_failed"


async def test_too_much_memory_is_a_failure_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "MAX_PAGE", 3)
    with pytest.raises(SecureFlowError) as caught:
        await ProcessPrinter().pdf("<p>x</p>")
    assert caught.value.code == "printing_failed"


async def test_only_so_many_pages_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "MOST_WAITING", 0)
    with pytest.raises(SecureFlowError) as caught:
        await ProcessPrinter().pdf("<p>x</p>")
    assert caught.value.code == "rate_limited"


async def test_nobody_takes_every_turn_at_the_printer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page may take two minutes: sixteen of one reader kept it from all others."""
    turn = asyncio.Event()

    async def wait(self: ProcessPrinter, data: bytes) -> bytes:
        del self
        await turn.wait()
        return data

    monkeypatch.setattr(ProcessPrinter, "_print", wait)
    printing = ProcessPrinter()
    own = [asyncio.create_task(printing.pdf(f"{n}", "usr_ann")) for n in range(3)]
    await asyncio.sleep(0)
    other = asyncio.create_task(printing.pdf("3", "usr_ben"))
    await asyncio.sleep(0)
    error = own[2].exception() if own[2].done() else None
    assert isinstance(error, SecureFlowError)
    assert error.code == "rate_limited"
    turn.set()
    assert [await one for one in (own[0], own[1], other)] == [b"0", b"1", b"3"]
    assert await printing.pdf("4", "usr_ann") == b"4"
    assert not printing._waiting


async def test_without_the_library_the_next_step_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printer, "find_spec", lambda _: None)
    with pytest.raises(SecureFlowError) as caught:
        await ProcessPrinter().pdf("<p>x</p>")
    assert caught.value.code == "library_missing"
    assert "pdf" in caught.value.hint


async def test_a_process_that_dies_is_a_failure_of_the_page(tmp_path: Path) -> None:
    dying = tmp_path / "python"
    dying.write_text("#!/bin/sh\ncat >/dev/null\nexit 0\n")
    dying.chmod(0o700)
    with pytest.raises(SecureFlowError) as caught:
        await ProcessPrinter(str(dying)).pdf("<p>x</p>")
    assert caught.value.code == "printing_failed"
    assert sys.executable != str(dying)


async def test_a_printed_page_is_taken_whatever_libraries_do_at_an_exit(tmp_path: Path) -> None:
    """Pango's thread for fonts still ran at times, without its library: SIGSEGV, after the page."""
    crashing = tmp_path / "python"
    code = "import atexit, os; from secureflow.adapters.printing import process; "
    code += "atexit.register(os.abort); process.main()"
    crashing.write_text(f"#!/bin/sh\nexec {sys.executable} -I -c '{code}'\n")
    crashing.chmod(0o700)
    assert (await ProcessPrinter(str(crashing)).pdf("<p>x</p>")).startswith(b"%PDF-")

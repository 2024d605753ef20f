"""Writes the report of a job as files: a page, and a PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from secureflow.cli.console import say
from secureflow.cli.files import check_writable, write_data, write_text
from secureflow.cli.texts import language, t

if TYPE_CHECKING:
    from secureflow.sdk import Client


def write_reports(connection: Client, job: str, html: Path | None, pdf: Path | None) -> bool:
    """Write the files that are wanted, in the reader's language; tell whether there were any."""
    lang = "zh" if language() == "zh" else "en"
    for path in filter(None, (html, pdf)):
        check_writable(path)
    if html is not None:
        write_text(html, connection.jobs.report_html(job, "zh" if lang == "zh" else "en"))
        say(t("Written to {path}.", path=html))
    if pdf is not None:
        write_data(pdf, connection.jobs.report_pdf(job, "zh" if lang == "zh" else "en"))
        say(t("Written to {path}.", path=pdf))
    return html is not None or pdf is not None

"""Writes the report or the explanation of a job as files: a page, and a PDF."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from secureflow.cli.console import say
from secureflow.cli.files import check_writable, write_data, write_text
from secureflow.cli.texts import language, t

if TYPE_CHECKING:
    from secureflow.sdk import Client


def write_reports(connection: Client, job: str, html: Path | None, pdf: Path | None) -> bool:
    """Write the files that are wanted, in the reader's language; tell whether there were any."""
    lang, jobs = _begun(html, pdf), connection.jobs
    _write(html, None if html is None else jobs.report_html(job, lang))
    _write(pdf, None if pdf is None else jobs.report_pdf(job, lang))
    return html is not None or pdf is not None


def write_explanations(connection: Client, job: str, html: Path | None, pdf: Path | None) -> bool:
    """Write the explanation as `write_reports` does a report."""
    lang, jobs = _begun(html, pdf), connection.jobs
    _write(html, None if html is None else jobs.explanation_html(job, lang))
    _write(pdf, None if pdf is None else jobs.explanation_pdf(job, lang))
    return html is not None or pdf is not None


def _begun(*paths: Path | None) -> Literal["en", "zh"]:
    """Refuse what cannot be written before anything is asked for; return the language."""
    for path in filter(None, paths):
        check_writable(path)
    return "zh" if language() == "zh" else "en"


def _write(path: Path | None, made: str | bytes | None) -> None:
    if path is None or made is None:
        return
    if isinstance(made, str):
        write_text(path, made)
    else:
        write_data(path, made)
    say(t("Written to {path}.", path=path))

"""The report and the explanation of a job as files: a page, or a PDF."""

from __future__ import annotations

from typing import Literal

from secureflow.sdk import answers, verbs
from secureflow.sdk.calls import Call, D_co, Resource, operation


class ReportFiles(Resource[D_co]):
    """Reports of ended jobs, and explanations of any, as files."""

    @operation
    def report_html(self, job: str, lang: Literal["en", "zh"] = "en") -> Call[str]:
        """Return the report of an ended job as one self-contained HTML page."""
        return verbs.read_large(f"/jobs/{job}/report", answers.text, format="html", lang=lang)

    @operation
    def report_pdf(self, job: str, lang: Literal["en", "zh"] = "en") -> Call[bytes]:
        """Return the report of an ended job as PDF.

        Raises:
            SecureFlowError: `library_missing` if the centre cannot print; `printing_failed`.
        """
        return verbs.read_large(f"/jobs/{job}/report", answers.content, format="pdf", lang=lang)

    @operation
    def explanation_html(self, job: str, lang: Literal["en", "zh"] = "en") -> Call[str]:
        """Return the explanation of a job as one self-contained HTML page."""
        return verbs.read_large(f"/jobs/{job}/explain", answers.text, format="html", lang=lang)

    @operation
    def explanation_pdf(self, job: str, lang: Literal["en", "zh"] = "en") -> Call[bytes]:
        """Return the explanation of a job as PDF.

        Raises:
            SecureFlowError: `library_missing` if the centre cannot print; `printing_failed`.
        """
        return verbs.read_large(f"/jobs/{job}/explain", answers.content, format="pdf", lang=lang)

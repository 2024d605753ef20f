"""Printing of reports by WeasyPrint, in a process of its own."""

from __future__ import annotations

from secureflow.adapters.printing.printer import ProcessPrinter

__all__ = ["ProcessPrinter"]

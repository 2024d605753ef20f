"""Privacy accounting in short-lived processes."""

from secureflow.adapters.accounting.accountant import ProcessAccountant

__all__ = ["ProcessAccountant"]

"""The `Policies` port, implemented with Cedar policy files."""

from __future__ import annotations

from secureflow.adapters.policy.cedar import CedarPolicies, completed

__all__ = ["CedarPolicies", "completed"]

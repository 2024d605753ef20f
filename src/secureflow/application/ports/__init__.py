"""The ports: what the application needs from outside, named by role.

Each has an embedded default (no service, no root) and a production adapter in `adapters/`, and one
contract suite in `tests/contract/` runs over every adapter.
"""

"""The agent as a witness: the charter it pinned, the heads it cosigns, a log that was set back."""

"""The agent as a witness: its pinned charter, the heads it cosigns, and a log rolled back."""

"""A finished job's report: its page, charts, figures and texts."""

"""Training at an agent: from verified models to updates, reproducible bit by bit."""

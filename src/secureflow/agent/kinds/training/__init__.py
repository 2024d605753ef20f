"""Training, as an agent does it: from verified models to updates, made again bit by bit."""

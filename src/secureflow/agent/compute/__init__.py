"""Local computation: a worker process per job that holds the rows, and its computations."""

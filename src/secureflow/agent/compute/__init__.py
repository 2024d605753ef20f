"""Local computation: a worker process per job that holds the rows, and what it does with them."""

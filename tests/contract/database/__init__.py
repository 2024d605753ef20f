"""The database's contract: one suite over SQLite and PostgreSQL."""

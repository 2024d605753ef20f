"""The metadata database: stores, journal, outbox, events and the embedded log.

One schema and one code path over SQLite (WAL, synchronous=FULL) and PostgreSQL; a unit of work is
one transaction over all of it.
"""

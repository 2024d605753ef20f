"""A typed client for programs, sync and async."""

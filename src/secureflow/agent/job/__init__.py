"""Shared by all verbs of a job at an agent: context, guards, checked requests and files."""

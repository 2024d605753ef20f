"""Pipelines: a graph of jobs of other kinds, approved once, run one after the other."""

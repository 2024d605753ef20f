"""Driving jobs: the runner of effects, its journal, recovery, and endings."""

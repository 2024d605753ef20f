"""Differentially private statistics: the layout of a job's vector, its cost, its one masked sum."""

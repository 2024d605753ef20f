"""Whose rows a job reads: a party without a dataset only computes along."""

from __future__ import annotations

from secureflow.domain.specs.base import JobSpec, dataset_name


def brings_rows(spec: JobSpec, party: str) -> bool:
    """Tell whether rows of a party are read."""
    return spec.reads_rows and bool(dataset_name(spec, party))

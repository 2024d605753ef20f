"""Sweeps: one training at many points, each a job of its own."""

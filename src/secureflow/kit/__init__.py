"""Shared infrastructure without domain concepts: errors, canonical JSON, keys, PKI, settings."""

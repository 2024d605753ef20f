"""Shared mechanics without a business word: errors, canonical JSON, keys, PKI, settings."""

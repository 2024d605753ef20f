"""Simulated training: the script's rounds without consent, links and ledger."""

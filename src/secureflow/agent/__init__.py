"""One party: keeps data, asks consent, computes. Opens no network port."""

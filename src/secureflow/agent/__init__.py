"""One party: keeps data, asks for consent, computes. Opens no network port."""

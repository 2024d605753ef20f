"""Contract of the port `KeyVault`, over every adapter."""

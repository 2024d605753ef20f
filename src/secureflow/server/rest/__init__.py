"""The REST API: thin handlers over the use cases; HTTP is known only here."""
